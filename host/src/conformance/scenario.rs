//! The scenarios: what each is about, what it needs, when it runs.

use std::fmt;

use thiserror::Error;

use super::bundles::Role;
use super::catalogue::{About, CATALOGUE, Kind, Turn};
use super::finding::{Finding, Stop};
use super::need::Need;
use super::subject::Subject;
use super::unit::Unit;
use super::{
    contract, p1_starts, p2_unproven, p3_host_lost, p4_refused, p5_running, p6_resumes, p7_floor,
    p8_garbage,
};

/// What a device promises. P9 to P12 are promises of the host, which the tests of noflake itself hold it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Always boots.
    P1,
    /// Nothing unproven becomes permanent.
    P2,
    /// Losing the host means rollback.
    P3,
    /// Refused before touched.
    P4,
    /// Written is not running.
    P5,
    /// Interrupted work resumes.
    P6,
    /// Floors rise only at confirm.
    P7,
    /// Unauthenticated bytes change nothing durable.
    P8,
    /// What the engine and its caller owe each other.
    Contract,
}

impl Promise {
    /// Every promise, in order.
    pub const ALL: [Self; 9] = [
        Self::P1,
        Self::P2,
        Self::P3,
        Self::P4,
        Self::P5,
        Self::P6,
        Self::P7,
        Self::P8,
        Self::Contract,
    ];

    /// Its id.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
            Self::P5 => "P5",
            Self::P6 => "P6",
            Self::P7 => "P7",
            Self::P8 => "P8",
            Self::Contract => "contract",
        }
    }

    /// What it says, in short.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::P1 => "always boots",
            Self::P2 => "nothing unproven becomes permanent",
            Self::P3 => "losing the host means rollback",
            Self::P4 => "refused before touched",
            Self::P5 => "written is not running",
            Self::P6 => "interrupted work resumes",
            Self::P7 => "floors rise only at confirm",
            Self::P8 => "unauthenticated bytes change nothing durable",
            Self::Contract => "what the engine and its caller owe each other",
        }
    }
}

/// One scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario(&'static About);

impl Scenario {
    /// Every scenario, promise by promise.
    pub fn all() -> impl Iterator<Item = Self> {
        CATALOGUE.iter().map(Self)
    }

    /// The scenario with this id, as `P2.hangs`.
    #[must_use]
    pub fn named(id: &str) -> Option<Self> {
        Self::all().find(|scenario| scenario.id().eq_ignore_ascii_case(id))
    }

    /// The promise that it is about.
    #[must_use]
    pub const fn promise(self) -> Promise {
        self.0.promise
    }

    /// Its id, as `P2.hangs`.
    #[must_use]
    pub fn id(self) -> String {
        format!("{}.{}", self.0.promise.id(), self.0.name)
    }

    /// What it does and expects, in a sentence.
    #[must_use]
    pub const fn says(self) -> &'static str {
        self.0.says
    }

    /// What it needs besides the two healthy bundles, in words.
    #[must_use]
    pub fn needs(self) -> Option<String> {
        self.0.need.in_words()
    }

    /// Whether it takes the device's power.
    #[must_use]
    pub const fn needs_power(self) -> bool {
        self.0.need.power
    }

    /// Whether it confirms `next`, and with that raises the floor for good.
    #[must_use]
    pub const fn raises_the_floor(self) -> bool {
        matches!(self.0.turn, Turn::Confirms | Turn::BehindConfirm)
    }

    pub(super) const fn need(self) -> Need {
        self.0.need
    }

    pub(super) const fn kind(self) -> Kind {
        self.0.kind
    }

    pub(super) async fn run<U: Unit>(self, subject: &mut Subject<'_, U>) -> Finding {
        self.try_run(subject).await.into()
    }

    async fn try_run<U: Unit>(self, subject: &mut Subject<'_, U>) -> Result<(), Stop> {
        match self.kind() {
            Kind::Starts => p1_starts::starts(subject).await,
            Kind::DamagedBytes => p1_starts::damaged_bytes(subject).await,
            Kind::CutStage => p1_starts::cut_stage(subject).await,
            Kind::CutTrial => p1_starts::cut_trial(subject).await,
            Kind::CutConfirm => p1_starts::cut_confirm(subject).await,
            Kind::Unconfirmed => p2_unproven::unconfirmed(subject).await,
            Kind::WrongBoot => p2_unproven::wrong_boot(subject).await,
            Kind::ArmedOnce => p2_unproven::armed_once(subject).await,
            Kind::BootsCounted => p2_unproven::boots_counted(subject).await,
            Kind::Fails => p2_unproven::fails(subject).await,
            Kind::Hangs => p2_unproven::ends(subject, Role::Hangs).await,
            Kind::Crashes => p2_unproven::ends(subject, Role::Crashes).await,
            Kind::NeverPolls => p2_unproven::ends(subject, Role::NeverPolls).await,
            Kind::FeedsFromInterrupt => p2_unproven::feeds_from_interrupt(subject).await,
            Kind::Silence => p3_host_lost::silence(subject, Role::Next).await,
            Kind::PausedTrial => p3_host_lost::paused_trial(subject).await,
            Kind::Deaf => p3_host_lost::silence(subject, Role::Deaf).await,
            Kind::OtherProduct => p4_refused::other_product(subject).await,
            Kind::Stranger => p4_refused::stranger(subject).await,
            Kind::DamagedManifest => p4_refused::damaged_manifest(subject).await,
            Kind::BelowFloor => p4_refused::below_floor(subject).await,
            Kind::StagedIsNotRunning => p5_running::staged_is_not_running(subject).await,
            Kind::TellsWhatItRuns => p5_running::tells_what_it_runs(subject).await,
            Kind::TellsWhatItHolds => p5_running::tells_what_it_holds(subject).await,
            Kind::Resumes => p6_resumes::resumes(subject).await,
            Kind::ResumesBehindReset => p6_resumes::resumes_behind_reset(subject).await,
            Kind::FloorAtConfirm => p7_floor::floor_at_confirm(subject).await,
            Kind::Garbage => p8_garbage::garbage(subject).await,
            Kind::PollInTime => contract::poll_in_time(subject).await,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.id())
    }
}

