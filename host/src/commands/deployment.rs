//! What `deploy` and `qualify` share: one run a device, side by side, each with its own evidence and
//! verdict.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::root::RootArgs;
use super::runtime;
use super::target::TargetArgs;
use crate::bench::{Device, Opening, RunSetup, run};
use crate::bundle::{Bundle, MAX_PLAN_BYTES, PayloadRole, VerifiedBundle};
use crate::cli::Context;
use crate::error::{CommandError, Exit};
use crate::evidence::{
    BundleRef, CheckId, Entry, Outcome, PlanRef, Recorder, RunEnd, RunFolder, RunRecord, RunStart,
    Verb,
};
use crate::input;
use crate::plan::Plan;
use crate::progress::Screen;
use crate::qualify::observation::StatusFacts;
use crate::qualify::runner::{Ended, Order, Runner};
use crate::report::write_reports;

/// What both verbs are told.
#[derive(Debug, clap::Args)]
pub(super) struct DeploymentArgs {
    /// Signed bundle
    bundle: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    root: RootArgs,
    /// Try again what the device has rejected before
    #[arg(long)]
    again: bool,
    /// Folder for the evidence of runs [default: `runs` of noflake.toml, else ./runs]
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
}

/// One device's end.
struct DeviceEnd {
    name: String,
    folder: PathBuf,
    ended: Ended,
    evidence: Result<(), CommandError>,
}

/// Everything that all devices of one command have in common.
struct Shared {
    bundle: VerifiedBundle,
    verb: Verb,
    plan: Plan,
    plan_path: String,
    again: bool,
    runs: PathBuf,
    screen: Screen,
}

/// Deploys to every device that is named; `plan` is the file that `qualify` names.
///
/// # Errors
/// When bundle, plan or folder cannot be used; what becomes of a device is no error but a result.
pub(super) fn deploy(
    args: &DeploymentArgs,
    verb: Verb,
    plan: Option<&Path>,
    context: &Context,
) -> Result<Exit, CommandError> {
    let root = args.root.require(context)?;
    let bundle = Bundle::open(&args.bundle)?.verify(root.record().claims())?;
    check_payloads(&bundle)?;
    let (plan, plan_path) = load_plan(&bundle, plan)?;
    let openings = args.target.openings(context, Some(&root))?;
    let runs = match &args.runs {
        Some(runs) => runs.clone(),
        None => context.config()?.runs.unwrap_or_else(|| PathBuf::from("runs")),
    };
    let screen = Screen::new(context.output.format());
    let shared = Shared { bundle, verb, plan, plan_path, again: args.again, runs, screen };
    let ends = runtime::block_on(run_all(Rc::new(shared), openings))??;
    let mut exits = Vec::new();
    for end in ends {
        print(context, &end);
        exits.push(exit_of(&end.ended.end));
        if let Err(error) = end.evidence {
            context.output.error(&error);
            exits.push(error.exit());
        }
    }
    Ok(Exit::worst(&exits))
}

/// A damaged copy is found here, before any device is asked, and not after its spare slot was erased.
fn check_payloads(bundle: &VerifiedBundle) -> Result<(), CommandError> {
    let bundle = bundle.bundle();
    for (index, (role, _)) in bundle.payloads().enumerate() {
        if matches!(role, PayloadRole::Variant { .. }) {
            bundle.block_digests(index)?;
        }
    }
    Ok(())
}

fn load_plan(
    bundle: &VerifiedBundle,
    named: Option<&Path>,
) -> Result<(Plan, String), CommandError> {
    if let Some(path) = named {
        let text = input::read_text(path, MAX_PLAN_BYTES)
            .map_err(|source| CommandError::PlanFile { path: path.to_owned(), source })?;
        let origin = path.display().to_string();
        return Ok((Plan::parse(&text, &origin)?, origin));
    }
    match bundle.bundle().plan_text()? {
        Some(text) => {
            let origin = format!("{} (its plan)", bundle.bundle().path().display());
            Ok((Plan::parse(&text, &origin)?, String::new()))
        }
        None => Ok((Plan::default_deploy()?, String::new())),
    }
}

async fn run_all(
    shared: Rc<Shared>,
    openings: Vec<Opening>,
) -> Result<Vec<DeviceEnd>, CommandError> {
    let interrupts = runtime::interrupts();
    let mut runs = JoinSet::new();
    let mut ends = Vec::new();
    for (number, opening) in openings.into_iter().enumerate() {
        let (shared, interrupts) = (Rc::clone(&shared), interrupts.clone());
        runs.spawn_local(async move { (number, run_one(&shared, opening, interrupts).await) });
    }
    while let Some(joined) = runs.join_next().await {
        let (number, end) = joined.map_err(CommandError::Task)?;
        ends.push((number, end?));
    }
    ends.sort_by_key(|(number, _)| *number);
    Ok(ends.into_iter().map(|(_, end)| end).collect())
}

