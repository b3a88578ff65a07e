//! Faults of the device and its supply, as a host sees them. Everything runs in virtual time, and each test asks
//! whether its fault has fired.
#![allow(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a helper waits for one answer and fails its test without it"
)]

mod common;

use firmware_protocol::boot::{ResetCause, Start};
use firmware_protocol::message::Request;
use firmware_protocol::slot::SlotId;
use hw_sim::{DeviceConfig, FaultClass, SERIAL_PORT};

use common::{Host, config, scenario};

fn fired(host: &Host, class: FaultClass) -> u64 {
    host.device.stats().fired.faults.get(&class).copied().unwrap_or(0)
}

#[test]
fn a_device_resets_for_every_cause_that_it_is_told() {
    for cause in ResetCause::ALL {
        let mut host = Host::new(&format!("faults = [\"reset@10={}\"]\n", cause.word()));
        host.pass(2000);
        assert_eq!(fired(&host, FaultClass::Reset), 1, "{cause:?}");
        assert_eq!(host.identify(|identity| identity.reset_cause), Some(cause));
        assert_eq!(
            host.device.stats().resets_by(cause),
            1 + u64::from(cause == ResetCause::PowerOn)
        );
    }
}

#[test]
fn an_image_that_hangs_at_a_call_is_ended_by_the_watchdog() {
    let mut host = Host::new("faults = [\"hang@10\"]\n");
    host.pass(1500);
    assert_eq!(host.identify(|_| ()), None);
    host.pass(3000);
    assert_eq!(host.identify(|identity| identity.reset_cause), Some(ResetCause::Watchdog));
    assert_eq!(fired(&host, FaultClass::Hang), 1);
}

/// A clock that jumps a minute ends what it passes over; the next start has the right time again.
#[test]
fn a_clock_that_jumps_or_stands_still_is_right_again_behind_a_start() {
    for (fault, uptime_ms) in [
        ("clock@20+600000", 600_000..700_000),
        ("clock@20-600000", 0..2_000),
        ("clock@20=stop", 0..2_000),
    ] {
        let mut host = Host::new(&format!("faults = [\"{fault}\"]\n"));
        host.pass(5000);
        assert_eq!(fired(&host, FaultClass::Clock), 1, "{fault}");
        let uptime = host.status().unwrap().uptime_ms;
        assert!(uptime_ms.contains(&uptime), "{fault}: {uptime} ms");
        host.device.cut_power(10);
        host.pass(3000);
        let uptime = host.status().unwrap().uptime_ms;
        assert!((2_800..3_300).contains(&uptime), "{fault}: {uptime} ms");
    }
}

#[test]
fn without_random_numbers_no_session_opens_and_with_them_again_one_does() {
    let mut host = Host::new("faults = [\"random@1*2\"]\n");
    host.pass(500);
    let open = Request::OpenSession { take_over: false, trial_id: 0 };
    for expected in [false, false, true] {
        assert_eq!(host.attempt(open, |_| Some(())).is_ok(), expected);
    }
    assert_eq!(fired(&host, FaultClass::Random), 2);
}

/// A word of the running image traps at every start: it is passed over by a device that asks, every time.
#[test]
fn a_word_that_traps_is_passed_over_at_the_start_and_no_reset_comes_of_it() {
    let image = Host::new("").device.layout().slots().a.areas[0].range.start;
    // The crash is what is written down first, at the next start.
    let faults = format!("faults = [\"ecc@1:{image}\", \"reset@10=crash\", \"reset@40=pin\"]");
    let mut host = Host::new(&format!("{faults}\n[flash]\necc = \"trap\"\n"));
    host.pass(8000);
    assert!(fired(&host, FaultClass::Trap) > 0);
    assert_eq!(host.device.running(), Some(Start::Recovery));
    assert_eq!(host.device.stats().recovery_boots, 1, "no start but the pin's");
}

/// A supply that fails at random: the device comes back each time and says why it was away.
#[test]
fn a_supply_that_fails_at_random_leaves_a_device_that_boots() {
    let power_cuts = Some("random:3:2".parse().unwrap());
    let body = "[[image]]\nversion = \"*\"\nbehaviour = \"crashes\"\n[power]\noff_ms = 20\n";
    let config = DeviceConfig { scenario: scenario(body), power_cuts, ..config() };
    let mut host = Host::on(SERIAL_PORT, config);
    host.pass(60_000);
    let stats = host.device.stats();
    // An image that crashes until only recovery is left, which writes nothing more.
    assert!(stats.fired.power_cuts > 2, "{stats:?}");
    assert_eq!(stats.flash.violations, 0);
    assert!(host.device.running().is_some());
    assert_ne!(host.device.running(), Some(Start::Slot(SlotId::B)));
}
