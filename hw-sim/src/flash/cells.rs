//! What a part's cells hold, and what they read as: weak cells one way or the other, words of an ECC part not at
//! all, stuck bits as they please.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use firmware_protocol::flash::Geometry;

use crate::clock::{Chance, Purpose};
use crate::fault::Reads;

use super::backing::Backing;
use super::spec::{Ecc, FlashSpec};
use super::tear::Torn;

/// The cells of a part.
#[derive(Debug)]
pub(super) struct Cells {
    backing: Backing,
    geometry: Geometry,
    /// What weak cells may read as instead, by address.
    arrived: BTreeMap<u32, u8>,
    face: Face,
    /// Words that cannot be read until they are erased, by number.
    bad: BTreeSet<u32>,
    /// Of a part with an error-correcting code: words that were programmed since their erase.
    programmed: Option<Vec<bool>>,
    /// Bits that keep their value: address, bits, value.
    stuck: Vec<(u32, u8, u8)>,
}

/// How weak cells read now.
#[derive(Debug, Clone)]
enum Face {
    Old,
    New,
    Each(Box<Chance>),
}

/// What became of an operation on cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Effect {
    /// A bit was asked to return to its erased value.
    pub(super) violates: bool,
    /// A word was programmed a second time and is unreadable.
    pub(super) spoils_word: bool,
}

/// Why cells cannot be read.
#[derive(Debug)]
pub(super) enum CellError {
    Io,
    Unreadable,
}

impl Cells {
    /// Cells over `backing`; of a part with an error-correcting code what is not erased counts as
    /// programmed.
    pub(super) fn new(backing: Backing, spec: &FlashSpec) -> Self {
        let mut cells = Self {
            backing,
            geometry: spec.geometry,
            arrived: BTreeMap::new(),
            face: Face::Old,
            bad: BTreeSet::new(),
            programmed: None,
            stuck: Vec::new(),
        };
        if spec.ecc != Ecc::None {
            cells.programmed = Some(cells.programmed_words(spec.size_bytes() as usize));
        }
        cells
    }

    /// As they are, in memory.
    pub(super) fn fork(&self, size_bytes: usize) -> io::Result<Self> {
        let mut bytes = vec![0; size_bytes];
        self.backing.read(0, &mut bytes)?;
        Ok(Self {
            backing: Backing::Memory(bytes),
            geometry: self.geometry,
            arrived: self.arrived.clone(),
            face: self.face.clone(),
            bad: self.bad.clone(),
            programmed: self.programmed.clone(),
            stuck: self.stuck.clone(),
        })
    }

    pub(super) fn in_memory(&self) -> &[u8] {
        self.backing.in_memory()
    }

    /// Addresses of weak cells, with what they may read as instead.
    pub(super) const fn weak(&self) -> &BTreeMap<u32, u8> {
        &self.arrived
    }

    /// Words that cannot be read, by number.
    pub(super) const fn bad_words(&self) -> &BTreeSet<u32> {
        &self.bad
    }

