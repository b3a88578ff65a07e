//! The exit code of every failure: whether the input, the device or the world is at fault.

use std::io;

use firmware_protocol::refusal::Refusal;

use super::CommandError;
use crate::bench::DeviceError;
use crate::boot_record::RecordFileError;
use crate::bundle::{BundleError, CreateError, SpecError};
use crate::config::ConfigError;
use crate::conformance::BundlesError;
use crate::driver::DriverError;
use crate::evidence::RecordError;
use crate::link::LinkError;
use crate::session::transfer::TransferError;
use crate::trust::{
    CertificateError, DelegationError, EncodeError, KeyError, PassphraseError, ProgramError,
    RootError, RootSpecError, SignerError, SignerFileError, StatementError, WriteError,
};

/// How a command ends, as the shell sees it. The numbers are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Qualified and committed, or the command did what it says.
    Success = 0,
    /// A planned check failed and the old version is seen running; drift; `hold`.
    Rejected = 1,
    /// Usage, plan or bundle is wrong, as far as the host can tell without a device.
    Usage = 2,
    /// Bench, link or tool error; no verdict.
    Bench = 3,
    /// Too little was seen to judge.
    Inconclusive = 4,
    /// The device refused: trust, product, floor, policy.
    Refused = 5,
    /// The device went back by itself before the host judged; the old version is seen running.
    WentBack = 6,
    /// The device needs service.
    NeedsService = 7,
    /// Interrupted; safe to run again.
    Interrupted = 130,
}

impl Exit {
    /// Every code.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Rejected,
        Self::Usage,
        Self::Bench,
        Self::Inconclusive,
        Self::Refused,
        Self::WentBack,
        Self::NeedsService,
        Self::Interrupted,
    ];

    /// The worst of several: what needs a person's hands first.
    #[must_use]
    pub fn worst(exits: &[Self]) -> Self {
        let order = [
            Self::Interrupted,
            Self::NeedsService,
            Self::Bench,
            Self::Refused,
            Self::WentBack,
            Self::Rejected,
            Self::Inconclusive,
            Self::Usage,
        ];
        order.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Self::Success)
    }

    /// The number that the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl CommandError {
    /// The exit code: whether the input or the world is at fault.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(error) => of_config(error),
            Self::Key(error) => of_key(error),
            Self::Signer(error) => of_signer(error),
            Self::Passphrase(error) => of_passphrase(error),
            Self::Root(error) => of_root(error),
            Self::RootSpec(error) => of_root_spec(error),
            Self::Spec(error) => match error {
                SpecError::Read { source, .. } => of_system(source),
                SpecError::Syntax { .. } => Exit::Usage,
            },
            Self::Create(error) => of_create(error),
            Self::Bundle(error) => of_bundle(error),
            Self::Write(error) => of_write(error),
            Self::Folder { source, .. } => of_system(source),
            Self::Certificate(error) => of_certificate(error),
            Self::Delegation(error) => of_delegation(error),
            Self::Statement(error) => of_statement(error),
            Self::Problems { .. }
            | Self::Unwelcome { .. }
            | Self::AlreadyInitialised { .. }
            | Self::NotNamed { .. }
            | Self::WrongRole { .. }
            | Self::NotOfRole { .. }
            | Self::KnownDevices(_)
            | Self::RunUnfit { .. }
            | Self::Unproven { .. }
            | Self::Arguments { .. } => Exit::Usage,
            Self::Address(_)
            | Self::OneDevice
            | Self::NotEmpty { .. }
            | Self::NamedTwice { .. }
            | Self::KeyUnseen { .. }
            | Self::Plan(_) => Exit::Usage,
            Self::Device { source, .. } => of_device(source),
            // What the device would say: whether host or device notices first makes no difference to a script.
            Self::NoTrial { .. }
            | Self::OtherRootLost { .. }
            | Self::NotCertified { .. }
            | Self::AsksTooMuch { .. }
            | Self::NotOurs { .. } => Exit::Refused,
            Self::Interrupted { .. } => Exit::Interrupted,
            Self::InRecovery { .. } | Self::BackInRecovery { .. } | Self::NotSeen { .. } => {
                Exit::NeedsService
            }
            Self::PlanFile { source, .. } | Self::Image { source, .. } => of_system(source),
            Self::Record(error) => of_record(error),
            Self::BootRecord(error) => match error {
                RecordFileError::Read { source, .. } => of_system(source),
                RecordFileError::Length { .. }
                | RecordFileError::FirstRange { .. }
                | RecordFileError::NotARecord { .. }
                | RecordFileError::Format { .. }
                | RecordFileError::Ranges { .. } => Exit::Usage,
            },
            Self::Conformance(error) => of_suite(error),
            Self::Evidence(_) | Self::Report(_) => Exit::Bench,
            #[cfg(feature = "sim")]
            Self::Sim(error) => of_sim(error),
            Self::Demo(_)
            | Self::DemoStep { .. }
            | Self::Random(_)
            | Self::Runtime(_)
            | Self::Task(_)
            | Self::Output(_) => Exit::Bench,
        }
    }
}

