//! The simulated device: power supply, boot stage, watchdog and ports around the image that runs.
//!
//! ```text
//!          power returns            boot stage done
//!   Off ------------------> BootStage -------------> Running
//!    ^                          ^  |                  |  |
//!    |       power cut          |  |      reset       |  |
//!    +--------------------------|--+------------------|--+
//!                               +---------------------+
//! ```
//!
//! No clock and no I/O but the flash part's own file. Time is an argument in microseconds; what is
//! due is done in order, each thing at its own time, so the outcome does not depend on how often
//! [`SimDevice::advance`] is called.

mod port;
mod rogue;
mod running;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use firmware_protocol::boot::{ResetCause, Start};
use firmware_protocol::digest::Digest;
use firmware_protocol::flash::{Guarded, TrapFlag as _};
use firmware_protocol::frame::Framing;
use firmware_protocol::layout::Layout;
use firmware_protocol::manifest::decode_manifest;
use firmware_protocol::sealed::{LinkKey, LinkSecret};
use firmware_protocol::slot::SlotId;
use firmware_protocol::start::{BootCheck, boot, read_manifest};
use firmware_protocol::trust::{BodyType, Envelope, MAX_ENVELOPE_BYTES};
use thiserror::Error;

use crate::clock::{Chance, NEVER_US, Purpose, us};
use crate::factory::{FactoryBundle, FactoryError, provision};
use crate::fault::{Fault, FlipFault, Mishaps, Tear};
use crate::flash::{FlashHandle, SimFlash};
use crate::layout::{LayoutError, lay_out};
use crate::power::{Failures, PowerCuts};
use crate::scenario::{ImageSpec, Scenario};
use crate::state::{Opened, StateDir, StateError};
use crate::stats::{Fired, LinkStats, Stats};

use self::port::{Port, PortSpec};
use self::running::{End, Running, Surroundings};

/// The serial port's number.
pub const SERIAL_PORT: usize = 0;
/// The numbers of the TCP port's two connections.
pub const TCP_PORTS: [usize; 2] = [1, 2];

/// Bits that one byte takes on a serial line: start, eight data bits, stop.
const BITS_PER_BYTE: u64 = 10;

/// What a device is made of.
#[derive(Debug, Clone, Default)]
pub struct DeviceConfig {
    /// What it is, what its images do, which faults strike.
    pub scenario: Scenario,
    /// Everything random follows from it.
    pub seed: u64,
    /// Pace of the serial line in both directions, in bits per second; zero is unlimited.
    pub baud: u32,
    /// Nobody is on the serial line, so console text goes out in messages.
    pub tcp_only: bool,
    /// What slot A holds when the device is new; a small unsigned image by default.
    pub bundle: Option<FactoryBundle>,
    /// Envelope of the root record that a new device is enrolled with.
    pub root: Option<Vec<u8>>,
    /// Folder that keeps flash and counters; memory by default.
    pub state: Option<PathBuf>,
    /// Lets the supply fail at random, over and over.
    pub power_cuts: Option<PowerCuts>,
}

