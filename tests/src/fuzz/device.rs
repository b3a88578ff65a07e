//! A device that hears any bytes, and one that starts on any flash.

use std::sync::OnceLock;

use firmware_protocol::root::{LifeCycle, RootRecord};
use hw_sim::{DeviceConfig, SERIAL_PORT, SimDevice, TCP_PORTS};
use noflake::trust::{RootKeys, Signer as _, first_root, sign_root};

use crate::site::{RELEASE_KEY, ROOT_KEY};

/// Behind this the device has heard everything.
const LONG_US: u64 = 3_000_000;
/// Most that a device says about as much as a fuzzer sends it.
const MOST_SAID_BYTES: usize = 4 << 20;

/// A root record of the field: nothing below a delegation changes such a device.
fn field_root() -> &'static [u8] {
    static ROOT: OnceLock<Vec<u8>> = OnceLock::new();
    ROOT.get_or_init(|| {
        let (root, release) = ([ROOT_KEY.public_key()], [RELEASE_KEY.public_key()]);
        let first = first_root(
            RootKeys { keys: &root, threshold: 1 },
            RootKeys { keys: &release, threshold: 1 },
            1_700_000_000,
        )
        .expect("keys that are sound");
        let operate = first.root.clone();
        let record = RootRecord { operate, life_cycle: LifeCycle::Field, ..first };
        sign_root(&record, &[&ROOT_KEY]).expect("signed by its own key")
    })
}

/// A device of the field that nobody has touched.
pub(super) fn enrolled() -> SimDevice {
    let root = Some(field_root().to_vec());
    let config = DeviceConfig { root, seed: 7, ..DeviceConfig::default() };
    let mut device = SimDevice::new(config).expect("the default device");
    device.advance(1_000_000);
    device
}

/// Whatever is said to a field device on any of its ports: it goes on, says no more than it is asked, and its flash is as
/// before (promise P8).
pub(super) fn link(bytes: &[u8]) -> bool {
    let mut device = enrolled();
    let before = device.flash().lock().contents().to_vec();
    let mut now_us = 1_000_000;
    let mut said = 0;
    // Each piece begins with its port and its length. One without bytes is a connection that ends, and the next that begins.
    let mut rest = bytes;
    while let [port, length, more @ ..] = rest {
        let (piece, behind) = more.split_at(usize::from(*length).min(more.len()));
        let port = [SERIAL_PORT, TCP_PORTS[0], TCP_PORTS[1]][usize::from(*port % 3)];
        if *length == 0 {
            device.connect(port);
        } else {
            device.receive(port, piece, now_us);
        }
        now_us += 20_000;
        device.advance(now_us);
        said += device.transmit(port).len();
        rest = behind;
    }
    now_us += LONG_US;
    device.advance(now_us);
    assert!(device.running().is_some(), "the device runs on");
    assert!(said <= MOST_SAID_BYTES, "{said} bytes said");
    assert!(device.flash().lock().contents() == before, "the flash has changed");
    device.link_stats().iter().any(|stats| stats.frames_in > 0)
}

/// Whatever flash holds, the boot stage ends, and what it starts answers or is the recovery image.
pub(super) fn flash(bytes: &[u8]) -> bool {
    let mut device = enrolled();
    let layout = device.layout().clone();
    // Each piece begins with its place and its length.
    let mut places = layout.record().to_vec();
    places.extend(layout.trust());
    places.extend([layout.slots().a.manifest, layout.slots().b.manifest]);
    let mut rest = bytes;
    let mut has_written = false;
    while let [place, low, high, length, more @ ..] = rest {
        let (piece, behind) = more.split_at(usize::from(*length).min(more.len()));
        let place = places[usize::from(*place) % places.len()];
        let at = u32::from(u16::from_le_bytes([*low, *high])) % place.len_bytes;
        let room = usize::try_from(place.len_bytes - at).unwrap_or(usize::MAX);
        let piece = &piece[..piece.len().min(room)];
        let written = device.flash().lock().overwrite(place.start + at, piece);
        has_written |= written.is_ok() && !piece.is_empty();
        rest = behind;
    }
    device.cut_power(10);
    device.advance(5_000_000);
    assert!(device.running().is_some(), "something was started");
    has_written
}
