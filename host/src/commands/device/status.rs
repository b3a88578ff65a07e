//! `noflake device status` and `identify`: what a device is, holds and runs, why, and whether that is
//! what it should be.

mod against;
mod explain;
mod recorded;
mod trusted;

use std::path::PathBuf;

use firmware_protocol::message::{RootStatus, Status, Wear};
use firmware_protocol::root::LifeCycle;
use firmware_protocol::slot::SlotId;
use serde_json::{Value, json};

use self::explain::is_lost;
use self::recorded::RecordedArgs;
use crate::bench::{Meets, Opened, Shows};
use crate::cli::Context;
use crate::commands::named_device::with_device;
use crate::commands::point::Point;
use crate::commands::root::RootArgs;
use crate::commands::root_record::life_cycle_word;
use crate::commands::runtime;
use crate::commands::target::{LOOKS, TargetArgs, at, reach};
use crate::error::{CommandError, Exit};
use crate::qualify::observation::{DeviceFacts, StatusFacts, Where, short_digest};

/// Show who a device is and what it runs
#[derive(Debug, clap::Args)]
pub(super) struct IdentifyArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    root: RootArgs,
}

/// Show what a device holds and runs, and why
///
/// This changes nothing, and shows no delegation to the device; --trust and --against do.
///
/// With --against, every component of the running slot is hashed and held against a bundle: drift is
/// named component by component, and the command ends with 1. With --explain --record FILE, a boot
/// record that was saved from a device is explained, with no device at hand.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    root: RootArgs,
    /// Compare what runs with this bundle
    #[arg(long, value_name = "BUNDLE")]
    against: Option<PathBuf>,
    /// Say in words why the device runs what it runs, and the next safe command
    #[arg(long, conflicts_with = "against")]
    explain: bool,
    /// Say whom the device believes, whether it is the one it says it is, and what this host may do with it; a device
    /// that is known is shown the delegation for it, as by deploy
    #[arg(long, conflicts_with = "against")]
    trust: bool,
    #[command(flatten)]
    recorded: RecordedArgs,
}

pub(super) fn identify(args: &IdentifyArgs, context: &Context) -> Result<(), CommandError> {
    let root = args.root.load(context)?;
    let mut device = args.target.one_for(LOOKS, context, root.as_ref())?;
    runtime::block_on(async {
        let opened = reach(&mut device, false, context).await?;
        let root = device.root_status().await.map_err(|source| at(&device, source))?;
        let human = identity_lines(&opened.facts, root.as_ref()).join("\n");
        context.output.result(&human, &identity_json(&opened.facts, root.as_ref()));
        Ok(())
    })?
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    if args.recorded.explain(context)? {
        return Ok(Exit::Success);
    }
    let named = args.root.load(context)?;
    let manners = match &args.against {
        // The device hashes for hosts only that may drive a trial.
        Some(_) => (Meets::Known, Shows::Needed),
        // A stranger, an impostor or a refused delegation is to be told of, and not only refused.
        None if args.trust => (Meets::Everybody, Shows::Wanted),
        None => LOOKS,
    };
    let mut device = args.target.one_for(manners, context, named.as_ref())?;
    runtime::block_on(async {
        if let Some(bundle) = &args.against {
            let root = named.ok_or(CommandError::NotNamed {
                what: "root record",
                flag: "--root",
                key: "trust.root",
            })?;
            return against::run(&mut device, bundle, &root, context).await;
        }
        let opened = reach(&mut device, false, context).await?;
        let status = device.status().await.map_err(|source| at(&device, source))?;
        let wear = device.wear().await.map_err(|source| at(&device, source))?;
        let root = device.root_status().await.map_err(|source| at(&device, source))?;
        let mut lines = identity_lines(&opened.facts, root.as_ref());
        lines.extend(record_lines(&opened.status));
        lines.extend(wear_lines(&status, wear.as_ref()));
        lines.push(link_line(&status));
        let mut machine = status_json(&opened, root.as_ref(), &status, wear.as_ref());
        if args.explain {
            let words = explain::explain(&opened, &status, root.as_ref());
            let next = with_device(&words.next, &device.opening().address.to_string());
            lines.push(String::new());
            lines.extend(words.lines.iter().cloned());
            lines.push(format!("next: {next}"));
            if let Some(machine) = machine.as_object_mut() {
                machine.insert("explanation".to_owned(), json!(words.lines));
                machine.insert("next".to_owned(), json!(next));
            }
        }
        if args.trust {
            let refused = device.opening().host.as_ref().and_then(|host| host.refused);
            let points = trusted::points(&device, &opened, root.as_ref(), named.as_ref(), refused);
            lines.push(String::new());
            lines.extend(points.iter().map(Point::to_string));
            if let Some(machine) = machine.as_object_mut() {
                let points = points.iter().map(Point::to_json).collect::<Vec<_>>();
                machine.insert("trust".to_owned(), json!(points));
            }
        }
        context.output.result(&lines.join("\n"), &machine);
        Ok(Exit::Success)
    })?
}

