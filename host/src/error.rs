//! What went wrong, for the person who typed the command, and the exit code for the script around it.

mod exit;
mod next;

use std::io;
use std::path::PathBuf;

use firmware_protocol::digest::Digest;
use firmware_protocol::refusal::Refusal;
use thiserror::Error;

use crate::bench::DeviceError;
use crate::boot_record::RecordFileError;
use crate::bundle::{BundleError, CreateError, SpecError};
use crate::causes::causes;
use crate::config::ConfigError;
use crate::conformance::BundlesError;
use crate::evidence::{EvidenceError, RecordError, Unproven};
use crate::link::{Address, AddressError};
use crate::plan::{AsksTooMuch, PlanError};
use crate::report::ReportError;
use crate::trust::{
    CertificateError, DelegationError, KeyError, KnownDevicesError, PassphraseError, RootError,
    RootSpecError, SignerError, StatementError, WriteError,
};

pub use self::exit::Exit;

/// Why a command did not do what it says.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key cannot be used or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Something that was to sign did not.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// There is no passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// A root record cannot be used or made.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A file does not say whom devices are to believe.
    #[error(transparent)]
    RootSpec(#[from] RootSpecError),
    /// A bundle spec cannot be used.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A bundle was not made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// A bundle cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A file was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A folder was not made or filled.
    #[error("failed to write to {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A bundle has defects; each was printed.
    #[error("bundle {} has {count} problem(s)", path.display())]
    Problems {
        /// The bundle.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// The folder is in use already.
    #[error("{} holds a trust folder already: {} exists", folder.display(), found.display())]
    AlreadyInitialised {
        /// The folder.
        folder: PathBuf,
        /// What is there.
        found: PathBuf,
    },
    /// A path that no flag and no configuration gives.
    #[error("no {what} is named: neither {flag} nor {key} in noflake.toml")]
    NotNamed {
        /// What is missing.
        what: &'static str,
        /// The flag that names it.
        flag: &'static str,
        /// The configuration key that names it.
        key: &'static str,
    },
    /// A key of another role.
    #[error("key {} is a {got} key, expected a {expected} key", path.display())]
    WrongRole {
        /// The key file.
        path: PathBuf,
        /// Role needed.
        expected: &'static str,
        /// Role of the key.
        got: &'static str,
    },
    /// A key that is none of the role's, by the root record.
    #[error("key {hint} ({}) is no {role} key of the root record", path.display())]
    NotOfRole {
        /// The key file.
        path: PathBuf,
        /// Hint of the key.
        hint: String,
        /// The role.
        role: &'static str,
    },
    /// A run that no certificate can be made from.
    #[error("no certificate can be made from {}: {why}", path.display())]
    RunUnfit {
        /// The run folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A record does not prove that a bench has signed it.
    #[error("{} is not proven", path.display())]
    Unproven {
        /// The run.
        path: PathBuf,
        /// Why, with the first line at fault.
        source: Unproven,
    },
    /// A delegation was not made or cannot be shown.
    #[error(transparent)]
    Delegation(#[from] DelegationError),
    /// The devices that this host knows cannot be read.
    #[error(transparent)]
    KnownDevices(#[from] KnownDevicesError),
    /// A certificate was not made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Devices will refuse the bundle.
    #[error("devices under root record {version} refuse bundle {}: {count} point(s) speak against it", path.display())]
    Unwelcome {
        /// The bundle.
        path: PathBuf,
        /// Version of the root record.
        version: u32,
        /// Points that are refused.
        count: usize,
        /// Who can do what about the first of them.
        remedy: &'static str,
    },
    /// A document of a role was not made.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Devices will want to see a certificate that the bundle does not carry.
    #[error("{} cannot be deployed", path.display())]
    NotCertified {
        /// The bundle.
        path: PathBuf,
        /// What is missing.
        source: CertificateError,
    },
    /// Devices will open no trial on the terms of the plan.
    #[error("{} cannot be deployed", path.display())]
    AsksTooMuch {
        /// The bundle.
        path: PathBuf,
        /// What the plan asks for, and what is allowed.
        source: AsksTooMuch,
    },
    /// What was typed is no command.
    #[error("{problem}")]
    Arguments {
        /// What is wrong with it.
        problem: String,
        /// How the command is typed.
        usage: String,
    },
    /// Text that is no device address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// None or several devices where one is needed.
    #[error("this command works with one device, and several are named")]
    OneDevice,
    /// Something was not done on a device.
    #[error("{address}")]
    Device {
        /// The device.
        address: Address,
        /// Why.
        source: Box<DeviceError>,
    },
    /// There is no trial to decide on.
    #[error("{address}: no trial is open")]
    NoTrial {
        /// The device.
        address: Address,
    },
    /// The device took a decision and does not show it.
    #[error("{address}: trial {trial_id} was {word}, but the device says otherwise: {got}")]
    NotSeen {
        /// The device.
        address: Address,
        /// The trial.
        trial_id: u64,
        /// What was decided.
        word: &'static str,
        /// What the device says.
        got: String,
    },
    /// The device runs neither slot.
    #[error("{address}: the device runs its recovery image, there is nothing to compare")]
    InRecovery {
        /// The device.
        address: Address,
    },
    /// Flash has lost the root record in force, and the one that was named is another one.
    #[error(
        "{address}: flash has lost root record {} ({:.16}), and the one that was named is another one: number {} ({:.16})",
        lost.0, lost.1, named.0, named.1
    )]
    OtherRootLost {
        /// The device.
        address: Address,
        /// Version and digest of the one in force.
        lost: (u32, Digest),
        /// Version and digest of the one named.
        named: (u32, Digest),
    },
    /// A device of the field would be enrolled, and nobody would have seen its key.
    #[error(
        "{address}: not enrolled: root record {version} is for the field, and on a plain link nobody sees the key by which \
         hosts are to know the device"
    )]
    KeyUnseen {
        /// The device.
        address: Address,
        /// Version of the root record.
        version: u32,
    },
    /// A device would be enrolled that this host may not work on.
    #[error(
        "{address}: device {serial} (product {product}) is not enrolled, which nobody could take back: {refusal}"
    )]
    NotOurs {
        /// The device.
        address: Address,
        /// Its serial number.
        serial: String,
        /// Its product.
        product: String,
        /// What it would have against this host's delegation.
        refusal: Refusal,
    },
    /// A trial was given up, and there is no version to go back to.
    #[error(
        "{address}: trial {trial_id} was rolled back, and the device waits in its recovery image: no other version \
         of it can be started"
    )]
    BackInRecovery {
        /// The device.
        address: Address,
        /// The trial.
        trial_id: u64,
    },
    /// The bundles of a conformance suite cannot be used.
    #[error(transparent)]
    Conformance(#[from] BundlesError),
    /// The operator stopped it.
    #[error("{address}: interrupted; what was under way may have been done")]
    Interrupted {
        /// The device.
        address: Address,
    },
    /// A file is no boot record.
    #[error(transparent)]
    BootRecord(#[from] RecordFileError),
    /// A plan file cannot be read.
    #[error("failed to read plan {}", path.display())]
    PlanFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A plan cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Evidence cannot be kept.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Reports cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A simulated device cannot be served.
    #[cfg(feature = "sim")]
    #[error("failed to serve simulated devices")]
    Sim(#[source] hw_sim::ServeError),
    /// A simulated device's first bundle cannot be read.
    #[error("failed to read image bundle {}", path.display())]
    Image {
        /// The bundle.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The demo needs a folder of its own.
    #[error("{} is not empty", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// A device is named more than once.
    #[error("device {address} is named twice")]
    NamedTwice {
        /// The device.
        address: Address,
    },
    /// The demo cannot be set up.
    #[error("failed to set up the demo")]
    Demo(#[source] io::Error),
    /// A step that the demo needs did not work.
    #[error("a step of the demo did not work: {typed} (exit {exit}): {}", said.trim())]
    DemoStep {
        /// What was run.
        typed: String,
        /// Its exit code.
        exit: i32,
        /// What it said.
        said: String,
    },
    /// The system's random source failed.
    #[error("the system's random source failed")]
    Random(#[source] getrandom::Error),
    /// The async runtime cannot be started.
    #[error("failed to start the async runtime")]
    Runtime(#[source] io::Error),
    /// A task ended unexpectedly.
    #[error("a run ended unexpectedly")]
    Task(#[source] tokio::task::JoinError),
    /// Results could not be printed.
    #[error("failed to print the result")]
    Output(#[source] io::Error),
}

impl CommandError {
    /// The error and each of its causes, outermost first.
    #[must_use]
    pub fn chain(&self) -> Vec<String> {
        let mut chain = causes(self);
        // Where it was is nothing without what it was. The address of a simulated device may end in the colon itself.
        if let (Self::Device { address, .. }, Some(what)) = (self, chain.get_mut(1)) {
            *what = format!("{}: {what}", address.to_string().trim_end_matches(':'));
            chain.remove(0);
        }
        chain
    }

    /// The first line of a record, or of the signatures beside it, that is at fault.
    #[must_use]
    pub const fn line(&self) -> Option<u64> {
        if let Self::Record(error) = self {
            error.line()
        } else if let Self::Unproven { source, .. } = self {
            Some(source.line())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_input_is_the_users_and_a_broken_disk_is_not() {
        let error = |kind: io::ErrorKind| {
            CommandError::from(BundleError::Read { path: "x.nfb".into(), source: kind.into() })
        };
        assert_eq!(error(io::ErrorKind::NotFound).exit(), Exit::Usage);
        assert_eq!(error(io::ErrorKind::Other).exit(), Exit::Bench);
    }

    #[test]
    fn a_device_that_stays_busy_has_refused_nothing() {
        let error = |refusal| CommandError::Device {
            address: Address::Simulated { scenario: None },
            source: Box::new(DeviceError::Refused(refusal)),
        };
        assert_eq!(error(Refusal::Busy).exit(), Exit::Bench);
        assert_eq!(error(Refusal::WrongProduct).exit(), Exit::Refused);
    }

    /// Programs read the first of them.
    #[test]
    fn what_went_wrong_on_a_device_stands_behind_its_address() {
        let error = CommandError::Device {
            address: Address::Simulated { scenario: None },
            source: Box::new(DeviceError::OutOfTurn("hello")),
        };
        assert_eq!(error.chain(), ["sim: the device answered out of turn to hello"]);
    }

    #[test]
    fn a_chain_says_each_thing_once() {
        let source = io::Error::other("disk gone");
        let error = CommandError::from(BundleError::Read { path: "x.nfb".into(), source });
        assert_eq!(error.chain(), ["failed to read bundle x.nfb", "disk gone"]);
    }
}
