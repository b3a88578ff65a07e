//! A bundle on its way into its slot, request by request, as `noflake::session::transfer` orders them.

use firmware_protocol::message::How;
use firmware_protocol::slot::SlotId;
use noflake::qualify::observation::Where;
use noflake::qualify::runner::{Saw, StagedFacts};

use super::errand::{Answers, Pause, failed};
use super::question::{Heard, Question};
use crate::powercut::release::{BLOCK_BYTES, Release};

/// How often blocks that did not arrive are sent again.
const MOST_ROUNDS: u32 = 4;

/// Why a transfer does not go on: for an answer, or for good.
enum Halt {
    Pause(Pause),
    Failed(Box<Saw>),
}

impl From<Pause> for Halt {
    fn from(pause: Pause) -> Self {
        Self::Pause(pause)
    }
}

/// Brings the release into a slot.
pub fn stage(
    answers: &mut Answers<'_>,
    slot: SlotId,
    again: bool,
    release: &Release,
) -> Result<Saw, Pause> {
    match transfer(answers, again, release) {
        Ok(how) => Ok(Saw::Staged(StagedFacts {
            slot: if slot == SlotId::A { Where::SlotA } else { Where::SlotB },
            is_found_done: how == How::FoundDone,
            is_resumed: how == How::Resumed,
            total_bytes: 0,
            kept_bytes: 0,
            sent_bytes: 0,
            device_bytes: 0,
            took_ms: 0,
        })),
        Err(Halt::Failed(saw)) => Ok(*saw),
        Err(Halt::Pause(pause)) => Err(pause),
    }
}

fn transfer(answers: &mut Answers<'_>, again: bool, release: &Release) -> Result<How, Halt> {
    yes(answers, Question::Status)?;
    let mut offset = 0;
    while (offset as usize) < release.envelope.len() {
        match yes(answers, Question::Offer { offset })? {
            Heard::Held(held) if *held > offset => offset = *held,
            other => return Err(halt(other)),
        }
    }
    let how = match yes(answers, Question::Stage { again })? {
        Heard::Stage(_, how) => *how,
        other => return Err(halt(other)),
    };
    if how != How::FoundDone {
        for (component, payload) in (0..).zip(&release.payloads) {
            send(answers, component, payload.len())?;
        }
    }
    yes(answers, Question::Finish)?;
    yes(answers, Question::Status)?;
    Ok(how)
}

fn send(answers: &mut Answers<'_>, component: u8, len: usize) -> Result<(), Halt> {
    if yes(answers, Question::OpenComponent(component))? == &Heard::WorthListing(true) {
        yes(answers, Question::BlockList(component))?;
    }
    let blocks = u32::try_from(len).unwrap_or(u32::MAX).div_ceil(BLOCK_BYTES);
    for _ in 0..MOST_ROUNDS {
        let Heard::Missing(bits) = yes(answers, Question::Missing)? else {
            return Err(halt(&Heard::Nothing));
        };
        let is_missing = |block: &u32| bits[*block as usize / 8] >> (block % 8) & 1 == 1;
        let missing: Vec<u32> = (0..blocks).filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        for block in missing {
            answers.ask(Question::Chunk { component, block })?;
        }
    }
    Err(halt(&Heard::Nothing))
}

fn halt(heard: &Heard) -> Halt {
    Halt::Failed(Box::new(failed(heard)))
}

fn yes<'a>(answers: &mut Answers<'a>, question: Question) -> Result<&'a Heard, Halt> {
    match answers.ask(question)? {
        no @ (Heard::Refused(_) | Heard::Nothing) => Err(halt(no)),
        yes => Ok(yes),
    }
}
