//! What a start finds: the entry in force, whether it stands, and where the next one goes (BOOT.md, "Which entry
//! counts").

use crate::flash::{Flash, Range};
use crate::planted::Mistake;

use super::entry::decode;
use super::place::{Mark, Place, address_of, places_in};
use super::{RecordStore, Writes};

impl RecordStore {
    /// Finds the entry in force. Unreadable or torn entries are as good as absent.
    pub fn load<F: Flash>(flash: &mut F, ranges: [Range; 2]) -> Self {
        let mut store = Self {
            ranges,
            state: None,
            sequence: 0,
            settled: true,
            home: 0,
            first: 1,
            current: 0,
            next_index: 0,
            begins_at: None,
            doubtful: [false; 2],
            writes: Writes::Place,
            clearing: None,
        };
        let found = [0, 1].map(|number| store.look_through(flash, number));
        match (store.state.is_some(), store.current, found) {
            // A range that looks blank is erased all the same: what it reads as proves nothing.
            (false, ..) => store.doubtful = [true, true],
            (true, 0, [here, other]) | (true, _, [other, here]) => store.settle(here, other),
        }
        store
    }

    /// Takes over the newest entry of a range, if none is newer so far.
    fn look_through<F: Flash>(&mut self, flash: &mut F, number: usize) -> Found {
        let range = self.ranges.get(number).copied().unwrap_or_default();
        let mut found = Found::default();
        for index in 0..places_in(range) {
            let place = Place::look(flash, address_of(range, index));
            let was_begun = found.begun && !Mistake::BegunIgnored.is_planted();
            found.begun = place.begun.may_be_set();
            found.is_left = place.begun == Mark::Set;
            let entry = place.entry.as_ref().and_then(decode);
            if entry.is_none() && Mistake::TornPlaceReused.is_planted() {
                continue;
            }
            if place.is_touched(was_begun) {
                found.used = index.saturating_add(1);
            }
            let Some((sequence, state)) = entry else { continue };
            found.entries = true;
            let is_sealed = place.seal == Mark::Set || Mistake::SealIgnored.is_planted();
            // One that cannot be read may be the only one that is: its range is not erased for that.
            if is_sealed || place.seal.may_be_set() {
                found.sealed = found.sealed.max(Some(sequence));
            }
            let revived = Mistake::OldEntryRevived.is_planted();
            if self.state.is_none() || sequence > self.sequence || revived {
                self.state = Some(state);
                self.sequence = sequence;
                self.first = sequence.saturating_sub(index);
                self.current = number;
                self.settled = is_sealed;
            }
        }
        found
    }

    /// Works out the next place, which range is not to be erased, and whether anything newer than the entry in
    /// force was begun. `here` is the range of that entry.
    fn settle(&mut self, here: Found, other: Found) {
        self.next_index = here.used;
        let index = self.sequence.saturating_sub(self.first);
        let is_last = index.saturating_add(1) == here.used;
        let has_moved = here.used >= self.places(self.current) && here.begun;
        // A range is erased when the record moves there, so one with an entry holds none that is newer.
        let hides = other.used > 0 && !other.entries;
        let elsewhere = usize::from(self.current == 0);
        if let Some(doubtful) = self.doubtful.get_mut(elsewhere) {
            *doubtful = hides;
        }
        self.settled &= (is_last && !has_moved && !hides) || Mistake::SealIgnored.is_planted();
        self.home = self.current;
        // Sealed entries that were about to be erased are no longer what they read as. A mark that cannot be read says
        // nothing of that.
        if other.sealed > here.sealed && !(has_moved && here.is_left) {
            self.home = elsewhere;
            self.first = self.first.saturating_sub(self.places(elsewhere));
        }
    }
}

/// What a range holds.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    /// Places up to the last one that was touched.
    used: u32,
    /// Some hold an entry that can be read.
    entries: bool,
    /// The highest number of one that is sealed, or may be.
    sealed: Option<u32>,
    /// The last place may say that what comes behind it was begun.
    begun: bool,
    /// It does say so.
    is_left: bool,
}
