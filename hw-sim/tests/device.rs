//! What a simulated device does, as a host and a bench see it. Everything runs in virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::needless_pass_by_value,
    reason = "a helper waits for one answer and fails its test without it"
)]

mod common;

use firmware_protocol::boot::{BootRow, ResetCause, Start};
use firmware_protocol::digest::Digest;
use firmware_protocol::message::LinkCounters;
use firmware_protocol::slot::SlotId;
use hw_sim::{DeviceConfig, SERIAL_PORT, SimDevice, TCP_PORTS};

use common::{Host, config, scenario};

#[test]
fn a_new_device_boots_its_factory_image_and_says_who_it_is_on_either_port() {
    for port in [SERIAL_PORT, TCP_PORTS[0], TCP_PORTS[1]] {
        let mut host = Host::on(port, config());
        host.pass(100);
        let (product, version, running) = host
            .identify(|identity| {
                (identity.product.to_owned(), identity.version.unwrap(), identity.running)
            })
            .unwrap();
        assert_eq!(product, "rover-nav");
        assert_eq!(version.to_string(), "1.0.0");
        assert_eq!(running, Start::Slot(SlotId::A));
        // Both TCP connections count as one link.
        assert_eq!(host.device.stats().links[port.min(1)].frames_in, 1);
    }
}

#[test]
fn nothing_is_heard_before_an_image_runs() {
    let mut host = Host::new("");
    assert!(!host.device.listens());
    assert_eq!(host.identify(|_| ()), None);
    assert!(host.device.stats().links[0].unheard_bytes > 0);
    assert!(host.identify(|_| ()).is_some());
}

#[test]
fn an_image_that_crashes_leaves_the_device_in_recovery_when_there_is_no_fallback() {
    let mut host = Host::new("[[image]]\nversion = \"1.0.0\"\nbehaviour = \"crashes\"\n");
    host.pass(2000);
    assert_eq!(host.device.stats().resets_by(ResetCause::Crash), 3);
    assert_eq!(host.device.running(), Some(Start::Recovery));
    assert_eq!(host.status().unwrap().row, BootRow::CrashedAlone);
}

#[test]
fn an_image_that_hangs_is_ended_by_the_watchdog() {
    let mut host = Host::new("[[image]]\nversion = \"*\"\nbehaviour = \"hangs\"\n");
    host.pass(2200);
    assert_eq!(host.device.stats().resets_by(ResetCause::Watchdog), 1);
    assert_eq!(host.identify(|_| ()), None);
}

#[test]
fn a_confirmed_image_that_hangs_and_feeds_the_watchdog_hangs_for_ever() {
    let body = "[[image]]\nversion = \"*\"\nbehaviour = \"hangs_feeding_watchdog\"\n";
    let mut host = Host::new(body);
    host.pass(60_000);
    assert_eq!(host.device.running(), Some(Start::Slot(SlotId::A)));
    assert_eq!(host.device.stats().boots(), 1);
    assert_eq!(host.identify(|_| ()), None);
}

#[test]
fn an_image_that_never_answers_runs_on_in_silence() {
    let mut host = Host::new("[[image]]\nversion = \"*\"\nbehaviour = \"never_answers\"\n");
    host.pass(5000);
    assert_eq!(host.identify(|_| ()), None);
    let stats = host.device.stats();
    assert_eq!((stats.boots(), stats.links[0].frames_in), (1, 1));
    assert_eq!(stats.links[0].bytes_out, 0);
}

#[test]
fn a_slow_boot_is_slow_and_no_hang() {
    let mut host = Host::new("[[image]]\nversion = \"*\"\nboot_ms = 9000\n");
    host.pass(9000);
    assert!(!host.device.listens());
    host.pass(100);
    assert!(host.identify(|_| ()).is_some());
    assert_eq!(host.device.stats().boots(), 1);
}

#[test]
fn console_text_comes_between_the_frames_of_the_serial_line() {
    let mut host = Host::new("[[image]]\nversion = \"*\"\nconsole = [\"nav ready\", \"gps ok\"]\n");
    host.pass(100);
    assert!(host.identify(|_| ()).is_some());
    assert_eq!(host.text, b"nav ready\r\ngps ok\r\n");
}

#[test]
fn a_device_without_power_comes_back_by_itself_with_another_nonce() {
    let mut host = Host::new("");
    host.pass(100);
    let before = host.identify(|identity| identity.boot_nonce).unwrap();
    host.device.cut_power(300);
    assert_eq!(host.device.running(), None);
    host.pass(500);
    let (after, cause) =
        host.identify(|identity| (identity.boot_nonce, identity.reset_cause)).unwrap();
    assert_ne!(before, after);
    assert_eq!(cause, ResetCause::PowerOn);
    assert_eq!(host.device.stats().resets_by(ResetCause::PowerOn), 2);
}

