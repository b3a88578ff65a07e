//! What has to come of a device from every state that it can be in, if nobody does anything more, or if somebody
//! runs the order again and nothing goes wrong.

use firmware_protocol::boot::{BootRow, ResetCause, Start};
use firmware_protocol::slot::{RejectReason, SlotId, SlotState};
use noflake::evidence::Outcome;

use super::chip::Verdict;
use super::fate::{Budget, CAUSES};
use super::machine::Machine;
use super::scene::{BOOT_MAX_MS, BOOTS, LEASE_MS, Scene};
use super::state::State;
use super::witness::{Violation, Witness, broken};

/// More requests than a whole run makes.
const MOST_REQUESTS: u32 = 400;
/// What a device is given beyond its deadlines, in milliseconds.
const SLACK_MS: u64 = 1_000;

/// Holds a device to all of it.
///
/// # Errors
/// The first promise that does not hold.
pub fn holds(machine: &Machine, witness: Witness, scene: &Scene) -> Result<(), Violation> {
    let mut machine = machine.clone();
    machine.set_verdict(Verdict::Pass);
    starts(&machine, witness, scene)?;
    left_alone(&machine, witness, scene)?;
    crashes_on(&machine, witness, scene)?;
    is_run_again(&machine, witness, Verdict::Pass, scene)?;
    is_run_again(&machine, witness, Verdict::Fail, scene)
}

/// P1: whatever resets it, it starts what was admitted, or what is on trial and armed; byte for byte.
fn starts(machine: &Machine, witness: Witness, scene: &Scene) -> Result<(), Violation> {
    for cause in CAUSES.into_iter().chain([ResetCause::Requested]) {
        let (mut machine, mut witness) = (machine.clone(), witness);
        let was_last = machine.record.crash_left <= 1 && !machine.runs_trial();
        machine.restart(cause, scene, &mut witness)?;
        let handover = machine.handover;
        // The confirmed image has used up its crashes, and nothing else was ever confirmed.
        if was_last && handover.row == BootRow::CrashedAlone {
            continue;
        }
        let Start::Slot(slot) = handover.start else {
            return broken(
                "P1",
                format!("starts recovery ({}), row {:?}", cause.word(), handover.row),
            );
        };
        let record = machine.record.clone();
        let may_run = match record.slots.get(slot) {
            SlotState::Admitted { .. } => record.active == Some(slot),
            SlotState::Staged { .. } => handover.row == BootRow::TrialArmed && machine.runs_trial(),
            SlotState::Empty | SlotState::Writing { .. } | SlotState::Rejected { .. } => false,
        };
        if !may_run || !is_whole(&mut machine, slot, scene) {
            return broken("P1", format!("starts slot {slot:?}, {:?}", record.slots.get(slot)));
        }
    }
    Ok(())
}

/// Every byte of a slot is that of the release that the record names.
fn is_whole(machine: &mut Machine, slot: SlotId, scene: &Scene) -> bool {
    let bundle = machine.record.slots.get(slot).bundle();
    let Some(release) = bundle.and_then(|bundle| scene.releases.of(bundle)) else { return false };
    let layout = scene.part.layout.slot(slot);
    let flash = machine.flash();
    flash.holds(layout.manifest, &release.envelope)
        && layout
            .areas
            .iter()
            .zip(&release.payloads)
            .all(|(area, payload)| flash.holds(area.range, payload))
}

/// P3: without a host, a trial is over behind its lease, and the device then rests in what is confirmed.
fn left_alone(machine: &Machine, mut witness: Witness, scene: &Scene) -> Result<(), Violation> {
    let mut machine = machine.clone();
    let active = machine.record.active;
    let by_ms = machine.now_ms + LEASE_MS.max(BOOT_MAX_MS) + SLACK_MS;
    machine.pass(by_ms, scene, &mut witness)?;
    if machine.record.trial.is_some() {
        return broken("P3", "a trial is open behind its lease".to_owned());
    }
    rests(&mut machine, witness, active, scene)
}

/// It runs the confirmed version, and goes on doing so.
fn rests(
    machine: &mut Machine,
    mut witness: Witness,
    active: Option<SlotId>,
    scene: &Scene,
) -> Result<(), Violation> {
    let runs = machine.handover.start;
    if machine.record.active != active || Some(runs) != active.map(Start::Slot) {
        return broken("P3", format!("alone it runs {runs:?}, confirmed was {active:?}"));
    }
    let boots = machine.boots();
    let record = machine.record.clone();
    machine.pass(machine.now_ms + 2 * LEASE_MS, scene, &mut witness)?;
    let is_same = machine.record.slots == record.slots && machine.record.active == record.active;
    if machine.boots() != boots || !is_same {
        return broken("P3", "alone it does not come to rest".to_owned());
    }
    Ok(())
}

/// P2, P3: an image on trial that does nothing but crash runs a bounded number of times.
fn crashes_on(machine: &Machine, mut witness: Witness, scene: &Scene) -> Result<(), Violation> {
    let mut machine = machine.clone();
    for _ in 0..=BOOTS {
        if !machine.runs_trial() {
            return Ok(());
        }
        machine.restart(ResetCause::Watchdog, scene, &mut witness)?;
    }
    broken("P2", format!("a trial of {BOOTS} boots is not over behind as many crashes"))
}

/// P6: another run of the order commits it, or rolls it back, if nothing goes wrong in it.
fn is_run_again(
    machine: &Machine,
    mut witness: Witness,
    verdict: Verdict,
    scene: &Scene,
) -> Result<(), Violation> {
    let was_new = runs_new(machine, scene);
    witness.begin_run(machine.record.active);
    let mut state = State::on(machine.clone(), witness, Budget::none(), scene)?;
    for _ in 0..MOST_REQUESTS {
        if !state.go_smoothly(verdict, scene)? {
            break;
        }
    }
    let Some(ended) = state.host.ended.clone() else {
        return broken("P6", "another run does not end".to_owned());
    };
    let outcome = ended.end.outcome;
    let is_expected = match outcome {
        Outcome::Committed => verdict == Verdict::Pass,
        Outcome::AlreadyRunning => was_new,
        Outcome::RolledBack => verdict == Verdict::Fail,
        // It has to be asked for with --again.
        Outcome::Refused => is_blamed(&state.machine),
        Outcome::WentBackByItself
        | Outcome::Error
        | Outcome::Interrupted
        | Outcome::NeedsService
        | Outcome::Held => false,
    };
    if is_expected {
        return Ok(());
    }
    let message = &ended.end.message;
    broken("P6", format!("another run, checks {verdict:?}, ends {outcome:?}: {message}"))
}

fn runs_new(machine: &Machine, scene: &Scene) -> bool {
    let active = machine.record.active;
    active.and_then(|slot| machine.record.slots.get(slot).bundle())
        == Some(scene.new_release().digest)
}

/// The device has rejected the bundle for a fault of its own.
fn is_blamed(machine: &Machine) -> bool {
    let slots = &machine.record.slots;
    [slots.a, slots.b].iter().any(|slot| {
        matches!(
            slot,
            SlotState::Rejected {
                reason: RejectReason::HostDecided
                    | RejectReason::BootLimit
                    | RejectReason::Crashed
                    | RejectReason::BootsSpent,
                ..
            }
        )
    })
}
