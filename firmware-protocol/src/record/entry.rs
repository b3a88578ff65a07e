//! The byte layout of one record entry (BOOT.md, "Bytes of an entry"): frozen, `tests/record_golden.rs`
//! pins it.

use heapless::Vec;

use crate::boot::{BootState, CARRIED_BYTES, Carried, RECORD_VERSION, Trial};
use crate::digest::Digest;
use crate::flash::{Geometry, Range};
use crate::frame::crc32c;
use crate::planted::Mistake;
use crate::root::LifeCycle;
use crate::slot::{PerSlot, RejectReason, SlotId, SlotState};

/// Room for one entry; what lies behind its end stays erased.
pub const ENTRY_BYTES: usize = 448;

const MAGIC: [u8; 4] = *b"NFR1";
const HEAD_BYTES: usize = 12;
const KNOWN_BYTES: usize = 228;
const CRC_BYTES: usize = 4;

/// One entry, ready to be programmed.
pub(super) struct Encoded {
    /// The entry, erased behind its end.
    pub(super) bytes: [u8; ENTRY_BYTES],
    /// Length of what has to be programmed: whole words.
    pub(super) padded: usize,
}

/// Magic, length, version, number, the known fields in fixed places, what a newer writer appended, CRC-32C.
pub(super) fn encode(state: &BootState, sequence: u32, geometry: Geometry) -> Encoded {
    let mut out = Writer { bytes: Vec::new() };
    let length = HEAD_BYTES
        .saturating_add(KNOWN_BYTES)
        .saturating_add(state.carried.bytes.len())
        .saturating_add(CRC_BYTES);
    out.put(&MAGIC);
    out.put(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    out.put(&[state.carried.version.max(RECORD_VERSION), 0]);
    out.put(&sequence.to_le_bytes());
    encode_fields(state, &mut out);
    out.put(&state.carried.bytes);
    let crc = crc32c(&out.bytes);
    out.put(&crc.to_le_bytes());
    let mut bytes = [geometry.erased; ENTRY_BYTES];
    for (place, byte) in bytes.iter_mut().zip(&out.bytes) {
        *place = *byte;
    }
    let word = usize::try_from(geometry.word_bytes).unwrap_or(1).max(1);
    Encoded { bytes, padded: length.next_multiple_of(word).min(ENTRY_BYTES) }
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
    for slot in SlotId::ALL {
        out.put(&state.erases.get(slot).to_le_bytes());
    }
    out.put(&state.touched.start.to_le_bytes());
    out.put(&state.touched.len_bytes.to_le_bytes());
    match state.trial {
        Some(trial) => encode_trial(&trial, out),
        None => out.put(&[0; TRIAL_BYTES]),
    }
    // From here on fields that version 1 did not have.
    out.put(&state.time_floor_s.to_le_bytes());
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

/// What stands at the front of an entry, for whoever looks at a record from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryHead {
    /// Version of the newest writer whose fields it holds.
    pub version: u8,
    /// Number of its place.
    pub sequence: u32,
}

/// Takes the front and the state from an entry's bytes; `None` unless all of it is whole.
#[must_use]
pub fn read_entry(entry: &[u8; ENTRY_BYTES]) -> Option<(EntryHead, BootState)> {
    let (sequence, state) = decode(entry)?;
    Some((EntryHead { version: state.carried.version, sequence }, state))
}

/// The number and state of a valid entry.
pub(super) fn decode(entry: &[u8; ENTRY_BYTES]) -> Option<(u32, BootState)> {
    let mut head = Reader { rest: entry };
    if head.take::<4>()? != MAGIC {
        return None;
    }
    let length = usize::from(u16::from_le_bytes(head.take()?));
    let (covered, crc) = entry.get(..length)?.split_last_chunk::<CRC_BYTES>()?;
    let is_whole = crc32c(covered) == u32::from_le_bytes(*crc);
    if !is_whole && !Mistake::TornEntryTrusted.is_planted() {
        return None;
    }
    let [version, _spare] = head.take()?;
    let sequence = u32::from_le_bytes(head.take()?);
    let mut fields = Reader { rest: covered.get(HEAD_BYTES..)? };
    let mut state = decode_fields(&mut fields)?;
    // A newer writer's fields stand behind ours; keep as many as there is room for.
    let kept = fields.rest.len().min(CARRIED_BYTES);
    let bytes = Vec::from_slice(fields.rest.get(..kept)?).ok()?;
    state.carried = Carried { version, bytes };
    Some((sequence, state))
}

fn decode_fields(from: &mut Reader<'_>) -> Option<BootState> {
    let [active, crash_left, life_cycle, _] = from.take()?;
    let life_cycle = match life_cycle {
        0 => LifeCycle::Factory,
        1 => LifeCycle::Development,
        2 => LifeCycle::Field,
        _ => return None,
    };
    let root_version = u32::from_le_bytes(from.take()?);
    let root_digest = Digest(from.take()?);
    let accept_floor = u64::from_le_bytes(from.take()?);
    let next_trial_id = u32::from_le_bytes(from.take()?);
    let confirmed_trial_id = u32::from_le_bytes(from.take()?);
    let _spare: [u8; 4] = from.take()?;
    let slots = PerSlot { a: decode_slot(from)?, b: decode_slot(from)? };
    let erases =
        PerSlot { a: u32::from_le_bytes(from.take()?), b: u32::from_le_bytes(from.take()?) };
    let touched = Range {
        start: u32::from_le_bytes(from.take()?),
        len_bytes: u32::from_le_bytes(from.take()?),
    };
    Some(BootState {
        active: slot_from(active)?,
        crash_left,
        life_cycle,
        root_version,
        root_digest,
        accept_floor,
        next_trial_id,
        confirmed_trial_id,
        slots,
        erases,
        touched,
        trial: decode_trial(from)?,
        time_floor_s: from.take().map_or(0, u64::from_le_bytes),
        carried: Carried::default(),
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
