//! Devices of the life cycle `field`, and a host with a delegation for them.

use firmware_protocol::delegation::{Actions, Delegation};
use firmware_protocol::message::{How, Reply, Request};
use firmware_protocol::root::{LifeCycle, RootRecord};
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::trust::BodyType;

use super::bench::{Answer, Bench};
use super::bundle::{encode, envelope, role, root_record, signed_root};

pub const OPERATE: u8 = 31;
pub const OTHER_OPERATE: u8 = 32;
pub const DONE: Answer = Ok(Reply::Done(How::Done));
pub const LINKED: Answer = Ok(Reply::Linked { actions: Actions::ALL });
/// Newer than the root record of these tests.
const LATER_S: u64 = 1_700_100_000;

/// The key of the host with the delegation.
pub fn host() -> LinkSecret {
    LinkSecret::new([51; 32])
}

pub fn field_record() -> RootRecord {
    RootRecord { operate: role(&[OPERATE], 1), life_cycle: LifeCycle::Field, ..root_record() }
}

pub fn claims() -> Delegation<'static> {
    Delegation {
        host: host().public(),
        name: "technician",
        products: ["demo"].into_iter().collect(),
        serials: heapless::Vec::new(),
        actions: Actions::ALL,
        epoch: 0,
        not_after_s: LATER_S,
        made_at_s: 1_700_000_000,
    }
}

pub fn delegation(claims: &Delegation<'_>) -> Vec<u8> {
    envelope(BodyType::Delegation, &encode(claims), &[OPERATE])
}

/// Another host of the same office, and its delegation for `actions`.
pub fn other_host(actions: Actions) -> (LinkSecret, Vec<u8>) {
    let host = LinkSecret::new([52; 32]);
    let shown = delegation(&Delegation { host: host.public(), actions, ..claims() });
    (host, shown)
}

/// A device in `field` under this record, and no session.
pub fn field_of(record: &RootRecord) -> Bench {
    let mut bench = Bench::new();
    bench.open_session().offer(&signed_root(record));
    assert_eq!(bench.ask(Request::Enroll), DONE);
    assert_eq!(bench.ask(Request::CloseSession), DONE);
    bench.session = 0;
    bench
}

/// A device in `field`, with a session of the delegated host.
pub fn delegated() -> Bench {
    let mut bench = field_of(&field_record());
    bench.host = Some((host(), delegation(&claims())));
    bench.open_session();
    bench
}
