//! One device behind noflake's own protocol: connects, asks, stages, and reports what it saw.

mod acquaint;
mod foreign;
mod reach;
mod record;
mod root;

pub use self::acquaint::{HostIdentity, Meets, Shows};
pub(super) use self::reach::{FLASH_FAILED, STAGE_AGAIN};
pub use self::reach::{Instead, Waiting};
pub use self::record::RecordBytes;

use firmware_protocol::delegation::Actions;
use firmware_protocol::digest::Digest;
use firmware_protocol::flash::MAX_COMPONENTS;
use firmware_protocol::message::{
    Identity, PROTOCOL_CURRENT, PROTOCOL_MIN, Reply, Request, Status, TrialTerms,
};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::LinkKey;
use firmware_protocol::slot::SlotId;
use thiserror::Error;

use super::facts;
use crate::driver::{Console, ConsoleText, Driver, DriverError};
use crate::evidence::escape_text;
use crate::link::{Address, LinkError, LinkStart};
use crate::qualify::observation::{CheckInfo, DeviceFacts, Seen, StatusFacts};
use crate::session::transfer::{LinkTuning, Staged, first_chunk_bytes};
use crate::session::{Answer, Linked, Patience, Reading, TooSlow, Traffic};
use crate::trust::{Hex, KnownDevicesError};

/// Largest chunk worth trying on a serial line: two halves of the usual block.
const SERIAL_CHUNK_BYTES: usize = 2_048;
/// Largest chunk worth trying on a stream.
const STREAM_CHUNK_BYTES: usize = 32 * 1_024;
/// Most bytes in flight.
const WINDOW_BYTES: usize = 256 * 1_024;
/// Most bytes in flight on a serial line: 40 ms of round trip at 3 Mbaud fit four times.
const SERIAL_WINDOW_BYTES: usize = 32 * 1_024;

/// How to reach a device.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Where it is.
    pub address: Address,
    /// What a simulated one starts from.
    pub start: LinkStart,
    /// Take the session from its holder, alive or not.
    pub take_over: bool,
    /// First request id; differs between runs.
    pub first_id: u32,
    /// Who this host is on sealed links; without, the link stays plain.
    pub host: Option<HostIdentity>,
}

/// Why something was not done on a device.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The link or the conversation failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The device refused.
    #[error("the device refused: {0}")]
    Refused(Refusal),
    /// The device lets this host do nothing with the delegation that it was shown.
    #[error("the device refused the delegation: {0}")]
    DelegationRefused(Refusal),
    /// The device answered something else.
    #[error("the device answered out of turn to {0}")]
    OutOfTurn(&'static str),
    /// The device answers, and so slowly that it is not listened to any longer.
    #[error("the device is too slow to tell {what}: {slow}")]
    TooSlow {
        /// What it was asked for.
        what: &'static str,
        /// How slow it is.
        slow: TooSlow,
    },
    /// The device wants to speak another protocol version than it was offered.
    #[error(
        "the device speaks protocol version {version}, this noflake {PROTOCOL_MIN} to \
         {PROTOCOL_CURRENT}"
    )]
    Version {
        /// The version it named.
        version: u8,
    },
    /// The device was not reached in time.
    #[error("no device answers at {address} within {waited_ms} ms")]
    NotReached {
        /// Where it was looked for.
        address: Address,
        /// For how long, in milliseconds.
        waited_ms: u64,
        /// What the last attempt came to.
        #[source]
        source: Box<Self>,
    },
    /// It has proven another key than the one it is known by.
    #[error(
        "this is not the device {} that it says it is: it proves key {}, and is known by {}",
        escape_text(serial),
        Hex(identity),
        Hex(known)
    )]
    Impostor {
        /// The serial number that it gives.
        serial: String,
        /// The key it proves.
        identity: LinkKey,
        /// The key that the device of this number is known by.
        known: LinkKey,
    },
    /// Nobody has said which key it has.
    #[error(
        "{} is not known here; it proves key {}",
        serial.as_deref().map_or_else(|| "what answers".into(), |it| format!("device {}", escape_text(it))),
        Hex(identity)
    )]
    Stranger {
        /// The serial number that it gives, if it was asked.
        serial: Option<String>,
        /// The key it proves.
        identity: LinkKey,
    },
    /// The devices that are known cannot be kept.
    #[error(transparent)]
    Known(#[from] KnownDevicesError),
    /// The system's random source failed.
    #[error("the system's random source failed")]
    Random(#[source] getrandom::Error),
    /// Another host keeps its session alive.
    #[error("another host is working on the device: {0}")]
    Held(Refusal),
}

impl From<LinkError> for DeviceError {
    fn from(error: LinkError) -> Self {
        Self::Driver(DriverError::Link(error))
    }
}

/// A device that answered.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Who it is.
    pub facts: DeviceFacts,
    /// What its record says.
    pub status: StatusFacts,
    /// When its first answer came, in milliseconds on the link's clock.
    pub at_ms: u64,
}

