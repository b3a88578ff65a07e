//! `noflake init`: a folder from which the first bundle can be made at once.

mod examples;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::PassphraseArgs;
use super::root_record::now_s;
use crate::cli::Context;
use crate::config;
use crate::error::CommandError;
use crate::trust::{
    KeyRole, LockedKey, Passphrase, PublicKeyFile, RootKeys, Secrecy, create_key, first_root,
    sign_root, write_new_file,
};

/// Make a trust folder, a configuration and an example bundle to start from
///
/// One passphrase protects both keys. One root key with threshold 1 is for trying out: see TRUST.md
/// before you enrol devices that leave the desk.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder; made when missing
    #[arg(default_value = ".")]
    folder: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Makes the folder.
///
/// # Errors
/// When something it would write is there already, or cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let folder = &args.folder;
    refuse_taken(folder)?;
    let passphrase = args.passphrase.source().choose("the root and the release key")?;
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let (root, release) = write_trust(folder, &passphrase, context)?;
    for (name, contents) in examples::FILES {
        write_new_file(&folder.join(name), contents, Secrecy::Public)?;
    }
    let human = format!(
        "Made {}: root key {}, release key {}.\nnext: {}noflake bundle create -o rover-nav-1.1.0.nfb",
        folder.join(TRUST_FOLDER).display(),
        root.hint(),
        release.hint(),
        if folder == Path::new(".") {
            String::new()
        } else {
            format!("cd {}, then ", folder.display())
        },
    );
    let machine = json!({
        "folder": folder,
        "root_record": folder.join(TRUST_FOLDER).join(ROOT_RECORD),
        "root_hint": root.hint(),
        "release_hint": release.hint(),
    });
    context.output.result(&human, &machine);
    Ok(())
}

fn refuse_taken(folder: &Path) -> Result<(), CommandError> {
    let names = [TRUST_FOLDER, config::FILE_NAME].into_iter();
    let mut taken = names
        .chain(examples::FILES.iter().map(|(name, _)| *name))
        .map(|name| folder.join(name))
        .filter(|path| path.exists());
    match taken.next() {
        Some(found) => {
            Err(CommandError::AlreadyInitialised { folder: folder.to_path_buf(), found })
        }
        None => Ok(()),
    }
}

/// Makes keys and root record aside and moves them in place together: a run that stops halfway
/// leaves no trust folder that the next one would have to refuse.
fn write_trust(
    folder: &Path,
    passphrase: &Passphrase,
    context: &Context,
) -> Result<(PublicKeyFile, PublicKeyFile), CommandError> {
    let aside =
        tempfile::Builder::new().prefix(".noflake-").tempdir_in(folder).map_err(failed(folder))?;
    let root_key = aside.path().join("root.key");
    let root = create_key(&root_key, KeyRole::Root, passphrase)?;
    let release = create_key(&aside.path().join("release.key"), KeyRole::Release, passphrase)?;
    let (root_keys, release_keys) = ([root.public_key], [release.public_key]);
    let record = first_root(
        RootKeys { keys: &root_keys, threshold: 1 },
        RootKeys { keys: &release_keys, threshold: 1 },
        now_s(),
    )?;
    context.output.progress(&format_args!(
        "Signing root record 1 (development): root key {}, release key {}, 1 signature each.",
        root.hint(),
        release.hint(),
    ));
    let signer = LockedKey::read(&root_key)?.unlock(passphrase)?;
    let bytes = sign_root(&record, &[&signer])?;
    write_new_file(&aside.path().join(ROOT_RECORD), &bytes, Secrecy::Public)?;
    let target = folder.join(TRUST_FOLDER);
    fs::rename(aside.path(), &target).map_err(failed(&target))?;
    Ok((root, release))
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> CommandError {
    let path = path.to_path_buf();
    move |source| CommandError::Folder { path, source }
}

const TRUST_FOLDER: &str = "trust";
const ROOT_RECORD: &str = "root.nfr";
