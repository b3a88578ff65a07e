//! Whether a host asks, and says in the end, only what is so.

use firmware_protocol::slot::{RejectReason, SlotState};
use noflake::evidence::Outcome;
use noflake::qualify::runner::{Act, GOES_BACK, UNTOUCHED};
use noflake::verdict::RunVerdict;

use super::scene::Scene;
use super::state::State;
use super::witness::{Violation, Witness, broken};

/// Words that a host may say in the end only where they are so.
pub const WORDS: [&str; 2] = [UNTOUCHED, GOES_BACK];

/// What the host is about to do.
///
/// # Errors
/// When nothing has shown that it may.
pub fn asks(act: &Act, witness: &mut Witness) -> Result<(), Violation> {
    match act {
        Act::Confirm { trial_id, boot_nonce } => {
            let this = (u32::try_from(*trial_id).unwrap_or(0), *boot_nonce);
            let seen = [witness.identified, witness.told_status, witness.passed];
            if seen != [Some(this); 3] || witness.has_failed || witness.was_stopped {
                return broken("P2", format!("confirms boot {this:?}; passed: {seen:?}"));
            }
            witness.judged = Some(this);
        }
        Act::Rollback { blames_bundle: true, .. } if !has_cause(witness) => {
            return broken("P10", "blames a bundle that nothing speaks against".to_owned());
        }
        _ => {}
    }
    Ok(())
}

/// What the host says in the end.
///
/// # Errors
/// When it is not so.
pub fn ends(state: &State, scene: &Scene) -> Result<(), Violation> {
    let Some(ended) = &state.host.ended else { return Ok(()) };
    let end = &ended.end;
    let record = &state.machine.record;
    let new = scene.new_release();
    let holds_new =
        record.active.is_some_and(|slot| record.slots.get(slot).bundle() == Some(new.digest));
    let is_committed = holds_new && record.trial.is_none();
    let says = |seen: &str| {
        let (outcome, verdict, code) = (end.outcome, end.verdict, end.exit_code);
        broken(
            "P10",
            format!("ends {outcome:?}, {verdict:?}, exit {code} ({}); {seen}", end.message),
        )
    };
    match end.outcome {
        Outcome::Committed | Outcome::AlreadyRunning if !is_committed => {
            return says("the new version is not confirmed");
        }
        Outcome::RolledBack | Outcome::WentBackByItself if holds_new || record.trial.is_some() => {
            return says("the old version is not the one that stays");
        }
        Outcome::Refused if holds_new => return says("the new version is confirmed"),
        Outcome::Held => return says("nobody has asked to hold it"),
        _ => {}
    }
    if end.exit_code == 0 && !is_committed {
        return says("exit 0 and not confirmed");
    }
    let message = &end.message;
    let is_changed = record.active != state.witness.found;
    if message.contains(UNTOUCHED) && is_changed {
        return says("another version is confirmed than before");
    }
    if message.contains(GOES_BACK) && holds_new && is_changed {
        return says("the new version is confirmed");
    }
    let is_in_doubt =
        matches!(end.outcome, Outcome::Error | Outcome::NeedsService | Outcome::Interrupted);
    if is_in_doubt && !state.witness.was_disturbed {
        return says("in doubt, and nothing went wrong");
    }
    if end.outcome == Outcome::Interrupted && !state.witness.was_stopped {
        return says("nobody has interrupted it");
    }
    if end.verdict == RunVerdict::Rejected && !has_cause(&state.witness) {
        return says("nothing speaks against the bundle");
    }
    if end.verdict.allows_commit() && !is_committed {
        return says("qualified, and not confirmed");
    }
    let blamed =
        matches!(record.slots.b, SlotState::Rejected { reason: RejectReason::HostDecided, .. });
    if end.outcome == Outcome::RolledBack && blamed && !has_cause(&state.witness) {
        return says("the device was told that the bundle is at fault");
    }
    Ok(())
}

const fn has_cause(witness: &Witness) -> bool {
    witness.has_failed || witness.has_crashed
}
