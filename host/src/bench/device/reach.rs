//! Finding a device, again and again if need be: through resets, lost links and other hosts.

use firmware_protocol::message::{PROTOCOL_CURRENT, PROTOCOL_MIN, Reply, Request};
use firmware_protocol::refusal::Refusal;

use super::{Device, DeviceError, Opened, facts, identity};
use crate::bench::refused;
use crate::driver::{Driver, DriverError};
use crate::link::{Address, Link, LinkError};
use crate::session::transfer::TransferError;
use crate::session::{Answer, Patience};

/// Between two attempts to reach a device, in milliseconds.
pub(super) const RETRY_MS: u64 = 50;
/// Patience with one attempt to reach a device, in microseconds.
const PROBE_US: u64 = 1_000_000;
/// What a device is asked for first.
const WHO: &str = "who it is";

/// Between two words about a wait that goes on, in milliseconds.
const TELL_MS: u64 = 10_000;
/// Until the first word about another host that has the device, in milliseconds: somebody has to
/// decide whether to wait for it.
const TELL_HELD_MS: u64 = 1_000;

/// Until the first word about a device that has never answered, in milliseconds: who sees that it is the wrong address or a
/// switch that is off need not wait for the end.
const TELL_NEVER_MS: u64 = 2_000;

/// A wait for a device that has gone on long enough to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// What there has been instead of the device.
    pub why: Instead,
    /// For how long so far, in seconds.
    pub waited_s: u64,
    /// When it is given up, in seconds from its begin.
    pub limit_s: u64,
}

/// What there is instead of a device that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// Another host has it.
    OtherHost,
    /// It, with work that it does not put aside.
    Busy,
    /// The boot that has to end first.
    BootBefore,
    /// Nothing.
    Silence,
}

impl core::fmt::Display for Waiting {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { why, waited_s, limit_s } = self;
        match why {
            Instead::OtherHost => f.write_str("another host is working on the device")?,
            Instead::Busy => write!(f, "the device has been busy for {waited_s} s")?,
            Instead::BootBefore => write!(f, "only the boot before has answered for {waited_s} s")?,
            Instead::Silence => write!(f, "no answer for {waited_s} s")?,
        }
        write!(f, "; waiting up to {limit_s} s")?;
        match why {
            Instead::OtherHost => f.write_str(" (--take-over takes it over)"),
            Instead::Busy | Instead::BootBefore | Instead::Silence => Ok(()),
        }
    }
}

impl Device {
    /// Finds the device, looks at it and, with `session`, opens a session; with `not_boot`, waits until
    /// it runs another boot than that. `tell` hears every ten seconds that it still waits, and soon that a device has
    /// never answered.
    ///
    /// # Errors
    /// When none answers until `until_ms`, or another host holds it and goes on doing so.
    pub async fn connect(
        &mut self,
        until_ms: u64,
        not_boot: Option<u64>,
        session: bool,
        tell: &mut dyn FnMut(Waiting),
    ) -> Result<Opened, DeviceError> {
        let began_ms = self.now_ms();
        let mut tell_ms = began_ms.saturating_add(TELL_MS);
        let (mut was_told_held, mut was_told_never) = (false, false);
        loop {
            let error = match self.try_connect(not_boot, session).await {
                Ok(Some(opened)) => return Ok(opened),
                Ok(None) => DeviceError::OutOfTurn("identify: the boot before still runs"),
                Err(error) if self.shows_otherwise(&error) => continue,
                Err(error) if error.is_final(self.was_reached) => {
                    return Err(Box::pin(self.named(error)).await);
                }
                Err(error) => error,
            };
            let now_ms = self.now_ms();
            if now_ms >= until_ms {
                if let DeviceError::Refused(held @ Refusal::SessionHeld { .. }) = error {
                    return Err(DeviceError::Held(held));
                }
                return Err(DeviceError::NotReached {
                    address: self.opening.address.clone(),
                    waited_ms: now_ms.saturating_sub(began_ms),
                    source: Box::new(error),
                });
            }
            let (why, so_far_ms) = (error.instead(), now_ms.saturating_sub(began_ms));
            let is_held = why == Instead::OtherHost && !was_told_held && so_far_ms >= TELL_HELD_MS;
            let is_never = why == Instead::Silence
                && !(self.was_reached || was_told_never)
                && so_far_ms >= TELL_NEVER_MS;
            let is_news = is_held || is_never;
            if is_news || now_ms >= tell_ms {
                let limit_s = until_ms.saturating_sub(began_ms).div_ceil(1_000);
                let step_ms = if is_news { 1_000 } else { TELL_MS };
                let waited_s = so_far_ms / step_ms * (step_ms / 1_000);
                tell(Waiting { why, waited_s, limit_s });
                was_told_held |= is_held;
                was_told_never |= is_never;
            }
            if now_ms >= tell_ms {
                tell_ms = tell_ms.saturating_add(TELL_MS);
            }
            self.pause(RETRY_MS).await;
        }
    }

