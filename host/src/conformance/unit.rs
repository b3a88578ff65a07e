//! A device under test, as a way to reach one gives it.

use std::error::Error;
use std::future::Future;

use thiserror::Error;

use super::bundles::Role;
use crate::bench::{Device, DeviceError};

/// What the scenarios need of a way to reach a device: to speak, to be silent, to deploy and, where there is a power
/// controller, to take its power.
pub trait Unit {
    /// The conversation with it.
    fn device(&mut self) -> &mut Device;

    /// Hangs up without a word: what the device hears of a host that dies.
    fn hang_up(&mut self);

    /// Time passes, and nobody says anything.
    fn be_silent(&mut self, pause_ms: u64) -> impl Future<Output = ()>;

    /// Deploys a whole bundle as `noflake deploy` does, with evidence of its own.
    fn deploy(&mut self, role: Role) -> impl Future<Output = Result<Deployed, UnitError>>;

    /// Whether its power can be taken.
    fn has_power_control(&self) -> bool;

    /// What lies behind it, in the measure that its power cuts are placed by.
    fn behind(&mut self) -> u64;

    /// That measure in a word or two.
    fn measure(&self) -> &'static str;

    /// Does `deed`, and takes the power so far into it; what is torn follows from `seed`. Power is back afterwards. Says whether the
    /// deed was cut: one that ends before is not.
    fn cut(
        &mut self,
        so_far: u64,
        seed: u64,
        deed: impl AsyncFnOnce(&mut Device),
    ) -> impl Future<Output = Result<bool, UnitError>>;

    /// Takes the power and gives it back.
    fn cycle_power(&mut self) -> impl Future<Output = Result<(), UnitError>>;
}

/// How a whole deployment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deployed {
    /// The bundle runs, confirmed.
    Runs,
    /// It was judged and is gone; the version before runs.
    RolledBack,
    /// The device refused it.
    Refused {
        /// What was said.
        why: String,
    },
    /// It ended otherwise.
    Otherwise {
        /// What was said.
        why: String,
    },
}

/// Why something was not done to a device under test.
#[derive(Debug, Error)]
pub enum UnitError {
    /// The device or the way to it.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The power controller.
    #[error(transparent)]
    Power(#[from] PowerError),
    /// A deployment that did not come to an end.
    #[error("failed to deploy")]
    Deploy(#[source] Box<dyn Error + Send + Sync>),
}

/// Why power was not taken or given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PowerError {
    /// There is no controller.
    #[error("there is no power controller")]
    None,
    /// A command of the controller failed.
    #[error("the power command `{command}` failed: {said}")]
    Failed {
        /// The command.
        command: String,
        /// What came of it.
        said: String,
    },
}
