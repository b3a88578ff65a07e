//! An engine behind one line: bytes in, bytes out.

use crate::flash::Flash;
use crate::frame::{Decoder, Framing, Unit};

use super::{Board, Device, Input, Next, Outgoing};

/// A [`Device`] with one line, as most firmware has it: what arrives is handed over as it comes, what it says is handed
/// out as it travels. What is to happen when is the caller's still: [`Served::turn`] gives what [`Device::poll`] gives.
#[derive(Debug)]
pub struct Served<W, F, B, M> {
    engine: Device<W, F, B>,
    framing: Framing,
    decoder: Decoder<M>,
    outgoing: Outgoing,
    outbound: M,
    has_answered: bool,
}

impl<W, F, B, M> Served<W, F, B, M>
where
    W: AsRef<[u8]> + AsMut<[u8]>,
    F: Flash,
    B: Board,
    M: AsRef<[u8]> + AsMut<[u8]>,
{
    /// Puts `engine` behind a line. `inbound` and `outbound` hold one frame each, as it travels:
    /// [`Framing::wire_bytes`] of the `max_frame_bytes` that the engine was told, and for what it says of
    /// [`crate::message::LEAST_FRAME_BYTES`] at least. What does not fit is dropped, as if the line had lost it.
    pub const fn new(engine: Device<W, F, B>, framing: Framing, inbound: M, outbound: M) -> Self {
        let decoder = Decoder::new(framing, inbound);
        let outgoing = Outgoing::new();
        Self { engine, framing, decoder, outgoing, outbound, has_answered: false }
    }

    /// Calls the engine once, with the next whole frame of `received` if there is one; `send` gets what it says, at most one
    /// frame. Bytes that were taken are gone from `received`: what is left is for the next turn, which is then due at once.
    pub fn turn(&mut self, clock_ms: u64, received: &mut &[u8], send: impl FnOnce(&[u8])) -> Next {
        let Self { engine, framing, decoder, outgoing, outbound, has_answered } = self;
        // Behind an answer the engine has a turn of its own, and what arrives waits for it.
        let is_own_turn = core::mem::take(has_answered);
        let mut heard = None;
        while let (false, None) = (is_own_turn, &heard) {
            match decoder.feed(received) {
                Some(Unit::Frame(frame)) => {
                    let input = Input::Frame { link: 0, frame };
                    heard = Some(engine.poll(clock_ms, input, outgoing));
                }
                Some(Unit::Text(_) | Unit::Damaged(_)) => {}
                None => break,
            }
        }
        *has_answered = heard.is_some() && outgoing.is_full();
        let next = heard.unwrap_or_else(|| engine.poll(clock_ms, Input::Nothing, outgoing));
        if let Some((_, header, payload)) = outgoing.take()
            && let Ok(length) = framing.encode(header, payload, outbound.as_mut())
            && let Some(frame) = outbound.as_ref().get(..length)
        {
            send(frame);
        }
        let wake_ms = if received.is_empty() { next.wake_ms } else { clock_ms };
        Next { wake_ms, ..next }
    }

    /// The engine, for the caller's own use between turns.
    pub const fn engine_mut(&mut self) -> &mut Device<W, F, B> {
        &mut self.engine
    }
}
