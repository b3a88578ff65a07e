//! The device's engine: everything that a device says and does, as a machine of bounded steps.
//!
//! [`Device::poll`] takes the time and at most one frame, does at most one erase, one page program,
//! 4 KiB of hashing, one check step or the signature checks of one request (PROTOCOL.md, "Limits and cost"), sends at
//! most one frame, and says what the caller is to carry out and when to call again. A firmware author writes the loop around it,
//! implements [`Board`], and has a device (BOOT.md says what else the firmware has to do).
//!
//! What it promises it keeps on flash, in [`crate::record`]; everything else may be lost at any
//! moment and is asked for again.

mod access;
mod admission;
mod bench_reset;
mod board;
mod certified;
mod contract;
mod describe;
mod document_store;
mod documents;
mod job;
mod judging;
mod link;
mod requests;
mod retry;
mod served;
mod signed_time;
mod staging;
mod trial;
mod watch;

use crate::boot::{BootRow, BootState, Start};
use crate::delegation::Action;
use crate::flash::{Flash, Range};
use crate::frame::{Header, Kind};
use crate::layout::Layout;
use crate::message::{Chunk, FromDevice};
use crate::planted::Mistake;
use crate::receiver::{ChunkFate, Receiver};
use crate::record::RecordStore;
use crate::refusal::Refusal;
use crate::slot::SlotId;
use crate::start::Handover;
use crate::version::Version;

pub use self::board::{Board, BoardInfo, MAX_TEXT_BYTES, RandomFault};
pub use self::contract::{Effect, Input, Next};
pub use self::link::{Outgoing, SESSION_IDLE_MS};
pub use self::served::Served;

use self::access::{Access, Via};
use self::certified::Certified;
use self::job::Job;
use self::link::{Asked, Received, Sender, Session};
use self::retry::Retries;
use self::trial::TrialClock;

/// Longest time between two calls, in milliseconds: bounds how late a deadline is noticed.
const IDLE_WAKE_MS: u64 = 100;
/// Longest time that one call can let pass, in milliseconds: longer than any lease, and short enough that
/// no clock, however it jumps, uses up the engine's time.
const LONGEST_GAP_MS: u64 = u32::MAX as u64;
/// Between the last answer and a reset, so that a slow line can carry it away, in milliseconds.
const RESET_GRACE_MS: u64 = 50;
/// Uptime after which a confirmed image has its whole crash budget again, in milliseconds.
const HEALTHY_MS: u64 = 60_000;
/// How often the running image's manifest is read at start: without its version, a bundle that may come from
/// some versions only is refused for the whole boot.
const READ_TRIES: u32 = 3;
/// Answers to frames, call by call, behind which the device has a turn of its own.
const MOST_ANSWERS: u8 = 4;
/// Bytes of console text kept for a link that carries it in messages.
const CONSOLE_BYTES: usize = 200;

