//! P6, interrupted work resumes: a pulled cable costs what was on its way, and nothing that the device
//! had taken. `kill_host.rs` and `kill_simulator.rs` do the same to the two ends.

use integration::proxy::{At, Proxy};
use integration::random::{Random, seed};
use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, Site};

const APP_BYTES: usize = 400_000;
const WINDOW_BYTES: u64 = 64 << 10;

#[test]
fn after_a_pulled_cable_only_what_is_missing_is_sent() {
    let mut random = Random::new(seed("p06_interrupted_work_resumes", 606));
    for _ in 0..4 {
        let cut = random.between(40_000, APP_BYTES as u64);
        let site = Site::new();
        let device = Simulator::start(&site, &SimOptions::tcp());
        let release = Release::sized("1.1.0", APP_BYTES);
        let bundle = site.bundle(&release);
        let cable = Proxy::start(&device.socket(), At::Cut(cut));
        let first = site.deploy(&bundle, &cable.address());
        cable.await_reached();
        let first_bytes = device.payload_bytes();
        assert!(first_bytes > 0, "cut at {cut}: nothing had arrived");
        // The host may have gone on by itself, or says that the same command will.
        if first.code != Some(0) {
            let _ = first.code(3).says("run the same command again: it goes on");
            let _ = site.deploy(&bundle, &cable.address()).code(0).says("were there already");
        }
        let all = device.payload_bytes();
        let limit = release.payload_bytes() + WINDOW_BYTES;
        assert!(all <= limit, "cut at {cut}: {all} bytes, {limit} are allowed");
        assert_eq!(site.running_version(&device.address()), "1.1.0", "cut at {cut}");
    }
}
