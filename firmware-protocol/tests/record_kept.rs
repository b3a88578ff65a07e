//! The boot record is never lost: whatever flash refuses and wherever power fails, again and again, a start finds what
//! was acknowledged last or something that was tried later (BOOT.md, "Record").
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a history that cannot go on is a failure; sizes here are small; clippy.toml excuses test functions, \
              not their helpers"
)]

use firmware_protocol::boot::BootState;
use firmware_protocol::flash::{Geometry, Range};
use firmware_protocol::record::{PLACE_BYTES, RecordStore, WriteStep};

use crate::support::flash::{Cut, Mood, RamFlash};
use crate::support::range;

/// States that are written behind the first one: more than fit where that one lies.
const LAST: u32 = 4;

/// What becomes of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Flash refuses it.
    Refused,
    /// Power fails in it. All its cells read one way or the other from then on, together with all others of
    /// this kind: the second is how they read at the next start.
    Cut { bytes: usize, mood: Mood },
}

const FATES: [Fate; 4] = [
    Fate::Refused,
    Fate::Cut { bytes: 0, mood: Mood::Old },
    Fate::Cut { bytes: 0, mood: Mood::New },
    // An entry that is there without the end of its checksum.
    Fate::Cut { bytes: 235, mood: Mood::New },
];

/// Every history of up to three faults, each at every operation, on ranges of three and of four places.
#[test]
fn three_faults_in_a_row_do_not_undo_what_was_acknowledged() {
    for places in [3, 4] {
        let tally = histories(places, 3, |device, found| {
            found.is_some_and(|found| (device.acknowledged..=device.tried).contains(&found))
        });
        println!("{places} places: {tally:?}");
        assert!(tally.histories > 20_000 && tally.refused > 5_000 && tally.cuts > 10_000);
        assert!(tally.in_doubt > 10_000, "starts with an entry that may read otherwise: {tally:?}");
    }
}

/// With four, what was acknowledged may give way to what came before it, and there always is a record.
#[test]
#[ignore = "a minute with optimization: part of the long checks"]
fn four_faults_in_a_row_do_not_lose_the_record() {
    for places in [3, 4] {
        let tally = histories(places, 4, |_, found| found.is_some());
        println!("{places} places: {tally:?}");
        assert!(tally.histories > 500_000 && tally.refused > 100_000 && tally.cuts > 400_000);
    }
}

/// All histories of up to that many faults; `holds` says whether what a start finds may be found.
fn histories(places: u32, faults: u32, holds: Holds) -> Tally {
    let mut tally = Tally::default();
    Device::new(places, holds).live(faults, &mut Vec::new(), &mut tally);
    tally
}

type Holds = fn(&Device, Option<u32>) -> bool;

/// How much was tried.
#[derive(Debug, Default)]
struct Tally {
    histories: u64,
    refused: u64,
    cuts: u64,
    in_doubt: u64,
}

/// A part with a record, and what is known of it.
#[derive(Clone)]
struct Device {
    flash: RamFlash,
    ranges: [Range; 2],
    store: RecordStore,
    /// Of the last state that was acknowledged.
    acknowledged: u32,
    /// Of the last one that was tried.
    tried: u32,
    /// What is being written anew, since a start could not tell whether it stands.
    in_doubt: bool,
    holds: Holds,
}

impl Device {
    /// Its record holds a first state.
    fn new(places: u32, holds: Holds) -> Self {
        let geometry = Geometry { word_bytes: 1, page_bytes: 256, erased: 0xff };
        let block = places * PLACE_BYTES as u32;
        let mut flash = RamFlash::with_blocks(geometry, &[block, block]);
        let ranges = [range(0, block), range(block, block)];
        let mut store = RecordStore::load(&mut flash, ranges);
        store.write(&mut flash, &numbered(1)).unwrap();
        Self { flash, ranges, store, acknowledged: 1, tried: 1, in_doubt: false, holds }
    }

    /// Goes on to the last state, once as it is, and once for each fault at each operation on the way.
    fn live(mut self, faults_left: u32, so_far: &mut Vec<(u64, Fate)>, tally: &mut Tally) {
        loop {
            if self.acknowledged == LAST {
                tally.histories += 1;
                return;
            }
            if faults_left > 0 && self.writes_next() {
                for fate in FATES {
                    so_far.push((self.flash.mutations(), fate));
                    let mut other = self.clone();
                    if other.suffer(fate, so_far, tally) {
                        other.live(faults_left - 1, so_far, tally);
                    }
                    so_far.pop();
                }
            }
            self.step().unwrap();
        }
    }

    /// The next step writes or erases.
    fn writes_next(&self) -> bool {
        let mut ahead = self.clone();
        let before = ahead.flash.mutations();
        ahead.step().unwrap();
        ahead.flash.mutations() > before
    }

    /// One step towards the next state, behind one that stands.
    fn step(&mut self) -> Result<(), ()> {
        let number = match self.store.state() {
            Some(held) if self.in_doubt => held.next_trial_id,
            _ => self.acknowledged + 1,
        };
        self.tried = self.tried.max(number);
        match self.store.step(&mut self.flash, &numbered(number)) {
            Ok(WriteStep::Written) => (self.acknowledged, self.in_doubt) = (number, false),
            Ok(_) => {}
            Err(_) => {
                self.in_doubt = !self.store.is_settled();
                return Err(());
            }
        }
        Ok(())
    }

    /// The next operation goes wrong, if it can in this way; behind a cut the device starts.
    fn suffer(&mut self, fate: Fate, so_far: &[(u64, Fate)], tally: &mut Tally) -> bool {
        match fate {
            Fate::Refused => {
                self.flash.refuses = Some(range(0, self.flash.bytes.len() as u32));
                // An erase is not refused.
                let strikes = self.step().is_err();
                self.flash.refuses = None;
                tally.refused += u64::from(strikes);
                strikes
            }
            Fate::Cut { bytes, mood } => {
                self.flash.cut = Some(Cut { operation: self.flash.mutations(), bytes, weak: true });
                // An operation of fewer bytes is over by then.
                let strikes = self.step().is_err();
                self.flash.power_on();
                self.flash.mood = mood;
                if strikes {
                    tally.cuts += 1;
                    self.start(so_far, tally);
                }
                strikes
            }
        }
    }

    fn start(&mut self, so_far: &[(u64, Fate)], tally: &mut Tally) {
        self.store = RecordStore::load(&mut self.flash, self.ranges);
        let found = self.store.state().map(|state| state.next_trial_id);
        let (acknowledged, tried) = (self.acknowledged, self.tried);
        assert!(
            (self.holds)(self, found),
            "{so_far:?}: {found:?}, {acknowledged} acknowledged, {tried} tried"
        );
        self.in_doubt = !self.store.is_settled();
        tally.in_doubt += u64::from(self.in_doubt);
    }
}

fn numbered(number: u32) -> BootState {
    BootState { next_trial_id: number, ..BootState::default() }
}
