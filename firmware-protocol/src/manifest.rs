//! What a bundle claims (BUNDLE.md, "Manifest").
//!
//! These types are only the meaning of bytes. Whether anybody may act on them is decided in
//! [`crate::trust`], over the bytes as they were received.

use heapless::Vec;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::Digest;
use crate::flash::{MAX_COMPONENTS, NAME_BYTES};
use crate::slot::SlotId;
use crate::version::Version;

/// Most hardware ranges in one manifest.
pub const MAX_HARDWARE: usize = 4;
/// Most variants of one component: slot A, slot B, any.
pub const MAX_VARIANTS: usize = 3;
/// Smallest block, in bytes.
pub const MIN_BLOCK_BYTES: u32 = 512;
/// Largest block, in bytes.
pub const MAX_BLOCK_BYTES: u32 = 1 << 20;
/// Most blocks of one variant: bounds the device's map of blocks to 512 bytes.
pub const MAX_BLOCKS: u32 = 4096;

/// The signed claims of one bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest<'a> {
    /// Product the bundle is for.
    pub product: &'a str,
    /// Hardware it runs on.
    #[serde(borrow)]
    pub hardware: Vec<HardwareRange<'a>, MAX_HARDWARE>,
    /// Its version.
    pub version: Version,
    /// Security version, held against the device's floor; grows when going back must end.
    pub security_version: u64,
    /// Held against the lowest that the root record lets count; grows when everything signed before is taken back.
    pub epoch: u32,
    /// Oldest running version it can be installed over.
    pub from_version: Option<Version>,
    /// After the confirm, the version before may not be fallen back to.
    pub retires_fallback: bool,
    /// Version of the persistent data it writes.
    pub data_schema: u32,
    /// Oldest data schema reader that can still read what it writes.
    pub data_readable_by: u32,
    /// Where it came from.
    pub provenance: Provenance<'a>,
    /// For people.
    pub notes: &'a str,
    /// The qualification plan for deployment.
    pub plan: Option<PlanRef>,
    /// Everything that changes under one switch.
    pub components: Vec<Component<'a>, MAX_COMPONENTS>,
}

/// A hardware id with the revisions that fit, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardwareRange<'a> {
    /// Hardware id.
    pub id: &'a str,
    /// Oldest revision.
    pub first_revision: u32,
    /// Newest revision.
    pub last_revision: u32,
}

/// Where a bundle came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance<'a> {
    /// Commit of the source.
    pub commit: &'a str,
    /// The source had changes that are in no commit.
    pub dirty: bool,
    /// Who or what built it.
    pub builder: &'a str,
    /// When, in seconds since 1970-01-01 UTC; zero where builds are reproducible.
    pub built_at_s: u64,
}

/// The plan that travels in the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRef {
    /// Plan digest (QUALIFICATION.md, "Plan digest"): of its meaning, not of its bytes.
    pub digest: Digest,
    /// Its bytes in the bundle.
    pub payload: Payload,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component<'a> {
    /// Its name, an area of the device.
    pub name: &'a str,
    /// What it is.
    pub kind: ComponentKind,
    /// What to write, by slot.
    pub variants: Vec<Variant, MAX_VARIANTS>,
}

impl Component<'_> {
    /// The variant for `slot`: its own before `any`.
    #[must_use]
    pub fn variant_for(&self, slot: SlotId) -> Option<&Variant> {
        let own = match slot {
            SlotId::A => VariantSlot::A,
            SlotId::B => VariantSlot::B,
        };
        let find = |wanted| self.variants.iter().find(|variant| variant.slot == wanted);
        find(own).or_else(|| find(VariantSlot::Any))
    }
}

/// What a component is. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ComponentKind {
    /// Code that boots.
    Image,
    /// Configuration that the image reads.
    Config,
}

/// The slot a variant is made for. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum VariantSlot {
    /// Linked for slot A.
    A,
    /// Linked for slot B.
    B,
    /// Runs from, or is read from, either.
    Any,
}

