//! What a scenario has found, and why it ends early.

use firmware_protocol::refusal::Refusal;

use super::unit::UnitError;
use crate::bench::DeviceError;
use crate::causes::sentence;

/// What a scenario has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It was seen to hold.
    Holds,
    /// It was seen not to hold.
    Broken {
        /// What was seen.
        why: String,
    },
    /// Nothing was seen.
    NotChecked {
        /// What was missing.
        why: String,
        /// Whether somebody has to look into it.
        fault: Fault,
    },
    /// No device is bound to defend against it, and this one does not.
    NotDefended {
        /// What was seen.
        why: String,
    },
}

/// Whose fault it is that a scenario was not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody's: something was not given, or does not apply.
    None,
    /// Link, power controller or tool.
    Bench,
    /// The device refused what it had to take first.
    Refused,
}

/// Why a scenario ends before its end.
#[derive(Debug)]
pub(super) enum Stop {
    Broken(String),
    NotChecked(String),
    NotDefended(String),
    /// The device refuses what it has to take before anything can be checked.
    Refused(String),
    /// Something else than the device failed.
    Bench(String),
    Unit(UnitError),
}

impl From<UnitError> for Stop {
    fn from(error: UnitError) -> Self {
        Self::Unit(error)
    }
}

impl From<DeviceError> for Stop {
    fn from(error: DeviceError) -> Self {
        Self::Unit(error.into())
    }
}

impl From<Result<(), Stop>> for Finding {
    fn from(ended: Result<(), Stop>) -> Self {
        match ended {
            Ok(()) => Self::Holds,
            Err(Stop::Broken(why)) => Self::Broken { why },
            Err(Stop::NotChecked(why)) => Self::NotChecked { why, fault: Fault::None },
            Err(Stop::NotDefended(why)) => Self::NotDefended { why },
            Err(Stop::Refused(why)) => Self::NotChecked { why, fault: Fault::Refused },
            Err(Stop::Bench(why)) => Self::NotChecked { why, fault: Fault::Bench },
            Err(Stop::Unit(error)) => {
                let fault = fault_of(&error);
                Self::NotChecked { why: sentence(&error), fault }
            }
        }
    }
}

fn fault_of(error: &UnitError) -> Fault {
    match error {
        UnitError::Device(error) => match error.refusal() {
            Some(Refusal::Busy | Refusal::SessionHeld { .. }) | None => Fault::Bench,
            Some(_) => Fault::Refused,
        },
        UnitError::Power(_) | UnitError::Deploy(_) => Fault::Bench,
    }
}

/// Ends the scenario as broken unless this holds.
pub(super) fn promised(holds: bool, why: impl FnOnce() -> String) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(Stop::Broken(why())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::DriverError;

    #[test]
    fn a_bench_fault_never_counts_against_the_device() {
        let found = |error: DeviceError| Finding::from(Err(Stop::from(error)));
        let lost = found(DeviceError::Driver(DriverError::NoAnswer { waited_ms: 8_000 }));
        assert!(matches!(lost, Finding::NotChecked { fault: Fault::Bench, .. }), "{lost:?}");
        let refused = found(DeviceError::Refused(Refusal::WrongProduct));
        assert!(matches!(refused, Finding::NotChecked { fault: Fault::Refused, .. }));
        let busy = found(DeviceError::Refused(Refusal::Busy));
        assert!(matches!(busy, Finding::NotChecked { fault: Fault::Bench, .. }));
    }
}
