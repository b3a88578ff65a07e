//! One request of every kind, so that no test of "every request" forgets a new one.

use firmware_protocol::digest::Digest;
use firmware_protocol::message::Request;
use firmware_protocol::slot::SlotId;

use super::bench::{PLAN, TERMS};

/// What the requests name.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    pub document: &'a [u8],
    pub bundle: Digest,
    pub digests: &'a [u8],
    pub first_block: u32,
    pub trial_id: u32,
    pub boot_nonce: u64,
}

/// One request of every kind, in the order of the wire; `refusals.rs` counts them.
pub fn every(named: Named<'_>) -> Vec<Request<'_>> {
    let Named { document, bundle, digests, first_block, trial_id, boot_nonce } = named;
    vec![
        Request::Hello { min: 1, current: 1 },
        Request::Identify,
        Request::Status,
        Request::Area { index: 0 },
        Request::Check { index: 0 },
        Request::OpenSession { take_over: true, trial_id: 0 },
        Request::CloseSession,
        Request::Offer { total_bytes: document.len() as u32, offset: 0, bytes: document },
        Request::Enroll,
        Request::Stage { again: true },
        Request::OpenComponent { index: 0 },
        Request::BlockList { first_block: 0, digests },
        Request::Missing { first_block },
        Request::Finish,
        Request::OpenTrial { bundle, plan: PLAN, terms: TERMS },
        Request::Arm { trial_id, boots: 1 },
        Request::Reset { boot_nonce },
        Request::Renew,
        Request::Confirm { trial_id, boot_nonce },
        Request::Rollback { trial_id },
        Request::RunCheck { index: 0 },
        Request::HashComponent { slot: SlotId::B, area: 0 },
        Request::Withdraw { trial_id },
        Request::Wear,
        Request::RecordBytes { offset: 0, length: 256 },
        Request::RootStatus,
        Request::Certify,
        Request::BenchReset,
    ]
}

/// Those that a device answers only in the session.
pub fn in_session(named: Named<'_>) -> Vec<Request<'_>> {
    every(named).into_iter().filter(needs_session).collect()
}

/// Whether a request can change anything. A new one has to say.
fn needs_session(request: &Request<'_>) -> bool {
    match request {
        Request::Hello { .. }
        | Request::Identify
        | Request::Status
        | Request::Area { .. }
        | Request::Check { .. }
        | Request::OpenSession { .. }
        | Request::Wear
        | Request::RootStatus
        | Request::RecordBytes { .. } => false,
        Request::CloseSession
        | Request::Offer { .. }
        | Request::Enroll
        | Request::Certify
        | Request::BenchReset
        | Request::Stage { .. }
        | Request::OpenComponent { .. }
        | Request::BlockList { .. }
        | Request::Missing { .. }
        | Request::Finish
        | Request::OpenTrial { .. }
        | Request::Arm { .. }
        | Request::Reset { .. }
        | Request::Renew
        | Request::Confirm { .. }
        | Request::Rollback { .. }
        | Request::RunCheck { .. }
        | Request::HashComponent { .. }
        | Request::Withdraw { .. } => true,
    }
}
