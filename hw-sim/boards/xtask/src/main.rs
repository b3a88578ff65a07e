//! Builds noflake's firmware for the emulated board, starts it, and holds it to its promises (docs/PORTING.md).
//!
//!     cargo xtask board build|size|run|test

mod cuts;
mod emulator;
mod error;
mod firmware;
mod image;
mod interrupted;
mod map;
mod measure;
mod noflake;
mod output;
mod program;
mod run;
mod site;
mod size;
mod suite;
mod table;
mod tear;
mod test;
mod toolchain;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::emulator::Emulator;
use crate::error::Error;
use crate::firmware::{Firmware, Plant};
use crate::noflake::Noflake;
use crate::output::say;
use crate::site::Site;

/// Build, run and test noflake on an emulated Cortex-M3 board
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Cli {
    /// The board: MPS2 with application note AN385, in QEMU
    #[command(subcommand)]
    Board(Board),
}

#[derive(Debug, Subcommand)]
enum Board {
    /// Build boot stage, recovery, application, template and the example for embassy
    Build(Build),
    /// Print what they take of flash and memory, crate by crate, and fail over budget
    Size,
    /// Start a board on a serial port, until Ctrl-C
    Run(Run),
    /// Run the conformance suite and seeded power cuts on a board of its own, some 15 minutes; exit 1 when a promise is broken, or not
    /// everything was seen to hold
    Test(test::Test),
    /// Take the power of a board, or give it back: what the suite's power commands are
    #[command(subcommand)]
    Power(Power),
}

#[derive(Debug, Args)]
struct Build {
    /// Also put what a bundle needs into this folder: program, settings, plan, and the spec mcu.toml. The program is replaced, the
    /// others are kept if they are there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The program that goes there
    #[arg(long, value_enum, default_value = "application", requires = "out")]
    program: site::Program,
    /// Also make keys and every bundle of the conformance suite in this new folder
    #[arg(long, value_name = "DIR")]
    conformance: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Run {
    /// Where its serial port is to be
    #[arg(long, value_name = "PATH")]
    serial: PathBuf,
    /// Folder with its flash and its key; a new board every time without
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Power {
    /// Take it
    Off {
        /// Folder of the board
        folder: PathBuf,
    },
    /// Give it back
    On {
        /// Folder of the board
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let Cli::Board(command) = Cli::parse();
    if !cfg!(target_os = "linux") {
        eprintln!(
            "error: boards are emulated on Linux only: whose process is whose is asked of /proc"
        );
        return ExitCode::from(2);
    }
    if let Err(error) = program::own() {
        eprintln!("error: {}", error.in_full());
        return ExitCode::from(2);
    }
    if let Err(error) = interrupted::watch() {
        eprintln!("error: signals cannot be waited for: {error}");
        return ExitCode::from(2);
    }
    let carried_out = carry_out(command);
    interrupted::hold_if_ending();
    match carried_out {
        Ok(_) if output::is_lost() => {
            eprintln!(
                "error: standard output takes no more: the lines that are missing there stand above"
            );
            ExitCode::from(2)
        }
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", error.in_full());
            ExitCode::from(2)
        }
    }
}

/// True when everything is as it has to be.
fn carry_out(command: Board) -> Result<bool, Error> {
    match command {
        Board::Build(build) => {
            let firmware = Firmware::build(Plant::Nothing)?;
            say!("{firmware}");
            if let Some(folder) = build.out {
                let kept = site::write_example(&firmware, build.program, &folder)?;
                let kept = if kept.is_empty() { "nothing".to_owned() } else { kept.join(", ") };
                say!("in {}: mcu.bin is new; kept as it was: {kept}", folder.display());
                let has_keys = folder.join("noflake.toml").exists();
                let keys = if has_keys { "" } else { "noflake init ., then " };
                let folder = folder.display();
                say!(
                    "next: cd {folder}, then {keys}noflake bundle create mcu.toml -o mcu-1.0.0.nfb"
                );
            }
            if let Some(folder) = build.conformance {
                if folder.exists() {
                    return Err(Error::Taken(folder));
                }
                Site::make(&folder, Noflake::build()?, &firmware)?;
                say!("next, with a board at PORT: cd {}/own", folder.display());
                say!("  noflake device enroll -d serial:PORT");
                say!("  noflake deploy base.nfb -d serial:PORT");
                say!("  noflake conformance -d serial:PORT --bundles .");
            }
            Ok(true)
        }
        Board::Size => size::run(),
        Board::Run(options) => run::run(&options.serial, options.state.as_deref()),
        Board::Test(options) => test::run(&options),
        Board::Power(Power::Off { folder }) => Emulator::power_off(&folder).map(|()| true),
        Board::Power(Power::On { folder }) => Emulator::power_on(&folder).map(|()| true),
    }
}
