//! The next safe command behind every failure (promise P12).

mod keys;

use firmware_protocol::trust::TrustError;

use super::CommandError;
use crate::boot_record::RecordFileError;
use crate::bundle::{BundleError, CreateError, FormatError, SpecError};
use crate::config::ConfigError;
use crate::conformance::BundlesError;
use crate::evidence::RecordError;
use crate::plan::AsksTooMuch;
use crate::trust::{
    CertificateError, DelegationError, EncodeError, Kind, PassphraseError, RootError, SignerError,
    StatementError, WriteError,
};

use self::keys::{after_key, after_program};

/// For a run that no certificate can be made from.
const QUALIFY_FIRST: &str = "noflake qualify the bundle, then name the folder of that run";
/// For a record that proves less than was asked.
const READ_AS_IS: &str = "noflake report show tells what the record says and how far it is signed";
/// For a root spec that makes no root record.
const SEE_CEREMONY: &str = "see docs/TRUST.md, \"The ceremony\", for every key of such a file";
/// For a folder that the conformance suite cannot use.
const SEE_CONFORMANCE: &str =
    "see docs/CONFORMANCE.md for every key of conformance.toml; nothing was sent";

impl CommandError {
    /// What to do next, if there is something to say.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        if let Self::Key(error) = self {
            return after_key(error);
        }
        if let Some(SignerError::Program { key, source }) = self.signer() {
            return Some(after_program(key, source));
        }
        if let Self::Config(ConfigError::Foreign { path, .. } | ConfigError::Shared { path, .. }) =
            self
        {
            let path = path.display();
            return Some(format!(
                "read it, and name it with --config {path} if it says what you want; or name one of your own"
            ));
        }
        if let Self::Arguments { usage, .. } = self {
            return Some(usage.clone());
        }
        #[cfg(feature = "sim")]
        if let Self::Sim(error) = self {
            return error.next();
        }
        self.next_fixed().map(str::to_owned)
    }

    /// The signer that is at fault, whatever it was to sign.
    const fn signer(&self) -> Option<&SignerError> {
        if let Self::Signer(error)
        | Self::Create(CreateError::Seal(EncodeError::Signer(error)))
        | Self::Root(RootError::Seal(EncodeError::Signer(error)))
        | Self::Certificate(CertificateError::Statement(StatementError::Seal {
            source: EncodeError::Signer(error),
            ..
        }))
        | Self::Delegation(DelegationError::Statement(StatementError::Seal {
            source: EncodeError::Signer(error),
            ..
        }))
        | Self::Statement(StatementError::Seal {
            source: EncodeError::Signer(error), ..
        }) = self
        {
            return Some(error);
        }
        None
    }

    fn next_fixed(&self) -> Option<&'static str> {
        match self {
            Self::AlreadyInitialised { .. } => {
                Some("noflake bundle create there, or noflake init in another folder")
            }
            Self::NotEmpty { .. } => Some("name a new folder"),
            Self::NamedTwice { .. } => Some("name each device once"),
            Self::NotNamed { what, .. } => Some(after_not_named(what)),
            Self::Problems { .. } => Some(DO_NOT_DEPLOY),
            Self::Unwelcome { remedy, .. } => Some(remedy),
            Self::Bundle(error) => after_bundle(error),
            Self::Create(error) => after_create(error),
            Self::Spec(SpecError::Read { .. }) => {
                Some("noflake init makes a folder with an example bundle.toml")
            }
            Self::Address(_) => Some("mend the address behind -d; nothing was sent"),
            Self::OneDevice => Some("name one device with --device"),
            Self::Device { source, .. } => Some(source.next()),
            Self::NoTrial { .. } | Self::NotSeen { .. } => Some("noflake device status --explain"),
            Self::Write(WriteError::Exists { .. }) => {
                Some("name another file, or add --force to replace that one")
            }
            Self::InRecovery { .. } | Self::BackInRecovery { .. } => Some(RECOVER),
            Self::OtherRootLost { .. } => Some(NAME_ROOT_IN_FORCE),
            Self::KeyUnseen { .. } => Some(ENROL_WITH_A_KEY),
            Self::NotOurs { .. } => Some(ENROL_ANOTHER),
            Self::Interrupted { .. } => Some(LOOK_OR_AGAIN),
            Self::BootRecord(error) => Some(after_boot_record(error)),
            Self::Conformance(error) => after_suite(error),
            Self::Plan(_) | Self::PlanFile { .. } => {
                Some("see docs/QUALIFICATION.md for every key of a plan; nothing was sent")
            }
            Self::Output(_) => Some("the result stands above; free the place that stdout goes to"),
            Self::Config(_) => Some("mend that file, or name another one with --config"),
            Self::Root(error) => after_root(error),
            Self::RootSpec(_) => Some(SEE_CEREMONY),
            Self::NotOfRole { .. } => Some("noflake root show names the keys of each role"),
            Self::RunUnfit { .. } => Some(QUALIFY_FIRST),
            Self::Unproven { .. } => Some(READ_AS_IS),
            Self::Certificate(error) => after_certificate(error),
            Self::Delegation(error) => after_delegation(error),
            Self::Statement(error) => after_statement(error),
            Self::Passphrase(error) => Some(after_passphrase(error)),
            Self::KnownDevices(error) => Some(error.next()),
            Self::NotCertified { source, .. } => Some(after_not_certified(source)),
            Self::AsksTooMuch { .. } => Some(AsksTooMuch::NEXT),
            Self::Evidence(error) => Some(error.next()),
            Self::Report(_) => Some("make room; noflake report show renders the record again"),
            Self::Record(error) => Some(after_record(error)),
            Self::WrongRole { .. } => Some("noflake key show FILE says what a key is for"),
            #[cfg(feature = "sim")]
            Self::Sim(_) => None,
            Self::Image { .. }
            | Self::Demo(_)
            | Self::DemoStep { .. }
            | Self::Random(_)
            | Self::Runtime(_)
            | Self::Task(_) => None,
            Self::Arguments { .. }
            | Self::Key(_)
            | Self::Signer(_)
            | Self::Spec(_)
            | Self::Write(_)
            | Self::Folder { .. } => None,
        }
    }
}

