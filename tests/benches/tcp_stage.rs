//! 64 MiB over loopback: staged by a deploy, on a plain and on a sealed link, beside a plain socket copy with SHA-256 in
//! the same run.
//! Staging writes and reads back besides, so a ratio of one is not to be had.
#![expect(clippy::unwrap_used, reason = "a bench ends in words when something does not work")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use integration::bench::{deploy_sealed, median, meet, print_table, row, stage_ms};
use integration::simulator::{SimOptions, Simulator};
use integration::site::{QUICK_PLAN, Release, Site};
use sha2::{Digest, Sha256};

const MIB: usize = 64;
const REPEATS: usize = 3;
/// A device of the Linux class: pages of 4 KiB, a MiB of memory for what has arrived.
const SCENARIO: &str = "[flash]\npage_bytes = 4096\n[device]\nwindow_bytes = 1048576\nmax_frame_bytes = 65536\n\
     areas = [{ name = \"app\", bytes = 67108864 }, { name = \"config\", bytes = 16384 }]\n";

fn main() {
    let release = Release::sized("1.1.0", MIB << 20)
        .plan(&QUICK_PLAN.replace("run = \"60s\"", "run = \"10m\""));
    let plain = median((0..REPEATS).map(|_| plain_ms(&release.app[1])).collect());
    let staged = median((0..REPEATS).map(|_| staged_ms(&release)).collect());
    let sealed = median((0..REPEATS).map(|_| sealed_ms(&release)).collect());
    #[expect(clippy::cast_precision_loss, reason = "64 is exact")]
    let rate = |ms: f64| format!("{:.0} MiB/s", MIB as f64 * 1000.0 / ms);
    print_table(&[
        row(["64 MiB over loopback", "median time", "rate"]),
        row(["plain copy + SHA-256", &format!("{plain:.0} ms"), &rate(plain)]),
        row(["staged by noflake", &format!("{staged:.0} ms"), &rate(staged)]),
        row(["staged on a sealed link", &format!("{sealed:.0} ms"), &rate(sealed)]),
        row(["plain copy / staged", &format!("{:.2}", plain / staged), ""]),
        row(["staged / on a sealed link", &format!("{:.2}", staged / sealed), ""]),
    ]);
}

fn staged_ms(release: &Release) -> f64 {
    let site = Site::new();
    let options = SimOptions { in_memory: true, ..SimOptions::tcp().scenario(SCENARIO) };
    let device = Simulator::start(&site, &options);
    let _ = site.deploy(&site.bundle(release), &device.address()).code(0);
    stage_ms(&site.runs()[0])
}

fn sealed_ms(release: &Release) -> f64 {
    let site = Site::new();
    let options = SimOptions { in_memory: true, ..SimOptions::tcp().scenario(SCENARIO) };
    let device = Simulator::start(&site, &options.factory());
    meet(&site, &device);
    let _ = deploy_sealed(&site, &site.bundle(release), &device).code(0);
    stage_ms(&site.runs()[0])
}

/// Sends everything, waits for the receiver's digest of it.
fn plain_ms(bytes: &[u8]) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let receiver = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            hasher.update(&buffer[..count]);
        }
        let _ = stream.write_all(&hasher.finalize());
    });
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut digest = [0; 32];
    stream.read_exact(&mut digest).unwrap();
    let took = begun.elapsed();
    receiver.join().unwrap();
    assert_eq!(digest[..], Sha256::digest(bytes)[..]);
    took.as_secs_f64() * 1000.0
}
