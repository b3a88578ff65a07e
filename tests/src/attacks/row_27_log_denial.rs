//! Row 27: a stranger who asks for everything, ten thousand times, to wear out what remembers it.

use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::LinkSecret;
use noflake::bundle::Bundle;

use super::{Outcome, Row, Switch, flood};
use crate::field::FieldOffice;
use crate::flash;
use crate::random::{Random, seed};
use crate::raw::Raw;
use crate::simulator::{SimOptions, Simulator};

/// The row.
pub const ROW: Row = Row {
    number: 27,
    name: "log and telemetry denial",
    attack: "more than ten thousand requests of every kind, handshakes and garbage, by hosts without a delegation, on plain \
             and sealed links",
    defence: "what wears flash or is recorded is asked for in a session, by a host with a delegation for it",
    switch: Switch::Defence(Defence::Delegations),
    run,
};

/// Frames that strangers send at least.
const FRAMES: u64 = 10_000;
/// Rounds of everything on one connection.
const ROUNDS_A_TURN: usize = 10;
/// What a process may take more meanwhile; its allocator keeps some.
const MORE_KIB: u64 = 8 * 1024;

fn run() -> Outcome {
    let mut random = Random::new(seed("row_27_log_denial", 2727));
    let works = FieldOffice::new();
    let bundles = ["2.0.0", "3.0.0"].map(|version| works.office.bundle(version, "r"));
    let _ = works.delegate("t", &[]).code(0);
    let options = SimOptions::tcp().factory();
    works.enrolled(&options).kill();
    // From here on every erase that is counted is the strangers'.
    let device = Simulator::start(&works.office.site, &options);
    let (before, before_kib) = (flash::whole(device.state()), device.resident_kib());
    let released = bundles
        .each_ref()
        .map(|bundle| Bundle::open(&works.office.site.path(bundle)).unwrap().envelope().to_vec());

    let (mut sent, mut turn, mut staged) = (0, 0, 0);
    let mut refusals = Vec::new();
    while sent < FRAMES {
        turn += 1;
        let mut raw = Raw::tcp(&device.socket());
        if turn % 2 == 1 {
            let actions = raw.seal(&LinkSecret::new([66; 32]), &[]);
            assert!(actions.is_ok(), "{actions:?}");
        }
        raw.open_session();
        // Of two in turn: each would cost the device what the other one has cost it before.
        match raw.stage(&released[turn % 2]) {
            Ok(()) => staged += 1,
            Err(refusal) => refusals.push(refusal),
        }
        for number in 0..ROUNDS_A_TURN {
            raw.send_chunk(0, (number * 1_024) as u64, &[0x5a; 1_024]);
            sent += 1 + flood::round(&mut raw, &mut random);
        }
        // Answered behind all of that: what this connection has said takes no session over from the next one.
        let _ = raw.status();
    }
    let runs = works.office.site.running_version(&device.address());
    let more_kib = device.resident_kib().saturating_sub(before_kib);
    let has_changed = flash::whole(device.state()) != before;
    let erases = device.stop()["flash"]["erases"].as_u64().unwrap();
    if staged > 0 || has_changed || erases > 0 {
        return Outcome::Succeeded(format!(
            "strangers without a delegation staged {staged} times and caused {erases} erases with {sent} frames"
        ));
    }
    assert!(refusals.iter().all(|it| *it == Refusal::NotAuthenticated), "{refusals:?}");
    assert!(more_kib <= MORE_KIB, "{more_kib} KiB more memory");
    let device = Simulator::start(&works.office.site, &options);
    let _ = works.deploy(&bundles[0], &device.address(), "field.nfr", "t").code(0);
    Outcome::Refused(format!(
        "{sent} frames of strangers, {} tries to stage a released bundle: no erase, no record entry, {more_kib} KiB more \
         memory, {runs} ran on; the honest deploy behind them committed",
        refusals.len()
    ))
}