/// One form of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The slot it is made for.
    pub slot: VariantSlot,
    /// Address it runs at, as its linker placed it; zero when that does not matter.
    pub load: u64,
    /// Length in flash, in bytes.
    pub length: u64,
    /// SHA-256 over exactly `length` bytes.
    pub digest: Digest,
    /// Block size, in bytes: the unit of resume.
    pub block_size: u32,
    /// SHA-256 over the digests of all blocks in order.
    pub block_list_digest: Digest,
    /// Its bytes in the bundle.
    pub payload: Payload,
}

impl Variant {
    /// Number of blocks; `None` when the block size or count is outside the format's bounds.
    #[must_use]
    pub fn block_count(&self) -> Option<u32> {
        let in_bounds = (MIN_BLOCK_BYTES..=MAX_BLOCK_BYTES).contains(&self.block_size)
            && self.block_size.is_power_of_two();
        let blocks = u32::try_from(self.length.div_ceil(u64::from(self.block_size.max(1)))).ok()?;
        (in_bounds && blocks <= MAX_BLOCKS).then_some(blocks)
    }
}

/// Bytes stored in the bundle. Where they lie follows from the lengths: payloads stand behind one
/// another in manifest order, so they can neither overlap nor leave a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// How they are stored.
    pub encoding: Encoding,
    /// Length as stored, in bytes.
    pub stored_length: u64,
    /// SHA-256 as stored.
    pub stored_digest: Digest,
}

/// How payload bytes are stored. Append only, before the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// As they are.
    Raw,
    /// In a way that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A body that does not decode, or breaks a rule of its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Not the encoding of this type.
    #[error("does not decode")]
    Encoding,
    /// Bytes are left behind the body.
    #[error("has bytes behind its end")]
    Trailing,
    /// Decodes, and breaks a rule.
    #[error("breaks the format's rule: {0}")]
    Rule(&'static str),
}

/// Decodes a manifest and checks the rules that hold for every manifest.
///
/// # Errors
/// When the body does not decode whole, or breaks a rule of BUNDLE.md.
pub fn decode_manifest(body: &[u8]) -> Result<Manifest<'_>, DecodeError> {
    let manifest: Manifest<'_> = decode(body)?;
    check(!manifest.product.is_empty(), "a product is named")?;
    check(!manifest.hardware.is_empty(), "at least one hardware id is named")?;
    check(!manifest.components.is_empty(), "at least one component")?;
    for (index, component) in manifest.components.iter().enumerate() {
        check_component(component)?;
        let later = manifest.components.iter().skip(index.saturating_add(1));
        check(
            later.clone().all(|other| other.name != component.name),
            "component names are unique",
        )?;
    }
    Ok(manifest)
}

fn check_component(component: &Component<'_>) -> Result<(), DecodeError> {
    let named = (1..=NAME_BYTES).contains(&component.name.len())
        && component.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    check(named, "component names are 1 to 16 letters, digits or hyphens")?;
    check(!component.variants.is_empty(), "a component has a variant")?;
    for (index, variant) in component.variants.iter().enumerate() {
        let later = component.variants.iter().skip(index.saturating_add(1));
        check(later.clone().all(|other| other.slot != variant.slot), "one variant a slot")?;
        check(variant.block_count().is_some(), "a block size within bounds")?;
        check(variant.length > 0, "a variant has bytes")?;
        let raw = variant.payload.encoding == Encoding::Raw;
        check(
            !raw || variant.payload.stored_length == variant.length,
            "a raw payload has its variant's length",
        )?;
    }
    Ok(())
}

pub(crate) fn check(holds: bool, rule: &'static str) -> Result<(), DecodeError> {
    if holds { Ok(()) } else { Err(DecodeError::Rule(rule)) }
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DecodeError> {
    let (value, rest) = postcard::take_from_bytes(body).map_err(|_| DecodeError::Encoding)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::Trailing) }
}
