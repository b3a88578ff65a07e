//! Time of `noflake --version` from start to end, and the size of the binary.
#![expect(clippy::unwrap_used, reason = "a bench ends in words when something does not work")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use integration::bench::{median, print_table, row};
use integration::cli::noflake_binary;

const REPEATS: usize = 101;

fn main() {
    let binary = noflake_binary();
    let once = || {
        let begun = Instant::now();
        let status = Command::new(binary).arg("--version").stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
        begun.elapsed().as_secs_f64() * 1000.0
    };
    let figures: Vec<f64> = (0..REPEATS).map(|_| once()).collect();
    let bytes = fs::metadata(binary).unwrap().len();
    print_table(&[
        row(["noflake", ""]),
        row(["--version, median", &format!("{:.1} ms", median(figures))]),
        row([
            "size of the binary",
            &format!("{:.1} MiB", f64::from(u32::try_from(bytes).unwrap()) / 1_048_576.0),
        ]),
    ]);
}
