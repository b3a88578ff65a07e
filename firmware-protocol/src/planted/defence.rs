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
}

impl Defence {
    /// Every defence.
    pub const ALL: [Self; 3] = [Self::ReleaseSignatures, Self::Floor, Self::HardwareMatch];

    /// Its name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReleaseSignatures => "release-signatures",
            Self::Floor => "floor",
            Self::HardwareMatch => "hardware-match",
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
