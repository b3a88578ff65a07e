//! Scenario files: what a simulated device is, what its images do when they run, and which faults
//! strike (SIMULATOR.md). Every key has a default; an empty scenario is a healthy device.

mod check;
mod device;

use std::path::Path;

use firmware_protocol::slot::SlotId;
use serde::Deserialize;
use thiserror::Error;

use crate::fault::{Fault, FaultError, FlipFault, LinkFault};
use crate::files;

pub(crate) use self::check::{Checks, Measure, Model};
pub(crate) use self::device::{AreaKeys, Behaviour, DeviceSpec, FlashKeys, ImageSpec, Mistake};

/// The only schema there is.
const SCHEMA: &str = "hwsim/1";
/// Longest scenario.
const MAX_BYTES: usize = 1 << 20;

/// A scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub(crate) device: DeviceSpec,
    pub(crate) flash: FlashKeys,
    pub(crate) images: Vec<ImageSpec>,
    pub(crate) checks: Checks,
    pub(crate) link_faults: Vec<LinkFault>,
    pub(crate) power: PowerKeys,
    pub(crate) flips: Vec<FlipFault>,
    pub(crate) faults: Vec<Fault>,
}

/// Why a scenario cannot be used.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("failed to read scenario {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or has keys or values that no scenario has.
    #[error("scenario {path} is not valid")]
    Parse {
        /// The file.
        path: String,
        /// Line and key.
        source: Box<toml::de::Error>,
    },
    /// Each value is well-formed, and together they make no device.
    #[error("scenario {path}: {key}: {problem}")]
    Rule {
        /// The file.
        path: String,
        /// The key at fault.
        key: String,
        /// What is expected, and what was found.
        problem: String,
    },
}

/// The power supply.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PowerKeys {
    pub(crate) cut_at_operation: Option<u64>,
    pub(crate) off_ms: u64,
}

impl Default for PowerKeys {
    fn default() -> Self {
        Self { cut_at_operation: None, off_ms: 500 }
    }
}

/// A scenario file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    #[serde(default)]
    faults: Vec<String>,
    #[serde(default)]
    device: DeviceSpec,
    #[serde(default)]
    flash: FlashKeys,
    #[serde(default)]
    image: Vec<ImageSpec>,
    check: Option<Vec<check::StatusKeys>>,
    measure: Option<Vec<Measure>>,
    #[serde(default)]
    link_fault: Vec<LinkFault>,
    #[serde(default)]
    power: PowerKeys,
    #[serde(default)]
    flip: Vec<FlipKeys>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlipKeys {
    component: String,
    slot: SlotId,
    #[serde(default)]
    offset: u32,
    #[serde(default)]
    bit: u8,
    #[serde(default)]
    after_ms: u64,
}

/// A value that no device can have: the key, and what is wrong with it.
pub(crate) struct Problem {
    key: String,
    problem: String,
}

impl Problem {
    pub(crate) fn unless(
        holds: bool,
        key: impl Into<String>,
        problem: impl Into<String>,
    ) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { key: key.into(), problem: problem.into() }) }
    }
}

impl Scenario {
    /// Reads the scenario at `path`.
    ///
    /// # Errors
    /// When the file cannot be read or is no valid scenario.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let name = path.display().to_string();
        let text = files::read_text(path, MAX_BYTES)
            .map_err(|source| ScenarioError::Read { path: name.clone(), source })?;
        Self::parse(&text, &name)
    }

    /// Reads a scenario from `text`; `name` is what errors call it.
    ///
    /// # Errors
    /// When the text is no valid scenario.
    pub fn parse(text: &str, name: &str) -> Result<Self, ScenarioError> {
        let file: File = toml::from_str(text).map_err(|source| ScenarioError::Parse {
            path: name.to_owned(),
            source: Box::new(source),
        })?;
        Self::from_file(file).map_err(|Problem { key, problem }| ScenarioError::Rule {
            path: name.to_owned(),
            key,
            problem,
        })
    }

    /// The same device under another serial number.
    #[must_use]
    pub fn with_serial(mut self, serial: String) -> Self {
        self.device.serial = serial;
        self
    }

    /// The device's serial number.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.device.serial
    }

    /// What the image of `version` does.
    pub(crate) fn image(&self, version: &str) -> ImageSpec {
        let named = |name: &str| self.images.iter().find(|image| image.version == name);
        named(version).or_else(|| named("*")).cloned().unwrap_or_default()
    }

    fn from_file(file: File) -> Result<Self, Problem> {
        let known = file.schema == SCHEMA;
        Problem::unless(known, "schema", format!("expected {SCHEMA:?}, got {:?}", file.schema))?;
        file.device.check()?;
        file.flash.check()?;
        file.link_fault.iter().try_for_each(check_link_fault)?;
        let checks = Checks::new(file.check, file.measure);
        checks.check()?;
        for image in &file.image {
            image.check()?;
            checks.check_image(image)?;
        }
        let flips = file.flip.into_iter().map(|flip| flip.on(&file.device));
        let fault = |text: &String| {
            text.parse().map_err(|error: FaultError| Problem {
                key: "faults".to_owned(),
                problem: error.to_string(),
            })
        };
        Ok(Self {
            faults: file.faults.iter().map(fault).collect::<Result<_, _>>()?,
            flips: flips.collect::<Result<_, _>>()?,
            device: file.device,
            flash: file.flash,
            images: file.image,
            checks,
            link_faults: file.link_fault,
            power: file.power,
        })
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            device: DeviceSpec::default(),
            flash: FlashKeys::default(),
            images: Vec::new(),
            checks: Checks::new(None, None),
            link_faults: Vec::new(),
            power: PowerKeys::default(),
            flips: Vec::new(),
            faults: Vec::new(),
        }
    }
}

impl FlipKeys {
    fn on(self, device: &DeviceSpec) -> Result<FlipFault, Problem> {
        let area = device.areas.iter().find(|area| area.name == self.component);
        let unknown = || format!("the device has no area {:?}", self.component);
        Problem::unless(area.is_some(), "flip.component", unknown())?;
        let bytes = area.map_or(0, |area| area.bytes);
        let problem = format!("expected less than the area's {bytes} bytes, got {}", self.offset);
        Problem::unless(self.offset < bytes, "flip.offset", problem)?;
        Problem::unless(self.bit < 8, "flip.bit", format!("expected 0 to 7, got {}", self.bit))?;
        let Self { component, slot, offset, bit, after_ms } = self;
        Ok(FlipFault { slot, component, offset, bit, after_ms })
    }
}

fn check_link_fault(fault: &LinkFault) -> Result<(), Problem> {
    match fault {
        LinkFault::Drop { rate, .. } | LinkFault::Corrupt { rate, .. } => {
            let problem = format!("expected 0 to 1, got {rate}");
            Problem::unless((0.0..=1.0).contains(rate), "link_fault.rate", problem)
        }
        LinkFault::Disconnect { after_bytes, .. } => Problem::unless(
            *after_bytes > 0,
            "link_fault.after_bytes",
            "expected at least 1, got 0",
        ),
        LinkFault::Delay { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests;
