//! Going back below the floor on a bench (TRUST.md, "Floors").

use crate::boot::BootState;
use crate::flash::Flash;
use crate::message::How;
use crate::refusal::Refusal;
use crate::root::LifeCycle;
use crate::trust;

use super::admission::not_taken_back;
use super::job::{Job, Then};
use super::link::Asked;
use super::requests::{Answer, done};
use super::{Board, Device};

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    /// Takes the offered document as a bench reset.
    pub(super) fn bench_reset(&mut self, asked: Asked) -> Result<Answer<'static>, Refusal> {
        let root = self.root()?;
        let state = self.state();
        if state.life_cycle != LifeCycle::Development {
            return Err(Refusal::NotOnABench);
        }
        if let Some(open) = state.trial {
            return Err(Refusal::TrialOpen { trial_id: open.trial_id });
        }
        let document = self.window.as_ref().get(..self.document_bytes).unwrap_or_default();
        let reset = trust::verify_bench_reset(document, &root)?;
        let claims = reset.claims();
        let info = self.board.info();
        if claims.product != info.product || claims.serial != info.serial {
            return Err(Refusal::ResetDevice);
        }
        not_taken_back(claims.epoch, root.epochs.qualify)?;
        if claims.boot_nonce != self.boot_nonce {
            return Err(Refusal::WrongBoot);
        }
        let (offered, floor) = (claims.floor, state.accept_floor);
        let lowest = root.policy.lowest_security_version;
        if offered < lowest {
            return Err(Refusal::BelowFloor { offered, floor: lowest });
        }
        if offered > floor {
            return Err(Refusal::FloorNotLower { offered, floor });
        }
        if offered == floor {
            return done(How::FoundDone);
        }
        let lowered = BootState { accept_floor: offered, ..state };
        self.job = Job::write_record(lowered, Then::Done, Some(asked));
        Ok(Answer::Later)
    }
}
