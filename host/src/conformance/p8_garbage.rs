//! P8, unauthenticated bytes change nothing durable, and do not end an honest session.

use firmware_protocol::digest::Digest;
use firmware_protocol::frame::{Framing, HEADER_BYTES, Header, Kind};
use firmware_protocol::message::{self, Request, ToDevice, TrialTerms};
use firmware_protocol::slot::SlotId;

use super::chance::Chance;
use super::finding::{Stop, promised};
use super::subject::{Subject, refused};
use super::unit::Unit;
use crate::bench::DeviceError;

/// Bursts of noise, with a word of the honest session behind each.
const BURSTS: u32 = 24;
/// Longest payload of a frame of noise, in bytes.
const NOISE_BYTES: usize = 160;

/// Requests outside the session, then noise.
pub(super) async fn garbage<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let boot = subject.meet().await?.facts.boot_nonce;
    let before = subject.durable().await?;
    let stale =
        u32::from_le_bytes(Digest::of(&boot.to_le_bytes()).0[..4].try_into().unwrap_or([1; 4]));
    for (request, what) in requests(boot) {
        for session in [0, stale] {
            let answer = subject.device().ask_in(session, request).await?;
            let done = answer.reply().map(drop).map_err(DeviceError::Refused);
            let refusal = refused(done)?;
            promised(refusal.is_some(), || format!("it answers {what} without a session"))?;
        }
    }
    let framing = subject.device().framing()?;
    for burst in 0..BURSTS {
        let noise = noise(framing, &mut subject.chance);
        subject.device().say_foreign(&noise).await?;
        goes_on(subject, burst).await?;
    }
    let changes = before.changes(&subject.durable().await?);
    promised(changes.is_none(), || changes.unwrap_or_default())?;
    let now = subject.device().identify().await?.boot_nonce;
    promised(now == boot, || "it has reset".to_owned())
}

/// The honest session answers in the same boot.
async fn goes_on<U: Unit>(subject: &mut Subject<'_, U>, burst: u32) -> Result<(), Stop> {
    let lost = |why: &str| Stop::Broken(format!("behind burst {burst} of noise {why}"));
    let answer = match subject.device().ask(Request::Renew).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(%error, burst, "the session was lost");
            return Err(lost("the session is not answered"));
        }
    };
    answer.reply().map(drop).map_err(|refusal| lost(&format!("the session is refused: {refusal}")))
}

/// What only a session may ask for.
fn requests(boot_nonce: u64) -> [(Request<'static>, &'static str); 11] {
    let terms = TrialTerms {
        boots: 1,
        crashes: 1,
        power_failures: 1,
        lease_ms: 60_000,
        boot_max_ms: 60_000,
    };
    let (bundle, plan) = (Digest([1; 32]), Digest([2; 32]));
    [
        (Request::Offer { total_bytes: 64, offset: 0, bytes: &[0; 64] }, "an offer"),
        (Request::Enroll, "an enrolment"),
        (Request::Stage { again: true }, "a stage"),
        (Request::Finish, "the end of a stage"),
        (Request::OpenTrial { bundle, plan, terms }, "the opening of a trial"),
        (Request::Arm { trial_id: 1, boots: 1 }, "the arming of a trial"),
        (Request::Confirm { trial_id: 1, boot_nonce }, "a confirm"),
        (Request::Rollback { trial_id: 1 }, "a rollback"),
        (Request::Withdraw { trial_id: 1 }, "a withdrawal"),
        (Request::HashComponent { slot: SlotId::A, area: 0 }, "a hash"),
        (Request::Reset { boot_nonce }, "a reset"),
    ]
}

/// A burst of noise: frames of any kind that say nothing, frames that were damaged, and on a line, whose framing outlives
/// it, bytes that are no frames.
fn noise(framing: Framing, chance: &mut Chance) -> Vec<u8> {
    let mut noise = Vec::new();
    for kind in [Kind::Message, Kind::Chunk, Kind::SealedMessage, Kind::SealedChunk] {
        let length = chance.place(NOISE_BYTES);
        let payload = chance.bytes(length);
        // A request that anybody may make is none.
        if message::decode::<ToDevice<'_>>(&payload).is_none() {
            noise.extend(frame(framing, kind, &payload));
        }
    }
    if framing == Framing::Serial {
        let mut damaged = frame(framing, Kind::Message, &[0, 0, 1]);
        let at = chance.place(damaged.len());
        if let Some(byte) = damaged.get_mut(at) {
            *byte ^= 1 << chance.below(8);
        }
        noise.extend(damaged);
        let length = chance.place(NOISE_BYTES);
        noise.extend(chance.bytes(length));
    }
    noise
}

fn frame(framing: Framing, kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; framing.wire_bytes(payload.len().saturating_add(HEADER_BYTES))];
    let header = Header { kind, sequence: u32::MAX };
    let written = framing.encode(header, payload, &mut out);
    out.truncate(written.unwrap_or(0));
    out
}

#[cfg(test)]
mod tests {
    use firmware_protocol::frame::{Decoder, Unit};

    use super::*;

    #[test]
    fn noise_on_a_stream_keeps_its_framing() {
        for seed in 0..50 {
            let noise = noise(Framing::Stream, &mut Chance::new(seed, "P8.garbage"));
            let mut decoder = Decoder::new(Framing::Stream, vec![0; 4_096]);
            let mut rest = noise.as_slice();
            let mut frames = 0;
            while let Some(unit) = decoder.feed(&mut rest) {
                assert!(matches!(unit, Unit::Frame(_)), "{unit:?}");
                frames += 1;
            }
            assert!((3..=4).contains(&frames), "{frames}");
        }
    }
}
