//! The boot record's bytes, as devices in the field hold them (BOOT.md, "Bytes of an entry").
//!
//! This layout is frozen: a boot stage is never updated, and reads what images of any later age have written. A
//! failing test here says that the layout has changed. Never edit what is expected. A new field is appended behind
//! the known ones, `RECORD_VERSION` rises with it, and its entry gets a golden of its own below.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use firmware_protocol::boot::{BootState, Carried, RECORD_VERSION, Trial};
use firmware_protocol::digest::Digest;
use firmware_protocol::flash::Range;
use firmware_protocol::record::{ENTRY_BYTES, PLACE_BYTES, RecordStore, read_entry};
use firmware_protocol::root::LifeCycle;
use firmware_protocol::slot::{PerSlot, RejectReason, SlotId, SlotState};

use crate::support::flash::RamFlash;
use crate::support::range;

/// Whoever adds a field to an entry raises the version, and comes by here to add a golden of it.
#[test]
fn the_version_is_that_of_these_goldens() {
    assert_eq!(RECORD_VERSION, 2);
    assert_eq!((ENTRY_BYTES, PLACE_BYTES), (448, 512));
}

#[test]
fn every_kind_of_entry_has_its_frozen_bytes() {
    for (name, state, expected) in entries() {
        let bytes = entry(&state);
        assert_eq!(hex(&bytes), expected.join(""), "{name}");
        let (head, read) = read_entry(&padded(&bytes)).unwrap();
        assert_eq!((head.sequence, head.version), (1, state.carried.version), "{name}");
        assert_eq!(read, state, "{name}");
    }
}

/// Which decides whether a plain link may change the device.
#[test]
fn every_life_cycle_has_its_frozen_number() {
    for (life_cycle, number) in
        [(LifeCycle::Factory, 0), (LifeCycle::Development, 1), (LifeCycle::Field, 2)]
    {
        let bytes = entry(&BootState { life_cycle, ..BootState::default() });
        assert_eq!(bytes[14], number, "{life_cycle:?}");
        assert_eq!(read_entry(&padded(&bytes)).unwrap().1.life_cycle, life_cycle);
    }
}

/// What devices hold that were made before the time floor was: read as ever, and written anew with it.
#[test]
fn an_entry_of_version_1_is_read_as_it_was_meant() {
    let states = [BootState::default(), on_trial(), rejected()];
    for (state, bytes) in states.into_iter().zip([FACTORY_V1, ON_TRIAL_V1, REJECTED_V1]) {
        let mut place = [0xff; ENTRY_BYTES];
        let bytes = bytes.concat();
        for (at, byte) in place.iter_mut().enumerate().take(bytes.len() / 2) {
            *byte = u8::from_str_radix(&bytes[2 * at..2 * at + 2], 16).unwrap();
        }
        let (head, read) = read_entry(&place).unwrap();
        assert_eq!((head.sequence, head.version), (1, 1));
        let carried = Carried { version: 1, ..Carried::default() };
        assert_eq!(read, BootState { time_floor_s: 0, carried, ..state });
        assert_eq!(read_entry(&padded(&entry(&read))).unwrap().0.version, RECORD_VERSION);
    }
}

/// An older boot stage leaves the time floor where it is, though it does not know it: to it, it is what a newer
/// writer has appended.
#[test]
fn the_time_floor_stands_where_version_1_carries_what_it_does_not_know() {
    let bytes = entry(&on_trial());
    let unknown = &bytes[232..bytes.len() - 4];
    assert_eq!(unknown, 0xe1e2_e3e4_e5e6_e7e8_u64.to_le_bytes());
}

fn padded(bytes: &[u8]) -> [u8; ENTRY_BYTES] {
    let mut place = [0xff; ENTRY_BYTES];
    place[..bytes.len()].copy_from_slice(bytes);
    place
}

