//! The stories: what is done, what the device's side shows, and what must hold.

use std::path::Path;

use super::site::{HANGING, SOUND, SimulatedDevice, Site, WEAK, bundle_name};
use super::tool::{Ran, run};
use super::{flash, unsigned};
use crate::error::CommandError;
use crate::evidence::{Phase, RunRecord, RunView};
use crate::measurement::Value;

/// Byte of the configuration that rots.
const DRIFT_AT: u64 = 5;

/// One story.
pub(super) struct Story {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) tell: fn(&Site) -> Result<Told, CommandError>,
}

/// What a story showed.
#[derive(Default)]
pub(super) struct Told {
    pub(super) facts: Vec<String>,
    pub(super) problems: Vec<String>,
}

/// The stories, in the order they are told.
pub(super) const STORIES: [Story; 5] = [
    Story { name: "commit", title: "a sound version is committed", tell: commit },
    Story {
        name: "rollback",
        title: "a version that fails a check is rolled back",
        tell: rollback,
    },
    Story {
        name: "lease",
        title: "a version that hangs but feeds its watchdog is taken back by the device",
        tell: lease,
    },
    Story { name: "unsigned", title: "an unsigned bundle is refused", tell: refuse_unsigned },
    Story { name: "drift", title: "one flipped byte is named and repaired", tell: drift },
];

impl Told {
    fn hold(&mut self, holds: bool, problem: impl Into<String>) {
        if !holds {
            self.problems.push(problem.into());
        }
    }

    fn exit(&mut self, what: &str, ran: &Ran, expected: i32) {
        let got = ran.exit;
        self.hold(got == expected, format!("exit code of {what}: expected {expected}, got {got}"));
    }

    fn says(&mut self, what: &str, got: &str, expected: &str) {
        self.hold(got == expected, format!("{what}: expected {expected}, got {got}"));
    }
}

fn commit(site: &Site) -> Result<Told, CommandError> {
    let (mut told, ran) = deploy(site, &site.serial, SOUND)?;
    told.exit("deploy", &ran, 0);
    told.says("state", &ran.text("state"), "committed");
    told.says("version that runs", &running_version(site, &site.serial)?, SOUND);
    Ok(told)
}

fn rollback(site: &Site) -> Result<Told, CommandError> {
    let (mut told, ran) = deploy(site, &site.tcp, WEAK)?;
    told.exit("deploy", &ran, 1);
    told.says("state", &ran.text("state"), "rolled_back");
    told.hold(ran.text("message").contains("rail-3v3"), "the check that failed is not named");
    told.says("version that runs", &running_version(site, &site.tcp)?, "1.0.0");
    Ok(told)
}

fn lease(site: &Site) -> Result<Told, CommandError> {
    let before = running_version(site, &site.tcp)?;
    let (mut told, ran) = deploy(site, &site.tcp, HANGING)?;
    told.exit("deploy", &ran, 6);
    told.says("state", &ran.text("state"), "went_back_by_itself");
    told.says("version that runs", &running_version(site, &site.tcp)?, &before);
    Ok(told)
}

fn refuse_unsigned(site: &Site) -> Result<Told, CommandError> {
    let mut told = Told::default();
    let (device, name) = (&site.serial, "unsigned.nfb");
    let signed = site.folder.join(bundle_name(WEAK));
    let envelope = unsigned::strip(&signed, &site.folder.join(name))?;
    let before = flash::digest(&device.state)?;
    let host = run(&site.folder, ["deploy", name, "-d", &device.address])?;
    told.exit("deploy", &host, 2);
    told.facts.push(format!("the host: {}", host.text("error")));
    let refusal = unsigned::push(&device.address, &envelope)?;
    match refusal {
        Some(refusal) => told.facts.push(format!("a client without checks, the device: {refusal}")),
        None => told.problems.push("the device took the unsigned manifest".to_owned()),
    }
    let after = flash::digest(&device.state)?;
    told.facts.push(format!("device flash before {before:.16}, after {after:.16}"));
    told.hold(before == after, "the device's flash has changed");
    Ok(told)
}

