//! A device under test at the end of any link: serial, TCP, or in this process.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::bench::{Device, Opening, run_program};
use crate::commands::deployment::Deployment;
use crate::conformance::{Deployed, PowerError, Role, Stopping, Unit, UnitError};
use crate::error::CommandError;
use crate::evidence::Outcome;
#[cfg(feature = "sim")]
use crate::link::SimulatedDevice;
use crate::qualify::observation::Seen;

/// Between power off and on, in milliseconds.
const OFF_MS: u64 = 500;
/// Longest run of a power command, in milliseconds.
const COMMAND_MS: u64 = 60_000;
/// Between the request ids of two conversations.
const IDS: u32 = 0x0010_0000;

/// What takes a device's power.
#[derive(Debug)]
pub(super) enum Power {
    /// Nothing.
    None,
    /// Programs of this host: one that takes it, one that gives it back.
    Commands([Vec<String>; 2]),
    /// The device is simulated in this process: its power fails inside an operation of its flash.
    #[cfg(feature = "sim")]
    InMemory(SimulatedDevice),
}

/// What a device in this process is kept by; of no use without the simulator.
#[cfg(feature = "sim")]
type Kept = SimulatedDevice;
#[cfg(not(feature = "sim"))]
type Kept = core::convert::Infallible;

/// Lets a simulated device outlive each conversation with it.
#[cfg(feature = "sim")]
pub(super) fn keep(opening: &mut Opening) -> Result<Option<Kept>, CommandError> {
    let address = opening.address.clone();
    opening
        .start
        .keep_device(&address)
        .map_err(|error| CommandError::Device { address, source: Box::new(error.into()) })?;
    Ok(opening.start.device.clone())
}

/// Every device outlives each conversation with it.
#[cfg(not(feature = "sim"))]
#[expect(clippy::unnecessary_wraps, reason = "its twin can fail")]
pub(super) const fn keep(_opening: &mut Opening) -> Result<Option<Kept>, CommandError> {
    Ok(None)
}

impl Power {
    /// By the commands that are named, or by the device itself where that is simulated.
    pub(super) fn new(off: Option<String>, on: Option<String>, in_memory: Option<Kept>) -> Self {
        let words = |command: String| command.split_whitespace().map(str::to_owned).collect();
        match (off, on, in_memory) {
            (Some(off), Some(on), _) => Self::Commands([words(off), words(on)]),
            #[cfg(feature = "sim")]
            (_, _, Some(device)) => Self::InMemory(device),
            _ => Self::None,
        }
    }

    pub(super) const fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }
}

/// A device at the end of a link.
pub(super) struct Linked {
    opening: Opening,
    device: Device,
    deployments: BTreeMap<Role, Deployment>,
    power: Power,
    stopping: Stopping,
}

impl Linked {
    pub(super) fn new(
        opening: Opening,
        deployments: BTreeMap<Role, Deployment>,
        power: Power,
        stopping: Stopping,
    ) -> Self {
        Self { device: Device::new(opening.clone()), opening, deployments, power, stopping }
    }

    /// A conversation that nobody has begun; the one before has to be over, as a port has one host.
    fn next_opening(&mut self) -> Opening {
        self.opening.first_id = self.opening.first_id.wrapping_add(IDS);
        self.opening.clone()
    }

    async fn switch(&mut self) -> Result<(), PowerError> {
        match &self.power {
            Power::None => Err(PowerError::None),
            Power::Commands([off, on]) => {
                carry_out(off).await?;
                self.opening.start.sleep(OFF_MS).await;
                carry_out(on).await
            }
            #[cfg(feature = "sim")]
            Power::InMemory(device) => {
                device.power_off(OFF_MS);
                Ok(())
            }
        }
    }
}

impl Unit for Linked {
    fn device(&mut self) -> &mut Device {
        &mut self.device
    }

    fn hang_up(&mut self) {
        let opening = self.next_opening();
        self.device = self.device.forgotten(opening);
    }

    async fn be_silent(&mut self, pause_ms: u64) {
        self.hang_up();
        self.opening.start.sleep(pause_ms).await;
    }

    async fn deploy(&mut self, role: Role) -> Result<Deployed, UnitError> {
        self.device.close().await;
        self.hang_up();
        let opening = self.next_opening();
        let device = self.device.forgotten(opening);
        let Some(deployment) = self.deployments.get(&role) else {
            return Ok(Deployed::Otherwise { why: format!("no bundle `{role}`") });
        };
        let interrupts: watch::Receiver<u32> = self.stopping.asked.clone();
        self.stopping.is_deploying.set(true);
        let ended = deployment.run_on(device, interrupts).await;
        self.stopping.is_deploying.set(false);
        let end = ended.map_err(|error| UnitError::Deploy(Box::new(error)))?.end;
        let why = end.message;
        Ok(match end.outcome {
            Outcome::Committed | Outcome::AlreadyRunning => Deployed::Runs,
            Outcome::RolledBack => Deployed::RolledBack,
            Outcome::Refused => Deployed::Refused { why },
            Outcome::WentBackByItself
            | Outcome::Error
            | Outcome::Interrupted
            | Outcome::NeedsService
            | Outcome::Held => Deployed::Otherwise { why },
        })
    }

    fn has_power_control(&self) -> bool {
        self.power.is_some()
    }

    fn behind(&mut self) -> u64 {
        match &self.power {
            Power::None | Power::Commands(_) => self.device.now_ms(),
            #[cfg(feature = "sim")]
            Power::InMemory(device) => device.flash_operations(),
        }
    }

    fn measure(&self) -> &'static str {
        match &self.power {
            Power::None | Power::Commands(_) => "ms",
            #[cfg(feature = "sim")]
            Power::InMemory(_) => "operations of flash",
        }
    }

    async fn cut(
        &mut self,
        so_far: u64,
        seed: u64,
        deed: impl AsyncFnOnce(&mut Device),
    ) -> Result<bool, UnitError> {
        #[cfg(feature = "sim")]
        if let Power::InMemory(device) = &self.power {
            device
                .fail_in(device.flash_operations().saturating_add(so_far).saturating_add(1), seed);
            deed(&mut self.device).await;
            return Ok(!device.call_off_failure());
        }
        // When the power of a real device fails, nobody chooses what is torn.
        let _ = seed;
        let start = self.opening.start.clone();
        let is_cut = tokio::select! {
            biased;
            () = deed(&mut self.device) => false,
            () = start.sleep(so_far) => true,
        };
        if is_cut {
            self.switch().await?;
        }
        Ok(is_cut)
    }

    async fn cycle_power(&mut self) -> Result<(), UnitError> {
        self.switch().await?;
        self.be_silent(OFF_MS).await;
        Ok(())
    }
}

async fn carry_out(argv: &[String]) -> Result<(), PowerError> {
    let said = match run_program(argv, COMMAND_MS).await {
        Seen::CommandExit { code: Some(0), .. } => return Ok(()),
        Seen::CommandExit { code, stderr, .. } => {
            let code = code.map_or("a signal".to_owned(), |code| format!("exit {code}"));
            format!("{code}: {}", stderr.trim())
        }
        Seen::NoAnswer => format!("it did not end within {} s", COMMAND_MS / 1_000),
        Seen::LinkError { reason } => reason,
        seen @ (Seen::Facts(_)
        | Seen::Status(_)
        | Seen::Checks(_)
        | Seen::Reading(_)
        | Seen::CheckStatus { .. }
        | Seen::Pong { .. }
        | Seen::Refused { .. }) => seen.word().to_owned(),
    };
    Err(PowerError::Failed { command: argv.join(" "), said })
}
