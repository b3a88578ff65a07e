//! Share of the line rate that a deploy's staging uses: 128 KiB at 115,200 baud and 1 MiB at 921,600,
//! over a paced PTY. Time is the run's own, from its evidence; 10 bits a byte.

use integration::bench::{print_table, row, stage_ms};
use integration::simulator::{SimOptions, Simulator};
use integration::site::{QUICK_PLAN, Release, Site};

fn main() {
    let mut rows = vec![row(["payload", "baud", "line alone", "staged in", "share of the line"])];
    for (bytes, baud) in [(128 << 10, 115_200), (1 << 20, 921_600)] {
        let site = Site::new();
        let options = SimOptions { baud, in_memory: true, ..SimOptions::pty() };
        let device = Simulator::start(&site, &options);
        let plan = QUICK_PLAN.replace("run = \"60s\"", "run = \"10m\"");
        let release = Release::sized("1.1.0", bytes).plan(&plan);
        let _ = site.deploy(&site.bundle(&release), &device.address()).code(0);
        let took_ms = stage_ms(&site.runs()[0]);
        #[expect(clippy::cast_precision_loss, reason = "a megabyte is exact")]
        let line_ms = release.payload_bytes() as f64 * 10_000.0 / f64::from(baud);
        rows.push(row([
            &format!("{} KiB", bytes >> 10),
            &baud.to_string(),
            &format!("{line_ms:.0} ms"),
            &format!("{took_ms:.0} ms"),
            &format!("{:.1} %", 100.0 * line_ms / took_ms),
        ]));
    }
    print_table(&rows);
}
