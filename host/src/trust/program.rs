//! A key that a program outside signs with: in a token, an HSM, another machine (TRUST.md, "A key elsewhere").
//!
//! The program gets what is to be signed on its stdin and answers with the signature on its stdout; stderr and
//! terminal are its own, for a PIN or a touch. What it answers is believed once it verifies, and not before.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ed25519_dalek::{Signature, VerifyingKey};
use firmware_protocol::root::PublicKey;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::hex::Hex;
use super::signer::{Signer, SignerError};
use crate::platform;

/// Why a program gave no signature.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// It is not there, or no program.
    #[error("failed to start {program}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system does not tell how it goes on.
    #[error("failed to wait for {program}")]
    Wait {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It said no.
    #[error("{program} refused: it ended with exit code {code}, expected 0")]
    Refused {
        /// The program.
        program: String,
        /// Its exit code.
        code: i32,
    },
    /// Something ended it.
    #[error("{program} was ended from outside ({status}), expected exit code 0")]
    Killed {
        /// The program.
        program: String,
        /// The signal.
        status: ExitStatus,
    },
    /// Too short for a signature.
    #[error("{program} wrote {got} bytes, expected the {SIGNATURE_BYTES} bytes of a signature")]
    Short {
        /// The program.
        program: String,
        /// How much it wrote, in bytes.
        got: usize,
    },
    /// Too long for a signature; the rest is not read.
    #[error(
        "{program} wrote more than {SIGNATURE_BYTES} bytes, expected the {SIGNATURE_BYTES} bytes of a signature and \
         nothing else"
    )]
    Long {
        /// The program.
        program: String,
    },
    /// It signed something else, or with another key.
    #[error("what {program} wrote is no signature of this message under public key {public_key}")]
    Unverified {
        /// The program.
        program: String,
        /// The public half that stands beside the signer file.
        public_key: String,
    },
    /// The operator stopped it.
    #[error("interrupted while {program} was to sign")]
    Interrupted {
        /// The program.
        program: String,
    },
}

/// Signs by running a program. Not for use inside an async runtime: it blocks on one of its own.
#[derive(Debug)]
pub struct ProgramSigner {
    /// The file that describes it.
    pub(super) path: PathBuf,
    /// The program as that file has it, for words.
    pub(super) program: String,
    /// The program as the system finds it.
    pub(super) executable: PathBuf,
    pub(super) arguments: Vec<String>,
    /// Where it runs.
    pub(super) folder: PathBuf,
    pub(super) public_key: PublicKey,
}

impl Signer for ProgramSigner {
    fn public_key(&self) -> PublicKey {
        self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        self.answer(message)
            .and_then(|answer| self.verified(message, &answer))
            .map_err(|source| SignerError::Program { key: self.path.clone(), source })
    }
}

impl ProgramSigner {
    fn answer(&self, message: &[u8]) -> Result<Vec<u8>, ProgramError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|source| self.lost(source))?.block_on(async {
            let interrupted = || Err(ProgramError::Interrupted { program: self.program.clone() });
            let mut stop = std::pin::pin!(platform::stop_signal());
            // Listened to before the program starts: a wish to stop that came in between would end this process alone.
            tokio::select! {
                biased;
                () = &mut stop => return interrupted(),
                () = std::future::ready(()) => {}
            }
            let mut child = self.spawn()?;
            let answer = tokio::select! {
                biased;
                () = stop => interrupted(),
                answer = self.ask(&mut child, message) => answer,
            };
            end(&mut child).await;
            answer
        })
    }

    /// Without a shell, and in the terminal's foreground, so that it can ask there.
    fn spawn(&self) -> Result<Child, ProgramError> {
        Command::new(&self.executable)
            .args(&self.arguments)
            .current_dir(&self.folder)
            .env(PUBLIC_KEY_VARIABLE, Hex(&self.public_key).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ProgramError::Start { program: self.program.clone(), source })
    }

    /// There is no limit in time: somebody may have to find a token first.
    async fn ask(&self, child: &mut Child, message: &[u8]) -> Result<Vec<u8>, ProgramError> {
        let program = || self.program.clone();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut answer = Vec::new();
        {
            let talk = async { tokio::join!(tell(stdin, message), hear(stdout, &mut answer)) };
            let mut talk = std::pin::pin!(talk);
            tokio::select! {
                _ = &mut talk => {}
                // What it has started, such as an agent, may hold its stdout open for good.
                _ = child.wait() => drop(timeout(GRACE, talk).await),
            }
        }
        if answer.len() > SIGNATURE_BYTES {
            return Err(ProgramError::Long { program: program() });
        }
        let status = child.wait().await.map_err(|source| self.lost(source))?;
        match status.code() {
            Some(0) => Ok(answer),
            Some(code) => Err(ProgramError::Refused { program: program(), code }),
            None => Err(ProgramError::Killed { program: program(), status }),
        }
    }

    fn verified(&self, message: &[u8], answer: &[u8]) -> Result<[u8; 64], ProgramError> {
        let program = self.program.clone();
        let Ok(signature) = <[u8; SIGNATURE_BYTES]>::try_from(answer) else {
            return Err(ProgramError::Short { program, got: answer.len() });
        };
        let holds = VerifyingKey::from_bytes(&self.public_key)
            .and_then(|key| key.verify_strict(message, &Signature::from_bytes(&signature)));
        let public_key = Hex(&self.public_key).to_string();
        holds.map(|()| signature).map_err(|_| ProgramError::Unverified { program, public_key })
    }

    fn lost(&self, source: io::Error) -> ProgramError {
        ProgramError::Wait { program: self.program.clone(), source }
    }
}

