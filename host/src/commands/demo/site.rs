//! The demo's folder: keys, bundles, scenarios, and the two devices.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;

use super::{Plant, tool};
use crate::error::CommandError;

/// Bytes of the demo's application image.
const APP_BYTES: usize = 96 * 1_024;
/// Pace of the demo's serial line, in bits a second.
const BAUD: &str = "921600";

/// The sound version that both devices can run.
pub(super) const SOUND: &str = "1.1.0";
/// The version whose supply voltage is too low.
pub(super) const WEAK: &str = "1.2.0";
/// The version that hangs, but keeps feeding the watchdog.
pub(super) const HANGING: &str = "1.3.0";

/// The demo's folder and devices.
pub(super) struct Site {
    pub(super) folder: PathBuf,
    pub(super) serial: SimulatedDevice,
    pub(super) tcp: SimulatedDevice,
}

/// A simulated device in a process of its own.
pub(super) struct SimulatedDevice {
    pub(super) address: String,
    pub(super) state: PathBuf,
    child: Child,
}

impl Drop for SimulatedDevice {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Site {
    pub(super) fn prepare(
        folder: Option<PathBuf>,
        plant: Option<Plant>,
    ) -> Result<Self, CommandError> {
        let folder = match folder {
            Some(folder) => {
                fs::create_dir_all(&folder).map_err(CommandError::Demo)?;
                let mut entries = fs::read_dir(&folder).map_err(CommandError::Demo)?;
                if entries.next().is_some() {
                    return Err(CommandError::NotEmpty { folder });
                }
                folder.canonicalize().map_err(CommandError::Demo)?
            }
            None => tempfile::Builder::new()
                .prefix("noflake-demo-")
                .tempdir()
                .map_err(CommandError::Demo)?
                .keep(),
        };
        tool::must(&folder, ["init", "--passphrase-fd", "0"])?;
        write_scenarios(&folder, plant)?;
        for version in [SOUND, WEAK, HANGING] {
            create_bundle(&folder, version, plant)?;
        }
        let port = folder.join("serial-device");
        let serial =
            start(&folder, "serial", "7", &["--serial", &port.to_string_lossy(), "--baud", BAUD])?;
        let tcp = start(&folder, "tcp", "8", &["--tcp", "127.0.0.1:0"])?;
        for device in [&serial, &tcp] {
            tool::must(&folder, ["device", "enroll", "-d", &device.address])?;
        }
        Ok(Self { folder, serial, tcp })
    }

    /// Folder of the evidence.
    pub(super) fn runs(&self) -> PathBuf {
        self.folder.join("runs")
    }
}

/// The file of a version's bundle.
pub(super) fn bundle_name(version: &str) -> String {
    format!("rover-nav-{version}.nfb")
}

/// Starts a device and waits for the line that says where it is.
fn start(
    folder: &Path,
    name: &str,
    seed: &str,
    ports: &[&str],
) -> Result<SimulatedDevice, CommandError> {
    let state = folder.join(format!("{name}-state"));
    let mut child = tool::command(folder)?
        .args(["sim", "--seed", seed, "--scenario", &format!("{name}.toml")])
        .arg("--state")
        .arg(&state)
        .args(ports)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(CommandError::Demo)?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(CommandError::Demo)?;
    }
    let ready: Value = serde_json::from_str(&line).unwrap_or_default();
    let serial = ready.get("serial_path").and_then(Value::as_str);
    let tcp = ready.get("tcp").and_then(Value::as_str);
    let address = match (serial, tcp) {
        (Some(path), _) => format!("serial:{path}?baud={BAUD}"),
        (None, Some(host)) => format!("tcp:{host}"),
        (None, None) => {
            let typed = format!("sim for the {name} device");
            return Err(CommandError::DemoStep { typed, exit: -1, said: line });
        }
    };
    Ok(SimulatedDevice { address, state, child })
}

