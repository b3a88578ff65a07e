//! SIGKILL of the host at seeded offsets of a deploy's bytes, then the same command: it commits, and
//! the device's own counters show that what it had taken was not sent again.

use std::thread;

use integration::cli::wait_for;
use integration::proxy::{At, Proxy};
use integration::random::{Random, seed};
use integration::simulator::{SimOptions, Simulator, wire_bytes};
use integration::site::{Release, Site};

const APP_BYTES: usize = 300_000;
/// The simulated device's memory for blocks in flight.
const WINDOW_BYTES: u64 = 64 << 10;
/// Where components begin to travel for sure: manifest and block list came before.
const FIRST_BYTES: u64 = 25_000;

#[test]
fn at_20_seeded_offsets_over_tcp_the_same_command_commits_and_resends_at_most_a_window() {
    let seed = seed("kill_host", 2020);
    let mut random = Random::new(seed);
    let offsets: Vec<u64> =
        (0..20).map(|_| random.between(FIRST_BYTES, APP_BYTES as u64)).collect();
    for few in offsets.chunks(4) {
        thread::scope(|scope| {
            for offset in few {
                scope.spawn(move || kill_over_tcp(*offset, seed));
            }
        });
    }
}

fn kill_over_tcp(offset: u64, seed: u64) {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let release = Release::sized("1.1.0", APP_BYTES);
    let bundle = site.bundle(&release);
    let cable = Proxy::start(&device.socket(), At::Stall(offset));
    let host = site.start(&["deploy", &bundle, "-d", &cable.address()]);
    cable.await_reached();
    host.kill();
    go_on(&site, &device, &release, &format!("byte {offset}, seed {seed}"));
}

/// The same command on the mended cable, and what the device counted in all.
fn go_on(site: &Site, device: &Simulator, release: &Release, told: &str) {
    let before = device.payload_bytes();
    assert!(before > 0, "{told}: no component byte had arrived before the kill");
    let second = site.deploy(&site.bundle(release), &device.address());
    assert_eq!(second.code, Some(0), "{told}: {second:?}");
    let all = device.payload_bytes();
    let limit = release.payload_bytes() + WINDOW_BYTES;
    assert!(all <= limit, "{told}: {all} bytes in all ({before} before the kill), limit {limit}");
    assert_eq!(site.running_version(&device.address()), "1.1.0", "{told}");
}

#[test]
fn at_seeded_offsets_over_a_serial_line_the_same_command_commits_too() {
    let seed = seed("kill_host", 2021);
    let mut random = Random::new(seed);
    let offsets: Vec<u64> = (0..4).map(|_| random.between(12_000, 80_000)).collect();
    thread::scope(|scope| {
        for offset in offsets {
            scope.spawn(move || kill_over_serial(offset, seed));
        }
    });
}

/// A paced line leaves the time to see the offset pass.
fn kill_over_serial(offset: u64, seed: u64) {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions { baud: 921_600, ..SimOptions::pty() });
    let release = Release::sized("1.1.0", 100_000);
    let bundle = site.bundle(&release);
    let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("the offset", || (wire_bytes(device.state()) >= offset).then_some(()));
    host.kill();
    go_on(&site, &device, &release, &format!("serial byte {offset}, seed {seed}"));
}