/// The numbers of the table, each where its slot has it.
#[test]
fn every_slot_state_and_reason_has_its_frozen_number() {
    use RejectReason as Reason;
    let bundle = Digest([0x77; 32]);
    let rejected = |reason| SlotState::Rejected { bundle, reason, trial_id: 0x0102_0304 };
    let numbers = [
        (SlotState::Empty, [0, 0]),
        (SlotState::Writing { bundle }, [1, 0]),
        (SlotState::Staged { bundle }, [2, 0]),
        (rejected(Reason::HostDecided), [3, 1]),
        (rejected(Reason::LeaseExpired), [3, 2]),
        (rejected(Reason::BootLimit), [3, 3]),
        (rejected(Reason::Crashed), [3, 4]),
        (rejected(Reason::PowerLost), [3, 5]),
        (rejected(Reason::BootsSpent), [3, 6]),
        (rejected(Reason::Corrupt), [3, 7]),
        (rejected(Reason::ConfirmedCrashed), [3, 8]),
        (rejected(Reason::Retired), [3, 9]),
        (rejected(Reason::Withdrawn), [3, 10]),
        (SlotState::Admitted { bundle }, [4, 0]),
    ];
    assert_eq!(RejectReason::ALL.len(), 10, "every reason is above");
    for (slot, [tag, reason]) in numbers {
        let mut expected = vec![tag, reason, 0, 0];
        let trial_id = if tag == 3 { [4, 3, 2, 1] } else { [0; 4] };
        expected.extend(trial_id);
        expected.extend(if tag == 0 { [0; 32] } else { [0x77; 32] });
        for (at, slots) in [
            (72, PerSlot { a: slot, b: SlotState::Empty }),
            (112, PerSlot { a: SlotState::Empty, b: slot }),
        ] {
            let bytes = entry(&BootState { slots, ..BootState::default() });
            assert_eq!(bytes[at..at + 40], expected, "{slot:?}");
        }
    }
}

/// An older writer that changes what it knows leaves what it does not know, and who wrote it, in every later entry.
#[test]
fn what_a_newer_version_appended_survives_every_change_of_an_older_one() {
    let mut flash = RamFlash::even(1024, 4);
    let ranges = [range(0, 2048), range(2048, 2048)];
    let newer = newer();
    RecordStore::load(&mut flash, ranges).write(&mut flash, &newer).unwrap();
    for number in 0..20 {
        let mut store = RecordStore::load(&mut flash, ranges);
        let state = BootState { crash_left: number, ..store.state().unwrap().clone() };
        store.write(&mut flash, &state).unwrap();
    }
    let store = RecordStore::load(&mut flash, ranges);
    assert_eq!(store.state(), Some(&BootState { crash_left: 19, ..newer }));
}

/// The front of a fresh record, written by the store itself: the entry up to its CRC.
fn entry(state: &BootState) -> Vec<u8> {
    let mut flash = RamFlash::even(4096, 2);
    let ranges = [range(0, 4096), range(4096, 4096)];
    RecordStore::load(&mut flash, ranges).write(&mut flash, state).unwrap();
    let length = 244 + state.carried.bytes.len();
    assert!(flash.bytes[length..ENTRY_BYTES].iter().all(|byte| *byte == 0xff));
    flash.bytes[..length].to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<String>>().concat()
}

/// Every field is named, so that a new one does not compile before somebody has been here.
fn on_trial() -> BootState {
    BootState {
        active: Some(SlotId::A),
        crash_left: 2,
        slots: PerSlot {
            a: SlotState::Admitted { bundle: digest(0x10) },
            b: SlotState::Staged { bundle: digest(0x30) },
        },
        trial: Some(Trial {
            slot: SlotId::B,
            trial_id: 0x4142_4344,
            plan: digest(0x50),
            armed: 3,
            crash_left: 4,
            power_left: 5,
            boots_left: 0x0607,
            lease_ms: 0x0809_0a0b,
            boot_max_ms: 0x0c0d_0e0f,
            entered: true,
            security_version: 0x1112_1314_1516_1718,
            retires_fallback: false,
        }),
        accept_floor: 0x2122_2324_2526_2728,
        next_trial_id: 0x4142_4345,
        confirmed_trial_id: 0x4142_4343,
        life_cycle: LifeCycle::Development,
        root_version: 0x7172_7374,
        root_digest: digest(0x80),
        erases: PerSlot { a: 0xa1a2_a3a4, b: 0xb1b2_b3b4 },
        touched: Range { start: 0xc1c2_c3c4, len_bytes: 0xd1d2_d3d4 },
        time_floor_s: 0xe1e2_e3e4_e5e6_e7e8,
        carried: Carried::default(),
    }
}

