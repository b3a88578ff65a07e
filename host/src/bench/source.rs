//! A bundle as the source of a transfer into one slot.

use std::io::Read;

use firmware_protocol::digest::Digest;
use firmware_protocol::slot::SlotId;
use thiserror::Error;

use crate::bundle::{PayloadRole, VerifiedBundle};
use crate::driver::{Source, SourceError};
use crate::session::transfer::Part;

/// The bundle has no variant for the slot.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("component {component} of the bundle has no variant for slot {slot}")]
pub(super) struct NoVariant {
    component: String,
    slot: SlotId,
}

/// The payloads of a verified bundle that go into one slot.
#[derive(Debug)]
pub(super) struct BundleSource<'a> {
    bundle: &'a VerifiedBundle,
    payloads: Vec<usize>,
    parts: Vec<Part>,
}

impl<'a> BundleSource<'a> {
    /// Picks the variants for `slot`.
    ///
    /// # Errors
    /// When a component has none.
    pub(super) fn new(bundle: &'a VerifiedBundle, slot: SlotId) -> Result<Self, NoVariant> {
        let (mut payloads, mut parts) = (Vec::new(), Vec::new());
        for (component, claims) in bundle.manifest().components.iter().enumerate() {
            let none = || NoVariant { component: claims.name.clone(), slot };
            let (variant, claims) =
                bundle.manifest().variant_for(component, slot).ok_or_else(none)?;
            let role = PayloadRole::Variant { component, variant };
            payloads.push(bundle.bundle().payload_index(role).ok_or_else(none)?);
            parts.push(Part { length: claims.length, block_size: claims.block_size });
        }
        Ok(Self { bundle, payloads, parts })
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        self.parts.clone()
    }

    fn payload(&self, component: usize) -> Result<usize, SourceError> {
        let payload = self.payloads.get(component).copied();
        payload.ok_or_else(|| format!("the bundle has no component {component}").into())
    }
}

impl Source for BundleSource<'_> {
    fn read(
        &mut self,
        component: usize,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), SourceError> {
        let mut reader = self.bundle.bundle().payload(self.payload(component)?)?;
        reader.seek_to(offset);
        Ok(reader.read_exact(buffer)?)
    }

    fn block_digests(&mut self, component: usize) -> Result<Vec<Digest>, SourceError> {
        Ok(self.bundle.bundle().block_digests(self.payload(component)?)?)
    }
}
