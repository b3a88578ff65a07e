//! NOR flash in memory: geometry chosen at run time, NOR semantics, power cuts at any byte.

use firmware_protocol::flash::{Flash, FlashError, Geometry, Range, is_blank};

/// When power fails: during mutation `operation` (from 0), after `bytes` of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub operation: u64,
    pub bytes: usize,
    /// The cells behind those bytes read as before the operation, or as behind it, as [`RamFlash::mood`]
    /// says.
    pub weak: bool,
}

impl Cut {
    /// The cells behind `bytes` are as they were.
    pub const fn clean(operation: u64, bytes: usize) -> Self {
        Self { operation, bytes, weak: false }
    }
}

/// How cells read that lost power on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As if they had never set out.
    Old,
    /// As if they had arrived.
    New,
    /// One way at one read and the other way at the next, as if they had arrived first.
    Turns,
}

impl Mood {
    /// Cells read as if they had arrived.
    const fn is_new(self, reads_before: u32) -> bool {
        match self {
            Self::Old => false,
            Self::New => true,
            Self::Turns => reads_before.is_multiple_of(2),
        }
    }
}

#[derive(Debug, Clone)]
pub struct RamFlash {
    pub geometry: Geometry,
    pub blocks: Vec<Range>,
    pub bytes: Vec<u8>,
    /// What the part would hold had no weak cut struck; equal to `bytes` where cells are sound.
    arrived: Vec<u8>,
    weak: Vec<bool>,
    /// How weak cells read.
    pub mood: Mood,
    /// Reads of weak cells so far.
    weak_reads: u32,
    /// Words programmed since their erase: a second program of one would be an ECC error.
    programmed: Vec<bool>,
    pub erases: u64,
    pub programs: u64,
    pub programmed_bytes: u64,
    pub read_bytes: u64,
    /// Places programmed, in order.
    pub log: Vec<Range>,
    /// Places read, in order, once somebody watches.
    pub reads: Option<Vec<Range>>,
    pub cut: Option<Cut>,
    pub dead: bool,
    /// Cannot be read until it is erased.
    pub unreadable: Vec<Range>,
    /// Reads here fail that many times.
    pub flaky: Option<(Range, u32)>,
    /// Programs here report an error and change nothing.
    pub refuses: Option<Range>,
    /// Programs here report success and change nothing.
    pub ignores: Option<Range>,
    /// Before this mutation, counted from 0, neither of the two next faults strikes.
    pub sound_until: u64,
    /// The next program does that many bytes of its work and reports a failure.
    pub fails_after: Option<usize>,
    /// The next read behind a program fails.
    pub read_back_fails: bool,
    /// The latest operation was a program.
    programmed_last: bool,
    /// This byte's lowest bit never reads as erased.
    pub stuck: Option<u32>,
    /// Nothing else may be written now.
    pub reach: Option<Range>,
}

impl RamFlash {
    /// A part whose erase blocks have these sizes, one behind the other.
    pub fn with_blocks(geometry: Geometry, sizes: &[u32]) -> Self {
        let mut start = 0;
        let blocks: Vec<Range> = sizes
            .iter()
            .map(|len_bytes| {
                let block = Range { start, len_bytes: *len_bytes };
                start += len_bytes;
                block
            })
            .collect();
        let len = start as usize;
        Self {
            geometry,
            blocks,
            bytes: vec![geometry.erased; len],
            arrived: vec![geometry.erased; len],
            weak: vec![false; len],
            mood: Mood::Old,
            weak_reads: 0,
            programmed: vec![false; len / geometry.word_bytes as usize + 1],
            erases: 0,
            programs: 0,
            programmed_bytes: 0,
            read_bytes: 0,
            log: Vec::new(),
            reads: None,
            cut: None,
            dead: false,
            unreadable: Vec::new(),
            flaky: None,
            refuses: None,
            ignores: None,
            sound_until: 0,
            fails_after: None,
            read_back_fails: false,
            programmed_last: false,
            stuck: None,
            reach: None,
        }
    }

