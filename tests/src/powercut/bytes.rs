//! What the bytes of a slot are: a release, or nothing that may run.

use firmware_protocol::flash::Range;
use firmware_protocol::layout::SlotLayout;
use firmware_protocol::slot::SlotId;
use firmware_protocol::trust::{BodyType, Envelope, EnvelopeError};
use hw_sim::SimFlash;

use super::part::Part;
use super::release::{Release, Releases};

/// What the bytes of a slot are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// A release, to the last byte.
    Release(u8),
    /// A release, but for its signatures, which only its admission looks at.
    Unsigned(u8),
    /// No release.
    Blend,
    /// Something that cannot be read.
    Unreadable,
}

impl Bytes {
    /// The release, signatures or not: what a start looks at.
    pub const fn release(self) -> Option<u8> {
        match self {
            Self::Release(number) | Self::Unsigned(number) => Some(number),
            Self::Blend | Self::Unreadable => None,
        }
    }

    /// Whether it is that release, if there is one.
    pub const fn is(self, release: Option<u8>) -> bool {
        match (self.release(), release) {
            (Some(there), Some(said)) => there == said,
            (_, _) => false,
        }
    }
}

/// What the slots' bytes are, compared one by one with what the releases should be.
pub fn bytes_in(flash: &SimFlash, part: &Part, releases: &Releases) -> [Bytes; 2] {
    SlotId::ALL.map(|slot| {
        let layout = part.layout.slots().get(slot);
        releases
            .iter()
            .map(|release| compare(flash, layout, part, release))
            .find(|bytes| *bytes != Bytes::Blend)
            .unwrap_or(Bytes::Blend)
    })
}

fn compare(flash: &SimFlash, slot: &SlotLayout, part: &Part, release: &Release) -> Bytes {
    let len_bytes = u32::try_from(release.envelope.len()).unwrap_or(u32::MAX);
    let Some(envelope) = flash.view(Range { len_bytes, ..slot.manifest }) else {
        return Bytes::Unreadable;
    };
    let is_signed = *envelope == *release.envelope;
    // One that says that it has more signatures goes on behind its end.
    let whole = flash.view(slot.manifest).unwrap_or(envelope);
    if !is_signed && signed(&whole) != signed(&release.envelope) {
        return Bytes::Blend;
    }
    for (area, payload) in slot.areas.iter().zip(&release.payloads) {
        let Some(bytes) = flash.view(area.range) else { return Bytes::Unreadable };
        if !bytes.starts_with(payload)
            || !is_blank(&bytes[payload.len()..], part.spec.geometry.erased)
        {
            return Bytes::Blend;
        }
    }
    if is_signed { Bytes::Release(release.number) } else { Bytes::Unsigned(release.number) }
}

/// Whether nothing is written there. Chunk by chunk: of each, all bytes are compared at once.
fn is_blank(bytes: &[u8], erased: u8) -> bool {
    let is_blank = |chunk: &[u8]| chunk.iter().fold(0, |bits, byte| bits | (byte ^ erased)) == 0;
    bytes.chunks(256).all(is_blank)
}

/// What signatures of an envelope cover, if it is one.
fn signed(envelope: &[u8]) -> Result<&[u8], EnvelopeError> {
    let (envelope, _) = Envelope::parse_front(envelope, BodyType::Manifest)?;
    Ok(envelope.signed())
}
