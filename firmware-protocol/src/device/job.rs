//! Work that takes more than one step: what is under way, and what is said when it ends.

use crate::boot::{BootState, CONFIRMED_CRASH_BUDGET, Start};
use crate::digest::Digest;
use crate::flash::{Flash, Range};
use crate::manifest::Variant;
use crate::message::{How, Reply};
use crate::receiver::{BackStep, ListStep, ReadBack, Step};
use crate::record::WriteStep;
use crate::refusal::Refusal;
use crate::scan::{BlankScan, HashScan};

use super::document_store::{StoreCursor, StoreStep};
use super::link::{Asked, Outgoing};
use super::requests::trial_reply;
use super::{Board, Device, HEALTHY_MS, board};

/// What is under way.
#[derive(Debug, Clone)]
pub(super) enum Job {
    Idle,
    Write(WriteJob),
    Listing {
        asked: Asked,
    },
    ReadBack {
        asked: Asked,
        back: ReadBack,
    },
    /// What a read-back is to erase next is named before.
    Naming {
        named: BootState,
        asked: Asked,
        back: ReadBack,
    },
    Hash(HashJob),
    Check {
        asked: Asked,
        index: u8,
    },
}

/// A record entry to be written, a document to be stored, or both.
#[derive(Debug, Clone)]
pub(super) struct WriteJob {
    /// The state in force is written once more before everything else.
    settles_first: bool,
    entry: Option<BootState>,
    store: Option<StoreCursor>,
    /// The entry is written before the document is stored.
    entry_first: bool,
    then: Then,
    asked: Option<Asked>,
}

/// What follows when everything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    /// A trial that was paused is over.
    Over,
    Done,
    /// A root record is in force from now on.
    Enrolled,
    Reset,
    DoneAndReset,
    Trial,
    Stage {
        how: How,
    },
    /// The transfer goes on in the run that is named now.
    Transfer,
    Staged,
}

/// A component that is being hashed, then looked at behind its end.
#[derive(Debug, Clone)]
pub(super) struct HashJob {
    asked: Asked,
    length: u64,
    scan: HashScan,
    digest: Option<Digest>,
    tail: BlankScan,
}

impl StoreCursor {
    /// Stored by itself.
    pub(super) const fn alone(self, then: Then, asked: Asked) -> Job {
        self.with(None, false, then, asked)
    }

    /// Stored behind an entry of the record.
    pub(super) const fn behind(self, entry: BootState, then: Then, asked: Asked) -> Job {
        self.with(Some(entry), true, then, asked)
    }

    /// Stored before an entry of the record.
    pub(super) const fn before(self, entry: BootState, then: Then, asked: Asked) -> Job {
        self.with(Some(entry), false, then, asked)
    }

    const fn with(
        self,
        entry: Option<BootState>,
        entry_first: bool,
        then: Then,
        asked: Asked,
    ) -> Job {
        let (store, asked) = (Some(self), Some(asked));
        Job::Write(WriteJob { settles_first: false, entry, store, entry_first, then, asked })
    }
}

impl Job {
    pub(super) const fn write_record(state: BootState, then: Then, asked: Option<Asked>) -> Self {
        let entry = Some(state);
        Self::Write(WriteJob {
            settles_first: false,
            entry,
            store: None,
            entry_first: true,
            then,
            asked,
        })
    }

    /// The state in force is written once more before what is to be written.
    pub(super) fn settle_first(&mut self) {
        if let Self::Write(job) = self {
            job.settles_first = true;
        }
    }

    pub(super) fn hash(area: Range, variant: &Variant, asked: Asked) -> Option<Self> {
        let (body, tail) = area.split_at(variant.length)?;
        Some(Self::Hash(HashJob {
            asked,
            length: variant.length,
            scan: HashScan::new(body),
            digest: None,
            tail: BlankScan::new(tail),
        }))
    }

    /// What is under way must not be replaced: it writes the record.
    pub(super) const fn writes(&self) -> bool {
        matches!(self, Self::Write(_) | Self::Naming { .. })
    }

    /// Blocks may come into the window meanwhile.
    pub(super) const fn leaves_the_window(&self) -> bool {
        match self {
            Self::Idle => true,
            Self::Write(job) => matches!(job.then, Then::Transfer),
            Self::Listing { .. }
            | Self::ReadBack { .. }
            | Self::Naming { .. }
            | Self::Hash(_)
            | Self::Check { .. } => false,
        }
    }

