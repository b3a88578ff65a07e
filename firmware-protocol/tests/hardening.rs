//! What one poll, one envelope, one session may cost; and requests that come at the wrong moment.
#![expect(clippy::cast_possible_truncation, reason = "sizes here are small")]
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use firmware_protocol::boot::{BootState, ResetCause};
use firmware_protocol::device::Effect;
use firmware_protocol::flash::Geometry;
use firmware_protocol::frame::Kind;
use firmware_protocol::message::{
    self, Chunk, FromDevice, How, Reply, Request, ToDevice, TrialTerms,
};
use firmware_protocol::record::{RecordStore, WriteStep};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::SlotId;

use crate::support::bench::{Answer, Bench, PLAN, READ_BOUND, TERMS};
use crate::support::bundle::{Bundle, root_record, signed_root};
use crate::support::flash::RamFlash;
use crate::support::{layout, range};

/// The component ends at the front of an erase block of 64 KiB, all of whose rest has to be blank.
#[test]
fn the_end_of_a_block_list_reads_a_step_a_poll() {
    let mut sizes = vec![4096; 0x4_2000 / 4096];
    sizes.push(0x1_0000);
    sizes.extend(vec![4096; (0xa_0000 - 0x5_2000) / 4096]);
    let geometry = Geometry { word_bytes: 8, page_bytes: 256, erased: 0xff };
    let mut bench = Bench::on(RamFlash::with_blocks(geometry, &sizes), layout());
    bench.open_session().offer(&signed_root(&root_record()));
    assert!(bench.ask(Request::Enroll).is_ok());
    let one = Bundle::new(1, 5000);
    assert!(bench.stage(&one, false).is_ok());
    assert_eq!(bench.send_missing(&one, 0), 5);
    // Another host, in the same start.
    bench.open_session();
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    bench.most_read = 0;
    let digests = &one.block_list(0).concat();
    let reply = bench.ask(Request::BlockList { first_block: 0, digests });
    assert_eq!(reply, Ok(Reply::Listed { blocks: 5 }));
    assert!(bench.most_read <= READ_BOUND, "a poll read {} bytes", bench.most_read);
    assert_eq!(bench.send_missing(&one, 0), 0, "the rest was blank, so all blocks are kept");
}

/// Ranges of several large erase blocks, full of entries or of anything else.
#[test]
fn a_record_that_moves_over_reads_a_step_at_a_time() {
    for junk in [None, Some(0_u8), Some(0xa5)] {
        let geometry = Geometry { word_bytes: 8, page_bytes: 256, erased: 0xff };
        let mut flash = RamFlash::with_blocks(geometry, &[0x1_0000; 4]);
        if let Some(junk) = junk {
            flash.bytes[0x300..].fill(junk);
        }
        let ranges = [range(0, 0x2_0000), range(0x2_0000, 0x2_0000)];
        let mut store = RecordStore::load(&mut flash, ranges);
        for number in 0..1200_u64 {
            let state = BootState { accept_floor: number, ..BootState::default() };
            loop {
                let before = flash.read_bytes;
                let step = store.step(&mut flash, &state).unwrap();
                let read = flash.read_bytes - before;
                assert!(read <= READ_BOUND, "a step of entry {number} read {read} bytes");
                if step == WriteStep::Written {
                    break;
                }
            }
        }
        assert!(flash.erases > 0);
        let floor = RecordStore::load(&mut flash, ranges).state().unwrap().accept_floor;
        assert_eq!(floor, 1199);
    }
}

/// A write torn in the middle leaves a place that cannot be read: the list asks for it again.
#[test]
fn a_block_that_cannot_be_read_is_missing_not_the_end_of_the_transfer() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 20_000);
    assert!(bench.stage(&one, false).is_ok());
    bench.send_missing(&one, 0);
    let start = bench.layout.slots().a.areas[0].range.start;
    bench.flash().unreadable = vec![range(start + 0x1008, 8)];
    bench.open_session();
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let digests = &one.block_list(0).concat();
    let reply = bench.ask(Request::BlockList { first_block: 0, digests });
    assert_eq!(reply, Ok(Reply::Listed { blocks: 20 }));
    assert_eq!(bench.send_missing(&one, 0), 4);
}

#[test]
fn an_open_trial_is_found_only_under_the_terms_it_was_opened_on() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    let trial_id = bench.armed(&one, TERMS);
    let open = |terms| Request::OpenTrial { bundle: one.digest, plan: PLAN, terms };
    let how = How::FoundDone;
    assert_eq!(bench.ask(open(TERMS)), Ok(Reply::Trial { trial_id, armed: 1, how }));
    for other in [
        TrialTerms { lease_ms: TERMS.lease_ms + 1, ..TERMS },
        TrialTerms { boot_max_ms: TERMS.boot_max_ms - 1, ..TERMS },
        TrialTerms { boots: TERMS.boots - 1, ..TERMS },
        TrialTerms { crashes: TERMS.crashes - 1, ..TERMS },
        TrialTerms { power_failures: TERMS.power_failures - 1, ..TERMS },
    ] {
        assert_eq!(bench.ask(open(other)), Err(Refusal::TrialOpen { trial_id }), "{other:?}");
    }
}

