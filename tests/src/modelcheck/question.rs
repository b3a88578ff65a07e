//! What a host asks, and what it hears, as values that a state can hold.

use firmware_protocol::digest::Digest;
use firmware_protocol::message::{
    self, How, PROTOCOL_CURRENT, PROTOCOL_MIN, Reading, Reply, Request, ToDevice, TrialTerms,
};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::SlotId;
use noflake::bench::{device_facts, status_facts};
use noflake::qualify::observation::{DeviceFacts, StatusFacts};

use crate::powercut::release::Release;

/// Longest piece of a document in one request, in bytes.
const PIECE_BYTES: usize = 1024;

/// A request; what is long in it is taken from the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Who is there?
    Hello,
    /// Who are you?
    Identify,
    /// What does your record say?
    Status,
    /// Which area is this?
    Area(u8),
    /// Which check is this?
    Check(u8),
    /// May I have the session?
    OpenSession {
        /// The trial that the host drives; zero for none.
        trial_id: u32,
    },
    /// I am there still.
    Renew,
    /// Be somebody else's.
    CloseSession,
    /// Here is a piece of the manifest.
    Offer {
        /// Its first byte.
        offset: u32,
    },
    /// Take it.
    Stage {
        /// Also if it was rejected before.
        again: bool,
    },
    /// This component is next.
    OpenComponent(u8),
    /// Here are the digests of its blocks.
    BlockList(u8),
    /// What is missing of it?
    Missing,
    /// Here is a block. Nothing answers that.
    Chunk {
        /// Its component.
        component: u8,
        /// Its number.
        block: u32,
    },
    /// Read all of it back.
    Finish,
    /// Open a trial.
    OpenTrial {
        /// The plan that judges it.
        plan: Digest,
        /// Its bounds.
        terms: TrialTerms,
    },
    /// Allow boots.
    Arm {
        /// Of this trial.
        trial_id: u32,
        /// So many.
        boots: u8,
    },
    /// Restart.
    Reset {
        /// The boot that is meant.
        boot_nonce: u64,
    },
    /// Keep it.
    Confirm {
        /// The trial.
        trial_id: u32,
        /// The boot that was judged.
        boot_nonce: u64,
    },
    /// Give it up: it was judged.
    Rollback(u32),
    /// Give it up: it was not judged.
    Withdraw(u32),
    /// Run this check.
    RunCheck(u8),
    /// Hash this area of this slot.
    Hash {
        /// The slot.
        slot: SlotId,
        /// The area.
        area: u8,
    },
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// This boot answers.
    Hello {
        /// Its nonce.
        boot_nonce: u64,
        /// When, in milliseconds.
        at_ms: u64,
    },
    /// Who it is, how many areas and checks it has.
    Identity(Box<DeviceFacts>, u8, u8),
    /// What its record says.
    Status(Box<StatusFacts>),
    /// The session's number.
    Session(u32),
    /// How staging goes on.
    Stage(SlotId, How),
    /// Its block list is wanted.
    WorthListing(bool),
    /// These blocks are missing.
    Missing(Vec<u8>),
    /// The trial's number.
    Trial(u32),
    /// What a check has found, in tenths.
    Reading(i64),
    /// What an area holds, and that nothing lies behind it.
    Hash(Digest, u64, bool),
    /// An area's or a check's name.
    Name(String),
    /// Bytes of the manifest that are held.
    Held(u32),
    /// It is worked on.
    Working,
    /// Everything else that is a yes.
    Done,
    /// No.
    Refused(Refusal),
    /// Nothing, for as long as a host waits.
    Nothing,
}

impl Question {
    /// A device is the same behind it, but for a sign of life.
    pub const fn only_reads(self) -> bool {
        matches!(
            self,
            Self::Identify
                | Self::Status
                | Self::Area(_)
                | Self::Check(_)
                | Self::Renew
                | Self::Missing
                | Self::Hash { .. }
        )
    }

