//! How a host carries out what its machine asks for, as `noflake::bench` does it: each act is a row of requests.
//!
//! The product does this in `async` functions over a link. Here an errand stops at each request, so that a state can
//! lie between any two: it is run from its begin with the answers so far, and ends at the first that is missing.
//! Order of requests, patience and what an answer means for the machine are those of `bench/run.rs`,
//! `bench/device.rs` and `bench/device/reach.rs`.

use firmware_protocol::digest::Digest;
use firmware_protocol::message::TrialTerms;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::SlotId;
use noflake::measurement::Measurement;
use noflake::qualify::observation::{Ask, CheckInfo, Seen, Where};
use noflake::qualify::runner::{Act, ComponentHash, Missing, Saw, Terms};

use super::question::{Heard, Question};
use super::transfer;
use crate::powercut::release::Release;

/// What a host keeps of a device from act to act.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// The session that requests name now.
    pub entered: u32,
    /// The session it has, and the boot that it was opened in.
    session: Option<(u64, u32)>,
    /// The trial that it has armed; zero for none.
    drives: u32,
    /// The boot that answered last, and when it did so first.
    back: Option<(u64, u64)>,
    /// The device's checks were listed in this boot.
    has_listed: bool,
}

/// Why an errand does not go on at once.
#[derive(Debug, Clone, PartialEq)]
pub enum Pause {
    /// For the answer to this.
    For(Question),
    /// Until then.
    Until(u64),
    /// The device is not there as it should be: from the begin, once more.
    Retry(Instead),
    /// It is over.
    Over(Box<Saw>),
}

/// What there is instead of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// Nothing.
    Silence,
    /// Its session is another host's, which was silent for so long.
    Held {
        /// In milliseconds.
        idle_ms: u32,
    },
    /// The boot that has to be over.
    BootBefore,
}

/// Answers so far, to be taken one by one.
#[derive(Debug)]
pub struct Answers<'a> {
    heard: std::slice::Iter<'a, Heard>,
    now_ms: u64,
}

type Step<T> = Result<T, Pause>;

impl<'a> Answers<'a> {
    /// The answer to a question, or the wait for it.
    ///
    /// # Errors
    /// When there is none yet.
    pub fn ask(&mut self, question: Question) -> Step<&'a Heard> {
        self.heard.next().ok_or(Pause::For(question))
    }

    fn wait_until(&mut self, at_ms: u64) -> Step<()> {
        if self.now_ms < at_ms { Err(Pause::Until(at_ms)) } else { Ok(()) }
    }
}

/// Runs an errand as far as it comes.
pub fn run(act: &Act, reach: &mut Reach, heard: &[Heard], now_ms: u64, release: &Release) -> Pause {
    let mut answers = Answers { heard: heard.iter(), now_ms };
    let done = perform(act, reach, &mut answers, release);
    done.map_or_else(|pause| pause, |saw| Pause::Over(Box::new(saw)))
}

fn perform(
    act: &Act,
    reach: &mut Reach,
    answers: &mut Answers<'_>,
    release: &Release,
) -> Step<Saw> {
    match act {
        Act::Connect { until_ms, not_boot } => connect(reach, answers, *until_ms, *not_boot, true),
        Act::Look { until_ms } => connect(reach, answers, *until_ms, None, false),
        Act::HashSlot { slot } => hash_slot(answers, *slot, release),
        Act::Stage { slot, again, .. } => {
            transfer::stage(answers, slot_of(*slot).unwrap_or(SlotId::A), *again, release)
        }
        Act::OpenTrial { plan, terms } => {
            let question = Question::OpenTrial { plan: Digest(*plan), terms: wire_terms(*terms) };
            Ok(match answers.ask(question)? {
                Heard::Trial(trial_id) => Saw::Trial { trial_id: u64::from(*trial_id) },
                other => failed(other),
            })
        }
        Act::Arm { trial_id, boots } => {
            reach.drives = wire_id(*trial_id);
            plain(answers, Question::Arm { trial_id: wire_id(*trial_id), boots: *boots })
        }
        Act::Reset { boot_nonce } => plain(answers, Question::Reset { boot_nonce: *boot_nonce }),
        Act::Confirm { trial_id, boot_nonce } => {
            let (trial_id, boot_nonce) = (wire_id(*trial_id), *boot_nonce);
            plain(answers, Question::Confirm { trial_id, boot_nonce })
        }
        Act::Rollback { trial_id, blames_bundle: true } => {
            plain(answers, Question::Rollback(wire_id(*trial_id)))
        }
        Act::Rollback { trial_id, blames_bundle: false } => {
            plain(answers, Question::Withdraw(wire_id(*trial_id)))
        }
        Act::Ask(ask) => answer(reach, answers, ask),
        Act::WaitUntil { at_ms } => answers.wait_until(*at_ms).map(|()| Saw::Done),
        Act::Record { .. } | Act::End(_) => Ok(Saw::Done),
    }
}

