//! The bytes around envelope and payloads: header in front, trailer behind (BUNDLE.md, "Layout").
//!
//! ```text
//! "NFBUNDLE" | version u16 | zero u16 | envelope length u32 | envelope | payloads ...
//!            | attachment count u32 | { type u16 | length u32 | bytes } ...
//! ```
//! All numbers are little-endian.

use firmware_protocol::planted::Defence;
use firmware_protocol::trust::MAX_ENVELOPE_BYTES;
use thiserror::Error;

/// Most attachments of one bundle.
pub const MAX_ATTACHMENTS: u32 = 16;
/// Longest attachment, in bytes.
pub const MAX_ATTACHMENT_BYTES: u32 = 64 * 1024;
/// Longest plan payload, in bytes: as long as a plan may be (QUALIFICATION.md).
pub const MAX_PLAN_BYTES: u64 = 256 * 1024;

pub(super) const HEADER_BYTES: usize = 16;
/// Longest trailer: 4 B count + 16 x (6 B head + 64 KiB).
pub(super) const MAX_TRAILER_BYTES: u64 =
    4 + MAX_ATTACHMENTS as u64 * (6 + MAX_ATTACHMENT_BYTES as u64);

const MAGIC: [u8; 8] = *b"NFBUNDLE";
const FORMAT_VERSION: u16 = 1;

/// Something behind the payloads that nobody signed, such as a certificate with its own signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What it is; a reader passes over types it does not know.
    pub kind: u16,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// How a file fails to be a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FormatError {
    /// Another kind of file.
    #[error("it does not start with NFBUNDLE")]
    Magic,
    /// A later format.
    #[error("its format version is {got}, this noflake reads version {FORMAT_VERSION}")]
    Version {
        /// As found.
        got: u16,
    },
    /// A bit that has no meaning yet is set.
    #[error("its reserved header field is {got}, expected 0")]
    Reserved {
        /// As found.
        got: u16,
    },
    /// The envelope would not fit a device.
    #[error("its envelope has {got} bytes, the limit is {MAX_ENVELOPE_BYTES}")]
    EnvelopeLength {
        /// As found, in bytes.
        got: u32,
    },
    /// The file ends too early.
    #[error("it ends inside {what}: {expected} bytes expected, {got} there")]
    Truncated {
        /// What is cut.
        what: &'static str,
        /// Length of that, or of the file up to its end, in bytes.
        expected: u64,
        /// What is there, in bytes.
        got: u64,
    },
    /// Lengths that add up to more than a file can have.
    #[error("its payload lengths add up to more than 2^64 bytes")]
    Overflow,
    /// A plan longer than the format takes.
    #[error("its plan has {got} bytes, the limit is {MAX_PLAN_BYTES}")]
    PlanLength {
        /// As signed, in bytes.
        got: u64,
    },
    /// Too many attachments.
    #[error("it has {got} attachments, the limit is {MAX_ATTACHMENTS}")]
    AttachmentCount {
        /// As found.
        got: u32,
    },
    /// An attachment is too long.
    #[error("an attachment has {got} bytes, the limit is {MAX_ATTACHMENT_BYTES}")]
    AttachmentLength {
        /// As found, in bytes.
        got: u32,
    },
    /// The file goes on behind its end.
    #[error("{extra} bytes are left behind its end")]
    Trailing {
        /// How many.
        extra: u64,
    },
}

/// The header of a bundle whose envelope has `envelope_bytes`.
pub(super) fn encode_header(envelope_bytes: u32) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    header.extend_from_slice(&0_u16.to_le_bytes());
    header.extend_from_slice(&envelope_bytes.to_le_bytes());
    header
}

/// The length of the envelope behind `header`, within its bounds.
pub(super) fn decode_header(header: [u8; HEADER_BYTES]) -> Result<u32, FormatError> {
    let [magic @ .., v0, v1, r0, r1, l0, l1, l2, l3] = header;
    if magic != MAGIC {
        return Err(FormatError::Magic);
    }
    match (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([r0, r1])) {
        (FORMAT_VERSION, 0) => {}
        (FORMAT_VERSION, got) => return Err(FormatError::Reserved { got }),
        (got, _) => return Err(FormatError::Version { got }),
    }
    let got = u32::from_le_bytes([l0, l1, l2, l3]);
    let fits = usize::try_from(got).is_ok_and(|length| length <= MAX_ENVELOPE_BYTES);
    if fits { Ok(got) } else { Err(FormatError::EnvelopeLength { got }) }
}

