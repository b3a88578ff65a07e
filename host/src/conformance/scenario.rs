//! The scenarios: what each is about, what it needs, when it runs.

use std::fmt;

use thiserror::Error;

use super::bundles::Role;
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
pub enum Scenario {
    /// `P1.starts`
    Starts,
    /// `P1.cut-stage`
    CutStage,
    /// `P1.cut-trial`
    CutTrial,
    /// `P1.cut-confirm`
    CutConfirm,
    /// `P2.unconfirmed`
    Unconfirmed,
    /// `P2.wrong-boot`
    WrongBoot,
    /// `P2.fails`
    Fails,
    /// `P2.hangs`
    Hangs,
    /// `P2.crashes`
    Crashes,
    /// `P2.never-polls`
    NeverPolls,
    /// `P2.feeds-from-interrupt`
    FeedsFromInterrupt,
    /// `P3.silence`
    Silence,
    /// `P3.paused-trial`
    PausedTrial,
    /// `P3.deaf`
    Deaf,
    /// `P4.other-product`
    OtherProduct,
    /// `P4.stranger`
    Stranger,
    /// `P4.damaged-manifest`
    DamagedManifest,
    /// `P4.below-floor`
    BelowFloor,
    /// `P5.staged-is-not-running`
    StagedIsNotRunning,
    /// `P5.tells-what-it-runs`
    TellsWhatItRuns,
    /// `P5.tells-what-it-holds`
    TellsWhatItHolds,
    /// `P6.resumes`
    Resumes,
    /// `P6.resumes-behind-reset`
    ResumesBehindReset,
    /// `P7.floor-at-confirm`
    FloorAtConfirm,
    /// `P8.garbage`
    Garbage,
    /// `contract.poll-in-time`
    PollInTime,
}

/// What there is to say of one.
struct About {
    promise: Promise,
    name: &'static str,
    says: &'static str,
    need: Need,
}

const fn about(promise: Promise, name: &'static str, need: Need, says: &'static str) -> About {
    About { promise, name, says, need }
}

impl Scenario {
    /// Every scenario, promise by promise.
    pub const ALL: [Self; 26] = [
        Self::Starts,
        Self::CutStage,
        Self::CutTrial,
        Self::CutConfirm,
        Self::Unconfirmed,
        Self::WrongBoot,
        Self::Fails,
        Self::Hangs,
        Self::Crashes,
        Self::NeverPolls,
        Self::FeedsFromInterrupt,
        Self::Silence,
        Self::PausedTrial,
        Self::Deaf,
        Self::OtherProduct,
        Self::Stranger,
        Self::DamagedManifest,
        Self::BelowFloor,
        Self::StagedIsNotRunning,
        Self::TellsWhatItRuns,
        Self::TellsWhatItHolds,
        Self::Resumes,
        Self::ResumesBehindReset,
        Self::FloorAtConfirm,
        Self::Garbage,
        Self::PollInTime,
    ];

    /// The promise that it is about.
    #[must_use]
    pub const fn promise(self) -> Promise {
        self.about().promise
    }

    /// Its id, as `P2.hangs`.
    #[must_use]
    pub fn id(self) -> String {
        self.to_string()
    }

