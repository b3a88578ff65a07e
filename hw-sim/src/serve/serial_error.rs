//! Why there is no serial port at a path.

use std::io;

use thiserror::Error;

/// Why a serial port cannot be made.
#[derive(Debug, Error)]
pub enum SerialError {
    /// Another simulator serves the port that is there.
    #[error("another simulator serves it{}", owner_words(*.owner))]
    Served {
        /// Its process, if the system tells.
        owner: Option<u32>,
    },
    /// The system refused.
    #[error(transparent)]
    System(#[from] io::Error),
}

fn owner_words(owner: Option<u32>) -> String {
    owner.map(|owner| format!(", process {owner}")).unwrap_or_default()
}
