//! What `deploy` and `qualify` share: one run a device, side by side, each with its own evidence and
//! verdict.

mod beforehand;
mod ending;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use firmware_protocol::digest::Digest;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use self::beforehand::{certificate, check_payloads, check_terms, load_plan};
pub(super) use self::ending::slots_in_words;
use self::ending::{exit_of, outcome_word, print};
use super::evidence_key::{EvidenceKey, EvidenceKeyArgs, sign_end};
use super::recover_command::RecoverCommand;
use super::root::RootArgs;
use super::runtime;
use super::target::TargetArgs;
use crate::bench::{Device, Opening, RunSetup, run};
use crate::bundle::{Bundle, VerifiedBundle};
use crate::cli::Context;
use crate::error::{CommandError, Exit};
use crate::evidence::{
    BundleRef, CheckId, Entry, PlanRef, Recorder, RunFolder, RunRecord, RunStart, SignedBy, Verb,
};
use crate::link::Address;
use crate::plan::Plan;
use crate::progress::Screen;
use crate::qualify::observation::DeviceFacts;
use crate::qualify::runner::{Ended, Order, Runner};
use crate::report::write_reports;
use crate::trust::LoadedRoot;

/// What both verbs are told.
#[derive(Debug, clap::Args)]
pub(super) struct DeploymentArgs {
    /// Signed bundle
    bundle: PathBuf,
    #[command(flatten)]
    run: RunArgs,
}

/// Where a bundle goes and how, however the bundle itself is named.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) root: RootArgs,
    #[command(flatten)]
    evidence_key: EvidenceKeyArgs,
    /// Try again what the device has rejected before
    #[arg(long)]
    again: bool,
    /// Folder for the evidence of runs [default: `runs` of noflake.toml, else ./runs]
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
}

impl RunArgs {
    /// For a command that deploys what a device may well have rejected before.
    pub(super) const fn again(
        target: TargetArgs,
        root: RootArgs,
        evidence_key: EvidenceKeyArgs,
        runs: Option<PathBuf>,
    ) -> Self {
        Self { target, root, evidence_key, again: true, runs }
    }
}

/// One device's end.
struct DeviceEnd {
    name: String,
    folder: PathBuf,
    ended: Ended,
    /// Who has signed the whole of it.
    evidence: Result<Option<String>, CommandError>,
}

/// A run whose evidence has begun, and whose device has not been reached.
struct Begun {
    device: Device,
    folder: RunFolder,
    recorder: Recorder,
}

/// A deployment that is ready to begin: everything that all its devices have in common.
pub(super) struct Deployment {
    bundle: VerifiedBundle,
    root: LoadedRoot,
    recover: RecoverCommand,
    verb: Verb,
    plan: Plan,
    plan_path: String,
    certificate: Option<Vec<u8>>,
    again: bool,
    take_over: bool,
    runs: PathBuf,
    evidence_key: Option<EvidenceKey>,
    /// One signer is asked at a time.
    signing: Mutex<()>,
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
    let deployment = Deployment::prepare(&args.bundle, &args.run, verb, plan, context)?;
    let openings = args.run.target.openings(context, Some(deployment.root()))?;
    let devices = openings.into_iter().map(Device::new).collect();
    runtime::block_on(async { deployment.run(devices, runtime::interrupts(), context).await })?
}

impl Deployment {
    /// Looks at everything that can be looked at without a device.
    ///
    /// # Errors
    /// When root record, bundle, plan or configuration cannot be used.
    pub(super) fn prepare(
        bundle: &Path,
        args: &RunArgs,
        verb: Verb,
        plan: Option<&Path>,
        context: &Context,
    ) -> Result<Self, CommandError> {
        let root = args.root.require(context)?;
        let bundle = Bundle::open(bundle)?.verify(root.record().claims())?;
        check_payloads(&bundle)?;
        let (plan, plan_path) = load_plan(&bundle, plan)?;
        check_terms(&bundle, &root, &plan)?;
        let certificate = certificate(&bundle, &root, verb, &plan)?;
        let runs = match &args.runs {
            Some(runs) => runs.clone(),
            None => context.config()?.runs.unwrap_or_else(|| PathBuf::from("runs")),
        };
        let root_path = args.root.path(context)?.unwrap_or_default();
        let host_key = args.target.host_key();
        let recover = RecoverCommand::new(&root_path, bundle.bundle().path(), host_key);
        let screen = Screen::new(context.output.format());
        let (again, take_over) = (args.again, args.target.take_over());
        let evidence_key = args.evidence_key.open(args.target.passphrase(), context)?;
        Ok(Self {
            bundle,
            root,
            recover,
            verb,
            plan,
            plan_path,
            certificate,
            again,
            take_over,
            runs,
            evidence_key,
            signing: Mutex::new(()),
            screen,
        })
    }

    /// The root record that vouches for the bundle.
    pub(super) const fn root(&self) -> &LoadedRoot {
        &self.root
    }

    /// Whether the bundle is for such a device; what is wrong otherwise says the run.
    pub(super) fn is_for(&self, facts: &DeviceFacts) -> bool {
        let manifest = self.bundle.manifest();
        manifest.product == facts.product
            && manifest.hardware.iter().any(|claim| {
                let revisions = claim.first_revision..=claim.last_revision;
                claim.id == facts.hardware && revisions.contains(&facts.hardware_rev)
            })
    }

    /// Version of the bundle.
    pub(super) fn version(&self) -> String {
        self.bundle.manifest().version.to_string()
    }

