//! What a device says, as far as it matters to a host that brings it somewhere.

use firmware_protocol::message::{FromDevice, Reply, Status};
use firmware_protocol::refusal::Refusal;

/// What a device said.
pub(super) enum Said {
    /// The answer to a request.
    Reply(u32, Result<Heard, Refusal>),
    /// Anything else.
    Other,
}

impl Said {
    pub(super) fn of(message: FromDevice<'_>) -> Self {
        match message {
            FromDevice::Reply { id, reply } => Self::Reply(id, reply.map(heard)),
            FromDevice::Ack(_) | FromDevice::Console(_) => Self::Other,
        }
    }
}

/// A reply, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// To a hello: this boot's nonce.
    Hello(u64),
    /// Version of the root record in force.
    Identity(u32),
    /// The state.
    Status(Box<Status>),
    /// The session's number.
    Session(u32),
    /// It is done.
    Done,
    /// A component is open whose area may hold blocks worth keeping.
    WorthListing,
    /// How many blocks are missing, and which.
    Missing(u32, Vec<u8>),
    /// Bytes of a document that are held.
    Offered,
    /// The trial's number.
    Trial(u32),
    /// Everything else.
    Other(String),
}

fn heard(reply: Reply<'_>) -> Heard {
    match reply {
        Reply::Hello { boot_nonce, .. } => Heard::Hello(boot_nonce),
        Reply::Identity(identity) => Heard::Identity(identity.root_version),
        Reply::Status(status) => Heard::Status(Box::new(status)),
        Reply::Session { session, .. } => Heard::Session(session),
        Reply::Component { worth_listing: true, .. } => Heard::WorthListing,
        Reply::Done(_)
        | Reply::Stage { .. }
        | Reply::Component { .. }
        | Reply::Listed { .. }
        | Reply::Staged { .. } => Heard::Done,
        Reply::Missing { missing, bits, .. } => Heard::Missing(missing, bits.to_vec()),
        Reply::Offered { .. } => Heard::Offered,
        Reply::Trial { trial_id, .. } => Heard::Trial(trial_id),
        other => Heard::Other(format!("{other:?}")),
    }
}
