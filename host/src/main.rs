//! The `noflake` command: arguments in, exit code out.

use std::process::ExitCode;

// A device's engine that makes mistakes on purpose is for tests alone.
const _: () = assert!(
    !firmware_protocol::planted::IS_PLANTABLE,
    "the feature `planted` is for the tests' own binaries"
);

fn main() -> ExitCode {
    ExitCode::from(noflake::cli::main().code())
}
