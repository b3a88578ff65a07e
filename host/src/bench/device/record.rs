//! The boot record from outside: how worn flash is, and the record's own bytes.

use firmware_protocol::message::{MAX_RECORD_PIECE_BYTES, Reply, Request, Wear};
use firmware_protocol::record::PLACE_BYTES;
use firmware_protocol::refusal::Refusal;

use super::{Device, DeviceError};
use crate::boot_record::LONGEST_RECORD_BYTES;
use crate::session::Reading;

/// Bytes asked for at once. An odd number: so the piece that ends where the first range ends is a short one.
const PIECE_BYTES: usize = MAX_RECORD_PIECE_BYTES - 1;
/// Bytes asked for at once where more cannot be read: no part has longer words.
const WORD_BYTES: usize = 32;
/// How often a piece is asked for before it counts as unreadable, as a device does at its start.
const READ_TRIES: u8 = 3;
/// What stands for a byte that cannot be read: neither of the two that erased flash reads as.
const UNREADABLE: u8 = 0xa5;
/// Both ranges of a boot record as flash holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBytes {
    /// One range behind the other.
    pub bytes: Vec<u8>,
    /// Length of the first one, in bytes.
    pub first_range_bytes: usize,
    /// How many bytes cannot be read.
    pub unreadable_bytes: usize,
}

impl Device {
    /// How worn its flash is; `None` when it does not know the question.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn wear(&mut self) -> Result<Option<Wear>, DeviceError> {
        let answer = self.ask(Request::Wear).await?;
        match answer.reply() {
            Ok(Reply::Wear(wear)) => Ok(Some(wear)),
            Ok(_) => Err(DeviceError::OutOfTurn("wear")),
            Err(Refusal::Unknown { .. }) => Ok(None),
            Err(refusal) => Err(DeviceError::Refused(refusal)),
        }
    }

    /// Reads its boot record as flash holds it.
    ///
    /// # Errors
    /// When it does not answer, or what it says of its record's length makes no sense.
    pub async fn record_bytes(&mut self) -> Result<RecordBytes, DeviceError> {
        let total_bytes = self.record_length().await?;
        let mut reading = self.driver()?.begin_reading();
        let mut bytes = Vec::new();
        let (mut first_range_bytes, mut unreadable_bytes) = (None, 0);
        while bytes.len() < total_bytes {
            let offset = bytes.len();
            let wanted = PIECE_BYTES.min(total_bytes - offset);
            if let Some(piece) = self.record_piece(&mut reading, offset, wanted).await? {
                if piece.is_empty() || piece.len() > wanted {
                    return Err(DeviceError::OutOfTurn("record bytes"));
                }
                if piece.len() < wanted {
                    let end = offset + piece.len();
                    if first_range_bytes.is_some() || !end.is_multiple_of(PLACE_BYTES) {
                        return Err(DeviceError::OutOfTurn("record bytes"));
                    }
                    first_range_bytes = Some(end);
                }
                bytes.extend(piece);
                continue;
            }
            let wanted = wanted.min(WORD_BYTES - offset % WORD_BYTES);
            let word = self.record_piece(&mut reading, offset, wanted).await?;
            let word = word.filter(|word| word.len() == wanted).unwrap_or_else(|| {
                unreadable_bytes += wanted;
                vec![UNREADABLE; wanted]
            });
            bytes.extend(word);
        }
        let first_range_bytes = first_range_bytes.unwrap_or(total_bytes / 2);
        Ok(RecordBytes { bytes, first_range_bytes, unreadable_bytes })
    }

    async fn record_length(&mut self) -> Result<usize, DeviceError> {
        let answer = self.ask(Request::RecordBytes { offset: 0, length: 0 }).await?;
        let reply = answer.reply().map_err(DeviceError::Refused)?;
        let Reply::RecordBytes { total_bytes, .. } = reply else {
            return Err(DeviceError::OutOfTurn("record bytes"));
        };
        let total_bytes = usize::try_from(total_bytes).unwrap_or(usize::MAX);
        if total_bytes > LONGEST_RECORD_BYTES {
            return Err(DeviceError::OutOfTurn("record bytes"));
        }
        Ok(total_bytes)
    }

    /// Some of the record's bytes, fewer than asked for at the end of a range; `None` when flash does not
    /// give them.
    async fn record_piece(
        &mut self,
        reading: &mut Reading,
        offset: usize,
        wanted: usize,
    ) -> Result<Option<Vec<u8>>, DeviceError> {
        let request = Request::RecordBytes {
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            length: u16::try_from(wanted).unwrap_or(u16::MAX),
        };
        for _ in 0..READ_TRIES {
            let answer = self.ask_on(reading, "its boot record", request).await?;
            match answer.reply() {
                Ok(Reply::RecordBytes { bytes, .. }) => return Ok(Some(bytes.to_vec())),
                Ok(_) => return Err(DeviceError::OutOfTurn("record bytes")),
                Err(Refusal::Flash) => {}
                Err(refusal) => return Err(DeviceError::Refused(refusal)),
            }
        }
        Ok(None)
    }
}
