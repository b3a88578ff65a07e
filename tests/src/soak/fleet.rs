//! Whole systems in virtual time: the host's own runs, from the connection to the verdict, against simulated
//! devices whose supply fails, whose lines lose bytes and whose images are bad, all in one thread.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant, SystemTime};

use hw_sim::{DeviceConfig, Fired, PowerCuts, Scenario, SimDevice};
use noflake::bench::{Device, Opened, Opening, RunSetup, run};
use noflake::bundle::{Bundle, VerifiedBundle};
use noflake::evidence::{Outcome, Recorder, RunFolder, Verb};
use noflake::link::{Address, LinkStart, SimulatedDevice};
use noflake::plan::Plan;
use noflake::qualify::observation::Where;
use noflake::qualify::runner::{Ended, Order, Runner};
use noflake::trust::{LoadedRoot, read_root};
use noflake::verdict::RunVerdict;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::random::Random;
use crate::site::{QUICK_PLAN, Release, Site};

/// Devices of one fleet.
pub const DEVICES: u64 = 8;
/// Deployments to each device of a fleet.
const ROUNDS: usize = 12;
/// Tries of a host until a deployment is judged.
const MOST_TRIES: usize = 40;
/// How long an answer is waited for when nothing is deployed, in milliseconds.
const LOOK_MS: u64 = 120_000;
/// How long a device is left alone before it is looked at: longer than any trial, in microseconds.
const ALONE_US: u64 = 300_000_000;
/// Flash operations from one power failure to the next, on average.
const OPERATIONS_PER_CUT: u64 = 150;

/// A version, and whether it is any good.
const VERSIONS: [(&str, bool); 6] = [
    ("2.0.0", true),
    ("3.0.0", true),
    ("4.0.0", false),
    ("5.0.0", false),
    ("6.0.0", false),
    ("7.0.0", true),
];

/// Bytes of a word of flash, and an erased one.
const PARTS: [(u32, u8); 6] = [(1, 255), (2, 0), (4, 255), (8, 0), (16, 255), (32, 255)];

/// What the images do, and what happens on the line.
const SCENARIO: &str = r#"
[device]
areas = [{ name = "app", bytes = 16384 }, { name = "config", bytes = 4096 }]
[[image]]
version = "4.0.0"
behaviour = "crashes"
crash_after_ms = 700
[[image]]
version = "5.0.0"
behaviour = "never_answers"
[[image]]
version = "6.0.0"
fails = ["storage"]
[[image]]
version = "7.0.0"
boot_ms = 1500
[[link_fault]]
kind = "drop"
direction = "both"
rate = 0.00005
[[link_fault]]
kind = "corrupt"
direction = "both"
rate = 0.000005
"#;

/// A minute of answers before a version is trusted.
const WATCHED: &str = r#"
[[stage.check]]
id = "answers"
kind = "liveness"
window = "60s"
interval = "1s"
limits = { le = 30 }
unit = "s"
"#;

/// What fleets came to.
#[derive(Debug, Default)]
pub struct Fleets {
    /// How many.
    pub count: u64,
    /// Deployments that were judged, by how they ended.
    pub outcomes: BTreeMap<String, u64>,
    /// Runs of the host that it took.
    pub runs: u64,
    /// Starts of devices.
    pub boots: u64,
    /// Faults that have struck.
    pub fired: Fired,
    /// Time on the clock of each fleet's last device, in all.
    pub virtual_time: Duration,
    /// Time that it took.
    pub real_time: Duration,
    /// What went wrong, and where.
    pub failures: Vec<String>,
}

/// Everything that fleets have in common.
pub struct Yard {
    site: Site,
    root: LoadedRoot,
    bundles: Vec<VerifiedBundle>,
    plan: Plan,
    scenarios: Vec<Scenario>,
    runtime: Runtime,
}

