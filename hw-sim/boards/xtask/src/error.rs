//! Why a command cannot be carried out, for whoever has typed it.

use std::error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a command cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Something that is needed is not there.
    #[error("{what} is missing: {remedy}")]
    Missing {
        /// What.
        what: String,
        /// How to get it.
        remedy: String,
    },
    /// A program cannot be started.
    #[error("{program} cannot be started{}", if *.is_qemu { ": is it there? `apt install qemu-system-arm` on Debian" } else { "" })]
    Start {
        /// Which.
        program: String,
        /// It is the emulator.
        is_qemu: bool,
        /// Why.
        source: io::Error,
    },
    /// A program has failed.
    #[error("{program} failed, {status}: {said}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// What it has said.
        said: String,
    },
    /// A file or folder cannot be used.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is there is not to be lost.
    #[error("{} is there already, of a board that runs or of somebody else: end that one, name another place, or take it away first", .0.display())]
    Exists(PathBuf),
    /// A folder in which others can lay links.
    #[error("{} is not yours alone: a board's folder has to belong to you, and be writable by nobody else: `chmod go-w` that, or name another one", .0.display())]
    Foreign(PathBuf),
    /// Who has a board's power is not known.
    #[error("{} does not hold the number of an emulator: look for one that runs in this folder and end it, then take the file away", .0.display())]
    Pid(PathBuf),
    /// A folder that is there is not to be changed.
    #[error("{} is there already: name a new folder", .0.display())]
    Taken(PathBuf),
    /// A program is not what a linker makes.
    #[error("{} is no program: {problem}", path.display())]
    Image {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The board does not do what it has to.
    #[error("the board: {0}")]
    Board(String),
    /// What was typed makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// A file or folder cannot be used.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// A program cannot be started.
    pub(crate) fn start(command: &Command) -> impl FnOnce(io::Error) -> Self {
        let program = command.get_program().to_string_lossy().into_owned();
        let is_qemu = program.starts_with("qemu");
        move |source| Self::Start { program, is_qemu, source }
    }

    /// The error and what is behind it, in one line.
    pub(crate) fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = error::Error::source(self);
        while let Some(source) = cause {
            text = format!("{text}: {source}");
            cause = source.source();
        }
        text
    }
}