    /// Its bytes.
    pub fn bytes(self, id: u32, session: u32, release: &Release) -> Vec<u8> {
        let list = match self {
            Self::BlockList(component) => release.block_list(usize::from(component)),
            _ => Vec::new(),
        };
        let request = self.request(release, &list);
        let mut bytes = [0; 1536];
        let encoded = message::encode(&ToDevice { id, session, request }, &mut bytes);
        encoded.expect("every request fits").to_vec()
    }

    fn request<'a>(self, release: &'a Release, list: &'a [u8]) -> Request<'a> {
        match self {
            Self::Hello => Request::Hello { min: PROTOCOL_MIN, current: PROTOCOL_CURRENT },
            Self::Identify => Request::Identify,
            Self::Status => Request::Status,
            Self::Area(index) => Request::Area { index },
            Self::Check(index) => Request::Check { index },
            Self::OpenSession { trial_id } => Request::OpenSession { take_over: false, trial_id },
            // A chunk is no request; see `Machine::deliver`.
            Self::Renew | Self::Chunk { .. } => Request::Renew,
            Self::CloseSession => Request::CloseSession,
            Self::Offer { offset } => {
                let rest = &release.envelope[offset as usize..];
                let total_bytes = u32::try_from(release.envelope.len()).expect("it is short");
                Request::Offer { total_bytes, offset, bytes: &rest[..rest.len().min(PIECE_BYTES)] }
            }
            Self::Stage { again } => Request::Stage { again },
            Self::OpenComponent(index) => Request::OpenComponent { index },
            Self::BlockList(_) => Request::BlockList { first_block: 0, digests: list },
            Self::Missing => Request::Missing { first_block: 0 },
            Self::Finish => Request::Finish,
            Self::OpenTrial { plan, terms } => {
                Request::OpenTrial { bundle: release.digest, plan, terms }
            }
            Self::Arm { trial_id, boots } => Request::Arm { trial_id, boots },
            Self::Reset { boot_nonce } => Request::Reset { boot_nonce },
            Self::Confirm { trial_id, boot_nonce } => Request::Confirm { trial_id, boot_nonce },
            Self::Rollback(trial_id) => Request::Rollback { trial_id },
            Self::Withdraw(trial_id) => Request::Withdraw { trial_id },
            Self::RunCheck(index) => Request::RunCheck { index },
            Self::Hash { slot, area } => Request::HashComponent { slot, area },
        }
    }
}

impl Heard {
    /// What a reply says.
    pub fn of(reply: Result<Reply<'_>, Refusal>, at_ms: u64) -> Self {
        match reply {
            Err(refusal) => Self::Refused(refusal),
            Ok(Reply::Hello { boot_nonce, .. }) => Self::Hello { boot_nonce, at_ms },
            Ok(Reply::Identity(identity)) => {
                let facts = Box::new(device_facts(&identity));
                Self::Identity(facts, identity.areas, identity.checks)
            }
            Ok(Reply::Status(status)) => Self::Status(Box::new(status_facts(&status))),
            Ok(Reply::Session { session, .. }) => Self::Session(session),
            Ok(Reply::Stage { slot, how }) => Self::Stage(slot, how),
            Ok(Reply::Component { worth_listing, .. }) => Self::WorthListing(worth_listing),
            Ok(Reply::Missing { bits, .. }) => Self::Missing(bits.to_vec()),
            Ok(Reply::Trial { trial_id, .. }) => Self::Trial(trial_id),
            Ok(Reply::Checked(Reading::Value { mantissa, .. })) => Self::Reading(mantissa),
            Ok(Reply::Hash { digest, length, tail_blank }) => {
                Self::Hash(digest, length, tail_blank)
            }
            Ok(Reply::Area(area)) => Self::Name(area.name.to_string()),
            Ok(Reply::Check(check)) => Self::Name(check.name.to_owned()),
            Ok(Reply::Offered { held_bytes }) => Self::Held(held_bytes),
            Ok(Reply::Working { .. }) => Self::Working,
            Ok(_) => Self::Done,
        }
    }
}
