//! SIGKILL of the simulated device at seeded offsets of a deploy's bytes, then a new process over the
//! same flash file and the same command: it commits, and sends only what the flash does not hold.

use std::thread;

use integration::cli::wait_for;
use integration::random::{Random, seed};
use integration::simulator::{SimOptions, Simulator, payload_bytes, wire_bytes};
use integration::site::{Release, Site};

const APP_BYTES: usize = 400_000;
const WINDOW_BYTES: u64 = 64 << 10;

#[test]
fn at_seeded_offsets_a_device_that_loses_power_gets_only_what_it_lacks() {
    let seed = seed("kill_simulator", 3030);
    let mut random = Random::new(seed);
    let offsets: Vec<u64> = (0..12).map(|_| random.between(20_000, 150_000)).collect();
    for few in offsets.chunks(4) {
        thread::scope(|scope| {
            for offset in few {
                scope.spawn(move || kill(*offset, seed));
            }
        });
    }
}

/// A paced line leaves the time to see the offset pass; the second process is in a hurry.
fn kill(offset: u64, seed: u64) {
    let told = format!("byte {offset}, seed {seed}");
    let site = Site::new();
    let options = SimOptions { baud: 3_000_000, ..SimOptions::pty() };
    let device = Simulator::start(&site, &options);
    let state = device.state().to_owned();
    let release = Release::sized("1.1.0", APP_BYTES);
    let bundle = site.bundle(&release);
    let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("the offset", || (wire_bytes(&state) >= offset).then_some(()));
    device.kill();
    let first = host.wait();
    assert_eq!(first.code, Some(3), "{told}: {first:?}");
    assert!(payload_bytes(&state) > 0, "{told}: no component byte had arrived");

    let device = Simulator::start(&site, &SimOptions { baud: 0, ..options });
    let second = site.deploy(&bundle, &device.address());
    assert_eq!(second.code, Some(0), "{told}: {second:?}");
    let all = payload_bytes(&state);
    let limit = release.payload_bytes() + WINDOW_BYTES;
    assert!(all <= limit, "{told}: {all} bytes in all, limit {limit}");
    assert_eq!(site.running_version(&device.address()), "1.1.0", "{told}");
}