/// One attempt to reach the device; the next one, if there is to be one, is an errand from the begin.
fn connect(
    reach: &mut Reach,
    answers: &mut Answers<'_>,
    until_ms: u64,
    not_boot: Option<u64>,
    session: bool,
) -> Step<Saw> {
    let now_ms = answers.now_ms;
    let attempt = try_connect(reach, answers, not_boot, session)?;
    let instead = match attempt {
        Ok(saw) => return Ok(saw),
        Err(instead) => instead,
    };
    if now_ms < until_ms {
        return Err(Pause::Retry(instead));
    }
    let missing = match instead {
        Instead::Held { .. } => Missing::Session,
        Instead::Silence | Instead::BootBefore => Missing::Answer,
    };
    Ok(lost(missing))
}

fn try_connect(
    reach: &mut Reach,
    answers: &mut Answers<'_>,
    not_boot: Option<u64>,
    session: bool,
) -> Step<Result<Saw, Instead>> {
    reach.entered = 0;
    let (nonce, at_ms) = match answers.ask(Question::Hello)? {
        Heard::Hello { boot_nonce, at_ms } => (*boot_nonce, *at_ms),
        other => return Ok(not_reached(other)),
    };
    if not_boot == Some(nonce) {
        return Ok(Err(Instead::BootBefore));
    }
    let at_ms = match reach.back {
        Some((boot, back_ms)) if boot == nonce => back_ms,
        Some(_) | None => at_ms,
    };
    reach.back = Some((nonce, at_ms));
    reach.has_listed = false;
    if session && let Err(heard) = enter_session(reach, answers, nonce)? {
        return Ok(not_reached(heard));
    }
    let facts = match answers.ask(Question::Identify)? {
        Heard::Identity(facts, ..) => facts.clone(),
        other => return Ok(not_reached(other)),
    };
    Ok(match answers.ask(Question::Status)? {
        Heard::Status(status) => Ok(Saw::Connected { facts, status: status.clone(), at_ms }),
        other => not_reached(other),
    })
}

/// A refusal is final, but for a session that is held.
fn not_reached(heard: &Heard) -> Result<Saw, Instead> {
    match heard {
        Heard::Refused(Refusal::SessionHeld { idle_ms }) => {
            Err(Instead::Held { idle_ms: *idle_ms })
        }
        Heard::Refused(Refusal::Busy) | Heard::Nothing => Err(Instead::Silence),
        other => Ok(failed(other)),
    }
}

fn enter_session<'a>(
    reach: &mut Reach,
    answers: &mut Answers<'a>,
    boot: u64,
) -> Step<Result<(), &'a Heard>> {
    if let Some((_, session)) = reach.session.take_if(|(opened_in, _)| *opened_in == boot) {
        reach.entered = session;
        match answers.ask(Question::Renew)? {
            Heard::Nothing => return Ok(Err(&Heard::Nothing)),
            Heard::Refused(_) => reach.entered = 0,
            _ => {
                reach.session = Some((boot, session));
                return Ok(Ok(()));
            }
        }
    }
    let trial_id = reach.drives;
    match answers.ask(Question::OpenSession { trial_id })? {
        Heard::Session(session) => {
            reach.entered = *session;
            reach.session = Some((boot, *session));
            Ok(Ok(()))
        }
        other => Ok(Err(other)),
    }
}

fn hash_slot(answers: &mut Answers<'_>, slot: Where, release: &Release) -> Step<Saw> {
    let Heard::Identity(_, areas, _) = answers.ask(Question::Identify)? else {
        return Ok(lost(Missing::Answer));
    };
    let mut names = Vec::new();
    for index in 0..*areas {
        match answers.ask(Question::Area(index))? {
            Heard::Name(name) => names.push(name.clone()),
            other => return Ok(failed(other)),
        }
    }
    let mut hashes = Vec::new();
    let slot = slot_of(slot).unwrap_or(SlotId::A);
    for (area, (name, payload)) in (0..).zip(names.into_iter().zip(&release.payloads)) {
        let matches = match answers.ask(Question::Hash { slot, area })? {
            Heard::Hash(digest, length, is_blank) => {
                *digest == Digest::of(payload) && *length == payload.len() as u64 && *is_blank
            }
            other => return Ok(failed(other)),
        };
        hashes.push(ComponentHash { name, matches });
    }
    Ok(Saw::Hashes(hashes))
}

