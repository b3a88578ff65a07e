//! A whole deployment as a pure machine: precheck, stage, trial boot, the plan's checks, then confirm
//! and verify, or roll back and verify.
//!
//! It knows actions and sightings only. Whoever drives it carries out each [`Act`] and reports one
//! [`Saw`]; the clock is an argument. So one machine serves deploy and qualify, bench, field and
//! simulator, whatever protocol reaches the device.

mod act;
mod deciding;
mod ending;
mod fate;
mod flow;
mod lost;
mod notes;
mod precheck;
mod stopping;
mod taken_over;
mod trial;

use std::collections::VecDeque;

use crate::evidence::{Entry, Phase, Verb};
use crate::plan::Plan;
use crate::verdict::RunVerdict;

use super::observation::{BootSeen, ConsoleLine, DeviceFacts, Expectation, Seen, StatusFacts};
use super::run::{PlanRun, StageEntry};

pub use self::act::{Act, ComponentHash, Missing, Saw, StagedFacts, Terms};
pub use self::ending::Ended;
use self::fate::Asked;
use self::lost::CutShort;
pub use self::stopping::{GOES_BACK, UNTOUCHED};

/// Most console lines that checks can look at.
const CONSOLE_LINES: usize = 10_000;
/// Most memory that these lines take, in bytes.
const CONSOLE_BYTES: usize = 4 * 1_024 * 1_024;

/// What is to be deployed, and how it is to be judged.
#[derive(Debug, Clone)]
pub struct Order {
    /// The verb that was typed.
    pub verb: Verb,
    /// Product of the bundle.
    pub product: String,
    /// Hardware ids with first and last revision.
    pub hardware: Vec<(String, u32, u32)>,
    /// Version of the bundle.
    pub version: String,
    /// Bundle digest.
    pub bundle: [u8; 32],
    /// The plan.
    pub plan: Plan,
    /// Try again what the device has rejected before.
    pub again: bool,
    /// End what another run has on trial.
    pub take_over: bool,
    /// The command that brings this device back with this bundle when it has lost its record.
    pub recover: String,
}

/// Why a run has to stop before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopWhy {
    /// The operator asked for it.
    Operator,
    /// What happens can no longer be put on record.
    NoEvidence {
        /// Why.
        reason: String,
    },
}

impl StopWhy {
    fn in_words(&self) -> &str {
        match self {
            Self::Operator => "interrupted by the operator",
            Self::NoEvidence { reason } => reason,
        }
    }
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Runner {
    order: Order,
    state: State,
    pending: VecDeque<Act>,
    plan_run: PlanRun,
    recorded_outcomes: usize,
    expect: Expectation,
    before: Option<DeviceFacts>,
    status: Option<StatusFacts>,
    trial: Option<TrialOpen>,
    boot: Option<BootSeen>,
    console: Vec<ConsoleLine>,
    console_bytes: usize,
    /// When the device last said anything.
    heard_ms: u64,
    left_ms: u64,
    downtime_ms: Option<u64>,
    phase: Option<Phase>,
    stage: Option<String>,
    again: bool,
    /// The open trial of an earlier run that this one has ended.
    swept: Option<u64>,
    reached: Reached,
    stopping: Option<StopWhy>,
    /// A stage that waits for the device to be where it expects it.
    waiting_stage: Option<StageEntry>,
    retries: u8,
    /// What the checks came to before the rest of the plan was given up.
    early_verdict: Option<RunVerdict>,
    /// Why the trial's boot was over before it was judged and kept.
    cut_short: Option<CutShort>,
    /// What was asked of the trial.
    asked: Asked,
    /// The device has been changed since its status was read.
    is_status_old: bool,
    /// What an ask of the plan came to, while it is looked what became of the device.
    unanswered: Option<Seen>,
    after: Option<DeviceFacts>,
}

/// How far the bundle has come on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Nothing,
    Staged,
    Committed,
}

/// The trial that this run has opened or taken over.
#[derive(Debug, Clone, Copy)]
struct TrialOpen {
    trial_id: u64,
    boot_nonce: Option<u64>,
    /// Crashes left when the device last told it.
    crash_left: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Begin,
    Connecting,
    ComparingRunning,
    /// `resets`: that trial was the one running, so giving it up resets the device.
    RollingBackOld {
        resets: bool,
    },
    Planning,
    Answering,
    Waiting,
    Staging,
    OpeningTrial,
    Arming,
    Resetting,
    AwaitingBoot,
    Confirming,
    VerifyingConfirm,
    RollingBack,
    VerifyingRollback,
    /// The device did not answer, or forgot its session: what became of it?
    LookingAgain {
        why: String,
        until_ms: u64,
    },
    /// Another host has the session: what does it run there?
    LookingOn,
    Ended(Box<Ended>),
}

