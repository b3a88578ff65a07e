//! A boot record without its device: both ranges of flash in a file, one behind the other (BOOT.md, "Dump").
//!
//! The engine's own code reads it. Nothing here is believed: any file whatsoever is either a record, or an error
//! that says what is wrong with the file.

use std::io;
use std::path::{Path, PathBuf};

use firmware_protocol::boot::BootState;
use firmware_protocol::flash::{Flash, FlashError, Geometry, Range};
use firmware_protocol::record::{ENTRY_BYTES, EntryHead, PLACE_BYTES, RecordStore, read_entry};
use thiserror::Error;

use crate::input;

/// Longest record that is taken from a file or a device: no part needs a hundredth.
pub const LONGEST_RECORD_BYTES: usize = 4 << 20;

/// First bytes of every entry, whatever its format; the number of the format follows.
const MAGIC: &[u8; 3] = b"NFR";
/// The format that the engine reads.
const FORMAT: u8 = b'1';

/// Why a file cannot be read as a boot record.
#[derive(Debug, Error)]
pub enum RecordFileError {
    /// The system refused.
    #[error("failed to read boot record {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No record is so long.
    #[error(
        "{} has {got} bytes, a boot record two ranges of whole places of {PLACE_BYTES} bytes each",
        path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length, in bytes.
        got: usize,
    },
    /// The ranges do not fit into it.
    #[error(
        "{} has {got} bytes, which does not leave two ranges of whole places of {PLACE_BYTES} bytes, the \
         first of {first_range_bytes}",
        path.display()
    )]
    FirstRange {
        /// The file.
        path: PathBuf,
        /// Its length, in bytes.
        got: usize,
        /// Length of the first range, in bytes.
        first_range_bytes: usize,
    },
    /// Not one place begins as an entry does, and something is there.
    #[error(
        "{} is no boot record: none of its {places} places begins as an entry does",
        path.display()
    )]
    NotARecord {
        /// The file.
        path: PathBuf,
        /// Places in it.
        places: u32,
    },
    /// Entries of another format only.
    #[error(
        "{} holds entries of the format NFR{}, this noflake knows NFR1",
        path.display(), format.escape_ascii()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The format found.
        format: u8,
    },
    /// The numbers of the entries fit no two ranges of these lengths.
    #[error(
        "{} is no boot record of two ranges of {} and {} bytes: the numbers of its entries do not run on",
        path.display(), ranges[0], ranges[1]
    )]
    Ranges {
        /// The file.
        path: PathBuf,
        /// The lengths, in bytes.
        ranges: [u32; 2],
    },
}

/// A boot record as a file holds it.
#[derive(Debug, Clone)]
pub struct BootRecord {
    store: RecordStore,
    ranges: [Range; 2],
    entries: u32,
    version: u8,
}

impl BootRecord {
    /// Reads the file at `path`; the first of its ranges is half of it, unless its length is given.
    ///
    /// # Errors
    /// When the file is not readable, or no boot record.
    pub fn read(path: &Path, first_range_bytes: Option<u32>) -> Result<Self, RecordFileError> {
        let limit = u64::try_from(LONGEST_RECORD_BYTES).unwrap_or(u64::MAX);
        let failed = |source| RecordFileError::Read { path: path.to_owned(), source };
        Self::from_bytes(path, input::read(path, limit).map_err(failed)?, first_range_bytes)
    }

