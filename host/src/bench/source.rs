//! A bundle as the source of a transfer into one slot.
//!
//! The file may be written over while it is sent, by a build that runs again. So each block is held
//! against its signed digest before a byte of it leaves: a device is not blamed for what the host read.

use std::io::{ErrorKind, Read};

use firmware_protocol::digest::Digest;
use firmware_protocol::slot::SlotId;
use thiserror::Error;

use crate::bundle::{BundleError, PayloadRole, VerifiedBundle};
use crate::driver::{Source, SourceError};
use crate::session::transfer::Part;

/// The bundle has no variant for the slot.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("component {component} of the bundle has no variant for slot {slot}")]
pub(super) struct NoVariant {
    component: String,
    index: usize,
    slot: SlotId,
}

impl NoVariant {
    /// Which component of the bundle it is, as a device counts.
    pub(super) fn index(&self) -> u8 {
        u8::try_from(self.index).unwrap_or(u8::MAX)
    }
}

/// The bytes are no longer those that were signed; they were when the transfer began.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the bundle file changed while it was being sent: {what}")]
pub(super) struct Changed {
    what: String,
}

/// The payloads of a verified bundle that go into one slot.
#[derive(Debug)]
pub(super) struct BundleSource<'a> {
    bundle: &'a VerifiedBundle,
    payloads: Vec<usize>,
    parts: Vec<Part>,
    /// The signed digests of each component's blocks, once they were needed.
    digests: Vec<Option<Vec<Digest>>>,
    block: Option<Block>,
}

/// The block that was read last: chunks are shorter, and follow each other.
#[derive(Debug)]
struct Block {
    component: usize,
    index: u64,
    bytes: Vec<u8>,
}

impl<'a> BundleSource<'a> {
    /// Picks the variants for `slot`.
    ///
    /// # Errors
    /// When a component has none.
    pub(super) fn new(bundle: &'a VerifiedBundle, slot: SlotId) -> Result<Self, NoVariant> {
        let (mut payloads, mut parts) = (Vec::new(), Vec::new());
        for (component, claims) in bundle.manifest().components.iter().enumerate() {
            let none = || NoVariant { component: claims.name.clone(), index: component, slot };
            let (variant, claims) =
                bundle.manifest().variant_for(component, slot).ok_or_else(none)?;
            let role = PayloadRole::Variant { component, variant };
            payloads.push(bundle.bundle().payload_index(role).ok_or_else(none)?);
            parts.push(Part { length: claims.length, block_size: claims.block_size });
        }
        let digests = vec![None; payloads.len()];
        Ok(Self { bundle, payloads, parts, digests, block: None })
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        self.parts.clone()
    }

    fn payload(&self, component: usize) -> Result<usize, SourceError> {
        let payload = self.payloads.get(component).copied();
        payload.ok_or_else(|| no_component(component))
    }

    fn part(&self, component: usize) -> Result<Part, SourceError> {
        self.parts.get(component).copied().ok_or_else(|| no_component(component))
    }

    fn digests(&mut self, component: usize) -> Result<&[Digest], SourceError> {
        let payload = self.payload(component)?;
        let known = self.digests.get_mut(component).ok_or_else(|| no_component(component))?;
        if known.is_none() {
            let read = self.bundle.bundle().block_digests(payload);
            *known = Some(read.map_err(changed_or_failed)?);
        }
        Ok(known.as_deref().unwrap_or_default())
    }

    /// Block `index` of a component, as signed.
    fn block(&mut self, component: usize, index: u64) -> Result<&[u8], SourceError> {
        let is_held = |block: &Block| (block.component, block.index) == (component, index);
        let held = self.block.take().filter(is_held);
        let block = match held {
            Some(block) => block,
            None => self.read_block(component, index)?,
        };
        Ok(&self.block.insert(block).bytes)
    }

    fn read_block(&mut self, component: usize, index: u64) -> Result<Block, SourceError> {
        let Part { length, block_size } = self.part(component)?;
        let from = index.saturating_mul(u64::from(block_size));
        let block_bytes = length.saturating_sub(from).min(u64::from(block_size));
        let mut bytes = vec![0; usize::try_from(block_bytes).unwrap_or(usize::MAX)];
        let mut reader = self.bundle.bundle().payload(self.payload(component)?)?;
        reader.seek_to(from);
        reader.read_exact(&mut bytes).map_err(|source| {
            changed_or_failed(BundleError::Read {
                path: self.bundle.bundle().path().into(),
                source,
            })
        })?;
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        if self.digests(component)?.get(at) != Some(&Digest::of(&bytes)) {
            let what = format!("block {index} of component {component} is not the signed one");
            return Err(Changed { what }.into());
        }
        Ok(Block { component, index, bytes })
    }
}

impl Source for BundleSource<'_> {
    fn read(
        &mut self,
        component: usize,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), SourceError> {
        let block_size = u64::from(self.part(component)?.block_size.max(1));
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let block = self.block(component, at / block_size)?;
            let skip = usize::try_from(at % block_size).unwrap_or(usize::MAX);
            let from = block.get(skip..).filter(|from| !from.is_empty());
            let from = from.ok_or_else(|| format!("component {component} ends before {at}"))?;
            let (now, later) = rest.split_at_mut(from.len().min(rest.len()));
            now.copy_from_slice(from.get(..now.len()).unwrap_or_default());
            at = at.saturating_add(u64::try_from(now.len()).unwrap_or(u64::MAX));
            rest = later;
        }
        Ok(())
    }

    fn block_digests(&mut self, component: usize) -> Result<Vec<Digest>, SourceError> {
        Ok(self.digests(component)?.to_vec())
    }
}

fn no_component(component: usize) -> SourceError {
    format!("the bundle has no component {component}").into()
}

/// The payloads were whole when the run began: what is missing or wrong now has changed since.
fn changed_or_failed(error: BundleError) -> SourceError {
    let has_changed = match &error {
        BundleError::Damaged { .. } => true,
        BundleError::Read { source, .. } => source.kind() == ErrorKind::UnexpectedEof,
        BundleError::NotAFile { .. }
        | BundleError::Format { .. }
        | BundleError::Envelope { .. }
        | BundleError::Manifest { .. }
        | BundleError::Trust { .. }
        | BundleError::NoPayload { .. }
        | BundleError::PlanText { .. } => false,
    };
    if has_changed { Changed { what: error.to_string() }.into() } else { error.into() }
}
