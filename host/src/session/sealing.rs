//! The sealed link of a session: the handshake that makes it, and what travels on it (PROTOCOL.md, "Sealed links").

use firmware_protocol::delegation::Actions;
use firmware_protocol::frame::{Header, Kind};
use firmware_protocol::message::{self, FromDevice, Reply};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::{
    Answered, Channel, FIRST, FIRST_BYTES, Initiator, LinkKey, LinkSecret, SECOND, TAG_BYTES,
    THIRD, THIRD_OVERHEAD_BYTES,
};

/// Wait before the first message is sent again, in microseconds.
const RETRY_US: u64 = 300_000;
/// Time that the device has for its word behind the third message, in microseconds: as long as it takes that message.
const LINKED_US: u64 = 2_000_000;

/// What a host shows on a sealed link.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Its key.
    pub secret: LinkSecret,
    /// Its delegation, or nothing.
    pub delegation: Vec<u8>,
    /// Keys of the devices that it speaks with; `None` for whoever answers. Nothing is shown to any other.
    pub devices: Option<Vec<LinkKey>>,
    /// Keys of the devices among them that are shown the delegation; `None` for all.
    pub shown_to: Option<Vec<LinkKey>>,
}

/// What a handshake has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linked {
    /// The device's key: it has proven to hold the secret half.
    pub device: LinkKey,
    /// What it lets this host do.
    pub actions: Actions,
}

/// Why a handshake came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRefused {
    /// The device says so.
    Device(Refusal),
    /// What answers proves a key that is none of a known device, and nothing else has answered.
    Stranger(LinkKey),
}

/// How far it is.
#[derive(Debug, Default)]
pub(super) enum Sealing {
    /// Nothing is sealed.
    #[default]
    Plain,
    /// The first message is on its way.
    First {
        initiator: Box<Initiator>,
        payload: Vec<u8>,
        delegation: Vec<u8>,
        devices: Option<Vec<LinkKey>>,
        shown_to: Option<Vec<LinkKey>>,
        /// What has answered that is not known.
        stranger: Option<LinkKey>,
        retry_us: u64,
        until_us: u64,
    },
    /// The third message is on its way.
    Third { channel: Box<Channel>, device: LinkKey, until_us: u64 },
    /// Everything is sealed.
    Sealed(Box<Channel>),
    /// It came to nothing.
    Over,
}

/// What a frame, or time, comes to.
pub(super) enum Outcome {
    /// Nothing yet.
    Nothing,
    /// This has to be said, in a frame of kind handshake.
    Say(Vec<u8>),
    /// The handshake is over.
    Ended(Result<Linked, LinkRefused>),
    /// Nobody has answered.
    Silence,
    /// A message for the session.
    Message(Vec<u8>),
    /// Not a frame that belongs here.
    Foreign,
}

impl Sealing {
    /// Begins a handshake; gives its first message.
    pub(super) fn begin(
        &mut self,
        now_us: u64,
        silence_us: u64,
        shown: &Credentials,
        fresh: &LinkSecret,
    ) -> Option<Vec<u8>> {
        // Whatever comes of it: nothing travels in the open from here on.
        *self = Self::Over;
        let mut payload = vec![FIRST; 1 + FIRST_BYTES];
        let (initiator, _) = Initiator::begin(&shown.secret, fresh, payload.get_mut(1..)?)?;
        *self = Self::First {
            initiator: Box::new(initiator),
            payload: payload.clone(),
            delegation: shown.delegation.clone(),
            devices: shown.devices.clone(),
            shown_to: shown.shown_to.clone(),
            stranger: None,
            retry_us: now_us.saturating_add(RETRY_US),
            until_us: now_us.saturating_add(silence_us),
        };
        Some(payload)
    }

    /// Takes a frame that has arrived.
    pub(super) fn hear(&mut self, now_us: u64, header: Header, mut payload: Vec<u8>) -> Outcome {
        match (std::mem::take(self), header.kind) {
            (Self::Plain, Kind::Message) => Outcome::Message(payload),
            (Self::Sealed(mut channel), Kind::SealedMessage) => {
                let opened = channel.open(header, &mut payload).map(|(_, text)| text.to_vec());
                *self = Self::Sealed(channel);
                opened.map_or(Outcome::Foreign, Outcome::Message)
            }
            (first @ Self::First { .. }, kind) => {
                *self = first;
                self.hear_second(now_us, kind, &payload)
            }
            (Self::Third { mut channel, device, until_us }, Kind::SealedMessage) => {
                let word = channel.open(header, &mut payload).and_then(|(_, text)| link_word(text));
                match word {
                    Some(Ok(actions)) => {
                        *self = Self::Sealed(channel);
                        Outcome::Ended(Ok(Linked { device, actions }))
                    }
                    Some(Err(refusal)) => {
                        *self = Self::Over;
                        Outcome::Ended(Err(LinkRefused::Device(refusal)))
                    }
                    None => {
                        *self = Self::Third { channel, device, until_us };
                        Outcome::Foreign
                    }
                }
            }
            (as_before, _) => {
                *self = as_before;
                Outcome::Foreign
            }
        }
    }

