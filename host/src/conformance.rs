//! Whether a device keeps the promises: each one as scenarios, over any way to reach a device (CONFORMANCE.md).
//!
//! A scenario does to the device what the promise is about, with versions that are known to be healthy or known to be bad,
//! and looks at what the device shows afterwards. What was not seen holds nothing: without a bundle or a power controller that it
//! needs, a scenario is not checked, and a fault of the bench is none of the device.
//!
//! [`Unit`] is what a way to reach a device has to give; everything else is the same for all of them.

mod bundles;
mod catalogue;
mod chance;
mod contract;
mod durable;
mod finding;
mod need;
mod p1_starts;
mod p2_unproven;
mod p3_host_lost;
mod p4_refused;
mod p5_running;
mod p6_resumes;
mod p7_floor;
mod p8_garbage;
mod scenario;
mod subject;
mod suite;
mod table;
mod unit;

pub use self::bundles::{Bundles, BundlesError, Limits, Role};
pub use self::finding::{Fault, Finding};
pub use self::scenario::{Choice, Promise, Scenario, UnknownScenario};
pub use self::suite::{Ending, Stopping, Suite, Told};
pub use self::table::{Row, Table};
pub use self::unit::{Deployed, PowerError, Unit, UnitError};
