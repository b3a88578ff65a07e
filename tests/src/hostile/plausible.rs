//! What a healthy device would answer, without being one: enough for a whole deployment.

use firmware_protocol::boot::{BootRow, ResetCause, Start};
use firmware_protocol::delegation::Actions;
use firmware_protocol::digest::Digest;
use firmware_protocol::message::{
    Ack, AreaInfo, CheckGives, CheckInfo, CheckStatus, Chunk, How, Identity, LinkCounters, Reading,
    Reply, Request, RootStatus, Status, TrialStatus, Wear,
};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::LifeCycle;
use firmware_protocol::slot::{PerSlot, RejectReason, SlotId, SlotState};
use firmware_protocol::version::Version;

/// Bytes of a block in every bundle for it.
pub const BLOCK_BYTES: u32 = 1_024;
/// What it says that slot A holds.
const OLD: Digest = Digest([1; 32]);
/// The trial that it opens.
const TRIAL_ID: u32 = 1;

/// Its lies, in order.
#[derive(Debug, Clone)]
pub struct Plausible {
    /// The bundle that it is about to be sent, and what it says its own is then.
    pub bundle: Digest,
    /// Bytes of each component of it.
    pub lengths: Vec<u32>,
    /// Bytes that have come of each block of the open component.
    blocks: Vec<u32>,
    /// Number of its boot.
    pub boot: u64,
    staged: bool,
    rejected: Option<RejectReason>,
    plan: Option<Digest>,
    armed: bool,
    /// What runs.
    pub running: SlotId,
    active: SlotId,
}

impl Plausible {
    /// One that awaits this bundle.
    pub const fn new(bundle: Digest, lengths: Vec<u32>) -> Self {
        Self {
            bundle,
            lengths,
            blocks: Vec::new(),
            boot: 7,
            staged: false,
            rejected: None,
            plan: None,
            armed: false,
            running: SlotId::A,
            active: SlotId::A,
        }
    }

    /// Its answer.
    pub fn answer(&mut self, request: Request<'_>) -> Result<Reply<'static>, Refusal> {
        Ok(match request {
            Request::Hello { .. } => self.hello(),
            Request::Identify => Reply::Identity(self.identity()),
            Request::Status => Reply::Status(self.status()),
            Request::Area { index } => area(index),
            Request::Check { .. } => {
                Reply::Check(CheckInfo { name: "self", gives: CheckGives::Status })
            }
            Request::OpenSession { .. } => {
                Reply::Session { session: 5, taken_over: false, actions: Actions::ALL }
            }
            Request::Offer { offset, bytes, .. } => {
                Reply::Offered { held_bytes: offset + u32::try_from(bytes.len()).unwrap() }
            }
            Request::Stage { .. } => Reply::Stage { slot: SlotId::B, how: How::Done },
            Request::OpenComponent { index } => self.open(index),
            Request::BlockList { first_block, digests } => {
                Reply::Listed { blocks: first_block + u32::try_from(digests.len() / 32).unwrap() }
            }
            Request::Missing { first_block } => self.missing(first_block),
            Request::Finish => {
                self.staged = true;
                Reply::Staged { bundle: self.bundle, how: How::Done }
            }
            Request::OpenTrial { plan, .. } => {
                self.plan = Some(plan);
                Reply::Trial { trial_id: TRIAL_ID, armed: 0, how: How::Done }
            }
            Request::Arm { boots, .. } => {
                self.armed = true;
                Reply::Trial { trial_id: TRIAL_ID, armed: boots, how: How::Done }
            }
            Request::Reset { .. } => {
                self.restart();
                Reply::Done(How::Done)
            }
            Request::Renew => Reply::Renewed { lease_left_ms: 4_000, boot_left_ms: 30_000 },
            Request::Confirm { .. } => {
                (self.active, self.plan) = (self.running, None);
                Reply::Done(How::Done)
            }
            Request::Rollback { .. } => self.give_up(RejectReason::HostDecided),
            Request::Withdraw { .. } => self.give_up(RejectReason::Withdrawn),
            Request::RunCheck { .. } => Reply::Checked(Reading::Status {
                status: CheckStatus::Ok,
                detail: "".try_into().unwrap(),
            }),
            Request::HashComponent { .. } => {
                Reply::Hash { digest: OLD, length: 1, tail_blank: true }
            }
            Request::Wear => Reply::Wear(Wear::default()),
            Request::RecordBytes { length, .. } => record(4_096, length),
            Request::RootStatus => {
                let digest = Digest([3; 32]);
                Reply::RootStatus(RootStatus { version: 1, digest, is_held: true, time_floor_s: 0 })
            }
            Request::CloseSession | Request::Enroll | Request::Certify | Request::BenchReset => {
                Reply::Done(How::Done)
            }
        })
    }

    /// Takes a chunk that came as frame `sequence`.
    pub fn take(&mut self, sequence: u32, chunk: &Chunk<'_>) -> Ack {
        let block = usize::try_from(chunk.offset / u64::from(BLOCK_BYTES)).unwrap();
        if let Some(held) = self.blocks.get_mut(block) {
            *held += u32::try_from(chunk.bytes.len()).unwrap();
        }
        Ack { highest: sequence, below: u64::MAX, taken: true, credit_blocks: 8 }
    }

    /// Its first word.
    pub const fn hello(&self) -> Reply<'static> {
        Reply::Hello {
            version: 1,
            max_frame_bytes: 4_096,
            window_bytes: 8_192,
            boot_nonce: self.boot,
        }
    }

