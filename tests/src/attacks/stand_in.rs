//! What stands in for the program `noflake`, which cannot be built so that it leaves anything out: the harness's own
//! program, started again with a word in its environment.
//!
//! One switch holds for this process and everything that it starts from then on, so attacks are tried one by one.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Mutex;

use firmware_protocol::planted::{decisions, disturb, plant, switch_off};

use super::Switch;

/// Makes the process be `noflake`, without what it names.
const WITHOUT: &str = "NOFLAKE_ATTACKS_WITHOUT";
/// Which decision of its engines comes out wrong.
pub const DISTURBED: &str = "NOFLAKE_ATTACKS_DISTURBED";
/// File for the number of decisions that its engines have made, written at its end.
pub const COUNTED: &str = "NOFLAKE_ATTACKS_COUNTED";
/// The name of no switch.
const NOTHING: &str = "none";

/// The program that stands in, and what it leaves out; `None` as long as nothing stands in.
static STAND_IN: Mutex<Option<(PathBuf, &'static str)>> = Mutex::new(None);

/// From now on this process, and every `noflake` that it starts, does without; `None`: with everything.
///
/// Only for a program that begins with [`act`].
pub fn go_without(switch: Option<Switch>) {
    set(switch);
    let name = switch.map_or(NOTHING, Switch::name);
    *STAND_IN.lock().unwrap() = Some((env::current_exe().unwrap(), name));
}

/// What starts the stand-in, if there is one.
pub(crate) fn command() -> Option<Command> {
    let stand_in = STAND_IN.lock().unwrap();
    let (program, without) = stand_in.as_ref()?;
    let mut command = Command::new(program);
    command.env(WITHOUT, without);
    Some(command)
}

/// Is `noflake` to the end, when this process was started for that.
pub fn act() -> Option<ExitCode> {
    let name = env::var(WITHOUT).ok()?;
    let switch = Switch::named(&name);
    assert!(switch.is_some() || name == NOTHING, "there is no switch {name:?}");
    set(switch);
    disturb(env::var(DISTURBED).map_or(0, |number| number.parse().unwrap()));
    let exit = noflake::cli::main();
    if let Ok(path) = env::var(COUNTED) {
        fs::write(path, decisions().to_string()).unwrap();
    }
    Some(ExitCode::from(exit.code()))
}

fn set(switch: Option<Switch>) {
    let (defence, mistake) = match switch {
        Some(Switch::Defence(defence)) => (Some(defence), None),
        Some(Switch::Mistake(mistake)) => (None, Some(mistake)),
        Some(Switch::Review) | None => (None, None),
    };
    switch_off(defence);
    plant(mistake);
}