/// The engine; see the module's documentation.
#[derive(Debug, Clone)]
pub struct Device<W, F, B> {
    flash: F,
    board: B,
    layout: Layout,
    window: W,
    max_frame_bytes: u32,
    handover: Handover,
    store: RecordStore,
    /// The caller's clock at the latest call.
    clock_ms: u64,
    /// Time since the engine began: what it reckons with.
    now_ms: u64,
    boot_nonce: u64,
    running_version: Option<Version>,
    sender: Sender,
    received: Received,
    access: Access,
    session: Session,
    trial_clock: TrialClock,
    document_bytes: usize,
    /// The certificate that was shown in this boot.
    certified: Option<Certified>,
    receiver: Option<Receiver>,
    /// The request that began the transfer.
    staged_by: Option<Asked>,
    /// Waited for work that gave way to the end of the trial, or of the boot.
    put_off: Option<Asked>,
    job: Job,
    /// A session was opened in this boot.
    was_entered: bool,
    /// Calls, one behind the other, that have each answered a frame.
    answers: u8,
    reset_at_ms: Option<u64>,
    retries: Retries,
    /// What a start before this one had begun to write and not ended: it is not believed, whatever it reads as.
    suspect: Range,
    /// Blocks erased since the engine began.
    erases: u32,
    /// Those of the spare slot that are not on record yet.
    unrecorded_erases: u32,
    /// The newest time that was seen signed in this boot, in seconds since 1970-01-01 UTC; zero if none was.
    signed_time_s: u64,
    console: heapless::Vec<u8, CONSOLE_BYTES>,
}

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    /// An engine for the image that was just started.
    ///
    /// `window` is the memory for blocks in flight: at least two of the largest blocks the device is
    /// to take, and at least [`crate::trust::MAX_ENVELOPE_BYTES`]: with a shorter one the device takes no document at all, and
    /// refuses the first piece of each as [`Refusal::DocumentTooLong`] with a limit of 0. `max_frame_bytes` is the longest
    /// frame, header included, that the caller's decoders keep: at least [`crate::message::LEAST_FRAME_BYTES`].
    pub fn new(
        mut flash: F,
        mut board: B,
        layout: Layout,
        mut window: W,
        max_frame_bytes: u32,
        handover: Handover,
        clock_ms: u64,
    ) -> Self {
        let store = RecordStore::load(&mut flash, layout.record());
        let mut nonce = [0; 8];
        let boot_nonce = board.random(&mut nonce).map_or(0, |()| u64::from_le_bytes(nonce));
        let running_version = match (handover.start, store.state()) {
            (Start::Slot(slot), Some(state)) => (0..READ_TRIES).find_map(|_| {
                describe::slot_version(&mut flash, &layout, state, slot, window.as_mut())
            }),
            (Start::Slot(_) | Start::Recovery, _) => None,
        };
        let ignored = Mistake::RunIgnored.is_planted();
        let suspect = store.state().filter(|_| !ignored).map(|state| state.touched);
        let is_known = store.state().is_some_and(|state| trial::in_trial(state, &handover));
        // Flash has lost the entry that this trial boot was accounted for in: nothing would ever end it.
        let is_forgotten = handover.row == BootRow::TrialArmed && !is_known;
        Self {
            flash,
            board,
            layout,
            window,
            max_frame_bytes,
            handover,
            store,
            clock_ms,
            now_ms: 0,
            boot_nonce,
            running_version,
            sender: Sender::default(),
            received: Received::default(),
            access: Access::default(),
            session: Session::default(),
            trial_clock: TrialClock::new(0),
            document_bytes: 0,
            certified: None,
            receiver: None,
            staged_by: None,
            put_off: None,
            job: Job::Idle,
            reset_at_ms: is_forgotten.then_some(0),
            was_entered: false,
            answers: 0,
            retries: Retries::default(),
            suspect: suspect.unwrap_or_default(),
            erases: 0,
            unrecorded_erases: 0,
            signed_time_s: 0,
            console: heapless::Vec::new(),
        }
    }

    /// Does one bounded step, see the module's documentation.
    ///
    /// `clock_ms` counts on from call to call. Where it goes back, no time passed in that call, and time
    /// goes on from there: every step back gives a lease, a boot limit or a session at most what lay
    /// between two calls. Where it stands still, so do leases and boot limits; a handshake that nobody ends is over behind
    /// 100,000 calls in a row in which no time passed.
    ///
    /// Where each call passes a frame that is answered, the fifth one may be lost, if the device has something of its
    /// own to say then; a caller who passes [`Input::Nothing`] behind an answer loses none.
    pub fn poll(&mut self, clock_ms: u64, input: Input<'_>, out: &mut Outgoing) -> Next {
        let next = self.step(clock_ms, input, out);
        self.access.seal(out);
        next
    }

    fn step(&mut self, clock_ms: u64, input: Input<'_>, out: &mut Outgoing) -> Next {
        self.pass_time(clock_ms);
        if let Some(at_ms) = self.reset_at_ms {
            self.answer_put_off(out);
            return self.wait_for_reset(at_ms);
        }
        self.watch_trial();
        if let Input::Gone { link } = input {
            self.access.end_of(link, self.now_ms);
        }
        // A peer that asks without a pause keeps the device neither from its work nor from its words: behind some
        // answers they come first, and what arrives then is heard only if nothing is said.
        let is_own_turn = self.answers >= MOST_ANSWERS;
        let mut worked = is_own_turn && self.work_and_speak(out);
        let mut has_answered = false;
        if let (Input::Frame { link, frame }, false) = (input, out.is_full()) {
            self.take_frame(link, frame, out);
            has_answered = out.is_full();
            // What it has begun goes on with the next call.
            worked |= is_own_turn;
        }
        self.answers =
            if has_answered && !is_own_turn { self.answers.saturating_add(1) } else { 0 };
        if !is_own_turn {
            worked = self.work_and_speak(out);
        }
        self.next(worked || out.is_full())
    }

    /// One step of what is under way, and then what nobody has asked for; true when there may be more to do.
    fn work_and_speak(&mut self, out: &mut Outgoing) -> bool {
        self.answer_put_off(out);
        // What nobody waits for says nothing, so it goes on behind an answer too.
        let worked =
            if out.is_full() && self.job.asked().is_some() { false } else { self.work(out) };
        if !out.is_full() {
            self.speak_up(out);
        }
        worked
    }

    /// Prints console text on links that have no place for it but messages; what does not fit is
    /// lost. On a serial line the caller writes text between frames instead.
    pub fn console(&mut self, text: &[u8]) {
        for byte in text {
            let _ = self.console.push(*byte);
        }
    }

    /// The link on which a host with a delegation is at work. A caller that has fewer connections than there are callers
    /// keeps this one: strangers who come and go then end no session.
    #[must_use]
    pub fn session_link(&self) -> Option<u8> {
        let via = self.session.at_work(self.now_ms)?;
        via.is_sealed().then_some(via.wire)
    }

    /// Who hears the console: whoever may change something here.
    fn console_via(&self) -> Option<Via> {
        self.session.via().filter(|via| !self.peer(*via).is_limited())
    }

    /// The board, for the caller's own use between calls.
    pub fn board_mut(&mut self) -> &mut B {
        &mut self.board
    }

    /// The flash, for the caller's own use between calls.
    pub fn flash_mut(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Gives flash, board and window back, as when a simulated device resets.
    pub fn into_parts(self) -> (F, B, W) {
        (self.flash, self.board, self.window)
    }

    fn pass_time(&mut self, clock_ms: u64) {
        let passed_ms = clock_ms.saturating_sub(self.clock_ms).min(LONGEST_GAP_MS);
        self.now_ms = self.now_ms.saturating_add(passed_ms);
        self.clock_ms = clock_ms;
        self.access.count_call(passed_ms, self.now_ms);
    }

    /// What the caller's clock will say at `at_ms`.
    const fn on_clock(&self, at_ms: u64) -> u64 {
        self.clock_ms.saturating_add(at_ms.saturating_sub(self.now_ms))
    }

    /// The state in force. Where the boot stage could not store that a trial boot is over, it says so all the same:
    /// what goes wrong from here on is not the trial's.
    fn state(&self) -> BootState {
        let mut state = self.store.state().cloned().unwrap_or_default();
        if let Some(trial) =
            state.trial.as_mut().filter(|_| self.handover.row != BootRow::TrialArmed)
        {
            trial.entered = false;
        }
        state.time_floor_s = state.time_floor_s.max(self.signed_time_s);
        state
    }

    /// The slot that a bundle can be received into.
    fn spare(&self, state: &BootState) -> SlotId {
        match self.handover.start {
            Start::Slot(slot) => slot.other(),
            Start::Recovery => state.active.map_or(SlotId::A, SlotId::other),
        }
    }

    /// Drops what is under way; whoever waits for it is told.
    fn give_way(&mut self) {
        self.put_off = self.job.asked().or(self.put_off);
        self.job = Job::Idle;
    }

    fn answer_put_off(&mut self, out: &mut Outgoing) {
        if let (false, Some(asked)) = (out.is_full(), self.put_off) {
            // Not kept: whoever asks again then has it done.
            self.put_off = None;
            self.sender.reply(asked, Err(Refusal::Busy), out);
        }
    }

    fn take_frame(&mut self, wire: u8, frame: &mut [u8], out: &mut Outgoing) {
        let Some((header, payload)) = Header::split_mut(frame) else {
            return;
        };
        let (via, kind, payload) = match header.kind {
            Kind::Message | Kind::Chunk | Kind::Handshake => {
                (Via::plain(wire), header.kind, &*payload)
            }
            Kind::SealedMessage | Kind::SealedChunk => {
                let Some(opened) = self.access.open(wire, header, payload) else { return };
                opened
            }
        };
        self.received.counters.frames = self.received.counters.frames.saturating_add(1);
        match kind {
            Kind::Message => self.take_message(via, header.sequence, payload, out),
            Kind::Chunk => {
                let taken = self.take_chunk(via, payload);
                self.received.note(via, header.sequence, taken);
                self.received.owe(via);
            }
            Kind::Handshake => self.take_handshake(wire, payload, out),
            // Opened, it is one of the others.
            Kind::SealedMessage | Kind::SealedChunk => {}
        }
    }

    /// True when the chunk's bytes need not come again.
    fn take_chunk(&mut self, via: Via, payload: &[u8]) -> bool {
        let Some(chunk) = Chunk::parse(payload) else {
            return false;
        };
        let peer = self.peer(via);
        let is_admitted = self.session.admit(chunk.session, peer, self.now_ms).is_ok();
        if !is_admitted || !peer.actions.allow(Action::Stage) {
            return false;
        }
        self.received.follow(via);
        let busy = !self.job.leaves_the_window();
        let (Some(receiver), false) = (&mut self.receiver, busy) else {
            return false;
        };
        let erased = self.flash.geometry().erased;
        let fate = receiver.chunk(
            self.window.as_mut(),
            chunk.component,
            chunk.offset,
            chunk.bytes,
            erased,
        );
        let counters = &mut self.received.counters;
        let sent = u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX);
        counters.payload_bytes = counters.payload_bytes.saturating_add(sent);
        let new_bytes = match fate {
            ChunkFate::Taken { new_bytes } => u64::from(new_bytes),
            ChunkFate::NoRoom | ChunkFate::Misplaced => return false,
        };
        counters.repeated_bytes =
            counters.repeated_bytes.saturating_add(sent.saturating_sub(new_bytes));
        true
    }

    /// Says what nobody asked for: acknowledgements, console text.
    fn speak_up(&mut self, out: &mut Outgoing) {
        let busy = !self.job.leaves_the_window();
        let credit = match &self.receiver {
            Some(receiver) if !busy => receiver.credit_blocks(self.window.as_ref().len()),
            Some(_) | None => 0,
        };
        if let Some((via, ack)) = self.received.ack(credit) {
            self.sender.send(via, &FromDevice::Ack(ack), out);
        } else if let (false, Some(via)) = (self.console.is_empty(), self.console_via()) {
            let text = core::mem::take(&mut self.console);
            self.sender.send(via, &FromDevice::Console(&text), out);
        }
    }

    fn wait_for_reset(&self, at_ms: u64) -> Next {
        if self.now_ms >= at_ms {
            Next { effect: Effect::Reset, wake_ms: self.clock_ms }
        } else {
            Next { effect: Effect::Nothing, wake_ms: self.on_clock(at_ms) }
        }
    }
}
