//! Who speaks, and what they may do: sealed links and the hosts at their ends (PROTOCOL.md, "Sealed links").

use heapless::Vec;

use crate::delegation::{Actions, MAX_DELEGATION_BYTES};
use crate::digest::Digest;
use crate::flash::Flash;
use crate::frame::{Header, Kind};
use crate::message::{FromDevice, Reply};
use crate::planted::Defence;
use crate::refusal::Refusal;
use crate::root::LifeCycle;
use crate::sealed::{
    Channel, FIRST, FIRST_BYTES, Joined, LinkKey, LinkSecret, Responder, SECOND, SECOND_BYTES,
    THIRD,
};
use crate::trust;

use super::admission::not_taken_back;
use super::link::{Asked, Outgoing};
use super::{Board, Device};

/// Time that a host has for its third message, in milliseconds: a delegation of 960 bytes at 9600 baud takes one second.
const HANDSHAKE_MS: u64 = 2_000;
/// Between two first messages that are answered, in milliseconds: each costs four scalar multiplications.
const HANDSHAKE_GAP_MS: u64 = 100;
/// How long a wire that was not answered is waited for, in milliseconds: hosts say their first message again every 300 ms.
const WAITS_MS: u64 = 400;
/// Wires whose turns are told apart; with more, some share theirs.
const WIRES: usize = 4;
/// Calls in a row in which no time passed, behind which a handshake is over without a clock: far more than there are between
/// two ticks of one that goes.
const STILL_CALLS: u32 = 100_000;
/// Sealed links at a time: one that holds the session, and one for a host that comes.
const MAX_SEALED_LINKS: usize = 2;

/// Where a frame came from and where its answer goes: a wire, by itself or through a sealed link on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Via {
    pub(super) wire: u8,
    /// Which of the sealed links that there have been; zero for the wire by itself. What one has asked for is never said
    /// to another.
    pub(super) link: u32,
}

impl Via {
    pub(super) const fn plain(wire: u8) -> Self {
        Self { wire, link: 0 }
    }

    pub(super) const fn is_sealed(self) -> bool {
        self.link != 0
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    /// Where it is.
    pub(super) via: Via,
    /// The key that the host has proven to hold; `None` on a plain link.
    pub(super) host: Option<LinkKey>,
    /// What it may do.
    pub(super) actions: Actions,
}

impl Peer {
    /// It may do nothing but enrol the device under its next root record.
    pub(super) fn is_limited(self) -> bool {
        self.actions == Actions::NONE
    }
}

/// The sealed links, and the handshake that may become one.
#[derive(Debug, Clone, Default)]
pub(super) struct Access {
    pending: Option<Pending>,
    turns: [Turn; WIRES],
    /// Calls, up to this one, in which no time passed.
    still_calls: u32,
    links: Vec<SealedLink, MAX_SEALED_LINKS>,
    /// Sealed links that there have been.
    made: u32,
}

/// What a wire has had, in milliseconds of the engine's time; zero for never.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_field_names, reason = "what they have in common is their unit")]
struct Turn {
    /// When a first message was answered there.
    answered_ms: u64,
    /// When one was not, because another wire had its turn.
    waits_ms: u64,
    /// When a handshake there came to nothing.
    ended_ms: u64,
}

#[derive(Debug, Clone)]
struct Pending {
    wire: u8,
    since_ms: u64,
    first: [u8; FIRST_BYTES],
    second: [u8; SECOND_BYTES],
    responder: Responder,
}

#[derive(Debug, Clone)]
struct SealedLink {
    via: Via,
    host: LinkKey,
    /// What its delegation allows; `None` for a host that showed none.
    delegated: Option<Actions>,
    /// The root record that the delegation was judged under: under another one it allows nothing.
    root: Digest,
    channel: Channel,
}

impl SealedLink {
    fn actions(&self, now: Standing) -> Actions {
        match self.delegated {
            None => now.without_delegation,
            Some(actions) if self.root == now.root => actions,
            Some(_) => Actions::NONE,
        }
    }
}

/// What the boot record says that decides what a host may do.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// What a host may do that has shown no delegation.
    without_delegation: Actions,
    /// The root record in force.
    root: Digest,
}

