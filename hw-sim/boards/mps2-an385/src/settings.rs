//! A version's settings: what it is to behave like, and what its sensor reads. A component of its own, so that one program plays
//! every version that a test bench needs.
//!
//! Text, a key and a value in a line: `behaviour healthy`, `supply_mv 3300`. A line that begins with `#` is a comment.

use core::str;

use embedded_storage::nor_flash::ReadNorFlash;
use firmware_protocol::flash::Range;

use crate::flash::FileFlash;

/// Longest settings, in bytes.
const LONGEST_BYTES: usize = 512;

/// How a version behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// As it should.
    #[default]
    Healthy,
    /// Stops, and feeds no watchdog.
    Hangs,
    /// Faults a second behind its start.
    Crashes,
    /// Its main loop feeds the watchdog and never calls the engine.
    NeverPolls,
    /// Calls the engine, and sends nothing that it says.
    Deaf,
    /// Stops, and a timer interrupt goes on feeding the watchdog.
    FeedsFromInterrupt,
    /// Its settings name none of these, or hold what nobody understands: a version that does not know itself is not healthy.
    Unknown,
}

/// A version's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How it behaves.
    pub behaviour: Behaviour,
    /// What its sensor reads, in millivolts.
    pub supply_mv: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { behaviour: Behaviour::Healthy, supply_mv: 3300 }
    }
}

impl Settings {
    /// Reads the settings at `place`. What is missing is as it should be.
    #[must_use]
    pub fn read(flash: &mut FileFlash, place: Range) -> Self {
        let mut bytes = [0; LONGEST_BYTES];
        if place.is_empty() || flash.read(place.start, &mut bytes).is_err() {
            return Self::default();
        }
        let end = bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(LONGEST_BYTES);
        Self::parse(str::from_utf8(&bytes[..end]).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut settings = Self::default();
        for line in text.lines() {
            let read = match line.split_once(' ') {
                Some(("behaviour", word)) => {
                    behaviour(word).map(|behaviour| Self { behaviour, ..settings })
                }
                Some(("supply_mv", number)) => {
                    number.parse().ok().map(|supply_mv| Self { supply_mv, ..settings })
                }
                Some(_) | None => (line.is_empty() || line.starts_with('#')).then_some(settings),
            };
            let Some(read) = read else {
                return Self { behaviour: Behaviour::Unknown, ..settings };
            };
            settings = read;
        }
        settings
    }
}

fn behaviour(word: &str) -> Option<Behaviour> {
    match word {
        "hangs" => Some(Behaviour::Hangs),
        "crashes" => Some(Behaviour::Crashes),
        "never_polls" => Some(Behaviour::NeverPolls),
        "deaf" => Some(Behaviour::Deaf),
        "feeds_from_interrupt" => Some(Behaviour::FeedsFromInterrupt),
        "healthy" => Some(Behaviour::Healthy),
        _ => None,
    }
}
