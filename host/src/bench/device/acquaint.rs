//! Sealed links to a device: who this host is, and whether the device is the one that it says it is.

use firmware_protocol::delegation::{Action, Actions};
use firmware_protocol::message::Request;
use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::{LinkKey, LinkSecret};

use super::{Device, DeviceError, identity};
use crate::session::{Credentials, LinkRefused, Linked, Patience};
use crate::trust::{Acquaintance, KnownDevices};

/// Patience with a device that has to be found for a sealed link, in microseconds.
const LINK_US: u64 = 2_000_000;

/// Who this host is, and which devices it knows.
#[derive(Debug, Clone)]
pub struct HostIdentity {
    /// What it shows.
    pub credentials: Credentials,
    /// The devices that it knows by their keys.
    pub known: KnownDevices,
    /// Whom it speaks with.
    pub meets: Meets,
    /// What it does with its delegation.
    pub shows: Shows,
    /// Why it shows no delegation, where it has none that could be shown.
    pub unshown: Option<String>,
}

/// Whom a host speaks with on a sealed link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meets {
    /// Devices that it knows.
    Known,
    /// Those, and devices that it meets for the first time: to get to know them.
    Strangers,
    /// Whoever answers, impostors too: to tell of them, and to do nothing.
    Everybody,
}

/// What a host does with its delegation. Whatever that is, it is shown only to what proves the key of a device that the host
/// knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// It is shown, and nothing is done without it.
    Needed,
    /// It is shown, and where the device refuses it the host goes on without it.
    Wanted,
    /// It is not shown: looking takes none. Only a device that has no place for a host without one is shown it, as where it
    /// is wanted.
    KeptBack,
}

impl Device {
    /// The key that the device has proven to have; `None` on a plain link.
    #[must_use]
    pub const fn proven(&self) -> Option<LinkKey> {
        match self.linked {
            Some(Linked { device, .. }) => Some(device),
            None => None,
        }
    }

    /// What the device lets this host do; `None` on a plain link.
    #[must_use]
    pub const fn granted(&self) -> Option<Actions> {
        match self.linked {
            Some(Linked { actions, .. }) => Some(actions),
            None => None,
        }
    }

    /// Keeps the key that the device has proven as the one that it is known by, under the serial number that it gave then.
    ///
    /// # Errors
    /// When the number is known by another key, or that cannot be written.
    pub fn keep_known(&mut self) -> Result<(), DeviceError> {
        match (&mut self.opening.host, &self.met) {
            (Some(host), Some((serial, key))) => Ok(host.known.keep(serial, key)?),
            _ => Ok(()),
        }
    }

    /// Whether this host may do all of these in the session that is open.
    ///
    /// # Errors
    /// The refusal that the first one would meet.
    pub fn may(&self, actions: impl IntoIterator<Item = Action>) -> Result<(), DeviceError> {
        let missing = actions.into_iter().find(|action| !self.actions.allow(*action));
        match missing {
            None => Ok(()),
            Some(_) if self.actions == Actions::NONE => {
                Err(DeviceError::Refused(Refusal::NotAuthenticated))
            }
            Some(action) => Err(DeviceError::Refused(Refusal::NotDelegated { action })),
        }
    }

    /// Makes a sealed link where this host has a key for it.
    pub(super) async fn make_link(&mut self) -> Result<(), DeviceError> {
        self.linked = None;
        let Some(host) = &self.opening.host else { return Ok(()) };
        let mut shown = host.credentials.clone();
        // Within one run it stays the same device, whoever else is known.
        shown.devices = match (&self.met, host.meets) {
            (Some((_, key)), Meets::Known | Meets::Strangers) => Some(vec![*key]),
            (None, Meets::Known) => Some(host.known.keys().collect()),
            (None, Meets::Strangers) | (_, Meets::Everybody) => None,
        };
        shown.shown_to = match host.shows {
            Shows::Needed | Shows::Wanted => Some(host.known.keys().collect()),
            Shows::KeptBack => Some(Vec::new()),
        };
        if Defence::KnownDevices.is_off() {
            shown.devices = None;
            shown.shown_to = None;
        }
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(DeviceError::Random)?;
        let patience = self.patience();
        let driver = self.driver()?;
        driver.set_patience(Patience { silence_us: LINK_US, ..patience });
        let linked = Box::pin(driver.link(&shown, &LinkSecret::new(fresh))).await;
        driver.set_patience(patience);
        self.note_failure(linked.as_ref().err());
        self.is_torn = linked.is_err();
        self.linked = Some(linked?.map_err(|refused| match refused {
            LinkRefused::Device(refusal) if is_about_delegation(refusal) => {
                DeviceError::DelegationRefused(refusal)
            }
            LinkRefused::Device(refusal) => DeviceError::Refused(refusal),
            LinkRefused::Stranger(identity) => DeviceError::Stranger { serial: None, identity },
        })?);
        self.note_unshown();
        Ok(())
    }

