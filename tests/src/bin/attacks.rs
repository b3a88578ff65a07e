//! Tries every attack on the product as it is, and again without the defence in question, and prints what happened
//! (TESTING.md, "Attacks").
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its whole purpose")]

use std::process::ExitCode;

use clap::Parser;
use integration::attacks::{ROWS, Row};

/// Try every attack on the product as it is, where it has to fail, and without the defence in question, where it has to
/// succeed
#[derive(Debug, Parser)]
struct Options {
    /// Only this row
    #[arg(long, value_name = "ROW")]
    only: Option<u8>,
    /// Name the rows, and try nothing
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    #[cfg(feature = "planted")]
    if let Some(exit) = integration::attacks::stand_in::act() {
        return exit;
    }
    let options = Options::parse();
    let rows: Vec<&Row> =
        ROWS.into_iter().filter(|row| options.only.is_none_or(|only| row.number == only)).collect();
    if rows.is_empty() {
        eprintln!("error: there is no such row; --list names them");
        return ExitCode::from(2);
    }
    if options.list {
        for row in rows {
            println!("{:>2}  {:<24} without: {}", row.number, row.name, row.switch.name());
        }
        return ExitCode::SUCCESS;
    }
    try_all(&rows)
}

#[cfg(feature = "planted")]
use self::with_and_without::try_all;

#[cfg(feature = "planted")]
mod with_and_without {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::process::ExitCode;

    use integration::attacks::stand_in::go_without;
    use integration::attacks::{Outcome, Row, Switch};

    /// Tries all of them; 1 when one is not as it has to be.
    pub(super) fn try_all(rows: &[&Row]) -> ExitCode {
        let wrong = rows.iter().filter(|row| !is_as_it_has_to_be(row)).count();
        println!("{} rows, {wrong} of them not as they have to be", rows.len());
        ExitCode::from(u8::from(wrong > 0))
    }

    fn is_as_it_has_to_be(row: &Row) -> bool {
        println!("row {:<2}   {}", row.number, row.name);
        println!("attack   {}", row.attack);
        println!("defence  {}", row.defence);
        let with = try_one(row, None);
        let holds = matches!(with, Some(Outcome::Refused(_)));
        println!("with     {}", in_words(with, !holds));
        if row.switch == Switch::Review {
            println!("without  cannot be left out: by model and review\n");
            return holds;
        }
        let without = try_one(row, Some(row.switch));
        let falls = matches!(without, Some(Outcome::Succeeded(_)));
        println!("without  {}: {}\n", row.switch.name(), in_words(without, !falls));
        holds && falls
    }

    /// `None` when it could not be prepared; the panic's own words are on stderr.
    fn try_one(row: &Row, switch: Option<Switch>) -> Option<Outcome> {
        go_without(switch);
        catch_unwind(AssertUnwindSafe(row.run)).ok()
    }

    fn in_words(outcome: Option<Outcome>, is_wrong: bool) -> String {
        let words = match outcome {
            Some(Outcome::Refused(seen)) => format!("refused: {seen}"),
            Some(Outcome::Succeeded(seen)) => format!("succeeded: {seen}"),
            None => "not tried: it could not be prepared, see above".to_owned(),
        };
        if is_wrong { format!("WRONG, {words}") } else { words }
    }
}

/// What nothing can be left out of starts itself again, built so that it can.
#[cfg(not(feature = "planted"))]
fn try_all(_rows: &[&Row]) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut again = std::process::Command::new(cargo);
    again.args(["run", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    if !cfg!(debug_assertions) {
        again.arg("--release");
    }
    again.args([
        "-p",
        "integration",
        "--locked",
        "--features",
        "planted",
        "--bin",
        "attacks",
        "--",
    ]);
    again.args(std::env::args_os().skip(1));
    eprintln!("nothing can be left out of this build: goes on as {again:?}");
    match again.status() {
        Ok(status) => status
            .code()
            .map_or(ExitCode::FAILURE, |code| ExitCode::from(u8::try_from(code).unwrap_or(1))),
        Err(error) => {
            eprintln!(
                "error: failed to start cargo, which builds what defences can be left out of: {error}"
            );
            ExitCode::from(2)
        }
    }
}
