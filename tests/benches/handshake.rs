//! From a socket to the first authenticated answer: a device on loopback is connected to, on a plain link and on a sealed
//! one, in turn. Both ask who the device is; the sealed one shakes hands first and holds the device's key against the known
//! one.
#![expect(clippy::unwrap_used, reason = "a bench ends in words when something does not work")]

use std::time::Instant;

use firmware_protocol::sealed::LinkSecret;
use integration::bench::{median, print_table, row};
use integration::simulator::{SimOptions, Simulator};
use integration::site::Site;
use noflake::bench::{Device, HostIdentity, Meets, Opening, Shows};
use noflake::link::LinkStart;
use noflake::session::Credentials;
use noflake::trust::KnownDevices;

const REPEATS: usize = 41;

fn main() {
    let site = Site::new();
    let options = SimOptions { in_memory: true, ..SimOptions::tcp() };
    let device = Simulator::start(&site, &options);
    let address = device.address();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let host = HostIdentity {
        credentials: Credentials {
            secret: LinkSecret::new([9; 32]),
            delegation: Vec::new(),
            devices: None,
            shown_to: None,
        },
        known: KnownDevices::read(&site.path("known-devices.toml")).unwrap(),
        unshown: None,
        meets: Meets::Strangers,
        shows: Shows::KeptBack,
    };
    let (mut plain_ms, mut sealed_ms) = (Vec::new(), Vec::new());
    for number in 0..REPEATS {
        for (host, times) in [(None, &mut plain_ms), (Some(host.clone()), &mut sealed_ms)] {
            let opening = Opening {
                address: address.parse().unwrap(),
                start: LinkStart::new(None, 0),
                take_over: false,
                first_id: u32::try_from(number).unwrap() * 10_000,
                host,
            };
            let mut device = Device::new(opening);
            let begun = Instant::now();
            runtime.block_on(device.connect(10_000, None, false, &mut |_| {})).unwrap();
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        // A device answers a first message every 100 ms.
        std::thread::sleep(std::time::Duration::from_millis(120));
    }
    let (plain, sealed) = (median(plain_ms), median(sealed_ms));
    print_table(&[
        row(["connect, identity, status", "median time"]),
        row(["plain link", &format!("{plain:.2} ms")]),
        row(["sealed link", &format!("{sealed:.2} ms")]),
        row(["handshake and key", &format!("{:.2} ms, aim 20 ms", sealed - plain)]),
    ]);
}
