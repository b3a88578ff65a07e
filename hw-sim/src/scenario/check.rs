//! On-device checks: what they are called, and what they find.

use serde::Deserialize;

use super::{ImageSpec, Problem};

/// Most checks one device has; their index is one byte.
const MAX_CHECKS: usize = 64;
/// Longest name of a check, in bytes: with its unit it fits one reply.
const MAX_NAME_BYTES: usize = 48;
/// Largest magnitude of a measured value: with its decimals it fits 64 bits.
const MAX_MAGNITUDE: f64 = 1e9;

/// The checks of a device.
#[derive(Debug, Clone)]
pub(crate) struct Checks {
    pub(crate) statuses: Vec<String>,
    pub(crate) measures: Vec<Measure>,
}

/// `[[check]]`: a check that gives a status.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusKeys {
    name: String,
}

/// `[[measure]]`: a check that gives a value.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Measure {
    pub(crate) name: String,
    pub(crate) unit: String,
    #[serde(default)]
    pub(crate) model: Model,
    pub(crate) mean: f64,
    #[serde(default)]
    pub(crate) spread: f64,
    #[serde(default = "default_decimals")]
    pub(crate) decimals: u8,
}

/// How a measured value comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Model {
    /// Always the mean.
    #[default]
    Constant,
    /// The mean, and up to the spread to either side.
    Noise,
}

const fn default_decimals() -> u8 {
    3
}

impl Checks {
    pub(super) fn new(statuses: Option<Vec<StatusKeys>>, measures: Option<Vec<Measure>>) -> Self {
        let own = |keys: Vec<StatusKeys>| keys.into_iter().map(|key| key.name).collect();
        let usual = || ["ram", "flash", "clock", "storage"].map(str::to_owned).to_vec();
        Self {
            statuses: statuses.map_or_else(usual, own),
            measures: measures.unwrap_or_else(usual_measures),
        }
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        let measured = self.measures.iter().map(|measure| &measure.name);
        let names: Vec<&String> = self.statuses.iter().chain(measured).collect();
        let problem = format!("expected at most {MAX_CHECKS} checks, got {}", names.len());
        Problem::unless(names.len() <= MAX_CHECKS, "check", problem)?;
        for (index, name) in names.iter().enumerate() {
            let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
            let problem = format!("expected 1 to {MAX_NAME_BYTES} bytes, got {name:?}");
            Problem::unless(fits, "check.name", problem)?;
            let twice = names.iter().skip(index + 1).any(|other| other == name);
            Problem::unless(!twice, "check.name", format!("{name:?} is named twice"))?;
        }
        self.measures.iter().try_for_each(|measure| measure.check("measure"))
    }

    pub(super) fn check_image(&self, image: &ImageSpec) -> Result<(), Problem> {
        for name in &image.fails {
            let problem = format!(
                "{name:?} is no check that gives a status; those are {:?}. A measured value fails by \
                 its limit: give image.measure another mean",
                self.statuses
            );
            Problem::unless(self.statuses.contains(name), "image.fails", problem)?;
        }
        for measure in &image.measure {
            let known = self.measures.iter().any(|usual| usual.name == measure.name);
            let problem =
                format!("{:?} is no measure of the device: add it as [[measure]]", measure.name);
            Problem::unless(known, "image.measure.name", problem)?;
            measure.check("image.measure")?;
        }
        Ok(())
    }
}

impl Measure {
    fn check(&self, key: &str) -> Result<(), Problem> {
        let fits = |value: f64| value.abs() <= MAX_MAGNITUDE;
        let problem = format!("expected mean and spread within {MAX_MAGNITUDE:e}");
        Problem::unless(fits(self.mean) && fits(self.spread), format!("{key}.mean"), problem)?;
        let problem = format!("expected 0 to 6, got {}", self.decimals);
        Problem::unless(self.decimals <= 6, format!("{key}.decimals"), problem)?;
        let problem = format!("expected up to 16 bytes, got {:?}", self.unit);
        Problem::unless(self.unit.len() <= 16, format!("{key}.unit"), problem)
    }
}

fn usual_measures() -> Vec<Measure> {
    let noise = |name: &str, unit: &str, mean, spread, decimals| Measure {
        name: name.to_owned(),
        unit: unit.to_owned(),
        model: Model::Noise,
        mean,
        spread,
        decimals,
    };
    vec![
        noise("rail_3v3", "V", 3.3, 0.01, 4),
        noise("cpu_temp", "degC", 41.0, 1.5, 2),
        noise("loop_p99", "us", 840.0, 25.0, 0),
    ]
}
