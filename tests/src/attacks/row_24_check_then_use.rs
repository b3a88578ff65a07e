//! Row 24: what was verified is another thing by the time it is used.

use std::fs;

use firmware_protocol::planted::Mistake;

use super::{Outcome, Row, Switch};
use crate::cli::wait_for;
use crate::flash::{self, FlashLayout};
use crate::simulator::{SimOptions, Simulator, payload_bytes};
use crate::site::{Release, STRANGER_KEY, Site, plan_with};

/// The row.
pub const ROW: Row = Row {
    number: 24,
    name: "check, then use",
    attack: "the bundle's file replaced, and changed in place, while it is being deployed; the confirmed slot changed while the \
             device is off",
    defence: "a bundle is opened once and read through that handle, blocks are held against the signed digests on arrival and read \
              back, and each start hashes the slot again",
    switch: Switch::Mistake(Mistake::NoRehash),
    run,
};

fn run() -> Outcome {
    let site = Site::new();
    let replaced = replaced(&site);
    let changed = changed(&site);
    let slot = slot_changed(&site);
    match [replaced, changed, slot].into_iter().collect::<Result<Vec<String>, String>>() {
        Ok(told) => Outcome::Refused(told.join("; ")),
        Err(breach) => Outcome::Succeeded(breach),
    }
}

/// A device on a slow line, and a bundle that takes a while on it.
fn slow(site: &Site, state: &str) -> (Simulator, String) {
    let options = SimOptions { baud: 230_400, ..SimOptions::pty().state(state) };
    let plan = plan_with("id = \"quick\"\nkind = \"command\"\nargv = [\"true\"]");
    let bundle = site.bundle(&Release::sized("1.1.0", 60_000).plan(&plan));
    (Simulator::start(site, &options), bundle)
}

/// Another bundle takes the file's name in the middle of its transfer.
fn replaced(site: &Site) -> Result<String, String> {
    let (device, bundle) = slow(site, "replaced");
    let other = site.bundle(&Release::sized("6.6.6", 60_000).signed_by(STRANGER_KEY));
    let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("a part of the bundle", || (payload_bytes(device.state()) > 8_000).then_some(()));
    fs::rename(&other, &bundle).unwrap();
    let _ = host.wait().code(0);
    match site.running_version(&device.address()).as_str() {
        "1.1.0" => Ok("a file that is replaced is deployed as it was opened".to_owned()),
        runs => Err(format!("{runs} runs, which took the file's name")),
    }
}

/// A byte of the image is changed in the file, in the part that is still to be read.
fn changed(site: &Site) -> Result<String, String> {
    let (device, bundle) = slow(site, "changed-file");
    let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("a part of the bundle", || (payload_bytes(device.state()) > 8_000).then_some(()));
    let mut bytes = fs::read(&bundle).unwrap();
    let at = bytes.len() - 2_000;
    bytes[at] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    let ended = host.wait();
    match site.running_version(&device.address()).as_str() {
        "1.0.0" => {
            assert_ne!(ended.code, Some(0), "{}", ended.stderr);
            Ok(format!("one that is changed ends with {}", ended.code.unwrap_or(-1)))
        }
        // Read before it was changed, it is what was signed.
        runs if ended.code == Some(0) => Ok(format!("one that is changed too late gives {runs}")),
        runs => Err(format!("{runs} runs, and the deploy ended with {:?}", ended.code)),
    }
}

/// A byte of the confirmed image is changed in flash between two starts.
fn slot_changed(site: &Site) -> Result<String, String> {
    let device = Simulator::start(site, &SimOptions::tcp().state("slot"));
    let bundle = site.bundle(&Release::new("1.2.0"));
    let _ = site.deploy(&bundle, &device.address()).code(0);
    let state = device.state().to_path_buf();
    let _ = device.stop();
    let (start, _) = FlashLayout::read(&state).area("B", "app");
    let mut bytes = flash::whole(&state);
    bytes[start + 5_000] ^= 1;
    fs::write(state.join("flash.bin"), bytes).unwrap();
    let device = Simulator::start(site, &SimOptions::tcp().state("slot"));
    match site.running_version(&device.address()).as_str() {
        "1.2.0" => Err("a slot that was changed while the device was off runs".to_owned()),
        runs => Ok(format!("a slot that was changed gives way to {runs}")),
    }
}
