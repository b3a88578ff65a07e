//! The one loop: joins a [`Session`] to a [`Link`] and carries one request or transfer through.
//!
//! Every decision is made in the machines; here bytes are moved and deadlines waited for. While it
//! waits it renews the device's lease, so that a long check never loses a trial.

mod console;

pub use self::console::{Console, ConsoleText};

use firmware_protocol::digest::Digest;
use firmware_protocol::frame::Framing;
use firmware_protocol::message::Request;
use firmware_protocol::sealed::LinkSecret;
use thiserror::Error;

use crate::link::{Link, LinkError};
use crate::session::transfer::{Need, Progress, Staged, Transfer, TransferError};
use crate::session::{
    Answer, Credentials, Event, LinkRefused, Linked, Patience, Reading, Session, TooSlow, Traffic,
};

/// Longest time between two signs of life while a session is open, in microseconds.
const RENEW_US: u64 = 700_000;
/// Silence after which console text without a line end is taken as it is, in microseconds.
const CONSOLE_QUIET_US: u64 = 50_000;

/// Why a request or transfer did not come through.
#[derive(Debug, Error)]
pub enum DriverError {
    /// The link is gone.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The device does not answer.
    #[error("no answer from the device within {waited_ms} ms")]
    NoAnswer {
        /// How long it was waited for, in milliseconds.
        waited_ms: u64,
    },
    /// The transfer ended badly.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The bundle could not be read.
    #[error("failed to read the bundle")]
    Source(#[source] SourceError),
}

/// The bundle's side of a transfer failed.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Where a transfer's bytes come from.
pub trait Source {
    /// Fills `buffer` from `offset` of a component.
    ///
    /// # Errors
    /// When the bundle cannot be read.
    fn read(&mut self, component: usize, offset: u64, buffer: &mut [u8])
    -> Result<(), SourceError>;

    /// Digests of a component's blocks, in order.
    ///
    /// # Errors
    /// When the bundle cannot be read.
    fn block_digests(&mut self, component: usize) -> Result<Vec<Digest>, SourceError>;
}

/// A session on a link.
#[derive(Debug)]
pub struct Driver {
    link: Link,
    session: Session,
    renews: bool,
    spoke_us: u64,
    heard_us: u64,
    console: Console,
}

impl Driver {
    /// Joins a fresh session to `link`; `console` goes on from the connection before.
    #[must_use]
    pub fn new(link: Link, console: Console, first_id: u32, patience: Patience) -> Self {
        let session = Session::new(link.framing(), first_id, patience);
        Self { link, session, renews: false, spoke_us: 0, heard_us: 0, console }
    }

    /// Time on the link's clock, in milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.link.now_us() / 1_000
    }

    /// The clock of a reading of many answers that begins now.
    #[must_use]
    pub fn begin_reading(&self) -> Reading {
        Reading::new(self.link.now_us(), self.link.baud())
    }

    /// Counts an answer of a reading.
    ///
    /// # Errors
    /// When they come too slowly.
    pub fn count_answer(&self, reading: &mut Reading) -> Result<(), TooSlow> {
        reading.count(self.link.now_us())
    }

    /// When the device last said anything, in milliseconds on the link's clock.
    #[must_use]
    pub const fn heard_ms(&self) -> u64 {
        self.heard_us / 1_000
    }

    /// The line rate, where there is one.
    #[must_use]
    pub const fn baud(&self) -> Option<u32> {
        self.link.baud()
    }

