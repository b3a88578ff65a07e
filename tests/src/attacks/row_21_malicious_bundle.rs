//! Row 21: files that say they are bundles, made to confuse whoever reads them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use firmware_protocol::manifest::{Manifest, decode_manifest};
use firmware_protocol::planted::Defence;
use firmware_protocol::trust::BodyType;
use noflake::bundle::Bundle;
use noflake::trust::seal;

use super::{Outcome, Row, Switch};
use crate::cli;
use crate::site::{RELEASE_KEY, Release, Site};

/// The row.
pub const ROW: Row = Row {
    number: 21,
    name: "malicious bundle",
    attack: "bundles with lengths that lie, overlap, overflow or go past 4 GiB, names that are paths, a second bundle behind the \
             first, and files that are none",
    defence: "no archive: payloads lie in the signed order and lengths, every length is bounded before it is used, and the file \
              ends where they do",
    switch: Switch::Defence(Defence::BundleLayout),
    run,
};

/// Address space that a reader may take, in KiB: a length that is believed asks for more.
const MOST_KIB: u32 = 600 * 1024;

// The words of each reason to refuse one.
const MAGIC: &str = "it does not start with NFBUNDLE";
const BEHIND: &str = "bytes are left behind its end";
const CUT: &str = "the envelope is cut short";
const LONGER: &str = "bytes are left behind the envelope";
const TOO_LONG: &str = "bytes, the limit is 4096";
const ENDS: &str = "it ends inside its ";
const TOO_MANY: &str = "attachments, the limit is 16";
const TOO_LARGE: &str = "bytes, the limit is 65536";
const BLOCKS: &str = "a block size within bounds";
const RAW: &str = "a raw payload has its variant's length";

/// What is tried.
#[derive(Clone)]
struct Attempt {
    what: String,
    bytes: Vec<u8>,
    /// Why it has to be refused: the words for it.
    says: &'static str,
}

fn attempt(what: impl Into<String>, bytes: Vec<u8>, says: &'static str) -> Attempt {
    Attempt { what: what.into(), bytes, says }
}

fn run() -> Outcome {
    let site = Site::new();
    let good = fs::read(site.path(&site.bundle(&Release::new("1.1.0")))).unwrap();
    let other = fs::read(site.path(&site.bundle(&Release::new("6.6.6")))).unwrap();
    assert_eq!(verified(&site, &good).0, Some(0), "the bundle that all of them are made from");
    assert_eq!(
        verified(&site, &resigned(&good, |_| ())).0,
        Some(0),
        "signed again, nothing changed"
    );
    let attempts = [around(&good, &other), signed(&good), names(&good)].concat();
    let mut taken = Vec::new();
    let mut elsewise = Vec::new();
    for Attempt { what, bytes, says } in &attempts {
        let (code, said) = verified(&site, bytes);
        match code {
            Some(0) => taken.push(what.as_str()),
            Some(2) if said.contains(says) => {}
            Some(2) => elsewise.push(format!("{what}: not {says:?} in {said}")),
            other => panic!("{what} ends with {other:?}: {said}"),
        }
    }
    let strange = strange_files(&site);
    let left: Vec<_> = fs::read_dir(site.folder().parent().unwrap()).unwrap().flatten().collect();
    assert!(left.iter().all(|file| file.file_name() != "noflake-was-here"));
    if let Some(first) = taken.first() {
        return Outcome::Succeeded(format!(
            "{} of {} verify as good: {first}",
            taken.len(),
            attempts.len()
        ));
    }
    assert!(elsewise.is_empty(), "refused for another reason: {elsewise:#?}");
    Outcome::Refused(format!(
        "{} made-up bundles, each for its own reason, and {strange} files that are none refused (exit 2) within {} MiB of address space",
        attempts.len(),
        MOST_KIB / 1024
    ))
}

/// How `bundle verify` ends on these bytes, within its bounds.
fn verified(site: &Site, bytes: &[u8]) -> (Option<i32>, String) {
    fs::write(site.path("made.nfb"), bytes).unwrap();
    verified_file(site, &site.path("made.nfb"))
}

