//! A bundle from its inputs to its bytes and back, and every way the bytes can be wrong.

use std::cell::Cell;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use firmware_protocol::digest::Digest;
use firmware_protocol::root::RootRecord;
use firmware_protocol::slot::SlotId;
use firmware_protocol::trust::BodyType;

use super::*;
use crate::trust::{FileSigner, RootKeys, Signer, WriteError, first_root, seal, test_signer};

struct Bench {
    folder: tempfile::TempDir,
    release: FileSigner,
    root: RootRecord,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.bin"), [0xA5; 700]).unwrap();
        fs::write(folder.path().join("any.bin"), [0x5A; 513]).unwrap();
        fs::write(folder.path().join("plan.toml"), "a plan").unwrap();
        fs::write(folder.path().join("bundle.toml"), SPEC).unwrap();
        let release = test_signer(1);
        let keys = [release.public_key()];
        let keys = RootKeys { keys: &keys, threshold: 1 };
        let root = first_root(keys, keys, 0).unwrap();
        Self { folder, release, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn prepare(&self) -> Result<Prepared, CreateError> {
        let spec = Spec::read(&self.path("bundle.toml")).unwrap();
        prepare(&spec, Provenance::default(), &plan_digest)
    }

    fn create(&self, name: &str) -> PathBuf {
        let out = self.path(name);
        let note = Attachment { kind: 9, bytes: b"hi".to_vec() };
        self.prepare().unwrap().write(&[&self.release], &[note], &out, false).unwrap();
        out
    }

    /// True when the bytes at `path` pass every check there is.
    fn passes(&self, path: &Path) -> bool {
        Bundle::open(path)
            .is_ok_and(|bundle| bundle.check_problems(&self.root, &plan_digest).is_empty())
    }
}

fn plan_digest(text: &str, origin: &str) -> Result<[u8; 32], String> {
    let empty = || format!("{origin} is empty");
    (!text.is_empty()).then(|| Digest::of(text.as_bytes()).0).ok_or_else(empty)
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let bench = Bench::new();
    let (one, two) = (bench.create("1.nfb"), bench.create("2.nfb"));
    assert_eq!(fs::read(one).unwrap(), fs::read(two).unwrap());
}

#[test]
fn what_goes_in_comes_out_and_verifies() {
    let bench = Bench::new();
    let expected = bench.prepare().unwrap().digest();
    let path = bench.create("x.nfb");
    assert!(bench.passes(&path));
    let verified = Bundle::open(&path).unwrap().verify(&bench.root).unwrap();
    let bundle = verified.bundle();
    assert_eq!(bundle.digest(), expected);
    assert_eq!(bundle.plan_text().unwrap().as_deref(), Some("a plan"));
    assert_eq!(bundle.attachments(), [Attachment { kind: 9, bytes: b"hi".to_vec() }]);
    let (variant, _) = verified.manifest().variant_for(0, SlotId::B).unwrap();
    let index = bundle.payload_index(PayloadRole::Variant { component: 0, variant }).unwrap();
    let mut bytes = Vec::new();
    bundle.payload(index).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, [0x5A; 513]);
    let blocks: Vec<Digest> = bytes.chunks(512).map(Digest::of).collect();
    assert_eq!(bundle.block_digests(index).unwrap(), blocks);
    assert!(bundle.block_digests(0).is_err(), "the plan has no blocks");
    assert!(bundle.payload(3).is_err());
}

#[test]
fn what_is_attached_goes_behind_what_was_attached_before_and_changes_nothing_signed() {
    let bench = Bench::new();
    let (path, out) = (bench.create("x.nfb"), bench.path("y.nfb"));
    let bundle = Bundle::open(&path).unwrap();
    let more = Attachment { kind: 10, bytes: b"more".to_vec() };
    bundle.attach(more.clone(), &out, false).unwrap();
    assert!(bench.passes(&out));
    let attached = Bundle::open(&out).unwrap();
    assert_eq!(attached.attachments(), [Attachment { kind: 9, bytes: b"hi".to_vec() }, more]);
    assert_eq!(attached.digest(), bundle.digest());
    // Into the bundle's own file as well.
    let last = Attachment { kind: 11, bytes: Vec::new() };
    attached.attach(last.clone(), &out, true).unwrap();
    assert!(bench.passes(&out));
    assert_eq!(Bundle::open(&out).unwrap().attachments().last(), Some(&last));
}

