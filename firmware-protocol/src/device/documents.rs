//! Signed documents: taken piece by piece into the window; the root record in force.

use crate::boot::BootState;
use crate::digest::Digest;
use crate::flash::{Flash, Range};
use crate::message::{How, Reply, RootStatus};
use crate::planted::Mistake;
use crate::refusal::Refusal;
use crate::root::{LifeCycle, RootRecord};
use crate::stored;
use crate::trust::{self, BodyType, MAX_ENVELOPE_BYTES, NextRootError, Verified};

use super::document_store::{MAX_ROOT_BYTES, StoreCursor};
use super::job::Then;
use super::link::Asked;
use super::requests::{Answer, done};
use super::{Board, Device, signed_time, staging};

/// How often the place of a root record is read before it counts as unreadable.
const READ_TRIES: u32 = 3;

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    /// Takes the next piece of a document; a piece that is there already is found done.
    pub(super) fn offer(
        &mut self,
        total_bytes: u32,
        offset: u32,
        bytes: &[u8],
    ) -> Result<Answer<'static>, Refusal> {
        // A window that has no room for the longest document would fail at the very end, when a manifest is read back.
        let is_roomy = self.window.as_ref().len() >= MAX_ENVELOPE_BYTES;
        let limit = if is_roomy { MAX_ENVELOPE_BYTES } else { 0 };
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

    /// Takes the offered document as the root record: the first one, the one that follows the one in force, or
    /// the one in force once more.
    pub(super) fn enroll(&mut self, asked: Asked) -> Result<Answer<'static>, Refusal> {
        if self.document_bytes > MAX_ROOT_BYTES {
            let got = u32::try_from(self.document_bytes).unwrap_or(u32::MAX);
            let limit = u32::try_from(MAX_ROOT_BYTES).unwrap_or(u32::MAX);
            return Err(Refusal::DocumentTooLong { got, limit });
        }
        let state = self.state();
        let document = self.window.as_ref().get(..self.document_bytes).unwrap_or_default();
        let root = if state.life_cycle == LifeCycle::Factory {
            trust::verify_first_root(document)?
        } else if trust::root_digest(document)? == state.root_digest {
            return self.store_root_again(state.root_version, asked);
        } else {
            let current = self.root()?;
            let document = self.window.as_ref().get(..self.document_bytes).unwrap_or_default();
            verify_next_root(document, &current)?
        };
        if state.life_cycle == LifeCycle::Factory
            && self.stored_root().is_some_and(|held| held != root.digest())
        {
            // A device that lost its record is not one that never had a root.
            return Err(Refusal::InRecovery);
        }
        let claims = root.claims();
        if claims.life_cycle == LifeCycle::Field {
            self.board.identity().ok_or(Refusal::NoIdentity)?;
        }
        // It was shown under the keys before.
        self.certified = None;
        // An entry that is in doubt could name the root record that is about to be written.
        let is_in_doubt = self.store.state().is_none() || !self.store.is_settled();
        let enrolled = BootState {
            life_cycle: claims.life_cycle,
            root_version: claims.version,
            root_digest: root.digest(),
            ..signed_time::enrolled(state, claims)
        };
        let store = self.root_store(claims.version)?;
        self.job = store.before(enrolled, Then::Enrolled, asked);
        if is_in_doubt {
            self.job.settle_first();
        }
        Ok(Answer::Later)
    }

    /// The root record in force is offered once more: nothing to do, unless flash has lost it.
    ///
    /// Its signatures count as well: without the boot record they are what tells it from a stranger's.
    fn store_root_again(&mut self, version: u32, asked: Asked) -> Result<Answer<'static>, Refusal> {
        let document = self.window.as_ref().get(..self.document_bytes).unwrap_or_default();
        let offered = trust::verify_first_root(document)?.digest();
        let place = self.trust_range(version);
        let mut bytes = [0; MAX_ROOT_BYTES];
        let held = read_root(&mut self.flash, place, &mut bytes).and_then(trust::stored_root);
        if held.is_some_and(|held| held.digest() == offered) {
            return done(How::FoundDone);
        }
        self.job = self.root_store(version)?.alone(Then::Done, asked);
        Ok(Answer::Later)
    }

    /// The document is to be stored as root record number `version`.
    fn root_store(&self, version: u32) -> Result<StoreCursor, Refusal> {
        let range = self.trust_range(version);
        let document = self.window.as_ref().get(..self.document_bytes).unwrap_or_default();
        staging::fits(document, range)?;
        Ok(StoreCursor::new(range, self.document_bytes))
    }

    /// The root record in force.
    pub(super) fn root(&mut self) -> Result<RootRecord, Refusal> {
        let state = self.state();
        if state.life_cycle == LifeCycle::Factory {
            return Err(Refusal::NotEnrolled);
        }
        let place = self.trust_range(state.root_version);
        let mut bytes = [0; MAX_ROOT_BYTES];
        let bytes = read_root(&mut self.flash, place, &mut bytes);
        let root = bytes.and_then(|bytes| trust::admitted_root(bytes, state.root_digest).ok());
        match root {
            Some(root) => Ok(root.claims().clone()),
            None => Err(Refusal::RootLost { version: state.root_version }),
        }
    }

    /// Which root record is in force, and whether flash still holds it.
    pub(super) fn root_status(&mut self) -> RootStatus {
        let BootState { root_version: version, root_digest: digest, time_floor_s, .. } =
            self.state();
        let root = self.root().ok();
        let time_floor_s = root.as_ref().map_or(time_floor_s, |root| self.known_time_s(root));
        RootStatus { version, digest, is_held: root.is_some(), time_floor_s }
    }

    /// Digest of the newest whole root record that flash still holds.
    fn stored_root(&mut self) -> Option<Digest> {
        let held = self.layout.trust().map(|range| {
            let mut bytes = [0; MAX_ROOT_BYTES];
            trust::stored_root(read_root(&mut self.flash, range, &mut bytes)?)
        });
        let newest = held.into_iter().flatten().max_by_key(|root| root.claims().version);
        newest.map(|root| root.digest())
    }

    /// Root records of odd and even versions have a place each, so the one in force is never
    /// overwritten.
    fn trust_range(&self, version: u32) -> Range {
        let [even, odd] = self.layout.trust();
        let is_even = version.is_multiple_of(2) || Mistake::RootOverwritten.is_planted();
        if is_even { even } else { odd }
    }
}

/// A root record that is missed for a single failed read would leave the device to whoever asks.
fn read_root<'b, F: Flash>(
    flash: &mut F,
    place: Range,
    bytes: &'b mut [u8; MAX_ROOT_BYTES],
) -> Option<&'b [u8]> {
    let most_bytes = u32::try_from(MAX_ROOT_BYTES).unwrap_or(u32::MAX);
    let place = Range { len_bytes: place.len_bytes.min(most_bytes), ..place };
    let length = (0..READ_TRIES).find_map(|_| {
        let read = stored::read_envelope(flash, place, BodyType::Root, bytes);
        read.ok().map(<[u8]>::len)
    })?;
    bytes.get(..length)
}

/// A stranger's root record is refused as another one; one of the same root in its own words.
fn verify_next_root(
    document: &[u8],
    current: &RootRecord,
) -> Result<Verified<RootRecord>, Refusal> {
    match trust::verify_next_root(document, current) {
        Ok(root) => Ok(root),
        Err(NextRootError::Stranger) => Err(Refusal::AlreadyEnrolled),
        Err(NextRootError::Version { expected, got }) => {
            Err(Refusal::RootVersion { expected, got })
        }
        Err(NextRootError::Trust(error)) => Err(error.into()),
    }
}