impl Access {
    /// Who is at the other end of `via`.
    fn peer(&self, via: Via, now: Standing) -> Peer {
        match self.links.iter().find(|link| link.via == via) {
            Some(link) => Peer { via, host: Some(link.host), actions: link.actions(now) },
            None if Defence::SealedOnly.is_off() => Peer { via, host: None, actions: Actions::ALL },
            None => Peer { via, host: None, actions: now.without_delegation },
        }
    }

    /// Opens a sealed frame that came on `wire`.
    pub(super) fn open<'f>(
        &mut self,
        wire: u8,
        header: Header,
        payload: &'f mut [u8],
    ) -> Option<(Via, Kind, &'f [u8])> {
        let link = self.links.iter_mut().find(|link| link.via.wire == wire)?;
        let (kind, payload) = link.channel.open(header, payload)?;
        Some((link.via, kind, payload))
    }

    /// Seals what goes out through a sealed link; without that one it is dropped.
    pub(super) fn seal(&mut self, out: &mut Outgoing) {
        if let Some(via) = out.unsealed() {
            let link = self.links.iter_mut().find(|link| link.via == via);
            out.seal(link.map(|link| &mut link.channel));
        }
    }

    /// The answer to a first message that was answered before.
    fn repeated(&self, wire: u8, first: &[u8]) -> Option<[u8; SECOND_BYTES]> {
        let is_same = |pending: &&Pending| pending.wire == wire && pending.first == *first;
        self.pending.as_ref().filter(is_same).map(|pending| pending.second)
    }

    /// Whether a first message on `wire` is answered now; puts a handshake that has taken too long aside.
    fn takes_first(&mut self, wire: u8, now_ms: u64) -> bool {
        self.end_late(now_ms);
        let own = *self.turn(wire);
        if own.answered_ms != 0 && now_ms.saturating_sub(own.answered_ms) < HANDSHAKE_GAP_MS {
            return false;
        }
        let is_others = self.pending.as_ref().is_some_and(|pending| pending.wire != wire);
        // Of those that wait, the one whose last turn is longest ago comes first; who has just had one comes last.
        let comes_first = |it: &Turn| {
            let is_waiting = it.waits_ms != 0 && now_ms.saturating_sub(it.waits_ms) < WAITS_MS;
            is_waiting && it.ended_ms < own.ended_ms
        };
        let waits = is_others || self.pending.is_none() && self.turns.iter().any(comes_first);
        self.turn(wire).waits_ms = if waits { now_ms } else { 0 };
        !waits
    }

    fn turn(&mut self, wire: u8) -> &mut Turn {
        let [first, second, third, fourth] = &mut self.turns;
        match wire & 3 {
            0 => first,
            1 => second,
            2 => third,
            _ => fourth,
        }
    }

    fn end_late(&mut self, now_ms: u64) {
        let is_late = |it: &mut Pending| {
            now_ms.saturating_sub(it.since_ms) >= HANDSHAKE_MS && !Defence::HandshakeTime.is_off()
        };
        if let Some(late) = self.pending.take_if(is_late) {
            self.turn(late.wire).ended_ms = late.since_ms.saturating_add(HANDSHAKE_MS);
        }
    }

    /// Counts a call of the engine. Of a clock that stands still, calls take the place: without them one first message
    /// would keep everybody out until the device starts again.
    pub(super) fn count_call(&mut self, passed_ms: u64, now_ms: u64) {
        self.still_calls = if passed_ms == 0 { self.still_calls.saturating_add(1) } else { 0 };
        if self.still_calls < STILL_CALLS {
            return;
        }
        self.still_calls = 0;
        match self.pending.take() {
            Some(late) => {
                let turn = self.turn(late.wire);
                (turn.answered_ms, turn.ended_ms) = (0, now_ms.max(1));
            }
            None => self.turns = Default::default(),
        }
    }

    /// The connection on `wire` has ended: its handshake, if there is one, has come to nothing, and nobody waits there.
    pub(super) fn end_of(&mut self, wire: u8, now_ms: u64) {
        self.end_late(now_ms);
        self.turn(wire).waits_ms = 0;
        if self.pending.take_if(|it| it.wire == wire).is_some() {
            self.turn(wire).ended_ms = now_ms;
        }
    }

    fn begin(&mut self, pending: Pending, now_ms: u64) {
        self.turn(pending.wire).answered_ms = now_ms;
        // A wire that begins again and again gains no time by it.
        let since_ms = self.pending.as_ref().map_or(now_ms, |earlier| earlier.since_ms);
        self.pending = Some(Pending { since_ms, ..pending });
    }

    /// Takes a third message, while there is time for it.
    fn join(&mut self, wire: u8, third: &[u8], said: &mut [u8], now_ms: u64) -> Option<Joined> {
        self.end_late(now_ms);
        let joined =
            self.pending.as_ref().filter(|it| it.wire == wire)?.responder.join(third, said)?;
        self.pending = None;
        Some(joined)
    }

    /// A name for the next sealed link on `wire`.
    const fn next_via(&mut self, wire: u8) -> Via {
        self.made = self.made.wrapping_add(1);
        if self.made == 0 {
            self.made = 1;
        }
        Via { wire, link: self.made }
    }

    /// Keeps a sealed link in the place of the one on the same wire, or of another one: of a host that may do less before
    /// one that may do more, and not of the one at work in the session, if there is a choice. False when that place is
    /// held by a host that may do more.
    fn keep(&mut self, link: SealedLink, at_work: Option<Via>, now: Standing) -> bool {
        let may_change = |it: &SealedLink| it.actions(now) != Actions::NONE;
        let same = self.links.iter().position(|held| held.via.wire == link.via.wire);
        let is_full = self.links.is_full();
        let place = same.or_else(|| {
            let weigh = |held: &SealedLink| (may_change(held), at_work == Some(held.via));
            let least = self.links.iter().enumerate().min_by_key(|(_, held)| weigh(held));
            least.filter(|_| is_full).map(|(at, _)| at)
        });
        if let Some(held) = place.and_then(|at| self.links.get(at)) {
            // On its own wire a link that nobody works on any more gives way to whoever comes.
            let is_kept = may_change(held) && (same.is_none() || at_work == Some(held.via));
            if is_kept && !may_change(&link) {
                return false;
            }
        }
        if let Some(place) = place {
            self.links.swap_remove(place);
        }
        self.links.push(link).is_ok()
    }
}

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    /// Who is at the other end of `via`.
    pub(super) fn peer(&self, via: Via) -> Peer {
        self.access.peer(via, self.standing())
    }

    fn standing(&self) -> Standing {
        let state = self.store.state();
        let without_delegation = match state.map(|state| state.life_cycle).unwrap_or_default() {
            LifeCycle::Factory | LifeCycle::Development => Actions::ALL,
            LifeCycle::Field => Actions::NONE,
        };
        Standing { without_delegation, root: state.map(|it| it.root_digest).unwrap_or_default() }
    }

    pub(super) fn take_handshake(&mut self, wire: u8, payload: &[u8], out: &mut Outgoing) {
        match payload.split_first() {
            Some((&FIRST, first)) => self.take_first(wire, first, out),
            Some((&THIRD, third)) => self.take_third(wire, third, out),
            Some(_) | None => {}
        }
    }

    fn take_first(&mut self, wire: u8, first: &[u8], out: &mut Outgoing) {
        let Ok(first) = <[u8; FIRST_BYTES]>::try_from(first) else { return };
        if let Some(second) = self.access.repeated(wire, &first) {
            return self.say_second(wire, &second, out);
        }
        if !self.access.takes_first(wire, self.now_ms) {
            return;
        }
        let (own, fresh) = match self.handshake_keys() {
            Ok(keys) => keys,
            Err(refusal) => {
                return self.sender.reply(
                    Asked { via: Via::plain(wire), id: 0 },
                    Err(refusal),
                    out,
                );
            }
        };
        let mut second = [0; SECOND_BYTES];
        if let Some((responder, _)) = Responder::answer(&own, &fresh, &first, &mut second) {
            let since_ms = self.now_ms;
            self.access.begin(Pending { wire, since_ms, first, second, responder }, since_ms);
            self.say_second(wire, &second, out);
        }
    }

    /// The device's own key, and one that is drawn for this handshake.
    fn handshake_keys(&mut self) -> Result<(LinkSecret, LinkSecret), Refusal> {
        let own = self.board.identity().ok_or(Refusal::NoIdentity)?;
        let mut fresh = [0; 32];
        self.board.random(&mut fresh).map_err(|_| Refusal::NoRandom)?;
        if Defence::FreshKeys.is_off() {
            fresh = [1; 32];
        }
        Ok((own, LinkSecret::new(fresh)))
    }

    fn say_second(&mut self, wire: u8, second: &[u8; SECOND_BYTES], out: &mut Outgoing) {
        let mut payload = [SECOND; SECOND_BYTES + 1];
        if let Some(place) = payload.last_chunk_mut() {
            *place = *second;
        }
        self.sender.put(Via::plain(wire), Kind::Handshake, &payload, out);
    }

    fn take_third(&mut self, wire: u8, third: &[u8], out: &mut Outgoing) {
        let mut said = [0; MAX_DELEGATION_BYTES];
        let Some(Joined { mut channel, peer: host, written }) =
            self.access.join(wire, third, &mut said, self.now_ms)
        else {
            return;
        };
        let via = self.access.next_via(wire);
        let standing = self.standing();
        let judged = self.judge(host, said.get(..written).unwrap_or_default());
        let kept = judged.and_then(|delegated| {
            let (root, channel) = (standing.root, channel.clone());
            let link = SealedLink { via, host, delegated, root, channel };
            let actions = link.actions(standing);
            let is_kept = self.access.keep(link, self.session.at_work(self.now_ms), standing);
            if is_kept { Ok(actions) } else { Err(Refusal::NotAuthenticated) }
        });
        if kept.unwrap_or_default() == Actions::NONE {
            self.access.turn(wire).ended_ms = self.now_ms;
        }
        match kept {
            Ok(actions) => self.say_linked(via, Ok(Reply::Linked { actions }), out),
            Err(refusal) => {
                self.say_linked(via, Err(refusal), out);
                out.seal(Some(&mut channel));
            }
        }
    }

    fn say_linked(&mut self, via: Via, reply: Result<Reply<'_>, Refusal>, out: &mut Outgoing) {
        self.sender.send(via, &FromDevice::Reply { id: 0, reply }, out);
    }

    /// What the host with this key may do, by the delegation that it shows.
    fn judge(&mut self, host: LinkKey, shown: &[u8]) -> Result<Option<Actions>, Refusal> {
        if shown.is_empty() {
            return Ok(None);
        }
        let root = match self.root() {
            Ok(root) => root,
            // Nobody to believe yet, so nobody to obey either.
            Err(Refusal::NotEnrolled) => return Ok(None),
            // Only the root itself can still be believed: by the record that it signed, shown once more.
            Err(_) => return Ok(Some(Actions::NONE)),
        };
        let delegation = trust::verify_delegation(shown, &root)?;
        let claims = delegation.claims();
        let info = self.board.info();
        if claims.host != host {
            return Err(Refusal::DelegationHost);
        }
        if !claims.products.contains(&info.product) && !Defence::HardwareMatch.is_off() {
            return Err(Refusal::DelegationProduct);
        }
        if !claims.covers_serial(info.serial) && !Defence::HardwareMatch.is_off() {
            return Err(Refusal::DelegationDevice);
        }
        not_taken_back(claims.epoch, root.epochs.operate)?;
        self.not_over(claims.not_after_s, &root)?;
        self.note_time(claims.made_at_s, &root);
        Ok(Some(claims.actions))
    }
}