impl Yard {
    /// Signs bundles.
    pub fn new() -> Self {
        let site = Site::new();
        let root = read_root(&site.root()).expect("a site has a root record");
        let text = format!("{QUICK_PLAN}\n{WATCHED}")
            .replace("run = \"60s\"", "run = \"20m\"")
            .replace("boot_max = \"30s\"", "boot_max = \"5m\"");
        let bundles = VERSIONS.map(|(version, _)| {
            let release = Release::sized(version, 6_000).plan(&text);
            let path = site.bundle(&release);
            let bundle = Bundle::open(site.path(&path).as_path()).expect("it was just written");
            bundle.verify(root.record().claims()).expect("a release key signed it")
        });
        let scenarios = PARTS.map(|(word_bytes, erased)| {
            let part = format!("[flash]\nword_bytes = {word_bytes}\nerased = {erased}\n");
            let path =
                site.scenario(&format!("w{word_bytes}-{erased}"), &format!("{part}{SCENARIO}"));
            Scenario::read(&path).expect("it is valid")
        });
        Self {
            root,
            bundles: bundles.into(),
            plan: Plan::parse(&text, "fleet").expect("it is a plan"),
            scenarios: scenarios.into(),
            runtime: Builder::new_current_thread().enable_all().build().expect("a thread is there"),
            site,
        }
    }

    /// Lets one fleet live, each device until something is wrong. Everything in it follows from the seed: gives a
    /// mark that tells what came of it.
    pub fn live(&self, seed: u64, fleets: &mut Fleets) -> u64 {
        let begun = Instant::now();
        let mut mark = DefaultHasher::new();
        let mut last_us = 0;
        for number in 0..DEVICES {
            let mut random = Random::new(seed.wrapping_mul(DEVICES).wrapping_add(number));
            let mut unit = Unit::new(self, &mut random);
            let lived = self.runtime.block_on(unit.live(&mut random, fleets));
            if let Err(wrong) = lived {
                fleets.failures.push(format!("fleet {seed}, device {number}: {wrong}"));
            }
            let stats = unit.device.with(|device| device.stats());
            fleets.boots += stats.boots();
            fleets.fired = std::mem::take(&mut fleets.fired).plus(stats.fired);
            last_us = last_us.max(unit.device.now_us());
            unit.device.now_us().hash(&mut mark);
            unit.device.with(|device| device.flash().lock().contents().hash(&mut mark));
        }
        fleets.virtual_time += Duration::from_micros(last_us);
        fleets.real_time += begun.elapsed();
        fleets.count += 1;
        mark.finish()
    }
}

impl Default for Yard {
    fn default() -> Self {
        Self::new()
    }
}

/// One device, and a host that does not give up.
struct Unit<'y> {
    yard: &'y Yard,
    device: SimulatedDevice,
    first_id: u32,
}

impl<'y> Unit<'y> {
    /// A device as it leaves the factory, on one of the parts.
    fn new(yard: &'y Yard, random: &mut Random) -> Self {
        let part = random.between(0, yard.scenarios.len() as u64);
        let seed = random.between(0, u64::MAX);
        let power = format!("random:{}:{OPERATIONS_PER_CUT}", random.between(0, 1 << 32));
        let config = DeviceConfig {
            scenario: yard.scenarios[usize::try_from(part).unwrap_or(0)].clone(),
            seed,
            root: Some(yard.root.bytes().to_vec()),
            power_cuts: Some(power.parse::<PowerCuts>().expect("it names a supply")),
            ..DeviceConfig::default()
        };
        let device = SimDevice::new(config).expect("its areas fit its flash");
        Self { yard, device: SimulatedDevice::new(device), first_id: 1 }
    }

    /// Deploys one version after the other, bad ones among them.
    async fn live(&mut self, random: &mut Random, fleets: &mut Fleets) -> Result<(), String> {
        let mut confirmed = self.look().await?.facts.bundle;
        for _ in 0..ROUNDS {
            let number = random.between(0, VERSIONS.len() as u64);
            let number = usize::try_from(number).unwrap_or(0);
            let (version, is_good) = VERSIONS[number];
            let outcome = Box::pin(self.deploy_until_judged(number, fleets)).await?;
            *fleets.outcomes.entry(format!("{outcome:?}")).or_default() += 1;
            let digest = Some(self.yard.bundles[number].bundle().digest().0);
            let was_running = confirmed == digest;
            confirmed = match (outcome, is_good) {
                (Outcome::Committed, true) => digest,
                (Outcome::AlreadyRunning, _) if was_running => digest,
                (Outcome::RolledBack | Outcome::WentBackByItself, false) => confirmed,
                (outcome, _) => return Err(format!("version {version} ends {outcome:?}")),
            };
            self.device.pass_us(ALONE_US);
            let opened = self.look().await?;
            holds(&opened, confirmed).map_err(|wrong| format!("behind {version}: {wrong}"))?;
        }
        Ok(())
    }