/// Why a device cannot be made.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// Its areas do not fit.
    #[error("the scenario's flash cannot be laid out")]
    Layout(#[from] LayoutError),
    /// Its first contents cannot be made.
    #[error("failed to make a new device")]
    Factory(#[from] FactoryError),
    /// Its state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A simulated device; see the module's documentation.
#[derive(Debug)]
pub struct SimDevice {
    scenario: Arc<Scenario>,
    seed: u64,
    identity: LinkSecret,
    tcp_only: bool,
    layout: Layout,
    flash: FlashHandle,
    state: Option<StateDir>,
    power: Power,
    ports: [Port; 3],
    flips: Vec<FlipFault>,
    flipped: u64,
    mishaps: Mishaps,
    failures: Option<Failures>,
    /// Starts of each version since the process began.
    starts: BTreeMap<String, u32>,
    stats: Stats,
    now_us: u64,
}

#[derive(Debug)]
enum Power {
    /// `cause` is what the device learns when power is back.
    Off {
        until_us: u64,
        cause: ResetCause,
    },
    BootStage {
        until_us: u64,
        cause: ResetCause,
    },
    Running(Box<Running>),
}

impl SimDevice {
    /// A device whose power comes on at time zero.
    ///
    /// # Errors
    /// When its flash cannot be laid out, filled or opened.
    pub fn new(config: DeviceConfig) -> Result<Self, DeviceError> {
        let scenario = Arc::new(config.scenario);
        let (spec, layout) = lay_out(&scenario)?;
        let (bundle, root) = (config.bundle.as_ref(), config.root.as_deref());
        let (mut flash, dir, stats) = if let Some(path) = &config.state {
            let Opened { dir, flash, stats } =
                StateDir::open(path, &scenario, (spec, &layout), bundle, root)?;
            (flash, Some(dir), stats)
        } else {
            let mut flash = SimFlash::in_memory(spec);
            provision(&scenario, &layout, &mut flash, bundle, root)?;
            (flash, None, Stats::default())
        };
        let identity = made_identity(config.seed, scenario.serial());
        let identity = match &dir {
            Some(dir) => dir.identity(&identity)?,
            None => identity,
        };
        let cut = |at_operation| Fault::cut(at_operation, Tear::Seeded { seed: config.seed });
        let cut = scenario.power.cut_at_operation.map(cut);
        cut.into_iter().chain(scenario.faults.iter().copied()).for_each(|it| flash.set_fault(it));
        let mut device = Self {
            seed: config.seed,
            identity,
            tcp_only: config.tcp_only,
            layout,
            flash: FlashHandle::new(flash),
            state: dir,
            power: Power::Off { until_us: 0, cause: ResetCause::PowerOn },
            ports: ports(&scenario, config.seed, config.baud, &stats),
            flips: scenario.flips.clone(),
            flipped: 0,
            mishaps: Mishaps::of(&scenario.faults),
            failures: config.power_cuts.map(Failures::new),
            starts: BTreeMap::new(),
            scenario,
            stats,
            now_us: 0,
        };
        device.advance(0);
        Ok(device)
    }

    /// Bytes from the host enter the line to `port`, [`SERIAL_PORT`] or one of [`TCP_PORTS`].
    pub fn receive(&mut self, port: usize, bytes: &[u8], now_us: u64) {
        if let Some(port) = self.ports.get_mut(port) {
            port.receive(bytes, now_us.max(self.now_us));
        }
    }

    /// Does everything that is due up to `now_us`, each thing at its own time.
    pub fn advance(&mut self, now_us: u64) {
        loop {
            let due_us = self.next_wake_us();
            if due_us > now_us {
                break;
            }
            self.now_us = self.now_us.max(due_us);
            self.step();
        }
        self.now_us = self.now_us.max(now_us);
    }

    /// Takes the bytes that have left `port` since the last call.
    #[must_use]
    pub fn transmit(&mut self, port: usize) -> Vec<u8> {
        self.ports.get_mut(port).map(Port::take_left).unwrap_or_default()
    }

    /// When to call [`SimDevice::advance`] again, unless bytes arrive first.
    #[must_use]
    pub fn next_wake_us(&self) -> u64 {
        let power_us = match &self.power {
            Power::Off { until_us, .. } | Power::BootStage { until_us, .. } => *until_us,
            Power::Running(running) => running.next_us(&self.ports),
        };
        let heard_us = |port: &Port| if self.listens() { NEVER_US } else { port.heard_us() };
        let ports = self.ports.iter().map(|port| port.leaves_us().min(heard_us(port)));
        let flips = self.flips.iter().map(|flip| us(flip.after_ms));
        ports.chain(flips).fold(power_us, u64::min).max(self.now_us)
    }

    /// True while an image takes what arrives; a TCP connection is accepted only then.
    #[must_use]
    pub fn listens(&self) -> bool {
        matches!(&self.power, Power::Running(running) if running.listens())
    }

    /// The port on which a host with a delegation is at work: a connection that is not to give way to a stranger's.
    #[must_use]
    pub fn session_port(&self) -> Option<usize> {
        match &self.power {
            Power::Running(running) => running.session_port(),
            Power::Off { .. } | Power::BootStage { .. } => None,
        }
    }

    /// True once after the device ended what went on at `port`: it reset, or a cable fault struck.
    /// A TCP connection is then gone; a serial line has only lost what was on it.
    pub fn take_hung_up(&mut self, port: usize) -> bool {
        self.ports.get_mut(port).is_some_and(Port::take_hung_up)
    }

    /// A new connection begins at `port`; nothing of the one before is left.
    pub fn connect(&mut self, port: usize) {
        if let Power::Running(running) = &mut self.power {
            running.end_link(port);
        }
        if let Some(port) = self.ports.get_mut(port) {
            port.restart();
        }
    }

    /// Bytes on their way into `port`: a caller that stops reading its host at a few thousand gives
    /// the host the back pressure of a real line.
    #[must_use]
    pub fn backlog_bytes(&self, port: usize) -> usize {
        self.ports.get(port).map_or(0, Port::backlog_bytes)
    }

    /// Cuts the power now; it returns by itself after `off_ms`.
    pub fn cut_power(&mut self, off_ms: u64) {
        self.lose_power(us(off_ms), ResetCause::PowerOn);
    }

    /// What runs; `None` while the device is off, boots or resets.
    #[must_use]
    pub fn running(&self) -> Option<Start> {
        match &self.power {
            Power::Off { .. } | Power::BootStage { .. } => None,
            Power::Running(running) => Some(running.start()),
        }
    }

    /// The flash part, to look into it or to damage it.
    #[must_use]
    pub fn flash(&self) -> FlashHandle {
        self.flash.clone()
    }

    /// Where everything lies on flash.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Everything counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        stats.links = self.link_stats();
        stats.flash = self.flash.lock().counters();
        let mut faults = self.flash.lock().fired().clone();
        faults.extend(self.mishaps.fired());
        let (flips, power_cuts) = (self.flipped, stats.flash.power_cuts);
        let own = Fired { faults, power_cuts, flips, ..Fired::default() };
        stats.fired = self.ports.iter().fold(own, |sum, port| sum.plus(port.fired()));
        stats
    }

    /// The counters of serial and of TCP alone: cheap enough to ask for at every turn.
    #[must_use]
    pub fn link_stats(&self) -> [LinkStats; 2] {
        let [serial, first, second] = self.ports.each_ref().map(|port| port.stats);
        [serial, first.plus(second)]
    }

    /// The public half of the key that the device proves on sealed links to have.
    #[must_use]
    pub fn identity(&self) -> LinkKey {
        self.identity.public()
    }

    /// The device's serial number.
    #[must_use]
    pub fn serial(&self) -> &str {
        self.scenario.serial()
    }

    /// The folder that keeps this device, if it has one.
    #[must_use]
    pub const fn state(&self) -> Option<&StateDir> {
        self.state.as_ref()
    }

    fn step(&mut self) {
        self.flip_due();
        match &mut self.power {
            Power::Off { until_us, cause } if *until_us <= self.now_us => {
                let cause = *cause;
                self.power_on();
                self.enter_boot_stage(cause);
            }
            Power::BootStage { until_us, cause } if *until_us <= self.now_us => {
                let cause = *cause;
                self.start_image(cause);
            }
            Power::Off { .. } | Power::BootStage { .. } => {}
            Power::Running(running) => {
                let around = Surroundings {
                    scenario: &self.scenario,
                    layout: &self.layout,
                    flash: &self.flash,
                    seed: self.seed,
                    identity: &self.identity,
                    boot: self.stats.boots(),
                    serial_console: !self.tcp_only,
                };
                match running.step(&around, &mut self.mishaps, &mut self.ports, self.now_us) {
                    Some(End::Reset(cause)) => self.enter_boot_stage(cause),
                    Some(End::PowerLost) => self.supply_failed(),
                    None => {}
                }
            }
        }
        self.move_bytes();
    }

    fn move_bytes(&mut self) {
        let listens = self.listens();
        for port in &mut self.ports {
            port.leave(self.now_us);
            if !listens && port.heard_us() <= self.now_us {
                port.ignore(self.now_us);
            }
        }
    }

    fn flip_due(&mut self) {
        let now_us = self.now_us;
        let due = self.flips.extract_if(.., |flip| us(flip.after_ms) <= now_us);
        for flip in due {
            let slot = self.layout.slot(flip.slot);
            let address = slot.area(&flip.component).map(|(_, area)| area.range.start);
            let address = address.and_then(|start| start.checked_add(flip.offset));
            if address.is_some_and(|address| self.flash.lock().flip(address, flip.bit).is_ok()) {
                self.flipped = self.flipped.saturating_add(1);
            }
        }
    }

    fn enter_boot_stage(&mut self, cause: ResetCause) {
        self.stats.count_reset(cause);
        self.ports.iter_mut().for_each(Port::stop);
        let until_us = self.now_us.saturating_add(us(self.scenario.device.boot_ms));
        self.power = Power::BootStage { until_us, cause };
    }

    /// Power is back, and with it the time until a supply that fails at random fails next.
    fn power_on(&mut self) {
        let mut flash = self.flash.lock();
        flash.power_on();
        let operations = flash.counters().operations;
        if let Some(failures) = &mut self.failures {
            flash.clear_waiting();
            flash.set_fault(failures.next(operations));
        }
    }

    fn supply_failed(&mut self) {
        let flash = self.flash.lock();
        let cause = if flash.is_brown_out() { ResetCause::BrownOut } else { ResetCause::PowerOn };
        let counters = flash.counters();
        drop(flash);
        let (cuts, operation) = (counters.power_cuts, counters.operations);
        tracing::info!(serial = self.serial(), operation, cuts, "the supply has failed");
        self.lose_power(us(self.scenario.power.off_ms), cause);
    }

    fn lose_power(&mut self, off_us: u64, cause: ResetCause) {
        self.ports.iter_mut().for_each(Port::stop);
        self.power = Power::Off { until_us: self.now_us.saturating_add(off_us), cause };
    }

    /// The boot stage's end: its decision, stored, and the jump.
    fn start_image(&mut self, cause: ResetCause) {
        let mut trap = self.flash.lock().trap_line();
        let mut flash = Guarded::new(self.flash.clone(), trap.clone());
        let handover = boot(&mut flash, &self.layout, cause, BootCheck::Full);
        let busy_us = self.flash.lock().take_busy_us();
        if !self.flash.lock().is_powered() {
            return self.supply_failed();
        }
        if trap.take() {
            return self.enter_boot_stage(ResetCause::Crash);
        }
        self.mishaps.restart();
        let image = match handover.start {
            Start::Slot(slot) => self.image_in(slot),
            Start::Recovery => ImageSpec::default(),
        };
        self.stats.count_boot(handover.start);
        let now_us = self.now_us.saturating_add(busy_us);
        let running = Running::new(&self.scenario, image, handover, now_us);
        self.power = Power::Running(Box::new(running));
    }

    /// What the image in `slot` does at this start: its version, which the manifest beside it tells,
    /// decides, and how often that has started before.
    fn image_in(&mut self, slot: SlotId) -> ImageSpec {
        let mut bytes = [0; MAX_ENVELOPE_BYTES];
        let version = read_manifest(&mut self.flash, self.layout.slot(slot), &mut bytes)
            .ok()
            .and_then(|bytes| Envelope::parse_front(bytes, BodyType::Manifest).ok())
            .and_then(|(envelope, _)| decode_manifest(envelope.body()).ok())
            .map(|manifest| manifest.version.to_string())
            .unwrap_or_default();
        let image = self.scenario.image(&version);
        let start = self.starts.entry(version).or_default();
        *start = start.saturating_add(1);
        image.at_start(*start)
    }
}

/// The key of a new board: from its seed and serial number, so that a replayed run has it again. It is no secret.
fn made_identity(seed: u64, serial: &str) -> LinkSecret {
    let mut drawn = [0; 32];
    Chance::new(seed, Purpose::Identity, 0).fill(&mut drawn);
    LinkSecret::new(Digest::of(&[&drawn, serial.as_bytes()].concat()).0)
}

fn ports(scenario: &Scenario, seed: u64, baud: u32, stats: &Stats) -> [Port; 3] {
    let [serial, tcp] = stats.links;
    let port = |framing, rate, index, stats| {
        let spec = PortSpec {
            framing,
            rate,
            faults: &scenario.link_faults,
            max_frame_bytes: scenario.device.max_frame_bytes,
        };
        Port::new(&spec, seed, index, stats)
    };
    let rate = u64::from(baud) / BITS_PER_BYTE;
    [
        port(Framing::Serial, rate, 0, serial),
        port(Framing::Stream, 0, 1, tcp),
        port(Framing::Stream, 0, 2, LinkStats::default()),
    ]
}
