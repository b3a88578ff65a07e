//! Keys and bundles for the board, made with `noflake` itself.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::firmware::Firmware;
use crate::host::{self, Noflake};

/// What decides about a version before it stays.
const PLAN: &str = include_str!("../../mps2-an385/bundle/plan.toml");
/// The passphrase of keys that nobody keeps.
const PASSPHRASE: &str = "nobody keeps these keys\n";
/// Limits of the suite as short as the board allows.
const LIMITS: &str = "\n[limits]\nlease_ms = 4000\nboot_max_ms = 8000\nback_ms = 20000\ncuts = 3\n";

/// A version of the board's application.
struct Version {
    /// Its name in the suite.
    role: &'static str,
    number: &'static str,
    security: u32,
    settings: &'static str,
}

const HEALTHY: &str = "behaviour healthy\nsupply_mv 3300\n";

/// What the suite runs, and last a version for the power cuts.
const VERSIONS: [Version; 11] = [
    version("base", "1.0.0", 1, HEALTHY),
    version("next", "1.1.0", 2, HEALTHY),
    version("fails", "1.2.0", 2, "behaviour healthy\nsupply_mv 2900\n"),
    version("hangs", "1.3.0", 2, "behaviour hangs\n"),
    version("crashes", "1.4.0", 2, "behaviour crashes\n"),
    version("never_polls", "1.5.0", 2, "behaviour never_polls\n"),
    version("deaf", "1.6.0", 2, "behaviour deaf\n"),
    version("feeds_from_interrupt", "1.7.0", 2, "behaviour feeds_from_interrupt\n"),
    version("other_product", "1.8.0", 2, HEALTHY),
    version("stranger", "1.9.0", 2, HEALTHY),
    version(CUT, "1.0.1", 1, HEALTHY),
];
/// The version that is deployed while power is cut.
const CUT: &str = "cut";

const fn version(
    role: &'static str,
    number: &'static str,
    security: u32,
    settings: &'static str,
) -> Version {
    Version { role, number, security, settings }
}

/// A folder with keys and bundles.
#[derive(Debug)]
pub(crate) struct Site {
    folder: PathBuf,
    pub(crate) noflake: Noflake,
}

impl Site {
    /// Makes all of it in `folder`.
    pub(crate) fn make(
        folder: &Path,
        noflake: Noflake,
        firmware: &Firmware,
    ) -> Result<Self, Error> {
        let site = Self { folder: folder.to_owned(), noflake };
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        for keys in ["own", "strangers"] {
            let mut init = site.noflake.command(folder);
            init.args(["init", keys, "--passphrase-fd", "0"]);
            host::run_with(&mut init, PASSPHRASE)?;
        }
        site.write("own/plan.toml", PLAN)?;
        site.write("own/app.bin", &firmware.application)?;
        site.write("own/large.bin", large(&firmware.application))?;
        let mut list = "schema = \"conformance/1\"\n\n[bundles]\n".to_owned();
        for version in &VERSIONS {
            site.bundle(version)?;
            if version.role != CUT {
                // Writing to a String cannot fail.
                let _ = writeln!(list, "{0} = \"{0}.nfb\"", version.role);
            }
        }
        site.write("own/conformance.toml", list + LIMITS)?;
        Ok(site)
    }

    /// A `noflake` in the folder of its keys.
    pub(crate) fn command(&self) -> std::process::Command {
        self.noflake.command(&self.folder.join("own"))
    }

    /// The bundle for the power cuts.
    pub(crate) fn cut_bundle() -> String {
        format!("{CUT}.nfb")
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        let path = self.folder.join(name);
        fs::write(&path, bytes).map_err(Error::file(&path))
    }

    fn bundle(&self, version: &Version) -> Result<(), Error> {
        let role = version.role;
        let product = if role == "other_product" { "other-product" } else { "mps2-demo" };
        let program = if role == "next" { "large.bin" } else { "app.bin" };
        let settings = format!("{role}.txt");
        self.write(&format!("own/{settings}"), version.settings)?;
        let spec = format!("{role}.toml");
        let text = spec_text(product, version.number, version.security, program, &settings);
        self.write(&format!("own/{spec}"), text)?;
        let mut create = self.command();
        let output = format!("{role}.nfb");
        create.args(["bundle", "create", &spec, "-o", &output, "--passphrase-fd", "0"]);
        if role == "stranger" {
            create.args(["--key", "../strangers/trust/release.key"]);
        }
        host::run_with(&mut create, PASSPHRASE)?;
        Ok(())
    }
}

/// Length of the program in `next`.
pub(crate) const LARGE_BYTES: usize = 400_000;

/// The application with so much behind it that its transfer can be cut in a place that tells something
/// (docs/CONFORMANCE.md).
fn large(application: &[u8]) -> Vec<u8> {
    let mut bytes = application.to_vec();
    let mut state: u32 = 1;
    while bytes.len() < LARGE_BYTES {
        // Numerical Recipes' generator: no two blocks alike is all that is wanted.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.push(state.to_be_bytes()[0]);
    }
    bytes
}

fn spec_text(product: &str, number: &str, security: u32, program: &str, settings: &str) -> String {
    format!(
        r#"product = "{product}"
version = "{number}"
security_version = {security}
retires_fallback = false
data_schema = 1
data_readable_by = 1
notes = "Application for the emulated board MPS2 AN385."
plan = "plan.toml"
hardware = [{{ id = "mps2-an385", first_revision = 1, last_revision = 1 }}]

[[component]]
name = "app"
kind = "image"

[[component.variant]]
slot = "any"
file = "{program}"
load = "0x00100000"

[[component]]
name = "settings"
kind = "config"

[[component.variant]]
slot = "any"
file = "{settings}"
"#
    )
}

/// Puts what a bundle needs into `folder`, for a user who makes one.
pub(crate) fn write_example(firmware: &Firmware, folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::file(folder))?;
    let spec = spec_text("mps2-demo", "1.0.0", 1, "app.bin", "settings.txt");
    let spec = spec.replace("\"plan.toml\"", "\"mcu-plan.toml\"");
    let files: [(&str, &[u8]); 4] = [
        ("mcu.toml", spec.as_bytes()),
        ("mcu-plan.toml", PLAN.as_bytes()),
        ("app.bin", &firmware.application),
        ("settings.txt", HEALTHY.as_bytes()),
    ];
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(Error::file(&path))?;
    }
    Ok(())
}
