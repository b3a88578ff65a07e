//! Runs scenarios one after the other, each from the same state: a healthy version confirmed, and no trial open.

use std::cell::Cell;
use std::rc::Rc;

use firmware_protocol::message::Request;
use tokio::sync::watch;

use super::bundles::{Bundles, Role};
use super::chance::Chance;
use super::finding::{Fault, Finding, Stop};
use super::scenario::{Choice, Scenario};
use super::subject::Subject;
use super::table::{Row, Table};
use super::unit::{Deployed, Unit, UnitError};
use crate::bench::{DeviceError, Opened};
use crate::qualify::observation::DeviceFacts;

/// How the operator stops the suite.
#[derive(Debug, Clone)]
pub struct Stopping {
    /// How often the operator has asked to stop.
    pub asked: watch::Receiver<u32>,
    /// A whole deployment is under way, which ends by itself when it is asked to.
    pub is_deploying: Rc<Cell<bool>>,
}

impl Stopping {
    /// Waits until the operator has asked, and no deployment is under way that is about to end.
    async fn wait(&mut self, step: impl AsyncFn()) {
        if self.asked.wait_for(|count| *count > 0).await.is_err() {
            std::future::pending::<()>().await;
        }
        while self.is_deploying.get() && *self.asked.borrow() == 1 {
            step().await;
        }
    }

    fn is_asked(&self) -> bool {
        *self.asked.borrow() > 0
    }
}

/// Something a person may want to see while it happens.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// The device is brought to a healthy version.
    Begins(Role),
    /// A scenario starts.
    Starts(Scenario),
    /// A scenario has ended.
    Found(&'a Row),
}

/// How the suite ended.
#[derive(Debug)]
pub struct Ending {
    /// What was found.
    pub table: Table,
    /// The operator has stopped it.
    pub is_interrupted: bool,
    /// What the device runs, if it was seen behind the last scenario.
    pub runs: Option<DeviceFacts>,
    /// Whether that is a healthy version, confirmed.
    pub is_healthy: bool,
}

/// A suite that is ready to begin.
#[derive(Debug)]
pub struct Suite<'a, U> {
    /// The device.
    pub unit: U,
    /// The bundles.
    pub bundles: &'a Bundles,
    /// What is to be run.
    pub choice: Choice,
    /// Everything that is chosen at random follows from it.
    pub seed: u64,
}

impl<U: Unit> Suite<'_, U> {
    /// Runs everything that was chosen; what was not seen is not checked.
    pub async fn run(mut self, mut stopping: Stopping, tell: &mut dyn FnMut(Told<'_>)) -> Ending {
        let mut subject = Subject {
            unit: &mut self.unit,
            bundles: self.bundles,
            limits: self.bundles.limits(),
            chance: Chance::new(self.seed, ""),
            home: Role::Base,
            floor: 0,
        };
        let mut rows = Vec::new();
        let mut lost = tokio::select! {
            biased;
            () = stopping.wait(pause) => Some(interrupted()),
            begun = subject.begin(tell) => begun.err().map(|stop| Finding::from(Err(stop))),
        };
        for scenario in self.choice.in_turn() {
            // In virtual time nothing else gives way to who wants to stop.
            tokio::task::yield_now().await;
            let begun_ms = subject.device().now_ms();
            subject.chance = Chance::new(self.seed, &scenario.id());
            let finding = if let Some(lost) = &lost {
                lost.clone()
            } else {
                tokio::select! {
                    biased;
                    () = stopping.wait(pause) => interrupted(),
                    finding = subject.check(scenario, tell, &mut lost) => finding,
                }
            };
            if stopping.is_asked() {
                lost = Some(interrupted());
            }
            let took_ms = subject.device().now_ms().saturating_sub(begun_ms);
            let row = Row { scenario, finding, took_ms };
            tell(Told::Found(&row));
            rows.push(row);
        }
        let is_interrupted = stopping.is_asked();
        let runs = tokio::select! {
            biased;
            Ok(_) = stopping.asked.wait_for(|count| *count > 1) => None,
            left = subject.leave(lost.is_some() && !is_interrupted) => left,
        };
        let is_healthy = runs.as_ref().is_some_and(|(_, is_healthy)| *is_healthy);
        let runs = runs.map(|(facts, _)| facts);
        Ending { table: Table::new(rows), is_interrupted, runs, is_healthy }
    }
}