fn write_scenarios(folder: &Path, plant: Option<Plant>) -> Result<(), CommandError> {
    let rogue = match plant {
        Some(Plant::AcceptUnsigned) => "rogue = \"accepts_unsigned\"\n",
        Some(Plant::LieDigest) => "rogue = \"lies_about_digests\"\n",
        Some(Plant::IgnoreCheck | Plant::IgnoreLease) | None => "",
    };
    let deadline = plant != Some(Plant::IgnoreLease);
    for (name, serial, extra) in [("serial", "DEMO-SERIAL", rogue), ("tcp", "DEMO-TCP", "")] {
        let text = format!(
            "schema = \"hwsim/1\"\n\n[device]\nserial = \"{serial}\"\nboot_ms = 200\n\
             hardware_deadline = {deadline}\n{extra}\n\
             [[image]]\nversion = \"{WEAK}\"\n\
             [[image.measure]]\nname = \"rail_3v3\"\nunit = \"V\"\nmodel = \"constant\"\nmean = 2.91\n\n\
             [[image]]\nversion = \"{HANGING}\"\nbehaviour = \"hangs_feeding_watchdog\"\n"
        );
        fs::write(folder.join(format!("{name}.toml")), text).map_err(CommandError::Demo)?;
    }
    Ok(())
}

/// A bundle with an image for each slot and a configuration, judged by a plan of its own.
fn create_bundle(folder: &Path, version: &str, plant: Option<Plant>) -> Result<(), CommandError> {
    let write = |name: String, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).map_err(CommandError::Demo)
    };
    for slot in ["a", "b"] {
        write(format!("app-{version}-{slot}.bin"), &image(&format!("{version} for slot {slot}")))?;
    }
    write(
        format!("config-{version}.toml"),
        format!("version = \"{version}\"\nspeed = 2\n").as_bytes(),
    )?;
    let severity = if plant == Some(Plant::IgnoreCheck) { "info" } else { "blocker" };
    write(format!("deploy-{version}.toml"), plan(severity).as_bytes())?;
    let spec = format!(
        "product = \"rover-nav\"\nversion = \"{version}\"\nsecurity_version = 1\n\
         plan = \"deploy-{version}.toml\"\n\
         hardware = [{{ id = \"nav-1\", first_revision = 1, last_revision = 9 }}]\n\
         [[component]]\nname = \"app\"\nkind = \"image\"\n\
         [[component.variant]]\nslot = \"A\"\nfile = \"app-{version}-a.bin\"\n\
         [[component.variant]]\nslot = \"B\"\nfile = \"app-{version}-b.bin\"\n\
         [[component]]\nname = \"config\"\nkind = \"config\"\n\
         [[component.variant]]\nslot = \"any\"\nfile = \"config-{version}.toml\"\n"
    );
    let spec_name = format!("bundle-{version}.toml");
    write(spec_name.clone(), spec.as_bytes())?;
    let name = bundle_name(version);
    tool::must(folder, ["bundle", "create", &spec_name, "-o", &name, "--passphrase-fd", "0"])?;
    Ok(())
}

/// Bytes that look like a program to nobody but differ everywhere.
fn image(label: &str) -> Vec<u8> {
    use sha2::Digest;
    let mut bytes = Vec::with_capacity(APP_BYTES);
    let mut block = sha2::Sha256::digest(label.as_bytes());
    while bytes.len() < APP_BYTES {
        bytes.extend_from_slice(&block);
        block = sha2::Sha256::digest(block);
    }
    bytes
}

fn plan(severity: &str) -> String {
    format!(
        "schema = \"qualplan/1\"\n[plan]\nid = \"demo.deploy\"\nversion = \"1\"\nlevel = \"field\"\n\
         expected = \"all\"\n\
         [timeouts]\nconnect = \"5s\"\nlease = \"2s\"\nboot_max = \"60s\"\ntrial_boots = 3\n\
         [[stage]]\nid = \"iq\"\nslot = \"trial\"\n\
         [[stage.check]]\nid = \"identity\"\nkind = \"identity\"\n\
         [[stage.check]]\nid = \"slot\"\nkind = \"slot\"\n\
         [[stage.check]]\nid = \"boot\"\nkind = \"boot\"\nunit = \"s\"\nlimits = {{ le = 2.0 }}\n\
         [[stage]]\nid = \"oq\"\nslot = \"trial\"\n\
         [[stage.check]]\nid = \"selftest\"\nkind = \"selftest\"\n\
         [[stage.check]]\nid = \"rail-3v3\"\nkind = \"measure\"\nseverity = \"{severity}\"\n\
         source = \"rail_3v3\"\nunit = \"V\"\nlimits = {{ ge = 3.14, le = 3.47 }}\n"
    )
}
