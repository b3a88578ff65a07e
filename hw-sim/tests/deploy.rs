//! Whole deployments, in virtual time: what an image does on trial decides how they end.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::needless_pass_by_value,
    reason = "a helper waits for one answer and fails its test without it"
)]

mod common;

use std::time::Instant;

use firmware_protocol::boot::{ResetCause, Start};
use firmware_protocol::slot::{RejectReason, SlotId, SlotState};
use hw_sim::{DeviceConfig, Fault, SERIAL_PORT, Tear};

use common::bundle::{Bundle, CONFIG_BYTES, bundle, root};
use common::{Host, config, scenario};

fn enrolled(body: &str) -> DeviceConfig {
    DeviceConfig { scenario: scenario(body), root: Some(root()), ..config() }
}

/// A host whose device has 1.1.0 staged and was reset into its trial.
fn on_trial(body: &str) -> (Host, Bundle, u32) {
    let mut host = Host::on(SERIAL_PORT, enrolled(body));
    let release = bundle("1.1.0", 20_000);
    host.pass(100);
    host.open_session();
    host.stage(&release);
    let trial = host.begin_trial(&release);
    (host, release, trial)
}

fn went_back(host: &mut Host, reason: RejectReason) {
    assert_eq!(host.device.running(), Some(Start::Slot(SlotId::A)));
    let state = host.status().unwrap().slots.b;
    assert!(matches!(state, SlotState::Rejected { reason: got, .. } if got == reason), "{state:?}");
}

#[test]
fn a_healthy_release_is_staged_tried_and_confirmed() {
    let (mut host, release, trial) = on_trial("");
    assert_eq!(host.device.running(), Some(Start::Slot(SlotId::B)));
    host.confirm(trial);
    host.device.cut_power(100);
    host.pass(300);
    assert_eq!(host.identify(|identity| identity.bundle), Some(Some(release.digest)));
    let stats = host.device.stats();
    assert_eq!(stats.links[0].chunk_bytes_in, 20_000 + CONFIG_BYTES as u64);
    assert_eq!((stats.slot_boots.a, stats.slot_boots.b), (1, 2));
    assert_eq!(stats.flash.violations, 0);
}

#[test]
fn every_way_to_fail_on_trial_ends_in_the_old_version() {
    let cases = [
        ("crashes", ResetCause::Crash, RejectReason::Crashed),
        ("hangs", ResetCause::Watchdog, RejectReason::Crashed),
        ("hangs_feeding_watchdog", ResetCause::Deadline, RejectReason::LeaseExpired),
        ("never_answers", ResetCause::Requested, RejectReason::LeaseExpired),
    ];
    for (behaviour, cause, reason) in cases {
        let body = format!("[[image]]\nversion = \"1.1.0\"\nbehaviour = \"{behaviour}\"\n");
        let (mut host, _, _) = on_trial(&body);
        host.pass(25_000);
        went_back(&mut host, reason);
        assert!(host.device.stats().resets_by(cause) >= 1, "{behaviour} must end by {cause:?}");
    }
}

#[test]
fn without_a_hardware_deadline_a_trial_that_feeds_its_own_watchdog_never_ends() {
    let body = "[device]\nhardware_deadline = false\n\
                [[image]]\nversion = \"1.1.0\"\nbehaviour = \"hangs_feeding_watchdog\"\n";
    let (mut host, _, _) = on_trial(body);
    host.pass(600_000);
    assert_eq!(host.device.running(), Some(Start::Slot(SlotId::B)));
}

/// Cuts power in every flash operation of a staging; whatever is torn, 1.0.0 runs and a retry works.
#[test]
fn a_power_cut_anywhere_in_a_staging_is_survived_and_repaired_by_a_retry() {
    let release = bundle("1.1.0", 9000);
    let staged = |cut: Option<Fault>| {
        let mut host = Host::on(SERIAL_PORT, enrolled(""));
        if let Some(cut) = cut {
            host.device.flash().lock().set_fault(cut);
        }
        host.pass(100);
        host.open_session();
        host
    };
    let mut dry = staged(None);
    dry.stage(&release);
    let operations = dry.device.stats().flash.operations;
    assert!(operations > 40);
    for at_operation in 1..=operations {
        let mut host = staged(Some(Fault::cut(at_operation, Tear::Seeded { seed: at_operation })));
        assert!(host.try_stage(&release).is_err(), "cut {at_operation}");
        assert_eq!(host.device.stats().fired.power_cuts, 1, "cut {at_operation} must have fired");
        host.pass(1000);
        assert_eq!(host.device.running(), Some(Start::Slot(SlotId::A)), "cut {at_operation}");
        host.open_session();
        host.stage(&release);
        assert_eq!(host.device.stats().flash.violations, 0, "cut {at_operation}");
    }
}

#[test]
fn a_deployment_of_a_mebibyte_takes_a_moment() {
    let mut host = Host::on(SERIAL_PORT, DeviceConfig { baud: 921_600, ..enrolled("") });
    let release = bundle("1.1.0", 1 << 20);
    host.pass(100);
    host.open_session();
    let (begun, begun_us) = (Instant::now(), host.now_us);
    host.stage(&release);
    let virtual_us = host.now_us - begun_us;
    assert!(virtual_us >= (1 << 20) * 1_000_000 / 92_160, "the line paces: {virtual_us} us");
    let limit_s = if cfg!(debug_assertions) { 30 } else { 1 };
    assert!(begun.elapsed().as_secs() < limit_s, "{:?}", begun.elapsed());
}