async fn run_one(
    shared: &Shared,
    opening: Opening,
    interrupts: watch::Receiver<u32>,
) -> Result<DeviceEnd, CommandError> {
    let name = opening.address.to_string();
    let id = format!("{:08x}", opening.first_id);
    let seed = opening.start.seed;
    let folder = RunFolder::create(&shared.runs, SystemTime::now(), &id)?;
    let _trace = crate::trace::into_file(&folder.path().join("trace.log"), &id);
    let mut recorder = Recorder::start(&folder, SystemTime::now())?;
    let start = run_start(shared, &name, seed);
    recorder.append(Entry::RunStart(Box::new(start)), SystemTime::now())?;
    let mut device = Device::new(opening);
    let runner = Runner::new(order(shared), device.now_ms());
    let mut progress = shared.screen.device(&name);
    let setup = RunSetup { bundle: &shared.bundle, device, runner, recorder, interrupts };
    let span = tracing::info_span!("run", run = %id, device = %name);
    let mut show = |what: crate::bench::Progressed<'_>| progress.show(what);
    let work = run(setup, &mut show);
    let (ended, lost) = tracing::Instrument::instrument(work, span).await;
    progress.finish();
    let evidence = match lost {
        Some(lost) => Err(CommandError::Evidence(lost.into())),
        None => render(&folder),
    };
    Ok(DeviceEnd { name, folder: folder.path().to_owned(), ended, evidence })
}

fn order(shared: &Shared) -> Order {
    let manifest = shared.bundle.manifest();
    Order {
        verb: shared.verb,
        product: manifest.product.clone(),
        hardware: manifest
            .hardware
            .iter()
            .map(|claim| (claim.id.clone(), claim.first_revision, claim.last_revision))
            .collect(),
        version: manifest.version.to_string(),
        bundle: shared.bundle.bundle().digest().0,
        plan: shared.plan.clone(),
        again: shared.again,
    }
}

fn run_start(shared: &Shared, address: &str, seed: u64) -> RunStart {
    let manifest = shared.bundle.manifest();
    let planned = shared
        .plan
        .checks()
        .map(|(stage, check)| CheckId { stage: stage.id.clone(), check: check.id.clone() });
    RunStart {
        verb: shared.verb,
        plan: PlanRef {
            id: shared.plan.id.clone(),
            version: shared.plan.version.clone(),
            digest: firmware_protocol::digest::Digest(shared.plan.digest()).to_string(),
            path: shared.plan_path.clone(),
        },
        bundle: BundleRef {
            product: manifest.product.clone(),
            version: manifest.version.to_string(),
            digest: shared.bundle.bundle().digest().to_string(),
        },
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        command_line: std::env::args().collect::<Vec<_>>().join(" "),
        bench: crate::platform::host_name(),
        device_address: address.to_owned(),
        device_class: String::new(),
        seed: address.starts_with("sim:").then_some(seed),
        planned: planned.collect(),
    }
}

/// Reports are rendered from the record, not from memory: what they show is what is on disk.
fn render(folder: &RunFolder) -> Result<(), CommandError> {
    let record = RunRecord::read(&folder.record_path())?;
    Ok(write_reports(folder, record.view())?)
}

fn print(context: &Context, end: &DeviceEnd) {
    let DeviceEnd { name, folder, ended, .. } = end;
    let run_end = &ended.end;
    let mut lines = vec![format!("{name}: {}: {}", outcome_word(run_end.outcome), run_end.message)];
    // Nothing was judged where the device refused or nobody reached it.
    let is_judged = !matches!(
        run_end.outcome,
        Outcome::Refused | Outcome::Interrupted | Outcome::AlreadyRunning
    );
    if is_judged {
        lines.push(format!("  verdict   {}", run_end.verdict));
    }
    if let Some(downtime_ms) = run_end.downtime_ms {
        lines.push(format!("  downtime  {downtime_ms} ms"));
    }
    if let (Some(status), true) = (&ended.status, run_end.exit_code != 0) {
        // Read after the last act, or only before it.
        let label = if ended.after.is_some() { "slots    " } else { "last seen" };
        lines.push(format!("  {label} {}", slots_in_words(status)));
    }
    lines.push(format!("  evidence  {}", folder.display()));
    if let Some(next) = &run_end.next_command {
        lines.push(format!("  next      {next}"));
    }
    let machine = json!({
        "device": name,
        "state": run_end.outcome,
        "verdict": run_end.verdict,
        "exit": run_end.exit_code,
        "message": run_end.message,
        "downtime_ms": run_end.downtime_ms,
        "next": run_end.next_command,
        "evidence": folder,
        "version": ended.after.as_ref().map(|facts| &facts.version),
        "boot_nonce": ended.after.as_ref().map(|facts| format!("{:016x}", facts.boot_nonce)),
        "running": ended.after.as_ref().map(|facts| facts.running.to_string()),
    });
    context.output.result(&lines.join("\n"), &machine);
}

/// Both slots in a line.
pub(super) fn slots_in_words(status: &StatusFacts) -> String {
    use crate::qualify::observation::Where;
    let word = |place: Where| {
        let slot = status.slot(place);
        let state = slot.map(|slot| slot.state.to_string()).unwrap_or_default();
        let reason = slot.and_then(|slot| slot.rejection).map(|rejection| rejection.reason);
        let active = if status.active == Some(place) { ", confirmed" } else { "" };
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{place} {state}{active}{reason}")
    };
    format!("{}; {}", word(Where::SlotA), word(Where::SlotB))
}

const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Committed => "committed",
        Outcome::RolledBack => "rolled back",
        Outcome::AlreadyRunning => "found done",
        Outcome::Refused => "refused",
        Outcome::WentBackByItself => "went back by itself",
        Outcome::Error => "no verdict",
        Outcome::Interrupted => "interrupted",
        Outcome::NeedsService => "needs service",
        Outcome::Held => "held",
    }
}

fn exit_of(end: &RunEnd) -> Exit {
    Exit::ALL.into_iter().find(|exit| exit.code() == end.exit_code).unwrap_or(Exit::Bench)
}