/// The first flash operation of this device is the boot stage's record of the first crash.
#[test]
fn power_cut_inside_a_record_write_of_the_boot_stage_is_survived() {
    for seed in 0..20 {
        let body = "[power]\ncut_at_operation = 1\n\
                    [[image]]\nversion = \"1.0.0\"\nbehaviour = \"crashes\"\n";
        let config = DeviceConfig { scenario: scenario(body), seed, ..config() };
        let mut host = Host::on(SERIAL_PORT, config);
        host.pass(1500);
        let stats = host.device.stats();
        assert_eq!(stats.fired.power_cuts, 1, "seed {seed}: the cut must have fired");
        assert_eq!(stats.resets_by(ResetCause::PowerOn), 2, "seed {seed}");
        assert!(host.device.running().is_some(), "seed {seed}");
        assert_eq!(stats.flash.violations, 0, "seed {seed}");
    }
}

#[test]
fn a_bit_flipped_in_the_confirmed_image_shows_at_the_next_start() {
    let mut host =
        Host::new("[[flip]]\ncomponent = \"config\"\nslot = \"A\"\noffset = 9\nafter_ms = 200\n");
    host.pass(250);
    assert_eq!(host.device.stats().fired.flips, 1, "the flip must have fired");
    assert_eq!(host.device.running(), Some(Start::Slot(SlotId::A)));
    host.device.cut_power(10);
    host.pass(200);
    assert_eq!(host.status().unwrap().row, BootRow::NothingBoots);
}

#[test]
fn damaged_frames_are_dropped_and_counted_and_asking_again_helps() {
    let mut host = Host::new("[[link_fault]]\nkind = \"corrupt\"\nrate = 5e-4\n");
    host.pass(100);
    let answered = (0..200).filter(|_| host.identify(|_| ()).is_some()).count();
    let stats = host.device.stats();
    assert!(stats.fired.corrupted_bits > 0, "the fault must have fired");
    assert!(stats.links[0].damaged_in > 0);
    assert!((80..190).contains(&answered), "{answered} of 200");
}

#[test]
fn a_pulled_cable_comes_back_on_serial_and_ends_the_connection_on_tcp() {
    for port in [SERIAL_PORT, TCP_PORTS[0], TCP_PORTS[1]] {
        let body = "[[link_fault]]\nkind = \"disconnect\"\nafter_bytes = 10\ndown_ms = 50\ndirection = \"out\"\n";
        let mut host = Host::on(port, DeviceConfig { scenario: scenario(body), ..config() });
        host.pass(100);
        host.device.take_hung_up(port);
        assert_eq!(host.identify(|_| ()), None);
        assert_eq!(host.device.stats().fired.disconnects, 1, "the fault must have fired");
        assert!(host.device.take_hung_up(port));
        host.device.connect(port);
        host.decoder.clear();
        assert!(host.identify(|_| ()).is_some());
    }
}

#[test]
fn a_serial_line_takes_the_time_of_its_baud_rate() {
    let mut host = Host::on(SERIAL_PORT, DeviceConfig { baud: 9600, ..config() });
    host.pass(100);
    let begun_us = host.now_us;
    assert!(host.identify(|_| ()).is_some());
    let stats = host.device.stats().links[0];
    let bytes = stats.bytes_in + stats.bytes_out;
    let took_us = host.now_us - begun_us;
    assert!(took_us >= bytes * 1_000_000 / 960, "{bytes} bytes in {took_us} us");
    assert!(took_us < bytes * 1_000_000 / 960 + 5000, "{bytes} bytes in {took_us} us");
}

#[test]
fn the_device_counts_on_its_side_what_it_says_it_counts() {
    let mut host = Host::new("");
    host.pass(100);
    for _ in 0..5 {
        assert!(host.identify(|_| ()).is_some());
    }
    let LinkCounters { frames, .. } = host.status().unwrap().link;
    assert_eq!(u64::from(frames), host.device.stats().links[0].frames_in);
}

#[test]
fn the_same_seed_and_input_give_the_same_bytes_at_the_same_times() {
    let trace = |seed| {
        let body = "[[link_fault]]\nkind = \"corrupt\"\nrate = 1e-3\n\
                    [[image]]\nversion = \"*\"\nbehaviour = \"crashes\"\ncrash_after_ms = 3000\n";
        let config = DeviceConfig { scenario: scenario(body), seed, baud: 115_200, ..config() };
        let mut host = Host::on(SERIAL_PORT, config);
        for _ in 0..40 {
            host.identify(|_| ());
        }
        let stats = serde_json::to_vec(&host.device.stats()).unwrap();
        Digest::of(&[host.trace, stats].concat())
    };
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}

/// However rarely the caller looks, what is due is done at its own time.
#[test]
fn the_outcome_does_not_depend_on_how_often_time_is_advanced() {
    let run = |step_us: usize| {
        let body = "[[image]]\nversion = \"*\"\nbehaviour = \"crashes\"\n";
        let mut device =
            SimDevice::new(DeviceConfig { scenario: scenario(body), ..config() }).unwrap();
        for now_us in (0..=3_000_000).step_by(step_us) {
            device.advance(now_us);
        }
        device.advance(3_000_000);
        device.stats()
    };
    assert_eq!(run(100), run(3_000_000));
}