fn identity_lines(facts: &DeviceFacts, root: Option<&RootStatus>) -> Vec<String> {
    let life = match root {
        _ if !facts.is_enrolled() => "factory state: not enrolled".to_owned(),
        None => "enrolled".to_owned(),
        // It contradicts itself: what it is enrolled under is not known.
        Some(root) if root.version == 0 => {
            "enrolled, under a root record that it does not name".to_owned()
        }
        Some(root) => {
            let lost = if is_lost(root) { ", which flash has lost" } else { "" };
            let field = if facts.life_cycle == LifeCycle::Field { ", for the field" } else { "" };
            format!(
                "enrolled under root record {} ({:.16}){field}{lost}",
                root.version, root.digest
            )
        }
    };
    let deadline = if facts.watchdog_hardware { "hardware" } else { "software" };
    vec![
        format!(
            "device    {} (product {}, hardware {} revision {})",
            facts.serial, facts.product, facts.hardware, facts.hardware_rev
        ),
        format!("trust     {life}"),
        format!(
            "running   {} version {}, bundle {}",
            facts.running,
            if facts.version.is_empty() { "unknown" } else { &facts.version },
            short_digest(facts.bundle.as_ref())
        ),
        format!("boot      {:016x}, started by {}", facts.boot_nonce, facts.reset_cause),
        format!("deadline  trial boots are ended by {deadline}"),
    ]
}

fn record_lines(facts: &StatusFacts) -> Vec<String> {
    let mut lines: Vec<String> = [Where::SlotA, Where::SlotB]
        .into_iter()
        .filter_map(|place| facts.slot(place).map(|slot| (place, slot)))
        .map(|(place, slot)| {
            let active = if facts.active == Some(place) { ", confirmed" } else { "" };
            let reason = slot.rejection.map(|rejection| format!(": {}", rejection.reason));
            format!(
                "{}    {}{active}, {}{}",
                place,
                slot.state,
                short_digest(slot.bundle.as_ref()),
                reason.unwrap_or_default()
            )
        })
        .collect();
    if let Some(trial) = facts.trial {
        let running = if trial.is_running { "running" } else { "not running" };
        lines.push(format!(
            "trial     {} in {}, {running}, {} boots left",
            trial.trial_id, trial.slot, trial.boots_left
        ));
    }
    lines.push(format!("floor     security version {}", facts.accept_floor));
    lines
}