    /// How frames travel here.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.link.framing()
    }

    /// Sends bytes that are no words of the session's, as no honest host would.
    ///
    /// # Errors
    /// When the link is gone, or takes nothing for too long.
    pub async fn send_foreign(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.link.send(bytes).await
    }

    /// What the link has carried.
    #[must_use]
    pub const fn traffic(&self) -> Traffic {
        self.session.traffic()
    }

    /// Waits for answers so long from now on.
    pub const fn set_patience(&mut self, patience: Patience) {
        self.session.set_patience(patience);
    }

    /// Makes all further requests in this session of the device, and keeps it alive.
    pub const fn enter(&mut self, session: u32) {
        self.session.enter(session);
        self.renews = true;
    }

    /// Console lines since the last call.
    pub fn take_console(&mut self) -> Vec<ConsoleText> {
        self.console.take()
    }

    /// True when the device lives in this process.
    #[must_use]
    pub const fn is_simulated(&self) -> bool {
        self.link.is_simulated()
    }

    /// Gives the link and the console back, as for a device that has reset and forgets the session.
    #[must_use]
    pub fn into_parts(self) -> (Link, Console) {
        (self.link, self.console)
    }

    /// Bytes that sealing adds to a frame; none on a plain link.
    #[must_use]
    pub const fn sealing_bytes(&self) -> usize {
        self.session.sealing_bytes()
    }

    /// Makes a sealed link of it, or hears why the device refuses this host.
    ///
    /// # Errors
    /// When the link is gone or no answer comes.
    pub async fn link(
        &mut self,
        shown: &Credentials,
        fresh: &LinkSecret,
    ) -> Result<Result<Linked, LinkRefused>, DriverError> {
        let start_us = self.link.now_us();
        self.session.link(start_us, shown, fresh);
        self.until(start_us, |event| match event {
            Event::Linked(linked) => Some(linked),
            Event::Answer(_) | Event::NoAnswer | Event::Ack(_) | Event::Console(_) => None,
        })
        .await
    }

    /// Asks one request and waits for its answer.
    ///
    /// # Errors
    /// When the link is gone or no answer comes.
    pub async fn ask(&mut self, request: Request<'_>) -> Result<Answer, DriverError> {
        let start_us = self.link.now_us();
        self.session.ask(start_us, request);
        self.until(start_us, |event| match event {
            Event::Answer(answer) => Some(answer),
            Event::Linked(_) | Event::NoAnswer | Event::Ack(_) | Event::Console(_) => None,
        })
        .await
    }

    /// Asks one request and does not wait for its answer: the next one takes its place.
    ///
    /// # Errors
    /// When the link is gone.
    pub async fn begin(&mut self, request: Request<'_>) -> Result<(), LinkError> {
        self.session.ask(self.link.now_us(), request);
        self.flush().await
    }

    /// Waits until `until_ms` on the link's clock, keeping console text and renewing the lease.
    ///
    /// # Errors
    /// When the link is gone.
    pub async fn wait_until(&mut self, until_ms: u64) -> Result<(), DriverError> {
        let end_us = until_ms.saturating_mul(1_000);
        loop {
            let now_us = self.link.now_us();
            if now_us >= end_us {
                return Ok(());
            }
            let renew_us = self.spoke_us.saturating_add(RENEW_US);
            if self.renews && now_us >= renew_us {
                self.ask(Request::Renew).await?;
                continue;
            }
            let next_us = if self.renews { end_us.min(renew_us) } else { end_us };
            self.pump(next_us).await?;
            while let Some(event) = self.session.poll_event() {
                if let Event::Console(text) = event {
                    self.console.hear(self.link.now_us(), &text);
                }
            }
        }
    }

    /// Carries a transfer through; `show` is told how far it has come.
    ///
    /// # Errors
    /// When the link is gone, the device refuses, or the bundle cannot be read.
    pub async fn stage(
        &mut self,
        mut transfer: Transfer,
        source: &mut dyn Source,
        show: &mut dyn FnMut(Progress, u64),
    ) -> Result<Staged, DriverError> {
        let mut buffer = Vec::new();
        loop {
            let now_us = self.link.now_us();
            match transfer.poll(now_us, &mut self.session) {
                Need::Ended => {
                    let result = transfer.take_result();
                    let result = result.unwrap_or(Err(TransferError::OutOfTurn("it ended")));
                    return result.map_err(DriverError::from);
                }
                Need::Bytes { component, offset, len } => {
                    buffer.resize(len, 0);
                    source.read(component, offset, &mut buffer).map_err(DriverError::Source)?;
                    transfer.supply(now_us, &mut self.session, &buffer);
                    self.flush().await?;
                    // Answers that are there already go first; nothing is waited for.
                    self.pump(now_us).await?;
                }
                Need::Digests { component } => {
                    let digests = source.block_digests(component).map_err(DriverError::Source)?;
                    transfer.supply_digests(self.link.now_us(), &mut self.session, digests);
                }
                Need::Wait { until_us } => {
                    self.flush().await?;
                    let deadline_us = self.session.deadline_us();
                    let until_us = [until_us, deadline_us].into_iter().flatten().min();
                    self.pump(until_us.unwrap_or(now_us.saturating_add(RENEW_US))).await?;
                }
            }
            self.give_events(&mut transfer);
            show(transfer.progress(), self.link.now_us() / 1_000);
        }
    }

    fn give_events(&mut self, transfer: &mut Transfer) {
        let now_us = self.link.now_us();
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Answer(answer) => {
                    transfer.handle_answer(now_us, &mut self.session, &answer);
                }
                Event::NoAnswer => transfer.handle_silence(),
                Event::Ack(ack) => transfer.handle_ack(now_us, &ack),
                Event::Linked(_) => {}
                Event::Console(text) => self.console.hear(self.link.now_us(), &text),
            }
        }
    }

    /// Waits for what was begun at `start_us` to come to the event that `pick` takes.
    async fn until<T>(
        &mut self,
        start_us: u64,
        pick: impl Fn(Event) -> Option<T>,
    ) -> Result<T, DriverError> {
        loop {
            self.flush().await?;
            let until_us = self.session.deadline_us().unwrap_or(start_us);
            self.pump(until_us).await?;
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::NoAnswer => {
                        let waited_ms = self.link.now_us().saturating_sub(start_us) / 1_000;
                        return Err(DriverError::NoAnswer { waited_ms });
                    }
                    Event::Console(text) => self.console.hear(self.link.now_us(), &text),
                    event @ (Event::Answer(_) | Event::Linked(_) | Event::Ack(_)) => {
                        if let Some(picked) = pick(event) {
                            return Ok(picked);
                        }
                    }
                }
            }
        }
    }

    async fn flush(&mut self) -> Result<(), LinkError> {
        while let Some(bytes) = self.session.poll_transmit() {
            self.link.send(&bytes).await?;
            self.spoke_us = self.link.now_us();
        }
        Ok(())
    }

    /// Takes what the link has, waiting for it until `until_us`, then lets time pass in the session.
    async fn pump(&mut self, until_us: u64) -> Result<(), LinkError> {
        let mut buffer = [0; 4_096];
        let count = self.link.receive(&mut buffer, until_us).await?;
        let now_us = self.link.now_us();
        if let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) {
            self.heard_us = now_us;
            self.session.handle_bytes(now_us, bytes);
        } else if now_us.saturating_sub(self.console.heard_us()) >= CONSOLE_QUIET_US {
            self.session.flush_console();
        }
        self.session.handle_timeout(now_us);
        Ok(())
    }
}
