//! The device, its flash part and what its images do.

use firmware_protocol::flash::{Geometry, NAME_BYTES};
use firmware_protocol::trust::MAX_ENVELOPE_BYTES;
use serde::Deserialize;

use super::{Measure, Problem};
use crate::flash::Ecc;

/// `[device]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DeviceSpec {
    pub(crate) product: String,
    pub(crate) hardware: String,
    pub(crate) revision: u32,
    pub(crate) serial: String,
    pub(crate) window_bytes: u32,
    pub(crate) max_frame_bytes: u32,
    pub(crate) areas: Vec<AreaKeys>,
    pub(crate) hardware_deadline: bool,
    pub(crate) watchdog_ms: u64,
    pub(crate) boot_ms: u64,
    /// A mistake that the device has, for tools that must notice it.
    pub(crate) rogue: Option<Mistake>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AreaKeys {
    pub(crate) name: String,
    pub(crate) bytes: u32,
}

/// A known mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mistake {
    /// Takes a manifest that nobody signed.
    AcceptsUnsigned,
    /// Says the digest that is expected instead of the one it has.
    LiesAboutDigests,
}

impl Default for DeviceSpec {
    fn default() -> Self {
        let area = |name: &str, bytes| AreaKeys { name: name.to_owned(), bytes };
        Self {
            product: "rover-nav".to_owned(),
            hardware: "nav-1".to_owned(),
            revision: 2,
            serial: "SIM-0001".to_owned(),
            window_bytes: 64 << 10,
            max_frame_bytes: 4096,
            areas: vec![area("app", 1 << 20), area("config", 16 << 10)],
            hardware_deadline: true,
            watchdog_ms: 2000,
            boot_ms: 50,
            rogue: None,
        }
    }
}

/// Largest window and frame that a simulated device has, in bytes.
const MAX_MEMORY_BYTES: u32 = 16 << 20;
/// Shortest watchdog, in milliseconds: the engine feeds it every 100 ms at the latest.
const MIN_WATCHDOG_MS: u64 = 200;
/// Longest product, hardware id and serial number, in bytes: together they fit one reply.
const MAX_ID_BYTES: usize = 64;

impl DeviceSpec {
    pub(super) fn check(&self) -> Result<(), Problem> {
        let ids =
            [("product", &self.product), ("hardware", &self.hardware), ("serial", &self.serial)];
        for (key, text) in ids {
            let problem = format!("expected 1 to {MAX_ID_BYTES} bytes, got {}", text.len());
            let fits = (1..=MAX_ID_BYTES).contains(&text.len());
            Problem::unless(fits, format!("device.{key}"), problem)?;
        }
        let least = u32::try_from(2 * MAX_ENVELOPE_BYTES).unwrap_or(u32::MAX);
        within("device.window_bytes", self.window_bytes, least, MAX_MEMORY_BYTES)?;
        within("device.max_frame_bytes", self.max_frame_bytes, 1200, 65_536)?;
        let problem = format!("expected at least {MIN_WATCHDOG_MS}, got {}", self.watchdog_ms);
        Problem::unless(self.watchdog_ms >= MIN_WATCHDOG_MS, "device.watchdog_ms", problem)?;
        self.check_areas()
    }

    fn check_areas(&self) -> Result<(), Problem> {
        Problem::unless(!self.areas.is_empty(), "device.areas", "expected at least one area")?;
        for (index, area) in self.areas.iter().enumerate() {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            let named = (1..=NAME_BYTES).contains(&area.name.len()) && area.name.bytes().all(plain);
            let problem = format!(
                "expected 1 to {NAME_BYTES} letters, digits or hyphens, got {:?}",
                area.name
            );
            Problem::unless(named, "device.areas.name", problem)?;
            let twice = self.areas.iter().skip(index + 1).any(|other| other.name == area.name);
            Problem::unless(
                !twice,
                "device.areas.name",
                format!("{:?} is named twice", area.name),
            )?;
            Problem::unless(area.bytes > 0, "device.areas.bytes", "expected at least 1, got 0")?;
        }
        Ok(())
    }
}

/// `[flash]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FlashKeys {
    pub(crate) word_bytes: u32,
    pub(crate) page_bytes: u32,
    pub(crate) erased: u8,
    pub(crate) blocks: Vec<BlockKeys>,
    pub(crate) erase_us: u64,
    pub(crate) program_us: u64,
    pub(crate) ecc: Ecc,
}