async fn pause() {
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}

fn interrupted() -> Finding {
    Finding::NotChecked { why: "interrupted by the operator".to_owned(), fault: Fault::None }
}

impl<U: Unit> Subject<'_, U> {
    /// Brings the device to a healthy version: `base`, or `next` where the floor lets nothing older in.
    async fn begin(&mut self, tell: &mut dyn FnMut(Told<'_>)) -> Result<(), Stop> {
        let floor = self.meet().await?.status.accept_floor;
        let admits =
            |role: &Role| self.bundles.security_version(*role).is_some_and(|it| it >= floor);
        let home = [Role::Base, Role::Next].into_iter().find(admits);
        self.home = home.unwrap_or(Role::Next);
        tell(Told::Begins(self.home));
        self.come_home().await?;
        self.floor = self.meet().await?.status.accept_floor;
        Ok(())
    }

    /// One scenario, from the state in which each begins. `lost` takes why no further one can.
    async fn check(
        &mut self,
        scenario: Scenario,
        tell: &mut dyn FnMut(Told<'_>),
        lost: &mut Option<Finding>,
    ) -> Finding {
        if let Some(why) = scenario.need().missing(self.unit.has_power_control(), self.bundles) {
            return Finding::NotChecked { why, fault: Fault::None };
        }
        if let Err(stop) = self.settle().await {
            let finding = Finding::from(Err(stop));
            *lost = Some(finding.clone());
            return finding;
        }
        tell(Told::Starts(scenario));
        Box::pin(scenario.run(self)).await
    }

    /// Ends what the scenario before has left open, and brings a healthy version back if it is gone.
    async fn settle(&mut self) -> Result<(), Stop> {
        let Opened { facts, status, .. } = match self.meet().await {
            Err(Stop::Unit(UnitError::Device(DeviceError::NotReached { .. })))
                if self.unit.has_power_control() =>
            {
                self.unit.cycle_power().await?;
                self.meet().await?
            }
            Err(Stop::Unit(UnitError::Device(DeviceError::NotReached { .. }))) => {
                let why =
                    "the device has not come back from the scenario before; power it off and on";
                return Err(Stop::NotChecked(why.to_owned()));
            }
            met => met?,
        };
        let is_open = status.trial.is_some();
        if let Some(trial) = status.trial {
            let trial_id = u32::try_from(trial.trial_id).unwrap_or(u32::MAX);
            self.plain(Request::Withdraw { trial_id }).await?;
            if trial.is_running {
                self.meet_behind(facts.boot_nonce).await?;
            }
        }
        let Opened { facts, status, .. } =
            if is_open { self.meet().await? } else { Opened { facts, status, at_ms: 0 } };
        let is_confirmed = status.active == Some(facts.running);
        let is = |role: &Role| {
            let digest = self.bundles.verified(*role).map(|bundle| bundle.bundle().digest().0);
            digest.is_some() && digest == facts.bundle
        };
        match [Role::Base, Role::Next].into_iter().find(is).filter(|_| is_confirmed) {
            Some(home) => {
                self.home = home;
                Ok(())
            }
            None => self.come_home().await,
        }
    }

    async fn come_home(&mut self) -> Result<(), Stop> {
        let home = self.home;
        match self.unit.deploy(home).await? {
            Deployed::Runs => Ok(()),
            Deployed::RolledBack => {
                Err(Stop::NotChecked(format!("`{home}` was rolled back: it has to be healthy")))
            }
            Deployed::Refused { why } => Err(Stop::Refused(format!("`{home}` was refused: {why}"))),
            Deployed::Otherwise { why } => {
                Err(Stop::Bench(format!("`{home}` was not deployed: {why}")))
            }
        }
    }

    /// Leaves nothing open; says what runs then, and whether that is a healthy version. Of a device that was `lost` no more
    /// is asked than what it runs.
    async fn leave(&mut self, lost: bool) -> Option<(DeviceFacts, bool)> {
        let is_healthy = !lost && self.settle().await.is_ok();
        let opened = self.meet().await.ok();
        self.device().close().await;
        opened.map(|opened| (opened.facts, is_healthy))
    }
}
