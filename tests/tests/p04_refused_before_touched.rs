//! P4, refused before touched: signature, product, hardware, floor and sizes are judged by the device
//! itself before its first erase, whatever a host leaves out. The client here skips every check.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use firmware_protocol::refusal::Refusal;
use integration::flash;
use integration::raw::Raw;
use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, STRANGER_KEY, Site};
use noflake::bundle::Bundle;

/// Spoils a signature: the last byte of the envelope belongs to it.
fn spoilt(mut envelope: Vec<u8>) -> Vec<u8> {
    if let Some(last) = envelope.last_mut() {
        *last ^= 1;
    }
    envelope
}

/// An envelope that carries no signature: their count, behind the body, is zero, and nothing follows.
fn unsigned(mut envelope: Vec<u8>) -> Vec<u8> {
    const ONE_SIGNATURE_BYTES: usize = 8 + 64;
    envelope.truncate(envelope.len() - ONE_SIGNATURE_BYTES);
    *envelope.last_mut().unwrap() = 0;
    envelope
}

fn envelope(site: &Site, release: &Release) -> Vec<u8> {
    Bundle::open(site.bundle(release).as_ref()).unwrap().envelope().to_vec()
}

/// Tells whether a refusal is the one that is due.
type Expected = fn(&Refusal) -> bool;

#[test]
fn what_a_device_must_not_take_is_refused_with_its_reason_and_no_flash_operation() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::pty());
    let new = |version| Release::new(version);
    let other = Release { product: "other".to_owned(), ..new("1.1.1") };
    let hardware = Release { hardware: "nav-2".to_owned(), ..new("1.1.2") };
    let young = Release { from_version: Some("1.0.5".to_owned()), ..new("1.1.3") };
    let large = Release::sized("1.1.4", (1 << 20) + 1);
    let good = envelope(&site, &new("1.1.0"));
    let cases: [(&str, Vec<u8>, Expected); 10] = [
        ("unsigned", unsigned(good.clone()), |refusal| {
            matches!(refusal, Refusal::UntrustedSignature { valid: 0, .. } | Refusal::Malformed)
        }),
        ("a spoilt signature", spoilt(good.clone()), |refusal| {
            matches!(refusal, Refusal::UntrustedSignature { valid: 0, needed: 1 })
        }),
        ("a stranger's", envelope(&site, &new("1.1.5").signed_by(STRANGER_KEY)), |refusal| {
            matches!(refusal, Refusal::UntrustedSignature { valid: 0, needed: 1 })
        }),
        ("cut short", good[..good.len() - 9].to_vec(), |refusal| {
            matches!(refusal, Refusal::Malformed)
        }),
        ("another product's", envelope(&site, &other), |refusal| {
            matches!(refusal, Refusal::WrongProduct)
        }),
        ("another hardware's", envelope(&site, &hardware), |refusal| {
            matches!(refusal, Refusal::WrongHardware { revision: 2 })
        }),
        ("below the floor", envelope(&site, &new("1.1.6").security(0)), |refusal| {
            matches!(refusal, Refusal::BelowFloor { offered: 0, floor: 1 })
        }),
        ("not from this version", envelope(&site, &young), |refusal| {
            matches!(refusal, Refusal::TooOldToComeFrom)
        }),
        ("too large", envelope(&site, &large), |refusal| {
            matches!(refusal, Refusal::TooLarge { index: 0, .. })
        }),
        ("a root record", std::fs::read(site.root()).unwrap(), |refusal| {
            matches!(refusal, Refusal::Malformed | Refusal::UntrustedSignature { .. })
        }),
    ];
    raise_floor_to_one(&site, &device);
    let before = flash::whole(device.state());
    let mut raw = Raw::serial(&device.port());
    raw.open_session();
    for (what, envelope, is_expected) in cases {
        let refusal = raw.stage(&envelope).expect_err(what);
        assert!(is_expected(&refusal), "{what}: {refusal:?}");
        assert!(flash::whole(device.state()) == before, "{what}: the flash has changed");
    }
    let longer = raw.offer(&vec![0; 5000]).expect_err("longer than a device takes");
    assert!(matches!(longer, Refusal::DocumentTooLong { got: 5000, .. }), "{longer:?}");
    assert!(flash::whole(device.state()) == before);
}

/// A factory device begins at floor 0; the floor rises at confirm only.
fn raise_floor_to_one(site: &Site, device: &Simulator) {
    let _ = site.deploy(&site.bundle(&Release::new("1.0.1")), &device.address()).code(0);
    assert_eq!(site.status(&device.address())["accept_floor"], 1);
}
