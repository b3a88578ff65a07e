//! What stands between an attack and its aim.

/// A defence that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Defence {
    /// A manifest counts only with enough signatures by trusted release keys.
    ReleaseSignatures = 1,
    /// What lies below the floor is not admitted.
    Floor,
    /// A signed document counts only for the product, hardware and revision that it names.
    HardwareMatch,
    /// A key counts once towards a threshold, however often it signs.
    UniqueKeys,
    /// A delegation is over behind a newer statement that the device has seen.
    TimeFloor,
    /// The root record says below which security version nothing is admitted.
    LowestSecurityVersion,
    /// What arrives for a slot is held against the digests of the manifest.
    BlockDigests,
    /// A component that is longer than its place is not admitted.
    ComponentSize,
    /// A handshake that is not ended in time gives way.
    HandshakeTime,
    /// A security version far above the floor is not admitted.
    SecurityStep,
    /// What was signed below the lowest epoch of the root record counts no longer.
    Epochs,
    /// A bundle without the certificate that the root record wants is not admitted.
    Certificates,
    /// The next root record is signed under the keys in force, too, and is the next one.
    RootSuccession,
    /// Every handshake has keys of its own, and every session a number of its own.
    FreshKeys,
    /// A field device takes changes on sealed links only.
    SealedOnly,
    /// A frame that does not open changes nothing.
    FailedOpening,
    /// A host says nothing to a device that it does not know.
    KnownDevices,
    /// Each entry of a record names the digest of the one before.
    EvidenceChain,
    /// Payloads stand behind one another, as long as the manifest says, and nothing else does.
    BundleLayout,
    /// A payload in an encoding that the device does not know is not admitted.
    Encodings,
    /// What a device says steers no terminal.
    EscapedText,
    /// A field device takes changes from hosts with a delegation only.
    Delegations,
    /// What decides whether software may run is decided twice.
    SecondLook,
}

impl Defence {
    /// Every defence.
    pub const ALL: [Self; 23] = [
        Self::ReleaseSignatures,
        Self::Floor,
        Self::HardwareMatch,
        Self::UniqueKeys,
        Self::TimeFloor,
        Self::LowestSecurityVersion,
        Self::BlockDigests,
        Self::ComponentSize,
        Self::HandshakeTime,
        Self::SecurityStep,
        Self::Epochs,
        Self::Certificates,
        Self::RootSuccession,
        Self::FreshKeys,
        Self::SealedOnly,
        Self::FailedOpening,
        Self::KnownDevices,
        Self::EvidenceChain,
        Self::BundleLayout,
        Self::Encodings,
        Self::EscapedText,
        Self::Delegations,
        Self::SecondLook,
    ];

    /// Its name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReleaseSignatures => "release-signatures",
            Self::Floor => "floor",
            Self::HardwareMatch => "hardware-match",
            Self::UniqueKeys => "unique-keys",
            Self::TimeFloor => "time-floor",
            Self::LowestSecurityVersion => "lowest-security-version",
            Self::BlockDigests => "block-digests",
            Self::ComponentSize => "component-size",
            Self::HandshakeTime => "handshake-time",
            Self::SecurityStep => "security-step",
            Self::Epochs => "epochs",
            Self::Certificates => "certificates",
            Self::RootSuccession => "root-succession",
            Self::FreshKeys => "fresh-keys",
            Self::SealedOnly => "sealed-only",
            Self::FailedOpening => "failed-opening",
            Self::KnownDevices => "known-devices",
            Self::EvidenceChain => "evidence-chain",
            Self::BundleLayout => "bundle-layout",
            Self::Encodings => "encodings",
            Self::EscapedText => "escaped-text",
            Self::Delegations => "delegations",
            Self::SecondLook => "second-look",
        }
    }

    /// Whether this is the defence to leave out.
    #[cfg(feature = "planted")]
    #[must_use]
    pub fn is_off(self) -> bool {
        OFF.load(core::sync::atomic::Ordering::Relaxed) == self as u8
    }

    /// Whether this is the defence to leave out: never.
    #[cfg(not(feature = "planted"))]
    #[must_use]
    pub const fn is_off(self) -> bool {
        let _ = self;
        false
    }
}

#[cfg(feature = "planted")]
static OFF: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);

/// Makes engines and hosts of this process leave `defence` out from now on; `None` for none.
#[cfg(feature = "planted")]
pub fn switch_off(defence: Option<Defence>) {
    let number = defence.map_or(0, |defence| defence as u8);
    OFF.store(number, core::sync::atomic::Ordering::Relaxed);
}
