//! Why a command cannot be carried out, for whoever has typed it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a command cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A program that is needed is not there.
    #[error("{program} is missing: {remedy}")]
    Missing {
        /// The program.
        program: String,
        /// How to get it.
        remedy: String,
    },
    /// A program has failed.
    #[error("{program} failed ({status}){said}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// What it has said.
        said: String,
    },
    /// A file or folder cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program is not what a linker makes.
    #[error("{}: {problem}", path.display())]
    Image {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The board does not do what it has to.
    #[error("the board: {0}")]
    Board(String),
}

impl Error {
    /// A file or folder cannot be used.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
