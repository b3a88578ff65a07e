//! Signed documents: taken piece by piece into the window; the root record in force.

use crate::boot::BootState;
use crate::digest::Digest;
use crate::flash::{Flash, Range};
use crate::manifest::{LifeCycle, RootRecord};
use crate::message::{How, Reply};
use crate::refusal::Refusal;
use crate::trust::{self, MAX_ENVELOPE_BYTES};

use super::job::{Job, MAX_ROOT_BYTES, Then};
use super::link::Asked;
use super::requests::{Answer, done};
use super::{Board, Device, staging};

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    /// Takes the next piece of a document; a piece that is there already is found done.
    pub(super) fn offer(
        &mut self,
        total_bytes: u32,
        offset: u32,
        bytes: &[u8],
    ) -> Result<Answer<'static>, Refusal> {
        let limit = MAX_ENVELOPE_BYTES.min(self.window.as_ref().len());
        let total = usize::try_from(total_bytes).unwrap_or(usize::MAX);
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        if total > limit {
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            return Err(Refusal::DocumentTooLong { got: total_bytes, limit });
        }
        if at == 0 {
            // A new document takes the window over, and with it any transfer that was under way.
            self.receiver = None;
            self.document_bytes = 0;
        }
        let end = at.saturating_add(bytes.len());
        let expected = u32::try_from(self.document_bytes).unwrap_or(u32::MAX);
        if self.receiver.is_some() || at > self.document_bytes || end > total {
            return Err(Refusal::DocumentPiece { expected, got: offset });
        }
        let place = self.window.as_mut().get_mut(at..end);
        let place = place.ok_or(Refusal::DocumentPiece { expected, got: offset })?;
        place.copy_from_slice(bytes);
        self.document_bytes = self.document_bytes.max(end);
        let held_bytes = u32::try_from(self.document_bytes).unwrap_or(u32::MAX);
        Ok(Answer::Now(Reply::Offered { held_bytes }))
    }

    pub(super) fn enroll(&mut self, asked: Asked) -> Result<Answer<'static>, Refusal> {
        let document = self.window.as_ref().get(..self.document_bytes).unwrap_or_default();
        if document.len() > MAX_ROOT_BYTES {
            let got = u32::try_from(document.len()).unwrap_or(u32::MAX);
            let limit = u32::try_from(MAX_ROOT_BYTES).unwrap_or(u32::MAX);
            return Err(Refusal::DocumentTooLong { got, limit });
        }
        let root = trust::verify_first_root(document)?;
        if self.store.state().is_none() {
            // A device that lost its record is not one that never had a root.
            let stored = stored_roots(&mut self.flash, self.layout.trust());
            if stored.into_iter().flatten().any(|digest| digest != root.digest()) {
                return Err(Refusal::InRecovery);
            }
        }
        let state = self.state();
        if state.life_cycle != LifeCycle::Factory {
            let same = state.root_digest == root.digest();
            return if same { done(How::FoundDone) } else { Err(Refusal::AlreadyEnrolled) };
        }
        let enrolled = BootState {
            life_cycle: root.claims().life_cycle,
            root_version: root.claims().version,
            root_digest: root.digest(),
            ..state
        };
        let range = self.trust_range(root.claims().version);
        staging::fits(document, range)?;
        let store = Job::store(range, self.document_bytes);
        self.job = store.followed_by_record(enrolled, Then::Done, asked);
        Ok(Answer::Later)
    }

    /// The root record in force.
    pub(super) fn root(&mut self) -> Result<RootRecord, Refusal> {
        let state = self.state();
        if state.life_cycle == LifeCycle::Factory {
            return Err(Refusal::NotEnrolled);
        }
        let range = self.trust_range(state.root_version);
        let mut bytes = [0; MAX_ROOT_BYTES];
        self.flash.read(range.start, &mut bytes).map_err(|_| Refusal::Flash)?;
        let root = trust::admitted_root(&bytes, state.root_digest).map_err(|_| Refusal::Flash)?;
        Ok(root.claims().clone())
    }

    /// Root records of odd and even versions have a place each, so the one in force is never
    /// overwritten.
    fn trust_range(&self, version: u32) -> Range {
        let [even, odd] = self.layout.trust();
        if version.is_multiple_of(2) { even } else { odd }
    }
}

/// Digests of the whole root records that flash still holds.
fn stored_roots<F: Flash>(flash: &mut F, places: [Range; 2]) -> [Option<Digest>; 2] {
    places.map(|range| {
        let mut bytes = [0; MAX_ROOT_BYTES];
        flash.read(range.start, &mut bytes).ok()?;
        trust::stored_root(&bytes)
    })
}
