//! The flash of a device that leaves the factory: an image in slot A, and a boot record that has
//! admitted it.

use firmware_protocol::boot::BootState;
use firmware_protocol::digest::{Digest, Hasher};
use firmware_protocol::flash::{Flash, FlashError, Range};
use firmware_protocol::layout::{Layout, SlotLayout};
use firmware_protocol::manifest::{
    Component, ComponentKind, DecodeError, Encoding, HardwareRange, Manifest, Payload, Provenance,
    Variant, VariantSlot, decode_manifest,
};
use firmware_protocol::record::{RecordError, RecordStore};
use firmware_protocol::slot::{SlotId, SlotState};
use firmware_protocol::trust::{
    BodyType, DOMAIN, Envelope, EnvelopeError, TrustError, verify_first_root,
};
use firmware_protocol::version::Version;
use thiserror::Error;

use crate::flash::SimFlash;
use crate::scenario::{AreaKeys, Scenario};

/// Most bytes of each component of the image that a device gets when it is given none.
const FILLER_BYTES: u32 = 8192;
const BLOCK_BYTES: u32 = 1024;

/// A bundle to put into slot A at the factory.
#[derive(Debug, Clone)]
pub struct FactoryBundle {
    /// The manifest's envelope, as it stands in the bundle.
    pub envelope: Vec<u8>,
    /// Names and decoded bytes of the components, in the variant for slot A.
    pub components: Vec<(String, Vec<u8>)>,
}

