//! Bundles: one signed file with everything a device needs to change version (BUNDLE.md).
//!
//! The format is flat on purpose; archive formats have a history of two parsers seeing two
//! different files. Its dangers, and what is done about each:
//!
//! - a length that lies: every length is bounded before it is used, and all of them together must
//!   give the length of the file exactly;
//! - bytes swapped after the check: the file is opened once, and read through that handle only;
//! - bytes nobody signed: only the trailer's attachments and the key hints, and nothing acts on them;
//! - claims acted on too early: [`VerifiedBundle`] can only be had from [`Bundle::verify`].

mod attached;
mod container;
mod create;
mod error;
mod layout;
mod manifest;
mod measure;
mod payload;
mod problems;
mod reader;
mod spec;
#[cfg(test)]
mod tests;

pub use attached::CERTIFICATE;
pub use container::{
    Attachment, FormatError, MAX_ATTACHMENT_BYTES, MAX_ATTACHMENTS, MAX_PLAN_BYTES,
};
pub use create::{CreateError, PlanDigest, Prepared, Provenance, prepare, refuse_existing};
pub use error::BundleError;
pub use layout::PayloadRole;
pub use manifest::{HardwareClaim, ManifestError, OwnedComponent, OwnedManifest, ProvenanceClaim};
pub use payload::PayloadReader;
pub use problems::Problem;
pub use reader::{Bundle, VerifiedBundle};
pub use spec::{ComponentSpec, HardwareSpec, Spec, SpecError, VariantSpec, slot_word};