    /// Tries as a script does: again while nothing is decided.
    async fn deploy_until_judged(
        &mut self,
        number: usize,
        fleets: &mut Fleets,
    ) -> Result<Outcome, String> {
        let mut last = None;
        for _ in 0..MOST_TRIES {
            fleets.runs += 1;
            let ended = self.deploy(number).await?;
            let is_good = VERSIONS[number].1;
            match ended.end.outcome {
                done @ (Outcome::Committed | Outcome::AlreadyRunning) => return Ok(done),
                back @ (Outcome::RolledBack | Outcome::WentBackByItself) if !is_good => {
                    return Ok(back);
                }
                // Its power failed too often, or its line was too bad: nothing speaks against the version.
                Outcome::RolledBack | Outcome::WentBackByItself
                    if ended.end.verdict == RunVerdict::Rejected =>
                {
                    return Err(format!("a good version is rejected: {}", ended.end.message));
                }
                Outcome::RolledBack
                | Outcome::WentBackByItself
                | Outcome::Refused
                | Outcome::Error
                | Outcome::Interrupted
                | Outcome::NeedsService
                | Outcome::Held => last = Some(ended),
            }
        }
        let last = last.map(|ended| ended.end.message);
        Err(format!("version {} is never judged: {last:?}", VERSIONS[number].0))
    }

    /// One run of the host, as `noflake deploy` makes it.
    async fn deploy(&mut self, number: usize) -> Result<Ended, String> {
        let bundle = &self.yard.bundles[number];
        let folder = RunFolder::create(&self.yard.site.path("runs"), SystemTime::now(), "soak");
        let folder = folder.map_err(|error| error.to_string())?;
        let recorder = Recorder::start(&folder, SystemTime::now());
        let recorder = &mut recorder.map_err(|error| error.to_string())?;
        let mut device = self.reach();
        let runner = Runner::new(self.order(bundle), device.now_ms());
        let (_stop, interrupts) = watch::channel(0);
        let setup = RunSetup { bundle, certificate: None, device, runner, recorder, interrupts };
        let (ended, lost) = run(setup, &mut |_| ()).await;
        let removed = std::fs::remove_dir_all(folder.path());
        match lost.map(|lost| lost.to_string()).or(removed.err().map(|error| error.to_string())) {
            Some(lost) => Err(lost),
            None => Ok(ended),
        }
    }

    fn order(&self, bundle: &VerifiedBundle) -> Order {
        let manifest = bundle.manifest();
        let claims = manifest.hardware.iter();
        Order {
            verb: Verb::Deploy,
            product: manifest.product.clone(),
            hardware: claims
                .map(|claim| (claim.id.clone(), claim.first_revision, claim.last_revision))
                .collect(),
            version: manifest.version.to_string(),
            bundle: bundle.bundle().digest().0,
            plan: self.yard.plan.clone(),
            again: true,
            take_over: false,
            recover: String::new(),
        }
    }

    fn reach(&mut self) -> Device {
        let mut start = LinkStart::new(None, 0);
        start.device = Some(self.device.clone());
        self.first_id += 1_000_000;
        let address = Address::Simulated { scenario: None };
        Device::new(Opening {
            address,
            start,
            take_over: false,
            first_id: self.first_id,
            host: None,
        })
    }

    /// What the device says of itself.
    async fn look(&mut self) -> Result<Opened, String> {
        let mut device = self.reach();
        let until_ms = device.now_ms().saturating_add(LOOK_MS);
        let opened = device.connect(until_ms, None, false, &mut |_| ()).await;
        opened.map_err(|error| format!("it does not answer: {error}"))
    }
}

/// It runs what was confirmed last, and nothing is left open.
fn holds(opened: &Opened, confirmed: Option<[u8; 32]>) -> Result<(), String> {
    let Opened { facts, status, .. } = opened;
    if facts.running == Where::Recovery || status.active != Some(facts.running) {
        return Err(format!("{} runs, {:?} is confirmed", facts.running, status.active));
    }
    if facts.bundle != confirmed {
        return Err(format!("version {} runs, another one was confirmed", facts.version));
    }
    if status.trial.is_some() {
        return Err("a trial is open that nobody judges".to_owned());
    }
    Ok(())
}
