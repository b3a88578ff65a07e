//! The command that brings a device back with the bundle of a run, as a person types it.

use std::path::Path;

use crate::link::{Address, shell_word};

/// `noflake device recover`, for whichever device of a run needs it.
pub(super) struct RecoverCommand {
    /// Behind the device's address.
    arguments: String,
}

impl RecoverCommand {
    /// With this root record and bundle, as the host of this key where the command line names one.
    pub(super) fn new(root: &Path, bundle: &Path, host_key: Option<&Path>) -> Self {
        let word = |path: &Path| shell_word(&path.display().to_string());
        let host = host_key.map_or_else(String::new, |key| format!(" --as {}", word(key)));
        let arguments = format!("--root {} --bundle {}{host}", word(root), word(bundle));
        Self { arguments }
    }

    /// For the device at `address`.
    pub(super) fn at(&self, address: &Address) -> String {
        let address = address.to_string();
        format!("noflake device recover -d {} {}", shell_word(&address), self.arguments)
    }
}
