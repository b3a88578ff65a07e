//! The image that runs: the checks it offers and what they find, as the scenario says for its
//! version.

use std::sync::Arc;

use firmware_protocol::device::{Board, BoardInfo, RandomFault};
use firmware_protocol::message::{CheckGives, CheckInfo, CheckStatus, Reading};
use firmware_protocol::sealed::LinkSecret;

use crate::clock::{Chance, Purpose};
use crate::fault::RandomFaults;
use crate::scenario::{ImageSpec, Measure, Model, Scenario};

/// The hardware as the engine sees it, with one image on it.
#[derive(Debug)]
pub(crate) struct SimBoard {
    scenario: Arc<Scenario>,
    fails: Vec<String>,
    /// The device's measures, as this image makes them come out.
    measures: Vec<Measure>,
    random: Chance,
    identity: LinkSecret,
    random_faults: RandomFaults,
    noise: Chance,
}

impl SimBoard {
    /// The board as it starts for the `boot`th time, which no earlier start's random numbers repeat.
    pub(crate) fn new(
        scenario: &Arc<Scenario>,
        image: &ImageSpec,
        identity: &LinkSecret,
        seed: u64,
        boot: u64,
    ) -> Self {
        let own = |usual: &Measure| {
            let changed = image.measure.iter().find(|own| own.name == usual.name);
            changed.unwrap_or(usual).clone()
        };
        Self {
            scenario: Arc::clone(scenario),
            fails: image.fails.clone(),
            measures: scenario.checks.measures.iter().map(own).collect(),
            random: Chance::new(seed, Purpose::Board, boot),
            identity: identity.clone(),
            random_faults: RandomFaults::default(),
            noise: Chance::new(seed, Purpose::Sensors, boot),
        }
    }

    /// Its random source fails when these strike.
    pub(crate) fn failing(self, random_faults: RandomFaults) -> Self {
        Self { random_faults, ..self }
    }

    fn find(&self, index: u8) -> Option<Found<'_>> {
        let statuses = &self.scenario.checks.statuses;
        let index = usize::from(index);
        match statuses.get(index) {
            Some(name) => Some(Found::Status(name)),
            None => self.measures.get(index.checked_sub(statuses.len())?).map(Found::Measure),
        }
    }
}

enum Found<'a> {
    Status(&'a str),
    Measure(&'a Measure),
}

impl Board for SimBoard {
    fn info(&self) -> BoardInfo<'_> {
        let device = &self.scenario.device;
        BoardInfo {
            product: &device.product,
            hardware: &device.hardware,
            revision: device.revision,
            serial: &device.serial,
            hardware_deadline: device.hardware_deadline,
        }
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), RandomFault> {
        if self.random_faults.strikes() {
            return Err(RandomFault);
        }
        self.random.fill(out);
        Ok(())
    }

    fn identity(&mut self) -> Option<LinkSecret> {
        Some(self.identity.clone())
    }

    fn check_count(&self) -> u8 {
        let count = self.scenario.checks.statuses.len().saturating_add(self.measures.len());
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    fn check_info(&self, index: u8) -> Option<CheckInfo<'_>> {
        Some(match self.find(index)? {
            Found::Status(name) => CheckInfo { name, gives: CheckGives::Status },
            Found::Measure(Measure { name, unit, .. }) => {
                CheckInfo { name, gives: CheckGives::Value { unit } }
            }
        })
    }

    fn start_check(&mut self, _index: u8, _now_ms: u64) {}

    fn poll_check(&mut self, index: u8, _now_ms: u64) -> Option<Reading<'_>> {
        // Two draws whether or not they are used: one check's noise does not depend on another's model.
        let swing = self.noise.unit() + self.noise.unit() - 1.0;
        Some(match self.find(index)? {
            Found::Status(name) => {
                let (status, detail) = status(self.fails.iter().any(|fails| fails == name));
                Reading::Status { status, detail: detail.try_into().unwrap_or_default() }
            }
            Found::Measure(measure) => reading(measure, swing),
        })
    }
}

/// What a check that gives a status finds.
fn status(failing: bool) -> (CheckStatus, &'static str) {
    if failing { (CheckStatus::Fail, "the scenario lets it fail") } else { (CheckStatus::Ok, "") }
}

/// The value of `measure`, `swing` of its spread away from its mean.
fn reading(measure: &Measure, swing: f64) -> Reading<'_> {
    let off = match measure.model {
        Model::Constant => 0.0,
        Model::Noise => swing * measure.spread,
    };
    let decimals = i8::try_from(measure.decimals).unwrap_or(0);
    let scaled = (measure.mean + off) * 10_f64.powi(i32::from(decimals));
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the scenario: 2e9 x 1e6")]
    let mantissa = scaled.round() as i64;
    Reading::Value { mantissa, exponent: -decimals, unit: &measure.unit }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(body: &str, version: &str, boot: u64) -> SimBoard {
        let text = format!("schema = \"hwsim/1\"\n{body}");
        let scenario = Arc::new(Scenario::parse(&text, "test.toml").unwrap());
        let image = scenario.image(version);
        SimBoard::new(&scenario, &image, &LinkSecret::new([1; 32]), 1, boot)
    }

    #[test]
    fn statuses_come_first_and_every_index_is_described() {
        let board = board("", "1.0.0", 0);
        let names: Vec<&str> =
            (0..board.check_count()).map(|index| board.check_info(index).unwrap().name).collect();
        assert_eq!(names, ["ram", "flash", "clock", "storage", "rail_3v3", "cpu_temp", "loop_p99"]);
        assert!(board.check_info(7).is_none());
    }

    #[test]
    fn a_failing_check_fails_in_its_image_only() {
        let body = "[[image]]\nversion = \"2.0.0\"\nfails = [\"clock\"]\n";
        let found = |version| match board(body, version, 0).poll_check(2, 0).unwrap() {
            Reading::Status { status, .. } => status,
            Reading::Value { .. } => CheckStatus::Error,
        };
        assert_eq!(found("2.0.0"), CheckStatus::Fail);
        assert_eq!(found("1.0.0"), CheckStatus::Ok);
    }

    #[test]
    fn noise_stays_within_its_spread_and_is_not_always_the_same() {
        let mut board = board("", "1.0.0", 0);
        let mut seen = Vec::new();
        for _ in 0..200 {
            let Some(Reading::Value { mantissa, exponent: -4, unit: "V" }) = board.poll_check(4, 0)
            else {
                panic!("the rail is measured in volts with four decimals");
            };
            assert!((32_900..=33_100).contains(&mantissa), "{mantissa}");
            seen.push(mantissa);
        }
        seen.dedup();
        assert!(seen.len() > 100);
    }

    #[test]
    fn an_image_can_measure_something_else() {
        let body = "[[image]]\nversion = \"2.0.0\"\n[[image.measure]]\nname = \"rail_3v3\"\n\
                    unit = \"V\"\nmean = 2.5\ndecimals = 1\n";
        let reading = Reading::Value { mantissa: 25, exponent: -1, unit: "V" };
        assert_eq!(board(body, "2.0.0", 0).poll_check(4, 0), Some(reading));
    }

    #[test]
    fn every_boot_has_random_numbers_of_its_own() {
        let draw = |boot| {
            let mut bytes = [0; 8];
            board("", "1.0.0", boot).random(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