    /// `count` erase blocks of `block` bytes, words of 8, pages of 256, erased 0xff.
    pub fn even(block: u32, count: usize) -> Self {
        let geometry = Geometry { word_bytes: 8, page_bytes: 256, erased: 0xff };
        Self::with_blocks(geometry, &vec![block; count])
    }

    pub fn mutations(&self) -> u64 {
        self.erases + self.programs
    }

    pub fn power_on(&mut self) {
        self.dead = false;
        self.cut = None;
    }

    pub fn slice(&self, range: Range) -> &[u8] {
        &self.bytes[range.start as usize..range.end() as usize]
    }

    fn check_reach(&self, range: Range) {
        let within = self.reach.is_none_or(|reach| reach.covers(range));
        assert!(within, "{range:?} is written, {:?} may be", self.reach);
    }

    /// Bytes of the operation that still happen; counts it.
    fn power(&mut self, len: usize) -> Result<usize, FlashError> {
        if self.dead {
            return Err(FlashError::Failed);
        }
        match self.cut {
            Some(cut) if cut.operation == self.mutations() && cut.bytes < len => {
                self.dead = true;
                Ok(cut.bytes)
            }
            Some(_) | None => Ok(len),
        }
    }

    /// Changes cells in both of what they may read as; `done` of them for sure.
    fn change(&mut self, from: usize, len: usize, done: usize, cell: impl Fn(u8, usize) -> u8) {
        let weak = self.dead && self.cut.is_some_and(|cut| cut.weak);
        let arrives = if weak { len } else { done };
        for at in 0..len {
            let place = from + at;
            // Tests write into `bytes` as they like; sound cells follow.
            if !self.weak_at(place) {
                self.arrived[place] = self.bytes[place];
            }
            if at < done {
                self.bytes[place] = cell(self.bytes[place], at);
            }
            if at < arrives {
                self.arrived[place] = cell(self.arrived[place], at);
            }
            self.weak[place] = self.weak_at(place) || (at >= done && at < arrives);
            self.weak[place] &= self.bytes[place] != self.arrived[place];
        }
    }

    fn weak_at(&self, place: usize) -> bool {
        self.weak[place]
    }

    /// The cells lose what they held, as if it had never been programmed.
    pub fn lose(&mut self, range: Range) {
        let (from, to) = (range.start as usize, range.end() as usize);
        self.bytes[from..to].fill(self.geometry.erased);
        let word = self.geometry.word_bytes as usize;
        self.programmed[from / word..to.div_ceil(word)].fill(false);
    }

    /// Cells that read as they like.
    pub fn weak_cells(&self) -> usize {
        self.weak.iter().filter(|weak| **weak).count()
    }

    fn stick(&mut self) {
        if let Some(at) = self.stuck {
            let byte = &mut self.bytes[at as usize];
            *byte = if self.geometry.erased == 0xff { *byte & !1 } else { *byte | 1 };
        }
    }
}

impl Flash for RamFlash {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn block_at(&self, address: u32) -> Option<Range> {
        let at = self.blocks.partition_point(|block| block.end() <= address);
        self.blocks.get(at).copied()
    }

    fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
        let from = address as usize;
        let bytes = self.bytes.get(from..from + buffer.len()).ok_or(FlashError::OutOfBounds)?;
        self.read_bytes += buffer.len() as u64;
        if let Some(reads) = &mut self.reads {
            reads.push(Range { start: address, len_bytes: buffer.len() as u32 });
        }
        let strikes = std::mem::take(&mut self.programmed_last) && self.read_back_fails;
        if strikes && self.mutations() > self.sound_until {
            self.read_back_fails = false;
            return Err(FlashError::Unreadable);
        }
        let end = address + buffer.len() as u32;
        if self.dead || self.unreadable.iter().any(|bad| bad.start < end && address < bad.end()) {
            return Err(FlashError::Unreadable);
        }
        if let Some((place, times @ 1..)) = &mut self.flaky
            && place.start < end
            && address < place.end()
        {
            *times -= 1;
            return Err(FlashError::Unreadable);
        }
        buffer.copy_from_slice(bytes);
        let is_new = self.mood.is_new(self.weak_reads);
        let is_weak = self.weak[from..from + buffer.len()].contains(&true);
        self.weak_reads = self.weak_reads.wrapping_add(u32::from(is_weak));
        if is_new {
            for (at, byte) in buffer.iter_mut().enumerate().filter(|(at, _)| self.weak[from + at]) {
                *byte = self.arrived[from + at];
            }
        }
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let Geometry { word_bytes, page_bytes, erased } = self.geometry;
        let (from, len) = (address as usize, bytes.len());
        let aligned = address.is_multiple_of(word_bytes) && len.is_multiple_of(word_bytes as usize);
        assert!(aligned, "program of {len} bytes at {address:#x} with words of {word_bytes}");
        assert!(len > 0 && len <= page_bytes as usize, "program of {len} bytes, page {page_bytes}");
        assert!(from + len <= self.bytes.len(), "program outside the part");
        if self.refuses.is_some_and(|range| range.start <= address && address < range.end()) {
            self.programs += 1;
            return Err(FlashError::Failed);
        }
        self.check_reach(Range { start: address, len_bytes: len as u32 });
        let powered = self.power(len)?;
        let fails_after =
            self.fails_after.take_if(|_| self.programs + self.erases >= self.sound_until);
        let done = fails_after.map_or(powered, |bytes| bytes.min(powered));
        self.programmed_last = true;
        self.programs += 1;
        self.log.push(Range { start: address, len_bytes: len as u32 });
        if self.ignores.is_some_and(|range| range.start <= address && address < range.end()) {
            return Ok(());
        }
        for index in (0..len).step_by(word_bytes as usize) {
            let word = (from + index) / word_bytes as usize;
            let cells = from + index..from + index + word_bytes as usize;
            let start = address + index as u32;
            let overlaps = |bad: &Range| bad.start < start + word_bytes && start < bad.end();
            if self.weak[cells].contains(&true) || self.unreadable.iter().any(overlaps) {
                // It may look blank, or cannot be looked at: a second program is then an ECC error, and no
                // mistake of the caller.
                self.unreadable.push(Range { start, len_bytes: word_bytes });
            } else if index < done {
                assert!(!self.programmed[word], "word at {address:#x} programmed twice");
                self.programmed[word] = true;
            }
        }
        self.change(from, len, done, |cell, at| {
            if erased == 0xff { cell & bytes[at] } else { cell | bytes[at] }
        });
        self.programmed_bytes += done as u64;
        self.stick();
        if done < len || fails_after.is_some() { Err(FlashError::Failed) } else { Ok(()) }
    }

    fn erase(&mut self, block: Range) -> Result<(), FlashError> {
        assert!(self.blocks.contains(&block), "erase of {block:?}, which is no erase block");
        self.check_reach(block);
        let len = block.len_bytes as usize;
        let done = self.power(len)?;
        self.erases += 1;
        let from = block.start as usize;
        let word = self.geometry.word_bytes as usize;
        let erased = self.geometry.erased;
        self.change(from, len, done, |_, _| erased);
        // Where it was cut short, a word that reads as erased is taken for erased: nothing tells more.
        for (place, bytes) in self.bytes.chunks(word).enumerate().skip(from / word).take(len / word)
        {
            self.programmed[place] &= done < len && !is_blank(bytes, self.geometry.erased);
        }
        self.unreadable.retain(|bad| bad.start < block.start || bad.start >= block.end());
        self.stick();
        if done < len { Err(FlashError::Failed) } else { Ok(()) }
    }
}