    /// Deploys to `devices`, each with its own evidence and verdict, and prints what came of each.
    ///
    /// # Errors
    /// When no evidence can be begun; what becomes of a device is no error but a result.
    pub(super) async fn run(
        self,
        devices: Vec<Device>,
        interrupts: watch::Receiver<u32>,
        context: &Context,
    ) -> Result<Exit, CommandError> {
        let mut exits = Vec::new();
        for end in run_all(Rc::new(self), devices, interrupts).await? {
            print(context, &end);
            exits.push(exit_of(&end.ended.end));
            if let Err(error) = &end.evidence {
                context.output.error(error);
                exits.push(error.exit());
            }
        }
        Ok(Exit::worst(&exits))
    }
}

impl Deployment {
    /// Deploys to one device, with evidence as ever, and prints no result; gives how it ended.
    ///
    /// # Errors
    /// When the evidence is not whole; what becomes of the device is no error but a result.
    pub(super) async fn run_on(
        &self,
        device: Device,
        interrupts: watch::Receiver<u32>,
    ) -> Result<Ended, CommandError> {
        let begun = begin(self, device).await?;
        let end = Box::pin(run_one(self, begun, false, interrupts)).await?;
        end.evidence.map(|_| end.ended)
    }
}

async fn run_all(
    shared: Rc<Deployment>,
    devices: Vec<Device>,
    interrupts: watch::Receiver<u32>,
) -> Result<Vec<DeviceEnd>, CommandError> {
    // Results are printed when the slowest of them is done, so each end is told as it comes.
    let has_several = devices.len() > 1;
    let mut runs = JoinSet::new();
    let mut ends = Vec::new();
    let mut begun = Vec::new();
    // All before the first: a signer that somebody has to wait for, or that refuses, holds up no trial.
    for device in devices {
        begun.push(begin(&shared, device).await?);
    }
    for (number, begun) in begun.into_iter().enumerate() {
        let (shared, interrupts) = (Rc::clone(&shared), interrupts.clone());
        runs.spawn_local(async move {
            (number, Box::pin(run_one(&shared, begun, has_several, interrupts)).await)
        });
    }
    while let Some(joined) = runs.join_next().await {
        let (number, end) = joined.map_err(CommandError::Task)?;
        ends.push((number, end?));
    }
    ends.sort_by_key(|(number, _)| *number);
    Ok(ends.into_iter().map(|(_, end)| end).collect())
}

/// Begins the evidence of one run, and signs its begin.
async fn begin(shared: &Deployment, device: Device) -> Result<Begun, CommandError> {
    let Opening { address, start, first_id, .. } = device.opening();
    let folder = RunFolder::create(&shared.runs, SystemTime::now(), &format!("{first_id:08x}"))?;
    let mut recorder = Recorder::start(&folder, SystemTime::now())?;
    let start = run_start(shared, &address.to_string(), start.seed);
    recorder.append(Entry::RunStart(Box::new(start)), SystemTime::now())?;
    if let Some(key) = shared.evidence_key.clone() {
        let signed = key.sign_begin(recorder, &folder).await;
        // A run that never began leaves nothing behind.
        recorder = signed.inspect_err(|_| drop(std::fs::remove_dir_all(folder.path())))?;
    }
    Ok(Begun { device, folder, recorder })
}

async fn run_one(
    shared: &Deployment,
    begun: Begun,
    has_several: bool,
    interrupts: watch::Receiver<u32>,
) -> Result<DeviceEnd, CommandError> {
    let Begun { mut device, folder, mut recorder } = begun;
    let Opening { address, first_id, .. } = device.opening().clone();
    let (name, id) = (address.to_string(), format!("{first_id:08x}"));
    let _trace = crate::trace::into_file(&folder.path().join("trace.log"), &id);
    let runner = Runner::new(order(shared, &address), device.now_ms());
    let mut progress = shared.screen.device(&name);
    let (certificate, recorder_of_run) = (shared.certificate.clone(), &mut recorder);
    let setup = RunSetup {
        bundle: &shared.bundle,
        certificate,
        device,
        runner,
        recorder: recorder_of_run,
        interrupts,
    };
    let span = tracing::info_span!("run", run = %id, device = %name);
    let mut show = |what: crate::bench::Progressed<'_>| progress.show(what);
    let work = run(setup, &mut show);
    let (ended, lost) = tracing::Instrument::instrument(work, span).await;
    progress.finish();
    // What follows may take its time: how the run ended is told before.
    if has_several || shared.evidence_key.as_ref().is_some_and(EvidenceKey::waits) {
        progress.end(outcome_word(ended.end.outcome), &ended.end.message);
    }
    // The verdict is on record by now: what signs it cannot change it any more.
    let _turn = shared.signing.lock().await;
    let signed = sign_end(recorder).await;
    let evidence = match lost {
        Some(lost) => Err(CommandError::Evidence(lost.into())),
        None => render(&folder).and_then(|signer| signed.map(|()| signer)),
    };
    Ok(DeviceEnd { name, folder: folder.path().to_owned(), ended, evidence })
}

fn order(shared: &Deployment, address: &Address) -> Order {
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
        take_over: shared.take_over,
        recover: shared.recover.at(address),
    }
}

fn run_start(shared: &Deployment, address: &str, seed: u64) -> RunStart {
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
            digest: Digest(shared.plan.digest()).to_string(),
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
///
/// Gives who has signed all of it.
fn render(folder: &RunFolder) -> Result<Option<String>, CommandError> {
    let record = RunRecord::read(&folder.record_path())?;
    write_reports(folder, record.view())?;
    Ok(record.view().signed_to_end().next().map(SignedBy::hint))
}
