//! Peak memory of the host for a bundle of 256 MiB: `bundle verify` and a whole `deploy` over loopback.
//! Must stay under 64 MiB.
#![expect(clippy::unwrap_used, reason = "a bench ends in words when something does not work")]

use std::fs;

use integration::bench::{print_table, row};
use integration::cli::{Running, wait_for};
use integration::simulator::{SimOptions, Simulator};
use integration::site::{QUICK_PLAN, Release, Site};

const LIMIT_KIB: u64 = 64 << 10;
const SCENARIO: &str = "[device]\nwindow_bytes = 1048576\nmax_frame_bytes = 65536\n\
     areas = [{ name = \"app\", bytes = 268435456 }, { name = \"config\", bytes = 16384 }]\n";

fn main() {
    let site = Site::new();
    let mut release = Release::sized("1.1.0", 256 << 20)
        .plan(&QUICK_PLAN.replace("run = \"60s\"", "run = \"10m\""));
    // The device runs slot A, so only the variant for B travels.
    release.app[0].truncate(4096);
    let bundle = site.bundle(&release);
    drop(release);
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(SCENARIO));
    let verify = peak_kib(site.start(&["bundle", "verify", &bundle]));
    let deploy = peak_kib(site.start(&["deploy", &bundle, "-d", &device.address()]));
    let cell = |kib: u64| format!("{:.1} MiB", f64::from(u32::try_from(kib).unwrap()) / 1024.0);
    print_table(&[
        row(["256 MiB bundle", "peak resident"]),
        row(["bundle verify", &cell(verify)]),
        row(["deploy over TCP", &cell(deploy)]),
    ]);
    assert!(verify.max(deploy) < LIMIT_KIB, "the limit is {LIMIT_KIB} KiB");
}

/// Highest resident size that the kernel tells while the command runs.
fn peak_kib(mut command: Running) -> u64 {
    let status = format!("/proc/{}/status", command.id());
    let mut peak = 0;
    wait_for("the command's end", || {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        command.has_ended().then_some(())
    });
    let _ = command.wait().code(0);
    peak
}
