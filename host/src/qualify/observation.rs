//! The words between the runner and whatever reaches the device: what may be asked, what may be
//! seen.

use core::fmt;

use firmware_protocol::root::LifeCycle;
use firmware_protocol::slot::RejectReason;

use crate::measurement::Measurement;

/// What a device is running from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Slot A.
    SlotA,
    /// Slot B.
    SlotB,
    /// The recovery image, which is no slot.
    Recovery,
}

impl Where {
    /// The other slot; none for recovery.
    #[must_use]
    pub const fn other(self) -> Option<Self> {
        match self {
            Self::SlotA => Some(Self::SlotB),
            Self::SlotB => Some(Self::SlotA),
            Self::Recovery => None,
        }
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SlotA => "slot A",
            Self::SlotB => "slot B",
            Self::Recovery => "recovery",
        })
    }
}

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Product name.
    pub product: String,
    /// Hardware id.
    pub hardware: String,
    /// Hardware revision.
    pub hardware_rev: u32,
    /// Serial number.
    pub serial: String,
    /// What runs.
    pub running: Where,
    /// Digest of the running bundle; none in recovery or from the factory.
    pub bundle: Option<[u8; 32]>,
    /// Version that runs.
    pub version: String,
    /// Drawn anew at each boot, so a reboot in between is noticed.
    pub boot_nonce: u64,
    /// Why the device last reset, as it names it.
    pub reset_cause: String,
    /// Whether trial boots are ended by hardware, not only by the device's own program.
    pub watchdog_hardware: bool,
    /// Whose changes it takes: one in factory state takes a root record and nothing else.
    pub life_cycle: LifeCycle,
    /// Whether flash has lost that root record, as far as the device was asked; it then takes no bundle.
    pub root_is_lost: bool,
}

impl DeviceFacts {
    /// Whether the device has a root record.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        self.life_cycle != LifeCycle::Factory
    }
}

/// State of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// Erased.
    Empty,
    /// Being written.
    Writing,
    /// Complete, not yet trusted.
    Staged,
    /// Failed a trial or a check of trust.
    Rejected,
    /// Passed every check of trust; may boot.
    Admitted,
}

impl fmt::Display for SlotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::Writing => "writing",
            Self::Staged => "staged",
            Self::Rejected => "rejected",
            Self::Admitted => "admitted",
        })
    }
}

/// One slot as the boot record has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotFacts {
    /// Its state.
    pub state: SlotState,
    /// Digest of the bundle in it.
    pub bundle: Option<[u8; 32]>,
    /// Why it was rejected, if it was.
    pub rejection: Option<Rejection>,
}

/// Why a slot may not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The device's reason.
    pub cause: RejectReason,
    /// The same in words.
    pub reason: &'static str,
    /// The trial that ended so; zero when none was open.
    pub trial_id: u64,
    /// Whether the reason speaks against the bundle, and not only against host, cable or supply.
    pub blames_bundle: bool,
}

/// An open trial as the boot record has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrialFacts {
    /// Slot on trial.
    pub slot: Where,
    /// Id of the trial.
    pub trial_id: u64,
    /// Digest of the plan that judges it.
    pub plan: [u8; 32],
    /// Trial boots that may start without being armed again.
    pub armed: u32,
    /// Trial boots left in all.
    pub boots_left: u32,
    /// Crashes left.
    pub crash_left: u32,
    /// Power losses left.
    pub power_left: u32,
    /// Whether its image is the one running.
    pub is_running: bool,
}

/// The boot record as a device tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusFacts {
    /// The confirmed slot; none before the first confirm.
    pub active: Option<Where>,
    /// Slot A, slot B.
    pub slots: [SlotFacts; 2],
    /// The open trial.
    pub trial: Option<TrialFacts>,
    /// Lowest security version that is admitted.
    pub accept_floor: u64,
    /// Why the device runs what it runs, in words.
    pub why: &'static str,
}

impl StatusFacts {
    /// Whether the confirmed image has begun to use up its crashes.
    #[must_use]
    pub const fn crash_budget_is_short(&self, crash_left: u8) -> bool {
        self.active.is_some() && crash_left < firmware_protocol::boot::CONFIRMED_CRASH_BUDGET
    }

    /// The slot at `place`; none for recovery.
    #[must_use]
    pub const fn slot(&self, place: Where) -> Option<&SlotFacts> {
        let [a, b] = &self.slots;
        match place {
            Where::SlotA => Some(a),
            Where::SlotB => Some(b),
            Where::Recovery => None,
        }
    }
}

/// One check that a device carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckInfo {
    /// Its name.
    pub name: String,
    /// Unit of its readings; empty when it has none.
    pub unit: String,
    /// Whether it answers with a status instead of a reading.
    pub is_status: bool,
}

