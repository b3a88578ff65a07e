//! What a device has counted: what tests hold against their expectations, and people read after a
//! run.

use std::collections::BTreeMap;

use firmware_protocol::boot::{ResetCause, Start};
use firmware_protocol::slot::{PerSlot, SlotId};
use serde::{Deserialize, Serialize};

use crate::fault::FaultClass;
use crate::flash::FlashCounters;

/// Everything that one device has counted since its state was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// The serial port's counters, then the TCP port's.
    pub links: [LinkStats; 2],
    /// Resets by cause, in the words of `identify`.
    pub resets: BTreeMap<String, u64>,
    /// Starts of each slot's image.
    pub slot_boots: PerSlot<u64>,
    /// Starts of the recovery image.
    pub recovery_boots: u64,
    /// What the flash part has been through since this process began.
    pub flash: FlashCounters,
    /// Faults that have struck since this process began.
    pub fired: Fired,
}

/// What the device's end of one port has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkStats {
    /// Bytes that arrived, whether or not anything listened.
    pub bytes_in: u64,
    /// Bytes that left.
    pub bytes_out: u64,
    /// Bytes that arrived while no image listened: lost.
    pub unheard_bytes: u64,
    /// Whole frames that arrived.
    pub frames_in: u64,
    /// Frames that were sent.
    pub frames_out: u64,
    /// Units that were no frame: damaged or cut short.
    pub damaged_in: u64,
    /// Whole frames among `frames_in` that carry a piece of a component.
    pub chunk_frames_in: u64,
    /// Component bytes in them.
    pub chunk_bytes_in: u64,
}

impl LinkStats {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            bytes_in: self.bytes_in.saturating_add(other.bytes_in),
            bytes_out: self.bytes_out.saturating_add(other.bytes_out),
            unheard_bytes: self.unheard_bytes.saturating_add(other.unheard_bytes),
            frames_in: self.frames_in.saturating_add(other.frames_in),
            frames_out: self.frames_out.saturating_add(other.frames_out),
            damaged_in: self.damaged_in.saturating_add(other.damaged_in),
            chunk_frames_in: self.chunk_frames_in.saturating_add(other.chunk_frames_in),
            chunk_bytes_in: self.chunk_bytes_in.saturating_add(other.chunk_bytes_in),
        }
    }
}

/// How often each class of fault has struck.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Fired {
    /// Faults of flash, power and device, by class.
    pub faults: BTreeMap<FaultClass, u64>,
    /// Power cuts inside a flash operation, of any class.
    pub power_cuts: u64,
    /// Bits flipped in flash.
    pub flips: u64,
    /// Bytes lost on links.
    pub dropped_bytes: u64,
    /// Bits flipped on links.
    pub corrupted_bits: u64,
    /// Cables pulled.
    pub disconnects: u64,
    /// Lines that deliver late.
    pub delays: u64,
}

impl Fired {
    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        for (class, count) in other.faults {
            let sum = self.faults.entry(class).or_default();
            *sum = sum.saturating_add(count);
        }
        Self {
            faults: self.faults,
            power_cuts: self.power_cuts.saturating_add(other.power_cuts),
            flips: self.flips.saturating_add(other.flips),
            dropped_bytes: self.dropped_bytes.saturating_add(other.dropped_bytes),
            corrupted_bits: self.corrupted_bits.saturating_add(other.corrupted_bits),
            disconnects: self.disconnects.saturating_add(other.disconnects),
            delays: self.delays.saturating_add(other.delays),
        }
    }
}

impl Stats {
    /// Starts of any image. It never falls, and makes each boot's random numbers its own.
    #[must_use]
    pub const fn boots(&self) -> u64 {
        self.slot_boots.a.saturating_add(self.slot_boots.b).saturating_add(self.recovery_boots)
    }

    /// Resets for `cause`.
    #[must_use]
    pub fn resets_by(&self, cause: ResetCause) -> u64 {
        self.resets.get(cause.word()).copied().unwrap_or(0)
    }

    pub(crate) fn count_reset(&mut self, cause: ResetCause) {
        let count = self.resets.entry(cause.word().to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) const fn count_boot(&mut self, start: Start) {
        let count = match start {
            Start::Slot(SlotId::A) => &mut self.slot_boots.a,
            Start::Slot(SlotId::B) => &mut self.slot_boots.b,
            Start::Recovery => &mut self.recovery_boots,
        };
        *count = count.saturating_add(1);
    }
}