fn of_config(error: &ConfigError) -> Exit {
    match error {
        ConfigError::Read { source, .. } => of_system(source),
        ConfigError::Syntax { .. } | ConfigError::Foreign { .. } | ConfigError::Shared { .. } => {
            Exit::Usage
        }
    }
}

fn of_system(error: &io::Error) -> Exit {
    let of_input = matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidData
            | io::ErrorKind::AlreadyExists
    );
    if of_input { Exit::Usage } else { Exit::Bench }
}

fn of_write(error: &WriteError) -> Exit {
    match error {
        WriteError::Exists { .. } => Exit::Usage,
        WriteError::Io { source, .. } => of_system(source),
    }
}

fn of_key(error: &KeyError) -> Exit {
    match error {
        KeyError::Read { source, .. } => of_system(source),
        KeyError::Write(error) => of_write(error),
        KeyError::Exposed { .. }
        | KeyError::IsPublic { .. }
        | KeyError::Format { .. }
        | KeyError::IsSecret { .. }
        | KeyError::WrongPassphrase { .. }
        | KeyError::Public { .. } => Exit::Usage,
        KeyError::Signer(error) => of_signer_file(error),
        KeyError::Random(_) | KeyError::Encrypt(_) => Exit::Bench,
    }
}

fn of_signer_file(error: &SignerFileError) -> Exit {
    match error {
        SignerFileError::Read { source, .. } | SignerFileError::Program { source, .. } => {
            of_system(source)
        }
        SignerFileError::Changeable { .. }
        | SignerFileError::Foreign { .. }
        | SignerFileError::Syntax { .. }
        | SignerFileError::Value { .. }
        | SignerFileError::HostKey { .. } => Exit::Usage,
        SignerFileError::Encode { .. } => Exit::Bench,
    }
}

/// Of the signer, where that is at fault: one that is not there was named wrong, one that gives no signature is a tool
/// that failed.
fn of_signer(error: &SignerError) -> Exit {
    match error {
        SignerError::Refused { .. } => Exit::Bench,
        SignerError::Program { source, .. } => match source {
            ProgramError::Start { source, .. } => of_system(source),
            ProgramError::Interrupted { .. } => Exit::Interrupted,
            ProgramError::Wait { .. }
            | ProgramError::Refused { .. }
            | ProgramError::Killed { .. }
            | ProgramError::Short { .. }
            | ProgramError::Long { .. }
            | ProgramError::Unverified { .. } => Exit::Bench,
        },
    }
}

fn of_seal(error: &EncodeError) -> Exit {
    match error {
        EncodeError::Signer(error) => of_signer(error),
        EncodeError::Unsigned
        | EncodeError::TooManySigners { .. }
        | EncodeError::TooLong { .. } => Exit::Usage,
    }
}

fn of_root_spec(error: &RootSpecError) -> Exit {
    match error {
        RootSpecError::Read { source, .. } => of_system(source),
        RootSpecError::Key(error) => of_key(error),
        RootSpecError::Root(error) => of_root(error),
        RootSpecError::Syntax { .. }
        | RootSpecError::Role { .. }
        | RootSpecError::NoKeys { .. }
        | RootSpecError::LevelOfNothing { .. }
        | RootSpecError::TooLong { .. } => Exit::Usage,
    }
}

fn of_statement(error: &StatementError) -> Exit {
    match error {
        StatementError::Seal { source, .. } => of_seal(source),
        StatementError::Trust { .. }
        | StatementError::Epoch { .. }
        | StatementError::Rule { .. }
        | StatementError::Encode { .. } => Exit::Usage,
    }
}

fn of_certificate(error: &CertificateError) -> Exit {
    match error {
        CertificateError::Statement(error) => of_statement(error),
        CertificateError::TooMuchHardware
        | CertificateError::Level { .. }
        | CertificateError::Plan { .. }
        | CertificateError::None { .. }
        | CertificateError::Stray { .. } => Exit::Usage,
    }
}

fn of_delegation(error: &DelegationError) -> Exit {
    match error {
        DelegationError::Statement(error) => of_statement(error),
        DelegationError::OtherHost { .. }
        | DelegationError::Over { .. }
        | DelegationError::Ahead { .. }
        | DelegationError::Read { .. }
        | DelegationError::Envelope { .. }
        | DelegationError::Pattern { .. }
        | DelegationError::TooMany { .. }
        | DelegationError::TooLong { .. } => Exit::Usage,
    }
}

