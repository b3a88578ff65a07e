//! Row 5: an image that nobody confirms is started again and again.

use firmware_protocol::message::TrialTerms;
use firmware_protocol::planted::Mistake;
use firmware_protocol::refusal::Refusal;

use super::{Outcome, Row, Switch};
use crate::intruder::{Intruder, PLAN, Shipment, TERMS};
use crate::simulator::{SimOptions, Simulator, boots};
use crate::site::{Release, Site};

/// The row.
pub const ROW: Row = Row {
    number: 5,
    name: "never confirmed",
    attack: "a session arms and restarts a trial for ever, with losses of power in between, and confirms nothing",
    defence: "each start of a trial is counted and stored before the jump; the last one of its terms is the last",
    switch: Switch::Mistake(Mistake::BootsUncounted),
    run,
};

/// What the trial is opened for, and what is tried.
const TERMS_BOOTS: u16 = 3;
const TRIED_BOOTS: u64 = 12;

fn run() -> Outcome {
    let site = Site::new();
    let options = SimOptions::tcp();
    let mut device = Simulator::start(&site, &options);
    let proven = site.bundle(&Release::new("1.1.0"));
    let _ = site.deploy(&proven, &device.address()).code(0);

    let shipment = Shipment::of(&site, &Release::new("2.0.0"));
    let mut raw = Intruder::at(&device).stage(&shipment).unwrap();
    let terms = TrialTerms { boots: TERMS_BOOTS, ..TERMS };
    let trial_id = raw.open_trial(shipment.bundle(), PLAN, terms).unwrap();
    let slot = raw.status().trial.unwrap().slot as usize;
    let before = boots(device.state())[slot];
    let mut refused = None;
    for round in 0..TRIED_BOOTS {
        match Intruder::at(&device).boot_into(raw, trial_id) {
            Ok(booted) => raw = booted,
            Err(refusal) => {
                refused = Some(refusal);
                break;
            }
        }
        let is_running = raw.status().trial.is_some_and(|trial| trial.running);
        assert!(is_running, "what was armed is started");
        if round == 0 {
            // Power that fails in a trial gives no start back.
            drop(raw);
            device.kill();
            device = Simulator::start(&site, &options);
            raw = Intruder::at(&device).enter().unwrap();
        }
    }
    let started = boots(device.state())[slot] - before;
    let told = format!("2.0.0 was started {started} times by terms of {TERMS_BOOTS}");
    let Some(refusal) = refused else {
        return Outcome::Succeeded(format!("{told}, and goes on running unconfirmed"));
    };
    assert_eq!(refusal, Refusal::Limit { got: 1, limit: 0 });
    let intruder = Intruder::at(&device);
    let mut raw = intruder.restart(intruder.enter().unwrap()).unwrap();
    let is_open = raw.status().trial.is_some();
    drop(raw);
    let runs = site.running_version(&device.address());
    if is_open || runs != "1.1.0" || started > u64::from(TERMS_BOOTS) {
        return Outcome::Succeeded(format!(
            "{told}, then {runs} runs; the trial is open: {is_open}"
        ));
    }
    Outcome::Refused(format!("{told}, one more was not armed, and {runs} runs again"))
}
