//! Share of the line rate that a deploy's staging uses, on a plain and on a sealed link: 128 KiB at 115,200 baud and 1 MiB
//! at 921,600, over a paced PTY. Time is the run's own, from its evidence; 10 bits a byte.

use integration::bench::{deploy_sealed, meet, print_table, row, stage_ms};
use integration::simulator::{SimOptions, Simulator};
use integration::site::{QUICK_PLAN, Release, Site};

fn main() {
    let mut rows =
        vec![row(["payload", "baud", "link", "line alone", "staged in", "share of the line"])];
    for (bytes, baud) in [(128 << 10, 115_200), (1 << 20, 921_600)] {
        for link in ["plain", "sealed"] {
            rows.push(staged(bytes, baud, link));
        }
    }
    print_table(&rows);
}

fn staged(bytes: usize, baud: u32, link: &str) -> Vec<String> {
    let site = Site::new();
    let options = SimOptions { baud, in_memory: true, ..SimOptions::pty() };
    let plan = QUICK_PLAN.replace("run = \"60s\"", "run = \"10m\"");
    let release = Release::sized("1.1.0", bytes).plan(&plan);
    let bundle = site.bundle(&release);
    if link == "sealed" {
        let device = Simulator::start(&site, &options.factory());
        meet(&site, &device);
        let _ = deploy_sealed(&site, &bundle, &device).code(0);
    } else {
        let device = Simulator::start(&site, &options);
        let _ = site.deploy(&bundle, &device.address()).code(0);
    }
    let took_ms = stage_ms(&site.runs()[0]);
    #[expect(clippy::cast_precision_loss, reason = "a megabyte is exact")]
    let line_ms = release.payload_bytes() as f64 * 10_000.0 / f64::from(baud);
    row([
        &format!("{} KiB", bytes >> 10),
        &baud.to_string(),
        link,
        &format!("{line_ms:.0} ms"),
        &format!("{took_ms:.0} ms"),
        &format!("{:.1} %", 100.0 * line_ms / took_ms),
    ])
}
