//! Mistakes that a product has shipped or a test has missed.

/// A mistake that the engine can be told to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mistake {
    /// A record entry counts without its checksum.
    TornEntryTrusted = 1,
    /// The boot stage jumps first and never stores what it decided.
    RecordBehindTheJump,
    /// The floor rises when a trial is opened.
    FloorBeforeConfirm,
    /// A full record erases the range with the entry in force.
    SingleCopy,
    /// The boot stage starts a slot without looking at its bytes.
    NoRehash,
    /// Bytes behind a component's end are not looked at.
    TailIgnored,
    /// The valid entry that lies last is in force, not the newest.
    OldEntryRevived,
    /// A trial boot does not use up what was armed.
    ArmNotSpent,
    /// A lease that has passed is as good as a fresh one.
    LeaseIgnored,
    /// A slot is written without being marked first.
    SlotNotMarked,
    /// A torn place of the record is written again.
    TornPlaceReused,
    /// Boots of a trial are not counted.
    BootsUncounted,
    /// A confirm keeps the trial open.
    ConfirmKeepsTrial,
    /// A stage is over without having been read back.
    NoReadBack,
    /// A full range is taken without being erased.
    EraseForgotten,
    /// An entry that reads well once is in force for good.
    SealIgnored,
    /// A place that looks blank is written to, whatever was begun there.
    BegunIgnored,
    /// A range that looks blank is taken without being erased.
    BlankTrusted,
    /// What a cut transfer was writing is kept when it reads well once.
    RunIgnored,
    /// A read that trapped is as good as any other.
    TrapIgnored,
    /// A new root record is stored over the one in force.
    RootOverwritten,
}

impl Mistake {
    /// Every mistake.
    pub const ALL: [Self; 21] = [
        Self::TornEntryTrusted,
        Self::RecordBehindTheJump,
        Self::FloorBeforeConfirm,
        Self::SingleCopy,
        Self::NoRehash,
        Self::TailIgnored,
        Self::OldEntryRevived,
        Self::ArmNotSpent,
        Self::LeaseIgnored,
        Self::SlotNotMarked,
        Self::TornPlaceReused,
        Self::BootsUncounted,
        Self::ConfirmKeepsTrial,
        Self::NoReadBack,
        Self::EraseForgotten,
        Self::SealIgnored,
        Self::BegunIgnored,
        Self::BlankTrusted,
        Self::RunIgnored,
        Self::TrapIgnored,
        Self::RootOverwritten,
    ];

    /// Its name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TornEntryTrusted => "torn-entry-trusted",
            Self::RecordBehindTheJump => "record-behind-the-jump",
            Self::FloorBeforeConfirm => "floor-before-confirm",
            Self::SingleCopy => "single-copy",
            Self::NoRehash => "no-rehash",
            Self::TailIgnored => "tail-ignored",
            Self::OldEntryRevived => "old-entry-revived",
            Self::ArmNotSpent => "arm-not-spent",
            Self::LeaseIgnored => "lease-ignored",
            Self::SlotNotMarked => "slot-not-marked",
            Self::TornPlaceReused => "torn-place-reused",
            Self::BootsUncounted => "boots-uncounted",
            Self::ConfirmKeepsTrial => "confirm-keeps-trial",
            Self::NoReadBack => "no-read-back",
            Self::EraseForgotten => "erase-forgotten",
            Self::SealIgnored => "seal-ignored",
            Self::BegunIgnored => "begun-ignored",
            Self::BlankTrusted => "blank-trusted",
            Self::RunIgnored => "run-ignored",
            Self::TrapIgnored => "trap-ignored",
            Self::RootOverwritten => "root-overwritten",
        }
    }

    /// The invariant that it breaks, by its number in TESTING.md.
    #[must_use]
    pub const fn breaks(self) -> &'static str {
        match self {
            Self::TrapIgnored | Self::OldEntryRevived => "I1",
            Self::NoRehash | Self::TailIgnored | Self::SlotNotMarked | Self::NoReadBack => "I2",
            Self::RecordBehindTheJump
            | Self::ArmNotSpent
            | Self::LeaseIgnored
            | Self::BootsUncounted
            | Self::ConfirmKeepsTrial => "I3",
            Self::FloorBeforeConfirm | Self::SingleCopy => "I4",
            Self::TornEntryTrusted
            | Self::TornPlaceReused
            | Self::SealIgnored
            | Self::BegunIgnored
            | Self::BlankTrusted
            | Self::RunIgnored => "I5",
            Self::EraseForgotten | Self::RootOverwritten => "I10",
        }
    }

    /// Whether this is the mistake to make.
    #[cfg(feature = "planted")]
    pub(crate) fn is_planted(self) -> bool {
        PLANTED.load(core::sync::atomic::Ordering::Relaxed) == self as u8
    }

    /// Whether this is the mistake to make: never.
    #[cfg(not(feature = "planted"))]
    pub(crate) const fn is_planted(self) -> bool {
        let _ = self;
        false
    }
}

#[cfg(feature = "planted")]
static PLANTED: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);

/// Makes this process's engines commit `mistake` from now on; `None` for none.
#[cfg(feature = "planted")]
pub fn plant(mistake: Option<Mistake>) {
    let number = mistake.map_or(0, |mistake| mistake as u8);
    PLANTED.store(number, core::sync::atomic::Ordering::Relaxed);
}