    /// What it does and expects, in a sentence.
    #[must_use]
    pub const fn says(self) -> &'static str {
        self.about().says
    }

    /// What it needs besides the two healthy bundles, in words.
    #[must_use]
    pub fn needs(self) -> Option<String> {
        self.need().in_words()
    }

    /// Whether it takes the device's power.
    #[must_use]
    pub const fn needs_power(self) -> bool {
        self.need().power
    }

    pub(super) const fn need(self) -> Need {
        self.about().need
    }

    /// Scenarios of a higher turn run later: first those that leave the floor where it is, then those behind a confirm,
    /// and last those that an undefended device comes out of by a power cut only.
    pub(super) const fn turn(self) -> u8 {
        match self {
            Self::FloorAtConfirm => 1,
            Self::CutConfirm | Self::BelowFloor => 2,
            Self::NeverPolls | Self::FeedsFromInterrupt => 3,
            Self::Starts
            | Self::CutStage
            | Self::CutTrial
            | Self::Unconfirmed
            | Self::WrongBoot
            | Self::Fails
            | Self::Hangs
            | Self::Crashes
            | Self::Silence
            | Self::PausedTrial
            | Self::Deaf
            | Self::OtherProduct
            | Self::Stranger
            | Self::DamagedManifest
            | Self::StagedIsNotRunning
            | Self::TellsWhatItRuns
            | Self::TellsWhatItHolds
            | Self::Resumes
            | Self::ResumesBehindReset
            | Self::Garbage
            | Self::PollInTime => 0,
        }
    }

    /// Whether it confirms `next`, and with that raises the floor for good.
    #[must_use]
    pub const fn raises_the_floor(self) -> bool {
        matches!(self, Self::FloorAtConfirm | Self::CutConfirm | Self::BelowFloor)
    }

    const fn about(self) -> About {
        use Need as N;
        use Promise::{Contract, P1, P2, P3, P4, P5, P6, P7, P8};
        match self {
            Self::Starts => about(
                P1,
                "starts",
                N::NOTHING,
                "a deployed version runs, hashes as it was signed, and the record says so",
            ),
            Self::CutStage => about(
                P1,
                "cut-stage",
                N::POWER,
                "power fails while a slot is written: the version before runs, and the same stage completes",
            ),
            Self::CutTrial => about(
                P1,
                "cut-trial",
                N::POWER,
                "power fails while a trial starts: one of the two versions runs, whole, and the trial can be ended",
            ),
            Self::CutConfirm => about(
                P1,
                "cut-confirm",
                N::POWER,
                "power fails while a trial is confirmed: it is confirmed or it is not, and what runs is whole",
            ),
            Self::Unconfirmed => about(
                P2,
                "unconfirmed",
                N::NOTHING,
                "a trial that a host keeps alive and never confirms ends at the limit of its boot",
            ),
            Self::WrongBoot => about(
                P2,
                "wrong-boot",
                N::NOTHING,
                "a confirm that names another boot or another trial is refused",
            ),
            Self::Fails => about(
                P2,
                "fails",
                N::bundle(Role::Fails),
                "a version that fails a check of its plan is rolled back",
            ),
            Self::Hangs => about(
                P2,
                "hangs",
                N::bundle(Role::Hangs),
                "a version that hangs is ended by the watchdog",
            ),
            Self::Crashes => about(
                P2,
                "crashes",
                N::bundle(Role::Crashes),
                "a version that crashes spends its budget and is gone",
            ),
            Self::NeverPolls => about(
                P2,
                "never-polls",
                N::bundle(Role::NeverPolls),
                "a version that feeds the watchdog and never calls its engine is ended by the hardware deadline",
            ),
            Self::FeedsFromInterrupt => about(
                P2,
                "feeds-from-interrupt",
                N::bundle(Role::FeedsFromInterrupt),
                "a version that hangs while an interrupt feeds the watchdog is ended, where hardware can",
            ),
            Self::Silence => about(
                P3,
                "silence",
                N::NOTHING,
                "no host says a word for the lease: the version before is back by itself",
            ),
            Self::PausedTrial => about(
                P3,
                "paused-trial",
                N::NOTHING,
                "the lease also ends a trial that waits while the confirmed version runs",
            ),
            Self::Deaf => about(
                P3,
                "deaf",
                N::bundle(Role::Deaf),
                "a version that passes nothing on loses its lease",
            ),
            Self::OtherProduct => about(
                P4,
                "other-product",
                N::bundle(Role::OtherProduct),
                "a bundle for another product is refused, and nothing is touched",
            ),
            Self::Stranger => about(
                P4,
                "stranger",
                N::bundle(Role::Stranger),
                "a bundle of unknown signers is refused, and nothing is touched",
            ),
            Self::DamagedManifest => about(
                P4,
                "damaged-manifest",
                N::NOTHING,
                "a manifest with a bit turned or its end missing is refused, and nothing is touched",
            ),
            Self::BelowFloor => about(
                P4,
                "below-floor",
                N::NOTHING,
                "a bundle below the floor is refused, and nothing is touched",
            ),
            Self::StagedIsNotRunning => about(
                P5,
                "staged-is-not-running",
                N::NOTHING,
                "a staged version is not called the running one, not even behind a reset",
            ),
            Self::TellsWhatItRuns => about(
                P5,
                "tells-what-it-runs",
                N::NOTHING,
                "digest, slot and boot nonce are those of the boot that answers",
            ),
            Self::TellsWhatItHolds => about(
                P5,
                "tells-what-it-holds",
                N::NOTHING,
                "a slot that is written in part does not hash as if it were whole",
            ),
            Self::Resumes => about(
                P6,
                "resumes",
                N::NOTHING,
                "behind a host that dies in the middle of a stage only what is missing is sent",
            ),
            Self::ResumesBehindReset => about(
                P6,
                "resumes-behind-reset",
                N::NOTHING,
                "behind a reset in the middle of a stage only what is missing is sent",
            ),
            Self::FloorAtConfirm => about(
                P7,
                "floor-at-confirm",
                N::NOTHING,
                "stage and trial leave the floor, the confirm raises it, the fallback stays admitted",
            ),
            Self::Garbage => about(
                P8,
                "garbage",
                N::NOTHING,
                "noise, damaged frames and requests without a session change nothing, and the session goes on",
            ),
            Self::PollInTime => about(
                Contract,
                "poll-in-time",
                N::NOTHING,
                "it answers in time while it hashes and while it writes",
            ),
        }
    }

    pub(super) async fn run<U: Unit>(self, subject: &mut Subject<'_, U>) -> Finding {
        self.try_run(subject).await.into()
    }

    async fn try_run<U: Unit>(self, subject: &mut Subject<'_, U>) -> Result<(), Stop> {
        match self {
            Self::Starts => p1_starts::starts(subject).await,
            Self::CutStage => p1_starts::cut_stage(subject).await,
            Self::CutTrial => p1_starts::cut_trial(subject).await,
            Self::CutConfirm => p1_starts::cut_confirm(subject).await,
            Self::Unconfirmed => p2_unproven::unconfirmed(subject).await,
            Self::WrongBoot => p2_unproven::wrong_boot(subject).await,
            Self::Fails => p2_unproven::fails(subject).await,
            Self::Hangs => p2_unproven::ends(subject, Role::Hangs).await,
            Self::Crashes => p2_unproven::ends(subject, Role::Crashes).await,
            Self::NeverPolls => p2_unproven::ends(subject, Role::NeverPolls).await,
            Self::FeedsFromInterrupt => p2_unproven::feeds_from_interrupt(subject).await,
            Self::Silence => p3_host_lost::silence(subject, Role::Next).await,
            Self::PausedTrial => p3_host_lost::paused_trial(subject).await,
            Self::Deaf => p3_host_lost::silence(subject, Role::Deaf).await,
            Self::OtherProduct => p4_refused::other_product(subject).await,
            Self::Stranger => p4_refused::stranger(subject).await,
            Self::DamagedManifest => p4_refused::damaged_manifest(subject).await,
            Self::BelowFloor => p4_refused::below_floor(subject).await,
            Self::StagedIsNotRunning => p5_running::staged_is_not_running(subject).await,
            Self::TellsWhatItRuns => p5_running::tells_what_it_runs(subject).await,
            Self::TellsWhatItHolds => p5_running::tells_what_it_holds(subject).await,
            Self::Resumes => p6_resumes::resumes(subject).await,
            Self::ResumesBehindReset => p6_resumes::resumes_behind_reset(subject).await,
            Self::FloorAtConfirm => p7_floor::floor_at_confirm(subject).await,
            Self::Garbage => p8_garbage::garbage(subject).await,
            Self::PollInTime => contract::poll_in_time(subject).await,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let About { promise, name, .. } = self.about();
        f.pad(&format!("{}.{name}", promise.id()))
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
        Self(Scenario::ALL.to_vec())
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
            names.iter().find(|name| !Scenario::ALL.iter().any(|scenario| means(*scenario, name)))
        {
            return Err(UnknownScenario(name.clone()));
        }
        let chosen = Scenario::ALL.into_iter();
        Ok(Self(chosen.filter(|it| names.iter().any(|name| means(*it, name))).collect()))
    }

    /// The chosen ones, promise by promise.
    pub fn scenarios(&self) -> impl Iterator<Item = Scenario> + '_ {
        self.0.iter().copied()
    }

    /// The same in the order in which they run.
    pub(super) fn in_turn(&self) -> Vec<Scenario> {
        let mut scenarios = self.0.clone();
        scenarios.sort_by_key(|scenario| scenario.turn());
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
        let mut ids: Vec<String> = Scenario::ALL.into_iter().map(Scenario::id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), Scenario::ALL.len());
        for promise in Promise::ALL {
            assert!(Scenario::ALL.iter().any(|scenario| scenario.promise() == promise));
        }
    }

    #[test]
    fn what_raises_the_floor_runs_behind_what_needs_it_low() {
        let turns = Choice::everything().in_turn();
        let place = |scenario| turns.iter().position(|it| *it == scenario).unwrap();
        assert!(place(Scenario::FloorAtConfirm) > place(Scenario::PollInTime));
        assert!(place(Scenario::BelowFloor) > place(Scenario::FloorAtConfirm));
        assert!(place(Scenario::FeedsFromInterrupt) > place(Scenario::CutConfirm));
    }
}