    /// Gives the session back, so that the next host need not wait for it to go stale.
    pub async fn close(&mut self) {
        if let (Some(driver), Some((_, session))) = (&mut self.driver, self.session.take()) {
            // A device that does not hear it ends the session by itself when it goes silent.
            driver.set_patience(Patience { silence_us: PROBE_US, ..Patience::default() });
            // On a link that was opened anew nothing was asked in it yet.
            driver.enter(session);
            let _ = driver.ask(Request::CloseSession).await;
        }
    }

    async fn try_connect(
        &mut self,
        not_boot: Option<u64>,
        session: bool,
    ) -> Result<Option<Opened>, DeviceError> {
        self.fresh_driver().await?;
        Box::pin(self.make_link()).await?;
        let hello = Request::Hello { min: PROTOCOL_MIN, current: PROTOCOL_CURRENT };
        let answer = self.ask_briefly(hello).await?;
        let at_ms = self.now_ms();
        self.was_reached = true;
        let hello = answer.reply().map_err(DeviceError::Refused)?;
        let Reply::Hello { version, max_frame_bytes, window_bytes, boot_nonce } = hello else {
            return Err(DeviceError::OutOfTurn("hello"));
        };
        if !(PROTOCOL_MIN..=PROTOCOL_CURRENT).contains(&version) {
            return Err(DeviceError::Version { version });
        }
        if not_boot == Some(boot_nonce) {
            return Ok(None);
        }
        // The device is back with its first answer, even if another host holds the session then.
        let at_ms = match self.back {
            Some((boot, back_ms)) if boot == boot_nonce => back_ms,
            Some(_) | None => at_ms,
        };
        self.back = Some((boot_nonce, at_ms));
        self.max_frame_bytes = max_frame_bytes;
        self.window_bytes = window_bytes;
        self.checks = None;
        // Each answer may take its time, and all of them together not as much.
        let mut reading = self.driver()?.begin_reading();
        Box::pin(self.meet()).await?;
        self.count_answer(&mut reading, WHO)?;
        if session {
            self.enter_session(boot_nonce).await?;
            self.count_answer(&mut reading, WHO)?;
        }
        let answer = self.ask_on(&mut reading, WHO, Request::Identify).await?;
        let mut facts = facts::device_facts(&identity(&answer)?);
        self.is_as_met(&facts.serial)?;
        facts.root_is_lost = session && facts.is_enrolled() && self.root_is_lost().await?;
        self.count_answer(&mut reading, WHO)?;
        let status = facts::status_facts(&self.status().await?);
        self.count_answer(&mut reading, WHO)?;
        Ok(Some(Opened { facts, status, at_ms }))
    }

    /// Goes on in this run's own session if the device still has it, else opens one.
    async fn enter_session(&mut self, boot: u64) -> Result<(), DeviceError> {
        if let Some((_, session)) = self.session.filter(|(opened_in, _)| *opened_in == boot) {
            self.driver()?.enter(session);
            if self.ask(Request::Renew).await?.reply().is_ok() {
                return Ok(());
            }
            self.session = None;
            self.driver()?.enter(0);
        }
        let (take_over, trial_id) = (self.opening.take_over, self.drives);
        let answer = self.ask(Request::OpenSession { take_over, trial_id }).await?;
        let reply = answer.reply().map_err(DeviceError::Refused)?;
        let Reply::Session { session, actions, .. } = reply else {
            return Err(DeviceError::OutOfTurn("open session"));
        };
        self.actions = actions;
        self.driver()?.enter(session);
        self.session = Some((boot, session));
        Ok(())
    }

