//! Row 8: components of two releases under the manifest of one.

use firmware_protocol::digest::Digest;
use firmware_protocol::message::Request;
use firmware_protocol::planted::Defence;
use firmware_protocol::slot::{SlotId, SlotState};

use super::{Outcome, Row, Switch};
use crate::flash;
use crate::intruder::{Intruder, Shipment};
use crate::random::Random;
use crate::simulator::{SimOptions, Simulator};
use crate::site::{Release, Site};

/// The row.
pub const ROW: Row = Row {
    number: 8,
    name: "mix and match",
    attack: "every mixture of the four components of two releases, sent under a manifest that is rightly signed; a list of \
             blocks that would keep the old ones",
    defence: "one manifest names the digest of each component; the slot is staged when all of it reads back so, and is held \
              against them again at each start",
    switch: Switch::Defence(Defence::BlockDigests),
    run,
};

const AREAS: &str = "[device]\nareas = [{ name = \"app\", bytes = 65536 }, { name = \"config\", bytes = 16384 }, \
                     { name = \"map\", bytes = 16384 }, { name = \"model\", bytes = 16384 }]";
const COMPONENTS: usize = 4;
const BLOCK_BYTES: usize = 4096;

fn run() -> Outcome {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(AREAS));
    let intruder = Intruder::at(&device);
    let old = Shipment::of(&site, &release("1.0.0"));
    let new = Shipment::of(&site, &release("2.0.0"));
    intruder.install(&old).unwrap();

    let mixtures = 1..(1_usize << COMPONENTS) - 1;
    let tried = mixtures.len();
    for of_new in mixtures {
        let sent = mixed(&old, &new, of_new);
        let installed = intruder.install(&sent);
        if let Some(breach) = blend(&site, &device, &sent) {
            return Outcome::Succeeded(format!("mixture {of_new} of {tried} {breach}"));
        }
        let refusal = installed.expect_err("a mixture is not installed").to_string();
        assert!(refusal.contains("component"), "{refusal}");
    }
    if let Some(breach) = list_what_is_there(&intruder, &old, &new) {
        return Outcome::Succeeded(breach);
    }
    intruder.install(&new).unwrap();
    assert_eq!(site.running_version(&device.address()), "2.0.0");
    Outcome::Refused(format!(
        "none of {tried} mixtures was staged, nor what a list of blocks of the attacker's own would have kept; the whole of \
         2.0.0 is installed behind them"
    ))
}

fn release(version: &str) -> Release {
    let of = |name: &str| {
        let seed =
            version.bytes().chain(name.bytes()).fold(7, |seed, byte| seed * 31 + u64::from(byte));
        Random::new(seed).bytes(5_000)
    };
    let more = vec![("map", of("map")), ("model", of("model"))];
    Release { more, config: of("config"), ..Release::sized(version, 9_000) }
}

/// The new manifest above components of both: bit `n` says that component `n` is the new one.
fn mixed(old: &Shipment, new: &Shipment, of_new: usize) -> Shipment {
    let payloads = [0, 1].map(|slot| {
        let pick = |index: usize| if of_new >> index & 1 == 1 { new } else { old };
        (0..COMPONENTS).map(|index| pick(index).payloads[slot][index].clone()).collect()
    });
    Shipment { envelope: new.envelope.clone(), payloads }
}

/// Whether what was sent is staged or runs, by what the device says and by its flash.
fn blend(site: &Site, device: &Simulator, sent: &Shipment) -> Option<String> {
    let mut raw = Intruder::at(device).enter().unwrap();
    let status = raw.status();
    drop(raw);
    let holds = |slot: SlotId| {
        let app = flash::area(device.state(), &format!("{slot}"), "app");
        app.starts_with(&sent.payloads[slot as usize][0])
    };
    if site.running_version(&device.address()) == "2.0.0" {
        let slot = status.active.expect("a confirmed slot");
        assert!(holds(slot), "what was sent is what flash holds");
        return Some("runs as 2.0.0 and is confirmed, a component of 1.0.0 in it".to_owned());
    }
    let is_staged = |slot: &SlotId| matches!(status.slots.get(*slot), SlotState::Staged { .. });
    SlotId::ALL.iter().any(is_staged).then(|| "is staged".to_owned())
}

/// The spare slot holds the old application from the last mixture: says that those are the blocks to keep.
fn list_what_is_there(intruder: &Intruder, old: &Shipment, new: &Shipment) -> Option<String> {
    let mut raw = intruder.enter().unwrap();
    raw.stage(&new.envelope).unwrap();
    raw.ask(Request::OpenComponent { index: 0 }, |_| ()).unwrap();
    let mut takes = |shipment: &Shipment| {
        let lists = shipment.payloads.each_ref().map(|components| {
            let digests = components[0].chunks(BLOCK_BYTES).map(Digest::of);
            digests.flat_map(|digest| digest.0).collect::<Vec<u8>>()
        });
        let listed = lists.map(|digests| {
            raw.ask(Request::BlockList { first_block: 0, digests: &digests }, |_| ()).is_ok()
        });
        listed.contains(&true)
    };
    let is_kept = takes(old);
    assert!(is_kept || takes(new), "the signed list is taken");
    is_kept.then(|| "blocks of 1.0.0 are kept by a list that nobody signed".to_owned())
}
