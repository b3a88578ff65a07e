//! What a device tells of itself.

use crate::boot::{BootState, Start};
use crate::flash::{Flash, Range};
use crate::layout::Layout;
use crate::message::{
    AreaInfo, Identity, MAX_RECORD_PIECE_BYTES, Reply, Request, Status, TrialStatus, Wear,
};
use crate::record::RecordStore;
use crate::refusal::Refusal;
use crate::slot::{PerSlot, SlotId};
use crate::start::read_manifest;
use crate::trust;
use crate::version::Version;

use super::{Board, Device, board, trial};

/// The version of what a slot holds, read from its manifest with `scratch` as memory.
pub(super) fn slot_version<F: Flash>(
    flash: &mut F,
    layout: &Layout,
    state: &BootState,
    slot: SlotId,
    scratch: &mut [u8],
) -> Option<Version> {
    let bundle = state.slots.get(slot).bundle()?;
    let bytes = read_manifest(flash, layout.slot(slot), scratch).ok()?;
    let manifest = trust::admitted_manifest(bytes, bundle).ok()?;
    Some(manifest.claims().version.clone())
}

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    fn identity(&self) -> Identity<'_> {
        let info = self.board.info();
        let state = self.store.state();
        let bundle = match (self.handover.start, state) {
            (Start::Slot(slot), Some(state)) => state.slots.get(slot).bundle(),
            (Start::Slot(_) | Start::Recovery, _) => None,
        };
        Identity {
            product: board::cut(info.product),
            hardware: board::cut(info.hardware),
            revision: info.revision,
            serial: board::cut(info.serial),
            life_cycle: state.map(|state| state.life_cycle).unwrap_or_default(),
            root_version: state.map_or(0, |state| state.root_version),
            running: self.handover.start,
            bundle,
            version: self.running_version.clone(),
            boot_nonce: self.boot_nonce,
            reset_cause: self.handover.cause,
            hardware_deadline: info.hardware_deadline,
            areas: u8::try_from(self.layout.slots().a.areas.len()).unwrap_or(u8::MAX),
            checks: self.board.check_count(),
        }
    }

    pub(super) fn status(&self) -> Status {
        let state = self.state();
        Status {
            active: state.active,
            slots: state.slots,
            trial: state.trial.map(|open| TrialStatus {
                slot: open.slot,
                trial_id: open.trial_id,
                plan: open.plan,
                armed: open.armed,
                crash_left: open.crash_left,
                power_left: open.power_left,
                boots_left: open.boots_left,
                running: trial::in_trial(&state, &self.handover),
            }),
            accept_floor: state.accept_floor,
            row: self.handover.row,
            crash_left: state.crash_left,
            uptime_ms: self.now_ms,
            link: self.received.counters,
            record_entries: self.store.sequence(),
            erases: self.erases,
        }
    }

    pub(super) fn wear(&self) -> Wear {
        let state = self.state();
        let blocks = |slot| {
            let slot = self.layout.slot(slot);
            let areas = slot.areas.iter().map(|area| area.range);
            areas.fold(self.blocks_in(slot.manifest), |sum, area| {
                sum.saturating_add(self.blocks_in(area))
            })
        };
        let places = self.layout.record().map(RecordStore::places_in);
        Wear {
            slot_erases: state.erases,
            slot_blocks: PerSlot { a: blocks(SlotId::A), b: blocks(SlotId::B) },
            record_entries: self.store.sequence(),
            record_places: places.into_iter().fold(0, u32::saturating_add),
        }
    }

    fn blocks_in(&self, range: Range) -> u32 {
        let mut at = range.start;
        let mut blocks: u32 = 0;
        while let Some(block) = self.flash.block_at(at).filter(|block| block.start < range.end()) {
            blocks = blocks.saturating_add(1);
            at = block.end();
        }
        blocks
    }

    /// Bytes of the boot record's two ranges, one behind the other.
    pub(super) fn record_bytes<'b>(
        &mut self,
        offset: u32,
        length: u16,
        bytes: &'b mut [u8; MAX_RECORD_PIECE_BYTES],
    ) -> Result<Reply<'b>, Refusal> {
        let [first, second] = self.layout.record();
        let total_bytes = first.len_bytes.saturating_add(second.len_bytes);
        let (range, within) = match offset.checked_sub(first.len_bytes) {
            None => (first, offset),
            Some(within) => (second, within),
        };
        let left = range.len_bytes.saturating_sub(within);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(usize::from(length));
        let piece = bytes.get_mut(..length.min(MAX_RECORD_PIECE_BYTES));
        let piece = piece.ok_or(Refusal::NoSuchItem { index: offset })?;
        // Behind the end nothing is to be read, at an address that the part may not even have.
        if !piece.is_empty() {
            let address = range.start.saturating_add(within);
            self.flash.read(address, piece).map_err(|_| Refusal::Flash)?;
        }
        Ok(Reply::RecordBytes { total_bytes, bytes: piece })
    }

    /// Answers whose text is the board's own.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the caller passes these three only")]
    pub(super) fn describe(&self, request: Request<'_>) -> Result<Reply<'_>, Refusal> {
        match request {
            Request::Area { index } => self.area(index),
            Request::Check { index } => self
                .board
                .check_info(index)
                .map(|info| Reply::Check(board::bounded_info(info)))
                .ok_or(Refusal::NoSuchItem { index: u32::from(index) }),
            _ => Ok(Reply::Identity(self.identity())),
        }
    }

    fn area(&self, index: u8) -> Result<Reply<'_>, Refusal> {
        let area = |slot| self.layout.slot(slot).areas.get(usize::from(index));
        match (area(SlotId::A), area(SlotId::B)) {
            (Some(a), Some(b)) => Ok(Reply::Area(AreaInfo {
                name: a.name.clone(),
                bytes: PerSlot { a: a.range.len_bytes, b: b.range.len_bytes },
            })),
            _ => Err(Refusal::NoSuchItem { index: u32::from(index) }),
        }
    }
}
