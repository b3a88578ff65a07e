//! What a scenario needs before it can see anything.

use super::bundles::{Bundles, Role};

/// What a scenario needs, besides the two healthy bundles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    /// Power can be taken from the device.
    pub(super) power: bool,
    /// A bundle of this role.
    pub(super) bundle: Option<Role>,
}

impl Need {
    pub(super) const NOTHING: Self = Self { power: false, bundle: None };
    pub(super) const POWER: Self = Self { power: true, bundle: None };

    pub(super) const fn bundle(role: Role) -> Self {
        Self { power: false, bundle: Some(role) }
    }

    /// What is missing, in words.
    pub(super) fn missing(self, has_power: bool, bundles: &Bundles) -> Option<String> {
        if self.power && !has_power {
            return Some("needs a power controller (--power-off, --power-on)".to_owned());
        }
        let role = self.bundle.filter(|role| bundles.any(*role).is_none())?;
        Some(format!("needs a bundle `{role}` in conformance.toml"))
    }

    /// All of it, in words.
    pub(super) fn in_words(self) -> Option<String> {
        match (self.power, self.bundle) {
            (true, _) => Some("a power controller".to_owned()),
            (false, Some(role)) => Some(format!("bundle `{role}`")),
            (false, None) => None,
        }
    }
}
