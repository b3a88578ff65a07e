//! Nothing that comes from a wire, a file or flash makes this crate panic.
#![expect(clippy::cast_possible_truncation, reason = "sizes here are small")]

use firmware_protocol::boot::ResetCause;
use firmware_protocol::device::Input;
use firmware_protocol::frame::{Decoder, Framing, Header, Kind, Unit};
use firmware_protocol::manifest::decode_manifest;
use firmware_protocol::message::{self, Chunk, FromDevice, Request, ToDevice};
use firmware_protocol::record::RecordStore;
use firmware_protocol::root::decode_root;
use firmware_protocol::trust::{BodyType, Envelope, verify_first_root, verify_manifest};
use proptest::prelude::*;

use crate::support::Rng;
use crate::support::bench::Bench;
use crate::support::bundle::{Bundle, root_record};
use crate::support::flash::RamFlash;
use crate::support::requests::{Named, in_session};

proptest! {
    #[test]
    fn decoders_take_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600), piece in 1_usize..40) {
        for framing in [Framing::Serial, Framing::Stream] {
            let mut decoder = Decoder::new(framing, [0_u8; 128]);
            for mut input in bytes.chunks(piece) {
                while let Some(unit) = decoder.feed(&mut input) {
                    if let Unit::Frame(frame) = unit {
                        let _ = Header::split(frame);
                    }
                }
                prop_assert!(input.is_empty());
            }
            let _ = decoder.take_text();
        }
        let _ = message::decode::<ToDevice<'_>>(&bytes);
        let _ = message::decode::<FromDevice<'_>>(&bytes);
        let _ = message::request_id(&bytes);
        let _ = Chunk::parse(&bytes);
        let _ = Header::split(&bytes);
        let _ = decode_manifest(&bytes);
        let _ = decode_root(&bytes);
        let _ = Envelope::parse(&bytes, BodyType::Manifest);
        let _ = verify_first_root(&bytes);
        let _ = verify_manifest(&bytes, &root_record());
    }

    #[test]
    fn a_record_of_any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 2048)) {
        let mut flash = RamFlash::even(1024, 2);
        flash.bytes = bytes;
        for magic in [0, 256, 1024] {
            flash.bytes[magic..magic + 6].copy_from_slice(b"NFR1\xdc\0");
        }
        let ranges = [crate::support::range(0, 1024), crate::support::range(1024, 1024)];
        let _ = RecordStore::load(&mut flash, ranges);
    }

    /// As whatever frame, on whatever wire, in whatever state, at whatever time, between connections that end.
    #[test]
    fn a_device_takes_any_frames(
        frames in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..80), any::<u8>(), 0_u64..5_000),
            1..60,
        ),
    ) {
        let mut bench = Bench::new();
        for (frame, link, later) in frames {
            bench.now_ms += later;
            let kind = [Kind::Message, Kind::Chunk, Kind::Handshake][frame.len() % 3];
            let _ = bench.frame(link, kind, &frame);
            let _ = bench.step();
            if frame.len() % 5 == 0 {
                let _ = bench.poll_raw(Input::Gone { link });
            }
        }
    }
}

/// The holder of the session may be hostile too: valid requests with a byte or two changed, in every
/// order. Every poll keeps its bounds (the bench insists), nothing panics, and the device is usable.
#[test]
fn mutated_requests_inside_a_session_never_break_the_device() {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut rng = Rng(seed);
        let mut bench = Bench::enrolled();
        let one = Bundle::new(1, 9000);
        bench.confirmed(&one);
        let two = Bundle::new(2, 9000);
        for round in 0..1500 {
            let digests = two.block_list(0).concat();
            let offset = rng.below(4) as u32 * 100;
            let trial_id = rng.below(4) as u32;
            let named = Named {
                document: &two.envelope,
                bundle: two.digest,
                digests: &digests,
                first_block: offset,
                trial_id,
                boot_nonce: bench.boot_nonce,
            };
            let piece = &two.envelope[..100];
            let mut requests = in_session(named);
            requests.push(Request::Offer { total_bytes: 900, offset, bytes: piece });
            let request = requests[rng.below(requests.len())];
            let asked = ToDevice { id: rng.below(500) as u32, session: bench.session, request };
            let mut bytes = [0; 2048];
            let mut payload = message::encode(&asked, &mut bytes).unwrap().to_vec();
            if rng.below(3) == 0 {
                let at = rng.below(payload.len());
                payload[at] = rng.next() as u8;
            }
            let _ = bench.frame(0, Kind::Message, &payload);
            let block = rng.below(9) * 1024;
            bench.chunk(0, block as u64, &two.payloads[0][block..9000.min(block + 1024)]);
            let over = matches!(request, Request::CloseSession | Request::Reset { .. });
            if over || rng.below(100) == 0 || round % 500 == 499 {
                let cause = ResetCause::ALL[rng.below(8)];
                bench.restart(cause).open_session();
            }
        }
        for _ in 0..100 {
            bench.step();
        }
        bench.restart(ResetCause::PowerOn).open_session();
        assert!(bench.status().active.is_some(), "seed {seed}: nothing is confirmed any more");
    }
}