/// A device and the way to it.
#[derive(Debug)]
pub struct Device {
    opening: Opening,
    driver: Option<Driver>,
    /// The last exchange was cut off in its middle, so the link is in an unknown state.
    is_torn: bool,
    /// The link has failed and must be opened anew.
    is_dead: bool,
    /// It has answered once: what is missing now may come back.
    was_reached: bool,
    next_id: u32,
    /// The device's session, and the boot that it was opened in.
    session: Option<(u64, u32)>,
    /// What the sealed link has come to, where there is one.
    linked: Option<Linked>,
    /// The serial number and the key of the device that this run works on.
    met: Option<(String, LinkKey)>,
    /// What the session allows.
    actions: Actions,
    /// The trial that this run has armed, by which the device knows it again behind a reset; zero for none.
    drives: u32,
    /// The boot that answered last, and when it did so first.
    back: Option<(u64, u64)>,
    max_frame_bytes: u32,
    window_bytes: u32,
    checks: Option<Vec<CheckInfo>>,
    /// Whether flash has lost its root record, once it was asked in a session.
    root_is_lost: Option<bool>,
    /// What the console said, while there is no connection to hold it.
    console: Console,
    traffic_before: Traffic,
    now_ms: u64,
    heard_ms: u64,
    /// When it has to be done with what it works on, if somebody has less time than it may take.
    work_until_ms: Option<u64>,
}

impl Device {
    /// A device that is not reached yet.
    #[must_use]
    pub fn new(opening: Opening) -> Self {
        Self {
            next_id: opening.first_id,
            opening,
            driver: None,
            is_torn: false,
            is_dead: false,
            was_reached: false,
            session: None,
            linked: None,
            met: None,
            actions: Actions::NONE,
            drives: 0,
            back: None,
            max_frame_bytes: 1_024,
            window_bytes: 4_096,
            checks: None,
            root_is_lost: None,
            console: Console::default(),
            traffic_before: Traffic::default(),
            now_ms: 0,
            heard_ms: 0,
            work_until_ms: None,
        }
    }