fn verified_file(site: &Site, file: &Path) -> (Option<i32>, String) {
    let noflake = cli::noflake();
    let mut bounded = Command::new("sh");
    let script = format!("ulimit -v {MOST_KIB}; exec \"$0\" bundle verify \"$1\"");
    bounded.args(["-c", &script]).arg(noflake.get_program()).arg(file);
    let environment = noflake.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let ended = bounded.envs(environment).current_dir(site.folder()).output().unwrap();
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

/// Header, lengths and trailer changed; nobody's signature is touched.
fn around(good: &[u8], other: &[u8]) -> Vec<Attempt> {
    let envelope_bytes = u32::from_le_bytes(good[12..16].try_into().unwrap());
    let with = |at: usize, bytes: &[u8]| {
        let mut made = good.to_vec();
        made[at..at + bytes.len()].copy_from_slice(bytes);
        made
    };
    let mut attempts = vec![
        attempt("no magic", with(0, b"X"), MAGIC),
        attempt("a later format", with(8, &[2, 0]), "its format version is 2"),
        attempt("a reserved bit", with(10, &[1, 0]), "its reserved header field is 1"),
        attempt("a second bundle behind the first", [good, other].concat(), BEHIND),
        attempt("a second bundle in front", [other, good].concat()[4..].to_vec(), MAGIC),
        attempt("one byte behind its end", [good, &[0]].concat(), BEHIND),
        attempt("16 MiB behind its end", [good, &vec![0; 16 << 20]].concat(), BEHIND),
    ];
    for (length, says) in [
        (0, CUT),
        (1, CUT),
        (envelope_bytes - 1, CUT),
        (envelope_bytes + 1, LONGER),
        (4096, LONGER),
        (4097, TOO_LONG),
        (u32::MAX, TOO_LONG),
    ] {
        let made = with(12, &length.to_le_bytes());
        attempts.push(attempt(format!("an envelope of {length} bytes"), made, says));
    }
    let trailer = good.len() - 4;
    for (count, says) in [(1, ENDS), (17, TOO_MANY), (u32::MAX, TOO_MANY)] {
        let made = with(trailer, &count.to_le_bytes());
        attempts.push(attempt(format!("{count} attachments, none there"), made, says));
    }
    for (length, says) in
        [(1_u32, ENDS), (64 * 1024 + 1, TOO_LARGE), (1 << 31, TOO_LARGE), (u32::MAX, TOO_LARGE)]
    {
        let attachment = [&[1, 0, 0, 0, 9, 0], &length.to_le_bytes()[..]].concat();
        let made = [&good[..trailer], &attachment].concat();
        let what = format!("an attachment of {length} bytes, none there");
        attempts.push(attempt(what, made, says));
    }
    let ends = (0..64).chain((64..good.len()).step_by(good.len() / 32)).chain([good.len() - 1]);
    let cut = |end| attempt(format!("its first {end} bytes"), good[..end].to_vec(), ENDS);
    attempts.extend(ends.map(cut));
    attempts
}

/// Manifests that the release keys have signed, and that lie about lengths.
fn signed(good: &[u8]) -> Vec<Attempt> {
    let stored = |what: &str, says, change: fn(&mut Manifest<'_>)| {
        attempt(what, resigned(good, change), says)
    };
    vec![
        stored("a payload of 4 GiB", "it ends inside its payloads", |it| lengths(it, 1 << 32)),
        stored("a payload of 2^63 bytes", BLOCKS, |it| lengths(it, 1 << 63)),
        stored("payloads that add up to more than 2^64", BLOCKS, |it| lengths(it, u64::MAX)),
        stored("a payload without bytes", "a variant has bytes", |it| lengths(it, 0)),
        stored("a payload that is stored longer than it is", RAW, |it| {
            it.components[0].variants[0].payload.stored_length += 1;
        }),
        stored("a payload that is stored shorter than it is", RAW, |it| {
            it.components[0].variants[0].payload.stored_length -= 1;
        }),
        stored("a payload one byte longer", "it ends inside its trailer", |it| {
            let variant = &mut it.components[0].variants[0];
            (variant.length, variant.payload.stored_length) =
                (variant.length + 1, variant.payload.stored_length + 1);
        }),
        stored("a plan of 2^40 bytes", "its plan has 1099511627776 bytes, the limit is", |it| {
            it.plan.as_mut().unwrap().payload.stored_length = 1 << 40;
        }),
        stored("blocks of no bytes", BLOCKS, |it| it.components[0].variants[0].block_size = 0),
        stored("more blocks than there may be", BLOCKS, |it| {
            it.components[0].variants[0].length = 1 << 40;
        }),
    ]
}

fn lengths(manifest: &mut Manifest<'_>, length: u64) {
    for variant in manifest.components.iter_mut().flat_map(|it| it.variants.iter_mut()) {
        (variant.length, variant.block_size) = (length, 1 << 20);
        variant.payload.stored_length = length;
    }
}

/// Names of components that would be paths if they were used as such.
fn names(good: &[u8]) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for name in [
        "../../noflake-was-here",
        "/tmp/noflake-was-here",
        "..",
        "a/b",
        "a\\b",
        "a\0b",
        "con:",
        "app\u{202e}",
    ] {
        let made = resigned_named(good, &|manifest| manifest.components[0].name = name);
        let says = "component names are 1 to 16 letters, digits or hyphens";
        attempts.push(attempt(format!("a component {name:?}"), made, says));
    }
    let twice = |manifest: &mut Manifest<'static>| manifest.components[0].name = "config";
    let made = resigned_named(good, &twice);
    attempts.push(attempt("two components of one name", made, "component names are unique"));
    attempts
}

