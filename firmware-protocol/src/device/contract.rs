//! What a call takes and what it asks of its caller.

/// What reaches the device in one call.
#[derive(Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// Only time has passed.
    Nothing,
    /// A whole frame, as a [`crate::frame::Decoder`] gave it.
    Frame {
        /// The link it came on; replies go out there.
        link: u8,
        /// Header and payload. What is sealed is opened in place.
        frame: &'a mut [u8],
    },
    /// The connection that frames of this link came from has ended, as those of a network do: a handshake that had begun on
    /// it is over, and keeps no other host waiting. Said before the first frame of the next connection on that link, whose
    /// handshake it would end otherwise. A session ends by its silence; what a plain one had asked for is still answered there.
    Gone {
        /// The link.
        link: u8,
    },
}

/// What the caller carries out after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing. In particular the watchdog is not to be fed.
    Nothing,
    /// Feed the watchdog; with `deadline_ms`, set the trial's hardware deadline to that far from now.
    Feed {
        /// Until the trial boot must have been renewed, in milliseconds; `None` outside a trial.
        deadline_ms: Option<u32>,
    },
    /// Reset the device. What it has to say has been said, what it has to store is stored.
    Reset,
}

/// What a call asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// Carry this out.
    pub effect: Effect,
    /// Call again when the clock says this, in milliseconds, or as soon as there is input; at once if it is not
    /// in the future.
    pub wake_ms: u64,
}
