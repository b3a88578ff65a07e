//! Who this host is on sealed links: its key, the delegation beside it, and the devices it knows.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use firmware_protocol::sealed::LinkKey;

use super::PassphraseArgs;
use super::clock::now_s;
use crate::bench::{HostIdentity, Meets};
use crate::causes::sentence;
use crate::cli::Context;
use crate::error::CommandError;
use crate::session::Credentials;
use crate::trust::{DelegationError, KnownDevices, LockedKey, delegated, read_delegation};

/// The key by which this host proves who it is.
#[derive(Debug, clap::Args)]
pub(super) struct HostKeyArgs {
    /// Key of this host, for sealed links; its delegation is the .nfd file beside it [default: `trust.host_key` of
    /// noflake.toml; without either the link stays plain]
    #[arg(long = "as", value_name = "KEY")]
    key: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl HostKeyArgs {
    /// Where passphrases come from.
    pub(super) const fn passphrase(&self) -> PassphraseArgs {
        self.passphrase
    }

    /// Who this host is, if a key is named.
    ///
    /// # Errors
    /// When a file cannot be used, or the delegation is not for this key or over.
    pub(super) fn identity(
        &self,
        meets: Meets,
        context: &Context,
    ) -> Result<Option<HostIdentity>, CommandError> {
        let key = match &self.key {
            Some(key) => Some(key.clone()),
            None => context.config()?.trust.host_key,
        };
        let Some(key) = key else { return Ok(None) };
        let locked = LockedKey::read(&key)?;
        let known = KnownDevices::read(&known_path(&key))?;
        let passphrase = self.passphrase.source().read(&key.display().to_string())?;
        let secret = locked.unlock_host(&passphrase)?;
        let (delegation, unshown) = match (delegation_for(&key, secret.public()), meets) {
            (Ok(delegation), _) => (delegation, None),
            // Told of with everything else that stands in the way.
            (Err(error), Meets::Everybody) => (Vec::new(), Some(sentence(&error))),
            (Err(DelegationError::Read { path, source }), _)
                if source.kind() == ErrorKind::NotFound =>
            {
                let unshown = format!("{} is not there: the key is shown alone", path.display());
                (Vec::new(), Some(unshown))
            }
            (Err(error), Meets::Known | Meets::Strangers) => return Err(error.into()),
        };
        if let (Some(unshown), Meets::Known) = (&unshown, meets) {
            context.output.progress(unshown);
        }
        let credentials = Credentials { secret, delegation, devices: None };
        Ok(Some(HostIdentity { credentials, known, meets, unshown }))
    }
}

/// The delegation beside a host's key, if it is for that key and not over.
fn delegation_for(key: &Path, public: LinkKey) -> Result<Vec<u8>, DelegationError> {
    let path = key.with_extension("nfd");
    let delegation = read_delegation(&path)?;
    let (host, not_after_s) = {
        let claims = delegated(&delegation)?;
        (claims.host, claims.not_after_s)
    };
    if host != public {
        return Err(DelegationError::OtherHost { path });
    }
    let now_s = now_s();
    if not_after_s < now_s {
        return Err(DelegationError::Over { path, not_after_s, now_s });
    }
    Ok(delegation)
}

/// The devices that the host of this key knows.
fn known_path(key: &Path) -> PathBuf {
    key.with_file_name("known-devices.toml")
}
