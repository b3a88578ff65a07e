//! Who this host is on sealed links: its key, the delegation beside it, and the devices it knows.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use firmware_protocol::sealed::LinkKey;

use super::PassphraseArgs;
use super::clock::now_s;
use crate::bench::{HostIdentity, Meets, Shows};
use crate::causes::sentence;
use crate::cli::Context;
use crate::error::CommandError;
use crate::session::Credentials;
use crate::trust::{DelegationError, KnownDevices, LockedKey, delegated, read_delegation};

/// The key by which this host proves who it is.
#[derive(Debug, clap::Args)]
pub(super) struct HostKeyArgs {
    /// Key of this host, for sealed links; its delegation is the .nfd file beside it, and shown by what needs it
    /// [default: `trust.host_key` of noflake.toml; without either the link stays plain]
    #[arg(long = "as", value_name = "KEY")]
    key: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl HostKeyArgs {
    /// The key, where the command line names it.
    pub(super) fn named(&self) -> Option<&Path> {
        self.key.as_deref()
    }

    /// Where passphrases come from.
    pub(super) const fn passphrase(&self) -> PassphraseArgs {
        self.passphrase
    }

    /// Who this host is, if a key is named.
    ///
    /// # Errors
    /// When a file cannot be used; where the delegation is needed, also when that cannot be shown.
    pub(super) fn identity(
        &self,
        (meets, shows): (Meets, Shows),
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
        let (delegation, unshown) = match delegation_for(&key, secret.public()) {
            Ok(delegation) => (delegation, None),
            // What is not shown need not be in order.
            Err(_) if shows == Shows::KeptBack => (Vec::new(), None),
            Err(DelegationError::Read { path, source }) if source.kind() == ErrorKind::NotFound => {
                let unshown = format!("{} is not there: the key is shown alone", path.display());
                if meets == Meets::Known {
                    context.output.progress(&unshown);
                }
                (Vec::new(), Some(unshown))
            }
            Err(error) if shows == Shows::Needed => return Err(error.into()),
            Err(error) => {
                let unshown = sentence(&error);
                // Or it is told of with everything else that stands in the way.
                if meets != Meets::Everybody {
                    context.output.progress(&format_args!("{unshown}; goes on without it"));
                }
                (Vec::new(), Some(unshown))
            }
        };
        let credentials = Credentials { secret, delegation, devices: None, shown_to: None };
        Ok(Some(HostIdentity { credentials, known, meets, shows, unshown, refused: None }))
    }
}

/// The delegation beside a host's key, if it is for that key, not over, and not of a time that is yet to come.
fn delegation_for(key: &Path, public: LinkKey) -> Result<Vec<u8>, DelegationError> {
    let path = key.with_extension("nfd");
    let delegation = read_delegation(&path)?;
    let (host, made_at_s, not_after_s) = {
        let claims = delegated(&delegation)?;
        (claims.host, claims.made_at_s, claims.not_after_s)
    };
    if host != public {
        return Err(DelegationError::OtherHost { path });
    }
    let now_s = now_s();
    if not_after_s < now_s {
        return Err(DelegationError::Over { path, not_after_s, now_s });
    }
    // A device keeps the time at which it was made: one that is wrong would end what others were given.
    if made_at_s > now_s.saturating_add(CLOCKS_DIFFER_S) {
        return Err(DelegationError::Ahead { path, made_at_s, now_s });
    }
    Ok(delegation)
}

/// Clocks of honest machines differ by no more than this, in seconds.
const CLOCKS_DIFFER_S: u64 = 86_400;

/// The devices that the host of this key knows.
fn known_path(key: &Path) -> PathBuf {
    key.with_file_name("known-devices.toml")
}