/// What flash has been through. A device that does not know the question tells what its status tells.
fn wear_lines(status: &Status, wear: Option<&Wear>) -> Vec<String> {
    let Some(wear) = wear else {
        return vec![format!(
            "wear      {} boot record entries ever, {} blocks erased since this boot",
            status.record_entries, status.erases
        )];
    };
    let mut lines: Vec<String> = SlotId::ALL
        .map(|slot| {
            let (erases, blocks) = (*wear.slot_erases.get(slot), *wear.slot_blocks.get(slot));
            let head = if slot == SlotId::A { "wear" } else { "" };
            format!("{head:<9} slot {slot}: {erases} erases, over {blocks} blocks")
        })
        .into();
    // A block of the record is erased once in as many entries as the record has places.
    let rounds = wear.record_entries.checked_div(wear.record_places).unwrap_or(0);
    lines.push(format!(
        "          boot record: {} entries written ever, over {} places; each block erased some {rounds} times",
        wear.record_entries, wear.record_places
    ));
    lines.push(format!(
        "          all since the record was made; {} blocks erased since this boot",
        status.erases
    ));
    lines
}

fn link_line(status: &Status) -> String {
    format!(
        "link      {} frames, {} component bytes ({} repeated) since this boot",
        status.link.frames, status.link.payload_bytes, status.link.repeated_bytes
    )
}

fn wear_json(status: &Status, wear: Option<&Wear>) -> Value {
    let slot = |slot: SlotId| {
        wear.map(|wear| {
            json!({ "erases": wear.slot_erases.get(slot), "blocks": wear.slot_blocks.get(slot) })
        })
    };
    json!({
        "slot_a": slot(SlotId::A),
        "slot_b": slot(SlotId::B),
        "record_entries": status.record_entries,
        "record_places": wear.map(|wear| wear.record_places),
        "erases_since_boot": status.erases,
    })
}

/// `null` in factory state, and from a device that does not know the question.
fn root_json(root: Option<&RootStatus>) -> Value {
    let root = root.filter(|root| root.version > 0);
    let root = root.map(|root| {
        json!({
            "version": root.version,
            "digest": root.digest.to_string(),
            "lost": is_lost(root),
            "time_floor_s": root.time_floor_s,
        })
    });
    json!(root)
}

fn identity_json(facts: &DeviceFacts, root: Option<&RootStatus>) -> Value {
    json!({
        "product": facts.product,
        "hardware": facts.hardware,
        "hardware_rev": facts.hardware_rev,
        "serial": facts.serial,
        "enrolled": facts.is_enrolled(),
        "life_cycle": life_cycle_word(facts.life_cycle),
        "root": root_json(root),
        "running": facts.running.to_string(),
        "bundle": facts.bundle.map(|digest| firmware_protocol::digest::Digest(digest).to_string()),
        "version": facts.version,
        "boot_nonce": format!("{:016x}", facts.boot_nonce),
        "reset_cause": facts.reset_cause,
        "hardware_deadline": facts.watchdog_hardware,
    })
}

fn status_json(
    opened: &Opened,
    root: Option<&RootStatus>,
    status: &Status,
    wear: Option<&Wear>,
) -> Value {
    let slot = |place: Where| {
        opened.status.slot(place).map(|slot| {
            json!({
                "state": slot.state.to_string(),
                "confirmed": opened.status.active == Some(place),
                "bundle": slot.bundle.map(|digest| firmware_protocol::digest::Digest(digest).to_string()),
                "rejected_because": slot.rejection.map(|rejection| rejection.reason),
                "trial_id": slot.rejection.map(|rejection| rejection.trial_id),
            })
        })
    };
    json!({
        "device": identity_json(&opened.facts, root),
        "active": opened.status.active.map(|place| place.to_string()),
        "slot_a": slot(Where::SlotA),
        "slot_b": slot(Where::SlotB),
        "trial": opened.status.trial.map(|trial| json!({
            "trial_id": trial.trial_id,
            "slot": trial.slot.to_string(),
            "running": trial.is_running,
            "boots_left": trial.boots_left,
        })),
        "accept_floor": opened.status.accept_floor,
        "boot_row": status.row.id(),
        "why": explain::why(opened, status.row),
        "wear": wear_json(status, wear),
        "link": {
            "frames": status.link.frames,
            "payload_bytes": status.link.payload_bytes,
            "repeated_bytes": status.link.repeated_bytes,
        },
    })
}
