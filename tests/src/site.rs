//! A working folder as `noflake init` leaves it, and bundles for it.
//!
//! The keys are fixed and their files are never written: scrypt would cost every test a second.
//! `walk_through.rs` goes the real way, with passphrases.

use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer as _, SigningKey};
use firmware_protocol::manifest::{ComponentKind, VariantSlot};
use firmware_protocol::root::{PublicKey, RootRecord};
use firmware_protocol::slot::SlotId;
use noflake::bundle::{ComponentSpec, HardwareSpec, Provenance, Spec, VariantSpec, prepare};
use noflake::plan::Plan;
use noflake::trust::{Signer, SignerError};
use tempfile::TempDir;

use crate::cli::{self, Ended, Running};
use crate::random::Random;
use crate::trust::{MADE_S, first_record, role, signed_root};

/// Checks that any device passes at once, and a lease short enough to be waited for.
pub const QUICK_PLAN: &str = r#"
schema = "qualplan/1"
[plan]
id = "quick"
version = "1"
[timeouts]
run = "60s"
connect = "20s"
lease = "4s"
boot_max = "30s"
trial_boots = 3
[[stage]]
id = "iq"
slot = "trial"
[[stage.check]]
id = "identity"
kind = "identity"
[[stage.check]]
id = "slot"
kind = "slot"
[[stage.check]]
id = "selftest"
kind = "selftest"
"#;

/// The quick plan with one more check, `body`, at its end.
pub fn plan_with(body: &str) -> String {
    format!("{QUICK_PLAN}\n[[stage.check]]\n{body}\n")
}

/// A key that exists only in tests.
#[derive(Debug, Clone, Copy)]
pub struct TestKey(pub u8);

/// The key that every site's root record names as its root key.
pub const ROOT_KEY: TestKey = TestKey(1);
/// The key that every site's root record names as its release key.
pub const RELEASE_KEY: TestKey = TestKey(2);
/// A key that no site knows.
pub const STRANGER_KEY: TestKey = TestKey(3);

impl TestKey {
    fn signing(self) -> SigningKey {
        SigningKey::from_bytes(&[self.0; 32])
    }
}

impl Signer for TestKey {
    fn public_key(&self) -> PublicKey {
        self.signing().verifying_key().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        Ok(self.signing().sign(message).to_bytes())
    }
}

/// A root record under which `release` signs bundles.
pub fn root_record(root: TestKey, release: TestKey) -> Vec<u8> {
    let record =
        RootRecord { root: role(&[root], 1), release: role(&[release], 1), ..first_record() };
    signed_root(&record, &[root])
}

/// Root record number `version`, with the same keys as a site's first one but for its release key; `signers` sign it.
pub fn later_root_record(version: u32, release: TestKey, signers: &[TestKey]) -> Vec<u8> {
    let made_at_s = MADE_S + u64::from(version);
    let release = role(&[release], 1);
    signed_root(&RootRecord { version, release, made_at_s, ..first_record() }, signers)
}

/// A working folder of its own; removed when dropped.
#[derive(Debug)]
pub struct Site(TempDir);

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// A folder with a configuration and a root record.
    pub fn new() -> Self {
        Self::under(&root_record(ROOT_KEY, RELEASE_KEY))
    }

    /// A folder with a configuration and this root record.
    pub fn under(root: &[u8]) -> Self {
        let site = Self(tempfile::Builder::new().prefix("noflake-test-").tempdir().unwrap());
        fs::create_dir(site.path("trust")).unwrap();
        fs::write(site.root(), root).unwrap();
        site.write("noflake.toml", "runs = \"runs\"\n[trust]\nroot = \"trust/root.nfr\"\n");
        site
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The root record.
    pub fn root(&self) -> PathBuf {
        self.path("trust/root.nfr")
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a scenario into it.
    pub fn scenario(&self, name: &str, body: &str) -> PathBuf {
        self.write(&format!("{name}.scenario.toml"), &format!("schema = \"hwsim/1\"\n{body}\n"))
    }

    /// Makes the bundle of `release`; gives its path.
    #[track_caller]
    pub fn bundle(&self, release: &Release) -> String {
        let out = self.path(&format!("{}-{}.nfb", release.product, release.version));
        self.bundle_at(release, &out);
        out.display().to_string()
    }

    /// Makes the bundle of `release` at `out`.
    #[track_caller]
    pub fn bundle_at(&self, release: &Release, out: &Path) {
        let inputs = tempfile::tempdir_in(self.folder()).unwrap();
        let spec = release.spec(inputs.path());
        let plan_digest = |text: &str, origin: &str| {
            Plan::parse(text, origin).map(|plan| plan.digest()).map_err(|error| error.to_string())
        };
        let prepared = prepare(&spec, Provenance::default(), &plan_digest).unwrap();
        let signers: Vec<&dyn Signer> = release.keys.iter().map(|key| key as &dyn Signer).collect();
        prepared.write(&signers, &[], out, true).unwrap();
    }

    /// Runs `noflake` here.
    #[track_caller]
    pub fn noflake(&self, arguments: &[&str]) -> Ended {
        cli::run(self.folder(), "", arguments)
    }

    /// Starts `noflake` here.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.folder(), arguments)
    }

    /// Deploys `bundle` to `device`.
    #[track_caller]
    pub fn deploy(&self, bundle: &str, device: &str) -> Ended {
        self.noflake(&["deploy", bundle, "-d", device])
    }

    /// `device status` of `device`, as JSON.
    #[track_caller]
    pub fn status(&self, device: &str) -> serde_json::Value {
        self.noflake(&["--format", "json", "device", "status", "-d", device]).code(0).json()
    }

    /// The version that `device` says it runs.
    #[track_caller]
    pub fn running_version(&self, device: &str) -> String {
        self.status(device)["device"]["version"].as_str().unwrap_or_default().to_owned()
    }

    /// The run folders that have a record, oldest first.
    pub fn runs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("runs")) else { return Vec::new() };
        let mut runs: Vec<(std::time::SystemTime, PathBuf)> = entries
            .filter_map(|entry| {
                let path = entry.unwrap().path();
                // A run that has just begun has a folder, and no record yet.
                let record = fs::metadata(path.join("record.jsonl")).ok()?;
                Some((record.created().unwrap(), path))
            })
            .collect();
        runs.sort();
        runs.into_iter().map(|(_, path)| path).collect()
    }
}