fn resigned(good: &[u8], change: fn(&mut Manifest<'_>)) -> Vec<u8> {
    resigned_named(good, &|manifest| change(manifest))
}

/// The bundle with its manifest changed and rightly signed; its payloads stay.
fn resigned_named(good: &[u8], change: &dyn Fn(&mut Manifest<'static>)) -> Vec<u8> {
    let envelope_bytes =
        usize::try_from(u32::from_le_bytes(good[12..16].try_into().unwrap())).unwrap();
    let (envelope, payloads) = good[16..].split_at(envelope_bytes);
    let body = &envelope[21..][..body_bytes(envelope)];
    let body: &'static [u8] = Box::leak(body.to_vec().into_boxed_slice());
    let mut manifest = decode_manifest(body).unwrap();
    change(&mut manifest);
    let body = postcard::to_stdvec(&manifest).unwrap();
    let envelope = seal(BodyType::Manifest, &body, &[&RELEASE_KEY]).unwrap();
    let length = u32::try_from(envelope.len()).unwrap().to_le_bytes();
    [&good[..12], &length, &envelope, payloads].concat()
}

fn body_bytes(envelope: &[u8]) -> usize {
    usize::try_from(u32::from_le_bytes(envelope[17..21].try_into().unwrap())).unwrap()
}

/// Files that no bundle can be read from at any offset, or that change what is read; gives their number.
fn strange_files(site: &Site) -> usize {
    let folder = site.path("folder.nfb");
    fs::create_dir(&folder).unwrap();
    let fifo = site.path("fifo.nfb");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let dangling = site.path("dangling.nfb");
    symlink(site.path("nowhere"), &dangling).unwrap();
    let circle = site.path("circle.nfb");
    symlink(&circle, &circle).unwrap();
    let files = [folder, fifo, dangling, circle, "/dev/zero".into(), "/proc/self/mem".into()];
    for file in &files {
        let (code, said) = verified_file(site, file);
        assert!(matches!(code, Some(2 | 3)), "{} ends with {code:?}: {said}", file.display());
        assert!(Bundle::open(file).is_err());
    }
    files.len()
}