    /// Takes what may be the second message.
    fn hear_second(&mut self, now_us: u64, kind: Kind, payload: &[u8]) -> Outcome {
        let Self::First { initiator, delegation, devices, shown_to, stranger, .. } = self else {
            return Outcome::Foreign;
        };
        if kind == Kind::Message {
            // Not authenticated: only what a device says that cannot shake hands, and worth no more than this attempt.
            let word = link_word(payload);
            let (Some(Err(refusal @ (Refusal::NoIdentity | Refusal::NoRandom))), None) =
                (word, *stranger)
            else {
                return Outcome::Foreign;
            };
            *self = Self::Over;
            return Outcome::Ended(Err(LinkRefused::Device(refusal)));
        }
        let (Kind::Handshake, Some((&SECOND, second))) = (kind, payload.split_first()) else {
            return Outcome::Foreign;
        };
        let Some(answered) = initiator.hear(second) else { return Outcome::Foreign };
        let device = answered.peer;
        let is_among =
            |keys: &Option<Vec<LinkKey>>| keys.as_ref().is_none_or(|keys| keys.contains(&device));
        // Somebody else may answer faster than the device that is meant: that one is waited for.
        if !is_among(devices) {
            *stranger = Some(device);
            return Outcome::Foreign;
        }
        let delegation = if is_among(shown_to) { delegation.as_slice() } else { &[] };
        let Some((said, channel)) = third(answered, delegation) else { return Outcome::Foreign };
        *self = Self::Third { channel, device, until_us: now_us.saturating_add(LINKED_US) };
        Outcome::Say(said)
    }

    /// When [`Sealing::handle_timeout`] is due.
    pub(super) fn deadline_us(&self) -> Option<u64> {
        match self {
            Self::First { retry_us, until_us, .. } => Some(*retry_us.min(until_us)),
            Self::Third { until_us, .. } => Some(*until_us),
            Self::Plain | Self::Sealed(_) | Self::Over => None,
        }
    }

    /// Says the first message again, or gives up, when it is time.
    pub(super) fn handle_timeout(&mut self, now_us: u64) -> Outcome {
        match self {
            Self::First { until_us, stranger, .. } if *until_us <= now_us => {
                let stranger = *stranger;
                *self = Self::Over;
                stranger
                    .map_or(Outcome::Silence, |key| Outcome::Ended(Err(LinkRefused::Stranger(key))))
            }
            Self::Third { until_us, .. } if *until_us <= now_us => {
                *self = Self::Over;
                Outcome::Silence
            }
            Self::First { payload, retry_us, .. } if *retry_us <= now_us => {
                *retry_us = now_us.saturating_add(RETRY_US);
                Outcome::Say(payload.clone())
            }
            Self::Plain
            | Self::First { .. }
            | Self::Third { .. }
            | Self::Sealed(_)
            | Self::Over => Outcome::Nothing,
        }
    }

    /// Bytes that sealing adds to a frame.
    pub(super) const fn overhead_bytes(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::First { .. } | Self::Third { .. } | Self::Sealed(_) | Self::Over => TAG_BYTES,
        }
    }

    /// What goes out in the place of a frame: sealed where the link is, as it is where none was asked for, and else
    /// nothing.
    pub(super) fn seal(&mut self, header: Header, payload: &[u8]) -> Option<(Header, Vec<u8>)> {
        match self {
            Self::Plain => Some((header, payload.to_vec())),
            Self::Sealed(channel) => {
                let mut buffer = [payload, &[0; TAG_BYTES]].concat();
                let (header, _) = channel.seal(header.kind, &mut buffer, payload.len())?;
                Some((header, buffer))
            }
            Self::First { .. } | Self::Third { .. } | Self::Over => None,
        }
    }
}

fn third(answered: Answered, delegation: &[u8]) -> Option<(Vec<u8>, Box<Channel>)> {
    let mut said = vec![THIRD; delegation.len().saturating_add(1 + THIRD_OVERHEAD_BYTES)];
    let joined = answered.join(delegation, said.get_mut(1..)?)?;
    Some((said, Box::new(joined.channel)))
}

/// A device's word about a link: what it allows, or why not.
fn link_word(text: &[u8]) -> Option<Result<Actions, Refusal>> {
    match message::decode(text)? {
        FromDevice::Reply { id: 0, reply: Ok(Reply::Linked { actions }) } => Some(Ok(actions)),
        FromDevice::Reply { id: 0, reply: Err(refusal) } => Some(Err(refusal)),
        FromDevice::Reply { .. } | FromDevice::Ack(_) | FromDevice::Console(_) => None,
    }
}

#[cfg(test)]
mod tests;
