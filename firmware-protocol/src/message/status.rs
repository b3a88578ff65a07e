//! What a device tells of itself to whoever asks: who it is, what it holds, why it runs what it runs.

use serde::{Deserialize, Serialize};

use crate::boot::{BootRow, ResetCause, Start};
use crate::digest::Digest;
use crate::flash::Name;
use crate::root::LifeCycle;
use crate::slot::{PerSlot, SlotId, SlotState};
use crate::version::Version;

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

/// What flash has been through, as far as the record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wear {
    /// Blocks erased in each slot, ever.
    pub slot_erases: PerSlot<u32>,
    /// Erase blocks that each slot has.
    pub slot_blocks: PerSlot<u32>,
    /// Places of the boot record written, ever.
    pub record_entries: u32,
    /// Places that the boot record has: so often it is written before each of its blocks is erased once more.
    pub record_places: u32,
}

/// The root record that a device is enrolled under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootStatus {
    /// Its version; zero in factory state.
    pub version: u32,
    /// Its digest; all zeros in factory state.
    pub digest: Digest,
    /// Flash gives back what it says. Its signatures, which count again only when the boot record is lost, are not
    /// looked at.
    pub is_held: bool,
    /// The newest time that the device has seen signed, in seconds since 1970-01-01 UTC.
    pub time_floor_s: u64,
}

/// One component area, as large as it is in the smaller slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaInfo {
    /// Component name.
    pub name: Name,
    /// Size in each slot, in bytes.
    pub bytes: PerSlot<u32>,
}
