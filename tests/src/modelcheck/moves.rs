//! What can happen next: every fate of the request that the host is about to send.

use firmware_protocol::boot::ResetCause;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::{RejectReason, SlotState};

use super::chip::Verdict;
use super::fate::{Beside, CAUSES, Fate, Step};
use super::machine::{Delivered, Letter};
use super::question::{Heard, Question};
use super::scene::Scene;
use super::state::State;
use super::witness::{Violation, broken};

/// Wait for an answer of a device that says nothing before it is asked again, in milliseconds. What is asked again because
/// a frame was lost comes at once: the wait is nothing beside a lease.
const RETRY_MS: u64 = 300;
/// Silence after which a request is given up, in milliseconds; of the first one of a connection, and of all others.
const PATIENCE_MS: [u64; 2] = [1_000, 8_000];
/// Wait before a device that was busy is asked anew, in milliseconds.
const BUSY_MS: u64 = 200;
/// More often than a device is asked how far it has come.
const MOST_ASKED: u32 = 400;
/// More operations than one request, or one start, does.
const MOST_OPERATIONS: u32 = 64;

/// What becomes of a state in one step.
pub type Outcome = (Step, Result<State, Violation>);

/// Every state that can follow.
pub fn successors(state: &State, scene: &Scene) -> Vec<Outcome> {
    let Some(question) = state.host.question else { return run_again(state, scene) };
    let mut found = Vec::new();
    let mut try_fate = |fate: Fate| {
        let Some(budget) = state.budget.behind(fate) else { return false };
        let mut next = state.clone();
        next.budget = budget;
        match next.meet(question, fate, scene) {
            Ok(true) => found.push((Step::Asked(question, fate), Ok(next))),
            Ok(false) => return false,
            Err(violation) => found.push((Step::Asked(question, fate), Err(violation))),
        }
        true
    };
    if matches!(question, Question::RunCheck(_)) {
        for verdict in [Verdict::Pass, Verdict::Fail, Verdict::Never] {
            try_fate(Fate::Judged(verdict));
        }
    } else {
        try_fate(Fate::Answered);
    }
    for fate in [Fate::Lost, Fate::Gone, Fate::StoppedBefore, Fate::DiedBefore] {
        try_fate(fate);
    }
    for beside in [Beside::Before, Beside::At, Beside::Behind] {
        try_fate(Fate::Stalled(beside));
    }
    for cause in CAUSES {
        try_fate(Fate::ResetBefore(cause));
        // Behind none of them it is the reset by power that was tried above.
        let ends = (1..=MOST_OPERATIONS).any(|count| !try_fate(Fate::CutInBoot(cause, count)));
        assert!(ends, "a start does more than {MOST_OPERATIONS} operations");
    }
    if question.only_reads() {
        // Whether it was done makes no difference then.
        return found;
    }
    for fate in [Fate::Twice, Fate::Unheard, Fate::StoppedBehind, Fate::DiedBehind] {
        try_fate(fate);
    }
    for cause in CAUSES {
        try_fate(Fate::ResetBehind(cause));
    }
    let ends = (1..=MOST_OPERATIONS).any(|count| !try_fate(Fate::CutBehind(count)));
    assert!(ends, "a request does more than {MOST_OPERATIONS} operations");
    found
}

fn run_again(state: &State, scene: &Scene) -> Vec<Outcome> {
    let Some(budget) = state.budget.behind(Fate::DiedBefore) else { return Vec::new() };
    let mut next = state.clone();
    next.budget = budget;
    let begun = next.run_again(scene);
    vec![(Step::RunAgain, begun.map(|()| next))]
}

