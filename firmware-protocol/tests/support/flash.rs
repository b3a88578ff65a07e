//! NOR flash in memory: geometry chosen at run time, NOR semantics, power cuts at any byte.

use firmware_protocol::flash::{Flash, FlashError, Geometry, Range};

/// When power fails: during mutation `operation` (from 0), after `bytes` of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub operation: u64,
    pub bytes: usize,
}

#[derive(Debug, Clone)]
pub struct RamFlash {
    pub geometry: Geometry,
    pub blocks: Vec<Range>,
    pub bytes: Vec<u8>,
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
    /// This byte's lowest bit never reads as erased.
    pub stuck: Option<u32>,
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
            stuck: None,
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
        let done = self.power(len)?;
        self.programs += 1;
        self.log.push(Range { start: address, len_bytes: len as u32 });
        for (index, byte) in bytes.iter().take(done).enumerate() {
            let word = (from + index) / word_bytes as usize;
            let first = index % word_bytes as usize == 0;
            assert!(!first || !self.programmed[word], "word at {address:#x} programmed twice");
            self.programmed[word] = true;
            let cell = &mut self.bytes[from + index];
            *cell = if erased == 0xff { *cell & *byte } else { *cell | *byte };
        }
        self.programmed_bytes += done as u64;
        self.stick();
        if done < len { Err(FlashError::Failed) } else { Ok(()) }
    }

    fn erase(&mut self, block: Range) -> Result<(), FlashError> {
        assert!(self.blocks.contains(&block), "erase of {block:?}, which is no erase block");
        let len = block.len_bytes as usize;
        let done = self.power(len)?;
        self.erases += 1;
        let from = block.start as usize;
        let word = self.geometry.word_bytes as usize;
        self.bytes[from..from + done].fill(self.geometry.erased);
        self.programmed[from / word..(from + done) / word].fill(false);
        self.unreadable.retain(|bad| bad.start < block.start || bad.start >= block.end());
        self.stick();
        if done < len { Err(FlashError::Failed) } else { Ok(()) }
    }
}
