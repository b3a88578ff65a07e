//! The boot record on flash (BOOT.md, "Record").
//!
//! Two ranges of erase blocks hold entries of 256 bytes, appended one behind the other; each is
//! checked by its own CRC, and the valid entry with the highest sequence number is in force. So one
//! program of one entry is the commit point of every change, and a torn entry is as if it had never
//! been begun. When a range is full, the other one is erased and written from its start; the entry
//! in force is never in the range that is erased.

use heapless::Vec;
use thiserror::Error;

use crate::boot::{BootState, Trial, UNKNOWN_BYTES};
use crate::digest::Digest;
use crate::flash::{Flash, FlashError, Range, is_blank};
use crate::frame::crc32c;
use crate::manifest::LifeCycle;
use crate::slot::{PerSlot, RejectReason, SlotId, SlotState};

/// Bytes from one entry to the next.
pub const ENTRY_BYTES: usize = 256;
/// Newest entry layout that this code writes and fully understands.
pub const RECORD_VERSION: u8 = 1;

const STRIDE: u32 = 256;
const MAGIC: [u8; 4] = *b"NFR1";
const HEAD_BYTES: usize = 12;
const KNOWN_BYTES: usize = 204;
const CRC_BYTES: usize = 4;

/// Where the next entry goes, and what the last one said.
#[derive(Debug, Clone)]
pub struct RecordStore {
    ranges: [Range; 2],
    state: Option<BootState>,
    sequence: u32,
    /// Range of the entry in force, and the first free position behind it.
    current: usize,
    next_index: u32,
    /// Range of the entry in force; never erased. It differs from `current` while no write into a
    /// range that was moved over to has succeeded.
    home: usize,
    /// Bytes of the entry at `next_index` that are programmed.
    programmed: usize,
    /// Erases since the last entry or move: bounds what a block that never reads blank can cost.
    erases: u32,
}

/// What [`RecordStore::step`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteStep {
    /// Erased one block; more steps follow.
    Erased,
    /// Programmed one page of the entry, or found that there is nothing left to erase; more steps
    /// follow.
    Moved,
    /// The entry is written and in force.
    Written,
}

/// Why an entry was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Flash refused.
    #[error("flash refused a record write")]
    Flash(#[from] FlashError),
    /// The ranges of the layout hold no entry.
    #[error("the record's ranges are too small for one entry")]
    Layout,
}

impl RecordStore {
    /// Finds the entry in force. Unreadable or torn entries are as good as absent.
    pub fn load<F: Flash>(flash: &mut F, ranges: [Range; 2]) -> Self {
        let mut store = Self {
            ranges,
            state: None,
            sequence: 0,
            current: 0,
            next_index: 0,
            home: 0,
            programmed: 0,
            erases: 0,
        };
        for (number, range) in ranges.iter().enumerate() {
            for index in 0..entries_in(*range) {
                let mut bytes = [0; ENTRY_BYTES];
                let read = flash.read(entry_address(*range, index), &mut bytes);
                if let (Ok(()), Some((sequence, state))) = (read, decode(&bytes))
                    && (store.state.is_none() || sequence > store.sequence)
                {
                    store.state = Some(state);
                    store.sequence = sequence;
                    store.current = number;
                    store.home = number;
                    store.next_index = index.saturating_add(1);
                }
            }
        }
        store
    }

    /// The state in force; `None` when no entry can be read.
    #[must_use]
    pub const fn state(&self) -> Option<&BootState> {
        self.state.as_ref()
    }

