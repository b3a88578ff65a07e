//! What a delegation says: this host may do these things to these devices (TRUST.md, "Delegations").
//!
//! As in [`crate::manifest`] these types are only the meaning of bytes; [`crate::trust`] decides.

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::manifest::{DecodeError, check, decode};
use crate::sealed::LinkKey;

/// Most products that one delegation names.
pub const MAX_PRODUCTS: usize = 4;
/// Most patterns of serial numbers that one delegation names.
pub const MAX_SERIALS: usize = 4;
/// Longest envelope of a delegation, in bytes: it travels in one message of a handshake.
pub const MAX_DELEGATION_BYTES: usize = 960;

/// The word of the operate role: what one host may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation<'a> {
    /// The key of the host.
    pub host: LinkKey,
    /// Who or what it is, for people.
    pub name: &'a str,
    /// Products it may work on.
    #[serde(borrow)]
    pub products: Vec<&'a str, MAX_PRODUCTS>,
    /// Serial numbers it may work on: whole ones, or their begin and a `*`. All of them where none is named.
    #[serde(borrow)]
    pub serials: Vec<&'a str, MAX_SERIALS>,
    /// What it may do.
    pub actions: Actions,
    /// Held against the lowest that the root record lets count.
    pub epoch: u32,
    /// Last second in which it counts, since 1970-01-01 UTC.
    pub not_after_s: u64,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub made_at_s: u64,
}

impl Delegation<'_> {
    /// Whether it is about the device of this serial number.
    #[must_use]
    pub fn covers_serial(&self, serial: &str) -> bool {
        let fits = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(begin) => serial.starts_with(begin),
            None => serial == *pattern,
        };
        self.serials.is_empty() || self.serials.iter().any(fits)
    }
}

/// Something that a session may do. The number is signed: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Action {
    /// Fill the spare slot.
    Stage = 0,
    /// Open, drive and end a trial; run checks.
    Trial = 1,
    /// Make what was tried the confirmed version.
    Confirm = 2,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stage, Self::Trial, Self::Confirm];

    /// Its name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Trial => "trial",
            Self::Confirm => "confirm",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Actions(u8);

impl Actions {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(Action::Stage.bit() | Action::Trial.bit() | Action::Confirm.bit());

    /// With `action` among them.
    #[must_use]
    pub const fn with(self, action: Action) -> Self {
        Self(self.0 | action.bit())
    }

    /// True when `action` is among them.
    #[must_use]
    pub const fn allow(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// The actions, in their order.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.allow(*action))
    }
}

/// Decodes a delegation and checks the rules that hold for every one.
///
/// # Errors
/// When the body does not decode whole, or breaks a rule.
pub fn decode_delegation(body: &[u8]) -> Result<Delegation<'_>, DecodeError> {
    let delegation: Delegation<'_> = decode(body)?;
    let Delegation { name, products, serials, actions, .. } = &delegation;
    check(!name.is_empty(), "it names its host")?;
    check(!products.is_empty(), "at least one product is named")?;
    check(products.iter().all(|product| !product.is_empty()), "no product is empty")?;
    check(serials.iter().all(|serial| !serial.is_empty()), "no serial number is empty")?;
    check(actions.0 & !Actions::ALL.0 == 0, "all of its actions are known")?;
    check(*actions != Actions::NONE, "at least one action is named")?;
    Ok(delegation)
}