    /// Who it says it is.
    pub fn identity(&self) -> Identity<'static> {
        let is_new = self.running == SlotId::B;
        Identity {
            product: "rover-nav",
            hardware: "nav-1",
            revision: 1,
            serial: "HH-1",
            life_cycle: LifeCycle::Development,
            root_version: 1,
            running: Start::Slot(self.running),
            bundle: Some(if is_new { self.bundle } else { OLD }),
            version: Some(if is_new { Version::new(1, 1, 0) } else { Version::new(1, 0, 0) }),
            boot_nonce: self.boot,
            reset_cause: ResetCause::PowerOn,
            hardware_deadline: true,
            areas: 2,
            checks: 1,
        }
    }

    /// What it says of its record.
    pub fn status(&self) -> Status {
        let bundle = self.bundle;
        let b = match (self.active, self.rejected, self.staged) {
            (SlotId::B, ..) => SlotState::Admitted { bundle },
            (SlotId::A, Some(reason), _) => {
                SlotState::Rejected { bundle, reason, trial_id: TRIAL_ID }
            }
            (SlotId::A, None, true) => SlotState::Staged { bundle },
            (SlotId::A, None, false) => SlotState::Empty,
        };
        Status {
            active: Some(self.active),
            slots: PerSlot { a: SlotState::Admitted { bundle: OLD }, b },
            trial: self.plan.map(|plan| TrialStatus {
                slot: SlotId::B,
                trial_id: TRIAL_ID,
                plan,
                armed: u8::from(self.armed),
                crash_left: 1,
                power_left: 5,
                boots_left: 3,
                running: self.running == SlotId::B,
            }),
            accept_floor: 0,
            row: BootRow::Confirmed,
            crash_left: 3,
            uptime_ms: 1,
            link: LinkCounters::default(),
            record_entries: 1,
            erases: 0,
        }
    }

    fn open(&mut self, index: u8) -> Reply<'static> {
        let length = self.lengths.get(usize::from(index)).copied().unwrap_or(0);
        let blocks = length.div_ceil(BLOCK_BYTES);
        self.blocks = vec![0; usize::try_from(blocks).unwrap()];
        Reply::Component { blocks, worth_listing: false }
    }

    fn missing(&self, first_block: u32) -> Reply<'static> {
        let mut bits = [0_u8; 64];
        let mut missing = 0;
        for (block, _) in self.blocks.iter().enumerate().filter(|(_, held)| **held == 0) {
            missing += 1;
            if let Some(byte) = bits.get_mut(block / 8) {
                *byte |= 1 << (block % 8);
            }
        }
        Reply::Missing { first_block, missing, bits: bits.as_slice().try_into().unwrap() }
    }

    fn give_up(&mut self, reason: RejectReason) -> Reply<'static> {
        (self.plan, self.armed, self.rejected) = (None, false, Some(reason));
        self.restart();
        Reply::Done(How::Done)
    }

    fn restart(&mut self) {
        self.boot += 1;
        self.running = if self.armed { SlotId::B } else { self.active };
    }
}

/// A piece of a boot record of `total_bytes` that holds nothing.
pub fn record(total_bytes: u32, length: u16) -> Reply<'static> {
    Reply::RecordBytes { total_bytes, bytes: &[0xff; 256][..usize::from(length).min(256)] }
}

fn area(index: u8) -> Reply<'static> {
    let name = if index == 0 { "app" } else { "config" };
    let bytes = PerSlot { a: 1 << 20, b: 1 << 20 };
    Reply::Area(AreaInfo { name: name.try_into().unwrap(), bytes })
}
