//! Somebody on the cable: what a tap records, it can play to the device again, and what it does to frames reaches them.

use firmware_protocol::frame::Framing;
use firmware_protocol::message::Request;
use hw_sim::{Meddling, Tap, Way};
use integration::proxy::{At, Proxy};
use integration::raw::Raw;
use integration::simulator::{SimOptions, Simulator};
use integration::site::Site;

#[test]
fn a_recorded_session_is_played_to_the_device_again_in_front_of_another_one() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let cable = Proxy::start(&device.socket(), At::Nothing);
    let recorder = cable.tap_next(Tap::new(Framing::Stream, Vec::new(), 0));
    assert_eq!(site.running_version(&cable.address()), "1.0.0");
    let asked = recorder.lock().unwrap().recording(Way::ToDevice);
    assert!(!asked.is_empty());

    let replay = Meddling::Insert { way: Way::ToDevice, at: 1, frames: asked.clone() };
    let player = cable.tap_next(Tap::new(Framing::Stream, vec![replay], 0));
    let mut raw = Raw::tcp(&cable.socket());
    raw.ask(Request::Hello { min: 1, current: 1 }, |_| ()).unwrap();
    let player = player.lock().unwrap();
    assert_eq!(player.struck(), 1);
    let answers = player.recording(Way::ToHost).len();
    assert!(answers > asked.len(), "{answers} answers to {} questions and one", asked.len());
}

#[test]
fn a_host_gets_its_answer_over_a_cable_that_loses_repeats_and_swaps_frames() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let cable = Proxy::start(&device.socket(), At::Nothing);
    let script = vec![
        Meddling::Drop { way: Way::ToDevice, at: 1 },
        Meddling::Repeat { way: Way::ToHost, at: 1, times: 3 },
        Meddling::Shuffle { way: Way::ToDevice, at: 2, frames: 2 },
    ];
    let tap = cable.tap_next(Tap::new(Framing::Stream, script, 5));
    assert_eq!(site.running_version(&cable.address()), "1.0.0");
    assert_eq!(tap.lock().unwrap().struck(), 3);
}
