//! Requests of a transfer: from the offered manifest to the slot that is read back.

use crate::boot::{BootState, CONFIRMED_CRASH_BUDGET, Start};
use crate::flash::{Flash, Range};
use crate::message::{How, Reply};
use crate::planted::Mistake;
use crate::receiver::{Receiver, Run};
use crate::refusal::Refusal;
use crate::root::RootRecord;
use crate::scan;
use crate::slot::{SlotId, SlotState};
use crate::trust;

use super::admission::{self, Place, Running};
use super::certified::is_certified;
use super::document_store::StoreCursor;
use super::job::{Job, Then};
use super::link::Asked;
use super::requests::Answer;
use super::{Board, Device};

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    /// Holds the offered manifest against everything, then marks the slot and stores the manifest.
    pub(super) fn stage(&mut self, asked: Asked, again: bool) -> Result<Answer<'static>, Refusal> {
        let root = self.root()?;
        let state = self.state();
        if let Some(open) = state.trial {
            return Err(Refusal::TrialOpen { trial_id: open.trial_id });
        }
        if let Some(receiver) = &self.receiver {
            // The document has given way to the transfer it began. Only the request that began it
            // can still be answered; any other needs its document first.
            if self.staged_by != Some(asked) {
                let got = u32::try_from(self.document_bytes).unwrap_or(u32::MAX);
                return Err(Refusal::DocumentPiece { expected: 0, got });
            }
            let slot = receiver.target().slot;
            return Ok(Answer::Now(Reply::Stage { slot, how: How::Resumed }));
        }
        let spare = self.spare(&state);
        let document = self.window.as_ref().get(..self.document_bytes).unwrap_or_default();
        let manifest = trust::verify_manifest(document, &root)?;
        let place = self.admission_place(&root, &state, spare);
        let mut target = admission::admit(&manifest, &place, &self.flash)?;
        is_certified(self.certified, root.policy.certificate.to_stage(), target.bundle)?;
        target.suspect = self.suspect;
        fits(document, self.layout.slot(spare).manifest)?;
        let bundle = target.bundle;
        let range = self.layout.slot(spare).manifest;
        let document = self.window.as_ref().get(..self.document_bytes).unwrap_or_default();
        // A slot whose manifest flash has lost is staged anew, or no trial of it could be opened.
        let is_held = scan::holds(&mut self.flash, range.start, document);
        let how = match *state.slots.get(spare) {
            SlotState::Staged { bundle: held } if held == bundle && is_held => How::FoundDone,
            SlotState::Writing { bundle: held } if held == bundle => How::Resumed,
            SlotState::Rejected { bundle: held, trial_id, .. } if held == bundle && !again => {
                return Err(Refusal::RejectedBefore { trial_id });
            }
            SlotState::Empty
            | SlotState::Writing { .. }
            | SlotState::Staged { .. }
            | SlotState::Rejected { .. }
            | SlotState::Admitted { .. } => How::Done,
        };
        self.staged_by = Some(asked);
        self.receiver = Some(match how {
            How::FoundDone => Receiver::complete(target),
            How::Done | How::Resumed => Receiver::new(target),
        });
        let resumes = how == How::Resumed && range.common(self.suspect).is_empty() && is_held;
        if how == How::FoundDone || resumes {
            return Ok(Answer::Now(Reply::Stage { slot: spare, how }));
        }
        let mut writing = state;
        if writing.active == Some(spare) {
            // Passed over at this start: before its bytes change, what runs instead becomes confirmed.
            writing.active = Some(spare.other());
            writing.crash_left = CONFIRMED_CRASH_BUDGET;
        }
        if !Mistake::SlotNotMarked.is_planted() {
            *writing.slots.get_mut(spare) = SlotState::Writing { bundle };
        }
        // What an earlier transfer has left half-written stays named until it is written again.
        writing.touched = writing.touched.hull(range);
        let store = StoreCursor::new(range, self.document_bytes);
        self.job = store.behind(writing, Then::Stage { how }, asked);
        Ok(Answer::Later)
    }

    /// What a bundle for the slot `spare` is held against.
    fn admission_place<'a>(
        &'a self,
        root: &'a RootRecord,
        state: &'a BootState,
        spare: SlotId,
    ) -> Place<'a> {
        Place {
            info: self.board.info(),
            layout: &self.layout,
            root,
            state,
            running: match self.handover.start {
                Start::Slot(_) => Some(Running(self.running_version.as_ref())),
                Start::Recovery => None,
            },
            spare,
            window_bytes: self.window.as_ref().len(),
        }
    }

    pub(super) fn open_component(&mut self, index: u8) -> Result<Answer<'static>, Refusal> {
        let receiver = self.receiver.as_mut().ok_or(Refusal::NoStage)?;
        let blocks = receiver.open(usize::from(index));
        let blocks = blocks.ok_or(Refusal::NoSuchItem { index: u32::from(index) })?;
        let worth_listing = receiver.target().worth_listing;
        Ok(Answer::Now(Reply::Component { blocks, worth_listing }))
    }

    pub(super) fn block_list(
        &mut self,
        asked: Asked,
        first_block: u32,
        digests: &[u8],
    ) -> Result<Answer<'static>, Refusal> {
        let receiver = self.receiver.as_mut().ok_or(Refusal::NoStage)?;
        let queued = receiver.list(self.window.as_mut(), first_block, digests);
        if let Some(blocks) = queued.ok_or(Refusal::Malformed)? {
            return Ok(Answer::Now(Reply::Listed { blocks }));
        }
        self.job = Job::Listing { asked };
        Ok(Answer::Later)
    }

    pub(super) fn missing(&self, first_block: u32) -> Result<Answer<'static>, Refusal> {
        let receiver = self.receiver.as_ref().ok_or(Refusal::NoStage)?;
        let (missing, bits) = receiver.missing(first_block).ok_or(Refusal::NoStage)?;
        Ok(Answer::Now(Reply::Missing { first_block, missing, bits }))
    }

    pub(super) fn finish(&mut self, asked: Asked) -> Result<Answer<'static>, Refusal> {
        let receiver = self.receiver.as_ref().ok_or(Refusal::NoStage)?;
        let target = receiver.target();
        let staged = SlotState::Staged { bundle: target.bundle };
        if *self.state().slots.get(target.slot) == staged {
            return Ok(Answer::Now(Reply::Staged { bundle: target.bundle, how: How::FoundDone }));
        }
        let back = receiver.read_back();
        self.job = Job::ReadBack { asked, back };
        Ok(Answer::Later)
    }

    /// The state in which the slot that was received is staged.
    pub(super) fn staged_state(&mut self) -> Option<BootState> {
        let (slot, bundle) = {
            let target = self.receiver.as_ref()?.target();
            (target.slot, target.bundle)
        };
        let mut state = self.state();
        *state.slots.get_mut(slot) = SlotState::Staged { bundle };
        state.touched = Range::default();
        self.suspect = Range::default();
        self.record_erases(&mut state, slot);
        Some(state)
    }

    /// Begins to name the run that the transfer goes on to write, unless it is named; true when that, or
    /// another try of it, is what comes next.
    pub(super) fn name_run(&mut self) -> bool {
        let Some(run) = self.receiver.as_ref().and_then(|receiver| receiver.next_run(&self.flash))
        else {
            return false;
        };
        if self.store.state().is_some_and(|state| state.touched.covers(run.place)) {
            return false;
        }
        let named = self.naming(run);
        self.job = Job::write_record(named, Then::Transfer, None);
        true
    }

    /// The state that names `run`, and what was named before as far as it is not proven.
    pub(super) fn naming(&mut self, run: Run) -> BootState {
        let mut state = self.state();
        let Some(receiver) = &self.receiver else { return state };
        let slot = receiver.target().slot;
        if receiver.is_proven(&self.flash, state.touched) {
            self.suspect = Range::default();
            state.touched = run.all;
        } else {
            state.touched = state.touched.hull(run.all);
        }
        self.record_erases(&mut state, slot);
        state
    }

    /// Puts the erases of the spare slot that are not on record yet into what is stored next.
    fn record_erases(&mut self, state: &mut BootState, slot: SlotId) {
        let erases = state.erases.get_mut(slot);
        *erases = erases.saturating_add(core::mem::take(&mut self.unrecorded_erases));
    }

    pub(super) const fn count_slot_erases(&mut self, erases: u32) {
        self.erases = self.erases.saturating_add(erases);
        self.unrecorded_erases = self.unrecorded_erases.saturating_add(erases);
    }
}

/// A document that is longer than its place would run over into what lies behind it.
pub(super) fn fits(document: &[u8], place: Range) -> Result<(), Refusal> {
    let got = u32::try_from(document.len()).unwrap_or(u32::MAX);
    let limit = place.len_bytes;
    if got <= limit { Ok(()) } else { Err(Refusal::DocumentTooLong { got, limit }) }
}
