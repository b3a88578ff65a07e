//! Frozen bytes of protocol version 1. A test that fails here means a change that old hosts or
//! devices do not understand: never edit what it expects; append to the enums instead.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use firmware_protocol::boot::{BootRow, ResetCause, Start};
use firmware_protocol::delegation::{Action, Actions};
use firmware_protocol::digest::Digest;
use firmware_protocol::frame::{Framing, Header, Kind};
use firmware_protocol::message::{
    Ack, AreaInfo, CheckGives, CheckInfo, CheckStatus, Chunk, FromDevice, How, Identity,
    LinkCounters, MAX_PIECE_BYTES, MAX_RECORD_PIECE_BYTES, MAX_REPLY_BYTES, MAX_REQUEST_BYTES,
    Reading, Reply, Request, RootStatus, Status, ToDevice, TrialStatus, TrialTerms, Wear, encode,
};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::LifeCycle;
use firmware_protocol::slot::{PerSlot, RejectReason, SlotId, SlotState};
use firmware_protocol::version::Version;

const D: Digest = Digest([0xd1; 32]);
const TERMS: TrialTerms =
    TrialTerms { boots: 300, crashes: 2, power_failures: 3, lease_ms: 1000, boot_max_ms: 5 };

#[test]
fn every_request_has_its_frozen_bytes() {
    let d = "d1".repeat(32);
    let cases: [(Request<'_>, String); 28] = [
        (Request::Hello { min: 1, current: 2 }, "000102".into()),
        (Request::Identify, "01".into()),
        (Request::Status, "02".into()),
        (Request::Area { index: 3 }, "0303".into()),
        (Request::Check { index: 4 }, "0404".into()),
        (Request::OpenSession { take_over: true, trial_id: 300 }, "0501ac02".into()),
        (Request::CloseSession, "06".into()),
        (
            Request::Offer { total_bytes: 300, offset: 128, bytes: &[9, 8] },
            "07ac028001020908".into(),
        ),
        (Request::Enroll, "08".into()),
        (Request::Stage { again: true }, "0901".into()),
        (Request::OpenComponent { index: 1 }, "0a01".into()),
        (Request::BlockList { first_block: 32, digests: &[1, 2, 3] }, "0b2003010203".into()),
        (Request::Missing { first_block: 512 }, "0c8004".into()),
        (Request::Finish, "0d".into()),
        (
            Request::OpenTrial { bundle: D, plan: D, terms: TERMS },
            format!("0e{d}{d}ac020203e80705"),
        ),
        (Request::Arm { trial_id: 5, boots: 4 }, "0f0504".into()),
        (Request::Reset { boot_nonce: 255 }, "10ff01".into()),
        (Request::Renew, "11".into()),
        (Request::Confirm { trial_id: 5, boot_nonce: 255 }, "1205ff01".into()),
        (Request::Rollback { trial_id: 5 }, "1305".into()),
        (Request::RunCheck { index: 2 }, "1402".into()),
        (Request::HashComponent { slot: SlotId::B, area: 1 }, "150101".into()),
        (Request::Withdraw { trial_id: 5 }, "1605".into()),
        (Request::Wear, "17".into()),
        (Request::RecordBytes { offset: 512, length: 256 }, "1880048002".into()),
        (Request::RootStatus, "19".into()),
        (Request::Certify, "1a".into()),
        (Request::BenchReset, "1b".into()),
    ];
    for (request, bytes) in cases {
        let asked = ToDevice { id: 7, session: 300, request };
        assert_eq!(hex(&asked), format!("07ac02{bytes}"), "{request:?}");
    }
}

#[test]
fn every_reply_has_its_frozen_bytes() {
    let d = "d1".repeat(32);
    let how = How::Resumed;
    let area = AreaInfo { name: "app".try_into().unwrap(), bytes: PerSlot { a: 128, b: 1 } };
    let reading = Reading::Value { mantissa: -2, exponent: -3, unit: "mV" };
    let status = Reading::Status { status: CheckStatus::Stale, detail: "old".try_into().unwrap() };
    let hello =
        Reply::Hello { version: 1, max_frame_bytes: 2048, window_bytes: 16384, boot_nonce: 1 };
    let bits = [0xf0_u8].into_iter().collect();
    let wear = Wear {
        slot_erases: PerSlot { a: 1, b: 2 },
        slot_blocks: PerSlot { a: 3, b: 4 },
        record_entries: 5,
        record_places: 128,
    };
    let root = RootStatus { version: 300, digest: D, is_held: true, time_floor_s: 1_700_000_000 };
    let value = CheckInfo { name: "v", gives: CheckGives::Value { unit: "V" } };
    let cases = [
        (hello, "00018010808001 01".replace(' ', "")),
        (Reply::Identity(identity("p")), identity_bytes()),
        (Reply::Status(status_small()), status_bytes()),
        (Reply::Area(area), "0303617070800101".into()),
        (Reply::Check(value), "04017600 0156".replace(' ', "")),
        (Reply::Check(CheckInfo { name: "s", gives: CheckGives::Status }), "04017301".into()),
        (
            Reply::Session { session: 300, taken_over: true, actions: Actions::ALL },
            "05ac020107".into(),
        ),
        (Reply::Done(How::Done), "0600".into()),
        (Reply::Done(How::FoundDone), "0601".into()),
        (Reply::Offered { held_bytes: 5 }, "0705".into()),
        (Reply::Stage { slot: SlotId::A, how }, "080002".into()),
        (Reply::Component { blocks: 9, worth_listing: true }, "090901".into()),
        (Reply::Listed { blocks: 32 }, "0a20".into()),
        (Reply::Missing { first_block: 0, missing: 4, bits }, "0b000401f0".into()),
        (Reply::Staged { bundle: D, how: How::Done }, format!("0c{d}00")),
        (Reply::Trial { trial_id: 5, armed: 1, how: How::Done }, "0d050100".into()),
        (Reply::Renewed { lease_left_ms: 1000, boot_left_ms: 0 }, "0ee80700".into()),
        (Reply::Checked(reading), "0f0003fd026d56".into()),
        (Reply::Checked(status), "0f0104036f6c64".into()),
        (Reply::Hash { digest: D, length: 700, tail_blank: true }, format!("10{d}bc0501")),
        (Reply::Working { left_bytes: 4096 }, "118020".into()),
        (Reply::Wear(wear), "12 01 02 03 04 05 8001".replace(' ', "")),
        (Reply::RecordBytes { total_bytes: 8192, bytes: &[1, 2, 3] }, "13804003010203".into()),
        (Reply::RootStatus(root), format!("14ac02{d}0180e2cfaa06")),
        (Reply::Linked { actions: Actions::ALL }, "1507".into()),
    ];
    for (reply, bytes) in cases {
        let said = FromDevice::Reply { id: 7, reply: Ok(reply.clone()) };
        assert_eq!(hex(&said), format!("000700{bytes}"), "{reply:?}");
    }
}

/// The number of a refusal is its place in the list.
#[test]
fn every_refusal_has_its_frozen_bytes() {
    let cases = [
        (Refusal::Unknown { current: 1 }, "0001"),
        (Refusal::ProtocolVersion { min: 1, current: 2 }, "010102"),
        (Refusal::Busy, "02"),
        (Refusal::NoSession, "03"),
        (Refusal::SessionHeld { idle_ms: 128 }, "048001"),
        (Refusal::StaleSession, "05"),
        (Refusal::NoRandom, "06"),
        (Refusal::NotEnrolled, "07"),
        (Refusal::AlreadyEnrolled, "08"),
        (Refusal::DocumentPiece { expected: 1, got: 2 }, "090102"),
        (Refusal::DocumentTooLong { got: 2, limit: 1 }, "0a0201"),
        (Refusal::Malformed, "0b"),
        (Refusal::UntrustedSignature { valid: 1, needed: 2 }, "0c0102"),
        (Refusal::WrongProduct, "0d"),
        (Refusal::WrongHardware { revision: 3 }, "0e03"),
        (Refusal::BelowFloor { offered: 6, floor: 7 }, "0f0607"),
        (Refusal::TooOldToComeFrom, "10"),
        (Refusal::Components { index: 1 }, "1101"),
        (Refusal::NoVariant { index: 1, slot: SlotId::B }, "120101"),
        (Refusal::TooLarge { index: 1, got: 3, limit: 2 }, "13010302"),
        (Refusal::BlockSize { index: 1, got: 3, limit: 2 }, "14010302"),
        (Refusal::Encoding { index: 1 }, "1501"),
        (Refusal::TrialOpen { trial_id: 4 }, "1604"),
        (Refusal::NoTrial, "17"),
        (Refusal::WrongTrial { named: 3, open: 4 }, "180304"),
        (Refusal::WrongBoot, "19"),
        (Refusal::NotInTrial, "1a"),
        (Refusal::NotStaged, "1b"),
        (Refusal::NoStage, "1c"),
        (Refusal::Incomplete { component: 1 }, "1d01"),
        (Refusal::Limit { got: 5, limit: 4 }, "1e0504"),
        (Refusal::NoSuchItem { index: 9 }, "1f09"),
        (Refusal::Flash, "20"),
        (Refusal::RejectedBefore { trial_id: 4 }, "2104"),
        (Refusal::InRecovery, "22"),
        (Refusal::RootVersion { expected: 2, got: 4 }, "230204"),
        (Refusal::RootLost { version: 3 }, "2403"),
        (Refusal::BelowEpoch { offered: 2, lowest: 300 }, "2502ac02"),
        (Refusal::SecurityStep { offered: 300, most: 2 }, "26ac0202"),
        (Refusal::CertificateNeeded { level: 3 }, "2703"),
        (Refusal::CertificateLevel { got: 1, lowest: 3 }, "280103"),
        (Refusal::CertificatePlan, "29"),
        (Refusal::NotAuthenticated, "2a"),
        (Refusal::NotDelegated { action: Action::Confirm }, "2b02"),
        (Refusal::DelegationHost, "2c"),
        (Refusal::DelegationDevice, "2d"),
        (Refusal::DelegationOver { not_after_s: 5, seen_s: 300 }, "2e05ac02"),
        (Refusal::NoIdentity, "2f"),
        (Refusal::NotOnABench, "30"),
        (Refusal::ResetDevice, "31"),
        (Refusal::FloorNotLower { offered: 300, floor: 1 }, "32ac0201"),
        (Refusal::DelegationProduct, "33"),
    ];
    for (refusal, bytes) in cases {
        let said = FromDevice::Reply { id: 7, reply: Err(refusal) };
        assert_eq!(hex(&said), format!("000701{bytes}"), "{refusal:?}");
    }
}

#[test]
fn acks_console_text_and_chunks_have_their_frozen_bytes() {
    let ack = Ack { highest: 300, below: 5, taken: true, credit_blocks: 16 };
    assert_eq!(hex(&FromDevice::Ack(ack)), "01ac02050110");
    assert_eq!(hex(&FromDevice::Console(b"hi")), "02026869");
    let chunk = Chunk { session: 0x0403_0201, component: 9, offset: 0x1122, bytes: &[7] };
    assert_eq!(chunk.head(), [1, 2, 3, 4, 9, 0x22, 0x11, 0, 0, 0, 0, 0, 0]);
    let bytes = [&chunk.head()[..], &[7]].concat();
    assert_eq!(Chunk::parse(&bytes), Some(chunk));
}

#[test]
fn both_framings_have_their_frozen_bytes() {
    let header = Header { kind: Kind::Message, sequence: 0x0102_0304 };
    let wire = |framing: Framing| {
        let mut out = [0; 64];
        let len = framing.encode(header, &[0xaa, 0, 0xbb], &mut out).unwrap();
        text(&out[..len])
    };
    assert_eq!(wire(Framing::Stream), "080000000104030201aa00bb");
    let serial = wire(Framing::Serial);
    assert_eq!(serial, SERIAL);
    let chunk = Header { kind: Kind::Chunk, sequence: 1 };
    assert_eq!(chunk.to_bytes(), [2, 1, 0, 0, 0]);
}

#[test]
fn states_reasons_causes_and_rows_have_their_frozen_numbers() {
    let bundle = D;
    let d = "d1".repeat(32);
    let reason = RejectReason::Retired;
    assert_eq!(hex(&SlotState::Empty), "00");
    assert_eq!(hex(&SlotState::Writing { bundle }), format!("01{d}"));
    assert_eq!(hex(&SlotState::Staged { bundle }), format!("02{d}"));
    assert_eq!(hex(&SlotState::Rejected { bundle, reason, trial_id: 3 }), format!("03{d}0803"));
    assert_eq!(hex(&SlotState::Admitted { bundle }), format!("04{d}"));
    for (number, reason) in RejectReason::ALL.iter().enumerate() {
        assert_eq!((hex(reason), *reason as usize), (format!("{number:02x}"), number + 1));
    }
    for (number, cause) in ResetCause::ALL.iter().enumerate() {
        assert_eq!(hex(cause), format!("{number:02x}"));
    }
    for (number, row) in BootRow::ALL.iter().enumerate() {
        assert_eq!((hex(row), row.id()), (format!("{number:02x}"), &*format!("B{}", number + 1)));
    }
    assert_eq!(hex(&[Start::Slot(SlotId::B), Start::Recovery]), "000101");
    assert_eq!(hex(&[LifeCycle::Factory, LifeCycle::Development, LifeCycle::Field]), "000102");
}

/// Board texts of 48 bytes each are the longest that an identity has room for.
#[test]
fn the_largest_messages_fit() {
    let long = "x".repeat(48);
    let pre = "a".repeat(24).as_str().try_into().unwrap();
    let version = Version { pre, ..Version::new(u32::MAX, u32::MAX, u32::MAX) };
    let largest_identity = Identity {
        hardware: &long,
        serial: &long,
        version: Some(version),
        bundle: Some(D),
        revision: u32::MAX,
        root_version: u32::MAX,
        boot_nonce: u64::MAX,
        ..identity(&long)
    };
    let state =
        SlotState::Rejected { bundle: D, reason: RejectReason::Crashed, trial_id: u32::MAX };
    let trial = TrialStatus {
        slot: SlotId::B,
        trial_id: u32::MAX,
        plan: D,
        armed: 255,
        crash_left: 255,
        power_left: 255,
        boots_left: u16::MAX,
        running: true,
    };
    let link = LinkCounters { frames: u32::MAX, payload_bytes: u64::MAX, repeated_bytes: u64::MAX };
    let status = Status {
        slots: PerSlot { a: state, b: state },
        trial: Some(trial),
        accept_floor: u64::MAX,
        uptime_ms: u64::MAX,
        link,
        record_entries: u32::MAX,
        erases: u32::MAX,
        ..status_small()
    };
    let bits = [0xff; 64].into_iter().collect();
    let detail = "x".repeat(48).as_str().try_into().unwrap();
    let replies = [
        Reply::Identity(largest_identity),
        Reply::Status(status),
        Reply::Missing { first_block: u32::MAX, missing: u32::MAX, bits },
        Reply::Checked(Reading::Status { status: CheckStatus::Stale, detail }),
        Reply::RecordBytes { total_bytes: u32::MAX, bytes: &[7; MAX_RECORD_PIECE_BYTES] },
    ];
    for reply in replies {
        let said = FromDevice::Reply { id: u32::MAX, reply: Ok(reply) };
        assert!(encode(&said, &mut [0; MAX_REPLY_BYTES]).is_some(), "{said:?}");
    }
    assert!(encode(&FromDevice::Console(&[7; 200]), &mut [0; MAX_REPLY_BYTES]).is_some());
    let bytes = &[7; MAX_PIECE_BYTES];
    let offer = Request::Offer { total_bytes: u32::MAX, offset: u32::MAX, bytes };
    let list = Request::BlockList { first_block: u32::MAX, digests: bytes };
    for request in [offer, list] {
        let asked = ToDevice { id: u32::MAX, session: u32::MAX, request };
        assert!(encode(&asked, &mut [0; MAX_REQUEST_BYTES]).is_some(), "{asked:?}");
    }
}

const SERIAL: &str = "00070104030201aa06bb2b8deecf00";

fn identity(product: &str) -> Identity<'_> {
    Identity {
        product,
        hardware: "h",
        revision: 3,
        serial: "s",
        life_cycle: LifeCycle::Development,
        root_version: 1,
        running: Start::Slot(SlotId::B),
        bundle: None,
        version: Some(Version::new(1, 2, 3)),
        boot_nonce: 5,
        reset_cause: ResetCause::Watchdog,
        hardware_deadline: true,
        areas: 2,
        checks: 1,
    }
}

fn identity_bytes() -> String {
    "01 0170 0168 03 0173 01 01 0001 00 01010203 00 05 04 01 02 01".replace(' ', "")
}

fn status_small() -> Status {
    Status {
        active: Some(SlotId::A),
        slots: PerSlot { a: SlotState::Empty, b: SlotState::Empty },
        trial: Some(TrialStatus {
            slot: SlotId::B,
            trial_id: 4,
            plan: D,
            armed: 1,
            crash_left: 2,
            power_left: 3,
            boots_left: 5,
            running: true,
        }),
        accept_floor: 7,
        row: BootRow::TrialArmed,
        crash_left: 3,
        uptime_ms: 128,
        link: LinkCounters { frames: 1, payload_bytes: 2, repeated_bytes: 3 },
        record_entries: 6,
        erases: 8,
    }
}

fn status_bytes() -> String {
    let d = "d1".repeat(32);
    format!("02 0100 00 00 01 01 04 {d} 01 02 03 05 01 07 01 03 8001 01 02 03 06 08")
        .replace(' ', "")
}

fn hex<T: serde::Serialize>(message: &T) -> String {
    text(encode(message, &mut [0; 2048]).unwrap())
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
