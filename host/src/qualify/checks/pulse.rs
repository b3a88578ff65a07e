//! Pong or silence: what the checks share that measure silence.
//!
//! Only a link that failed and never brought an answer is an error, because nothing then tells a dead
//! device from a pulled cable.

use super::Judgement;
use crate::qualify::observation::Seen;

/// What the questions of one attempt have brought.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse {
    answers: u32,
    fault: Option<String>,
}

impl Pulse {
    /// How many were answered.
    pub(super) const fn answers(&self) -> u32 {
        self.answers
    }

    /// Takes what one question brought: a round trip in microseconds, or silence.
    ///
    /// # Errors
    /// The judgement that ends the attempt, when it is neither.
    pub(super) fn see(&mut self, seen: Seen) -> Result<Option<u64>, Judgement> {
        match seen {
            Seen::Pong { rtt_us } => {
                self.answers = self.answers.saturating_add(1);
                Ok(Some(rtt_us))
            }
            Seen::LinkError { reason } => {
                self.fault = Some(reason);
                Ok(None)
            }
            Seen::NoAnswer => Ok(None),
            Seen::Facts(_)
            | Seen::Status(_)
            | Seen::Checks(_)
            | Seen::Reading(_)
            | Seen::CheckStatus { .. }
            | Seen::CommandExit { .. }
            | Seen::Refused { .. } => Err(Judgement::unexpected("pong", &seen)),
        }
    }

    /// The judgement on a link that never worked.
    pub(super) fn dead_link(&self) -> Option<Judgement> {
        let reason = self.fault.as_ref().filter(|_| self.answers == 0)?;
        Some(Judgement::error(format!("the link failed and no answer ever came: {reason}")))
    }
}
