//! What the engine needs of a small part's memory, and what it does with too little (PROTOCOL.md, "Limits and cost").

use firmware_protocol::delegation::MAX_DELEGATION_BYTES;
use firmware_protocol::frame::HEADER_BYTES;
use firmware_protocol::message::{LEAST_FRAME_BYTES, MAX_REQUEST_BYTES, Reply, Request};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::{TAG_BYTES, THIRD_OVERHEAD_BYTES};
use firmware_protocol::trust::MAX_ENVELOPE_BYTES;

use crate::support::bench::{Bench, PLAN, TERMS};
use crate::support::bundle::{Bundle, root_record, signed_root};
use crate::support::field::DONE;

const PROTOCOL: &str = include_str!("../../docs/PROTOCOL.md");

/// Most bytes of each on a machine of 64 bits; a firmware author reckons with them, so one that grows is told.
#[cfg(target_pointer_width = "64")]
#[test]
fn the_engine_takes_no_more_memory_than_protocol_md_says() {
    use firmware_protocol::device::{Device, Outgoing};
    use firmware_protocol::manifest::Manifest;
    use firmware_protocol::receiver::Receiver;
    use firmware_protocol::record::RecordStore;

    for (name, bytes, most_bytes) in [
        ("Device", size_of::<Device<&mut [u8], (), ()>>(), 6_400),
        ("Outgoing", size_of::<Outgoing>(), 576),
        ("RecordStore", size_of::<RecordStore>(), 448),
        ("Receiver", size_of::<Receiver>(), 2_560),
        ("Manifest", size_of::<Manifest<'_>>(), 2_240),
    ] {
        assert!(bytes <= most_bytes, "{name} takes {bytes} bytes, {most_bytes} is what is said");
        let said = format!("`{name}` {most_bytes}");
        assert!(PROTOCOL.contains(&said), "PROTOCOL.md does not say {said}");
    }
}

/// A message of a host may be as long as that, sealed or not; a third message of a handshake is shorter.
#[test]
fn the_least_frame_has_room_for_every_request() {
    assert_eq!(LEAST_FRAME_BYTES, HEADER_BYTES + MAX_REQUEST_BYTES + TAG_BYTES);
    let third_bytes = HEADER_BYTES + 1 + THIRD_OVERHEAD_BYTES + MAX_DELEGATION_BYTES;
    assert!(third_bytes <= LEAST_FRAME_BYTES, "{third_bytes}");
    let said = format!("{LEAST_FRAME_BYTES} bytes: header {HEADER_BYTES}, payload");
    assert!(PROTOCOL.contains(&said), "PROTOCOL.md does not say {said}");
}

/// A window without room for the longest document would take a bundle and find no way to its trial.
#[test]
fn a_window_that_is_too_short_takes_no_document() {
    let root = signed_root(&root_record());
    let got = u32::try_from(root.len()).unwrap();
    for window_bytes in [2_048, 4_000, MAX_ENVELOPE_BYTES - 1] {
        let mut bench = Bench::with_window(window_bytes);
        let refused = Err(Refusal::DocumentTooLong { got, limit: 0 });
        assert_eq!(bench.open_session().try_offer(&root), refused, "{window_bytes} bytes");
    }
    let mut bench = Bench::with_window(MAX_ENVELOPE_BYTES);
    bench.open_session().offer(&root);
    assert_eq!(bench.ask(Request::Enroll), DONE);
    let bundle = Bundle::new(1, 9_000);
    let open = Request::OpenTrial { bundle: bundle.digest, plan: PLAN, terms: TERMS };
    let opened = bench.staged(&bundle).ask(open);
    assert!(matches!(opened, Ok(Reply::Trial { .. })), "{opened:?}");
}