/// Scenarios that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice(Vec<Scenario>);

/// A name that is neither a promise's nor a scenario's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no promise and no scenario: expected such as P2 or P3.silence")]
pub struct UnknownScenario(String);

impl Choice {
    /// Every scenario.
    #[must_use]
    pub fn everything() -> Self {
        Self(Scenario::all().collect())
    }

    /// Those with these ids, and those of these promises.
    ///
    /// # Errors
    /// When a name means none.
    pub fn of(names: &[String]) -> Result<Self, UnknownScenario> {
        let means = |scenario: Scenario, name: &str| {
            scenario.promise().id().eq_ignore_ascii_case(name)
                || scenario.id().eq_ignore_ascii_case(name)
        };
        if let Some(name) =
            names.iter().find(|name| !Scenario::all().any(|scenario| means(scenario, name)))
        {
            return Err(UnknownScenario(name.clone()));
        }
        let chosen = Scenario::all();
        Ok(Self(chosen.filter(|it| names.iter().any(|name| means(*it, name))).collect()))
    }

    /// The chosen ones, promise by promise.
    pub fn scenarios(&self) -> impl Iterator<Item = Scenario> + '_ {
        self.0.iter().copied()
    }

    /// The same in the order in which they run.
    pub(super) fn in_turn(&self) -> Vec<Scenario> {
        let mut scenarios = self.0.clone();
        scenarios.sort_by_key(|scenario| scenario.0.turn);
        scenarios
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Choice::of(&names).unwrap().scenarios().map(Scenario::id).collect()
    }

    #[test]
    fn scenarios_are_chosen_by_their_promise_or_their_own_id_once_each() {
        assert_eq!(chosen(&["P3.silence", "p7"]), ["P3.silence", "P7.floor-at-confirm"]);
        let host_lost = ["P3.silence", "P3.paused-trial", "P3.deaf"];
        assert_eq!(chosen(&["P3", "P3.deaf"]), host_lost);
        assert_eq!(chosen(&["contract"]), ["contract.poll-in-time"]);
    }

    #[test]
    fn a_name_that_means_nothing_is_told_of() {
        let error = Choice::of(&["P2".to_owned(), "P3.silent".to_owned()]).unwrap_err();
        assert_eq!(error, UnknownScenario("P3.silent".to_owned()));
    }

    #[test]
    fn no_two_scenarios_have_the_same_id_and_each_promise_has_one() {
        let mut ids: Vec<String> = Scenario::all().map(Scenario::id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), CATALOGUE.len());
        for promise in Promise::ALL {
            assert!(Scenario::all().any(|scenario| scenario.promise() == promise));
        }
    }

    #[test]
    fn what_raises_the_floor_runs_behind_what_needs_it_low() {
        let turns = Choice::everything().in_turn();
        let place = |id| turns.iter().position(|it| it.id() == id).unwrap();
        assert!(place("P7.floor-at-confirm") > place("contract.poll-in-time"));
        assert!(place("P4.below-floor") > place("P7.floor-at-confirm"));
        assert!(place("P2.feeds-from-interrupt") > place("P1.cut-confirm"));
    }
}
