//! What can happen to a request on its way, and how much of it may happen in one history.

use std::fmt;

use firmware_protocol::boot::ResetCause;

use super::chip::Verdict;
use super::question::Question;

/// How much may still go wrong. A part of the state, so that a state with less left is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// Resets that nobody has asked for, each of any cause, and power failures inside a start or a write.
    pub resets: u8,
    /// Requests or answers that are lost, or come twice.
    pub losses: u8,
    /// Times that the host stands still until a deadline of the device.
    pub stalls: u8,
    /// Runs behind the first one: begun anew because the host died, or behind the end of the one before.
    pub runs: u8,
    /// Times that the operator asks to stop.
    pub stops: u8,
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// It is answered, and the check comes out so.
    Judged(Verdict),
    /// It comes twice, because its first answer was lost.
    Twice,
    /// It never arrives.
    Lost,
    /// It is done, and no answer arrives.
    Unheard,
    /// Nobody answers for as long as the host waits for the device.
    Gone,
    /// The device starts anew before it arrives.
    ResetBefore(ResetCause),
    /// It is done; then the device starts anew, and the host asks again.
    ResetBehind(ResetCause),
    /// Power fails behind so many operations of flash; then the host asks again.
    CutBehind(u32),
    /// The device starts anew before it arrives, and power fails behind so many operations of the boot stage.
    CutInBoot(ResetCause, u32),
    /// The host stands still until the open trial's deadline: 1 ms before it, at it, or 1 ms behind it.
    Stalled(Beside),
    /// The operator asks to stop before it is sent.
    StoppedBefore,
    /// It is done, and the operator asks to stop before its answer arrives.
    StoppedBehind,
    /// The host dies before it is sent, and another run begins.
    DiedBefore,
    /// It is done, and the host dies before its answer arrives; another run begins.
    DiedBehind,
}

/// Where beside a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Beside {
    /// 1 ms before it.
    Before,
    /// At it.
    At,
    /// 1 ms behind it.
    Behind,
}

/// One step of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A request, and what becomes of it.
    Asked(Question, Fate),
    /// Another run of the same order, behind the end of the one before.
    RunAgain,
}

/// Causes of a reset that nobody has asked for: of power, of the image, and one that hardware does not tell.
pub const CAUSES: [ResetCause; 3] =
    [ResetCause::PowerOn, ResetCause::Watchdog, ResetCause::Unknown];

impl Budget {
    /// So many resets, losses, stalls, runs behind the first, and stops.
    pub const fn of([resets, losses, stalls, runs, stops]: [u8; 5]) -> Self {
        Self { resets, losses, stalls, runs, stops }
    }

    /// What is left behind this; `None` when it may not happen any more.
    pub fn behind(self, fate: Fate) -> Option<Self> {
        let Self { resets, losses, stalls, runs, stops } = self;
        Some(match fate {
            Fate::Answered | Fate::Judged(_) => self,
            Fate::Twice | Fate::Lost | Fate::Unheard | Fate::Gone => {
                Self { losses: losses.checked_sub(1)?, ..self }
            }
            Fate::ResetBefore(_) | Fate::ResetBehind(_) | Fate::CutBehind(_) => {
                Self { resets: resets.checked_sub(1)?, ..self }
            }
            Fate::CutInBoot(..) => Self { resets: resets.checked_sub(2)?, ..self },
            Fate::Stalled(_) => Self { stalls: stalls.checked_sub(1)?, ..self },
            Fate::DiedBefore | Fate::DiedBehind => Self { runs: runs.checked_sub(1)?, ..self },
            Fate::StoppedBefore | Fate::StoppedBehind => {
                Self { stops: stops.checked_sub(1)?, ..self }
            }
        })
    }

    /// Everything that can happen within it.
    pub fn kinds(self) -> impl Iterator<Item = Kind> {
        let may_happen = move |kind: &Kind| match kind.0 {
            Some(fate) => self.behind(fate).is_some(),
            None => self.behind(Fate::DiedBefore).is_some(),
        };
        Kind::ALL.into_iter().filter(may_happen)
    }

    /// Nothing goes wrong any more.
    pub const fn none() -> Self {
        Self::of([0; 5])
    }
}

impl Fate {
    /// Nothing goes wrong, and no check says anything against the device.
    pub const fn is_smooth(self) -> bool {
        matches!(self, Self::Answered | Self::Judged(Verdict::Pass | Verdict::Fail))
    }

