//! The manifest with its own memory: what [`firmware_protocol::manifest::Manifest`] borrows from the
//! bytes, kept for as long as a command needs it.

use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::{
    Component, ComponentKind, DecodeError, HardwareRange, Manifest, PlanRef, Provenance, Variant,
    decode_manifest,
};
use firmware_protocol::slot::SlotId;
use firmware_protocol::version::Version;
use heapless::Vec as Bounded;
use thiserror::Error;

/// The claims of one bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedManifest {
    /// Product the bundle is for.
    pub product: String,
    /// Hardware it runs on.
    pub hardware: Vec<HardwareClaim>,
    /// Its version.
    pub version: Version,
    /// Security version, held against the device's floor.
    pub security_version: u64,
    /// Held against the lowest epoch that the device's root record lets count.
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
    pub provenance: ProvenanceClaim,
    /// For people.
    pub notes: String,
    /// The qualification plan for deployment.
    pub plan: Option<PlanRef>,
    /// Everything that changes under one switch.
    pub components: Vec<OwnedComponent>,
}

/// A hardware id with the revisions that fit, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardwareClaim {
    /// Hardware id.
    pub id: String,
    /// Oldest revision.
    pub first_revision: u32,
    /// Newest revision.
    pub last_revision: u32,
}

/// Where a bundle came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProvenanceClaim {
    /// Commit of the source.
    pub commit: String,
    /// The source had changes that are in no commit.
    pub dirty: bool,
    /// Who or what built it.
    pub builder: String,
    /// When, in seconds since 1970-01-01 UTC; zero where builds are reproducible.
    pub built_at_s: u64,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedComponent {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ComponentKind,
    /// What to write, by slot.
    pub variants: Vec<Variant>,
}

/// Why claims do not make a manifest.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// A list is longer than a device takes.
    #[error("{what}: {got} given, a manifest takes {limit} at most")]
    TooMany {
        /// The list.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// It does not encode.
    #[error("failed to encode the manifest")]
    Encode(#[source] postcard::Error),
    /// Encoded, and against a rule.
    #[error("the manifest cannot be used")]
    Rule(#[source] DecodeError),
}

impl OwnedManifest {
    /// The signed body of these claims, checked as a device will check it.
    ///
    /// # Errors
    /// When a list is too long or a rule of the format is broken.
    pub fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        let manifest = Manifest {
            product: &self.product,
            hardware: bounded("hardware ids", self.hardware.iter().map(HardwareClaim::borrow))?,
            version: self.version.clone(),
            security_version: self.security_version,
            epoch: self.epoch,
            from_version: self.from_version.clone(),
            retires_fallback: self.retires_fallback,
            data_schema: self.data_schema,
            data_readable_by: self.data_readable_by,
            provenance: self.provenance.borrow(),
            notes: &self.notes,
            plan: self.plan,
            components: self.borrow_components()?,
        };
        let body = postcard::to_stdvec(&manifest).map_err(ManifestError::Encode)?;
        decode_manifest(&body).map_err(ManifestError::Rule)?;
        Ok(body)
    }

    /// The variant of component `index` for `slot`, with its place among the component's variants.
    #[must_use]
    pub fn variant_for(&self, index: usize, slot: SlotId) -> Option<(usize, &Variant)> {
        let component = self.components.get(index)?;
        let chosen = *component.borrow().ok()?.variant_for(slot)?;
        component.variants.iter().enumerate().find(|(_, variant)| **variant == chosen)
    }

    fn borrow_components<const N: usize>(
        &self,
    ) -> Result<Bounded<Component<'_>, N>, ManifestError> {
        let components: Result<Vec<_>, _> =
            self.components.iter().map(OwnedComponent::borrow).collect();
        bounded("components", components?.into_iter())
    }
}

impl From<&Manifest<'_>> for OwnedManifest {
    fn from(manifest: &Manifest<'_>) -> Self {
        Self {
            product: manifest.product.to_owned(),
            hardware: manifest.hardware.iter().map(HardwareClaim::from).collect(),
            version: manifest.version.clone(),
            security_version: manifest.security_version,
            epoch: manifest.epoch,
            from_version: manifest.from_version.clone(),
            retires_fallback: manifest.retires_fallback,
            data_schema: manifest.data_schema,
            data_readable_by: manifest.data_readable_by,
            provenance: ProvenanceClaim::from(&manifest.provenance),
            notes: manifest.notes.to_owned(),
            plan: manifest.plan,
            components: manifest.components.iter().map(OwnedComponent::from).collect(),
        }
    }
}