impl State {
    /// Lets one thing happen to the request that is about to be sent. False when it cannot happen to this one.
    ///
    /// # Errors
    /// When a promise does not hold.
    pub fn meet(
        &mut self,
        question: Question,
        fate: Fate,
        scene: &Scene,
    ) -> Result<bool, Violation> {
        self.witness.was_disturbed |= !fate.is_smooth();
        match fate {
            Fate::Answered => self.exchange(question, scene)?,
            Fate::Judged(verdict) => {
                self.machine.set_verdict(verdict);
                self.exchange(question, scene)?;
            }
            Fate::Twice => {
                self.deliver(question, scene)?;
                self.exchange(question, scene)?;
            }
            Fate::Lost => self.give_up(question, scene)?,
            Fate::Unheard => {
                self.deliver(question, scene)?;
                self.give_up(question, scene)?;
            }
            Fate::Gone => {
                let (Question::Hello, Some(until_ms)) = (question, self.host.waits_until_ms())
                else {
                    return Ok(false);
                };
                self.machine.pass(until_ms, scene, &mut self.witness)?;
                self.give_up(question, scene)?;
            }
            Fate::ResetBefore(cause) => {
                self.reset(cause, scene)?;
                self.exchange(question, scene)?;
            }
            Fate::ResetBehind(cause) => {
                self.deliver(question, scene)?;
                self.reset(cause, scene)?;
                self.exchange(question, scene)?;
            }
            Fate::CutBehind(operations) => return self.cut(question, operations, scene),
            Fate::CutInBoot(cause, operations) => {
                self.note_crash(cause);
                let witness = &mut self.witness;
                if !self.machine.restart_twice(cause, operations, scene, witness)? {
                    return Ok(false);
                }
                self.exchange(question, scene)?;
            }
            Fate::Stalled(beside) => return self.stall(question, beside, scene),
            Fate::StoppedBefore | Fate::StoppedBehind => {
                if fate == Fate::StoppedBehind {
                    self.deliver(question, scene)?;
                }
                self.stop(scene)?;
            }
            Fate::DiedBefore | Fate::DiedBehind => {
                if fate == Fate::DiedBehind {
                    self.deliver(question, scene)?;
                }
                self.run_again(scene)?;
            }
        }
        Ok(true)
    }

    /// The next request is answered, and a check comes out so; false when the run is over.
    ///
    /// # Errors
    /// When a promise does not hold.
    pub fn go_smoothly(&mut self, verdict: Verdict, scene: &Scene) -> Result<bool, Violation> {
        let Some(question) = self.host.question else { return Ok(false) };
        let is_check = matches!(question, Question::RunCheck(_));
        let fate = if is_check { Fate::Judged(verdict) } else { Fate::Answered };
        self.meet(question, fate, scene)
    }

    /// The request arrives, and the host hears what is said to it, however long that takes.
    fn exchange(&mut self, question: Question, scene: &Scene) -> Result<(), Violation> {
        let began_ms = self.machine.now_ms;
        for _ in 0..MOST_ASKED {
            let delivered = self.deliver(question, scene)?;
            let wait_ms = match delivered {
                Delivered::Answer(Heard::Working) => RETRY_MS * 5,
                Delivered::Answer(Heard::Refused(Refusal::Busy)) => {
                    self.host.next_id += 1;
                    BUSY_MS
                }
                Delivered::Answer(heard) => return self.take(heard, scene),
                Delivered::Silence if matches!(question, Question::Chunk { .. }) => {
                    return self.take(Heard::Done, scene);
                }
                Delivered::Silence | Delivered::Cut => RETRY_MS,
            };
            self.pass(wait_ms, scene)?;
            if self.machine.now_ms > began_ms + PATIENCE_MS[1] * 8 {
                break;
            }
        }
        self.take(Heard::Nothing, scene)
    }

    /// What the device says to a request at once; the host does not hear it.
    ///
    /// # Errors
    /// When a promise does not hold.
    pub fn answer(
        &mut self,
        question: Question,
        scene: &Scene,
    ) -> Result<Option<Heard>, Violation> {
        Ok(match self.deliver(question, scene)? {
            Delivered::Answer(heard) => Some(heard),
            Delivered::Silence | Delivered::Cut => None,
        })
    }

    fn deliver(&mut self, question: Question, scene: &Scene) -> Result<Delivered, Violation> {
        let letter = self.letter(question);
        let boots = self.machine.boots();
        let boot = self.machine.trial_boot();
        let delivered = self.machine.deliver(letter, None, scene, &mut self.witness)?;
        if boots == self.machine.boots() {
            self.note_answer(&delivered, boot);
        }
        Ok(delivered)
    }