    /// A device of the field that the host does not know was not shown its delegation, and lets it do nothing.
    fn note_unshown(&mut self) {
        let Some(Linked { device, actions: Actions::NONE }) = self.linked else { return };
        let Some(host) = &mut self.opening.host else { return };
        let has_one = !host.credentials.delegation.is_empty() && host.shows != Shows::KeptBack;
        if has_one && !host.known.keys().any(|known| known == device) {
            host.unshown = Some("its delegation is shown to devices that it knows only".to_owned());
        }
    }

    /// Whether the next attempt does something else with the delegation than the one that ended so, and may come to more.
    pub(super) fn shows_otherwise(&mut self, error: &DeviceError) -> bool {
        let Some(host) = &mut self.opening.host else { return false };
        match (error, host.shows) {
            (DeviceError::DelegationRefused(_), Shows::Wanted) => {
                host.credentials.delegation.clear();
                host.unshown = Some(error.to_string());
                true
            }
            // Hosts that may do something have all its links, and it would give none of them to one that may do nothing.
            (DeviceError::Refused(Refusal::NotAuthenticated), Shows::KeptBack) => {
                host.shows = Shows::Wanted;
                !host.credentials.delegation.is_empty()
            }
            _ => false,
        }
    }

    /// Names a stranger by the serial number that it gives in the open: under a known one it is an impostor.
    pub(super) async fn named(&mut self, error: DeviceError) -> DeviceError {
        let DeviceError::Stranger { serial: None, identity } = error else { return error };
        match (self.serial_in_the_open().await, &self.opening.host) {
            (Ok(serial), Some(host)) => unlike(host, serial, identity),
            (Ok(_) | Err(_), _) => error,
        }
    }

    /// Asks the device who it is, and holds that against the key that it has proven, and against what it was before.
    pub(super) async fn meet(&mut self) -> Result<(), DeviceError> {
        let (Some(linked), Some(_)) = (self.linked, &self.opening.host) else { return Ok(()) };
        let answer = self.ask(Request::Identify).await?;
        let serial = identity(&answer)?.serial.to_owned();
        let Some(host) = &self.opening.host else { return Ok(()) };
        match (host.known.meet(&serial, &linked.device), host.meets) {
            _ if Defence::KnownDevices.is_off() => {}
            (Acquaintance::Known, _)
            | (Acquaintance::Unknown, Meets::Strangers)
            | (_, Meets::Everybody) => {}
            (Acquaintance::Unknown, Meets::Known) => {
                return Err(DeviceError::Stranger {
                    serial: Some(serial),
                    identity: linked.device,
                });
            }
            (Acquaintance::Other(known), _) => {
                return Err(DeviceError::Impostor { serial, identity: linked.device, known });
            }
        }
        self.met = Some((serial, linked.device));
        Ok(())
    }

    /// Whether the device still gives the serial number that its key was held against. Under another one it is an impostor
    /// or a stranger, whatever it was before.
    pub(super) fn is_as_met(&self, serial: &str) -> Result<(), DeviceError> {
        let (Some((met, identity)), Some(host)) = (&self.met, &self.opening.host) else {
            return Ok(());
        };
        if met == serial {
            return Ok(());
        }
        Err(unlike(host, serial.to_owned(), *identity))
    }
}

/// What is wrong with a device that gives this serial number and proves this key, which is not the one that is meant.
fn unlike(host: &HostIdentity, serial: String, identity: LinkKey) -> DeviceError {
    match host.known.meet(&serial, &identity) {
        Acquaintance::Other(known) => DeviceError::Impostor { serial, identity, known },
        Acquaintance::Known | Acquaintance::Unknown => {
            DeviceError::Stranger { serial: Some(serial), identity }
        }
    }
}

/// What a device says in a handshake of the delegation that it was shown; of a bundle the same words mean something else.
const fn is_about_delegation(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Malformed
            | Refusal::UntrustedSignature { .. }
            | Refusal::BelowEpoch { .. }
            | Refusal::DelegationProduct
            | Refusal::DelegationHost
            | Refusal::DelegationDevice
            | Refusal::DelegationOver { .. }
    )
}
