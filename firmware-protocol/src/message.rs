//! Messages (PROTOCOL.md, "Messages").
//!
//! Version rule: a sender never uses more than both sides negotiated in `Hello`. Enums are append
//! only; a request that does not decode is answered with [`Refusal::Unknown`]. The bytes of every
//! message are pinned by `tests/wire_golden.rs`.
//!
//! Every request carries an id and may be sent again: the device answers the same question twice,
//! and does the same thing once.

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

use crate::boot::{BootRow, ResetCause, Start};
use crate::digest::Digest;
use crate::flash::{MAX_COMPONENTS, Name};
use crate::manifest::LifeCycle;
use crate::refusal::Refusal;
use crate::slot::{PerSlot, SlotId, SlotState};
use crate::version::Version;

/// Oldest protocol version that this code speaks.
pub const PROTOCOL_MIN: u8 = 1;
/// Newest protocol version that this code speaks.
pub const PROTOCOL_CURRENT: u8 = 1;

/// Most payload bytes of one message from a device.
pub const MAX_REPLY_BYTES: usize = 512;
/// Most payload bytes of one message to a device, chunks apart.
pub const MAX_REQUEST_BYTES: usize = 1100;
/// Most bytes of a document or block list in one request.
pub const MAX_PIECE_BYTES: usize = 1024;
/// Blocks that one [`Reply::Missing`] tells of.
pub const MISSING_BLOCKS: u32 = 512;

/// A request with its id and session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToDevice<'a> {
    /// Names the request; the reply repeats it.
    pub id: u32,
    /// The session it is made in; zero where none is needed.
    pub session: u32,
    /// What is asked.
    #[serde(borrow)]
    pub request: Request<'a>,
}

/// What a host asks. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// First word of a connection: the protocol versions the host speaks.
    Hello {
        /// Oldest.
        min: u8,
        /// Newest.
        current: u8,
    },
    /// Who and what are you?
    Identify,
    /// What does the record say, and why do you run what you run?
    Status,
    /// Describe one component area.
    Area {
        /// Which.
        index: u8,
    },
    /// Describe one on-device check.
    Check {
        /// Which.
        index: u8,
    },
    /// Open the one session in which anything can be changed.
    OpenSession {
        /// Take it from its holder, alive or not.
        take_over: bool,
    },
    /// Give the session back.
    CloseSession,
    /// A piece of a signed document, in order.
    Offer {
        /// Length of the whole document, in bytes.
        total_bytes: u32,
        /// Where the piece belongs.
        offset: u32,
        /// The piece.
        bytes: &'a [u8],
    },
    /// Take the offered document as the root record.
    Enroll,
    /// Take the offered document as the manifest of what is to be staged.
    Stage {
        /// Also a bundle that this device rejected before.
        again: bool,
    },
    /// Go on to one component.
    OpenComponent {
        /// Which, by its place in the manifest.
        index: u8,
    },
    /// Digests of the component's blocks, in order: what the slot holds already is kept.
    BlockList {
        /// First block told of.
        first_block: u32,
        /// SHA-256 after SHA-256.
        digests: &'a [u8],
    },
    /// Which blocks are not there yet?
    Missing {
        /// First block asked for.
        first_block: u32,
    },
    /// Everything is sent: read it all back.
    Finish,
    /// Open a trial of the staged bundle.
    OpenTrial {
        /// The staged bundle.
        bundle: Digest,
        /// The plan that will judge it.
        plan: Digest,
        /// Its bounds.
        terms: TrialTerms,
    },
    /// Allow this many boots into the trial slot, in all.
    Arm {
        /// The open trial.
        trial_id: u32,
        /// Boots, at most [`crate::boot::MAX_ARMED`].
        boots: u8,
    },
    /// Reset, if this is still the boot meant.
    Reset {
        /// The boot meant.
        boot_nonce: u64,
    },
    /// Nothing but a sign of life: renews lease and session.
    Renew,
    /// The trial is proven: make it the confirmed version.
    Confirm {
        /// The open trial.
        trial_id: u32,
        /// The boot that was judged.
        boot_nonce: u64,
    },
    /// The trial has failed: give it up and reset into the confirmed version.
    Rollback {
        /// The open trial.
        trial_id: u32,
    },
    /// Run an on-device check and tell what it found.
    RunCheck {
        /// Which.
        index: u8,
    },
    /// Hash what a slot holds of a component.
    HashComponent {
        /// The slot.
        slot: SlotId,
        /// Which component, by its area.
        area: u8,
    },
}

/// Bounds of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialTerms {
    /// Boots in all.
    pub boots: u16,
    /// Crashes, hangs and unexpected resets before the device gives up.
    pub crashes: u8,
    /// Power failures before the device gives up.
    pub power_failures: u8,
    /// Silence after which the device gives up, in milliseconds.
    pub lease_ms: u32,
    /// Longest single boot, in milliseconds.
    pub boot_max_ms: u32,
}