/// What a boot has spent does not make it another trial.
#[test]
fn a_trial_that_has_spent_a_boot_is_still_the_same() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000));
    let two = Bundle::new(2, 9000);
    bench.staged(&two);
    let trial_id = bench.armed(&two, TERMS);
    bench.reset();
    bench.restart(ResetCause::Watchdog).open_session();
    let trial = bench.status().trial.unwrap();
    assert_eq!((trial.boots_left, trial.crash_left), (TERMS.boots - 1, TERMS.crashes - 1));
    let open = Request::OpenTrial { bundle: two.digest, plan: PLAN, terms: TERMS };
    let how = How::FoundDone;
    assert_eq!(bench.ask(open), Ok(Reply::Trial { trial_id, armed: 0, how }));
}

#[test]
fn a_stage_without_its_document_is_answered_only_to_the_request_that_began_it() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.offer(&one.envelope);
    let (session, stage) = (bench.session, Request::Stage { again: false });
    assert!(bench.send(0, 900, session, stage).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let digests = &one.block_list(0).concat();
    // A long request since: the kept answer is another one now.
    assert!(bench.ask(Request::BlockList { first_block: 0, digests }).is_ok());
    let same = bench.send(0, 900, session, stage);
    assert!(matches!(same, Ok(Reply::Stage { how: How::Resumed, .. })), "{same:?}");
    let other = bench.ask(stage);
    assert!(matches!(other, Err(Refusal::DocumentPiece { expected: 0, .. })), "{other:?}");
    assert!(bench.send(0, 1, 0, Request::Hello { min: 1, current: 1 }).is_ok());
    let after_hello = bench.send(0, 900, session, stage);
    assert!(after_hello.is_err(), "ids start anew: {after_hello:?}");
    assert_eq!(bench.stage(&one, false).map(|_| ()), Ok(()), "with its document it goes on");
}

/// P3 comes first, but whoever waited hears of it.
#[test]
fn a_request_that_gives_way_to_the_end_of_a_trial_is_answered() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    bench.armed(&one, TERMS);
    assert_eq!(bench.send_once(700, Request::RunCheck { index: 0 }), None);
    bench.device().board_mut().polls_left = u32::MAX;
    bench.now_ms += u64::from(TERMS.lease_ms);
    let mut said = Vec::new();
    for _ in 0..20 {
        if let Some(FromDevice::Reply { id, reply }) = bench.step() {
            said.push((id, reply));
        }
    }
    assert_eq!(said, [(700, Err(Refusal::Busy))]);
    assert_eq!(bench.status().trial, None);
    assert_eq!(bench.send_once(700, Request::RunCheck { index: 0 }), None, "done anew");
}

/// A check that never ends must not keep a host from ending the trial or the boot; who waited for it is
/// told, once.
#[test]
fn a_rollback_and_a_reset_do_not_wait_for_a_check_that_never_ends() {
    for deed in ["rollback", "withdraw", "reset"] {
        let mut bench = Bench::enrolled();
        let one = Bundle::new(1, 9000);
        bench.staged(&one);
        let trial_id = bench.armed(&one, TERMS);
        bench.reset();
        let boot_nonce = bench.boot_nonce;
        let request = match deed {
            "rollback" => Request::Rollback { trial_id },
            "withdraw" => Request::Withdraw { trial_id },
            _ => Request::Reset { boot_nonce },
        };
        assert_eq!(bench.send_once(700, Request::RunCheck { index: 0 }), None);
        bench.device().board_mut().polls_left = u32::MAX;
        assert_eq!(bench.ask(Request::Finish), Err(Refusal::Busy), "the check runs");
        let wrong = Request::Reset { boot_nonce: boot_nonce ^ 1 };
        assert_eq!(bench.ask(wrong), Err(Refusal::WrongBoot));
        let working = bench.send_once(700, Request::RunCheck { index: 0 });
        assert_eq!(working, Some(Ok(Reply::Working { left_bytes: 0 })), "a refusal ends no check");
        let mut said = vec![bench.tell(701, request)];
        while bench.last.effect != Effect::Reset {
            assert!(said.len() < 200, "{deed}: no reset");
            said.push(bench.step());
        }
        let reply = |id, reply| Some(FromDevice::Reply { id, reply });
        for one in [reply(700, Err(Refusal::Busy)), reply(701, Ok(Reply::Done(How::Done)))] {
            assert_eq!(said.iter().filter(|said| **said == one).count(), 1, "{deed}: {said:?}");
        }
        bench.restart(ResetCause::Requested).open_session();
        assert_eq!(bench.status().trial.is_some(), deed == "reset");
    }
}

