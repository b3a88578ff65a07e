//! Who speaks, and what they may do: sealed links and the hosts at their ends (PROTOCOL.md, "Sealed links").

use heapless::Vec;

use crate::delegation::{Actions, MAX_DELEGATION_BYTES};
use crate::flash::Flash;
use crate::frame::{Header, Kind};
use crate::message::{FromDevice, Reply};
use crate::refusal::Refusal;
use crate::root::{LifeCycle, RootRecord};
use crate::sealed::{Channel, FIRST_BYTES, Joined, LinkKey, LinkSecret, Responder, SECOND_BYTES};
use crate::trust;

use super::admission::not_taken_back;
use super::link::{Asked, Outgoing};
use super::{Board, Device};

/// Time that a host has for its third message, in milliseconds: a delegation of 960 bytes at 9600 baud takes one second.
const HANDSHAKE_MS: u64 = 2_000;
/// Between two first messages that are answered, in milliseconds: each costs four scalar multiplications.
const HANDSHAKE_GAP_MS: u64 = 100;
/// Sealed links at a time: one that holds the session, and one for a host that comes.
const MAX_SEALED_LINKS: usize = 2;

/// Number of the messages of a handshake, the first byte of each.
const FIRST: u8 = 1;
const SECOND: u8 = 2;
const THIRD: u8 = 3;

/// Where a frame came from and where its answer goes: a wire, by itself or through the sealed link on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Via {
    pub(super) wire: u8,
    pub(super) is_sealed: bool,
}

impl Via {
    pub(super) const fn plain(wire: u8) -> Self {
        Self { wire, is_sealed: false }
    }

    pub(super) const fn sealed(wire: u8) -> Self {
        Self { wire, is_sealed: true }
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
    /// The wire whose handshake came to nothing, and until when it comes behind the others.
    behind: Option<(u8, u64)>,
    answered_ms: Option<u64>,
    links: Vec<SealedLink, MAX_SEALED_LINKS>,
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
    wire: u8,
    host: LinkKey,
    /// What its delegation allows; `None` for a host that showed none.
    delegated: Option<Actions>,
    channel: Channel,
}

impl Access {
    /// Who is at the other end of `via`.
    fn peer(&self, via: Via, without_delegation: Actions) -> Peer {
        match self.links.iter().find(|link| via == Via::sealed(link.wire)) {
            Some(link) => Peer {
                via,
                host: Some(link.host),
                actions: link.delegated.unwrap_or(without_delegation),
            },
            None => Peer { via, host: None, actions: without_delegation },
        }
    }

    /// What delegations allow ends: they were judged under another root record.
    pub(super) fn end_delegations(&mut self) {
        for link in &mut self.links {
            link.delegated = link.delegated.map(|_| Actions::NONE);
        }
    }

    /// Opens a sealed frame that came on `wire`.
    pub(super) fn open<'f>(
        &mut self,
        wire: u8,
        header: Header,
        payload: &'f mut [u8],
    ) -> Option<(Kind, &'f [u8])> {
        let link = self.links.iter_mut().find(|link| link.wire == wire)?;
        let (kind, payload) = link.channel.open(header, payload)?;
        Some((kind, payload))
    }

    /// Seals what goes out through a sealed link; without one it is dropped.
    pub(super) fn seal(&mut self, out: &mut Outgoing) {
        if let Some(wire) = out.unsealed() {
            let link = self.links.iter_mut().find(|link| link.wire == wire);
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
        let age_ms = |since_ms: u64| now_ms.saturating_sub(since_ms);
        if let Some(late) = self.pending.take_if(|it| age_ms(it.since_ms) >= HANDSHAKE_MS) {
            self.behind = Some((late.wire, now_ms.saturating_add(HANDSHAKE_MS)));
        }
        let is_others = self.pending.as_ref().is_some_and(|pending| pending.wire != wire);
        let is_behind = self.behind.is_some_and(|(of, until_ms)| of == wire && now_ms < until_ms);
        let is_soon = self.answered_ms.is_some_and(|at_ms| age_ms(at_ms) < HANDSHAKE_GAP_MS);
        !is_others && !is_behind && !is_soon
    }

    fn begin(&mut self, pending: Pending, now_ms: u64) {
        self.answered_ms = Some(now_ms);
        // A wire that begins again and again gains no time by it.
        let since_ms = self.pending.as_ref().map_or(now_ms, |earlier| earlier.since_ms);
        self.pending = Some(Pending { since_ms, ..pending });
    }

    /// Takes a third message.
    fn join(&mut self, wire: u8, third: &[u8], said: &mut [u8]) -> Option<Joined> {
        let joined =
            self.pending.as_ref().filter(|it| it.wire == wire)?.responder.join(third, said)?;
        self.pending = None;
        Some(joined)
    }

    /// Keeps a sealed link in the place of the one on the same wire, or of one that does not hold the session. False
    /// when that place is held by a host that may do more.
    fn keep(&mut self, link: SealedLink, is_limited: bool, session: Option<Via>) -> bool {
        let holds = |held: &SealedLink| {
            session == Some(Via::sealed(held.wire)) && held.delegated != Some(Actions::NONE)
        };
        let same = self.links.iter().position(|held| held.wire == link.wire);
        let idle = || self.links.iter().position(|held| !holds(held)).unwrap_or(0);
        let place = same.or_else(|| self.links.is_full().then(idle));
        if is_limited && place.and_then(|at| self.links.get(at)).is_some_and(holds) {
            return false;
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
        self.access.peer(via, self.without_delegation())
    }

    /// What a host may do that has shown no delegation.
    fn without_delegation(&self) -> Actions {
        match self.store.state().map(|state| state.life_cycle).unwrap_or_default() {
            LifeCycle::Factory | LifeCycle::Development => Actions::ALL,
            LifeCycle::Field => Actions::NONE,
        }
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
            self.access.join(wire, third, &mut said)
        else {
            return;
        };
        let via = Via::sealed(wire);
        let judged = self.judge(host, said.get(..written).unwrap_or_default());
        let kept = judged.and_then(|delegated| {
            let actions = delegated.unwrap_or(self.without_delegation());
            let link = SealedLink { wire, host, delegated, channel: channel.clone() };
            let held = self.session.via();
            let is_kept = self.access.keep(link, actions == Actions::NONE, held);
            if is_kept { Ok(actions) } else { Err(Refusal::NotAuthenticated) }
        });
        match kept {
            Ok(actions) => {
                // Whoever was on this wire before may have numbered its requests as this host does.
                self.sender.forget(via);
                self.session.forget_request(via);
                self.received.restart_if(via);
                self.say_linked(via, Ok(Reply::Linked { actions }), out);
            }
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
        if !claims.products.contains(&info.product) {
            return Err(Refusal::WrongProduct);
        }
        if !claims.covers_serial(info.serial) {
            return Err(Refusal::DelegationDevice);
        }
        not_taken_back(claims.epoch, root.epochs.operate)?;
        not_over(claims.not_after_s, &root)?;
        Ok(Some(claims.actions))
    }
}

/// A device has no clock, but what it has seen signed is not from its future.
const fn not_over(not_after_s: u64, root: &RootRecord) -> Result<(), Refusal> {
    let seen_s = root.made_at_s;
    if not_after_s < seen_s { Err(Refusal::DelegationOver { not_after_s, seen_s }) } else { Ok(()) }
}
