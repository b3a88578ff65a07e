//! What the device has in place of a clock: the newest time that it has seen signed (TRUST.md, "Time").

use crate::boot::BootState;
use crate::flash::Flash;
use crate::planted::Defence;
use crate::refusal::Refusal;
use crate::root::RootRecord;

use super::{Board, Device};

/// A statement that is further ahead of what the device knows moves nothing, in seconds: a clock that was set wrong,
/// or a stolen key, then ends no delegation before its time. Only a root record takes a longer step.
const LONGEST_STEP_S: u64 = 400 * DAY_S;
/// So much newer than what is on record is worth an entry of its own, in seconds.
const WORTH_STORING_S: u64 = DAY_S;
const DAY_S: u64 = 86_400;

/// The newest time behind one more statement.
const fn newest(known_s: u64, stated_s: u64) -> u64 {
    let is_newer = stated_s > known_s;
    if is_newer && stated_s.saturating_sub(known_s) <= LONGEST_STEP_S { stated_s } else { known_s }
}

/// The state of a device that takes this root record.
pub(super) fn enrolled(state: BootState, root: &RootRecord) -> BootState {
    let before_s = if root.resets_time { 0 } else { state.time_floor_s };
    BootState { time_floor_s: before_s.max(root.made_at_s), ..state }
}

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    /// Takes note of the time of a statement whose signatures count.
    ///
    /// A root record that is being stored meanwhile decides what time it is once it is in force, and no link made before
    /// outlives that: whoever shows a statement then shows it again.
    pub(super) fn note_time(&mut self, stated_s: u64, root: &RootRecord) {
        self.signed_time_s = self.time_behind(stated_s, root);
    }

    /// What the device knows of time behind one more statement, in seconds.
    pub(super) fn time_behind(&self, stated_s: u64, root: &RootRecord) -> u64 {
        newest(self.known_time_s(root), stated_s)
    }

    /// A statement that ended before what the device knows to be signed is over.
    pub(super) fn not_over(&self, not_after_s: u64, root: &RootRecord) -> Result<(), Refusal> {
        let seen_s = self.known_time_s(root);
        if not_after_s < seen_s && !Defence::TimeFloor.is_off() {
            Err(Refusal::DelegationOver { not_after_s, seen_s })
        } else {
            Ok(())
        }
    }

    /// A record of version 1 does not say what its root record does.
    pub(super) fn known_time_s(&self, root: &RootRecord) -> u64 {
        self.state().time_floor_s.max(root.made_at_s)
    }

    /// Whether what was seen since is so much newer than what is on record that it has to outlive this boot.
    pub(super) fn is_time_worth_storing(&self, state: &BootState) -> bool {
        self.signed_time_s.saturating_sub(state.time_floor_s) >= WORTH_STORING_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_on_by_400_days_at_most_and_never_back() {
        let known_s = 1_700_000_000;
        for (stated_s, expected_s) in [
            (0, known_s),
            (known_s - 1, known_s),
            (known_s + 1, known_s + 1),
            (known_s + LONGEST_STEP_S, known_s + LONGEST_STEP_S),
            (known_s + LONGEST_STEP_S + 1, known_s),
            (u64::MAX, known_s),
        ] {
            assert_eq!(newest(known_s, stated_s), expected_s, "{stated_s}");
        }
    }
}