    /// No budget is used up by it.
    pub const fn is_free(self) -> bool {
        matches!(self, Self::Answered | Self::Judged(_))
    }
}

impl Step {
    /// What it is one of.
    pub fn kind(&self) -> Kind {
        let Self::Asked(_, fate) = self else { return Kind(None) };
        let kind = Kind(Some(match fate {
            Fate::CutBehind(_) => Fate::CutBehind(1),
            Fate::CutInBoot(cause, _) => Fate::CutInBoot(*cause, 1),
            other => *other,
        }));
        assert!(Kind::ALL.contains(&kind), "{kind} is not in the list of what can happen");
        kind
    }
}

/// What can happen, wherever and to whatever request; `None` is another run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(Option<Fate>);

impl Kind {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 26] = {
        use ResetCause::{PowerOn, Unknown, Watchdog};
        [
            Self(Some(Fate::Answered)),
            Self(Some(Fate::Judged(Verdict::Pass))),
            Self(Some(Fate::Judged(Verdict::Fail))),
            Self(Some(Fate::Judged(Verdict::Never))),
            Self(Some(Fate::Twice)),
            Self(Some(Fate::Lost)),
            Self(Some(Fate::Unheard)),
            Self(Some(Fate::Gone)),
            Self(Some(Fate::ResetBefore(PowerOn))),
            Self(Some(Fate::ResetBefore(Watchdog))),
            Self(Some(Fate::ResetBefore(Unknown))),
            Self(Some(Fate::ResetBehind(PowerOn))),
            Self(Some(Fate::ResetBehind(Watchdog))),
            Self(Some(Fate::ResetBehind(Unknown))),
            Self(Some(Fate::CutBehind(1))),
            Self(Some(Fate::CutInBoot(PowerOn, 1))),
            Self(Some(Fate::CutInBoot(Watchdog, 1))),
            Self(Some(Fate::CutInBoot(Unknown, 1))),
            Self(Some(Fate::Stalled(Beside::Before))),
            Self(Some(Fate::Stalled(Beside::At))),
            Self(Some(Fate::Stalled(Beside::Behind))),
            Self(Some(Fate::StoppedBefore)),
            Self(Some(Fate::StoppedBehind)),
            Self(Some(Fate::DiedBefore)),
            Self(Some(Fate::DiedBehind)),
            Self(None),
        ]
    };
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Fate::CutBehind(_)) => {
                f.write_str("power fails behind one of its flash operations; it comes again")
            }
            Some(Fate::CutInBoot(cause, _)) => write!(
                f,
                "before it arrives, a reset ({}), and power fails in the boot stage",
                cause.word()
            ),
            Some(fate) => write!(f, "{fate}"),
            None => f.write_str("the same order is run again"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(question, fate) => write!(f, "{question:?}: {fate}"),
            Self::RunAgain => f.write_str("the run is over; the same order is run again"),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("answered"),
            Self::Judged(Verdict::Pass) => f.write_str("the check passes"),
            Self::Judged(Verdict::Fail) => f.write_str("the check fails"),
            Self::Judged(Verdict::Never) => f.write_str("the check never ends"),
            Self::Twice => f.write_str("its first answer is lost, it comes twice"),
            Self::Lost => f.write_str("it never arrives"),
            Self::Unheard => f.write_str("it is done, its answer never arrives"),
            Self::Gone => f.write_str("nobody answers for as long as the host waits"),
            Self::ResetBefore(cause) => write!(f, "before it arrives, a reset ({})", cause.word()),
            Self::ResetBehind(cause) => {
                write!(f, "it is done; then a reset ({}), and it comes again", cause.word())
            }
            Self::CutBehind(operations) => {
                write!(f, "power fails behind {operations} of its flash operations; it comes again")
            }
            Self::CutInBoot(cause, operations) => write!(
                f,
                "before it arrives, a reset ({}), and power fails behind {operations} flash operations of \
                 the boot stage",
                cause.word()
            ),
            Self::Stalled(beside) => {
                let beside = match beside {
                    Beside::Before => "1 ms before",
                    Beside::At => "until",
                    Beside::Behind => "1 ms behind",
                };
                write!(f, "the host stands still {beside} the trial's deadline")
            }
            Self::StoppedBefore => f.write_str("the operator stops before it is sent"),
            Self::StoppedBehind => f.write_str("it is done; the operator stops before the answer"),
            Self::DiedBefore => f.write_str("the host dies before it is sent; another run"),
            Self::DiedBehind => f.write_str("it is done; the host dies; another run"),
        }
    }
}
