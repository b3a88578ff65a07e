//! What went wrong, for the person who typed the command, and the exit code for the script around it.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use firmware_protocol::refusal::Refusal;

use crate::bench::DeviceError;
use crate::bundle::{BundleError, CreateError, FormatError, SpecError};
use crate::config::ConfigError;
use crate::driver::DriverError;
use crate::evidence::{EvidenceError, RecordError};
use crate::link::{Address, AddressError, LinkError};
use crate::plan::PlanError;
use crate::report::ReportError;
use crate::session::transfer::TransferError;
use crate::trust::{KeyError, PassphraseError, RootError, WriteError};

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

    /// The number that the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

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
    /// There is no passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// A root record cannot be used or made.
    #[error(transparent)]
    Root(#[from] RootError),
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
    /// Text that is no device address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// None or several devices where one is needed.
    #[error("this command works with one device: name it with --device")]
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
    /// The device runs neither slot.
    #[error("{address}: the device runs its recovery image, there is nothing to compare")]
    InRecovery {
        /// The device.
        address: Address,
    },
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
    /// The exit code: whether the input or the world is at fault.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(error) => match error {
                ConfigError::Read { source, .. } => of_system(source),
                ConfigError::Syntax { .. } => Exit::Usage,
            },
            Self::Key(error) => of_key(error),
            Self::Passphrase(error) => of_passphrase(error),
            Self::Root(error) => of_root(error),
            Self::Spec(error) => match error {
                SpecError::Read { source, .. } => of_system(source),
                SpecError::Syntax { .. } => Exit::Usage,
            },
            Self::Create(error) => of_create(error),
            Self::Bundle(error) => of_bundle(error),
            Self::Write(error) => of_write(error),
            Self::Folder { source, .. } => of_system(source),
            Self::Problems { .. }
            | Self::AlreadyInitialised { .. }
            | Self::NotNamed { .. }
            | Self::WrongRole { .. } => Exit::Usage,
            Self::Address(_) | Self::OneDevice | Self::Plan(_) => Exit::Usage,
            Self::Device { source, .. } => of_device(source),
            Self::NoTrial { .. } => Exit::Refused,
            Self::InRecovery { .. } => Exit::NeedsService,
            Self::PlanFile { source, .. } | Self::Image { source, .. } => of_system(source),
            Self::Record(error) => of_record(error),
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

    /// What to do next, if there is something to say.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        if let Self::Key(KeyError::Exposed { path, .. }) = self {
            return Some(format!("if nobody copied it: chmod 600 {}", path.display()));
        }
        self.next_fixed().map(str::to_owned)
    }

    fn next_fixed(&self) -> Option<&'static str> {
        match self {
            Self::AlreadyInitialised { .. } => {
                Some("noflake bundle create there, or noflake init in another folder")
            }
            Self::NotNamed { .. } => Some("noflake init, or name it with its flag"),
            Self::Problems { .. } | Self::Bundle(BundleError::Trust { .. }) => {
                Some("noflake bundle show, to see who signed; do not deploy it")
            }
            Self::Bundle(BundleError::Format { source, .. }) => after_format(source),
            Self::Bundle(BundleError::Damaged { .. }) => Some(COPY_AGAIN),
            Self::Create(CreateError::Write(WriteError::Exists { .. })) => {
                Some("add --force to replace it, or name another file with --output")
            }
            Self::Create(CreateError::Changed { .. }) => {
                Some("wait for the build to end, then noflake bundle create again")
            }
            Self::Spec(SpecError::Read { .. }) => {
                Some("noflake init makes a folder with an example bundle.toml")
            }
            Self::Address(_) | Self::OneDevice => {
                Some("name the device as serial:/dev/ttyUSB0?baud=115200, tcp:HOST:PORT or sim:")
            }
            Self::Device { source, .. } => after_device(source),
            Self::NoTrial { .. } => Some("noflake device status --explain"),
            Self::InRecovery { .. } => Some("noflake deploy a bundle that is known to work"),
            Self::Plan(_) | Self::PlanFile { .. } => {
                Some("see docs/QUALIFICATION.md for every key of a plan; nothing was sent")
            }
            Self::Evidence(_) | Self::Report(_) => {
                Some("make room, or name another folder with --runs; the device is unaffected")
            }
            #[cfg(feature = "sim")]
            Self::Sim(_) => None,
            Self::Record(_)
            | Self::Image { .. }
            | Self::Demo(_)
            | Self::DemoStep { .. }
            | Self::Random(_)
            | Self::Runtime(_)
            | Self::Task(_) => None,
            Self::Config(_)
            | Self::Key(_)
            | Self::Passphrase(_)
            | Self::Root(_)
            | Self::Spec(_)
            | Self::Create(_)
            | Self::Bundle(_)
            | Self::Write(_)
            | Self::Folder { .. }
            | Self::WrongRole { .. }
            | Self::Output(_) => None,
        }
    }

    /// The error and each of its causes, outermost first.
    #[must_use]
    pub fn chain(&self) -> Vec<String> {
        causes(self)
    }
}