    pub(super) fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), CellError> {
        let end = end_of(address, buffer.len());
        if !self.bad.is_empty() {
            let word = self.geometry.word_bytes.max(1);
            if self.bad.range(address / word..end.div_ceil(word)).next().is_some() {
                return Err(CellError::Unreadable);
            }
        }
        self.held(address, buffer).map_err(|_| CellError::Io)?;
        if !self.arrived.is_empty() && self.reads_new() {
            for (at, byte) in self.arrived.range(address..end) {
                if let Some(place) = buffer.get_mut(at.saturating_sub(address) as usize) {
                    *place = *byte;
                }
            }
        }
        Ok(())
    }

    /// What [`Cells::read`] gives, without a coin being tossed: cells that read otherwise each time are as they hold.
    pub(super) fn view(&self, address: u32, len: usize) -> io::Result<Cow<'_, [u8]>> {
        let end = end_of(address, len);
        if self.arrived.range(address..end).next().is_none()
            && let Some(bytes) = self.in_memory().get(address as usize..end as usize)
        {
            return Ok(Cow::Borrowed(bytes));
        }
        let (old, new) = self.faces(address, len)?;
        Ok(Cow::Owned(if matches!(self.face, Face::New) { new } else { old }))
    }

    fn reads_new(&mut self) -> bool {
        match &mut self.face {
            Face::Old => false,
            Face::New => true,
            Face::Each(chance) => chance.below(2) == 1,
        }
    }

    pub(super) fn set_face(&mut self, reads: Reads) {
        self.face = match reads {
            Reads::OldFirst => Face::Old,
            Reads::NewFirst => Face::New,
            Reads::Each { seed } => Face::Each(Box::new(Chance::new(seed, Purpose::Weak, 0))),
        };
    }

    /// Weak cells read the other way from now on.
    pub(super) fn turn_face(&mut self) {
        self.face = match std::mem::replace(&mut self.face, Face::Old) {
            Face::Old => Face::New,
            Face::New => Face::Old,
            each @ Face::Each(_) => each,
        };
    }

    /// Programs `wanted`, as far as `torn` lets it.
    pub(super) fn program(
        &mut self,
        address: u32,
        wanted: &[u8],
        torn: Option<&Torn>,
    ) -> io::Result<Effect> {
        let erased = self.geometry.erased;
        let against = |(held, wanted): (&u8, &u8)| (held ^ erased) & !(wanted ^ erased) != 0;
        let cell = |(held, wanted): (&u8, &u8)| ((held ^ erased) | (wanted ^ erased)) ^ erased;
        let (old, new) = self.faces(address, wanted.len())?;
        let violates = old.iter().zip(wanted).any(against);
        let programmed = |held: &[u8]| held.iter().zip(wanted).map(cell).collect::<Vec<_>>();
        let goals = (programmed(&old), programmed(&new));
        let spoils_word = self.note_program(address, &old, &goals.0, torn);
        self.change(address, (&old, &goals.0), (&new, &goals.1), torn)?;
        Ok(Effect { violates, spoils_word })
    }

    /// Erases, as far as `torn` lets it.
    pub(super) fn erase(
        &mut self,
        address: u32,
        len: usize,
        torn: Option<&Torn>,
    ) -> io::Result<()> {
        let blank = vec![self.geometry.erased; len];
        let (old, new) = self.faces(address, len)?;
        self.note_erase(address, &old, torn);
        self.change(address, (&old, &blank), (&new, &blank), torn)
    }

    /// Puts bytes in place, whatever was there.
    pub(super) fn write_raw(&mut self, address: u32, bytes: &[u8]) -> io::Result<()> {
        self.change(address, (bytes, bytes), (bytes, bytes), None)?;
        let word = self.geometry.word_bytes.max(1);
        let first = address / word;
        let erased = self.geometry.erased;
        for (number, piece) in (first..).zip(bytes.chunks(word as usize)) {
            let is_blank = piece.iter().all(|byte| *byte == erased);
            self.set_programmed(number, !is_blank);
        }
        Ok(())
    }

    /// Turns one bit.
    pub(super) fn flip(&mut self, address: u32, bit: u8) -> io::Result<()> {
        let mut byte = [0];
        self.held(address, &mut byte)?;
        let [value] = byte;
        self.store(address, &[value ^ (1 << (bit & 7))])
    }

    /// From now on a bit keeps its value.
    pub(super) fn stick(&mut self, address: u32, bit: u8) -> io::Result<()> {
        let mut byte = [0];
        self.held(address, &mut byte)?;
        let ([value], mask) = (byte, 1 << (bit & 7));
        self.stuck.push((address, mask, value & mask));
        Ok(())
    }

    /// The word at an address cannot be read until it is erased.
    pub(super) fn spoil(&mut self, address: u32) {
        let word = address / self.geometry.word_bytes.max(1);
        self.bad.insert(word);
    }

    fn held(&self, address: u32, buffer: &mut [u8]) -> io::Result<()> {
        self.backing.read(address as usize, buffer)
    }

    /// What cells hold, and what they hold if the weak ones have arrived.
    fn faces(&self, address: u32, len: usize) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let mut old = vec![0; len];
        self.held(address, &mut old)?;
        let mut new = old.clone();
        for (at, byte) in self.arrived.range(address..end_of(address, len)) {
            if let Some(place) = new.get_mut(at.saturating_sub(address) as usize) {
                *place = *byte;
            }
        }
        Ok((old, new))
    }

    /// Changes cells from what they hold to what they are to hold, in both of what they may read as.
    fn change(
        &mut self,
        address: u32,
        old: (&[u8], &[u8]),
        new: (&[u8], &[u8]),
        torn: Option<&Torn>,
    ) -> io::Result<()> {
        let (left, arrived) = match torn {
            None => (old.1.to_vec(), new.1.to_vec()),
            Some(torn) => (torn.left(old.0, old.1), torn.arrived(new.0, new.1)),
        };
        self.store(address, &left)?;
        if self.arrived.is_empty() && left == arrived {
            return Ok(());
        }
        for ((at, left), arrived) in (address..).zip(&left).zip(&arrived) {
            if left == arrived {
                self.arrived.remove(&at);
            } else {
                self.arrived.insert(at, *arrived);
            }
        }
        Ok(())
    }

    fn store(&mut self, address: u32, bytes: &[u8]) -> io::Result<()> {
        if self.stuck.is_empty() {
            return self.backing.write(address as usize, bytes);
        }
        let mut bytes = bytes.to_vec();
        for (at, mask, value) in &self.stuck {
            let place = at.checked_sub(address).and_then(|at| bytes.get_mut(at as usize));
            if let Some(byte) = place {
                *byte = (*byte & !mask) | value;
            }
        }
        self.backing.write(address as usize, &bytes)
    }

    /// Marks words as programmed, and as unreadable where they were before or are torn. True when one was.
    fn note_program(
        &mut self,
        address: u32,
        held: &[u8],
        goal: &[u8],
        torn: Option<&Torn>,
    ) -> bool {
        if self.programmed.is_none() {
            return false;
        }
        let left = torn.map(|torn| torn.left(held, goal));
        let mut spoils = false;
        for (number, at) in self.words_in(address, held.len()) {
            let of = |bytes: &'_ [u8]| bytes.get(at.clone()).map(<[u8]>::to_vec);
            let (held, goal) = (of(held), of(goal));
            let left = left.as_deref().and_then(of);
            let is_weak = torn.is_some_and(|torn| torn.weak.contains(&at.start));
            if !is_weak && left.is_some() && left == held && held != goal {
                continue;
            }
            let is_torn = !is_weak && left.is_some() && left != goal;
            let again = !self.set_programmed(number, true);
            if is_torn || again {
                self.bad.insert(number);
                spoils |= again;
            }
        }
        spoils
    }

    /// Words that are erased can be programmed again, and read; torn ones of an error-correcting code cannot.
    fn note_erase(&mut self, address: u32, held: &[u8], torn: Option<&Torn>) {
        if self.programmed.is_none() && self.bad.is_empty() {
            return;
        }
        let erased = self.geometry.erased;
        let is_blank = |bytes: &[u8]| bytes.iter().all(|byte| *byte == erased);
        let left = torn.map(|torn| torn.left(held, &vec![erased; held.len()]));
        for (number, at) in self.words_in(address, held.len()) {
            let left = left.as_ref().and_then(|left| left.get(at.clone()));
            match left {
                // What it was before, weak or not.
                Some(left) if Some(left) == held.get(at) && !is_blank(left) => {}
                Some(left) if !is_blank(left) && self.programmed.is_some() => {
                    self.bad.insert(number);
                }
                Some(_) | None => {
                    self.set_programmed(number, false);
                    self.bad.remove(&number);
                }
            }
        }
    }

    /// Numbers of the words in an operation, and where their bytes are in it.
    fn words_in(
        &self,
        address: u32,
        len: usize,
    ) -> impl Iterator<Item = (u32, Range<usize>)> + use<> {
        let word = self.geometry.word_bytes.max(1);
        let step = word as usize;
        (address / word..)
            .zip((0..len).step_by(step))
            .map(move |(number, at)| (number, at..at.saturating_add(step).min(len)))
    }

    /// False when it was so before.
    fn set_programmed(&mut self, number: u32, is_programmed: bool) -> bool {
        let word = self.programmed.as_mut().and_then(|words| words.get_mut(number as usize));
        word.is_none_or(|word| std::mem::replace(word, is_programmed) != is_programmed)
    }

    fn programmed_words(&self, size_bytes: usize) -> Vec<bool> {
        let erased = self.geometry.erased;
        let mut bytes = vec![erased; size_bytes];
        // A file that cannot be read now cannot be read later either.
        let _ = self.held(0, &mut bytes);
        let pieces = bytes.chunks(self.geometry.word_bytes.max(1) as usize);
        pieces.map(|piece| piece.iter().any(|byte| *byte != erased)).collect()
    }
}

fn end_of(address: u32, len: usize) -> u32 {
    address.saturating_add(u32::try_from(len).unwrap_or(u32::MAX))
}
