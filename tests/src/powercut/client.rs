//! What a host asks a device for, as steps of it.

use firmware_protocol::boot::ResetCause;
use firmware_protocol::device::Effect;
use firmware_protocol::frame::Kind;
use firmware_protocol::message::{self, Chunk, Request, Status, ToDevice, TrialTerms};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::RejectReason;

use super::heard::{Heard, Said};
use super::model::{Event, Opening};
use super::release::{BLOCK_BYTES, Release};
use super::unit::{Stop, Unit};

/// More polls than any request takes.
const MOST_POLLS: u32 = 10_000;
/// More often than a random source fails here.
const MOST_TRIES: u32 = 40;

/// The signed document that the device was given last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    Root(u32),
    Release(u8),
}

impl Unit<'_> {
    /// Asks in the session and waits for the answer.
    pub fn ask(&mut self, request: Request<'_>) -> Result<Heard, Stop> {
        let (event, begun) = (self.event_of(request), self.operations());
        if matches!(request, Request::Confirm { .. }) {
            self.belief.confirms(self.releases);
        }
        let answer = self.exchange(request);
        self.tell(|| {
            let asked = format!("{request:?}");
            let word = asked.split([' ', '{']).next().unwrap_or_default().to_owned();
            match &answer {
                Ok(_) => word,
                Err(stop) => format!("{word}: {stop:?}"),
            }
        });
        match &answer {
            Ok(_) => {
                self.happened(event, begun);
            }
            Err(Stop::Refused(Refusal::Flash)) => self.belief.failed(event),
            // Refused for another reason, it was not begun.
            Err(Stop::Refused(_)) => {}
            Err(_) => self.belief.cut_short(event),
        }
        answer
    }

    /// It has happened, in what the device has done since this flash operation.
    pub(super) fn happened(&mut self, event: Event, begun: u64) {
        let until = self.operations();
        self.belief.happened(event, until > begun, until);
    }

    fn exchange(&mut self, request: Request<'_>) -> Result<Heard, Stop> {
        let id = self.next_id;
        self.next_id += 1;
        let mut bytes = [0; 1536];
        let payload = message::encode(&ToDevice { id, session: self.session, request }, &mut bytes);
        let payload = payload.unwrap().to_vec();
        let mut said = self.frame(Kind::Message, id, &payload)?;
        for _ in 0..MOST_POLLS {
            if let Some(Said::Reply(named, reply)) = said
                && named == id
            {
                return reply.map_err(Stop::Refused);
            }
            self.goes_on()?;
            said = self.step()?;
        }
        Err(Stop::Strange(format!("no answer to {request:?}")))
    }

    /// A device that ends a trial by itself resets in the middle of whatever it is asked.
    fn goes_on(&self) -> Result<(), Stop> {
        if self.last.effect == Effect::Reset {
            return Err(Stop::Reset(ResetCause::Requested));
        }
        Ok(())
    }

    /// What a request comes to when it is acknowledged.
    fn event_of(&self, request: Request<'_>) -> Event {
        let release = match self.offered {
            Some(Offered::Release(number)) => number,
            Some(Offered::Root(_)) | None => 0,
        };
        match request {
            Request::Enroll => match self.offered {
                Some(Offered::Root(version)) => Event::Enrolled(version),
                Some(Offered::Release(_)) | None => Event::Nothing,
            },
            Request::Stage { .. } => Event::Staging(release),
            Request::Finish => Event::Staged(release),
            Request::OpenTrial { bundle, terms, .. } => {
                self.releases.of(bundle).map_or(Event::Nothing, |of| opened(of, terms))
            }
            Request::Arm { boots, .. } => Event::Armed(boots),
            Request::Confirm { .. } => Event::Confirmed,
            Request::Rollback { .. } => Event::GivenUp(RejectReason::HostDecided),
            Request::Withdraw { .. } => Event::GivenUp(RejectReason::Withdrawn),
            _ => Event::Nothing,
        }
    }
    /// Opens a session.
    pub fn open_session(&mut self) -> Result<(), Stop> {
        match self.ask(Request::Hello { min: 1, current: 1 })? {
            Heard::Hello(boot_nonce) => self.boot_nonce = boot_nonce,
            other => return strange(&other),
        }
        for _ in 0..MOST_TRIES {
            match self.ask(Request::OpenSession { take_over: true, trial_id: 0 }) {
                // A random source may fail for a while.
                Err(Stop::Refused(Refusal::NoRandom)) => {}
                Ok(Heard::Session(session)) => {
                    self.session = session;
                    // The nonce of a boot whose source had failed is drawn with the session.
                    if let Heard::Hello(boot_nonce) =
                        self.ask(Request::Hello { min: 1, current: 1 })?
                    {
                        self.boot_nonce = boot_nonce;
                    }
                    return Ok(());
                }
                Ok(other) => return strange(&other),
                Err(stop) => return Err(stop),
            }
        }
        Err(Stop::Refused(Refusal::NoRandom))
    }

    /// What the device says it is; a host knows then which of the states that it may be in it is in.
    pub fn status(&mut self) -> Result<Status, Stop> {
        let truth = self.look()?;
        let status = truth.status.clone();
        self.belief.resolve(truth, self.releases);
        Ok(status)
    }

    /// Version of the root record in force; zero for none.
    pub fn root_version(&mut self) -> Result<u32, Stop> {
        match self.ask(Request::Identify)? {
            Heard::Identity(root_version) => Ok(root_version),
            other => strange(&other),
        }
    }

    /// Names this boot.
    pub const fn boot_nonce(&self) -> u64 {
        self.boot_nonce
    }

    /// Hands a release's manifest over.
    pub fn offer_release(&mut self, number: u8) -> Result<(), Stop> {
        let releases = self.releases;
        self.offer(&releases.get(number).envelope)?;
        self.offered = Some(Offered::Release(number));
        Ok(())
    }

    /// Hands a root record over.
    pub fn offer_root(&mut self, version: u32) -> Result<(), Stop> {
        let releases = self.releases;
        self.offer(releases.root(version))?;
        self.offered = Some(Offered::Root(version));
        Ok(())
    }

    fn offer(&mut self, document: &[u8]) -> Result<(), Stop> {
        let total_bytes = u32::try_from(document.len()).unwrap();
        let mut offset = 0;
        for bytes in document.chunks(1024) {
            self.ask(Request::Offer { total_bytes, offset, bytes })?;
            offset += u32::try_from(bytes.len()).unwrap();
        }
        Ok(())
    }

    /// Sends the blocks of a component that are missing, by the block list; gives how many there were.
    pub fn send_missing(&mut self, release: &Release, component: u8) -> Result<u32, Stop> {
        let payload = &release.payloads[usize::from(component)];
        let opened = self.ask(Request::OpenComponent { index: component })?;
        if opened == Heard::WorthListing {
            let digests = release.block_list(usize::from(component));
            self.ask(Request::BlockList { first_block: 0, digests: &digests })?;
        }
        let (missing, bits) = match self.ask(Request::Missing { first_block: 0 })? {
            Heard::Missing(missing, bits) => (missing, bits),
            other => return strange(&other),
        };
        for (index, block) in payload.chunks(BLOCK_BYTES as usize).enumerate() {
            if bits[index / 8] >> (index % 8) & 1 == 1 {
                self.chunk(component, (index * BLOCK_BYTES as usize) as u64, block)?;
            }
        }
        Ok(missing)
    }

    /// Resets by request, and starts what comes.
    pub fn reset(&mut self) -> Result<(), Stop> {
        let boot_nonce = self.boot_nonce;
        match self.ask(Request::Reset { boot_nonce })? {
            Heard::Done => self.until_reset(1_000),
            other => strange(&other),
        }
    }

    /// The host says nothing for so long; the device may end a trial, and reset for that.
    pub fn fall_silent(&mut self, ms: u64) -> Result<(), Stop> {
        let event = match self.belief.model.trial {
            Some(_) => Event::GivenUp(RejectReason::LeaseExpired),
            None => Event::Nothing,
        };
        let resets = self.belief.model.proves;
        let begun = self.operations();
        let passed = self.pass(ms);
        match passed {
            // A clock that stands still ends no lease; where the board has a timer for it, that does.
            Ok(false) if self.mishaps().is_stopped() && resets => {
                Err(Stop::Reset(ResetCause::Deadline))
            }
            Ok(false) if self.mishaps().is_stopped() => Ok(()),
            Ok(did_reset) if did_reset == resets && event != Event::Nothing => {
                self.happened(event, begun);
                if did_reset { self.start(ResetCause::Requested) } else { Ok(()) }
            }
            Ok(false) => Ok(()),
            Ok(true) => Err(Stop::Strange("a reset that nobody asked for".to_owned())),
            Err(stop) => {
                self.belief.cut_short(event);
                Err(stop)
            }
        }
    }

    /// Lets time pass until the device resets itself, and starts what comes.
    pub fn until_reset(&mut self, within_ms: u64) -> Result<(), Stop> {
        if self.pass(within_ms)? {
            return self.start(ResetCause::Requested);
        }
        Err(Stop::Strange("no reset".to_owned()))
    }

    /// Lets time pass; true when the device asks for a reset before it is over.
    fn pass(&mut self, ms: u64) -> Result<bool, Stop> {
        let end_ms = self.now_ms + ms;
        while self.now_ms < end_ms {
            self.step()?;
            if self.last.effect == Effect::Reset {
                return Ok(true);
            }
            self.now_ms = self.now_ms.max(self.last.wake_ms.min(self.now_ms + 100));
        }
        Ok(false)
    }

    fn chunk(&mut self, component: u8, offset: u64, bytes: &[u8]) -> Result<(), Stop> {
        let chunk = Chunk { session: self.session, component, offset, bytes };
        let payload = [&chunk.head(), bytes].concat();
        let sequence = self.next_id;
        self.next_id += 1;
        self.frame(Kind::Chunk, sequence, &payload)?;
        let mut polls = 0;
        while self.last.wake_ms <= self.now_ms && polls < MOST_POLLS {
            self.goes_on()?;
            self.step()?;
            polls += 1;
        }
        let begun = self.operations();
        self.happened(Event::Nothing, begun);
        Ok(())
    }
}

const fn opened(release: &Release, terms: TrialTerms) -> Event {
    Event::Opened(Opening {
        release: release.number,
        security_version: release.security_version,
        retires: release.retires,
        crashes: terms.crashes,
        cuts: terms.power_failures,
        boots: terms.boots,
    })
}

/// An answer out of turn.
pub fn strange<T>(heard: &Heard) -> Result<T, Stop> {
    Err(Stop::Strange(format!("{heard:?}")))
}