/// The other slot of each pair, and the other value of each flag.
fn rejected() -> BootState {
    let on_trial = on_trial();
    let trial = on_trial.trial.map(|trial| Trial {
        slot: SlotId::A,
        entered: false,
        retires_fallback: true,
        ..trial
    });
    let slots = PerSlot {
        a: SlotState::Writing { bundle: digest(0x10) },
        b: SlotState::Rejected {
            bundle: digest(0x30),
            reason: RejectReason::Withdrawn,
            trial_id: 0x6162_6364,
        },
    };
    BootState { active: Some(SlotId::B), slots, trial, ..on_trial }
}

/// What a writer of version 7 has left.
fn newer() -> BootState {
    let bytes = b"a later field".iter().copied().collect();
    BootState { carried: Carried { version: 7, bytes }, ..on_trial() }
}

/// Bytes that count on, so that none can be mistaken for its neighbour.
fn digest(first: u8) -> Digest {
    let mut bytes = [first; 32];
    for (byte, add) in bytes.iter_mut().zip(0..) {
        *byte += add;
    }
    Digest(bytes)
}

fn entries() -> [(&'static str, BootState, &'static [&'static str]); 4] {
    [
        ("factory state", BootState::default(), FACTORY),
        ("on trial", on_trial(), ON_TRIAL),
        ("rejected", rejected(), REJECTED),
        ("of a newer writer", newer(), NEWER),
    ]
}

// A line each: head; flags and root version, root digest; floor and trial ids; slot A, slot B, the bundle of each
// behind it; wear and what is being written; trial, its plan, its budgets and terms; the time floor; appended fields; CRC.

const FACTORY: &[&str] = &[
    "4e465231f400020001000000",
    "0003000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000010000000000000000000000",
    "0000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "00000000000000000000000000000000",
    "0000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "000000000000000000000000000000000000000000000000",
    "0000000000000000",
    "013feb96",
];
const ON_TRIAL: &[&str] = &[
    "4e465231f400020001000000",
    "0102010074737271",
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
    "2827262524232221454342414343424100000000",
    "0400000000000000",
    "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f",
    "0200000000000000",
    "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
    "a4a3a2a1b4b3b2b1c4c3c2c1d4d3d2d1",
    "0201000344434241",
    "505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f",
    "040507060b0a09080f0e0d0c181716151413121100000000",
    "e8e7e6e5e4e3e2e1",
    "6d93e47a",
];
const REJECTED: &[&str] = &[
    "4e465231f400020001000000",
    "0202010074737271",
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
    "2827262524232221454342414343424100000000",
    "0100000000000000",
    "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f",
    "030a000064636261",
    "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
    "a4a3a2a1b4b3b2b1c4c3c2c1d4d3d2d1",
    "0100010344434241",
    "505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f",
    "040507060b0a09080f0e0d0c181716151413121100000000",
    "e8e7e6e5e4e3e2e1",
    "fc96f3d4",
];
const NEWER: &[&str] = &[
    "4e4652310101070001000000",
    "0102010074737271",
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
    "2827262524232221454342414343424100000000",
    "0400000000000000",
    "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f",
    "0200000000000000",
    "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
    "a4a3a2a1b4b3b2b1c4c3c2c1d4d3d2d1",
    "0201000344434241",
    "505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f",
    "040507060b0a09080f0e0d0c181716151413121100000000",
    "e8e7e6e5e4e3e2e1",
    "61206c61746572206669656c64",
    "7ab6a1b6",
];

// As version 1 has left them.

const FACTORY_V1: &[&str] = &[
    "4e465231ec00010001000000",
    "0003000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000010000000000000000000000",
    "0000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "00000000000000000000000000000000",
    "0000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "000000000000000000000000000000000000000000000000",
    "d6483104",
];
const ON_TRIAL_V1: &[&str] = &[
    "4e465231ec00010001000000",
    "0102010074737271",
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
    "2827262524232221454342414343424100000000",
    "0400000000000000",
    "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f",
    "0200000000000000",
    "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
    "a4a3a2a1b4b3b2b1c4c3c2c1d4d3d2d1",
    "0201000344434241",
    "505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f",
    "040507060b0a09080f0e0d0c181716151413121100000000",
    "6c936b36",
];
const REJECTED_V1: &[&str] = &[
    "4e465231ec00010001000000",
    "0202010074737271",
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
    "2827262524232221454342414343424100000000",
    "0100000000000000",
    "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f",
    "030a000064636261",
    "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
    "a4a3a2a1b4b3b2b1c4c3c2c1d4d3d2d1",
    "0100010344434241",
    "505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f",
    "040507060b0a09080f0e0d0c181716151413121100000000",
    "4139f5d5",
];
