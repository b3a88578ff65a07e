//! An image while it runs, and what ends its run.

use std::collections::BTreeSet;
use std::sync::Arc;

use firmware_protocol::boot::{ResetCause, Start};
use firmware_protocol::device::{Device, Effect, Input, Next, Outgoing};
use firmware_protocol::flash::{Guarded, TrapFlag as _};
use firmware_protocol::layout::Layout;
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::slot::SlotId;
use firmware_protocol::start::Handover;

use crate::clock::{NEVER_US, us};
use crate::fault::{Mishap, Mishaps, RandomFaults};
use crate::flash::{FlashHandle, TrapLine};
use crate::image::SimBoard;
use crate::scenario::{Behaviour, ImageSpec, Scenario};

use super::port::Port;
use super::rogue::Rogue;

/// What one call of the engine takes, flash apart: keeps an engine that always has more to do from
/// standing still in time.
const STEP_US: u64 = 10;

/// How an image's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Reset(ResetCause),
    PowerLost,
}

/// What an image needs of its device to run.
pub(super) struct Surroundings<'a> {
    pub(super) scenario: &'a Arc<Scenario>,
    pub(super) layout: &'a Layout,
    pub(super) flash: &'a FlashHandle,
    pub(super) seed: u64,
    /// The board's own key.
    pub(super) identity: &'a LinkSecret,
    /// Counts all boots, so that no two have the same random numbers.
    pub(super) boot: u64,
    /// Console text goes out between the frames of port 0.
    pub(super) serial_console: bool,
}

/// An image that was started, recovery included.
#[derive(Debug)]
pub(super) struct Running {
    start: Start,
    image: ImageSpec,
    handover: Handover,
    stage: Stage,
    watchdog_us: u64,
    hardware_deadline: bool,
    watchdog_at_us: u64,
    deadline_at_us: u64,
    crash_at_us: u64,
}

#[derive(Debug)]
enum Stage {
    /// Still starting up; it feeds the watchdog meanwhile.
    Starting { until_us: u64 },
    /// Calls its engine.
    Serving(Box<Serving>),
    /// Does nothing any more.
    Hung,
}

#[derive(Debug)]
struct Serving {
    rogue: Option<Rogue>,
    engine: Device<Vec<u8>, Guarded<FlashHandle, TrapLine>, SimBoard>,
    trap: TrapLine,
    outgoing: Outgoing,
    /// Links whose connections have ended, which the engine has yet to be told.
    gone: BTreeSet<u8>,
    /// The port that was heard last.
    heard_last: u8,
    /// What arrived last was answered at once.
    has_answered: bool,
    started_us: u64,
    wake_us: u64,
    /// The processor is busy until then.
    ready_us: u64,
}

impl Running {
    /// The image that the boot stage has just jumped to.
    pub(super) fn new(
        scenario: &Scenario,
        image: ImageSpec,
        handover: Handover,
        now_us: u64,
    ) -> Self {
        let watchdog_us = us(scenario.device.watchdog_ms);
        let hardware_deadline = scenario.device.hardware_deadline;
        let until_us = now_us.saturating_add(us(image.boot_ms));
        let deadline_ms = handover.deadline_ms.filter(|_| hardware_deadline);
        let crash_us = match image.behaviour {
            Behaviour::Crashes => until_us.saturating_add(us(image.crash_after_ms)),
            Behaviour::Healthy
            | Behaviour::Hangs
            | Behaviour::HangsFeedingWatchdog
            | Behaviour::NeverAnswers => NEVER_US,
        };
        Self {
            start: handover.start,
            image,
            handover,
            stage: Stage::Starting { until_us },
            watchdog_us,
            hardware_deadline,
            watchdog_at_us: until_us.saturating_add(watchdog_us),
            deadline_at_us: deadline_ms.map_or(NEVER_US, |ms| now_us.saturating_add(us(ms.into()))),
            crash_at_us: crash_us,
        }
    }

    /// What runs.
    pub(super) const fn start(&self) -> Start {
        self.start
    }

    /// The port on which a host with a delegation is at work.
    pub(super) fn session_port(&self) -> Option<usize> {
        match &self.stage {
            Stage::Serving(serving) => serving.engine.session_link().map(usize::from),
            Stage::Starting { .. } | Stage::Hung => None,
        }
    }

