//! Flash that keeps a watchdog quiet while it is at work.

use super::{Flash, FlashError, Geometry, Range};

/// Flash that calls `feed` before each access. For the boot stage, which hashes a whole slot before anything could feed the
/// watchdog, and whose work is bounded. The engine's own flash is not wrapped: there, only its effect feeds.
#[derive(Debug, Clone)]
pub struct Fed<F, W> {
    flash: F,
    feed: W,
}

impl<F, W: FnMut()> Fed<F, W> {
    /// Calls `feed` before each access of `flash`.
    pub const fn new(flash: F, feed: W) -> Self {
        Self { flash, feed }
    }
}

impl<F: Flash, W: FnMut()> Flash for Fed<F, W> {
    fn geometry(&self) -> Geometry {
        self.flash.geometry()
    }

    fn block_at(&self, address: u32) -> Option<Range> {
        self.flash.block_at(address)
    }

    fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
        (self.feed)();
        self.flash.read(address, buffer)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        (self.feed)();
        self.flash.program(address, bytes)
    }

    fn erase(&mut self, block: Range) -> Result<(), FlashError> {
        (self.feed)();
        self.flash.erase(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight bytes that take whatever is done to them.
    struct Bytes([u8; 8]);

    impl Flash for Bytes {
        fn geometry(&self) -> Geometry {
            Geometry { word_bytes: 1, page_bytes: 8, erased: 0xff }
        }

        fn block_at(&self, address: u32) -> Option<Range> {
            (address < 8).then_some(Range { start: 0, len_bytes: 8 })
        }

        fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
            let start = address as usize;
            buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
            Ok(())
        }

        fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
            let start = address as usize;
            self.0[start..start + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }

        fn erase(&mut self, _block: Range) -> Result<(), FlashError> {
            self.0.fill(0xff);
            Ok(())
        }
    }

    #[test]
    fn every_access_feeds_once_and_reaches_the_part() {
        let mut fed = 0;
        let mut flash = Fed::new(Bytes([0; 8]), || fed += 1);
        let block = flash.block_at(3).unwrap();
        assert_eq!((flash.erase(block), flash.program(2, b"ab")), (Ok(()), Ok(())));
        let mut bytes = [0; 4];
        assert_eq!(flash.read(1, &mut bytes), Ok(()));
        assert_eq!(bytes, [0xff, b'a', b'b', 0xff]);
        assert_eq!((flash.geometry().page_bytes, flash.block_at(8)), (8, None));
        assert_eq!(fed, 3);
    }
}