/// What a device says. Append only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromDevice<'a> {
    /// The answer to a request.
    Reply {
        /// The request's id.
        id: u32,
        /// The answer.
        #[serde(borrow)]
        reply: Result<Reply<'a>, Refusal>,
    },
    /// Which of the host's frames have arrived, and how much more the device can take.
    Ack(Ack),
    /// Console text, on links that have no other place for it.
    Console(&'a [u8]),
}

/// Selective acknowledgement (PROTOCOL.md, "Transfer").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Highest frame sequence seen.
    pub highest: u32,
    /// Bit `n`: frame `highest - 1 - n` was taken.
    pub below: u64,
    /// The frame `highest` itself was taken.
    pub taken: bool,
    /// Blocks that the device has room to begin; zero while it is busy.
    pub credit_blocks: u16,
}

/// What a device answers. Append only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// To `Hello`.
    Hello {
        /// Version to be spoken.
        version: u8,
        /// Longest frame the device takes, header included, in bytes.
        max_frame_bytes: u32,
        /// Memory for blocks in flight, in bytes.
        window_bytes: u32,
        /// Random number of this boot.
        boot_nonce: u64,
    },
    /// To `Identify`.
    Identity(#[serde(borrow)] Identity<'a>),
    /// To `Status`.
    Status(Status),
    /// To `Area`.
    Area(AreaInfo),
    /// To `Check`.
    Check(CheckInfo<'a>),
    /// To `OpenSession`.
    Session {
        /// The session's id, for every request in it.
        session: u32,
        /// It was taken from another holder.
        taken_over: bool,
    },
    /// Done; also to what had been done before.
    Done(How),
    /// To `Offer`: bytes held so far.
    Offered {
        /// Bytes held.
        held_bytes: u32,
    },
    /// To `Stage`.
    Stage {
        /// The slot that receives.
        slot: SlotId,
        /// Fresh, or going on, or found done.
        how: How,
    },
    /// To `OpenComponent`.
    Component {
        /// Number of blocks.
        blocks: u32,
        /// The area may hold blocks worth keeping: send the block list.
        worth_listing: bool,
    },
    /// To `BlockList`.
    Listed {
        /// Blocks told of so far.
        blocks: u32,
    },
    /// To `Missing`.
    Missing {
        /// First block told of.
        first_block: u32,
        /// Blocks missing in the whole component.
        missing: u32,
        /// Bit `n` of byte `n / 8`: block `first_block + n` is missing.
        bits: Vec<u8, 64>,
    },
    /// To `Finish`: the slot was read back and is what the manifest says.
    Staged {
        /// The bundle.
        bundle: Digest,
        /// Done now or found done.
        how: How,
    },
    /// To `OpenTrial` and `Arm`.
    Trial {
        /// The trial.
        trial_id: u32,
        /// Boots armed now.
        armed: u8,
        /// Done now or found done.
        how: How,
    },
    /// To `Renew`.
    Renewed {
        /// Until the lease ends, in milliseconds; zero when no trial runs.
        lease_left_ms: u32,
        /// Until the boot's limit, in milliseconds; zero when no trial runs.
        boot_left_ms: u32,
    },
    /// To `RunCheck`.
    Checked(Reading<'a>),
    /// To `HashComponent`.
    Hash {
        /// SHA-256 over the length that the slot's own manifest gives.
        digest: Digest,
        /// That length, in bytes.
        length: u64,
        /// Everything behind it is erased.
        tail_blank: bool,
    },
    /// The request is being worked on; ask again.
    Working {
        /// Bytes still to be hashed, where that is known; else zero.
        left_bytes: u32,
    },
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// By this request.
    Done,
    /// It had been done before.
    FoundDone,
    /// It goes on from where an earlier attempt had come to.
    Resumed,
}

/// Who and what a device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity<'a> {
    /// Product.
    pub product: &'a str,
    /// Hardware id.
    pub hardware: &'a str,
    /// Hardware revision.
    pub revision: u32,
    /// Serial number.
    pub serial: &'a str,
    /// Life cycle.
    pub life_cycle: LifeCycle,
    /// Version of the root record in force; zero in factory state.
    pub root_version: u32,
    /// What runs.
    pub running: Start,
    /// Bundle that runs, as verified at boot.
    pub bundle: Option<Digest>,
    /// Its version.
    pub version: Option<Version>,
    /// Random number of this boot; zero if the random source failed.
    pub boot_nonce: u64,
    /// Why the device started.
    pub reset_cause: ResetCause,
    /// Trial boots are ended by hardware, not only by the engine.
    pub hardware_deadline: bool,
    /// Number of component areas.
    pub areas: u8,
    /// Number of on-device checks.
    pub checks: u8,
}

/// What the record says, and why the device runs what it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Confirmed slot.
    pub active: Option<SlotId>,
    /// What the slots hold.
    pub slots: PerSlot<SlotState>,
    /// The open trial.
    pub trial: Option<TrialStatus>,
    /// Lowest security version admitted.
    pub accept_floor: u64,
    /// Row of the boot decision that applied.
    pub row: BootRow,
    /// Crashes the confirmed image has left.
    pub crash_left: u8,
    /// Since start, in milliseconds.
    pub uptime_ms: u64,
    /// What the device's own side of the link has counted since start.
    pub link: LinkCounters,
    /// Boot record entries ever written.
    pub record_entries: u32,
    /// Flash blocks erased since start.
    pub erases: u32,
}

