//! Every scenario in a table: its promise, its name, when it runs, what it needs, and what it says.

use super::bundles::Role;
use super::need::Need;
use super::scenario::Promise;

/// What there is to say of a scenario.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) kind: Kind,
    pub(super) promise: Promise,
    pub(super) name: &'static str,
    pub(super) turn: Turn,
    pub(super) need: Need,
    pub(super) says: &'static str,
}

/// What a scenario does, in the order of the promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Starts,
    DamagedBytes,
    CutStage,
    CutTrial,
    CutConfirm,
    Unconfirmed,
    WrongBoot,
    ArmedOnce,
    BootsCounted,
    Fails,
    Hangs,
    Crashes,
    NeverPolls,
    FeedsFromInterrupt,
    Silence,
    PausedTrial,
    Deaf,
    OtherProduct,
    Stranger,
    DamagedManifest,
    BelowFloor,
    StagedIsNotRunning,
    TellsWhatItRuns,
    TellsWhatItHolds,
    Resumes,
    ResumesBehindReset,
    FloorAtConfirm,
    Garbage,
    PollInTime,
}

/// When a scenario runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// While the floor is where it was found.
    First,
    /// It confirms `next`, which raises the floor for good.
    Confirms,
    /// Behind a confirm of `next`.
    BehindConfirm,
    /// An undefended device comes out of it by a power cut only.
    Last,
}

const fn about(
    kind: Kind,
    promise: Promise,
    name: &'static str,
    need: Need,
    says: &'static str,
) -> About {
    About { kind, promise, name, turn: Turn::First, need, says }
}

impl About {
    const fn at(self, turn: Turn) -> Self {
        Self { turn, ..self }
    }
}

/// Every scenario, promise by promise.
pub(super) static CATALOGUE: [About; 29] =
    {
        use Kind as K;
        use Need as N;
        use Promise::{Contract, P1, P2, P3, P4, P5, P6, P7, P8};
        [
        about(
            K::Starts,
            P1,
            "starts",
            N::NOTHING,
            "a deployed version runs, hashes as it was signed, and the record says so",
        ),
        about(
            K::DamagedBytes,
            P1,
            "damaged-bytes",
            N::NOTHING,
            "bytes that are not the signed ones make no slot that may run, and the right ones do \
             afterwards",
        ),
        about(
            K::CutStage,
            P1,
            "cut-stage",
            N::POWER,
            "power fails while a slot is written: the version before runs, and the same stage \
             completes",
        ),
        about(
            K::CutTrial,
            P1,
            "cut-trial",
            N::POWER,
            "power fails while a trial starts: one of the two versions runs, whole, and the trial \
             can be ended",
        ),
        about(
            K::CutConfirm,
            P1,
            "cut-confirm",
            N::POWER,
            "power fails while a trial is confirmed: it is confirmed or it is not, and what runs \
             is whole",
        ).at(Turn::BehindConfirm),
        about(
            K::Unconfirmed,
            P2,
            "unconfirmed",
            N::NOTHING,
            "a trial that a host keeps alive and never confirms ends at the limit of its boot",
        ),
        about(
            K::WrongBoot,
            P2,
            "wrong-boot",
            N::NOTHING,
            "a confirm that names another boot or another trial is refused",
        ),
        about(
            K::ArmedOnce,
            P2,
            "armed-once",
            N::NOTHING,
            "a trial that is armed for one boot runs in one, and waits behind it",
        ),
        about(
            K::BootsCounted,
            P2,
            "boots-counted",
            N::NOTHING,
            "a trial that may have two boots has two, and is over behind them",
        ),
        about(
            K::Fails,
            P2,
            "fails",
            N::bundle(Role::Fails),
            "a version that fails a check of its plan is rolled back",
        ),
        about(
            K::Hangs,
            P2,
            "hangs",
            N::bundle(Role::Hangs),
            "a version that hangs is ended by the watchdog",
        ),
        about(
            K::Crashes,
            P2,
            "crashes",
            N::bundle(Role::Crashes),
            "a version that crashes spends its budget and is gone",
        ),
        about(
            K::NeverPolls,
            P2,
            "never-polls",
            N::bundle(Role::NeverPolls),
            "a version that feeds the watchdog and never calls its engine is ended by the \
             hardware deadline",
        ).at(Turn::Last),
        about(
            K::FeedsFromInterrupt,
            P2,
            "feeds-from-interrupt",
            N::bundle(Role::FeedsFromInterrupt),
            "a version that hangs while an interrupt feeds the watchdog is ended, where hardware \
             can",
        ).at(Turn::Last),
        about(
            K::Silence,
            P3,
            "silence",
            N::NOTHING,
            "no host says a word for the lease: the version before is back by itself",
        ),
        about(
            K::PausedTrial,
            P3,
            "paused-trial",
            N::NOTHING,
            "the lease also ends a trial that waits while the confirmed version runs",
        ),
        about(
            K::Deaf,
            P3,
            "deaf",
            N::bundle(Role::Deaf),
            "a version that passes nothing on loses its lease",
        ),
        about(
            K::OtherProduct,
            P4,
            "other-product",
            N::bundle(Role::OtherProduct),
            "a bundle for another product is refused, and nothing is touched",
        ),
        about(
            K::Stranger,
            P4,
            "stranger",
            N::bundle(Role::Stranger),
            "a bundle of unknown signers is refused, and nothing is touched",
        ),
        about(
            K::DamagedManifest,
            P4,
            "damaged-manifest",
            N::NOTHING,
            "a manifest with a bit turned or its end missing is refused, and nothing is touched",
        ),
        about(
            K::BelowFloor,
            P4,
            "below-floor",
            N::NOTHING,
            "a bundle below the floor is refused, and nothing is touched",
        ).at(Turn::BehindConfirm),
        about(
            K::StagedIsNotRunning,
            P5,
            "staged-is-not-running",
            N::NOTHING,
            "a staged version is not called the running one, not even behind a reset",
        ),
        about(
            K::TellsWhatItRuns,
            P5,
            "tells-what-it-runs",
            N::NOTHING,
            "digest, slot and boot nonce are those of the boot that answers",
        ),
        about(
            K::TellsWhatItHolds,
            P5,
            "tells-what-it-holds",
            N::NOTHING,
            "a slot that is written in part does not hash as if it were whole",
        ),
        about(
            K::Resumes,
            P6,
            "resumes",
            N::NOTHING,
            "behind a host that dies in the middle of a stage only what is missing is sent",
        ),
        about(
            K::ResumesBehindReset,
            P6,
            "resumes-behind-reset",
            N::NOTHING,
            "behind a reset in the middle of a stage only what is missing is sent",
        ),
        about(
            K::FloorAtConfirm,
            P7,
            "floor-at-confirm",
            N::NOTHING,
            "stage and trial leave the floor, the confirm raises it, the fallback stays admitted",
        ).at(Turn::Confirms),
        about(
            K::Garbage,
            P8,
            "garbage",
            N::NOTHING,
            "noise, damaged frames and requests without a session change nothing, and the session \
             goes on",
        ),
        about(
            K::PollInTime,
            Contract,
            "poll-in-time",
            N::NOTHING,
            "it answers in time while it hashes and while it writes",
        ),
    ]
    };
