//! The contract of the engine and its caller: it is called often enough to answer while it works.

use firmware_protocol::message::Request;

use super::bundles::Role;
use super::finding::{Stop, promised};
use super::subject::{Subject, slot_of};
use super::unit::Unit;

/// Questions while it works.
const QUESTIONS: u32 = 16;

/// It answers a sign of life while it hashes a slot, and while it writes one.
pub(super) async fn poll_in_time<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let facts = subject.meet().await?.facts;
    if let Some(slot) = slot_of(facts.running) {
        subject.device().begin(Request::HashComponent { slot, area: 0 }).await?;
        answers(subject, "while it hashes").await?;
        // Waited for: what it is at must not be in the way of the next one.
        subject.device().hash(slot, 0).await?;
    }
    subject.spoil().await?;
    let (bundle, staging) = (subject.bundle(Role::Next)?, subject.staging().await?);
    // Everything is on its way, and the end of it never comes.
    let most_bytes = bundle.manifest().components.first().map_or(0, |component| {
        component.variants.first().map_or(0, |variant| variant.length.saturating_sub(1))
    });
    subject.device().stage_in_part(bundle, staging, most_bytes).await?;
    answers(subject, "while it writes").await
}

async fn answers<U: Unit>(subject: &mut Subject<'_, U>, when: &str) -> Result<(), Stop> {
    let limit_ms = subject.limits.answer_ms;
    for _ in 0..QUESTIONS {
        let took_us = subject.device().ping().await?;
        promised(took_us <= limit_ms.saturating_mul(1_000), || {
            format!("an answer took {} ms {when}, at most {limit_ms} ms", took_us / 1_000)
        })?;
    }
    Ok(())
}