/// A number of erase blocks of one length.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockKeys {
    bytes: u32,
    #[serde(default = "one")]
    count: u32,
}

const fn one() -> u32 {
    1
}

impl Default for FlashKeys {
    fn default() -> Self {
        let blocks = vec![BlockKeys { bytes: 4096, count: 1 }];
        Self {
            word_bytes: 4,
            page_bytes: 256,
            erased: 0xFF,
            blocks,
            erase_us: 0,
            program_us: 0,
            ecc: Ecc::None,
        }
    }
}

impl FlashKeys {
    pub(crate) const fn geometry(&self) -> Geometry {
        Geometry { word_bytes: self.word_bytes, page_bytes: self.page_bytes, erased: self.erased }
    }

    /// Lengths of the erase blocks in order; the last kind goes on for ever.
    pub(crate) fn block_lengths(&self) -> impl Iterator<Item = u32> + '_ {
        let repeat = |block: &BlockKeys| std::iter::repeat_n(block.bytes, block.count as usize);
        let last = self.blocks.last().map(|block| block.bytes);
        self.blocks
            .iter()
            .flat_map(repeat)
            .chain(std::iter::repeat_with(move || last).map_while(|last| last))
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        let word = self.word_bytes;
        let problem = format!("expected 1, 2, 4, 8, 16 or 32, got {word}");
        Problem::unless(word.is_power_of_two() && word <= 32, "flash.word_bytes", problem)?;
        let page = self.page_bytes;
        let problem =
            format!("expected a power of two from the word's {word} to 65536, got {page}");
        let fits = page.is_power_of_two() && (word..=65_536).contains(&page);
        Problem::unless(fits, "flash.page_bytes", problem)?;
        let problem = format!("expected 0 or 255, got {}", self.erased);
        Problem::unless(matches!(self.erased, 0 | 0xFF), "flash.erased", problem)?;
        Problem::unless(!self.blocks.is_empty(), "flash.blocks", "expected at least one")?;
        for block in &self.blocks {
            let fits = block.bytes > 0 && block.bytes.is_multiple_of(page);
            let problem = format!("expected a multiple of the page's {page}, got {}", block.bytes);
            Problem::unless(fits, "flash.blocks.bytes", problem)?;
        }
        Ok(())
    }
}

/// `[[image]]`: what one version does when it runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageSpec {
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) behaviour: Behaviour,
    #[serde(default)]
    pub(crate) boot_ms: u64,
    #[serde(default = "default_crash_after_ms")]
    pub(crate) crash_after_ms: u64,
    /// Of its first starts only; all by default.
    #[serde(default)]
    pub(crate) crash_starts: Option<u32>,
    #[serde(default)]
    pub(crate) console: Vec<String>,
    #[serde(default)]
    pub(crate) fails: Vec<String>,
    #[serde(default)]
    pub(crate) measure: Vec<Measure>,
}

const fn default_crash_after_ms() -> u64 {
    100
}

/// What an image does when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Behaviour {
    /// Everything it should.
    #[default]
    Healthy,
    /// Works, and then faults.
    Crashes,
    /// Stops at once; only the watchdog ends it.
    Hangs,
    /// Stops at once, but a timer interrupt feeds the watchdog; only the trial's hardware deadline
    /// ends it.
    HangsFeedingWatchdog,
    /// Works, but nothing that it says leaves the device.
    NeverAnswers,
}

impl ImageSpec {
    /// As it is at its `start`th start, counted from 1.
    pub(crate) fn at_start(mut self, start: u32) -> Self {
        if self.crash_starts.is_some_and(|crashing| start > crashing) {
            self.behaviour = Behaviour::Healthy;
        }
        self
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        let version: Result<firmware_protocol::version::Version, _> = self.version.parse();
        let problem = format!("expected a version as \"1.2.0\", or \"*\", got {:?}", self.version);
        Problem::unless(self.version == "*" || version.is_ok(), "image.version", problem)?;
        let crashes = self.crash_starts.is_none() || self.behaviour == Behaviour::Crashes;
        Problem::unless(crashes, "image.crash_starts", "only for behaviour \"crashes\"")
    }
}

fn within(key: &str, got: u32, least: u32, most: u32) -> Result<(), Problem> {
    let problem = format!("expected {least} to {most}, got {got}");
    Problem::unless((least..=most).contains(&got), key, problem)
}