/// A program that does not read all of it shows by its answer whether it had to.
async fn tell(stdin: Option<ChildStdin>, message: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(message).await;
    }
}

/// Reads one byte more than a signature has, and leaves the rest: an endless answer fills no memory.
async fn hear(stdout: Option<ChildStdout>, answer: &mut Vec<u8>) {
    if let Some(stdout) = stdout {
        let _ = stdout.take(SIGNATURE_BYTES as u64 + 1).read_to_end(answer).await;
    }
}

/// Sees to it that the program does not go on; one that has switched the terminal's echo off gets time to undo that.
async fn end(child: &mut Child) {
    if let Some(id) = child.id() {
        platform::ask_to_end(id);
        if timeout(GRACE, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
}

/// Tells the program which key is meant, in 64 hex digits.
const PUBLIC_KEY_VARIABLE: &str = "NOFLAKE_PUBLIC_KEY";
/// An Ed25519 signature (RFC 8032, 5.1.6).
const SIGNATURE_BYTES: usize = 64;
/// How long an end may take.
const GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::signer::tests::signer;
    use super::*;

    /// `sh` as the program, for a key that it does not have.
    fn shell(script: &str) -> ProgramSigner {
        ProgramSigner {
            path: "release.signer".into(),
            program: "sh".to_owned(),
            executable: "sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            folder: ".".into(),
            public_key: signer(1).public_key(),
        }
    }

    fn error(script: &str) -> ProgramError {
        match shell(script).sign(b"message").unwrap_err() {
            SignerError::Program { source, .. } => source,
            SignerError::Refused { reason } => panic!("{reason}"),
        }
    }

    /// Writes the bytes that the right key's signature of `message` has.
    fn printing(message: &[u8]) -> String {
        let signature = signer(1).sign(message).unwrap();
        let octal: Vec<String> = signature.iter().map(|byte| format!("\\{byte:03o}")).collect();
        format!("printf '{}'", octal.concat())
    }

    #[test]
    fn the_message_goes_in_whole_and_the_signature_comes_out() {
        let message = vec![b'm'; 200_000];
        let asked = format!("test $(wc -c) = 200000 && {}", printing(&message));
        assert_eq!(shell(&asked).sign(&message).unwrap(), signer(1).sign(&message).unwrap());
        let ignored = format!("exec <&-; {}", printing(&message));
        assert_eq!(shell(&ignored).sign(&message).unwrap(), signer(1).sign(&message).unwrap());
    }

    #[test]
    fn the_program_is_told_which_key_is_meant() {
        let key = Hex(&signer(1).public_key()).to_string();
        let asked =
            format!("test \"$NOFLAKE_PUBLIC_KEY\" = {key} || exit 9; {}", printing(b"message"));
        assert!(shell(&asked).sign(b"message").is_ok());
    }

    #[test]
    fn what_is_no_signature_by_this_key_is_refused() {
        assert!(matches!(error(&printing(b"massage")), ProgramError::Unverified { .. }));
        assert!(matches!(error("head -c 64 /dev/zero"), ProgramError::Unverified { .. }));
        assert!(matches!(error("printf short"), ProgramError::Short { got: 5, .. }));
        assert!(matches!(error("true"), ProgramError::Short { got: 0, .. }));
        let line = format!("{}; echo", printing(b"message"));
        assert!(matches!(error(&line), ProgramError::Long { .. }));
        assert!(matches!(error("exec cat /dev/zero"), ProgramError::Long { .. }));
    }

    /// A signature does not count when the program then says no.
    #[test]
    fn a_program_that_fails_has_not_signed() {
        let refused = error(&format!("{}; exit 3", printing(b"message")));
        assert!(matches!(refused, ProgramError::Refused { code: 3, .. }), "{refused}");
        let killed = error("kill -KILL $$");
        assert!(matches!(killed, ProgramError::Killed { .. }), "{killed}");
        assert!(killed.to_string().contains("signal: 9"), "{killed}");
        let missing =
            ProgramSigner { executable: "/no/such/program".into(), ..shell("") }.sign(b"message");
        let missing = missing.unwrap_err();
        assert!(
            matches!(missing, SignerError::Program { source: ProgramError::Start { .. }, .. }),
            "{missing}"
        );
    }

    /// An agent that the program starts inherits its stdout.
    #[test]
    fn what_the_program_leaves_behind_is_not_waited_for() {
        let left = format!("sleep 30 & {}", printing(b"message"));
        assert!(shell(&left).sign(b"message").is_ok());
    }
}
