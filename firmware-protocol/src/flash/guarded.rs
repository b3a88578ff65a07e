//! Flash whose reads trap.

use crate::planted::Mistake;

use super::{Flash, FlashError, Geometry, Range};

/// A flag that the fault handler of a part sets whose reads trap: on many parts a double ECC error is a bus
/// fault or a non-maskable interrupt, not an answer. The handler clears the cause, sets the flag and returns; the read then gives
/// anything. How a handler returns from a bus fault without meeting it again is in PORTING.md, "In order".
pub trait TrapFlag {
    /// Takes the flag back; true when it was set.
    fn take(&mut self) -> bool;
}

/// Flash whose reads trap, made into flash whose reads fail: everything reads through it.
#[derive(Debug, Clone)]
pub struct Guarded<F, T> {
    flash: F,
    flag: T,
}

impl<F, T> Guarded<F, T> {
    /// Guards `flash`, whose fault handler sets `flag`.
    pub const fn new(flash: F, flag: T) -> Self {
        Self { flash, flag }
    }

    /// The flash itself, for the caller's own use.
    pub const fn get_mut(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Gives the flash back.
    pub fn into_inner(self) -> F {
        self.flash
    }
}

impl<F: Flash, T: TrapFlag> Flash for Guarded<F, T> {
    fn geometry(&self) -> Geometry {
        self.flash.geometry()
    }

    fn block_at(&self, address: u32) -> Option<Range> {
        self.flash.block_at(address)
    }

    fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
        if Mistake::TrapIgnored.is_planted() {
            return self.flash.read(address, buffer);
        }
        // A trap of something else says nothing about this read.
        self.flag.take();
        let read = self.flash.read(address, buffer);
        if self.flag.take() { Err(FlashError::Unreadable) } else { read }
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.flash.program(address, bytes)
    }

    fn erase(&mut self, block: Range) -> Result<(), FlashError> {
        self.flash.erase(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flash that traps at every read of an odd address, and gives garbage.
    struct Trapping<'a>(&'a core::cell::Cell<bool>);

    impl Flash for Trapping<'_> {
        fn geometry(&self) -> Geometry {
            Geometry { word_bytes: 4, page_bytes: 64, erased: 0xff }
        }

        fn block_at(&self, address: u32) -> Option<Range> {
            (address < 256).then_some(Range { start: 0, len_bytes: 256 })
        }

        fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
            buffer.fill(7);
            self.0.set(self.0.get() || address % 2 == 1);
            if address < 256 { Ok(()) } else { Err(FlashError::OutOfBounds) }
        }

        fn program(&mut self, _address: u32, _bytes: &[u8]) -> Result<(), FlashError> {
            Ok(())
        }

        fn erase(&mut self, _block: Range) -> Result<(), FlashError> {
            Err(FlashError::Failed)
        }
    }

    impl TrapFlag for &core::cell::Cell<bool> {
        fn take(&mut self) -> bool {
            self.replace(false)
        }
    }

    #[test]
    fn a_read_that_traps_fails_and_leaves_no_trap_behind() {
        let flag = core::cell::Cell::new(false);
        let mut flash = Guarded::new(Trapping(&flag), &flag);
        let mut bytes = [0; 4];
        assert_eq!(flash.read(1, &mut bytes), Err(FlashError::Unreadable));
        assert!(!flag.get());
        assert_eq!((flash.read(2, &mut bytes), bytes), (Ok(()), [7; 4]));
        // A trap from somewhere else is not this read's.
        flag.set(true);
        assert_eq!(flash.read(2, &mut bytes), Ok(()));
        assert_eq!(flash.read(256, &mut bytes), Err(FlashError::OutOfBounds));
        assert_eq!(flash.program(0, &bytes), Ok(()));
        let block = flash.block_at(3).unwrap();
        assert_eq!(flash.erase(block), Err(FlashError::Failed));
        assert_eq!(flash.geometry().word_bytes, 4);
        assert_eq!(flash.block_at(256), None);
        flash.get_mut().0.set(true);
        assert!(flash.into_inner().0.get());
    }
}
