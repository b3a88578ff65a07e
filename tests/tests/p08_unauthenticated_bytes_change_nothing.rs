//! P8, unauthenticated bytes change nothing durable: garbage, half frames, requests without a session
//! and pieces that nobody announced leave the flash as it was and the device answering.

use firmware_protocol::digest::Digest;
use firmware_protocol::frame::Kind;
use firmware_protocol::message::{Request, TrialTerms};
use firmware_protocol::slot::SlotId;
use integration::flash;
use integration::random::{Random, seed};
use integration::raw::Raw;
use integration::simulator::{SimOptions, Simulator};
use integration::site::{ROOT_KEY, STRANGER_KEY, Site, root_record};

#[test]
fn a_flood_of_garbage_leaves_the_flash_untouched_and_the_device_at_work() {
    let mut random = Random::new(seed("p08_unauthenticated_bytes_change_nothing", 808));
    let site = Site::new();
    for options in [SimOptions::pty().state("serial"), SimOptions::tcp().state("tcp")] {
        let device = Simulator::start(&site, &options);
        let before = flash::whole(device.state());
        for _ in 0..50 {
            let mut raw = connect(&device);
            let length = usize::try_from(random.between(1, 600)).unwrap();
            let garbage = random.bytes(length);
            let frame = raw.frame(Kind::Message, &garbage);
            raw.send_bytes(&frame[..frame.len() / 2]);
            raw.send_bytes(&garbage);
            raw.send_frame(Kind::Chunk, &garbage);
            raw.send_frame(Kind::Message, &garbage);
        }
        assert_eq!(site.running_version(&device.address()), "1.0.0");
        assert!(flash::whole(device.state()) == before, "the flash has changed");
        let stats = device.stop();
        assert_eq!(stats["flash"]["erases"], 0, "{stats}");
    }
}

fn connect(device: &Simulator) -> Raw {
    if device.address().starts_with("serial:") {
        Raw::serial(&device.port())
    } else {
        Raw::tcp(&device.socket())
    }
}

#[test]
fn every_request_that_changes_something_is_refused_without_a_session() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let before = flash::whole(device.state());
    let terms =
        TrialTerms { boots: 3, crashes: 1, power_failures: 1, lease_ms: 1000, boot_max_ms: 1000 };
    let digest = Digest::default();
    let mut raw = Raw::tcp(&device.socket());
    let _ = raw.ask(Request::Hello { min: 1, current: 1 }, |_| ());
    for request in [
        Request::Offer { total_bytes: 10, offset: 0, bytes: &[0; 10] },
        Request::Enroll,
        Request::Stage { again: true },
        Request::OpenComponent { index: 0 },
        Request::Finish,
        Request::OpenTrial { bundle: digest, plan: digest, terms },
        Request::Arm { trial_id: 1, boots: 4 },
        Request::Reset { boot_nonce: 0 },
        Request::Confirm { trial_id: 1, boot_nonce: 0 },
        Request::Rollback { trial_id: 1 },
    ] {
        let refused = raw.ask(request, |reply| format!("{reply:?}"));
        assert!(refused.is_err(), "{request:?} was answered: {refused:?}");
    }
    raw.send_chunk(0, 0, &[7; 512]);
    let hash = Request::HashComponent { slot: SlotId::B, area: 0 };
    let _ = raw.ask(hash, |_| ());
    assert!(flash::whole(device.state()) == before, "the flash has changed");
    assert_eq!(device.stop()["resets"], serde_json::json!({ "power_on": 1 }));
}

/// A second root record, even a well-signed one, comes too late.
#[test]
fn an_enrolled_device_takes_no_other_root_record() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let before = flash::whole(device.state());
    let mut raw = Raw::tcp(&device.socket());
    raw.open_session();
    for record in [root_record(STRANGER_KEY, STRANGER_KEY), root_record(ROOT_KEY, STRANGER_KEY)] {
        raw.offer(&record).unwrap();
        assert!(raw.ask(Request::Enroll, |_| ()).is_err());
    }
    assert!(flash::whole(device.state()) == before, "the flash has changed");
}
