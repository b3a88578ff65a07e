//! What the benches share: figures from a run's own evidence, and a table.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cli::{Ended, run};
use crate::simulator::Simulator;
use crate::site::Site;

/// How long staging took by the run's own record, in milliseconds.
pub fn stage_ms(run: &Path) -> f64 {
    let record = fs::read_to_string(run.join("record.jsonl")).unwrap();
    let entries = record.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut took = entries.filter_map(|entry| {
        let measurement = &entry["testStepArtifact"]["measurement"];
        (measurement["name"] == "took").then(|| measurement["value"].as_f64())?
    });
    took.next().expect("a record of a run that has staged")
}

/// Makes a key for this host and enrols a device from factory state by it, so that the two know each other.
pub fn meet(site: &Site, device: &Simulator) {
    let folder = site.folder();
    let generate = ["key", "generate", "--role", "host", "host", "--passphrase-fd", "0"];
    let _ = run(folder, "secret\n", &generate).code(0);
    let (address, root) = (device.address(), site.root().display().to_string());
    let enroll = ["device", "enroll", "-d", &address, "--root", &root];
    let _ = run(folder, "secret\n", &[&enroll[..], &AS_HOST].concat()).code(0);
}

/// Deploys on a sealed link.
pub fn deploy_sealed(site: &Site, bundle: &str, device: &Simulator) -> Ended {
    let address = device.address();
    let deploy = ["deploy", bundle, "-d", &address];
    run(site.folder(), "secret\n", &[&deploy[..], &AS_HOST].concat())
}

const AS_HOST: [&str; 4] = ["--as", "host.key", "--passphrase-fd", "0"];

/// The middle one of several figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Prints a small table, its columns as wide as they need to be.
#[expect(clippy::print_stdout, reason = "a bench's result is what it prints")]
pub fn print_table(rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  "));
    }
}

/// Cells of a row.
pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