/// What a device's own status check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceStatus {
    /// In order.
    Ok,
    /// Works, but look at it.
    Warn,
    /// Out of order.
    Fail,
    /// The device could not check itself, which is a fault of the device.
    Error,
    /// The last answer is too old to count.
    Stale,
}

impl fmt::Display for DeviceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Stale => "stale",
        })
    }
}

/// What a check wants to know. Each is answered by exactly one [`Seen`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Answered by [`Seen::Facts`].
    Identify,
    /// Answered by [`Seen::Status`].
    Status,
    /// Answered by [`Seen::Checks`].
    ListChecks,
    /// Answered by [`Seen::Reading`] or [`Seen::CheckStatus`].
    RunCheck {
        /// Name of the device's check.
        name: String,
    },
    /// Answered by [`Seen::Pong`].
    Ping,
    /// A program on the host, answered by [`Seen::CommandExit`].
    Command {
        /// Program and arguments, no shell.
        argv: Vec<String>,
        /// After this the program is ended and nobody waits for its answer.
        timeout_ms: u64,
    },
}

/// What was seen in answer to an [`Ask`].
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// The device named itself.
    Facts(DeviceFacts),
    /// The device told its boot record.
    Status(StatusFacts),
    /// The device listed its checks.
    Checks(Vec<CheckInfo>),
    /// A check gave a value.
    Reading(Measurement),
    /// A check gave a status.
    CheckStatus {
        /// Name of the device's check.
        name: String,
        /// The status.
        status: DeviceStatus,
        /// The device's own words; escape them before they meet a terminal.
        detail: String,
    },
    /// The device answered.
    Pong {
        /// Round trip.
        rtt_us: u64,
    },
    /// A program of the host ended.
    CommandExit {
        /// Exit status; none when a signal ended it.
        code: Option<i32>,
        /// Standard output, bounded by the driver.
        stdout: String,
        /// Standard error, bounded by the driver.
        stderr: String,
    },
    /// The device said no.
    Refused {
        /// Its reason.
        reason: String,
    },
    /// The link, the host or a program failed; says nothing about the device.
    LinkError {
        /// What failed.
        reason: String,
    },
    /// Nothing came in time.
    NoAnswer,
}

impl Seen {
    /// What it is, for messages.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Facts(_) => "facts",
            Self::Status(_) => "boot record",
            Self::Checks(_) => "list of checks",
            Self::Reading(_) => "reading",
            Self::CheckStatus { .. } => "check status",
            Self::Pong { .. } => "pong",
            Self::CommandExit { .. } => "program exit",
            Self::Refused { .. } => "refusal",
            Self::LinkError { .. } => "link error",
            Self::NoAnswer => "silence",
        }
    }
}

/// What the deployment promises; checks compare the device with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Product of the manifest.
    pub product: String,
    /// Hardware id of the manifest.
    pub hardware: String,
    /// Version of the manifest.
    pub version: String,
    /// Bundle digest.
    pub bundle: [u8; 32],
    /// Slot that the bundle went to.
    pub trial_slot: Where,
    /// The device ran its recovery image before, so no version is gone back to.
    pub from_recovery: bool,
    /// The slot that was the confirmed one then.
    pub confirmed: Option<Where>,
    /// Plan digest.
    pub plan: [u8; 32],
}

/// The boot into the trial, as the driver timed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootSeen {
    /// From the reset to the first answer of the new version.
    pub ready_after_ms: u64,
    /// Boots it took, by the device's count: this one, and one for every crash of the trial's image.
    pub attempts: u32,
}

/// One line of the device's console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleLine {
    /// When it was complete.
    pub at_ms: u64,
    /// The line without its end.
    pub text: String,
}

/// What the driver knows without asking.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// What the deployment promises.
    pub expect: &'a Expectation,
    /// The boot into the trial, once there was one.
    pub boot: Option<&'a BootSeen>,
    /// Console since the reset into the version that runs, oldest first.
    pub console: &'a [ConsoleLine],
}

/// Writes the first 8 bytes of a digest in hex: enough to tell two bundles apart in a sentence.
#[must_use]
pub fn short_digest(digest: Option<&[u8; 32]>) -> String {
    let Some(digest) = digest else { return "no bundle".to_owned() };
    digest.iter().take(8).fold(String::new(), |mut hex, byte| {
        use fmt::Write as _;
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_one_other_and_recovery_none() {
        assert_eq!(Where::SlotA.other(), Some(Where::SlotB));
        assert_eq!(Where::SlotB.other(), Some(Where::SlotA));
        assert_eq!(Where::Recovery.other(), None);
    }

    #[test]
    fn a_digest_is_shortened_for_sentences() {
        assert_eq!(short_digest(Some(&[0xab; 32])), "abababababababab");
        assert_eq!(short_digest(None), "no bundle");
    }
}
