//! One state of everything: a host's machine in the middle of an errand, and a device that runs.

use std::sync::Arc;

use firmware_protocol::boot::ResetCause;
use firmware_protocol::slot::SlotId;
use noflake::qualify::runner::{Act, Ended, Runner, StopWhy};

use super::canonical::{BEGIN_MS, FIRST_REQUEST, Print};
use super::errand::{self, Instead, Pause, Reach};
use super::fate::Budget;
use super::machine::Machine;
use super::question::{Heard, Question};
use super::scene::{Begin, Scene};
use super::truth;
use super::witness::{Violation, Witness};

/// Between two attempts to reach a device, in milliseconds.
const RETRY_MS: u64 = 50;
/// A session that was silent for so long is free, in milliseconds.
const IDLE_MS: u64 = firmware_protocol::device::SESSION_IDLE_MS;

/// One state.
#[derive(Debug, Clone)]
pub struct State {
    /// The device.
    pub machine: Machine,
    /// The host.
    pub host: Host,
    /// What has happened.
    pub witness: Witness,
    /// What may still happen.
    pub budget: Budget,
}

/// A host at work, or at the end of its run.
#[derive(Debug, Clone)]
pub struct Host {
    runner: Arc<Runner>,
    /// What the machine prints, and the names in that; kept, as it changes with each act only.
    print: (u64, Arc<Vec<u64>>, u64),
    act: Arc<Act>,
    reach: Reach,
    heard: Vec<Heard>,
    /// The answer that is waited for; `None` at the end.
    pub question: Option<Question>,
    /// Number of the next request.
    pub next_id: u32,
    /// How the run has ended.
    pub ended: Option<Arc<Ended>>,
}

impl Host {
    /// Until when the device is waited for, in milliseconds.
    pub fn waits_until_ms(&self) -> Option<u64> {
        match &*self.act {
            Act::Connect { until_ms, .. } | Act::Look { until_ms } => Some(*until_ms),
            _ => None,
        }
    }
}

impl State {
    /// A run of the scene's order on a device that begins so.
    ///
    /// # Errors
    /// When a promise does not hold.
    pub fn begin(scene: &Scene, begin: Begin, budget: Budget) -> Result<Self, Violation> {
        let (mut witness, flash) = (Witness::default(), scene.flash(begin));
        let machine = Machine::start(flash, ResetCause::PowerOn, BEGIN_MS, scene, &mut witness)?;
        Self::on(machine, witness, budget, scene)
    }

    /// A run of the scene's order on a device that runs.
    ///
    /// # Errors
    /// When a promise does not hold.
    pub fn on(
        machine: Machine,
        witness: Witness,
        budget: Budget,
        scene: &Scene,
    ) -> Result<Self, Violation> {
        let now_ms = machine.now_ms;
        let runner = Runner::new(scene.order.clone(), now_ms);
        let host = Host {
            runner: Arc::new(runner),
            print: (0, Arc::new(Vec::new()), 0),
            act: Arc::new(Act::WaitUntil { at_ms: 0 }),
            reach: Reach::default(),
            heard: Vec::new(),
            question: None,
            next_id: FIRST_REQUEST,
            ended: None,
        };
        let mut state = Self { machine, host, witness, budget };
        state.run_again(scene)?;
        Ok(state)
    }

    /// The host is another one, and begins from nothing.
    ///
    /// # Errors
    /// When a promise does not hold.
    pub fn run_again(&mut self, scene: &Scene) -> Result<(), Violation> {
        self.witness.begin_run(self.machine.record.active);
        let runner = Runner::new(scene.order.clone(), self.machine.now_ms);
        self.host.reach = Reach::default();
        self.host.ended = None;
        self.next_act(runner, scene)?;
        self.go_on(scene)
    }

    /// The host hears this to its question.
    ///
    /// # Errors
    /// When a promise does not hold.
    pub fn hear(&mut self, heard: Heard, scene: &Scene) -> Result<(), Violation> {
        self.host.heard.push(heard);
        self.go_on(scene)
    }

    /// The operator asks to stop.
    ///
    /// # Errors
    /// When a promise does not hold.
    pub fn stop(&mut self, scene: &Scene) -> Result<(), Violation> {
        self.witness.was_stopped = true;
        let mut runner = Runner::clone(&self.host.runner);
        runner.stop(self.machine.now_ms, StopWhy::Operator);
        self.next_act(runner, scene)?;
        self.go_on(scene)
    }