/// An error and each of its causes, outermost first.
#[must_use]
pub fn causes(error: &(dyn StdError + 'static)) -> Vec<String> {
    // A TOML error ends in a line break.
    std::iter::successors(Some(error), |&error| error.source())
        .map(|error| error.to_string().trim_end().to_owned())
        .collect()
}

const fn after_format(error: &FormatError) -> Option<&'static str> {
    match error {
        FormatError::Truncated { .. } | FormatError::Trailing { .. } => Some(COPY_AGAIN),
        FormatError::Version { .. } => Some("use the noflake release that made the bundle"),
        FormatError::Magic
        | FormatError::Reserved { .. }
        | FormatError::EnvelopeLength { .. }
        | FormatError::Overflow
        | FormatError::PlanLength { .. }
        | FormatError::AttachmentCount { .. }
        | FormatError::AttachmentLength { .. } => None,
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
        | KeyError::Format { .. }
        | KeyError::WrongPassphrase { .. }
        | KeyError::Public { .. } => Exit::Usage,
        KeyError::Random(_) | KeyError::Encrypt(_) => Exit::Bench,
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
    }
}

fn of_root(error: &RootError) -> Exit {
    match error {
        RootError::Read { source, .. } => of_system(source),
        RootError::TooLong { .. }
        | RootError::Trust { .. }
        | RootError::TooManyKeys { .. }
        | RootError::WeakKey
        | RootError::Rule(_)
        | RootError::Unmet(_) => Exit::Usage,
        RootError::Encode(_) | RootError::Seal(_) => Exit::Bench,
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
        CreateError::Changed { .. } | CreateError::Seal(_) => Exit::Bench,
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

fn of_record(error: &RecordError) -> Exit {
    match error {
        RecordError::Io { source, .. } => of_system(source),
        _ => Exit::Usage,
    }
}

#[cfg(feature = "sim")]
const fn of_sim(error: &hw_sim::ServeError) -> Exit {
    match error {
        hw_sim::ServeError::Scenario(_) | hw_sim::ServeError::Ports { .. } => Exit::Usage,
        _ => Exit::Bench,
    }
}

fn of_device(error: &DeviceError) -> Exit {
    match error {
        DeviceError::Refused(_) => Exit::Refused,
        DeviceError::NotReached { source, .. } => of_device(source),
        DeviceError::Driver(DriverError::Transfer(TransferError::Refused(_))) => Exit::Refused,
        DeviceError::Driver(_) | DeviceError::OutOfTurn(_) | DeviceError::Held(_) => Exit::Bench,
    }
}

const fn after_device(error: &DeviceError) -> Option<&'static str> {
    match error {
        DeviceError::Refused(Refusal::NotEnrolled) => Some("noflake device enroll"),
        DeviceError::Refused(Refusal::AlreadyEnrolled) => {
            Some("use the root record that the device was enrolled with")
        }
        DeviceError::Refused(Refusal::ProtocolVersion { .. } | Refusal::Unknown { .. }) => {
            Some("use the noflake release that fits the device's firmware")
        }
        DeviceError::Held(_) => Some("wait for the other host, or add --take-over"),
        DeviceError::Driver(DriverError::Link(LinkError::PortHeld { .. })) => {
            Some("end the program that holds the port, then run the same command again")
        }
        DeviceError::Driver(DriverError::Link(LinkError::NoPort { .. })) => {
            Some("name one of these ports, or plug the adapter in")
        }
        DeviceError::Driver(_) | DeviceError::NotReached { .. } | DeviceError::OutOfTurn(_) => {
            Some("check cable, port, baud rate and power, then run the same command again")
        }
        DeviceError::Refused(_) => Some("noflake device status --explain"),
    }
}

const COPY_AGAIN: &str = "copy the bundle again, then noflake bundle verify";

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
    fn a_chain_says_each_thing_once() {
        let source = io::Error::other("disk gone");
        let error = CommandError::from(BundleError::Read { path: "x.nfb".into(), source });
        assert_eq!(error.chain(), ["failed to read bundle x.nfb", "disk gone"]);
    }
}
