//! Faults as data: what strikes, where and when (SIMULATOR.md, "Faults"). Each place that carries one out
//! counts how often it has fired ([`crate::Fired`]), because a fault test whose fault never fired proves
//! nothing.
//!
//! A [`Fault`] is written in one word, as `cut@12:100`, and read back from it: what a failing run prints is
//! what replays it.

mod class;
mod link;
mod mishaps;
mod text;

pub use self::class::FaultClass;
pub(crate) use self::class::{Counts, count};
pub use self::link::{Direction, LinkFault};
pub use self::mishaps::{Mishap, Mishaps, RandomFaults};
pub use self::text::FaultError;

use firmware_protocol::boot::ResetCause;
use firmware_protocol::slot::SlotId;

/// A fault of the flash part, the power supply or the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Strikes at a flash operation.
    Flash {
        /// The operation, program or erase, counted from 1 since the part was made or its state folder
        /// opened.
        at_operation: u64,
        /// What happens.
        what: FlashFault,
    },
    /// Strikes at a call of the engine.
    Device {
        /// The call, counted from 1 since the device was made or its state folder opened.
        at_poll: u64,
        /// What happens.
        what: DeviceFault,
    },
}

/// What happens to flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashFault {
    /// Power fails in the operation.
    Cut(Tear),
    /// Power fails in the operation, returns, and fails again.
    BrownOut {
        /// How many bytes of the operation happen.
        bytes: u32,
        /// The access of flash, counted from 1 behind its return, at which power fails again.
        access: u32,
    },
    /// The operation reports a failure; power stays.
    Fail {
        /// How many bytes of it happen.
        bytes: u32,
    },
    /// The operation does nothing and reports success.
    Silent,
    /// The operation is done at another place.
    Misdirect {
        /// Where; for an erase, somewhere in the block.
        address: u32,
    },
    /// From this operation on a bit keeps its value, whatever is done to it.
    Stuck {
        /// Where.
        address: u32,
        /// Bit of the byte, 0 to 7.
        bit: u8,
    },
    /// From this operation on a block fails to erase.
    Worn {
        /// Somewhere in the block.
        address: u32,
    },
    /// Before the operation a bit turns, as by wear or radiation.
    Flip {
        /// Where.
        address: u32,
        /// Bit of the byte, 0 to 7.
        bit: u8,
    },
    /// Before the operation the word at an address becomes unreadable, until it is erased.
    Ecc {
        /// Somewhere in the word.
        address: u32,
    },
    /// Behind the operation the next reads fail that touch an address.
    Unread {
        /// Where.
        address: u32,
        /// How many.
        times: u32,
    },
}

/// What a power cut leaves of the operation that it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tear {
    /// The first bytes are as they should be, the others untouched.
    Behind {
        /// How many; the whole operation when there are fewer.
        bytes: u32,
    },
    /// As `Behind`, at a byte that follows from the seed.
    Seeded {
        /// The seed.
        seed: u64,
    },
    /// As `Behind`, and of the word that it would go on with, some bits.
    InWord {
        /// How many bytes are whole, at most; the word that holds the next one is torn.
        bytes: u32,
        /// Decides which bits.
        seed: u64,
    },
    /// Words in no order: some have happened, some have not, of some some bits.
    Scattered {
        /// Decides which.
        seed: u64,
    },
    /// The first bytes are as they should be; those behind are weak: they read as before the operation, or
    /// as behind it, and not the same way for ever. The rest is untouched.
    Weak {
        /// How many bytes are whole.
        from: u32,
        /// Where the weak ones end.
        until: u32,
        /// How they read.
        reads: Reads,
    },
}

/// How weak cells read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// As before the operation at the next start, as behind it from the one after that on.
    OldFirst,
    /// As behind the operation at the next start, as before it from the one after that on.
    NewFirst,
    /// Now so, now so, at each read anew.
    Each {
        /// Decides how.
        seed: u64,
    },
}

/// What happens to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceFault {
    /// It resets.
    Reset {
        /// Why, as its hardware tells.
        cause: ResetCause,
    },
    /// The image stops calling its engine.
    Hang,
    /// Its clock jumps, forward or back, in milliseconds.
    ClockJump {
        /// How far.
        by_ms: i64,
    },
    /// Its clock stands still until the next start.
    ClockStop,
    /// Its random source fails.
    Random {
        /// How often.
        times: u32,
    },
}

/// One bit of a component flips in flash, as by wear or radiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlipFault {
    /// Slot it is in.
    pub slot: SlotId,
    /// Component it is in.
    pub component: String,
    /// Byte of the component's area, from 0.
    pub offset: u32,
    /// Bit of the byte, 0 to 7.
    pub bit: u8,
    /// When, in milliseconds since the simulation began.
    pub after_ms: u64,
}

impl Fault {
    /// Power fails in operation `at_operation`.
    #[must_use]
    pub const fn cut(at_operation: u64, tear: Tear) -> Self {
        Self::Flash { at_operation, what: FlashFault::Cut(tear) }
    }

    /// Its class.
    #[must_use]
    pub const fn class(&self) -> FaultClass {
        match self {
            Self::Flash { what, .. } => what.class(),
            Self::Device { what, .. } => what.class(),
        }
    }
}

impl FlashFault {
    /// Its class.
    #[must_use]
    pub const fn class(&self) -> FaultClass {
        match self {
            Self::Cut(Tear::Behind { .. } | Tear::Seeded { .. }) => FaultClass::Cut,
            Self::Cut(Tear::InWord { .. }) => FaultClass::Torn,
            Self::Cut(Tear::Scattered { .. }) => FaultClass::Scatter,
            Self::Cut(Tear::Weak { .. }) => FaultClass::Weak,
            Self::BrownOut { .. } => FaultClass::BrownOut,
            Self::Fail { .. } => FaultClass::Fail,
            Self::Silent => FaultClass::Silent,
            Self::Misdirect { .. } => FaultClass::Misdirect,
            Self::Stuck { .. } => FaultClass::Stuck,
            Self::Worn { .. } => FaultClass::Worn,
            Self::Flip { .. } => FaultClass::Flip,
            Self::Ecc { .. } => FaultClass::Ecc,
            Self::Unread { .. } => FaultClass::Unread,
        }
    }
}

impl DeviceFault {
    /// Its class.
    #[must_use]
    pub const fn class(&self) -> FaultClass {
        match self {
            Self::Reset { .. } => FaultClass::Reset,
            Self::Hang => FaultClass::Hang,
            Self::ClockJump { .. } | Self::ClockStop => FaultClass::Clock,
            Self::Random { .. } => FaultClass::Random,
        }
    }
}
