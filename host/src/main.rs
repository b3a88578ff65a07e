//! The `noflake` command: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(noflake::cli::main().code())
}