const fn after_record(error: &RecordError) -> &'static str {
    match error {
        RecordError::Io { .. } | RecordError::NotAFile { .. } => "name a run folder, as in runs/",
        RecordError::TooLong { .. }
        | RecordError::BadLine { .. }
        | RecordError::NotAsSigned { .. }
        | RecordError::Missing { .. }
        | RecordError::BadSignature { .. } => {
            "copy the folder of the run again from where it was written; what is not there as it was written counts for nothing"
        }
    }
}

fn after_not_named(what: &str) -> &'static str {
    match what {
        "device" => "add -d ADDRESS, or fill `devices` in noflake.toml",
        "host key" => "noflake key generate --role host NAME, then name NAME.key with --as",
        _ => "noflake init, or name it with its flag",
    }
}

const fn after_passphrase(error: &PassphraseError) -> &'static str {
    match error {
        PassphraseError::Terminal(_) | PassphraseError::Descriptor { .. } => {
            "give it by an open file descriptor: --passphrase-fd 3 3< FILE"
        }
        PassphraseError::Differ => {
            "run the same command again, and type the same passphrase twice; nothing was written"
        }
        PassphraseError::Empty
        | PassphraseError::TooLong
        | PassphraseError::NotText
        | PassphraseError::Interrupted => {
            "run the same command again, or give it by an open file descriptor: --passphrase-fd 3 3< FILE; nothing was written"
        }
    }
}

const fn after_statement(error: &StatementError) -> Option<&'static str> {
    match error {
        StatementError::Trust { kind: Kind::Delegation, .. } => Some(
            "name as many keys with --key as the operate role needs: noflake root show says how many",
        ),
        StatementError::Trust { kind: Kind::Certificate | Kind::BenchReset, .. } => Some(
            "name as many keys with --key as the qualify role needs: noflake root show says how many",
        ),
        StatementError::Epoch { .. } => Some("name an epoch that counts with --epoch"),
        StatementError::Rule { .. }
        | StatementError::Encode { .. }
        | StatementError::Seal { .. } => None,
    }
}