    /// How many entries were ever written, as far as the record tells: a measure of wear.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Takes one step towards writing `state`: at most one erase or one program.
    ///
    /// Call it with the same state until it gives [`WriteStep::Written`].
    ///
    /// # Errors
    /// When flash refuses, or the layout has no room for an entry. The entry in force stays.
    pub fn step<F: Flash>(
        &mut self,
        flash: &mut F,
        state: &BootState,
    ) -> Result<WriteStep, RecordError> {
        if self.programmed == 0 {
            let Some(index) = self.free_place(flash) else {
                return self.erase_step(flash);
            };
            self.next_index = index;
        }
        let range = self.ranges.get(self.current).copied().ok_or(RecordError::Layout)?;
        let sequence = self.sequence.saturating_add(1);
        let bytes = encode(state, sequence, flash.geometry().erased);
        let address = entry_address(range, self.next_index);
        // A program that fails may still have left bytes: that place is never used again.
        let from = core::mem::take(&mut self.programmed);
        self.next_index = self.next_index.saturating_add(1);
        let page = page_of(&bytes, from, flash.geometry().page_bytes);
        flash.program(address.saturating_add(u32::try_from(from).unwrap_or(u32::MAX)), page)?;
        let until = from.saturating_add(page.len());
        if until < ENTRY_BYTES {
            self.programmed = until;
            self.next_index = self.next_index.saturating_sub(1);
            return Ok(WriteStep::Moved);
        }
        let mut back = [0; ENTRY_BYTES];
        flash.read(address, &mut back)?;
        if back != bytes {
            return Err(RecordError::Flash(FlashError::Failed));
        }
        self.sequence = sequence;
        self.home = self.current;
        self.state = Some(state.clone());
        Ok(WriteStep::Written)
    }

    /// Writes `state` at once, for callers that may take their time.
    ///
    /// # Errors
    /// As [`RecordStore::step`].
    pub fn write<F: Flash>(&mut self, flash: &mut F, state: &BootState) -> Result<(), RecordError> {
        // No block is shorter than an entry, no page shorter than a byte.
        let steps = self.ranges.iter().map(|range| entries_in(*range)).max().unwrap_or(0);
        for _ in 0..=steps.saturating_add(STRIDE) {
            if self.step(flash, state)? == WriteStep::Written {
                return Ok(());
            }
        }
        Err(RecordError::Layout)
    }

    /// The next blank place in the current range.
    fn free_place<F: Flash>(&self, flash: &mut F) -> Option<u32> {
        let range = *self.ranges.get(self.current)?;
        let erased = flash.geometry().erased;
        (self.next_index..entries_in(range)).find(|index| {
            let mut bytes = [0; ENTRY_BYTES];
            let read = flash.read(entry_address(range, *index), &mut bytes);
            read.is_ok() && is_blank(&bytes, erased)
        })
    }

    /// Erases the next block of the range without the entry in force; when the whole range is blank,
    /// moves over to it.
    fn erase_step<F: Flash>(&mut self, flash: &mut F) -> Result<WriteStep, RecordError> {
        let other = usize::from(self.home == 0);
        let range = self.ranges.get(other).copied().ok_or(RecordError::Layout)?;
        if entries_in(range) == 0 {
            return Err(RecordError::Layout);
        }
        // From the end to the start: the first place is blank only when the whole range is.
        let mut address = range.end().saturating_sub(1);
        loop {
            let block = flash.block_at(address).ok_or(FlashError::OutOfBounds)?;
            if !block_is_blank(flash, block) {
                if self.erases >= entries_in(range) {
                    self.erases = 0;
                    return Err(RecordError::Flash(FlashError::Failed));
                }
                self.erases = self.erases.saturating_add(1);
                flash.erase(block)?;
                return Ok(WriteStep::Erased);
            }
            if block.start <= range.start {
                break;
            }
            address = block.start.saturating_sub(1);
        }
        self.erases = 0;
        self.current = other;
        self.next_index = 0;
        Ok(WriteStep::Moved)
    }
}

/// The next page of an entry. Entries lie at multiples of their length, so no page is crossed.
fn page_of(entry: &[u8; ENTRY_BYTES], from: usize, page_bytes: u32) -> &[u8] {
    let page = usize::try_from(page_bytes).unwrap_or(ENTRY_BYTES).max(1);
    entry.get(from..ENTRY_BYTES.min(from.saturating_add(page))).unwrap_or_default()
}

