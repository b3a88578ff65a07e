//! What a device answers, and what it says unasked (PROTOCOL.md, "Messages").

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::delegation::Actions;
use crate::digest::Digest;
use crate::refusal::Refusal;
use crate::slot::SlotId;

use super::check::{CheckInfo, Reading};
use super::status::{AreaInfo, Identity, RootStatus, Status, Wear};

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
        /// What it may do. Enrolling under the next root record is never forbidden.
        actions: Actions,
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
    /// To `Wear`.
    Wear(Wear),
    /// To `RecordBytes`.
    RecordBytes {
        /// Length of both ranges together.
        total_bytes: u32,
        /// The bytes asked for, fewer at the end.
        bytes: &'a [u8],
    },
    /// To `RootStatus`.
    RootStatus(RootStatus),
    /// First word on a sealed link.
    Linked {
        /// What sessions on it may do.
        actions: Actions,
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