#[test]
fn an_older_bundle_is_kept_unless_asked() {
    let bench = Bench::new();
    let out = bench.create("x.nfb");
    let write = |force| bench.prepare().unwrap().write(&[&bench.release], &[], &out, force);
    assert!(matches!(write(false), Err(CreateError::Write(WriteError::Exists { .. }))));
    write(true).unwrap();
}

#[test]
fn an_input_that_changes_between_the_passes_is_caught() {
    let bench = Bench::new();
    let prepared = bench.prepare().unwrap();
    fs::write(bench.path("any.bin"), [0x5B; 513]).unwrap();
    let out = bench.path("x.nfb");
    let error = prepared.write(&[&bench.release], &[], &out, false).unwrap_err();
    assert!(
        matches!(&error, CreateError::Changed { path } if path.ends_with("any.bin")),
        "{error}"
    );
    assert!(!out.exists());
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let bench = Bench::new();
    fs::write(bench.path("a.bin"), []).unwrap();
    assert!(matches!(bench.prepare(), Err(CreateError::Empty { .. })));
    fs::remove_file(bench.path("a.bin")).unwrap();
    assert!(matches!(bench.prepare(), Err(CreateError::Input { .. })));
}

#[test]
fn a_bundle_cut_anywhere_is_refused() {
    let bench = Bench::new();
    let path = bench.create("x.nfb");
    let bytes = fs::read(&path).unwrap();
    for cut in 0..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        assert!(Bundle::open(&path).is_err(), "cut at byte {cut} of {}", bytes.len());
    }
    fs::write(&path, [&bytes[..], &[0]].concat()).unwrap();
    assert!(Bundle::open(&path).is_err(), "a byte behind the end");
}

/// Only attachments may change unseen: nothing of them is signed.
#[test]
fn a_flipped_bit_never_verifies() {
    let bench = Bench::new();
    let path = bench.create("x.nfb");
    let bytes = fs::read(&path).unwrap();
    let attachment_at = bytes.len() - b"hi".len() - 6;
    let unsigned =
        |at: usize| (attachment_at..attachment_at + 2).contains(&at) || at >= bytes.len() - 2;
    let passed = Cell::new(0);
    for at in 0..bytes.len() {
        for bit in [0, 3, 7] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&path, &flipped).unwrap();
            if bench.passes(&path) {
                assert!(unsigned(at), "bit {bit} of byte {at} is not covered");
                passed.set(passed.get() + 1);
            }
        }
    }
    // One flip makes a certificate of its type, and it is none.
    assert_eq!(passed.get(), 3 * (2 + 2) - 1);
}

#[test]
fn lengths_that_lie_are_refused_without_being_believed() {
    let bench = Bench::new();
    let path = bench.create("x.nfb");
    let bytes = fs::read(&path).unwrap();
    for (at, number) in [(12, u32::MAX), (12, 4097), (12, 0), (16 + 17, u32::MAX)] {
        let mut wrong = bytes.clone();
        wrong[at..at + 4].copy_from_slice(&number.to_le_bytes());
        fs::write(&path, &wrong).unwrap();
        assert!(Bundle::open(&path).is_err(), "{number} at byte {at}");
    }
}

#[test]
fn payload_lengths_beyond_the_file_are_refused() {
    let bench = Bench::new();
    let mut manifest = super::manifest::tests::example();
    for stored_length in [5000, MAX_PLAN_BYTES + 1, u64::MAX] {
        if let Some(plan) = &mut manifest.plan {
            plan.payload.stored_length = stored_length;
        }
        let body = manifest.encode().unwrap();
        let path = bench.write_raw(&seal(BodyType::Manifest, &body, &[&bench.release]).unwrap());
        assert!(matches!(Bundle::open(&path), Err(BundleError::Format { .. })), "{stored_length}");
    }
}