fn block_is_blank<F: Flash>(flash: &mut F, block: Range) -> bool {
    let erased = flash.geometry().erased;
    let mut bytes = [0; ENTRY_BYTES];
    (0..entries_in(block)).all(|index| {
        flash.read(entry_address(block, index), &mut bytes).is_ok() && is_blank(&bytes, erased)
    })
}

const fn entries_in(range: Range) -> u32 {
    range.len_bytes / STRIDE
}

const fn entry_address(range: Range, index: u32) -> u32 {
    range.start.saturating_add(index.saturating_mul(STRIDE))
}

/// The bytes of one entry: magic, length, version, sequence, the known fields in fixed places, what
/// a newer writer appended, CRC-32C; the rest of the stride stays erased.
fn encode(state: &BootState, sequence: u32, erased: u8) -> [u8; ENTRY_BYTES] {
    let mut out = Writer { bytes: Vec::new() };
    let length = HEAD_BYTES
        .saturating_add(KNOWN_BYTES)
        .saturating_add(state.unknown.len())
        .saturating_add(CRC_BYTES);
    out.put(&MAGIC);
    out.put(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    out.put(&[RECORD_VERSION, 0]);
    out.put(&sequence.to_le_bytes());
    encode_fields(state, &mut out);
    out.put(&state.unknown);
    let crc = crc32c(&out.bytes);
    out.put(&crc.to_le_bytes());
    let mut entry = [erased; ENTRY_BYTES];
    for (place, byte) in entry.iter_mut().zip(&out.bytes) {
        *place = *byte;
    }
    entry
}

fn encode_fields(state: &BootState, out: &mut Writer) {
    out.put(&[slot_number(state.active), state.crash_left, state.life_cycle as u8, 0]);
    out.put(&state.root_version.to_le_bytes());
    out.put(&state.root_digest.0);
    out.put(&state.accept_floor.to_le_bytes());
    out.put(&state.next_trial_id.to_le_bytes());
    out.put(&state.confirmed_trial_id.to_le_bytes());
    out.put(&[0; 4]);
    for slot in SlotId::ALL {
        encode_slot(state.slots.get(slot), out);
    }
    match state.trial {
        Some(trial) => encode_trial(&trial, out),
        None => out.put(&[0; TRIAL_BYTES]),
    }
}

const TRIAL_BYTES: usize = 64;

fn encode_slot(slot: &SlotState, out: &mut Writer) {
    let (tag, reason, trial_id) = match slot {
        SlotState::Empty => (0, 0, 0),
        SlotState::Writing { .. } => (1, 0, 0),
        SlotState::Staged { .. } => (2, 0, 0),
        SlotState::Rejected { reason, trial_id, .. } => (3, *reason as u8, *trial_id),
        SlotState::Admitted { .. } => (4, 0, 0),
    };
    out.put(&[tag, reason, 0, 0]);
    out.put(&u32::to_le_bytes(trial_id));
    out.put(&slot.bundle().unwrap_or_default().0);
}

fn encode_trial(trial: &Trial, out: &mut Writer) {
    out.put(&[
        slot_number(Some(trial.slot)),
        u8::from(trial.entered),
        u8::from(trial.retires_fallback),
        trial.armed,
    ]);
    out.put(&trial.trial_id.to_le_bytes());
    out.put(&trial.plan.0);
    out.put(&[trial.crash_left, trial.power_left]);
    out.put(&trial.boots_left.to_le_bytes());
    out.put(&trial.lease_ms.to_le_bytes());
    out.put(&trial.boot_max_ms.to_le_bytes());
    out.put(&trial.security_version.to_le_bytes());
    out.put(&[0; 4]);
}

/// The sequence and state of a valid entry.
fn decode(entry: &[u8; ENTRY_BYTES]) -> Option<(u32, BootState)> {
    let mut head = Reader { rest: entry };
    if head.take::<4>()? != MAGIC {
        return None;
    }
    let length = usize::from(u16::from_le_bytes(head.take()?));
    let (covered, crc) = entry.get(..length)?.split_last_chunk::<CRC_BYTES>()?;
    if crc32c(covered) != u32::from_le_bytes(*crc) {
        return None;
    }
    let _version_and_spare: [u8; 2] = head.take()?;
    let sequence = u32::from_le_bytes(head.take()?);
    let mut fields = Reader { rest: covered.get(HEAD_BYTES..)? };
    let mut state = decode_fields(&mut fields)?;
    // A newer writer's fields stand behind ours; keep as many as there is room for.
    let kept = fields.rest.len().min(UNKNOWN_BYTES);
    state.unknown = Vec::from_slice(fields.rest.get(..kept)?).ok()?;
    Some((sequence, state))
}

fn decode_fields(from: &mut Reader<'_>) -> Option<BootState> {
    let [active, crash_left, life_cycle, _] = from.take()?;
    let life_cycle = match life_cycle {
        0 => LifeCycle::Factory,
        1 => LifeCycle::Development,
        _ => return None,
    };
    let root_version = u32::from_le_bytes(from.take()?);
    let root_digest = Digest(from.take()?);
    let accept_floor = u64::from_le_bytes(from.take()?);
    let next_trial_id = u32::from_le_bytes(from.take()?);
    let confirmed_trial_id = u32::from_le_bytes(from.take()?);
    let _spare: [u8; 4] = from.take()?;
    Some(BootState {
        active: slot_from(active)?,
        crash_left,
        life_cycle,
        root_version,
        root_digest,
        accept_floor,
        next_trial_id,
        confirmed_trial_id,
        slots: PerSlot { a: decode_slot(from)?, b: decode_slot(from)? },
        trial: decode_trial(from)?,
        unknown: Vec::new(),
    })
}

fn decode_slot(from: &mut Reader<'_>) -> Option<SlotState> {
    let [tag, reason, _, _] = from.take()?;
    let trial_id = u32::from_le_bytes(from.take()?);
    let bundle = Digest(from.take()?);
    Some(match tag {
        0 => SlotState::Empty,
        1 => SlotState::Writing { bundle },
        2 => SlotState::Staged { bundle },
        3 => SlotState::Rejected { bundle, reason: RejectReason::from_number(reason)?, trial_id },
        4 => SlotState::Admitted { bundle },
        _ => return None,
    })
}

/// The outer `None` is a trial that makes no sense, the inner one that no trial is open.
#[expect(clippy::option_option, reason = "both answers are needed, and only here")]
fn decode_trial(from: &mut Reader<'_>) -> Option<Option<Trial>> {
    let [slot, entered, retires, armed] = from.take()?;
    let trial_id = u32::from_le_bytes(from.take()?);
    let plan = Digest(from.take()?);
    let [crash_left, power_left] = from.take()?;
    let trial = Trial {
        slot: slot_from(slot)?.unwrap_or(SlotId::A),
        trial_id,
        plan,
        armed,
        crash_left,
        power_left,
        boots_left: u16::from_le_bytes(from.take()?),
        lease_ms: u32::from_le_bytes(from.take()?),
        boot_max_ms: u32::from_le_bytes(from.take()?),
        entered: entered != 0,
        security_version: u64::from_le_bytes(from.take()?),
        retires_fallback: retires != 0,
    };
    let _spare: [u8; 4] = from.take()?;
    Some((slot != 0).then_some(trial))
}

const fn slot_number(slot: Option<SlotId>) -> u8 {
    match slot {
        None => 0,
        Some(SlotId::A) => 1,
        Some(SlotId::B) => 2,
    }
}

/// The outer `None` is a number that names nothing.
#[expect(clippy::option_option, reason = "both answers are needed, and only here")]
const fn slot_from(number: u8) -> Option<Option<SlotId>> {
    match number {
        0 => Some(None),
        1 => Some(Some(SlotId::A)),
        2 => Some(Some(SlotId::B)),
        _ => None,
    }
}

struct Writer {
    bytes: Vec<u8, ENTRY_BYTES>,
}

impl Writer {
    /// All fields together are shorter than an entry, which a test pins; so nothing is ever cut off.
    fn put(&mut self, bytes: &[u8]) {
        let _ = self.bytes.extend_from_slice(bytes);
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }
}
