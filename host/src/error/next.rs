//! The next safe command behind every failure (promise P12).

use super::CommandError;
use crate::bundle::{BundleError, CreateError, FormatError, SpecError};
use crate::trust::{KeyError, WriteError};

impl CommandError {
    /// What to do next, if there is something to say.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        if let Self::Key(KeyError::Exposed { path, .. }) = self {
            return Some(format!("if nobody copied it: chmod 600 {}", path.display()));
        }
        #[cfg(feature = "sim")]
        if let Self::Sim(error) = self {
            return error.next();
        }
        self.next_fixed().map(str::to_owned)
    }

    fn next_fixed(&self) -> Option<&'static str> {
        match self {
            Self::AlreadyInitialised { .. } => {
                Some("noflake bundle create there, or noflake init in another folder")
            }
            Self::NotEmpty { .. } => Some("name a new folder"),
            Self::NamedTwice { .. } => Some("name each device once"),
            Self::NotNamed { what: "device", .. } => {
                Some("add -d ADDRESS, or fill `devices` in noflake.toml")
            }
            Self::NotNamed { .. } => Some("noflake init, or name it with its flag"),
            Self::Problems { .. } | Self::Bundle(BundleError::Trust { .. }) => {
                Some("noflake bundle show, to see who signed; do not deploy it")
            }
            Self::Bundle(BundleError::Format { source, .. }) => Some(after_format(source)),
            Self::Bundle(
                BundleError::Damaged { .. }
                | BundleError::Envelope { .. }
                | BundleError::Manifest { .. }
                | BundleError::PlanText { .. },
            ) => Some(COPY_AGAIN),
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
            Self::Device { source, .. } => Some(source.next()),
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
}

const fn after_format(error: &FormatError) -> &'static str {
    match error {
        FormatError::Magic => "name a bundle, as noflake bundle create makes it",
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

const COPY_AGAIN: &str = "copy the bundle again, then noflake bundle verify";