/// A version to be bundled.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its product.
    pub product: String,
    /// Its hardware id.
    pub hardware: String,
    /// First and last revision of that hardware.
    pub revisions: [u32; 2],
    /// Its version.
    pub version: String,
    /// Its security version.
    pub security_version: u64,
    /// Oldest version it installs over.
    pub from_version: Option<String>,
    /// Its image for slot A, and for slot B.
    pub app: [Vec<u8>; 2],
    /// Its configuration.
    pub config: Vec<u8>,
    /// Its plan.
    pub plan: Option<String>,
    /// Further components, for devices with further areas.
    pub more: Vec<(&'static str, Vec<u8>)>,
    /// Who signs it, one signature each.
    pub keys: Vec<TestKey>,
    /// Its block size, chosen by length if not given.
    pub block_size: Option<u32>,
}

impl Release {
    /// A small release of the default device, its bytes told by the version.
    pub fn new(version: &str) -> Self {
        Self::sized(version, 24_000)
    }

    /// A release whose image has `app_bytes`.
    pub fn sized(version: &str, app_bytes: usize) -> Self {
        let seed = version.bytes().fold(0, |seed: u64, byte| seed * 31 + u64::from(byte));
        let mut random = Random::new(seed);
        Self {
            product: "rover-nav".to_owned(),
            hardware: "nav-1".to_owned(),
            revisions: [1, 9],
            version: version.to_owned(),
            security_version: 1,
            from_version: None,
            app: [random.bytes(app_bytes), random.bytes(app_bytes)],
            config: format!("# Configuration of {version}.\n").into_bytes(),
            plan: Some(QUICK_PLAN.to_owned()),
            more: Vec::new(),
            keys: vec![RELEASE_KEY],
            block_size: None,
        }
    }

    /// With another plan.
    #[must_use]
    pub fn plan(mut self, text: &str) -> Self {
        self.plan = Some(text.to_owned());
        self
    }

    /// Signed by another key.
    #[must_use]
    pub fn signed_by(mut self, key: TestKey) -> Self {
        self.keys = vec![key];
        self
    }

    /// With another security version.
    #[must_use]
    pub const fn security(mut self, version: u64) -> Self {
        self.security_version = version;
        self
    }

    /// Bytes that a device has to receive for it, in either slot.
    pub fn payload_bytes(&self) -> u64 {
        u64::try_from(self.app[1].len() + self.config.len()).unwrap()
    }

    /// What a slot receives, component by component.
    pub fn payloads(&self, slot: SlotId) -> Vec<Vec<u8>> {
        let [a, b] = &self.app;
        let app = if slot == SlotId::A { a } else { b };
        let more = self.more.iter().map(|(_, bytes)| bytes.clone());
        [app.clone(), self.config.clone()].into_iter().chain(more).collect()
    }

    fn spec(&self, folder: &Path) -> Spec {
        let write = |name: &str, bytes: &[u8]| {
            fs::write(folder.join(name), bytes).unwrap();
            PathBuf::from(name)
        };
        let variant = |slot: VariantSlot, file: PathBuf| VariantSpec {
            slot,
            file,
            load: 0,
            block_size: self.block_size,
        };
        let more = self.more.iter().map(|(name, bytes)| ComponentSpec {
            name: (*name).to_owned(),
            kind: ComponentKind::Config,
            variants: vec![variant(VariantSlot::Any, write(&format!("{name}.bin"), bytes))],
        });
        Spec {
            product: self.product.clone(),
            version: self.version.clone(),
            security_version: self.security_version,
            epoch: 0,
            from_version: self.from_version.clone(),
            retires_fallback: false,
            data_schema: 1,
            data_readable_by: Some(1),
            notes: String::new(),
            plan: self.plan.as_ref().map(|text| write("deploy.toml", text.as_bytes())),
            hardware: vec![HardwareSpec {
                id: self.hardware.clone(),
                first_revision: self.revisions[0],
                last_revision: self.revisions[1],
            }],
            components: [
                ComponentSpec {
                    name: "app".to_owned(),
                    kind: ComponentKind::Image,
                    variants: vec![
                        variant(VariantSlot::A, write("a.bin", &self.app[0])),
                        variant(VariantSlot::B, write("b.bin", &self.app[1])),
                    ],
                },
                ComponentSpec {
                    name: "config".to_owned(),
                    kind: ComponentKind::Config,
                    variants: vec![variant(VariantSlot::Any, write("config.bin", &self.config))],
                },
            ]
            .into_iter()
            .chain(more)
            .collect(),
            folder: folder.to_owned(),
        }
    }
}