    fn from_bytes(
        path: &Path,
        bytes: Vec<u8>,
        first_range_bytes: Option<u32>,
    ) -> Result<Self, RecordFileError> {
        let ranges = ranges_in(path, bytes.len(), first_range_bytes)?;
        let places: Vec<Place> =
            (0..).zip(ranges).flat_map(|(range, at)| places_of(&bytes, range, at)).collect();
        let is_blank = bytes.iter().all(|byte| Some(byte) == bytes.first());
        let entries: Vec<&Place> = places.iter().filter(|place| place.head.is_some()).collect();
        if entries.is_empty() && !(is_blank && matches!(bytes.first(), Some(0x00 | 0xff))) {
            refuse_stranger(path, &places)?;
        }
        let numbers = |range| entries.iter().filter(move |place| place.range == range);
        let runs_on = |range| {
            let mut firsts = numbers(range).map(|place| place.first_number());
            let first = firsts.next();
            firsts.all(|other| Some(other) == first)
        };
        if !(runs_on(0) && runs_on(1)) {
            let ranges = ranges.map(|range| range.len_bytes);
            return Err(RecordFileError::Ranges { path: path.to_owned(), ranges });
        }
        let entries = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let erased = erased_byte(&bytes, &places);
        let store = RecordStore::load(&mut Held { bytes, erased }, ranges);
        let version = store.state().map_or(0, |state| state.carried.version);
        Ok(Self { store, ranges, entries, version })
    }

    /// The state in force; `None` when no entry can be read.
    #[must_use]
    pub const fn state(&self) -> Option<&BootState> {
        self.store.state()
    }

    /// Whether the last write came to its end: otherwise the next start writes the state anew.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.store.is_settled()
    }

    /// Number of the place of the entry in force.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.store.sequence()
    }

    /// Version of the newest writer whose fields the entry in force holds.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// The lengths of both ranges, in bytes.
    #[must_use]
    pub fn range_bytes(&self) -> [u32; 2] {
        self.ranges.map(|range| range.len_bytes)
    }

    /// How many places there are.
    #[must_use]
    pub fn places(&self) -> u32 {
        self.ranges.into_iter().map(RecordStore::places_in).fold(0, u32::saturating_add)
    }

    /// How many of them hold an entry that is whole.
    #[must_use]
    pub const fn entries(&self) -> u32 {
        self.entries
    }
}

/// Where both ranges lie in the file.
fn ranges_in(
    path: &Path,
    got: usize,
    first_range_bytes: Option<u32>,
) -> Result<[Range; 2], RecordFileError> {
    let path = path.to_owned();
    let place_bytes = u32::try_from(PLACE_BYTES).unwrap_or(u32::MAX);
    let is_whole = |len_bytes: u32| len_bytes > 0 && len_bytes.is_multiple_of(place_bytes);
    let total_bytes = u32::try_from(got).unwrap_or(u32::MAX);
    let first = first_range_bytes.unwrap_or(total_bytes / 2);
    let second = total_bytes.checked_sub(first);
    match (second, first_range_bytes) {
        (Some(second), _) if is_whole(first) && is_whole(second) => {
            let range = |start, len_bytes| Range { start, len_bytes };
            Ok([range(0, first), range(first, second)])
        }
        (_, None) => Err(RecordFileError::Length { path, got }),
        (_, Some(_)) => {
            let first_range_bytes = usize::try_from(first).unwrap_or(usize::MAX);
            Err(RecordFileError::FirstRange { path, got, first_range_bytes })
        }
    }
}

/// One place of the file.
#[derive(Debug)]
struct Place {
    range: usize,
    index: u32,
    /// What it begins with.
    front: [u8; 4],
    /// The byte behind every entry, which stays erased.
    behind: u8,
    /// Its entry, if that is whole.
    head: Option<EntryHead>,
}

impl Place {
    /// The number that the first place of its range has then.
    fn first_number(&self) -> Option<u32> {
        self.head?.sequence.checked_sub(self.index)
    }
}

fn places_of(bytes: &[u8], range: usize, at: Range) -> impl Iterator<Item = Place> {
    let start = usize::try_from(at.start).unwrap_or(usize::MAX);
    let end = usize::try_from(at.end()).unwrap_or(usize::MAX);
    let places = bytes.get(start..end).unwrap_or_default().chunks_exact(PLACE_BYTES);
    (0..).zip(places).filter_map(move |(index, place)| {
        let entry = place.first_chunk::<ENTRY_BYTES>()?;
        let (front, behind) = (*entry.first_chunk()?, *entry.last()?);
        Some(Place { range, index, front, behind, head: read_entry(entry).map(|(head, _)| head) })
    })
}

