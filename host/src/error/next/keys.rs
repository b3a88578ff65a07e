//! What to do next behind an error of a key, or of the program that holds one.

use std::path::Path;

use crate::trust::{KeyError, ProgramError, PublicFileError, SignerFileError, WriteError};

/// For a program that does not do what a signer does.
const SEE_ELSEWHERE: &str =
    "see docs/TRUST.md, \"A key elsewhere\", for what the program gets and answers";

/// What to do behind an error of a key.
pub(super) fn after_key(error: &KeyError) -> Option<String> {
    let fixed = match error {
        KeyError::Exposed { path, .. } => {
            return Some(format!("if nobody copied it: chmod 600 {}", path.display()));
        }
        KeyError::IsPublic { secret, .. } => {
            return Some(secret.as_ref().map_or_else(
                || {
                    "name the .key or .signer file that it belongs to: neither is beside it"
                        .to_owned()
                },
                |secret| format!("name {}", secret.display()),
            ));
        }
        KeyError::IsSecret { public, .. } => {
            return Some(format!("name {}, its public half", public.display()));
        }
        KeyError::Signer(error) => return Some(after_signer_file(error)),
        KeyError::Read { .. } => {
            "name a key that noflake key generate made, or noflake key adopt took in; where one of a laptop is lost, noflake key \
             generate --role host makes another: its .pub goes to the office, for a delegation of its own"
        }
        KeyError::Public { source: PublicFileError::NotForeign, .. } => {
            "name the 64 hex digits of its line public_key in its place"
        }
        KeyError::Public { source: PublicFileError::NotPem, .. } => {
            "name the public half as its tool writes it, as with openssl pkey -pubout"
        }
        KeyError::Public { .. } => {
            "name a key that noflake key generate made, or noflake key adopt took in"
        }
        KeyError::Format { .. } => {
            "name a key that noflake key generate made; where the file is damaged, take a copy of it, or make another key"
        }
        KeyError::WrongPassphrase { .. } => {
            "run the same command again with the passphrase that this key was made with: nobody can open it without, and \
             only another key takes its place"
        }
        KeyError::Write(WriteError::Exists { .. }) => {
            "name another place: no key takes that of an older one"
        }
        KeyError::Write(WriteError::Io { .. }) | KeyError::Random(_) | KeyError::Encrypt(_) => {
            return None;
        }
    };
    Some(fixed.to_owned())
}

fn after_signer_file(error: &SignerFileError) -> String {
    match error {
        SignerFileError::Changeable { path, .. } => {
            format!("if nobody changed it: chmod go-w {}", path.display())
        }
        SignerFileError::Foreign { path, .. } => {
            format!(
                "read it, and make it yours if it does what you want: chown $USER {}",
                path.display()
            )
        }
        SignerFileError::Read { .. } => {
            "name a signer file, as noflake key adopt makes it".to_owned()
        }
        SignerFileError::Program { path, .. } => mend_program(path),
        SignerFileError::HostKey { .. } => {
            "noflake key generate --role host makes keys of hosts".to_owned()
        }
        SignerFileError::Syntax { .. }
        | SignerFileError::Value { .. }
        | SignerFileError::Encode { .. } => SEE_ELSEWHERE.to_owned(),
    }
}

/// A signer file that is about to be made is not there to be mended.
fn mend_program(signer_file: &Path) -> String {
    if signer_file.exists() {
        return format!("mend `program` in {}; {SEE_ELSEWHERE}", signer_file.display());
    }
    let folder = signer_file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    format!(
        "name it with its whole path, or as it is found from {}, where {} is to be; nothing was written",
        folder.display(),
        signer_file.display()
    )
}

/// What to do behind a program that did not sign; `key` names it.
pub(super) fn after_program(key: &Path, error: &ProgramError) -> String {
    match error {
        ProgramError::Start { .. } => mend_program(key),
        ProgramError::Refused { .. } | ProgramError::Killed { .. } => {
            "what it had to say stands above; then the same command again".to_owned()
        }
        ProgramError::Short { .. } | ProgramError::Long { .. } => SEE_ELSEWHERE.to_owned(),
        ProgramError::Unverified { .. } => {
            format!("have it sign with that key, the whole message as it is; {SEE_ELSEWHERE}")
        }
        ProgramError::Wait { .. } | ProgramError::Interrupted { .. } => {
            "run the same command again".to_owned()
        }
    }
}
