//! `noflake demo`: all its stories hold, and each mistake that is planted breaks the story that should
//! notice it.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use firmware_protocol::message::MAX_PIECE_BYTES;
use firmware_protocol::trust::BodyType;
use integration::flash;
use integration::random::Random;
use integration::raw::Raw;
use integration::simulator::{SimOptions, Simulator};
use integration::site::{STRANGER_KEY, Site};
use noflake::trust::seal;

#[test]
fn every_story_holds() {
    let site = Site::new();
    let ended = site.noflake(&["demo", "--folder", "demo"]).code(0);
    let _ = ended.says("All 5 stories hold").says("Evidence: ").says_not("BROKEN");
}

fn breaks(mistake: &str, story: &str) {
    let site = Site::new();
    let demo = ["--format", "json", "demo", "--folder", "demo", "--plant", mistake];
    let lines = site.noflake(&demo).code(1).json_lines();
    let last = lines.last().unwrap();
    assert_eq!(last["ok"], false);
    let broken = last["broken"].as_array().unwrap();
    assert!(broken.contains(&story.into()), "{mistake} must break {story}: {last}");
}

#[test]
fn a_device_that_accepts_unsigned_bundles_is_noticed() {
    breaks("accept-unsigned", "unsigned");
}

#[test]
fn a_plan_that_ignores_its_check_is_noticed() {
    breaks("ignore-check", "rollback");
}

#[test]
fn a_device_that_ignores_its_lease_is_noticed() {
    breaks("ignore-lease", "lease");
}

#[test]
fn a_device_that_lies_about_its_digests_is_noticed() {
    breaks("lie-digest", "drift");
}

/// The mistake is about signatures alone: what lies in flash afterwards is the document as it was offered, however many pieces
/// it came in and whatever was offered before.
#[test]
fn a_device_that_accepts_unsigned_bundles_stores_the_document_that_it_was_offered() {
    let site = Site::new();
    let scenario = "[device]\nrogue = \"accepts_unsigned\"";
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(scenario));
    let mut random = Random::new(1);
    let mut untrusted = |pieces| {
        let body = random.bytes(pieces * MAX_PIECE_BYTES);
        seal(BodyType::Manifest, &body, &[&STRANGER_KEY]).unwrap()
    };
    let (first, second) = (untrusted(3), untrusted(2));
    let mut raw = Raw::tcp(&device.socket());
    raw.open_session();
    raw.offer(&first).unwrap();
    assert_eq!(raw.stage(&second), Ok(()), "it takes what only a stranger has signed");
    let flash = flash::whole(device.state());
    let holds = |bytes: &[u8]| flash.windows(bytes.len()).any(|window| window == bytes);
    assert!(holds(&second), "the document lies in flash as it was offered");
    assert!(!holds(&first[..MAX_PIECE_BYTES]), "and nothing of the one before");
}