const fn after_certificate(error: &CertificateError) -> Option<&'static str> {
    match error {
        CertificateError::Statement(error) => after_statement(error),
        CertificateError::TooMuchHardware
        | CertificateError::Level { .. }
        | CertificateError::Plan { .. }
        | CertificateError::None { .. }
        | CertificateError::Stray { .. } => None,
    }
}

const fn after_delegation(error: &DelegationError) -> Option<&'static str> {
    match error {
        DelegationError::Statement(error) => after_statement(error),
        DelegationError::OtherHost { .. } => {
            Some("have whoever holds the operate key make a new one: noflake key delegate")
        }
        DelegationError::Ahead { .. } => Some(
            "set this machine's clock; if that is right, have whoever holds the operate key set theirs and make a new one: \
             noflake key delegate",
        ),
        DelegationError::Over { .. } => Some(
            "have whoever holds the operate key make a new one: noflake key delegate; or set this machine's clock, where \
             that is wrong",
        ),
        DelegationError::Read { .. } | DelegationError::Envelope { .. } => {
            Some("have noflake key delegate make it anew")
        }
        DelegationError::Pattern { .. } => Some(
            "--serial takes a whole number or its begin and a *, as 'HH-*'; --product takes whole names",
        ),
        DelegationError::TooMany { .. } | DelegationError::TooLong { .. } => None,
    }
}

const fn after_not_certified(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Plan { .. } => {
            "run it by the plan that the bundle is certified for: noflake bundle show names it"
        }
        CertificateError::Statement(StatementError::Trust { .. })
        | CertificateError::Stray { .. } => {
            "copy the bundle again, it may be damaged; then noflake bundle certify, by whoever holds a qualify key of this root \
             record; nothing was sent"
        }
        CertificateError::Statement(_)
        | CertificateError::TooMuchHardware
        | CertificateError::Level { .. }
        | CertificateError::None { .. } => {
            "noflake bundle certify, by whoever holds the qualify key; nothing was sent"
        }
    }
}

const fn after_root(error: &RootError) -> Option<&'static str> {
    match error {
        RootError::Trust { source: TrustError::Signatures { .. }, .. } => {
            Some("noflake root show FILE says whose signatures are missing")
        }
        RootError::Read { .. } | RootError::Trust { .. } => {
            Some("name a root record, a .nfr file as noflake init and noflake root draft make it")
        }
        RootError::NotAHolder { .. } => {
            Some("name the key of a holder; for one of the record before, name that with --after")
        }
        RootError::NotNext { .. } => Some(
            "name the record in force, one number below, with --after; root record 1 takes none",
        ),
        RootError::OtherRecord { .. } => {
            Some("noflake root show FILE says what each of them holds")
        }
        RootError::TooManyKeys { .. }
        | RootError::WeakKey
        | RootError::Rule(_)
        | RootError::Encode(_)
        | RootError::Seal(_)
        | RootError::Unmet(_) => None,
    }
}

const fn after_bundle(error: &BundleError) -> Option<&'static str> {
    match error {
        BundleError::Trust { source: TrustError::Signatures { .. }, .. } => Some(NOT_BY_THESE),
        BundleError::Trust { .. } => Some(DO_NOT_DEPLOY),
        BundleError::Format { source, .. } => Some(after_format(source)),
        BundleError::Damaged { .. }
        | BundleError::Envelope { .. }
        | BundleError::Manifest { .. }
        | BundleError::PlanText { .. } => Some(COPY_AGAIN),
        BundleError::Read { .. } | BundleError::NotAFile { .. } => Some(NAME_A_BUNDLE),
        BundleError::NoPayload { .. } => None,
    }
}

const fn after_suite(error: &BundlesError) -> Option<&'static str> {
    match error {
        BundlesError::Bundle(error) => after_bundle(error),
        BundlesError::Read { .. } | BundlesError::Syntax { .. } | BundlesError::Rule { .. } => {
            Some(SEE_CONFORMANCE)
        }
    }
}