    const fn letter(&self, question: Question) -> Letter {
        Letter { question, id: self.host.next_id, session: self.session() }
    }

    fn take(&mut self, heard: Heard, scene: &Scene) -> Result<(), Violation> {
        self.host.next_id += 1;
        self.hear(heard, scene)
    }

    /// No answer comes, until the host waits no longer.
    fn give_up(&mut self, question: Question, scene: &Scene) -> Result<(), Violation> {
        let patience_ms = PATIENCE_MS[usize::from(question != Question::Hello)];
        self.pass(patience_ms, scene)?;
        self.take(Heard::Nothing, scene)
    }

    fn pass(&mut self, ms: u64, scene: &Scene) -> Result<(), Violation> {
        let until_ms = self.machine.now_ms + ms;
        self.pass_until(until_ms, scene)
    }

    fn pass_until(&mut self, until_ms: u64, scene: &Scene) -> Result<(), Violation> {
        self.machine.pass(until_ms, scene, &mut self.witness)?;
        let slots = &self.machine.record.slots;
        let has_ended = [slots.a, slots.b].into_iter().any(ended_by_limit);
        self.witness.has_crashed |= has_ended;
        Ok(())
    }

    fn reset(&mut self, cause: ResetCause, scene: &Scene) -> Result<(), Violation> {
        self.note_crash(cause);
        self.machine.restart(cause, scene, &mut self.witness)
    }

    /// By the device's own count, an image that is on trial and is reset by anything but power has crashed.
    fn note_crash(&mut self, cause: ResetCause) {
        let is_power = cause == ResetCause::PowerOn;
        self.witness.has_crashed |= !is_power && self.machine.runs_trial();
    }

    fn cut(
        &mut self,
        question: Question,
        operations: u32,
        scene: &Scene,
    ) -> Result<bool, Violation> {
        let letter = self.letter(question);
        let witness = &mut self.witness;
        if self.machine.deliver(letter, Some(operations), scene, witness)? != Delivered::Cut {
            return Ok(false);
        }
        self.reset(ResetCause::PowerOn, scene)?;
        self.exchange(question, scene)?;
        Ok(true)
    }

    /// A trial lives to its deadline and no longer.
    fn stall(
        &mut self,
        question: Question,
        beside: Beside,
        scene: &Scene,
    ) -> Result<bool, Violation> {
        let Some(mut ends_ms) = self.machine.trial_ends_ms() else { return Ok(false) };
        loop {
            let boots = self.machine.boots();
            self.pass_until(ends_ms - 1, scene)?;
            match self.machine.trial_ends_ms() {
                Some(same_ms) if same_ms == ends_ms => break,
                // A reset was under way, and another boot has its own deadline.
                Some(other_ms) => ends_ms = other_ms,
                None if self.machine.boots() != boots => return Ok(false),
                None => return broken("P3", "a trial ends before its deadline".to_owned()),
            }
        }
        if beside != Beside::Before {
            self.pass_until(ends_ms, scene)?;
            if self.machine.record.trial.is_some() {
                let seen = "a trial is open at its deadline".to_owned();
                return broken("P3", seen);
            }
        }
        if beside == Beside::Behind {
            self.pass(1, scene)?;
        }
        self.exchange(question, scene)?;
        Ok(true)
    }

    /// What the device has said of itself in a trial's boot.
    fn note_answer(&mut self, delivered: &Delivered, boot: Option<(u32, u64)>) {
        let Delivered::Answer(heard) = delivered else { return };
        match heard {
            Heard::Identity(..) => self.witness.identified = boot.or(self.witness.identified),
            Heard::Status(_) => self.witness.told_status = boot.or(self.witness.told_status),
            Heard::Reading(tenths) if *tenths >= LEAST_TENTHS => self.witness.passed = boot,
            Heard::Reading(_) => {
                self.witness.passed = None;
                self.witness.has_failed = true;
            }
            _ => {}
        }
    }
}

const fn ended_by_limit(slot: SlotState) -> bool {
    matches!(slot, SlotState::Rejected { reason: RejectReason::BootLimit, .. })
}

/// The plan's limit, in tenths of a volt.
const LEAST_TENTHS: i64 = 30;