    /// The connection at `port` has ended.
    pub(super) fn end_link(&mut self, port: usize) {
        if let (Stage::Serving(serving), Ok(link)) = (&mut self.stage, u8::try_from(port)) {
            serving.gone.insert(link);
        }
    }

    /// True when the image takes what arrives.
    pub(super) const fn listens(&self) -> bool {
        matches!(self.stage, Stage::Serving(_))
    }

    /// When the image or its timers next do something.
    pub(super) fn next_us(&self, ports: &[Port]) -> u64 {
        let timers = self.watchdog_at_us.min(self.deadline_at_us).min(self.crash_at_us);
        let stage = match &self.stage {
            Stage::Starting { until_us } => *until_us,
            Stage::Serving(serving) => {
                let heard_us = ports.iter().map(Port::heard_us).min().unwrap_or(NEVER_US);
                let wake_us = if serving.gone.is_empty() { serving.wake_us } else { 0 };
                wake_us.min(heard_us).max(serving.ready_us)
            }
            Stage::Hung => NEVER_US,
        };
        timers.min(stage)
    }

    /// Does what is due at `now_us`.
    pub(super) fn step(
        &mut self,
        around: &Surroundings<'_>,
        mishaps: &mut Mishaps,
        ports: &mut [Port],
        now_us: u64,
    ) -> Option<End> {
        if let Some(cause) = self.timer(now_us) {
            return Some(End::Reset(cause));
        }
        match &mut self.stage {
            Stage::Starting { until_us } if *until_us <= now_us => {
                self.enter(around, mishaps.random(), ports, now_us);
                None
            }
            Stage::Serving(serving) if serving.is_due(ports, now_us) => {
                let uptime_ms = now_us.saturating_sub(serving.started_us) / 1000;
                let clock_ms = match mishaps.before_poll(uptime_ms) {
                    Mishap::Poll { clock_ms } => clock_ms,
                    Mishap::Reset { cause } => return Some(End::Reset(cause)),
                    Mishap::Hang => {
                        self.stage = Stage::Hung;
                        return None;
                    }
                };
                let mute = self.image.behaviour == Behaviour::NeverAnswers;
                let next = serving.poll(ports, mute, clock_ms, now_us);
                serving.rest(around.flash, next, clock_ms, now_us);
                if !around.flash.lock().is_powered() {
                    Some(End::PowerLost)
                } else if serving.trap.take() {
                    Some(End::Reset(ResetCause::Crash))
                } else {
                    self.carry_out(next.effect, now_us)
                }
            }
            Stage::Starting { .. } | Stage::Serving(_) | Stage::Hung => None,
        }
    }

    fn timer(&self, now_us: u64) -> Option<ResetCause> {
        if self.crash_at_us <= now_us {
            Some(ResetCause::Crash)
        } else if self.deadline_at_us <= now_us {
            Some(ResetCause::Deadline)
        } else if self.watchdog_at_us <= now_us {
            Some(ResetCause::Watchdog)
        } else {
            None
        }
    }