/// Trouble of the link is an answer to a check; that the session is over is none.
fn answer(reach: &mut Reach, answers: &mut Answers<'_>, ask: &Ask) -> Step<Saw> {
    let seen = match ask {
        Ask::Identify => match answers.ask(Question::Identify)? {
            Heard::Identity(facts, ..) => Ok(Seen::Facts((**facts).clone())),
            other => Err(other),
        },
        Ask::Status => match answers.ask(Question::Status)? {
            Heard::Status(status) => Ok(Seen::Status((**status).clone())),
            other => Err(other),
        },
        Ask::ListChecks => list_checks(reach, answers)?.map(|()| Seen::Checks(vec![rail()])),
        // The plan has no check that asks for these.
        Ask::Ping | Ask::Command { .. } => Err(&Heard::Nothing),
        Ask::RunCheck { name } => run_check(reach, answers, name)?,
    };
    Ok(match seen {
        Ok(seen) => Saw::Seen(seen),
        Err(Heard::Nothing) => Saw::Seen(Seen::NoAnswer),
        Err(other) => match failed(other) {
            Saw::Lost { reason, .. } => Saw::Seen(Seen::LinkError { reason }),
            Saw::Refused { reason, is_stale: false, .. } => Saw::Seen(Seen::Refused { reason }),
            saw => saw,
        },
    })
}

/// Asked for once a boot.
fn list_checks<'a>(reach: &mut Reach, answers: &mut Answers<'a>) -> Step<Result<(), &'a Heard>> {
    if reach.has_listed {
        return Ok(Ok(()));
    }
    let checks = match answers.ask(Question::Identify)? {
        Heard::Identity(_, _, checks) => *checks,
        other => return Ok(Err(other)),
    };
    for index in 0..checks {
        match answers.ask(Question::Check(index))? {
            Heard::Name(_) => {}
            other => return Ok(Err(other)),
        }
    }
    reach.has_listed = true;
    Ok(Ok(()))
}

fn rail() -> CheckInfo {
    CheckInfo { name: "rail".to_owned(), unit: "V".to_owned(), is_status: false }
}

fn run_check<'a>(
    reach: &mut Reach,
    answers: &mut Answers<'a>,
    name: &str,
) -> Step<Result<Seen, &'a Heard>> {
    if let Err(heard) = list_checks(reach, answers)? {
        return Ok(Err(heard));
    }
    Ok(match answers.ask(Question::RunCheck(0))? {
        Heard::Reading(tenths) => {
            // A few tenths, which a double holds.
            #[expect(clippy::cast_precision_loss, reason = "see above")]
            let value = *tenths as f64 / 10.0;
            Ok(Seen::Reading(Measurement::number(name, value, "V")))
        }
        other => Err(other),
    })
}

fn plain(answers: &mut Answers<'_>, question: Question) -> Step<Saw> {
    Ok(match answers.ask(question)? {
        refused @ (Heard::Refused(_) | Heard::Nothing) => failed(refused),
        _ => Saw::Done,
    })
}

/// What an answer that is none comes to.
pub fn failed(heard: &Heard) -> Saw {
    match heard {
        Heard::Refused(Refusal::SessionHeld { .. }) => lost(Missing::Session),
        Heard::Refused(Refusal::Busy) | Heard::Nothing => lost(Missing::Answer),
        Heard::Refused(refusal) => Saw::Refused {
            reason: refusal.to_string(),
            is_stale: matches!(refusal, Refusal::StaleSession | Refusal::NoSession),
            next: "",
        },
        other => Saw::Refused { reason: format!("{other:?}"), is_stale: false, next: "" },
    }
}

fn lost(missing: Missing) -> Saw {
    Saw::Lost { missing, reason: "no answer".to_owned(), next: "" }
}

/// Power failures of a trial, as `noflake deploy` allows them.
const POWER_FAILURES: u8 = 5;

const fn wire_terms(terms: Terms) -> TrialTerms {
    TrialTerms {
        boots: terms.boots,
        crashes: terms.crashes,
        power_failures: POWER_FAILURES,
        lease_ms: terms.lease_ms,
        boot_max_ms: terms.boot_max_ms,
    }
}

fn wire_id(trial_id: u64) -> u32 {
    u32::try_from(trial_id).unwrap_or(u32::MAX)
}

const fn slot_of(place: Where) -> Option<SlotId> {
    match place {
        Where::SlotA => Some(SlotId::A),
        Where::SlotB => Some(SlotId::B),
        Where::Recovery => None,
    }
}
