//! What somebody sends who has nothing to say: every request, every kind of frame, and bytes of no kind.

use firmware_protocol::digest::Digest;
use firmware_protocol::frame::Kind;
use firmware_protocol::message::{self, Request, ToDevice, TrialTerms};
use firmware_protocol::slot::SlotId;

use crate::random::Random;
use crate::raw::Raw;

/// Bytes of a document or a list that one request carries here.
const PIECE_BYTES: usize = 1_000;

/// Payloads of one request of every kind in session `session`, with numbers that follow from `random`.
fn requests(session: u32, random: &mut Random) -> Vec<Vec<u8>> {
    let bytes = random.bytes(PIECE_BYTES);
    let digest = Digest::of(&bytes);
    let offset = u32::try_from(random.between(0, 8) * PIECE_BYTES as u64).unwrap();
    let (boot_nonce, trial_id) = (random.between(0, u64::MAX), 1);
    let index = u8::try_from(random.between(0, 6)).unwrap();
    let terms = TrialTerms {
        boots: 9,
        crashes: 1,
        power_failures: 1,
        lease_ms: 60_000,
        boot_max_ms: 60_000,
    };
    let requests = [
        Request::Hello { min: 1, current: 1 },
        Request::Identify,
        Request::Status,
        Request::Area { index },
        Request::Check { index },
        Request::Offer { total_bytes: u32::MAX, offset: 0, bytes: &bytes },
        Request::Offer { total_bytes: 4_096, offset, bytes: &bytes },
        Request::Enroll,
        Request::Certify,
        Request::BenchReset,
        Request::Stage { again: true },
        Request::OpenComponent { index },
        Request::BlockList { first_block: 0, digests: &bytes[..992] },
        Request::Missing { first_block: u32::MAX },
        Request::Finish,
        Request::OpenTrial { bundle: digest, plan: digest, terms },
        Request::Arm { trial_id, boots: 9 },
        Request::Reset { boot_nonce },
        Request::Renew,
        Request::Confirm { trial_id, boot_nonce },
        Request::Rollback { trial_id },
        Request::Withdraw { trial_id },
        Request::RunCheck { index },
        Request::HashComponent { slot: SlotId::A, area: index },
        Request::Wear,
        Request::RecordBytes { offset: u32::MAX, length: u16::MAX },
        Request::RootStatus,
        Request::CloseSession,
        Request::OpenSession { take_over: true, trial_id },
    ];
    let payloads = requests.iter().map(|request| {
        let id = u32::try_from(random.between(1, 1 << 31)).unwrap();
        let mut payload = [0; 2048];
        message::encode(&ToDevice { id, session, request: *request }, &mut payload)
            .unwrap()
            .to_vec()
    });
    payloads.collect()
}

/// Its place in [`requests`], by kind. A new kind has to be named here, and to be sent there.
#[cfg(test)]
const fn number(request: &Request<'_>) -> usize {
    match request {
        Request::Hello { .. } => 0,
        Request::Identify => 1,
        Request::Status => 2,
        Request::Area { .. } => 3,
        Request::Check { .. } => 4,
        Request::Offer { .. } => 5,
        Request::Enroll => 6,
        Request::Certify => 7,
        Request::BenchReset => 8,
        Request::Stage { .. } => 9,
        Request::OpenComponent { .. } => 10,
        Request::BlockList { .. } => 11,
        Request::Missing { .. } => 12,
        Request::Finish => 13,
        Request::OpenTrial { .. } => 14,
        Request::Arm { .. } => 15,
        Request::Reset { .. } => 16,
        Request::Renew => 17,
        Request::Confirm { .. } => 18,
        Request::Rollback { .. } => 19,
        Request::Withdraw { .. } => 20,
        Request::RunCheck { .. } => 21,
        Request::HashComponent { .. } => 22,
        Request::Wear => 23,
        Request::RecordBytes { .. } => 24,
        Request::RootStatus => 25,
        Request::CloseSession => 26,
        Request::OpenSession { .. } => KINDS - 1,
    }
}

/// Kinds of requests.
#[cfg(test)]
const KINDS: usize = 28;

/// Opens a session and sends every request in it, each with a frame of another kind and no meaning behind it; gives how
/// many frames that were.
pub(super) fn round(raw: &mut Raw, random: &mut Random) -> u64 {
    raw.open_session();
    let mut sent = 0;
    for payload in requests(raw.session(), random) {
        raw.send_frame(Kind::Message, &payload);
        let kinds = [Kind::Chunk, Kind::Handshake, Kind::SealedMessage, Kind::SealedChunk];
        let kind = kinds[usize::try_from(random.between(0, 4)).unwrap()];
        let length = usize::try_from(random.between(1, 1_200)).unwrap();
        raw.send_frame(kind, &random.bytes(length));
        sent += 2;
    }
    sent
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_flood_holds_every_kind_of_request() {
        let sent: BTreeSet<usize> = requests(1, &mut Random::new(1))
            .iter()
            .map(|payload| number(&message::decode::<ToDevice<'_>>(payload).unwrap().request))
            .collect();
        assert_eq!(sent, (0..KINDS).collect());
    }
}
