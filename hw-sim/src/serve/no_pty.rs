//! Serial ports where there are no PTYs: none can be opened.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use super::SerialError;

/// A serial port, which does not exist here.
#[derive(Debug)]
pub(super) struct SerialPort(Infallible);

impl SerialPort {
    pub(super) fn open(_path: &Path) -> Result<Self, SerialError> {
        let problem = "this system has no PTYs: serve the device on --tcp";
        Err(io::Error::new(io::ErrorKind::Unsupported, problem).into())
    }

    pub(super) fn path(&self) -> &Path {
        match self.0 {}
    }

    pub(super) async fn read(&self, _buffer: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }

    pub(super) fn write(&mut self, _bytes: &[u8]) {
        match self.0 {}
    }

    pub(super) const fn is_waiting(&self) -> bool {
        match self.0 {}
    }

    pub(super) async fn writable(&self) {
        match self.0 {}
    }
}