    /// Goes on until an answer is waited for, or the run is over.
    fn go_on(&mut self, scene: &Scene) -> Result<(), Violation> {
        while self.host.ended.is_none() {
            let now_ms = self.machine.now_ms;
            let release = scene.new_release();
            let host = &mut self.host;
            let mut reach = host.reach.clone();
            match errand::run(&host.act, &mut reach, &host.heard, now_ms, release) {
                Pause::For(question) => {
                    host.reach.entered = reach.entered;
                    host.question = Some(question);
                    return Ok(());
                }
                Pause::Until(at_ms) => self.machine.pass(at_ms, scene, &mut self.witness)?,
                Pause::Retry(instead) => {
                    host.reach = reach;
                    host.heard.clear();
                    self.wait(instead, scene)?;
                }
                Pause::Over(saw) => {
                    host.reach = reach;
                    let mut runner = Runner::clone(&host.runner);
                    runner.hear(now_ms, Vec::new());
                    runner.observe(now_ms, *saw);
                    self.next_act(runner, scene)?;
                }
            }
        }
        Ok(())
    }

    /// Waits before the device is looked for again. Attempts in between would find the same.
    fn wait(&mut self, instead: Instead, scene: &Scene) -> Result<(), Violation> {
        let now_ms = self.machine.now_ms;
        let limit_ms = self.host.waits_until_ms().unwrap_or(now_ms + RETRY_MS).max(now_ms + 1);
        match instead {
            Instead::Silence => self.machine.pass(now_ms + RETRY_MS, scene, &mut self.witness),
            Instead::Held { idle_ms } => {
                let free_ms = now_ms + IDLE_MS.saturating_sub(u64::from(idle_ms)).max(1);
                self.machine.pass(free_ms.min(limit_ms), scene, &mut self.witness)
            }
            Instead::BootBefore => {
                let boots = self.machine.boots();
                while self.machine.boots() == boots && self.machine.now_ms < limit_ms {
                    let next_ms = (self.machine.now_ms + RETRY_MS).min(limit_ms);
                    self.machine.pass(next_ms, scene, &mut self.witness)?;
                }
                Ok(())
            }
        }
    }

    fn next_act(&mut self, mut runner: Runner, scene: &Scene) -> Result<(), Violation> {
        let now_ms = self.machine.now_ms;
        let act = loop {
            match runner.poll(now_ms) {
                Act::Record { .. } => {}
                act => break act,
            }
        };
        truth::asks(&act, &mut self.witness)?;
        self.host.heard.clear();
        self.host.question = None;
        if let Act::End(ended) = act {
            self.host.ended = Some(Arc::new(*ended));
            return truth::ends(self, scene);
        }
        let mut print = Print::new(now_ms);
        print.add(&runner);
        print.add(&act);
        let (number, names) = print.finish();
        self.host.print = (number, Arc::new(names), now_ms);
        self.host.runner = Arc::new(runner);
        self.host.act = Arc::new(act);
        Ok(())
    }

    /// The session that the next request names.
    pub const fn session(&self) -> u32 {
        self.host.reach.entered
    }

    /// What is done just now, and what for, in words.
    pub fn in_words(&self) -> String {
        let record = &self.machine.record;
        let trial = record.trial.map_or_else(String::new, |trial| {
            format!(
                ", trial {:#x} (armed {}, boots left {})",
                trial.trial_id, trial.armed, trial.boots_left
            )
        });
        let act = match &self.host.ended {
            Some(ended) => format!("ended: {:?}, {}", ended.end.outcome, ended.end.message),
            None => {
                format!("{:?}", self.host.act).split([' ', '(']).next().unwrap_or_default().into()
            }
        };
        let after_ms = self.machine.now_ms - BEGIN_MS;
        let start = self.machine.handover.start;
        format!("{after_ms:>6} ms  {act}; runs {start:?}, confirmed {:?}{trial}", record.active)
    }

    /// One number for it, and one for its device alone.
    pub fn digests(&mut self, scene: &Scene) -> (u64, u64) {
        let mut print = Print::new(self.machine.now_ms);
        self.print_machine(&mut print, scene);
        let of_machine = print.so_far();
        let (of_runner, names, at_ms) = self.host.print.clone();
        print.add_printed(of_runner, &names);
        print.add_value(&(self.machine.now_ms - at_ms.min(self.machine.now_ms)));
        print.add(&(&self.host.reach, &self.host.heard, self.host.question));
        print.add(&(self.witness, self.budget));
        if let Some(ended) = &self.host.ended {
            print.add_value(&(ended.end.exit_code, &ended.end.message));
        }
        (print.finish().0, of_machine)
    }

    fn print_machine(&mut self, print: &mut Print, scene: &Scene) {
        let uptime_ms = self.machine.uptime_ms();
        let until_ms = self.machine.trial_ends_ms();
        print.add_engine(self.machine.engine(), uptime_ms);
        print.add(&until_ms);
        for slot in SlotId::ALL {
            let layout = scene.part.layout.slot(slot);
            print.add_value(&self.machine.flash().digest(layout.manifest));
            for area in &layout.areas {
                print.add_value(&self.machine.flash().digest(area.range));
            }
        }
    }
}