fn drift(site: &Site) -> Result<Told, CommandError> {
    let mut told = Told::default();
    let (device, bundle) = (&site.serial, bundle_name(SOUND));
    let slot = running_slot(site, device)?;
    flash::flip(&device.state, &slot, "config", DRIFT_AT)?;
    told.facts
        .push(format!("one bit of byte {DRIFT_AT} of config in slot {slot} flipped in flash"));
    let against = ["device", "status", "--against", &bundle, "-d", &device.address];
    let found = run(&site.folder, against)?;
    told.exit("status --against", &found, 1);
    let named = drifted(&found);
    told.facts.push(format!("status --against names: {}", named.join(", ")));
    told.hold(named == ["config"], "drift of config, and of nothing else, is not named");
    let (repaired, ran) = deploy(site, device, SOUND)?;
    told.facts.extend(repaired.facts);
    told.problems.extend(repaired.problems);
    told.exit("deploy", &ran, 0);
    told.says("state", &ran.text("state"), "committed");
    let after = run(&site.folder, against)?;
    told.exit("status --against after the repair", &after, 0);
    Ok(told)
}

/// Deploys a version and tells what the record of the run has.
fn deploy(
    site: &Site,
    device: &SimulatedDevice,
    version: &str,
) -> Result<(Told, Ran), CommandError> {
    let bundle = bundle_name(version);
    let ran = run(&site.folder, ["deploy", &bundle, "-d", &device.address])?;
    let mut told = Told::default();
    told.facts.push(format!("noflake deploy {bundle} -d {} (exit {})", device.address, ran.exit));
    told.facts.push(ran.text("message"));
    let folder = site.folder.join(ran.text("evidence"));
    told.facts.extend(facts_of_record(&folder)?);
    if let Some(downtime_ms) = ran.number("downtime_ms") {
        told.facts.push(format!("downtime {downtime_ms} ms"));
    }
    Ok((told, ran))
}

fn facts_of_record(folder: &Path) -> Result<Vec<String>, CommandError> {
    let record = RunRecord::read(folder)?;
    let view = record.view();
    let mut facts = Vec::new();
    if let Some(bytes) = device_bytes(view) {
        facts.push(format!("{bytes} component bytes counted by the device's side of the link"));
    }
    if let (Some(before), Some(after)) = (&view.before, &view.after) {
        facts.push(format!(
            "slot {} -> {}, version {} -> {}, boot nonce {} -> {}",
            before.slot,
            after.slot,
            before.version,
            after.version,
            before.boot_nonce,
            after.boot_nonce
        ));
    }
    Ok(facts)
}

fn device_bytes(view: &RunView) -> Option<u64> {
    let stage = view.phases.iter().find(|phase| phase.phase == Phase::Stage)?;
    let counted = stage.measurements.iter().find(|found| found.name == "device_counted")?;
    match counted.value {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of bytes, written as a whole number"
        )]
        Value::Number(bytes) => Some(bytes as u64),
        Value::Flag(_) | Value::Text(_) => None,
    }
}

fn running_version(site: &Site, device: &SimulatedDevice) -> Result<String, CommandError> {
    Ok(run(&site.folder, ["device", "identify", "-d", &device.address])?.text("version"))
}

fn running_slot(site: &Site, device: &SimulatedDevice) -> Result<String, CommandError> {
    let running = run(&site.folder, ["device", "identify", "-d", &device.address])?.text("running");
    Ok(running.trim_start_matches("slot ").to_owned())
}

/// Components that a status says have a problem.
fn drifted(ran: &Ran) -> Vec<String> {
    let components = ran.results.last().and_then(|result| result.get("components"));
    components
        .and_then(serde_json::Value::as_array)
        .map(|components| {
            components
                .iter()
                .filter(|component| {
                    component.get("problem").is_some_and(|problem| !problem.is_null())
                })
                .filter_map(|component| component.get("name")?.as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default()
}