const fn after_create(error: &CreateError) -> Option<&'static str> {
    match error {
        CreateError::Write(WriteError::Exists { .. }) => {
            Some("add --force to replace it, or name another file with --output")
        }
        CreateError::Changed { .. } => {
            Some("wait for the build to end, then noflake bundle create again")
        }
        CreateError::Input { .. } => {
            Some("mend that path in the bundle spec, then noflake bundle create again")
        }
        CreateError::Write(WriteError::Io { .. })
        | CreateError::Empty { .. }
        | CreateError::TooLong { .. }
        | CreateError::BlockSize { .. }
        | CreateError::Version { .. }
        | CreateError::Plan { .. }
        | CreateError::Manifest(_)
        | CreateError::Attachments(_)
        | CreateError::Seal(_) => None,
    }
}

const fn after_boot_record(error: &RecordFileError) -> &'static str {
    match error {
        RecordFileError::Read { .. } => "name a file that noflake device record made",
        RecordFileError::Length { .. } | RecordFileError::FirstRange { .. } => {
            "read both ranges of the boot record, whole and one behind the other; noflake device record does"
        }
        RecordFileError::NotARecord { .. } => {
            "if it is the record of a device, it is lost: noflake device recover brings that device back"
        }
        RecordFileError::Format { .. } => "use the noflake release that fits the device's firmware",
        RecordFileError::Ranges { .. } => {
            "name the length of the first range with --first-range, or read the whole record once more"
        }
    }
}

const fn after_format(error: &FormatError) -> &'static str {
    match error {
        FormatError::Magic => NAME_A_BUNDLE,
        FormatError::Version { .. } => "use the noflake release that made the bundle",
        FormatError::Truncated { .. }
        | FormatError::Trailing { .. }
        | FormatError::Reserved { .. }
        | FormatError::EnvelopeLength { .. }
        | FormatError::Overflow
        | FormatError::PlanLength { .. }
        | FormatError::AttachmentCount { .. }
        | FormatError::AttachmentLength { .. } => COPY_AGAIN,
    }
}

const ENROL_WITH_A_KEY: &str = "add --as HOST.key, or fill trust.host_key in noflake.toml; noflake key generate --role host makes such a key";
const ENROL_ANOTHER: &str = "take the device that is meant, or have a delegation made for this one: noflake key delegate; a host without a \
                 delegation enrols any";
const NAME_ROOT_IN_FORCE: &str =
    "name the root record that the device is enrolled under with --root";
const RECOVER: &str = "noflake device recover, with a bundle that is known to work";
const LOOK_OR_AGAIN: &str = "noflake device status --explain, or run the same command again";
const COPY_AGAIN: &str = "copy the bundle again, then noflake bundle verify";
const NAME_A_BUNDLE: &str = "name a bundle, as noflake bundle create makes it";
const DO_NOT_DEPLOY: &str = "noflake bundle show, to see who signed; do not deploy it";
const NOT_BY_THESE: &str = "noflake bundle show, to see who signed; do not deploy it, unless this host's root record is not the newest: name \
     the newest one with --root";

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use crate::trust::{KeyError, KnownDevicesError, PassphraseError};

    use super::*;

    /// P12 where people lose things: the words are about what was lost.
    #[test]
    fn what_is_wrong_with_a_key_its_passphrase_or_the_known_devices_has_a_next_command() {
        let path = || Path::new("laptop.key").to_path_buf();
        let full = || WriteError::Io { path: path(), source: io::ErrorKind::StorageFull.into() };
        let lost = KeyError::Read { path: path(), source: io::ErrorKind::NotFound.into() };
        for (error, says) in [
            (CommandError::Key(KeyError::WrongPassphrase { path: path() }), "the passphrase that"),
            (CommandError::Key(KeyError::Format { path: path(), reason: "it is empty" }), "a copy"),
            (CommandError::Key(lost), "its .pub goes to the office"),
            (CommandError::Passphrase(PassphraseError::Empty), "--passphrase-fd"),
            (CommandError::KnownDevices(KnownDevicesError::Write(full())), "make room"),
        ] {
            let next = error.next().unwrap();
            assert!(next.contains(says), "{next}");
        }
    }
}