    /// How it is reached.
    #[must_use]
    pub const fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.opening.address
    }

    /// Time on the link's clock, in milliseconds; never goes back.
    pub fn now_ms(&mut self) -> u64 {
        let now_ms = match &self.driver {
            Some(driver) => driver.now_ms(),
            None => self.opening.start.now_ms(),
        };
        self.now_ms = self.now_ms.max(now_ms);
        self.now_ms
    }

    /// When it last said anything, over whichever connection, in milliseconds on the link's clock.
    pub fn heard_ms(&mut self) -> u64 {
        let heard_ms = self.driver.as_ref().map_or(0, Driver::heard_ms);
        self.heard_ms = self.heard_ms.max(heard_ms);
        self.heard_ms
    }

    /// What all connections of this run have carried.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let now = self.driver.as_ref().map(Driver::traffic).unwrap_or_default();
        self.traffic_before.plus(now)
    }

    /// Console lines since the last call.
    pub fn take_console(&mut self) -> Vec<ConsoleText> {
        match &mut self.driver {
            Some(driver) => driver.take_console(),
            None => self.console.take(),
        }
    }

    /// Asks one request.
    ///
    /// # Errors
    /// When no answer comes. A refusal is an answer.
    pub async fn ask(&mut self, request: Request<'_>) -> Result<Answer, DeviceError> {
        self.is_torn = true;
        let driver = self.driver.as_mut().ok_or(LinkError::Closed)?;
        let answer = driver.ask(request).await;
        self.note_failure(answer.as_ref().err());
        self.is_torn = answer.is_err();
        Ok(answer?)
    }

    /// Asks one of many questions of a reading, which began with [`Driver::begin_reading`].
    async fn ask_on(
        &mut self,
        reading: &mut Reading,
        what: &'static str,
        request: Request<'_>,
    ) -> Result<Answer, DeviceError> {
        let answer = self.ask(request).await?;
        self.count_answer(reading, what)?;
        Ok(answer)
    }

    fn count_answer(
        &mut self,
        reading: &mut Reading,
        what: &'static str,
    ) -> Result<(), DeviceError> {
        let counted = self.driver()?.count_answer(reading);
        counted.map_err(|slow| DeviceError::TooSlow { what, slow })
    }

    /// Waits until `until_ms`, keeping the lease.
    ///
    /// # Errors
    /// When the link is gone.
    pub async fn wait_until(&mut self, until_ms: u64) -> Result<(), DeviceError> {
        self.is_torn = true;
        let driver = self.driver.as_mut().ok_or(LinkError::Closed)?;
        let waited = driver.wait_until(until_ms).await;
        self.note_failure(waited.as_ref().err());
        self.is_torn = waited.is_err();
        Ok(waited?)
    }

    /// Who the device is now.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn identify(&mut self) -> Result<DeviceFacts, DeviceError> {
        let answer = self.ask(Request::Identify).await?;
        Ok(facts::device_facts(&identity(&answer)?))
    }

    /// Lets it work on what hashes or checks no longer than until `until_ms`.
    pub fn work_until(&mut self, until_ms: u64) {
        self.work_until_ms = Some(until_ms);
        let patience = self.patience();
        if let Some(driver) = &mut self.driver {
            driver.set_patience(patience);
        }
    }

    /// How it is asked now.
    fn patience(&mut self) -> Patience {
        let usual = Patience::default();
        let left_us = self.work_until_ms.map_or(u64::MAX, |until_ms| {
            until_ms.saturating_sub(self.now_ms()).saturating_mul(1_000)
        });
        Patience { work_us: usual.work_us.min(left_us), ..usual }
    }

    /// How long the shortest question takes, in microseconds.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ping(&mut self) -> Result<u64, DeviceError> {
        let answer = self.ask(Request::Renew).await?;
        answer.reply().map(|_| answer.took_us).map_err(DeviceError::Refused)
    }

    /// True when the device lives in this process, in virtual time.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.driver.as_ref().is_some_and(Driver::is_simulated)
    }

    /// Takes what a transfer came to.
    pub(super) fn note_staged(
        &mut self,
        staged: Result<Staged, DriverError>,
    ) -> Result<Staged, DeviceError> {
        self.note_failure(staged.as_ref().err());
        self.is_torn = matches!(staged, Err(DriverError::Link(_) | DriverError::NoAnswer { .. }));
        Ok(staged?)
    }

    /// The conversation, for a transfer.
    ///
    /// # Errors
    /// When the device is not connected.
    pub fn driver(&mut self) -> Result<&mut Driver, DeviceError> {
        self.driver.as_mut().ok_or(DeviceError::Driver(DriverError::Link(LinkError::Closed)))
    }

    /// The exchange that was begun is not ended: the link must be made anew if nothing says it is.
    pub const fn mark_torn(&mut self, is_torn: bool) {
        self.is_torn = is_torn;
    }

    /// What is known about the link for a transfer.
    #[must_use]
    pub fn tuning(&self) -> LinkTuning {
        let baud = self.driver.as_ref().and_then(Driver::baud);
        let sealing_bytes = self.driver.as_ref().map_or(0, Driver::sealing_bytes);
        let sealing_bytes = u32::try_from(sealing_bytes).unwrap_or(u32::MAX);
        let (wish_bytes, window_bytes) = match baud {
            Some(_) => (SERIAL_CHUNK_BYTES, SERIAL_WINDOW_BYTES),
            None => (STREAM_CHUNK_BYTES, WINDOW_BYTES),
        };
        LinkTuning {
            baud,
            chunk_bytes: first_chunk_bytes(
                self.max_frame_bytes.saturating_sub(sealing_bytes),
                wish_bytes,
            ),
            window_bytes,
            device_window_bytes: self.window_bytes,
        }
    }

    /// What the device's record says now.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&mut self) -> Result<Status, DeviceError> {
        let answer = self.ask(Request::Status).await?;
        let Reply::Status(status) = answer.reply().map_err(DeviceError::Refused)? else {
            return Err(DeviceError::OutOfTurn("status"));
        };
        Ok(status)
    }

    /// The device's checks; asked for once a boot.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn checks(&mut self) -> Result<Vec<CheckInfo>, DeviceError> {
        if let Some(checks) = &self.checks {
            return Ok(checks.clone());
        }
        let answer = self.ask(Request::Identify).await?;
        let count = identity(&answer)?.checks;
        let mut checks = Vec::new();
        let mut reading = self.driver()?.begin_reading();
        for index in 0..count {
            let ask = Request::Check { index };
            let answer = self.ask_on(&mut reading, "its checks", ask).await?;
            let Reply::Check(check) = answer.reply().map_err(DeviceError::Refused)? else {
                return Err(DeviceError::OutOfTurn("check"));
            };
            checks.push(facts::check_info(&check));
        }
        self.checks = Some(checks.clone());
        Ok(checks)
    }

    /// Runs the on-device check `name`.
    ///
    /// # Errors
    /// When it does not answer, or has no such check.
    pub async fn run_check(&mut self, name: &str) -> Result<Seen, DeviceError> {
        let checks = self.checks().await?;
        let index = checks.iter().position(|check| check.name == name);
        let Some(index) = index.and_then(|index| u8::try_from(index).ok()) else {
            let has: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
            let reason = format!("the device has no check `{name}`; it has {}", has.join(", "));
            return Ok(Seen::Refused { reason });
        };
        let answer = self.ask(Request::RunCheck { index }).await?;
        let Reply::Checked(reading) = answer.reply().map_err(DeviceError::Refused)? else {
            return Err(DeviceError::OutOfTurn("run check"));
        };
        Ok(facts::reading(name, &reading))
    }

    /// The component areas: name and size in slot A and B.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn areas(&mut self) -> Result<Vec<String>, DeviceError> {
        let answer = self.ask(Request::Identify).await?;
        let count = identity(&answer)?.areas;
        if usize::from(count) > MAX_COMPONENTS {
            return Err(DeviceError::OutOfTurn(
                "identify: it has more areas than a bundle can have",
            ));
        }
        let mut areas = Vec::new();
        for index in 0..count {
            let answer = self.ask(Request::Area { index }).await?;
            let Reply::Area(area) = answer.reply().map_err(DeviceError::Refused)? else {
                return Err(DeviceError::OutOfTurn("area"));
            };
            areas.push(area.name.to_string());
        }
        Ok(areas)
    }

    /// Hashes what a slot holds of one area: digest, length, and whether it is erased behind that.
    ///
    /// # Errors
    /// When it does not answer, or the slot holds nothing that can be told.
    pub async fn hash(
        &mut self,
        slot: SlotId,
        area: u8,
    ) -> Result<(Digest, u64, bool), DeviceError> {
        let answer = self.ask(Request::HashComponent { slot, area }).await?;
        let Reply::Hash { digest, length, tail_blank } =
            answer.reply().map_err(DeviceError::Refused)?
        else {
            return Err(DeviceError::OutOfTurn("hash"));
        };
        Ok((digest, length, tail_blank))
    }

    /// Opens a trial.
    ///
    /// # Errors
    /// When the device refuses or does not answer.
    pub async fn open_trial(
        &mut self,
        bundle: Digest,
        plan: Digest,
        terms: TrialTerms,
    ) -> Result<u32, DeviceError> {
        let answer = self.ask(Request::OpenTrial { bundle, plan, terms }).await?;
        let Reply::Trial { trial_id, .. } = answer.reply().map_err(DeviceError::Refused)? else {
            return Err(DeviceError::OutOfTurn("open trial"));
        };
        Ok(trial_id)
    }

    /// Allows `boots` boots into the trial slot.
    ///
    /// # Errors
    /// When the device refuses or does not answer.
    pub async fn arm(&mut self, trial_id: u32, boots: u8) -> Result<(), DeviceError> {
        // Known by it from here on, also when the answer is lost.
        self.drives = trial_id;
        let answer = self.ask(Request::Arm { trial_id, boots }).await?;
        answer.reply().map(|_| ()).map_err(DeviceError::Refused)
    }

    fn note_failure(&mut self, error: Option<&DriverError>) {
        self.is_dead |= matches!(error, Some(DriverError::Link(_)));
    }
}

fn identity(answer: &Answer) -> Result<Identity<'_>, DeviceError> {
    let Reply::Identity(identity) = answer.reply().map_err(DeviceError::Refused)? else {
        return Err(DeviceError::OutOfTurn("identify"));
    };
    Ok(identity)
}

#[cfg(test)]
mod tests;
