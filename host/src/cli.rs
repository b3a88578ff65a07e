//! The command line: what can be typed, and which file answers it.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::commands::{
    bundle, completions, conformance, deploy, device, init, key, qualify, report, root_record,
};
#[cfg(feature = "sim")]
use crate::commands::{demo, sim};
use crate::config::Config;
use crate::error::{CommandError, Exit};
use crate::output::{Format, LogLines, Output};
use crate::trace::RunTrace;

/// Qualifies deployments on field devices
///
/// Signs a bundle of software and configuration, stages it on an A/B device, boots it on trial,
/// runs declared checks, and commits or rolls back.
#[derive(Debug, Parser)]
#[command(name = "noflake", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, clap::Args)]
struct GlobalArgs {
    /// How to print results
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Log more on stderr; again for even more (finer: `RUST_LOG`)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Configuration file [default: the nearest noflake.toml, upwards]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "sim")]
    Demo(demo::Args),
    Init(init::Args),
    Key(key::Args),
    Root(root_record::Args),
    Bundle(bundle::Args),
    Deploy(deploy::Args),
    Qualify(qualify::Args),
    Conformance(Box<conformance::Args>),
    Device(device::Args),
    Report(report::Args),
    #[cfg(feature = "sim")]
    Sim(Box<sim::Args>),
    Completions(completions::Args),
    Man(completions::ManArgs),
}

/// What every command works with.
#[derive(Debug)]
pub struct Context {
    /// Where its words go.
    pub output: Output,
    config_path: Option<PathBuf>,
}

impl Context {
    /// The configuration; read when asked for, so that a broken one stops only who needs it.
    ///
    /// # Errors
    /// When it cannot be read or used.
    pub fn config(&self) -> Result<Config, CommandError> {
        Ok(Config::load(self.config_path.as_deref())?)
    }
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> Exit {
    crate::platform::survive_file_limit();
    match Cli::try_parse() {
        Ok(cli) => run(cli),
        Err(error) => {
            // Help and version come as errors too.
            if !error.use_stderr() {
                return say(&error);
            }
            if wants_json(std::env::args()) {
                Output::new(Format::Json).error(&arguments_error(&error));
            } else {
                Output::default().progress(&error.render().to_string().trim_end());
            }
            Exit::Usage
        }
    }
}

fn run(cli: Cli) -> Exit {
    start_log(cli.global.verbose);
    let context =
        Context { output: Output::new(cli.global.format), config_path: cli.global.config };
    let done = match cli.command {
        #[cfg(feature = "sim")]
        Command::Demo(args) => demo::run(&args, &context),
        Command::Init(args) => init::run(&args, &context).map(did),
        Command::Key(args) => key::run(args, &context).map(did),
        Command::Root(args) => root_record::run(args, &context).map(did),
        Command::Bundle(args) => bundle::run(args, &context).map(did),
        Command::Deploy(args) => deploy::run(&args, &context),
        Command::Qualify(args) => qualify::run(&args, &context),
        Command::Conformance(args) => conformance::run(*args, &context),
        Command::Device(args) => device::run(&args, &context),
        Command::Report(args) => report::run(&args, &context).map(did),
        #[cfg(feature = "sim")]
        Command::Sim(args) => sim::run(*args, &context).map(did),
        Command::Completions(args) => completions::run(&args, &context).map(did),
        Command::Man(args) => completions::run_man(&args, &context).map(did),
    };
    let told = |error: CommandError| {
        context.output.error(&error);
        error.exit()
    };
    let exit = done.unwrap_or_else(told);
    // A verdict that could not be printed stands where it is worse than that.
    context.output.finish().map_or_else(|error| Exit::worst(&[exit, told(error)]), |()| exit)
}

/// Whether JSON was asked for on a command line that does not parse.
fn wants_json(typed: impl Iterator<Item = String>) -> bool {
    let typed: Vec<String> = typed.take_while(|word| word != "--").collect();
    let apart = typed
        .windows(2)
        .any(|pair| matches!(pair, [flag, value] if flag == "--format" && value == "json"));
    apart || typed.iter().any(|word| word == "--format=json")
}

/// Prints help or version.
fn say(said: &clap::Error) -> Exit {
    let output = Output::default();
    output.help(said);
    output.finish().map_or_else(
        |error| {
            output.error(&error);
            error.exit()
        },
        |()| Exit::Success,
    )
}

/// What the parser says, without its advice on usage, which becomes the next command.
fn arguments_error(error: &clap::Error) -> CommandError {
    let said = error.render().to_string();
    let (problem, rest) = said.split_once("\nUsage: ").unwrap_or((&said, ""));
    let problem = problem.split_whitespace().collect::<Vec<_>>().join(" ");
    let problem = problem.strip_prefix("error: ").unwrap_or(&problem).to_owned();
    let usage = rest.lines().next().filter(|usage| !usage.is_empty()).unwrap_or("noflake --help");
    let problem = if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let (command, _) = usage.split_once(" [").unwrap_or((usage, ""));
        format!("'{command}' requires a subcommand")
    } else {
        problem
    };
    CommandError::Arguments { problem, usage: usage.to_owned() }
}

/// A command that has no exit code of its own did what it says.
const fn did((): ()) -> Exit {
    Exit::Success
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "noflake=info",
        2 => "noflake=debug",
        3.. => "noflake=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let stderr = tracing_subscriber::fmt::layer().with_writer(LogLines);
    tracing_subscriber::registry()
        .with(stderr.with_filter(filter))
        .with(RunTrace.with_filter(LevelFilter::DEBUG))
        .init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