impl Runner {
    /// A run of `order`; its time limit counts from `now_ms`.
    #[must_use]
    pub fn new(order: Order, now_ms: u64) -> Self {
        let expect = Expectation {
            product: order.product.clone(),
            hardware: String::new(),
            version: order.version.clone(),
            bundle: order.bundle,
            trial_slot: super::observation::Where::SlotB,
            from_recovery: false,
            confirmed: None,
            plan: order.plan.digest(),
        };
        Self {
            plan_run: PlanRun::new(&order.plan, now_ms),
            again: order.again,
            swept: None,
            order,
            state: State::Begin,
            pending: VecDeque::new(),
            recorded_outcomes: 0,
            expect,
            before: None,
            status: None,
            trial: None,
            boot: None,
            console: Vec::new(),
            console_bytes: 0,
            heard_ms: now_ms,
            left_ms: now_ms,
            downtime_ms: None,
            phase: None,
            stage: None,
            reached: Reached::Nothing,
            stopping: None,
            waiting_stage: None,
            retries: 0,
            early_verdict: None,
            cut_short: None,
            asked: Asked::default(),
            is_status_old: false,
            unanswered: None,
            after: None,
        }
    }

    /// What to do next. Every act but [`Act::Record`] and [`Act::End`] is answered by one
    /// [`Runner::observe`].
    pub fn poll(&mut self, now_ms: u64) -> Act {
        loop {
            if let Some(act) = self.pending.pop_front() {
                return act;
            }
            match self.state.clone() {
                State::Begin => {
                    self.enter_phase(Phase::Precheck, now_ms);
                    self.state = State::Connecting;
                    let limit_ms = self.order.plan.timeouts.first_connect_ms;
                    let until_ms = now_ms.saturating_add(limit_ms);
                    self.act(Act::Connect { until_ms, not_boot: None });
                }
                State::Planning => self.poll_plan(now_ms),
                State::Ended(ended) => return Act::End(ended),
                // Everything else waits for what its act will show.
                State::Connecting
                | State::ComparingRunning
                | State::RollingBackOld { .. }
                | State::Answering
                | State::Waiting
                | State::Staging
                | State::OpeningTrial
                | State::Arming
                | State::Resetting
                | State::AwaitingBoot
                | State::Confirming
                | State::VerifyingConfirm
                | State::RollingBack
                | State::VerifyingRollback
                | State::LookingAgain { .. }
                | State::LookingOn => {
                    return Act::WaitUntil { at_ms: now_ms };
                }
            }
        }
    }

    /// Takes what the last act has shown.
    pub fn observe(&mut self, now_ms: u64, saw: Saw) {
        if let Saw::Connected { status, .. } = &saw {
            self.status = Some((**status).clone());
            self.is_status_old = false;
        }
        match self.state.clone() {
            State::Connecting => self.connected(now_ms, saw),
            State::ComparingRunning => self.compared(now_ms, saw),
            State::RollingBackOld { resets } => self.old_rolled_back(now_ms, saw, resets),
            State::Answering => self.answered(now_ms, saw),
            State::Waiting => self.waited(now_ms, &saw),
            State::Staging => self.staged(now_ms, saw),
            State::OpeningTrial => self.trial_opened(now_ms, saw),
            State::Arming => self.armed(now_ms, saw),
            State::Resetting => self.resetting(now_ms, saw),
            State::AwaitingBoot => self.booted(now_ms, saw),
            State::Confirming => self.confirmed(now_ms, saw),
            State::VerifyingConfirm => self.confirm_verified(now_ms, saw),
            State::RollingBack => self.rolled_back(now_ms, &saw),
            State::VerifyingRollback => self.rollback_verified(now_ms, saw),
            State::LookingAgain { why, until_ms } => {
                self.looked_again(now_ms, saw, &why, until_ms);
            }
            State::LookingOn => self.looked_on(now_ms, &saw),
            State::Begin | State::Planning | State::Ended(_) => {}
        }
    }

    /// Takes console lines that came in, and when the device last said anything at all.
    pub fn hear(&mut self, heard_ms: u64, lines: Vec<ConsoleLine>) {
        self.heard_ms = self.heard_ms.max(heard_ms);
        for line in lines {
            self.record(line.at_ms, Entry::Console { text: line.text.clone() });
            let held_bytes = self.console_bytes.saturating_add(line.text.len());
            if self.console.len() < CONSOLE_LINES && held_bytes <= CONSOLE_BYTES {
                self.console_bytes = held_bytes;
                self.console.push(line);
            }
        }
    }

    /// When the plan's time for the run is over.
    #[must_use]
    pub const fn deadline_ms(&self) -> u64 {
        self.plan_run.deadline_ms()
    }

    /// Version and slots as found, for words to people.
    #[must_use]
    pub const fn before(&self) -> Option<&DeviceFacts> {
        self.before.as_ref()
    }

    /// True while the device is held by a trial of this run.
    #[must_use]
    pub const fn has_trial(&self) -> bool {
        self.trial.is_some()
    }

    fn act(&mut self, act: Act) {
        self.pending.push_back(act);
    }
}

#[cfg(test)]
mod tests;