/// What is being stored is stored to its end: half an entry would be no answer to either request.
#[test]
fn a_reset_waits_for_what_is_being_stored() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    let boot_nonce = bench.boot_nonce;
    let open = Request::OpenTrial { bundle: one.digest, plan: PLAN, terms: TERMS };
    bench.flash().geometry.page_bytes = 16;
    assert_eq!(bench.send_once(700, open), None);
    let reset = Request::Reset { boot_nonce };
    assert_eq!(bench.send_once(701, reset), Some(Err(Refusal::Busy)), "pages are left to write");
    for _ in 0..20 {
        bench.step();
    }
    assert!(bench.status().trial.is_some());
    assert_eq!(bench.send_once(702, reset), Some(Ok(Reply::Done(How::Done))));
}

#[test]
fn a_block_list_left_half_sent_begins_anew_when_its_component_is_opened() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 40_000);
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let digests = one.block_list(0).concat();
    let half = Request::BlockList { first_block: 0, digests: &digests[..8 * 32] };
    assert_eq!(bench.ask(half), Ok(Reply::Listed { blocks: 8 }));
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    bench.acks.clear();
    bench.chunk(0, 0, &one.payloads[0][..512]);
    let ack = bench.acks.first().unwrap();
    assert!(ack.taken && ack.credit_blocks > 0, "{ack:?}");
    bench.send_missing(&one, 0);
    bench.send_missing(&one, 1);
    assert!(bench.ask(Request::Finish).is_ok());
}

/// A forged list that comes when everything is written must not make the device forget it.
#[test]
fn a_list_for_a_component_that_is_all_there_changes_nothing() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    assert!(bench.stage(&one, false).is_ok());
    bench.send_missing(&one, 0);
    let reply = bench.ask(Request::BlockList { first_block: 0, digests: &[7; 9 * 32] });
    assert_eq!(reply, Ok(Reply::Listed { blocks: 9 }));
    let asked = bench.ask(Request::Missing { first_block: 0 });
    assert!(matches!(asked, Ok(Reply::Missing { missing: 0, .. })), "{asked:?}");
}

#[test]
fn a_board_with_long_names_is_still_identified() {
    let mut bench = Bench::new();
    bench.device().board_mut().hardware = "ä".repeat(400) + "x";
    let reply = bench.ask(Request::Identify);
    let Ok(Reply::Identity(identity)) = reply else { panic!("{reply:?}") };
    assert_eq!(identity.hardware, "ä".repeat(24));
    bench.device().board_mut().hardware = "b".to_owned() + &"ä".repeat(400);
    let reply = bench.ask(Request::Identify);
    let Ok(Reply::Identity(identity)) = reply else { panic!("{reply:?}") };
    assert_eq!(identity.hardware, "b".to_owned() + &"ä".repeat(23));
}

/// Four transfers of at most eight failing blocks each; a new session may try again.
#[test]
fn a_session_draws_a_bounded_number_of_erases_from_flash_that_fails() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    let at = one.payloads[0].iter().position(|byte| byte & 1 == 1).unwrap();
    bench.flash().stuck = Some(bench.layout.slots().a.areas[0].range.start + at as u32);
    let start = bench.flash().erases;
    let mut staged = 0;
    for _ in 0..10 {
        let reply = bench.stage(&one, false);
        if reply.is_err() {
            assert_eq!(reply, Err(Refusal::Flash));
            continue;
        }
        staged += 1;
        // Going to and fro between components does not start the count anew.
        for turn in 0..20 {
            if bench.ask(Request::OpenComponent { index: turn % 2 }).is_ok() && turn % 2 == 0 {
                bench.chunk(0, 0, &one.payloads[0][..1024]);
            }
        }
    }
    assert_eq!(staged, 4);
    let erases = bench.flash().erases - start;
    assert!(erases <= 4 * 8 + 4 * 2 + 2, "{erases} erases");
    bench.open_session();
    assert!(bench.stage(&one, false).is_ok());
}

#[test]
fn the_last_trial_id_is_never_used() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    let ranges = bench.layout.record();
    let mut store = RecordStore::load(bench.flash(), ranges);
    let state = BootState { next_trial_id: u32::MAX, ..store.state().unwrap().clone() };
    store.write(bench.flash(), &state).unwrap();
    bench.restart(ResetCause::PowerOn).open_session();
    let open = Request::OpenTrial { bundle: one.digest, plan: PLAN, terms: TERMS };
    let limit = Refusal::Limit { got: u32::MAX, limit: u32::MAX - 1 };
    assert_eq!(bench.ask(open), Err(limit));
}