    /// The serial number that answers where nothing is sealed: anybody could say it.
    pub(super) async fn serial_in_the_open(&mut self) -> Result<String, DeviceError> {
        self.fresh_driver().await?;
        let answer = self.ask_briefly(Request::Identify).await?;
        Ok(identity(&answer)?.serial.to_owned())
    }

    async fn ask_briefly(&mut self, request: Request<'_>) -> Result<Answer, DeviceError> {
        let patience = self.patience();
        let brief = Patience { silence_us: PROBE_US, ..patience };
        self.driver()?.set_patience(brief);
        let answer = self.ask(request).await;
        if let Some(driver) = &mut self.driver {
            driver.set_patience(patience);
        }
        answer
    }

    /// A fresh session on the link there is, or on a new one.
    async fn fresh_driver(&mut self) -> Result<(), DeviceError> {
        let link = match self.take_link() {
            Some(link) => link,
            None => Link::open(&self.opening.address, &self.opening.start).await?,
        };
        self.next_id = self.next_id.wrapping_add(1_000);
        let mut console = std::mem::take(&mut self.console);
        console.end_line();
        let patience = self.patience();
        self.driver = Some(Driver::new(link, console, self.next_id, patience));
        Ok(())
    }

    fn take_link(&mut self) -> Option<Link> {
        self.heard_ms();
        let driver = self.driver.take()?;
        self.traffic_before = self.traffic_before.plus(driver.traffic());
        let (link, console) = driver.into_parts();
        self.console = console;
        // A stream in the middle of a frame cannot be gone on with; a serial line can.
        let is_torn = std::mem::take(&mut self.is_torn) && !link.survives_a_cut();
        let is_dead = std::mem::take(&mut self.is_dead) && !link.is_simulated();
        (!is_torn && !is_dead).then_some(link)
    }

    async fn pause(&mut self, pause_ms: u64) {
        let until_ms = self.now_ms().saturating_add(pause_ms);
        let is_alive = self.driver.is_some() && !self.is_dead;
        if !is_alive || self.wait_until(until_ms).await.is_err() {
            // The link is gone: only this host's own clock is left to wait on.
            self.opening.start.sleep(pause_ms).await;
        }
    }
}