#[test]
fn other_signers_no_signers_and_other_documents_are_refused() {
    let bench = Bench::new();
    let stranger = test_signer(2);
    let out = bench.path("stranger.nfb");
    bench.prepare().unwrap().write(&[&stranger], &[], &out, false).unwrap();
    let error = Bundle::open(&out).unwrap().verify(&bench.root).unwrap_err();
    assert!(matches!(error, BundleError::Trust { .. }), "{error}");

    // One signature fewer: the count becomes zero and the signature goes.
    let mut bytes = fs::read(&out).unwrap();
    let count_at = 16 + 21 + bench.prepare().unwrap().body_bytes();
    bytes[count_at] = 0;
    bytes.drain(count_at + 1..count_at + 73);
    let envelope_bytes = u32::try_from(count_at + 1 - 16).unwrap();
    bytes[12..16].copy_from_slice(&envelope_bytes.to_le_bytes());
    fs::write(&out, &bytes).unwrap();
    let error = Bundle::open(&out).unwrap().verify(&bench.root).unwrap_err();
    assert!(matches!(error, BundleError::Trust { .. }), "{error}");

    let root = crate::trust::sign_root(&bench.root, &[&bench.release]).unwrap();
    let error = Bundle::open(&bench.write_raw(&root)).unwrap_err();
    assert!(matches!(error, BundleError::Envelope { .. }), "{error}");
}

#[test]
fn what_cannot_be_read_at_any_offset_is_no_bundle() {
    let bench = Bench::new();
    let error = Bundle::open(bench.folder.path()).unwrap_err();
    assert!(matches!(error, BundleError::NotAFile { .. }), "{error}");
}

#[test]
fn every_damaged_payload_is_reported() {
    let bench = Bench::new();
    let path = bench.create("x.nfb");
    let mut bytes = fs::read(&path).unwrap();
    let payloads_at = bytes.len() - (4 + 6 + 2) - 513 - 700 - 6;
    for at in [payloads_at, payloads_at + 6, payloads_at + 6 + 700] {
        bytes[at] ^= 1;
    }
    fs::write(&path, &bytes).unwrap();
    let problems = Bundle::open(&path).unwrap().check_problems(&bench.root, &plan_digest);
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for what in ["the plan", "app for slot A", "app for slot any"] {
        assert!(text.iter().any(|line| line.starts_with(what)), "{what} in {text:#?}");
    }
}

#[test]
fn a_plan_with_another_meaning_is_reported() {
    let bench = Bench::new();
    let bundle = Bundle::open(&bench.create("x.nfb")).unwrap();
    let other = |_: &str, _: &str| Ok([0; 32]);
    let none = |_: &str, _: &str| Err("no stages".to_owned());
    assert!(matches!(bundle.check_problems(&bench.root, &other)[..], [Problem::Digest { .. }]));
    assert!(matches!(bundle.check_problems(&bench.root, &none)[..], [Problem::Plan { .. }]));
}

impl Bench {
    fn write_raw(&self, envelope: &[u8]) -> PathBuf {
        let path = self.path("raw.nfb");
        let header = container::encode_header(u32::try_from(envelope.len()).unwrap());
        fs::write(&path, [&header[..], envelope, &[0; 4]].concat()).unwrap();
        path
    }
}

impl Prepared {
    fn body_bytes(&self) -> usize {
        self.manifest().encode().unwrap().len()
    }
}

const SPEC: &str = r#"
    product = "rover-nav"
    version = "1.0.0"
    plan = "plan.toml"
    hardware = [{ id = "nav", first_revision = 1, last_revision = 2 }]
    [[component]]
    name = "app"
    kind = "image"
    [[component.variant]]
    slot = "A"
    file = "a.bin"
    [[component.variant]]
    slot = "any"
    file = "any.bin"
    block_size = 512
"#;