/// Why a device cannot be made.
#[derive(Debug, Error)]
pub enum FactoryError {
    /// The bundle's envelope is none.
    #[error("the factory bundle's envelope cannot be read")]
    Envelope(#[from] EnvelopeError),
    /// The bundle's manifest does not decode.
    #[error("the factory bundle's manifest cannot be used")]
    Manifest(#[from] DecodeError),
    /// A component does not go with the device or its manifest.
    #[error("component {name:?} of the factory bundle {problem}")]
    Component {
        /// The component.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The manifest or root record is longer than its place.
    #[error("{what} has {got} bytes, its place on flash {room}")]
    TooLong {
        /// What.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The room there is.
        room: u32,
    },
    /// The filler image's manifest does not encode.
    #[error("the factory image's manifest does not encode")]
    Encode(#[from] postcard::Error),
    /// The root record is not one.
    #[error("the root record cannot be enrolled")]
    Root(#[from] TrustError),
    /// Flash refused.
    #[error("failed to write the factory's flash contents")]
    Flash(#[from] FlashError),
    /// The boot record was not written.
    #[error("failed to write the factory's boot record")]
    Record(#[from] RecordError),
}

/// Fills a blank part. Without a bundle, slot A gets a small image of version 1.0.0 that nobody
/// signed; with a root record, the device is enrolled already.
pub(crate) fn provision(
    scenario: &Scenario,
    layout: &Layout,
    flash: &mut SimFlash,
    bundle: Option<&FactoryBundle>,
    root: Option<&[u8]>,
) -> Result<(), FactoryError> {
    let filler = if bundle.is_none() { Some(filler_bundle(scenario)?) } else { None };
    let mut state = BootState { active: Some(SlotId::A), ..BootState::default() };
    if let Some(bundle) = bundle.or(filler.as_ref()) {
        let (digest, security_version) = install(layout, flash, bundle)?;
        state.slots.a = SlotState::Admitted { bundle: digest };
        state.accept_floor = security_version;
    }
    if let Some(root) = root {
        let verified = verify_first_root(root)?;
        state.root_version = verified.claims().version;
        state.life_cycle = verified.claims().life_cycle;
        state.root_digest = verified.digest();
        // Where the engine looks for it: even and odd versions have a place each.
        let [even, odd] = layout.trust();
        let place = if state.root_version.is_multiple_of(2) { even } else { odd };
        write_document(flash, place, root, "the root record")?;
    }
    RecordStore::load(flash, layout.record()).write(flash, &state)?;
    flash.forget_history();
    Ok(())
}

/// Puts a bundle into slot A; gives its digest and security version.
fn install(
    layout: &Layout,
    flash: &mut SimFlash,
    bundle: &FactoryBundle,
) -> Result<(Digest, u64), FactoryError> {
    let envelope = Envelope::parse(&bundle.envelope, BodyType::Manifest)?;
    let manifest = decode_manifest(envelope.body())?;
    let slot = &layout.slots().a;
    write_document(flash, slot.manifest, &bundle.envelope, "the factory bundle's manifest")?;
    for component in &manifest.components {
        let range = check_component(slot, component, bundle).map_err(|problem| {
            FactoryError::Component { name: component.name.to_owned(), problem }
        })?;
        write_padded(flash, range.0, range.1)?;
    }
    Ok((envelope.body_digest(), manifest.security_version))
}

/// Where a component goes, and its bytes, if everything about it fits.
fn check_component<'a>(
    slot: &SlotLayout,
    component: &Component<'_>,
    bundle: &'a FactoryBundle,
) -> Result<(Range, &'a [u8]), &'static str> {
    let (_, area) = slot.area(component.name).ok_or("has no area on the device")?;
    let variant = component.variant_for(SlotId::A).ok_or("has no variant for slot A")?;
    let given = bundle.components.iter().find(|(name, _)| name == component.name);
    let (_, bytes) = given.ok_or("was not handed over")?;
    if bytes.len() as u64 != variant.length || Digest::of(bytes) != variant.digest {
        return Err("is not what its manifest says");
    }
    if bytes.len() > area.range.len_bytes as usize {
        return Err("is longer than its area");
    }
    Ok((area.range, bytes))
}

fn write_document(
    flash: &mut SimFlash,
    place: Range,
    bytes: &[u8],
    what: &'static str,
) -> Result<(), FactoryError> {
    if bytes.len() > place.len_bytes as usize {
        return Err(FactoryError::TooLong { what, got: bytes.len(), room: place.len_bytes });
    }
    write_padded(flash, place, bytes)
}

/// The rest of the last word stays erased, as what follows the bytes is checked to be.
fn write_padded(flash: &mut SimFlash, place: Range, bytes: &[u8]) -> Result<(), FactoryError> {
    let word = flash.geometry().word_bytes as usize;
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(word), flash.geometry().erased);
    Ok(flash.overwrite(place.start, &padded)?)
}

/// A small image for the scenario's device, the same bytes every time.
fn filler_bundle(scenario: &Scenario) -> Result<FactoryBundle, FactoryError> {
    let device = &scenario.device;
    let filler = |area: &AreaKeys| {
        (area.name.clone(), filler_bytes(&area.name, area.bytes.min(FILLER_BYTES)))
    };
    let components: Vec<(String, Vec<u8>)> = device.areas.iter().map(filler).collect();
    let range = HardwareRange {
        id: &device.hardware,
        first_revision: device.revision,
        last_revision: device.revision,
    };
    let manifest = Manifest {
        product: &device.product,
        hardware: heapless::Vec::from_iter([range]),
        version: Version::new(1, 0, 0),
        security_version: 0,
        epoch: 0,
        from_version: None,
        retires_fallback: false,
        data_schema: 1,
        data_readable_by: 1,
        provenance: Provenance { commit: "", dirty: false, builder: "hw-sim", built_at_s: 0 },
        notes: "factory image of a simulated device",
        plan: None,
        components: components.iter().map(|(name, bytes)| filler_component(name, bytes)).collect(),
    };
    let body = postcard::to_stdvec(&manifest)?;
    drop(manifest);
    Ok(FactoryBundle { envelope: unsigned(&body), components })
}

fn filler_component<'a>(name: &'a str, bytes: &[u8]) -> Component<'a> {
    let mut list = Hasher::new();
    for block in bytes.chunks(BLOCK_BYTES as usize) {
        list.update(&Digest::of(block).0);
    }
    let length = bytes.len() as u64;
    let digest = Digest::of(bytes);
    let payload = Payload { encoding: Encoding::Raw, stored_length: length, stored_digest: digest };
    let variant = Variant {
        slot: VariantSlot::Any,
        load: 0,
        length,
        digest,
        block_size: BLOCK_BYTES,
        block_list_digest: list.finish(),
        payload,
    };
    let kind = if name == "config" { ComponentKind::Config } else { ComponentKind::Image };
    Component { name, kind, variants: heapless::Vec::from_iter([variant]) }
}

/// Bytes that follow from the name alone: a chain of digests, so that no two blocks are alike.
fn filler_bytes(name: &str, len_bytes: u32) -> Vec<u8> {
    let mut digest = Digest::of(name.as_bytes());
    let mut bytes = Vec::new();
    while bytes.len() < len_bytes as usize {
        bytes.extend(digest.0);
        digest = Digest::of(&digest.0);
    }
    bytes.truncate(len_bytes as usize);
    bytes
}

/// An envelope that carries no signature: the boot stage compares digests, it does not judge trust.
fn unsigned(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut envelope = DOMAIN.to_vec();
    envelope.push(BodyType::Manifest as u8);
    envelope.extend(length.to_le_bytes());
    envelope.extend(body);
    envelope.push(0);
    envelope
}

#[cfg(test)]
mod tests {
    use firmware_protocol::boot::{BootRow, ResetCause, Start};
    use firmware_protocol::start::{BootCheck, boot};

    use super::*;
    use crate::layout::lay_out;

    fn provisioned(text: &str) -> (SimFlash, Layout) {
        let text = format!("schema = \"hwsim/1\"\n{text}");
        let scenario = Scenario::parse(&text, "test.toml").unwrap();
        let (spec, layout) = lay_out(&scenario).unwrap();
        let mut flash = SimFlash::in_memory(spec);
        provision(&scenario, &layout, &mut flash, None, None).unwrap();
        (flash, layout)
    }

    #[test]
    fn a_new_device_boots_its_factory_image_on_every_geometry() {
        for word in [1, 2, 4, 8, 16, 32] {
            for erased in [0, 255] {
                let keys = format!(
                    "[flash]\nword_bytes = {word}\nerased = {erased}\n\
                     blocks = [{{ bytes = 2048, count = 3 }}, {{ bytes = 16384 }}]\n"
                );
                let (mut flash, layout) = provisioned(&keys);
                let handover = boot(&mut flash, &layout, ResetCause::PowerOn, BootCheck::Full);
                assert_eq!(handover.start, Start::Slot(SlotId::A), "word {word}, erased {erased}");
                assert_eq!(handover.row, BootRow::Confirmed);
            }
        }
    }

    #[test]
    fn the_factory_leaves_no_trace_in_the_counters() {
        assert_eq!(provisioned("").0.counters().operations, 0);
    }

    #[test]
    fn a_component_that_does_not_fit_its_manifest_is_named() {
        let scenario = Scenario::default();
        let (spec, layout) = lay_out(&scenario).unwrap();
        let mut bundle = filler_bundle(&scenario).unwrap();
        if let Some((_, bytes)) = bundle.components.first_mut() {
            bytes.push(0);
        }
        let mut flash = SimFlash::in_memory(spec);
        let error = provision(&scenario, &layout, &mut flash, Some(&bundle), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "component \"app\" of the factory bundle is not what its manifest says"
        );
    }

    #[test]
    fn a_root_record_that_is_none_is_refused() {
        let scenario = Scenario::default();
        let (spec, layout) = lay_out(&scenario).unwrap();
        let mut flash = SimFlash::in_memory(spec);
        let result = provision(&scenario, &layout, &mut flash, None, Some(b"not a root record"));
        assert!(matches!(result, Err(FactoryError::Root(_))));
    }
}