const fn of_passphrase(error: &PassphraseError) -> Exit {
    match error {
        PassphraseError::Terminal(_)
        | PassphraseError::Descriptor { .. }
        | PassphraseError::Empty
        | PassphraseError::TooLong
        | PassphraseError::NotText
        | PassphraseError::Differ => Exit::Usage,
        PassphraseError::Interrupted => Exit::Interrupted,
    }
}

fn of_root(error: &RootError) -> Exit {
    match error {
        RootError::Read { source, .. } => of_system(source),
        RootError::Trust { .. }
        | RootError::TooManyKeys { .. }
        | RootError::WeakKey
        | RootError::Rule(_)
        | RootError::NotAHolder { .. }
        | RootError::NotNext { .. }
        | RootError::OtherRecord { .. }
        | RootError::Unmet(_) => Exit::Usage,
        RootError::Seal(error) => of_seal(error),
        RootError::Encode(_) => Exit::Bench,
    }
}

fn of_create(error: &CreateError) -> Exit {
    match error {
        CreateError::Input { source, .. } => of_system(source),
        CreateError::Write(error) => of_write(error),
        CreateError::Empty { .. }
        | CreateError::TooLong { .. }
        | CreateError::BlockSize { .. }
        | CreateError::Version { .. }
        | CreateError::Plan { .. }
        | CreateError::Manifest(_)
        | CreateError::Attachments(_) => Exit::Usage,
        CreateError::Seal(error) => of_seal(error),
        CreateError::Changed { .. } => Exit::Bench,
    }
}

fn of_bundle(error: &BundleError) -> Exit {
    match error {
        BundleError::Read { source, .. } => of_system(source),
        BundleError::NotAFile { .. }
        | BundleError::Format { .. }
        | BundleError::Envelope { .. }
        | BundleError::Manifest { .. }
        | BundleError::Trust { .. }
        | BundleError::NoPayload { .. }
        | BundleError::Damaged { .. }
        | BundleError::PlanText { .. } => Exit::Usage,
    }
}

fn of_suite(error: &BundlesError) -> Exit {
    match error {
        BundlesError::Read { source, .. } => of_system(source),
        BundlesError::Bundle(error) => of_bundle(error),
        BundlesError::Syntax { .. } | BundlesError::Rule { .. } => Exit::Usage,
    }
}

fn of_record(error: &RecordError) -> Exit {
    match error {
        RecordError::Io { source, .. } => of_system(source),
        RecordError::NotAFile { .. }
        | RecordError::TooLong { .. }
        | RecordError::BadLine { .. }
        | RecordError::NotAsSigned { .. }
        | RecordError::Missing { .. }
        | RecordError::BadSignature { .. } => Exit::Usage,
    }
}

#[cfg(feature = "sim")]
fn of_sim(error: &hw_sim::ServeError) -> Exit {
    use hw_sim::ServeError;
    match error {
        ServeError::Scenario(_) | ServeError::Ports { .. } => Exit::Usage,
        ServeError::Root { source, .. } => of_system(source),
        ServeError::Device(_)
        | ServeError::State(_)
        | ServeError::Serial { .. }
        | ServeError::Tcp { .. }
        | ServeError::System { .. }
        | ServeError::Task(_) => Exit::Bench,
    }
}

fn of_device(error: &DeviceError) -> Exit {
    match error {
        // It was asked again and again, or started anew meanwhile: that is no judgement on what was asked.
        DeviceError::Refused(Refusal::Busy | Refusal::NoSession | Refusal::StaleSession)
        | DeviceError::Driver(DriverError::Transfer(TransferError::Refused(Refusal::Busy))) => {
            Exit::Bench
        }
        // The scenario is a file of the user's, and no device.
        DeviceError::Driver(DriverError::Link(LinkError::Simulated { .. })) => Exit::Usage,
        DeviceError::Refused(_)
        | DeviceError::DelegationRefused(_)
        | DeviceError::Impostor { .. }
        | DeviceError::Stranger { .. }
        | DeviceError::Driver(DriverError::Transfer(TransferError::Refused(_))) => Exit::Refused,
        DeviceError::NotReached { source, .. } => of_device(source),
        DeviceError::Driver(_)
        | DeviceError::OutOfTurn(_)
        | DeviceError::TooSlow { .. }
        | DeviceError::Version { .. }
        | DeviceError::Known(_)
        | DeviceError::Random(_)
        | DeviceError::Held(_) => Exit::Bench,
    }
}
