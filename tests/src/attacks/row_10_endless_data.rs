//! Row 10: data without end, signed and not.

use std::time::{Duration, Instant};

use firmware_protocol::message::{Reply, Request};
use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use noflake::bundle::Bundle;

use super::{Outcome, Row, Switch, flood};
use crate::cli;
use crate::flash;
use crate::random::{Random, seed};
use crate::raw::Raw;
use crate::simulator::{SimOptions, Simulator};
use crate::site::{Release, Site};

/// The row.
pub const ROW: Row = Row {
    number: 10,
    name: "endless data",
    attack: "a component longer than its place, signed with the stolen release key; streams without end of every message \
             and chunk",
    defence: "lengths are signed and held against the device's places before anything is written; whatever is not \
              announced finds no place",
    switch: Switch::Defence(Defence::ComponentSize),
    run,
};

/// Small places, so that what lies behind them is near.
const SMALL: &str =
    "[device]\nareas = [{ name = \"app\", bytes = 32768 }, { name = \"config\", bytes = 8192 }]";
/// The place of the last component in each slot.
const PLACE_BYTES: usize = 8_192;
/// What lies behind it: the other slot's manifest, in one erase block, and then that slot's image.
const MANIFEST_BYTES: usize = 4_096;
const CHUNK_BYTES: usize = 2_048;
/// Rounds of everything that can be sent: about 60 frames each.
const ROUNDS: usize = 60;
/// Erase blocks of a slot, its manifest's included, and of the boot record.
const MOST_ERASES: u64 = 11 + 2;
/// What a process may take more meanwhile; its allocator keeps some.
const MORE_KIB: u64 = 8 * 1024;
/// Longest that a device may be kept from an honest host's question.
const LIMIT: Duration = Duration::from_secs(10);

fn run() -> Outcome {
    let site = Site::new();
    let options = SimOptions::tcp().scenario(SMALL);
    let device = Simulator::start(&site, &options);
    // From here on slot B is the confirmed one, and lies right behind slot A.
    let _ = site.deploy(&site.bundle(&Release::new("2.0.0")), &device.address()).code(0);
    let confirmed = flash::area(device.state(), "B", "app");
    device.kill();
    let device = Simulator::start(&site, &options);

    let Err(refusal) = send_too_much(&site, &device) else {
        return what_is_left(&site, device, &options, &confirmed);
    };
    assert!(matches!(refusal, Refusal::TooLarge { index: 1, .. }), "{refusal:?}");
    streams(&site, device, &confirmed)
}

/// Stages a configuration that is three blocks longer than its place, and sends it to its end.
fn send_too_much(site: &Site, device: &Simulator) -> Result<(), Refusal> {
    let config = Random::new(10).bytes(PLACE_BYTES + MANIFEST_BYTES + PLACE_BYTES);
    let release = Release { config, block_size: Some(4_096), ..Release::new("6.6.6") };
    let bundle = site.bundle(&release);
    let mut raw = Raw::tcp(&device.socket());
    raw.open_session();
    raw.stage(Bundle::open(bundle.as_ref()).unwrap().envelope())?;
    raw.ask(Request::OpenComponent { index: 1 }, |_| ())?;
    let end = Instant::now() + LIMIT;
    loop {
        for (number, bytes) in release.config.chunks(CHUNK_BYTES).enumerate() {
            raw.send_chunk(1, (number * CHUNK_BYTES) as u64, bytes);
        }
        let missing = raw.ask(Request::Missing { first_block: 0 }, |reply| match reply {
            Reply::Missing { missing, .. } => missing,
            _ => 1,
        })?;
        if missing == 0 || Instant::now() > end {
            return Ok(());
        }
    }
}

/// What a component that was let run on has done to the image that was confirmed.
fn what_is_left(site: &Site, device: Simulator, options: &SimOptions, confirmed: &[u8]) -> Outcome {
    let held = flash::area(device.state(), "B", "app");
    let lost = held.iter().zip(confirmed).filter(|(held, before)| held != before).count();
    device.kill();
    if lost == 0 {
        return Outcome::Refused(
            "a component that is too long was taken, and wrote nothing".to_owned(),
        );
    }
    let device = Simulator::start(site, options);
    let runs = site.running_version(&device.address());
    let runs = if runs.is_empty() { "the recovery image" } else { &runs };
    Outcome::Succeeded(format!(
        "a configuration of 20480 bytes ran on behind its place of 8192: {lost} bytes of the confirmed 2.0.0 are \
         overwritten, and {runs} runs"
    ))
}

/// Streams without end, before an honest stage and in it.
fn streams(site: &Site, device: Simulator, confirmed: &[u8]) -> Outcome {
    let mut random = Random::new(seed("row_10_endless_data", 1010));
    let before_kib = device.resident_kib();
    let begun = Instant::now();
    let mut sent = 0;
    let next = site.bundle(&Release::new("3.0.0"));
    for is_staged in [false, true] {
        let mut raw = Raw::tcp(&device.socket());
        raw.open_session();
        if is_staged {
            stage_among_strangers(&mut raw, Bundle::open(next.as_ref()).unwrap().envelope());
        }
        for number in 0..400 {
            raw.send_chunk(0, number * CHUNK_BYTES as u64, &random.bytes(CHUNK_BYTES));
            raw.send_chunk(u8::MAX, u64::MAX, &random.bytes(CHUNK_BYTES));
            sent += 2;
        }
        for _ in 0..ROUNDS {
            sent += flood::round(&mut raw, &mut random);
        }
        // The longest frame that can be announced, and far more bytes of it than a device has memory.
        raw.send_bytes(&u32::MAX.to_le_bytes());
        for _ in 0..512 {
            raw.send_bytes(&[0x5a; 8 * 1024]);
        }
    }
    let status = site.status(&device.address());
    let took = begun.elapsed();
    let more_kib = device.resident_kib().saturating_sub(before_kib);
    let state = device.state().to_owned();
    let erases = device.stop()["flash"]["erases"].as_u64().unwrap();
    assert_eq!(status["device"]["version"], "2.0.0", "{status}");
    let is_whole = flash::area(&state, "B", "app") == confirmed;
    if !is_whole || erases > MOST_ERASES || more_kib > MORE_KIB || took > LIMIT {
        return Outcome::Succeeded(format!(
            "{erases} erases, {more_kib} KiB more memory, {took:?}, the confirmed image is whole: {is_whole}"
        ));
    }
    Outcome::Refused(format!(
        "too long by 12288 bytes: refused before the first erase; {sent} frames of every kind and 8 MiB of one that never \
         ends: {erases} erases, none outside the spare slot, {more_kib} KiB more memory, 2.0.0 answers"
    ))
}

/// Stages a manifest, up to the first component. What the flood before has left behind may still take the session over.
fn stage_among_strangers(raw: &mut Raw, envelope: &[u8]) {
    cli::wait_for("a stage", || {
        raw.open_session();
        raw.stage(envelope).ok()?;
        raw.ask(Request::OpenComponent { index: 0 }, |_| ()).ok()
    });
}