    /// The image has started up.
    fn enter(
        &mut self,
        around: &Surroundings<'_>,
        random: RandomFaults,
        ports: &mut [Port],
        now_us: u64,
    ) {
        match self.image.behaviour {
            Behaviour::Healthy | Behaviour::Crashes | Behaviour::NeverAnswers => {
                let mut serving = Serving::new(around, &self.image, random, self.handover, now_us);
                if self.image.behaviour != Behaviour::NeverAnswers {
                    print_console(&self.image, around.serial_console, &mut serving, ports, now_us);
                }
                self.stage = Stage::Serving(Box::new(serving));
            }
            Behaviour::Hangs => self.stage = Stage::Hung,
            Behaviour::HangsFeedingWatchdog => {
                self.stage = Stage::Hung;
                self.watchdog_at_us = NEVER_US;
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, now_us: u64) -> Option<End> {
        match effect {
            Effect::Nothing => None,
            Effect::Feed { deadline_ms } => {
                self.watchdog_at_us = now_us.saturating_add(self.watchdog_us);
                let deadline_ms = deadline_ms.filter(|_| self.hardware_deadline);
                self.deadline_at_us =
                    deadline_ms.map_or(NEVER_US, |ms| now_us.saturating_add(us(ms.into())));
                None
            }
            Effect::Reset => Some(End::Reset(ResetCause::Requested)),
        }
    }
}

impl Serving {
    fn new(
        around: &Surroundings<'_>,
        image: &ImageSpec,
        random: RandomFaults,
        handover: Handover,
        now_us: u64,
    ) -> Self {
        let device = &around.scenario.device;
        let board =
            SimBoard::new(around.scenario, image, around.identity, around.seed, around.boot);
        let trap = around.flash.lock().trap_line();
        let window = vec![0; device.window_bytes as usize];
        let engine = Device::new(
            Guarded::new(around.flash.clone(), trap.clone()),
            board.failing(random),
            around.layout.clone(),
            window,
            device.max_frame_bytes,
            handover,
            0,
        );
        let spare = match handover.start {
            Start::Slot(slot) => slot.other(),
            Start::Recovery => SlotId::A,
        };
        let rogue = device
            .rogue
            .map(|mistake| Rogue::new(mistake, around.flash.clone(), around.layout.clone(), spare));
        Self {
            rogue,
            trap,
            engine,
            outgoing: Outgoing::default(),
            gone: BTreeSet::new(),
            heard_last: 0,
            has_answered: false,
            started_us: now_us,
            wake_us: now_us,
            ready_us: now_us,
        }
    }

    fn is_due(&self, ports: &[Port], now_us: u64) -> bool {
        let heard = || ports.iter().any(|port| port.heard_us() <= now_us);
        let is_asked = self.wake_us <= now_us || !self.gone.is_empty() || heard();
        self.ready_us <= now_us && is_asked
    }

    /// Calls the engine once, with a connection that has ended or a frame that has arrived, if there is one.
    fn poll(&mut self, ports: &mut [Port], mute: bool, clock_ms: u64, now_us: u64) -> Next {
        let idle = self.gone.pop_first().map_or(Input::Nothing, |link| Input::Gone { link });
        let Self { engine, outgoing, rogue, heard_last, has_answered, .. } = self;
        // Whoever was heard last comes last: a host that sends without a pause keeps no other out.
        let (until_last, behind_last) = ports.split_at_mut(usize::from(*heard_last) + 1);
        let behind_last = behind_last.iter_mut().zip(*heard_last + 1..);
        let in_turn = behind_last.chain(until_last.iter_mut().zip(0..));
        // Behind an answer the engine has a turn of its own, and what arrives waits for it.
        let is_own_turn = std::mem::take(has_answered) || idle != Input::Nothing;
        let heard = in_turn.filter(|_| !is_own_turn).find_map(|(port, link)| {
            port.hear(now_us, |frame| {
                if let Some(rogue) = rogue {
                    rogue.hear(frame);
                }
                *heard_last = link;
                engine.poll(clock_ms, Input::Frame { link, frame }, outgoing)
            })
        });
        *has_answered = heard.is_some() && outgoing.is_full();
        let next = heard.unwrap_or_else(|| engine.poll(clock_ms, idle, outgoing));
        if let Some((link, header, payload)) = outgoing.take()
            && let Some(port) = ports.get_mut(usize::from(link)).filter(|_| !mute)
        {
            let bent = rogue.as_mut().and_then(|rogue| rogue.bend(payload));
            port.say(header, bent.as_deref().unwrap_or(payload), now_us);
        }
        next
    }

    /// Passes the time that the call has taken.
    fn rest(&mut self, flash: &FlashHandle, next: Next, clock_ms: u64, now_us: u64) {
        let busy_us = flash.lock().take_busy_us();
        self.ready_us = now_us.saturating_add(STEP_US).saturating_add(busy_us);
        // The engine asks on its own clock, which may be off.
        let wait_us = us(next.wake_ms.saturating_sub(clock_ms));
        let whole_ms_us = now_us.saturating_sub(now_us.saturating_sub(self.started_us) % 1000);
        self.wake_us = whole_ms_us.saturating_add(wait_us);
    }
}

/// Prints what the image says at its start: between the frames of a serial line, or, where there is
/// none, through the engine.
fn print_console(
    image: &ImageSpec,
    serial_console: bool,
    serving: &mut Serving,
    ports: &mut [Port],
    now_us: u64,
) {
    for line in &image.console {
        let text = format!("{line}\r\n");
        match ports.first_mut().filter(|_| serial_console) {
            Some(port) => port.print(&text, now_us),
            None => serving.engine.console(text.as_bytes()),
        }
    }
}