/// An open trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialStatus {
    /// Its slot.
    pub slot: SlotId,
    /// Its id.
    pub trial_id: u32,
    /// Digest of the plan that judges it.
    pub plan: Digest,
    /// Boots armed.
    pub armed: u8,
    /// Crashes left.
    pub crash_left: u8,
    /// Power failures left.
    pub power_left: u8,
    /// Boots left.
    pub boots_left: u16,
    /// The trial image is the one running.
    pub running: bool,
}

/// What a device counts on its side of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LinkCounters {
    /// Frames that arrived whole.
    pub frames: u32,
    /// Component bytes that arrived in chunks, repeated ones included.
    pub payload_bytes: u64,
    /// Component bytes that had arrived before.
    pub repeated_bytes: u64,
}

/// One component area, as large as it is in the smaller slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaInfo {
    /// Component name.
    pub name: Name,
    /// Size in each slot, in bytes.
    pub bytes: PerSlot<u32>,
}

/// One on-device check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it gives.
    pub gives: CheckGives<'a>,
}

/// What an on-device check gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckGives<'a> {
    /// A value in this unit.
    Value {
        /// Unit symbol.
        unit: &'a str,
    },
    /// A status.
    Status,
}

/// What an on-device check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reading<'a> {
    /// `mantissa` times ten to the `exponent`, in `unit`: exact, and without floating point.
    Value {
        /// Digits.
        mantissa: i64,
        /// Power of ten.
        exponent: i8,
        /// Unit symbol.
        unit: &'a str,
    },
    /// A status with a word of explanation.
    Status {
        /// The status.
        status: CheckStatus,
        /// Explanation, possibly empty.
        detail: String<48>,
    },
}

/// Status of an on-device check. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// Not as it should be, and usable.
    Warn,
    /// Not as it should be.
    Fail,
    /// The check itself did not work.
    Error,
    /// The value is too old to be judged.
    Stale,
}

/// A piece of a component, in a frame of its own kind: fixed layout, because it is most of what
/// travels and is copied once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The session it is sent in.
    pub session: u32,
    /// Which component, by its place in the manifest.
    pub component: u8,
    /// Where its first byte belongs in the component.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Bytes of a chunk before its data.
pub const CHUNK_HEAD_BYTES: usize = 13;

impl<'a> Chunk<'a> {
    /// The bytes that stand before the data.
    #[must_use]
    pub const fn head(&self) -> [u8; CHUNK_HEAD_BYTES] {
        let [s0, s1, s2, s3] = self.session.to_le_bytes();
        let [o0, o1, o2, o3, o4, o5, o6, o7] = self.offset.to_le_bytes();
        [s0, s1, s2, s3, self.component, o0, o1, o2, o3, o4, o5, o6, o7]
    }

    /// Takes a chunk frame's payload apart.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (head, bytes) = payload.split_first_chunk::<CHUNK_HEAD_BYTES>()?;
        let &[s0, s1, s2, s3, component, o0, o1, o2, o3, o4, o5, o6, o7] = head;
        Some(Self {
            session: u32::from_le_bytes([s0, s1, s2, s3]),
            component,
            offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            bytes,
        })
    }
}

/// Decodes a message; `None` unless the bytes are one whole message and nothing else.
#[must_use]
pub fn decode<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Option<T> {
    let (message, rest) = postcard::take_from_bytes(payload).ok()?;
    rest.is_empty().then_some(message)
}

/// The id of a request whose rest this code may not know.
#[must_use]
pub fn request_id(payload: &[u8]) -> Option<u32> {
    postcard::take_from_bytes(payload).ok().map(|(id, _)| id)
}

/// Encodes a message into `out`; `None` when it does not fit.
pub fn encode<'o, T: Serialize>(message: &T, out: &'o mut [u8]) -> Option<&'o [u8]> {
    postcard::to_slice(message, out).ok().map(|written| &*written)
}

/// Areas a device has at most.
pub const MAX_AREAS: usize = MAX_COMPONENTS;
