//! Carries out what a deployment's machine asks for: on a device, on this host, in the record.

mod certificate;
mod command;
mod device;
mod facts;
mod failed;
mod refused;
mod run;
mod source;
mod transfer;

pub use self::command::run as run_program;
pub use self::device::{
    Device, DeviceError, HostIdentity, Instead, Meets, Opened, Opening, RecordBytes, Shows, Waiting,
};
pub use self::facts::{device_facts, place, status_facts};
pub use self::run::{Progressed, RunError, RunSetup, run};
pub use self::transfer::Staging;
