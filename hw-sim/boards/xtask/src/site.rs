//! Keys and bundles for the board, made with `noflake` itself.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::error::Error;
use crate::firmware::Firmware;
use crate::noflake::Noflake;
use crate::{map, program};

/// What decides about a version of the application before it stays.
const PLAN: &str = include_str!("../../mps2-an385/bundle/plan.toml");
/// The same for the template, which has one check.
const TEMPLATE_PLAN: &str = include_str!("../../mps2-an385/bundle/template-plan.toml");
/// The passphrase of keys that nobody keeps.
const PASSPHRASE: &str = "nobody keeps these keys\n";
/// Limits of the suite as short as the board allows.
const LIMITS: &str = "\n[limits]\nlease_ms = 3000\nboot_max_ms = 6000\nback_ms = 20000\ncuts = 2\n";

/// A version of the board's application.
struct Version {
    /// Its name in the suite.
    role: &'static str,
    number: &'static str,
    security: u32,
    settings: &'static str,
}

const HEALTHY: &str = "\
# How this version behaves: healthy, hangs, crashes, never_polls, deaf, feeds_from_interrupt
behaviour healthy
# What its sensor reads, in millivolts: the plan wants 3140 to 3470
supply_mv 3300
";

/// What the suite runs, and behind that the version for the power cuts and the other programs.
const VERSIONS: [Version; 13] = [
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
    version(CUT, "1.0.1", 1, "behaviour healthy\nsupply_mv 3301\n"),
    version(TEMPLATE, "1.10.0", 2, HEALTHY),
    version(EMBASSY, "1.11.0", 2, HEALTHY),
];
/// The version that is deployed while power is cut.
pub(crate) const CUT: &str = "cut";
/// The template as a version.
pub(crate) const TEMPLATE: &str = "template";
/// The engine beside tasks of embassy as a version.
pub(crate) const EMBASSY: &str = "embassy";

/// A program that goes into a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// With six checks, behaving as its settings say
    Application,
    /// The smallest
    Template,
}

impl Program {
    /// Its bytes and its plan.
    fn parts(self, firmware: &Firmware) -> (&[u8], &'static str) {
        match self {
            Self::Application => (&firmware.application, PLAN),
            Self::Template => (&firmware.template, TEMPLATE_PLAN),
        }
    }
}

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
            program::run_with(&mut init, PASSPHRASE)?;
        }
        site.write("own/plan.toml", PLAN)?;
        site.write("own/template-plan.toml", TEMPLATE_PLAN)?;
        site.write("own/app.bin", &firmware.application)?;
        site.write("own/large.bin", with_data(&firmware.application, LARGE_BYTES))?;
        // Another program than the one before it: a slot that is half of each runs neither.
        site.write(
            "own/cut.bin",
            with_data(&firmware.application, firmware.application.len() + 20_000),
        )?;
        site.write("own/template.bin", &firmware.template)?;
        site.write("own/embassy.bin", &firmware.embassy)?;
        let mut list = "schema = \"conformance/1\"\n\n[bundles]\n".to_owned();
        for version in &VERSIONS {
            site.bundle(version)?;
            if ![CUT, TEMPLATE, EMBASSY].contains(&version.role) {
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

    /// The bundle of a role.
    pub(crate) fn bundle_of(role: &str) -> String {
        format!("{role}.nfb")
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        let path = self.folder.join(name);
        fs::write(&path, bytes).map_err(Error::file(&path))
    }

    fn bundle(&self, version: &Version) -> Result<(), Error> {
        let role = version.role;
        let product = if role == "other_product" { "other-product" } else { "mps2-demo" };
        let (program, plan) = match role {
            "next" => ("large.bin", "plan.toml"),
            CUT => ("cut.bin", "plan.toml"),
            TEMPLATE => ("template.bin", "template-plan.toml"),
            EMBASSY => ("embassy.bin", "plan.toml"),
            _ => ("app.bin", "plan.toml"),
        };
        let settings = format!("{role}.txt");
        self.write(&format!("own/{settings}"), version.settings)?;
        let spec = format!("{role}.toml");
        let text = spec_text(product, (version.number, version.security), plan, program, &settings);
        self.write(&format!("own/{spec}"), text)?;
        let mut create = self.command();
        let output = format!("{role}.nfb");
        create.args(["bundle", "create", &spec, "-o", &output, "--passphrase-fd", "0"]);
        if role == "stranger" {
            create.args(["--key", "../strangers/trust/release.key"]);
        }
        program::run_with(&mut create, PASSPHRASE)?;
        Ok(())
    }
}

/// Length of the program in `next`: so long that its transfer can be cut in a place that tells something
/// (docs/CONFORMANCE.md).
pub(crate) const LARGE_BYTES: usize = 400_000;

/// A program with data behind it, up to a length: no two blocks of it alike.
fn with_data(program: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = program.to_vec();
    let mut state: u32 = 1;
    while bytes.len() < length {
        // Numerical Recipes' generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.push(state.to_be_bytes()[0]);
    }
    bytes
}

fn spec_text(
    product: &str,
    (number, security): (&str, u32),
    plan: &str,
    program: &str,
    settings: &str,
) -> String {
    let load = map::APPLICATION;
    format!(
        r#"product = "{product}"
version = "{number}"
security_version = {security}
retires_fallback = false
data_schema = 1
data_readable_by = 1
notes = "For the emulated board MPS2 AN385."
plan = "{plan}"
hardware = [{{ id = "mps2-an385", first_revision = 1, last_revision = 1 }}]

[[component]]
name = "app"
kind = "image"

[[component.variant]]
slot = "any"
file = "{program}"
load = "{load:#010x}"

[[component]]
name = "settings"
kind = "config"

[[component.variant]]
slot = "any"
file = "{settings}"
"#
    )
}

/// Puts what a bundle needs into `folder`, for a user who makes one. The program is what was built; what else is there stays, and
/// its names come back.
pub(crate) fn write_example(
    firmware: &Firmware,
    program: Program,
    folder: &Path,
) -> Result<Vec<&'static str>, Error> {
    fs::create_dir_all(folder).map_err(Error::file(folder))?;
    let (bytes, plan) = program.parts(firmware);
    let path = folder.join("mcu.bin");
    fs::write(&path, bytes).map_err(Error::file(&path))?;
    let spec = spec_text("mps2-demo", ("1.0.0", 1), "mcu-plan.toml", "mcu.bin", "mcu-settings.txt");
    let settings = match program {
        Program::Application => HEALTHY,
        Program::Template => "# The template reads no settings.\n",
    };
    let mut kept = Vec::new();
    for (name, text) in
        [("mcu.toml", spec.as_str()), ("mcu-plan.toml", plan), ("mcu-settings.txt", settings)]
    {
        let path = folder.join(name);
        if path.exists() {
            kept.push(name);
        } else {
            fs::write(&path, text).map_err(Error::file(&path))?;
        }
    }
    Ok(kept)
}