/// Sends a request in the session; every poll behind it brings a frame of a stranger that is answered at once. Gives
/// the answer, and how many polls it took.
fn asked_in_a_flood(bench: &mut Bench, id: u32, request: Request<'_>) -> (Answer, u32) {
    let mut bytes = [0; 2048];
    let asked = ToDevice { id, session: bench.session, request };
    let payload = message::encode(&asked, &mut bytes).unwrap().to_vec();
    let mut said = bench.frame(0, Kind::Message, &payload);
    for polls in 1..10_000 {
        match said {
            Some(FromDevice::Reply { id: named, reply }) if named == id => return (reply, polls),
            _ => {}
        }
        bench.now_ms += 1;
        let stranger =
            ToDevice { id: 0x5000_0000 + polls, session: 0, request: Request::RootStatus };
        let mut bytes = [0; 64];
        let payload = message::encode(&stranger, &mut bytes).unwrap().to_vec();
        said = bench.frame(1, Kind::Message, &payload);
    }
    panic!("no answer to {request:?}");
}

/// P8: who asks without a pause, and needs no session for it, keeps the device from nothing: it works on in every fifth
/// poll at least.
#[test]
fn a_flood_of_questions_keeps_no_request_from_its_end() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9_000);
    bench.offer(&one.envelope);
    let staged = asked_in_a_flood(&mut bench, 10_000, Request::Stage { again: false });
    assert!(matches!(staged.0, Ok(Reply::Stage { .. })), "{staged:?}");
    bench.send_missing(&one, 0);
    bench.send_missing(&one, 1);
    let open = Request::OpenTrial { bundle: one.digest, plan: PLAN, terms: TERMS };
    let hash = Request::HashComponent { slot: SlotId::A, area: 0 };
    for (id, request) in (20_000..).zip([Request::Finish, open, hash]) {
        let (reply, polls) = asked_in_a_flood(&mut bench, id, request);
        assert!(reply.is_ok() && polls < 500, "{request:?}: {reply:?} behind {polls} polls");
    }
    let trial_id = bench.status().trial.unwrap().trial_id;
    let arm = asked_in_a_flood(&mut bench, 30_000, Request::Arm { trial_id, boots: 1 });
    assert_eq!(arm.0, Ok(Reply::Trial { trial_id, armed: 1, how: How::Done }));
    bench.reset();
    let confirm = Request::Confirm { trial_id, boot_nonce: bench.boot_nonce };
    let (confirmed, polls) = asked_in_a_flood(&mut bench, 40_000, confirm);
    assert!(confirmed.is_ok() && polls < 100, "{confirmed:?} behind {polls} polls");
    assert_eq!(bench.status().active, Some(SlotId::A));
}

/// Nor from saying what has arrived; and who asks is answered most of the time.
#[test]
fn a_flood_of_questions_keeps_no_chunk_from_its_acknowledgement() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9_000);
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let mut id = 0x5000_0000;
    let mut ask_in_vain = |bench: &mut Bench| {
        id += 1;
        let mut bytes = [0; 64];
        let stranger = ToDevice { id, session: 0, request: Request::Status };
        let payload = message::encode(&stranger, &mut bytes).unwrap().to_vec();
        bench.frame(1, Kind::Message, &payload)
    };
    // With the answer before, four in a row: the next frame falls into the device's own turn.
    for _ in 0..3 {
        assert!(matches!(ask_in_vain(&mut bench), Some(FromDevice::Reply { .. })));
    }
    let bytes = &one.payloads[0][..512];
    let chunk = Chunk { session: bench.session, component: 0, offset: 0, bytes };
    let said = bench.frame(0, Kind::Chunk, &[&chunk.head()[..], bytes].concat());
    assert_eq!(said, None, "what arrives in an own turn is worked on with the next call");
    assert!(bench.last.wake_ms <= bench.now_ms, "which comes at once");
    let said: Vec<_> = (0..10).filter_map(|_| ask_in_vain(&mut bench)).collect();
    let acks = said.iter().filter(|said| matches!(said, FromDevice::Ack(_))).count();
    assert_eq!((acks, said.len()), (1, 10), "one call in five is the device's own");
}

/// Whoever stops in the middle of a scan gives the session back all the same.
#[test]
fn a_session_is_closed_while_its_host_waits_for_a_scan() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 40_000));
    let hash = Request::HashComponent { slot: SlotId::A, area: 0 };
    assert_eq!(bench.send_once(50_000, hash), None, "it is worked on");
    assert_eq!(bench.ask(Request::CloseSession), Ok(Reply::Done(How::Done)));
    let open = Request::OpenSession { take_over: false, trial_id: 0 };
    assert!(matches!(bench.send(1, 60_000, 0, open), Ok(Reply::Session { .. })));
}