impl HardwareClaim {
    /// As a manifest or a certificate holds it.
    #[must_use]
    pub fn borrow(&self) -> HardwareRange<'_> {
        HardwareRange {
            id: &self.id,
            first_revision: self.first_revision,
            last_revision: self.last_revision,
        }
    }
}

impl From<&HardwareRange<'_>> for HardwareClaim {
    fn from(range: &HardwareRange<'_>) -> Self {
        Self {
            id: range.id.to_owned(),
            first_revision: range.first_revision,
            last_revision: range.last_revision,
        }
    }
}

impl ProvenanceClaim {
    fn borrow(&self) -> Provenance<'_> {
        Provenance {
            commit: &self.commit,
            dirty: self.dirty,
            builder: &self.builder,
            built_at_s: self.built_at_s,
        }
    }
}

impl From<&Provenance<'_>> for ProvenanceClaim {
    fn from(provenance: &Provenance<'_>) -> Self {
        Self {
            commit: provenance.commit.to_owned(),
            dirty: provenance.dirty,
            builder: provenance.builder.to_owned(),
            built_at_s: provenance.built_at_s,
        }
    }
}

impl OwnedComponent {
    fn borrow(&self) -> Result<Component<'_>, ManifestError> {
        let variants = bounded("variants of a component", self.variants.iter().copied())?;
        Ok(Component { name: &self.name, kind: self.kind, variants })
    }
}

impl From<&Component<'_>> for OwnedComponent {
    fn from(component: &Component<'_>) -> Self {
        Self {
            name: component.name.to_owned(),
            kind: component.kind,
            variants: component.variants.to_vec(),
        }
    }
}

fn bounded<T, const N: usize>(
    what: &'static str,
    items: impl ExactSizeIterator<Item = T>,
) -> Result<Bounded<T, N>, ManifestError> {
    let got = items.len();
    let mut list = Bounded::new();
    for item in items {
        list.push(item).map_err(|_| ManifestError::TooMany { what, got, limit: N })?;
    }
    Ok(list)
}

/// The bundle digest of a manifest body.
pub(super) fn bundle_digest(body: &[u8]) -> Digest {
    Digest::of(body)
}

#[cfg(test)]
pub(super) mod tests {
    use firmware_protocol::manifest::{Encoding, Payload, VariantSlot};

    use super::*;

    pub(in crate::bundle) fn example() -> OwnedManifest {
        let payload = Payload {
            encoding: Encoding::Raw,
            stored_length: 5000,
            stored_digest: Digest([1; 32]),
        };
        let variant = |slot| Variant {
            slot,
            load: 0x0800_0000,
            length: 5000,
            digest: Digest([1; 32]),
            block_size: 4096,
            block_list_digest: Digest([2; 32]),
            payload,
        };
        OwnedManifest {
            product: "rover-nav".into(),
            hardware: vec![HardwareClaim { id: "nav".into(), first_revision: 2, last_revision: 3 }],
            version: "1.2.3-rc.1".parse().unwrap(),
            security_version: 7,
            epoch: 3,
            from_version: Some(Version::new(1, 0, 0)),
            retires_fallback: true,
            data_schema: 3,
            data_readable_by: 2,
            provenance: ProvenanceClaim { commit: "abc".into(), ..ProvenanceClaim::default() },
            notes: "fixes the drift".into(),
            plan: Some(PlanRef { digest: Digest([3; 32]), payload }),
            components: vec![OwnedComponent {
                name: "app".into(),
                kind: ComponentKind::Image,
                variants: vec![variant(VariantSlot::Any), variant(VariantSlot::B)],
            }],
        }
    }

    #[test]
    fn claims_come_back_as_they_went_in() {
        let body = example().encode().unwrap();
        assert_eq!(OwnedManifest::from(&decode_manifest(&body).unwrap()), example());
    }

    #[test]
    fn a_slots_own_variant_goes_before_any() {
        let manifest = example();
        assert_eq!(manifest.variant_for(0, SlotId::A).unwrap().0, 0);
        assert_eq!(manifest.variant_for(0, SlotId::B).unwrap().0, 1);
        assert!(manifest.variant_for(1, SlotId::A).is_none());
    }

    #[test]
    fn lists_longer_than_a_device_takes_are_named() {
        let mut manifest = example();
        let claim = manifest.hardware[0].clone();
        manifest.hardware = vec![claim; 5];
        let error = manifest.encode().unwrap_err().to_string();
        assert_eq!(error, "hardware ids: 5 given, a manifest takes 4 at most");
    }
}
