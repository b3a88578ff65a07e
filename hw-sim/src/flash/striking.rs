//! What becomes of an operation that a fault strikes.

use std::collections::BTreeMap;
use std::io;

use firmware_protocol::flash::FlashError;

use crate::fault::{Fault, FaultClass, FlashFault, Tear, count};

use super::SimFlash;
use super::cells::{Cells, Effect};
use super::strikes::{Ailing, Struck};
use super::tear::Torn;

impl SimFlash {
    /// Lets a fault strike at a later operation. Those of a device are none of a part's.
    pub fn set_fault(&mut self, fault: Fault) {
        self.strikes.add(fault);
    }

    /// A fault has not struck yet.
    #[must_use]
    pub fn awaits_fault(&self) -> bool {
        self.strikes.are_waiting() || self.accesses_left.is_some()
    }

    /// Takes back what has not struck yet.
    pub fn clear_faults(&mut self) {
        self.strikes.clear();
        self.accesses_left = None;
    }

    /// Takes back operations' faults that wait; a brown-out goes on.
    pub(crate) fn clear_waiting(&mut self) {
        self.strikes.clear();
    }

    /// Power will fail again soon, or has just failed for the second time.
    pub(crate) const fn is_brown_out(&self) -> bool {
        self.browned_out
    }

    /// How often each class has fired.
    #[must_use]
    pub const fn fired(&self) -> &BTreeMap<FaultClass, u64> {
        &self.fired
    }

    /// Counts one operation; gives what happens to it.
    pub(super) fn begin(&mut self, duration_us: u64) -> Option<Struck> {
        self.counters.operations = self.counters.operations.saturating_add(1);
        self.busy_us = self.busy_us.saturating_add(duration_us);
        let operation = self.counters.operations;
        while let Some((what, ailing)) = self.strikes.ails(operation) {
            self.ail(what, ailing);
        }
        let (what, struck) = self.strikes.strikes(operation)?;
        count(&mut self.fired, what.class());
        if let Struck::Cut(tear, again) = struck {
            self.powered = false;
            self.accesses_left = again;
            self.browned_out = again.is_some();
            self.counters.power_cuts = self.counters.power_cuts.saturating_add(1);
            if let Tear::Weak { reads, .. } = tear {
                self.cells.set_face(reads);
                self.turns_in = Some(1);
            }
        }
        Some(struck)
    }

    fn ail(&mut self, what: FlashFault, ailing: Option<Ailing>) {
        let place = match ailing {
            Some(Ailing::Stuck(address, _) | Ailing::Flip(address, _) | Ailing::Ecc(address)) => {
                address
            }
            None => 0,
        };
        if self.check(place, 1, FlashError::OutOfBounds).is_err() {
            return;
        }
        let done = match ailing {
            Some(Ailing::Stuck(address, bit)) => self.cells.stick(address, bit),
            Some(Ailing::Flip(address, bit)) => self.cells.flip(address, bit),
            Some(Ailing::Ecc(address)) => {
                self.cells.spoil(address);
                Ok(())
            }
            // Counted when an erase or a read fails for it.
            None => return,
        };
        if done.is_ok() {
            count(&mut self.fired, what.class());
        }
    }

    /// Does a program or an erase, as far as what struck it lets it.
    pub(super) fn perform(
        &mut self,
        struck: Option<Struck>,
        len: usize,
        work: impl FnOnce(&mut Cells, Option<&Torn>) -> io::Result<Effect>,
    ) -> Result<(), FlashError> {
        let tear = match struck {
            None | Some(Struck::Misdirect(_)) => None,
            Some(Struck::Silent) => return Ok(()),
            Some(Struck::Cut(tear, _)) => Some(tear),
            Some(Struck::Fail(bytes)) => Some(Tear::Behind { bytes }),
        };
        let word_bytes = self.spec.geometry.word_bytes;
        let torn = tear.map(|tear| Torn::new(len, word_bytes, tear, self.counters.operations));
        let effect = work(&mut self.cells, torn.as_ref()).map_err(|_| FlashError::Failed)?;
        self.counters.violations =
            self.counters.violations.saturating_add(u64::from(effect.violates));
        if effect.spoils_word {
            count(&mut self.fired, FaultClass::WriteOnce);
        }
        if torn.is_some() { Err(FlashError::Failed) } else { Ok(()) }
    }
}