    /// How far the work that `asked` waits for has come.
    pub(super) fn progress_for(&self, asked: Asked) -> Option<Reply<'static>> {
        let left = match self {
            Self::Hash(job) => job.scan.left_bytes(),
            Self::Idle
            | Self::Write(_)
            | Self::Listing { .. }
            | Self::ReadBack { .. }
            | Self::Naming { .. }
            | Self::Check { .. } => 0,
        };
        (self.asked() == Some(asked)).then_some(Reply::Working { left_bytes: left })
    }

    /// Who waits for it.
    pub(super) const fn asked(&self) -> Option<Asked> {
        match self {
            Self::Idle => None,
            Self::Write(job) => job.asked,
            Self::Listing { asked }
            | Self::Check { asked, .. }
            | Self::ReadBack { asked, .. }
            | Self::Naming { asked, .. } => Some(*asked),
            Self::Hash(job) => Some(job.asked),
        }
    }
}

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    /// Does one step of what is under way; true when there is more to do at once.
    pub(super) fn work(&mut self, out: &mut Outgoing) -> bool {
        match core::mem::replace(&mut self.job, Job::Idle) {
            Job::Idle => return self.idle_work(),
            Job::Write(job) => self.write_step(job, out),
            Job::Listing { asked } => self.listing_step(asked, out),
            Job::ReadBack { asked, back } => self.read_back_step(asked, back, out),
            Job::Naming { named, asked, back } => self.naming_step(named, asked, back, out),
            Job::Hash(job) => self.hash_step(job, out),
            Job::Check { asked, index } => return self.check_step(asked, index, out),
        }
        true
    }

    /// Writes blocks that are whole, each in a run that the record names; writes a record anew that does not
    /// stand; gives a confirmed image its crash budget back once it has run well for a while.
    pub(super) fn idle_work(&mut self) -> bool {
        if self.name_run() {
            return true;
        }
        if let Some(receiver) = &mut self.receiver {
            let step = receiver.step(&mut self.flash, self.window.as_ref());
            let erases = receiver.take_erases();
            self.count_slot_erases(erases);
            match step {
                Ok(Step::Idle) => {}
                Ok(Step::Worked) => return true,
                Ok(Step::BlockWritten) => {
                    self.received.owe_credit();
                    return true;
                }
                // The host sees blocks missing and asks; nothing is lost but time.
                Err(_) => {
                    self.receiver = None;
                    self.session.note_fault();
                }
            }
        }
        let Some(state) = self.store.state().filter(|_| self.retries.may_write(self.now_ms)) else {
            return false;
        };
        let is_healthy = self.now_ms >= HEALTHY_MS
            && state.crash_left < CONFIRMED_CRASH_BUDGET
            && state.active.map(Start::Slot) == Some(self.handover.start);
        if !is_healthy && self.store.is_settled() && !self.is_time_worth_storing(state) {
            return false;
        }
        let crash_left = if is_healthy { CONFIRMED_CRASH_BUDGET } else { state.crash_left };
        let time_floor_s = state.time_floor_s.max(self.signed_time_s);
        let state = BootState { crash_left, time_floor_s, ..state.clone() };
        self.job = Job::write_record(state, Then::Nothing, None);
        true
    }

    fn write_step(&mut self, mut job: WriteJob, out: &mut Outgoing) {
        match self.write_on(&mut job) {
            Ok(false) => self.job = Job::Write(job),
            Ok(true) => self.written(job.then, job.asked, Ok(()), out),
            Err(refusal) => self.written(job.then, job.asked, Err(refusal), out),
        }
    }

    /// Does the next step of what is left; true when that was the last.
    fn write_on(&mut self, job: &mut WriteJob) -> Result<bool, Refusal> {
        let entry_first = job.entry_first || job.store.is_none();
        if job.settles_first {
            let state = self.state();
            job.settles_first = !self.record_step(&state)?;
        } else if let Some(entry) = job.entry.as_ref().filter(|_| entry_first) {
            if self.record_step(entry)? {
                job.entry = None;
            }
        } else if let Some(store) = &mut job.store
            && self.store_step(store, job.then)?
        {
            job.store = None;
        }
        Ok(!job.settles_first && job.store.is_none() && job.entry.is_none())
    }

    /// True when the entry is written.
    fn record_step(&mut self, state: &BootState) -> Result<bool, Refusal> {
        let step = self.store.step(&mut self.flash, state).map_err(|_| Refusal::Flash)?;
        self.erases = self.erases.saturating_add(u32::from(step == WriteStep::Erased));
        Ok(step == WriteStep::Written)
    }

    /// True when the document is stored.
    fn store_step(&mut self, store: &mut StoreCursor, then: Then) -> Result<bool, Refusal> {
        let step = store.step(&mut self.flash, self.window.as_mut())?;
        if matches!(step, StoreStep::Erased) {
            self.erases = self.erases.saturating_add(1);
            let in_slot = u32::from(matches!(then, Then::Stage { .. }));
            self.unrecorded_erases = self.unrecorded_erases.saturating_add(in_slot);
        }
        Ok(matches!(step, StoreStep::Stored))
    }

    fn written(
        &mut self,
        then: Then,
        asked: Option<Asked>,
        outcome: Result<(), Refusal>,
        out: &mut Outgoing,
    ) {
        let reply = outcome.map(|()| match then {
            Then::Trial => trial_reply(&self.state(), How::Done),
            Then::Stage { how } => match &self.receiver {
                Some(receiver) => Reply::Stage { slot: receiver.target().slot, how },
                None => Reply::Done(how),
            },
            Then::Staged => match &self.receiver {
                Some(receiver) => {
                    Reply::Staged { bundle: receiver.target().bundle, how: How::Done }
                }
                None => Reply::Done(How::Done),
            },
            Then::Nothing
            | Then::Over
            | Then::Done
            | Then::Enrolled
            | Then::Reset
            | Then::DoneAndReset
            | Then::Transfer => Reply::Done(How::Done),
        });
        match (&reply, asked) {
            (Ok(_), _) => self.retries.worked(),
            (Err(_), None) if matches!(then, Then::Over | Then::Reset) => {
                self.retries.end_failed(self.now_ms);
            }
            (Err(_), None) if then != Then::Transfer => self.retries.write_failed(self.now_ms),
            (Err(_), _) => self.session.note_fault(),
        }
        // A slot whose mark, manifest or next run may not be stored must not be written to.
        if reply.is_err() && matches!(then, Then::Stage { .. } | Then::Transfer) {
            self.receiver = None;
        }
        // Only a trial that is known to be over may be left for good; a reset is safe in any case.
        match then {
            Then::Reset => self.reset_at_ms = Some(self.now_ms),
            Then::DoneAndReset if reply.is_ok() => {
                self.reset_at_ms = Some(self.now_ms.saturating_add(super::RESET_GRACE_MS));
            }
            // What counts of it is in the entry that was written.
            Then::Enrolled if reply.is_ok() => self.signed_time_s = 0,
            Then::DoneAndReset
            | Then::Enrolled
            | Then::Nothing
            | Then::Over
            | Then::Done
            | Then::Trial
            | Then::Stage { .. }
            | Then::Transfer
            | Then::Staged => {}
        }
        if let Some(asked) = asked {
            self.sender.reply_kept(asked, reply, out);
        }
    }

    fn listing_step(&mut self, asked: Asked, out: &mut Outgoing) {
        let Some(receiver) = &mut self.receiver else { return };
        let reply = match receiver.list_step(&mut self.flash, self.window.as_ref()) {
            ListStep::Working => {
                self.job = Job::Listing { asked };
                return;
            }
            ListStep::Taken(blocks) => Ok(Reply::Listed { blocks }),
            ListStep::Forged => Err(Refusal::Malformed),
        };
        self.sender.reply_kept(asked, reply, out);
    }

    fn read_back_step(&mut self, asked: Asked, mut back: ReadBack, out: &mut Outgoing) {
        let named = self.state().touched;
        let Some(receiver) = &mut self.receiver else { return };
        let step = receiver.read_back_step(&mut self.flash, &mut back, named);
        let erases = receiver.take_erases();
        self.count_slot_erases(erases);
        match step {
            Ok(BackStep::Working) => self.job = Job::ReadBack { asked, back },
            Ok(BackStep::Names(run)) => {
                let named = self.naming(run);
                self.job = Job::Naming { named, asked, back };
            }
            Ok(BackStep::AllMatch) => {
                if let Some(state) = self.staged_state() {
                    self.job = Job::write_record(state, Then::Staged, Some(asked));
                }
            }
            Ok(BackStep::Differs { component }) => {
                let component = u8::try_from(component).unwrap_or(u8::MAX);
                self.sender.reply_kept(asked, Err(Refusal::Incomplete { component }), out);
            }
            Err(_) => self.give_up_read_back(asked, out),
        }
    }

    fn naming_step(&mut self, named: BootState, asked: Asked, back: ReadBack, out: &mut Outgoing) {
        match self.store.step(&mut self.flash, &named) {
            Ok(WriteStep::Written) => self.job = Job::ReadBack { asked, back },
            Ok(step) => {
                let erased = u32::from(step == WriteStep::Erased);
                self.erases = self.erases.saturating_add(erased);
                self.job = Job::Naming { named, asked, back };
            }
            Err(_) => self.give_up_read_back(asked, out),
        }
    }

    fn give_up_read_back(&mut self, asked: Asked, out: &mut Outgoing) {
        self.session.note_fault();
        self.sender.reply_kept(asked, Err(Refusal::Flash), out);
    }

    fn hash_step(&mut self, mut job: HashJob, out: &mut Outgoing) {
        let reply = match job.digest {
            None => match job.scan.step(&mut self.flash) {
                Ok(digest) => {
                    job.digest = digest;
                    self.job = Job::Hash(job);
                    return;
                }
                Err(_) => Err(Refusal::Flash),
            },
            Some(digest) => match job.tail.step(&mut self.flash) {
                Ok(None) => {
                    self.job = Job::Hash(job);
                    return;
                }
                Ok(Some(tail_blank)) => Ok(Reply::Hash { digest, length: job.length, tail_blank }),
                Err(_) => Err(Refusal::Flash),
            },
        };
        self.sender.reply_kept(job.asked, reply, out);
    }

    /// A check decides itself when its next step is worth taking, so the caller may wait.
    fn check_step(&mut self, asked: Asked, index: u8, out: &mut Outgoing) -> bool {
        let Some(reading) = self.board.poll_check(index, self.now_ms) else {
            self.job = Job::Check { asked, index };
            return false;
        };
        self.sender.reply_kept(asked, Ok(Reply::Checked(board::bounded(reading))), out);
        true
    }
}