impl DeviceError {
    /// What the device has refused, where that is what went wrong.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal)
            | Self::Held(refusal)
            | Self::DelegationRefused(refusal)
            | Self::Driver(DriverError::Transfer(TransferError::Refused(refusal))) => {
                Some(*refusal)
            }
            Self::Driver(_)
            | Self::OutOfTurn(_)
            | Self::TooSlow { .. }
            | Self::Version { .. }
            | Self::NotReached { .. }
            | Self::Impostor { .. }
            | Self::Stranger { .. }
            | Self::Known(_)
            | Self::Random(_) => None,
        }
    }

    /// The next safe command.
    #[must_use]
    pub const fn next(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::NotEnrolled) => "noflake device enroll",
            Self::Refused(Refusal::AlreadyEnrolled | Refusal::InRecovery) => {
                "use the root record that the device was enrolled with"
            }
            Self::Refused(Refusal::RootVersion { expected, got }) if *got < *expected => {
                "the device has taken a newer root record: use the newest one"
            }
            Self::Refused(Refusal::RootVersion { .. }) => {
                "noflake device enroll with each root record in between, one after the other"
            }
            Self::Refused(Refusal::RootLost { .. }) => {
                "noflake device enroll with the root record that it is enrolled under: it is stored anew"
            }
            Self::Refused(Refusal::NoSession | Refusal::StaleSession) => {
                "run the same command again"
            }
            Self::Refused(Refusal::WrongBoot) => {
                "run the same command again: what it brings counts in one boot of the device, and it has restarted since"
            }
            Self::Refused(Refusal::Flash) => FLASH_FAILED,
            Self::Refused(Refusal::NotStaged | Refusal::NoStage | Refusal::Incomplete { .. }) => {
                STAGE_AGAIN
            }
            Self::Refused(Refusal::NoRandom) => {
                "power the device off and on, then run the same command again; then it needs service"
            }
            Self::Refused(Refusal::ProtocolVersion { .. } | Refusal::Unknown { .. })
            | Self::Version { .. } => "use the noflake release that fits the device's firmware",
            Self::Held(_) => "wait for the other host, or add --take-over",
            Self::Refused(Refusal::Busy) => {
                "wait for what the device does, then run the same command again"
            }
            Self::Driver(DriverError::Link(LinkError::PortHeld { .. })) => {
                "end the program that holds the port, then run the same command again"
            }
            Self::Driver(DriverError::Link(LinkError::NoPort { .. })) => {
                "name one of these ports, or plug the adapter in"
            }
            Self::Driver(DriverError::Link(LinkError::Connect { .. }))
            | Self::NotReached { address: Address::Tcp { .. }, .. } => {
                "check name, address and port, and that the device is on, in the network and listening \
                 there, then run the same command again"
            }
            Self::Driver(DriverError::Link(LinkError::Simulated { .. })) => {
                "mend the scenario, or name another one behind sim:"
            }
            Self::Driver(DriverError::Source(_)) => {
                "let nothing write to the bundle file, then run the same command again"
            }
            Self::NotReached { address: Address::Serial { .. }, .. } => {
                "check cable, port, baud rate and power, and that no other program reads the port, then run the same command \
                 again"
            }
            Self::Driver(_)
            | Self::NotReached { .. }
            | Self::OutOfTurn(_)
            | Self::TooSlow { .. } => {
                "check cable, port, baud rate and power, then run the same command again"
            }
            Self::Stranger { .. } => {
                "compare the key with the one that whoever enrolled the device was told: noflake device pin --identity KEY \
                 keeps that; a new device is enrolled by noflake device enroll --as"
            }
            Self::Impostor { .. } => {
                "do not go on: find out which device answers there, and who has the other one; if it is the same one with a new \
                 key, remove its line from known-devices.toml beside this host's key, then noflake device pin"
            }
            Self::Known(error) => error.next(),
            Self::Random(_) => "mend the system's random source",
            Self::DelegationRefused(refusal) => refused::next_of_delegation(*refusal),
            Self::Refused(refusal) => match refused::next_on_link(*refusal) {
                Some(next) => next,
                None => "noflake device status --explain",
            },
        }
    }

    /// What there is instead of the device, while it is waited for.
    const fn instead(&self) -> Instead {
        match self {
            Self::Refused(Refusal::SessionHeld { .. }) => Instead::OtherHost,
            Self::Refused(Refusal::Busy) => Instead::Busy,
            Self::OutOfTurn(_) => Instead::BootBefore,
            Self::Driver(_)
            | Self::Refused(_)
            | Self::DelegationRefused(_)
            | Self::TooSlow { .. }
            | Self::Version { .. }
            | Self::NotReached { .. }
            | Self::Impostor { .. }
            | Self::Stranger { .. }
            | Self::Known(_)
            | Self::Random(_)
            | Self::Held(_) => Instead::Silence,
        }
    }

    /// Trying again will not help.
    fn is_final(&self, was_reached: bool) -> bool {
        match self {
            Self::Driver(DriverError::Link(error)) => match error {
                LinkError::NoSimulator
                | LinkError::Simulated { .. }
                | LinkError::PortHeld { .. } => true,
                // A port that was there may be coming back while its device restarts.
                LinkError::NoPort { .. } | LinkError::Open { .. } => !was_reached,
                LinkError::Connect { .. }
                | LinkError::Closed
                | LinkError::Stuck { .. }
                | LinkError::Io(_) => false,
            },
            // Said in the open, where anybody could say it.
            Self::Refused(Refusal::NoIdentity | Refusal::NoRandom) => !was_reached,
            Self::Driver(_)
            | Self::OutOfTurn(_)
            | Self::TooSlow { .. }
            | Self::NotReached { .. }
            | Self::Held(_)
            | Self::Refused(Refusal::SessionHeld { .. } | Refusal::Busy) => false,
            Self::Refused(_)
            | Self::DelegationRefused(_)
            | Self::Version { .. }
            | Self::Impostor { .. }
            | Self::Stranger { .. }
            | Self::Known(_)
            | Self::Random(_) => true,
        }
    }
}

/// What to do about flash that failed.
pub(in crate::bench) const FLASH_FAILED: &str =
    "run the same command again; if that fails as well, the device needs service";
/// What to do about a slot that does not hold what was sent.
pub(in crate::bench) const STAGE_AGAIN: &str =
    "run the same noflake deploy again: it sends what is missing";
