//! Reads signed documents back from flash, as far as they reach.

use crate::flash::{Flash, FlashError, Range};
use crate::trust::{BodyType, Envelope, MAX_ENVELOPE_BYTES};

/// Reads the envelope at the front of a place; what cannot be read behind it does not matter.
///
/// # Errors
/// When flash cannot be read before the envelope's end, or `bytes` has no room for the place.
pub(crate) fn read_envelope<'b, F: Flash>(
    flash: &mut F,
    place: Range,
    kind: BodyType,
    bytes: &'b mut [u8],
) -> Result<&'b [u8], FlashError> {
    let length = usize::try_from(place.len_bytes).unwrap_or(usize::MAX).min(MAX_ENVELOPE_BYTES);
    let bytes = bytes.get_mut(..length).ok_or(FlashError::OutOfBounds)?;
    let Err(error) = flash.read(place.start, bytes) else { return Ok(bytes) };
    let word_bytes = flash.geometry().word_bytes;
    let (mut address, mut whole) = (place.start, 0_usize);
    for word in bytes.chunks_mut(usize::try_from(word_bytes).unwrap_or(1).max(1)) {
        if flash.read(address, word).is_err() {
            break;
        }
        whole = whole.saturating_add(word.len());
        address = address.saturating_add(word_bytes);
    }
    let front = bytes.get(..whole).unwrap_or_default();
    if Envelope::parse_front(front, kind).is_ok() { Ok(front) } else { Err(error) }
}
