//! `noflake conformance`: which of the promises hold on a device.

mod linked;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::json;

use self::linked::{Linked, Power};
use super::deployment::{Deployment, RunArgs};
use super::evidence_key::EvidenceKeyArgs;
use super::root::RootArgs;
use super::runtime;
use super::target::TargetArgs;
use crate::cli::Context;
use crate::conformance::{Bundles, Choice, Ending, Fault, Role, Scenario, Stopping, Suite, Told};
use crate::error::{CommandError, Exit};
use crate::evidence::{Verb, escape_text};
use crate::output::Format;

/// Roles that are deployed whole, besides being put on trial.
const DEPLOYED: [Role; 3] = [Role::Base, Role::Next, Role::Fails];

/// Check which promises hold on a device, with bundles that are known to be healthy and known to be bad
///
/// For authors of firmware, on a device of a bench: it overwrites both slots over and over. Nothing is held against a device
/// that was not seen: what could not be checked is listed with what it needs. docs/CONFORMANCE.md says what each scenario does.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    evidence_key: EvidenceKeyArgs,
    /// Folder with conformance.toml and the bundles that it names
    #[arg(long, value_name = "FOLDER", default_value = "conformance")]
    bundles: PathBuf,
    /// Program that takes the device's power, with arguments behind blanks; no shell is involved
    #[arg(long, value_name = "COMMAND", requires = "power_on")]
    power_off: Option<String>,
    /// Program that gives it back
    #[arg(long, value_name = "COMMAND", requires = "power_off")]
    power_on: Option<String>,
    /// Run only these promises and scenarios, such as P2,P3.silence
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<String>,
    /// List the scenarios and what each needs; no device is asked
    #[arg(long)]
    list: bool,
    /// Folder for the evidence of whole deployments [default: `runs` of noflake.toml, else ./runs]
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
}

/// Runs the suite, or lists it.
///
/// # Errors
/// When bundles or root record cannot be used; what a device does is no error but a result.
pub fn run(args: Args, context: &Context) -> Result<Exit, CommandError> {
    let choice = choice(&args.only)?;
    if args.list {
        choice.scenarios().for_each(|scenario| list(scenario, context));
        return Ok(Exit::Success);
    }
    let root = args.root.require(context)?;
    let bundles = Bundles::read(&args.bundles, root.record().claims())?;
    let mut opening = args.target.one(context, Some(&root))?.opening().clone();
    let in_memory = linked::keep(&mut opening)?;
    let power = Power::new(args.power_off, args.power_on, in_memory);
    let run_args = RunArgs::again(args.target, args.root, args.evidence_key, args.runs);
    let mut deployments = BTreeMap::new();
    for role in DEPLOYED {
        let Some(bundle) = bundles.verified(role) else { continue };
        let path = bundle.bundle().path();
        let deployment = Deployment::prepare(path, &run_args, Verb::Deploy, None, context)?;
        deployments.insert(role, deployment);
    }
    let address = opening.address.to_string();
    announce(&address, &bundles, &choice, power.is_some(), context);
    let ending = runtime::block_on(async {
        let stopping =
            Stopping { asked: runtime::interrupts(), is_deploying: Rc::new(Cell::new(false)) };
        let seed = opening.start.seed;
        let unit = Linked::new(opening, deployments, power, stopping.clone());
        let suite = Suite { unit, bundles: &bundles, choice, seed };
        let mut tell = |told: Told<'_>| tell(&address, told, context);
        suite.run(stopping, &mut tell).await
    })?;
    print(&address, &ending, context);
    Ok(exit_of(&ending))
}

fn choice(only: &[String]) -> Result<Choice, CommandError> {
    if only.is_empty() {
        return Ok(Choice::everything());
    }
    Choice::of(only).map_err(|error| CommandError::Arguments {
        problem: error.to_string(),
        usage: "noflake conformance --list names every scenario".to_owned(),
    })
}

fn list(scenario: Scenario, context: &Context) {
    let needs = scenario.needs();
    let more = needs.as_ref().map_or_else(String::new, |needs| format!("\n{:26}needs {needs}", ""));
    let human = format!("{scenario:<26}{}{more}", scenario.says());
    let machine = json!({
        "scenario": scenario.id(),
        "promise": scenario.promise().id(),
        "says": scenario.says(),
        "needs": needs,
    });
    context.output.result(&human, &machine);
}

/// Says what will be done to the device, before anything is.
fn announce(address: &str, bundles: &Bundles, choice: &Choice, has_power: bool, context: &Context) {
    let say = |line: String| context.output.progress(&line);
    say(format!(
        "{address}: both slots are overwritten over and over, and whatever runs there now is gone"
    ));
    let version = |role| {
        let bundle = bundles.verified(role);
        bundle.map_or_else(String::new, |bundle| bundle.manifest().version.to_string())
    };
    let (base, next) = (version(Role::Base), version(Role::Next));
    if choice.scenarios().any(Scenario::raises_the_floor) {
        let floor = bundles.security_version(Role::Next).unwrap_or_default();
        say(format!(
            "{address}: it ends with version {next} confirmed, and its floor at {floor}: nothing below is taken any more"
        ));
    } else {
        say(format!(
            "{address}: it ends with version {base} confirmed, or {next} where it has that"
        ));
    }
    if has_power && choice.scenarios().any(Scenario::needs_power) {
        say(format!("{address}: its power is taken in the middle of what it does"));
    }
}

fn tell(address: &str, told: Told<'_>, context: &Context) {
    let is_json = context.output.format() == Format::Json;
    let line = match told {
        // A result, as soon as there is one: a suite takes minutes.
        Told::Found(row) if is_json => return context.output.result(&"", &row.to_json()),
        Told::Begins(role) => format!("{address}: begins with `{role}`"),
        Told::Starts(scenario) => format!("{address}: {scenario}: {}", scenario.says()),
        Told::Found(row) => format!("{address}: {}: {}", row.scenario, row.finding.in_words()),
    };
    context.output.progress(&line);
}

fn print(address: &str, ending: &Ending, context: &Context) {
    let Ending { table, is_interrupted, runs, is_healthy } = ending;
    let left = match runs {
        Some(facts) => {
            let state = if *is_healthy { "confirmed and healthy" } else { "not as it should be" };
            format!(
                "it runs version {} from {}, {state}",
                escape_text(&facts.version),
                facts.running
            )
        }
        None => "it was not seen at the end: noflake device status --explain".to_owned(),
    };
    let exit = exit_of(ending).code();
    let counts: serde_json::Map<_, _> =
        table.counts().into_iter().map(|(word, count)| (word.to_owned(), json!(count))).collect();
    let machine = json!({
        "device": address,
        "counts": counts,
        "interrupted": is_interrupted,
        "healthy": is_healthy,
        "version": runs.as_ref().map(|facts| &facts.version),
        "exit": exit,
    });
    let human = format!("{table}\n{address}: {left}");
    context.output.result(&human, &machine);
}

/// What is broken counts more than what was not seen.
fn exit_of(ending: &Ending) -> Exit {
    let table = &ending.table;
    if ending.is_interrupted {
        Exit::Interrupted
    } else if table.is_broken() {
        Exit::Rejected
    } else if table.has_fault(Fault::Bench) || ending.runs.is_none() {
        Exit::Bench
    } else if table.has_fault(Fault::Refused) {
        Exit::Refused
    } else {
        Exit::Success
    }
}