/// The trailer that holds `attachments`.
pub(super) fn encode_trailer(attachments: &[Attachment]) -> Result<Vec<u8>, FormatError> {
    let count = u32::try_from(attachments.len()).unwrap_or(u32::MAX);
    if count > MAX_ATTACHMENTS {
        return Err(FormatError::AttachmentCount { got: count });
    }
    let mut trailer = count.to_le_bytes().to_vec();
    for attachment in attachments {
        let got = u32::try_from(attachment.bytes.len()).unwrap_or(u32::MAX);
        if got > MAX_ATTACHMENT_BYTES {
            return Err(FormatError::AttachmentLength { got });
        }
        trailer.extend_from_slice(&attachment.kind.to_le_bytes());
        trailer.extend_from_slice(&got.to_le_bytes());
        trailer.extend_from_slice(&attachment.bytes);
    }
    Ok(trailer)
}

/// Takes a trailer apart; `bytes` hold it and nothing else.
pub(super) fn decode_trailer(bytes: &[u8]) -> Result<Vec<Attachment>, FormatError> {
    let (count, mut rest) = take::<4>(bytes)?;
    let got = u32::from_le_bytes(count);
    if got > MAX_ATTACHMENTS {
        return Err(FormatError::AttachmentCount { got });
    }
    let mut attachments = Vec::new();
    for _ in 0..got {
        let ([k0, k1, l0, l1, l2, l3], behind) = take::<6>(rest)?;
        let got = u32::from_le_bytes([l0, l1, l2, l3]);
        if got > MAX_ATTACHMENT_BYTES {
            return Err(FormatError::AttachmentLength { got });
        }
        let length = usize::try_from(got).unwrap_or(usize::MAX);
        let (body, behind) =
            behind.split_at_checked(length).ok_or_else(|| cut(u64::from(got), behind.len()))?;
        attachments.push(Attachment { kind: u16::from_le_bytes([k0, k1]), bytes: body.to_vec() });
        rest = behind;
    }
    if rest.is_empty() || Defence::BundleLayout.is_off() {
        Ok(attachments)
    } else {
        Err(FormatError::Trailing { extra: u64::try_from(rest.len()).unwrap_or(u64::MAX) })
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), FormatError> {
    let expected = u64::try_from(N).unwrap_or(u64::MAX);
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or_else(|| cut(expected, bytes.len()))?;
    Ok((*head, rest))
}

fn cut(expected: u64, got: usize) -> FormatError {
    let got = u64::try_from(got).unwrap_or(u64::MAX);
    FormatError::Truncated { what: "its trailer", expected, got }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header is on disks already: never edit these bytes.
    #[test]
    fn the_header_of_version_1_is_these_bytes() {
        let golden = *b"NFBUNDLE\x01\x00\x00\x00\x2C\x01\x00\x00";
        assert_eq!(encode_header(300), golden);
        assert_eq!(decode_header(golden), Ok(300));
    }

    #[test]
    fn a_header_of_another_format_is_refused() {
        let with = |index: usize, byte| {
            let mut header = <[u8; HEADER_BYTES]>::try_from(encode_header(300)).unwrap();
            header[index] = byte;
            decode_header(header).unwrap_err()
        };
        assert_eq!(with(0, b'X'), FormatError::Magic);
        assert_eq!(with(8, 2), FormatError::Version { got: 2 });
        assert_eq!(with(10, 1), FormatError::Reserved { got: 1 });
        assert!(matches!(with(15, 0xFF), FormatError::EnvelopeLength { .. }));
    }

    #[test]
    fn a_trailer_comes_back_whole_or_not_at_all() {
        let attachments = vec![
            Attachment { kind: 1, bytes: b"certificate".to_vec() },
            Attachment { kind: 0xFFFF, bytes: Vec::new() },
        ];
        let bytes = encode_trailer(&attachments).unwrap();
        assert_eq!(decode_trailer(&bytes).unwrap(), attachments);
        for cut in 0..bytes.len() {
            assert!(decode_trailer(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(decode_trailer(&longer), Err(FormatError::Trailing { extra: 1 }));
    }

    #[test]
    fn more_or_longer_attachments_than_allowed_are_refused_from_their_numbers() {
        let many = 17_u32.to_le_bytes();
        assert_eq!(decode_trailer(&many), Err(FormatError::AttachmentCount { got: 17 }));
        let long = [&1_u32.to_le_bytes()[..], &[1, 0], &u32::MAX.to_le_bytes()].concat();
        assert_eq!(decode_trailer(&long), Err(FormatError::AttachmentLength { got: u32::MAX }));
    }
}
