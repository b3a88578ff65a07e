//! Faults of flash while they wait for their operation.

use crate::fault::{Fault, FlashFault, Tear};

/// What is to happen to a part.
#[derive(Debug, Clone, Default)]
pub(super) struct Strikes {
    waiting: Vec<(u64, FlashFault)>,
    worn: Vec<u32>,
    unread: Vec<(u32, u32)>,
}

/// What happens to one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Struck {
    /// Power fails in it; with the access of flash at which it fails again.
    Cut(Tear, Option<u32>),
    /// It fails behind so many bytes.
    Fail(u32),
    /// It is not done.
    Silent,
    /// It is done there.
    Misdirect(u32),
}

/// What happens to cells before an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ailing {
    Stuck(u32, u8),
    Flip(u32, u8),
    Ecc(u32),
}

impl Strikes {
    pub(super) fn add(&mut self, fault: Fault) {
        if let Fault::Flash { at_operation, what } = fault {
            self.waiting.push((at_operation, what));
        }
    }

    pub(super) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Those that wait are taken back; what has struck stays.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// What is wrong with the part from this operation on, one at a time.
    pub(super) fn ails(&mut self, operation: u64) -> Option<(FlashFault, Option<Ailing>)> {
        let place =
            self.waiting.iter().position(|(at, what)| *at <= operation && is_lasting(*what))?;
        let (_, what) = self.waiting.swap_remove(place);
        let ailing = match what {
            FlashFault::Stuck { address, bit } => Some(Ailing::Stuck(address, bit)),
            FlashFault::Flip { address, bit } => Some(Ailing::Flip(address, bit)),
            FlashFault::Ecc { address } => Some(Ailing::Ecc(address)),
            FlashFault::Worn { address } => {
                self.worn.push(address);
                None
            }
            FlashFault::Unread { address, times } => {
                self.unread.push((address, times));
                None
            }
            FlashFault::Cut(_)
            | FlashFault::BrownOut { .. }
            | FlashFault::Fail { .. }
            | FlashFault::Silent
            | FlashFault::Misdirect { .. } => None,
        };
        Some((what, ailing))
    }

    /// What happens to this operation.
    pub(super) fn strikes(&mut self, operation: u64) -> Option<(FlashFault, Struck)> {
        let place =
            self.waiting.iter().position(|(at, what)| *at == operation && !is_lasting(*what))?;
        let (_, what) = self.waiting.swap_remove(place);
        let struck = match what {
            FlashFault::Cut(tear) => Struck::Cut(tear, None),
            FlashFault::BrownOut { bytes, access } => {
                Struck::Cut(Tear::Behind { bytes }, Some(access))
            }
            FlashFault::Fail { bytes } => Struck::Fail(bytes),
            FlashFault::Misdirect { address } => Struck::Misdirect(address),
            FlashFault::Silent
            | FlashFault::Stuck { .. }
            | FlashFault::Worn { .. }
            | FlashFault::Flip { .. }
            | FlashFault::Ecc { .. }
            | FlashFault::Unread { .. } => Struck::Silent,
        };
        Some((what, struck))
    }

    /// Whether a block has a cell that no longer erases.
    pub(super) fn is_worn(&self, start: u32, end: u32) -> bool {
        self.worn.iter().any(|address| (start..end).contains(address))
    }

    /// Whether a read fails for a while.
    pub(super) fn fails_read(&mut self, start: u32, end: u32) -> bool {
        let touches = |place: &&mut (u32, u32)| (start..end).contains(&place.0) && place.1 > 0;
        match self.unread.iter_mut().find(touches) {
            Some((_, times)) => {
                *times = times.saturating_sub(1);
                true
            }
            None => false,
        }
    }
}

/// It is about the part, not about one operation.
const fn is_lasting(what: FlashFault) -> bool {
    match what {
        FlashFault::Stuck { .. }
        | FlashFault::Worn { .. }
        | FlashFault::Flip { .. }
        | FlashFault::Ecc { .. }
        | FlashFault::Unread { .. } => true,
        FlashFault::Cut(_)
        | FlashFault::BrownOut { .. }
        | FlashFault::Fail { .. }
        | FlashFault::Silent
        | FlashFault::Misdirect { .. } => false,
    }
}