/// Tells a record whose every entry is damaged, which is a record, from a file that never was one.
fn refuse_stranger(path: &Path, places: &[Place]) -> Result<(), RecordFileError> {
    let format = |place: &Place| place.front.strip_prefix(MAGIC)?.first().copied();
    let formats: Vec<u8> = places.iter().filter_map(format).collect();
    let path = path.to_owned();
    match formats.iter().max() {
        _ if formats.contains(&FORMAT) => Ok(()),
        Some(format) => Err(RecordFileError::Format { path, format: *format }),
        None => {
            let places = u32::try_from(places.len()).unwrap_or(u32::MAX);
            Err(RecordFileError::NotARecord { path, places })
        }
    }
}

/// What the part's erased bytes read as. An entry tells; without one it decides nothing.
fn erased_byte(bytes: &[u8], places: &[Place]) -> u8 {
    let told = places.iter().find(|place| place.head.is_some());
    told.map(|place| place.behind).or_else(|| bytes.last().copied()).unwrap_or(0xff)
}

/// Flash that can be looked at.
struct Held {
    bytes: Vec<u8>,
    erased: u8,
}

impl Flash for Held {
    fn geometry(&self) -> Geometry {
        Geometry { word_bytes: 1, page_bytes: 256, erased: self.erased }
    }

    fn block_at(&self, _address: u32) -> Option<Range> {
        None
    }

    fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
        let start = usize::try_from(address).map_err(|_| FlashError::OutOfBounds)?;
        let end = start.checked_add(buffer.len()).ok_or(FlashError::OutOfBounds)?;
        let held = self.bytes.get(start..end).ok_or(FlashError::OutOfBounds)?;
        buffer.copy_from_slice(held);
        Ok(())
    }

    fn program(&mut self, _address: u32, _bytes: &[u8]) -> Result<(), FlashError> {
        Err(FlashError::Failed)
    }

    fn erase(&mut self, _block: Range) -> Result<(), FlashError> {
        Err(FlashError::Failed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use firmware_protocol::boot::{BootState, CARRIED_BYTES, RECORD_VERSION};

    use super::*;

    /// Flash in memory, of blocks of 1 KiB.
    struct Ram(Held);

    impl Flash for Ram {
        fn geometry(&self) -> Geometry {
            self.0.geometry()
        }

        fn block_at(&self, address: u32) -> Option<Range> {
            Some(Range { start: address / 512 * 512, len_bytes: 512 })
        }

        fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
            self.0.read(address, buffer)
        }

        fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
            let start = usize::try_from(address).unwrap();
            self.0.bytes[start..start + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }

        fn erase(&mut self, block: Range) -> Result<(), FlashError> {
            let start = usize::try_from(block.start).unwrap();
            self.0.bytes[start..start + 512].fill(self.0.erased);
            Ok(())
        }
    }

    /// What flash holds after `states` were stored one after the other, in ranges of these lengths.
    pub(crate) fn dump(states: &[BootState], ranges: [u32; 2], erased: u8) -> Vec<u8> {
        let total = usize::try_from(ranges[0] + ranges[1]).unwrap();
        let mut flash = Ram(Held { bytes: vec![erased; total], erased });
        let [first, second] = ranges;
        let places =
            [Range { start: 0, len_bytes: first }, Range { start: first, len_bytes: second }];
        let mut store = RecordStore::load(&mut flash, places);
        for state in states {
            store.write(&mut flash, state).unwrap();
        }
        flash.0.bytes
    }

    fn floors(count: u64) -> Vec<BootState> {
        (1..=count).map(|accept_floor| BootState { accept_floor, ..BootState::default() }).collect()
    }

    fn read(bytes: &[u8], first: Option<u32>) -> Result<BootRecord, RecordFileError> {
        BootRecord::from_bytes(Path::new("record.bin"), bytes.to_vec(), first)
    }

    #[test]
    fn what_was_stored_last_is_in_force_whatever_erased_flash_reads_as() {
        for erased in [0x00, 0xff] {
            for count in 1..20 {
                let bytes = dump(&floors(count), [2048, 2048], erased);
                let record = read(&bytes, None).unwrap();
                let floor = record.state().map(|state| state.accept_floor);
                assert_eq!(floor, Some(count), "{erased:#x}");
                assert!(record.is_settled(), "{count} {erased:#x}");
                assert_eq!((record.places(), record.version()), (8, RECORD_VERSION));
            }
        }
    }

    #[test]
    fn ranges_of_unequal_length_are_told_by_the_person_and_noticed_when_they_are_not() {
        let bytes = dump(&floors(10), [2048, 3072], 0xff);
        let floor = |first| Some(read(&bytes, Some(first)).ok()?.state()?.accept_floor);
        assert_eq!(floor(2048), Some(10));
        let error = read(&bytes, None).unwrap_err();
        assert!(matches!(error, RecordFileError::Ranges { ranges: [2560, 2560], .. }), "{error}");
        for first in [0, 1000, 5120, 9000] {
            let error = read(&bytes, Some(first)).unwrap_err();
            assert!(matches!(error, RecordFileError::FirstRange { .. }), "{first}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_no_record_says_why() {
        for length in [0, 1, 511, 512, 1023, 1025, 3000] {
            let error = read(&vec![0xff; length], None).unwrap_err();
            assert!(matches!(error, RecordFileError::Length { .. }), "{length}: {error}");
        }
        let garbage: Vec<u8> = (0..4096_u32).map(|byte| (byte * 31 % 251) as u8).collect();
        let error = read(&garbage, None).unwrap_err();
        assert!(matches!(error, RecordFileError::NotARecord { places: 8, .. }), "{error}");
        let mut newer = dump(&floors(2), [2048, 2048], 0xff);
        for place in newer.chunks_mut(PLACE_BYTES).filter(|place| place.starts_with(MAGIC)) {
            place[MAGIC.len()] = b'2';
        }
        let error = read(&newer, None).unwrap_err();
        assert!(error.to_string().contains("format NFR2, this noflake knows NFR1"), "{error}");
        newer.iter_mut().filter(|byte| **byte == b'2').for_each(|byte| *byte = b'\n');
        let error = read(&newer, None).unwrap_err().to_string();
        assert!(error.contains(r"format NFR\n, this noflake knows NFR1"), "{error}");
    }

    /// A record that was lost is a record: what the device does then can be told.
    #[test]
    fn a_blank_record_and_one_of_torn_entries_hold_no_state() {
        for blank in [0x00, 0xff] {
            let record = read(&[blank; 2048], None).unwrap();
            assert_eq!((record.state(), record.entries()), (None, 0));
        }
        let mut torn = dump(&floors(1), [1536, 1536], 0xff);
        torn[100] ^= 1;
        let record = read(&torn, None).unwrap();
        assert_eq!((record.state(), record.entries()), (None, 0));
    }

    #[test]
    fn an_entry_behind_the_last_settled_one_leaves_it_open_which_one_counts() {
        let mut bytes = dump(&floors(3), [2048, 2048], 0xff);
        let seal = 2 * PLACE_BYTES + ENTRY_BYTES;
        bytes[seal..seal + 32].fill(0xff);
        let record = read(&bytes, None).unwrap();
        assert_eq!(record.state().map(|state| state.accept_floor), Some(3));
        assert!(!record.is_settled());
    }

    #[test]
    fn fields_of_a_newer_writer_do_not_hide_what_is_known() {
        let mut state = floors(1).remove(0);
        state.carried.version = RECORD_VERSION + 1;
        state.carried.bytes.resize(CARRIED_BYTES, 7).unwrap();
        let record = read(&dump(&[state], [1536, 1536], 0xff), None).unwrap();
        assert_eq!(record.version(), RECORD_VERSION + 1);
        assert_eq!(record.state().map(|state| state.accept_floor), Some(1));
    }

    /// No byte of a file makes it panic, wherever it is damaged.
    #[test]
    fn every_damaged_byte_gives_a_record_or_an_error() {
        let whole = dump(&floors(5), [1536, 1536], 0xff);
        for at in 0..whole.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= bits;
                drop(read(&bytes, None));
                drop(read(&bytes[..at], None));
            }
        }
    }
}
