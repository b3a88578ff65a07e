//! SIGKILL of the simulated device at seeded offsets of a deploy's bytes, then a new process over the
//! same flash file and the same command: it commits, and sends only what the flash does not hold.

use std::thread;

use integration::cli::wait_for;
use integration::proxy::{At, Proxy};
use integration::random::{Random, seed};
use integration::simulator::{SimOptions, Simulator, payload_bytes, wire_bytes};
use integration::site::{Release, Site};

const APP_BYTES: usize = 400_000;
const WINDOW_BYTES: u64 = 64 << 10;

#[test]
fn at_seeded_offsets_over_a_serial_line_a_device_that_loses_power_gets_only_what_it_lacks() {
    at_offsets(seed("kill_simulator_serial", 3030), |killing| {
        // A paced line leaves the time to see the offset pass; the second process is in a hurry.
        let device = killing.start(&SimOptions { baud: 3_000_000, ..SimOptions::pty() });
        let state = device.state().to_owned();
        killing.first(&device.address(), || {
            wait_for("the offset", || (wire_bytes(&state) >= killing.offset).then_some(()));
            device.kill();
        });
        killing.second(&SimOptions::pty());
    });
}

#[test]
fn at_seeded_offsets_over_tcp_a_device_that_loses_power_gets_only_what_it_lacks() {
    at_offsets(seed("kill_simulator_tcp", 3031), |killing| {
        let device = killing.start(&SimOptions::tcp());
        // A socket has no pace that would let an offset be seen: the cable lets no byte behind it pass.
        let cable = Proxy::start(&device.socket(), At::Stall(killing.offset));
        killing.first(&cable.address(), || {
            cable.await_reached();
            device.kill();
        });
        killing.second(&SimOptions::tcp());
    });
}

fn at_offsets(seed: u64, kill: impl Fn(&Killing) + Sync) {
    let mut random = Random::new(seed);
    let offsets: Vec<u64> = (0..12).map(|_| random.between(20_000, 150_000)).collect();
    for few in offsets.chunks(4) {
        thread::scope(|scope| {
            for offset in few {
                scope.spawn(|| kill(&Killing::new(*offset, seed)));
            }
        });
    }
}

/// A device that dies at one byte of a deploy, and what comes before and behind that.
struct Killing {
    site: Site,
    release: Release,
    bundle: String,
    offset: u64,
    told: String,
}

impl Killing {
    fn new(offset: u64, seed: u64) -> Self {
        let site = Site::new();
        let release = Release::sized("1.1.0", APP_BYTES);
        let bundle = site.bundle(&release);
        Self { site, release, bundle, offset, told: format!("byte {offset}, seed {seed}") }
    }

    fn start(&self, options: &SimOptions) -> Simulator {
        Simulator::start(&self.site, options)
    }

    /// A deploy over `address` that `kill` strikes in the middle of its bytes.
    fn first(&self, address: &str, kill: impl FnOnce()) {
        let host = self.site.start(&["deploy", &self.bundle, "-d", address]);
        kill();
        let ended = host.wait();
        assert_eq!(ended.code, Some(3), "{}: {ended:?}", self.told);
        let arrived = payload_bytes(&self.site.path("device"));
        let is_amid = 0 < arrived && arrived < self.release.payload_bytes();
        assert!(is_amid, "{}: {arrived} component bytes had arrived", self.told);
    }

    /// The same deploy to a new process over the same flash.
    fn second(&self, options: &SimOptions) {
        let device = self.start(options);
        let ended = self.site.deploy(&self.bundle, &device.address());
        assert_eq!(ended.code, Some(0), "{}: {ended:?}", self.told);
        let all = device.payload_bytes();
        let limit = self.release.payload_bytes() + WINDOW_BYTES;
        assert!(all <= limit, "{}: {all} bytes in all, limit {limit}", self.told);
        assert_eq!(self.site.running_version(&device.address()), "1.1.0", "{}", self.told);
    }
}
