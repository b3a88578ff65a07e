//! `noflake init`: a folder from which the first bundle can be made at once.

mod examples;
mod field;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use super::PassphraseArgs;
use super::clock::now_s;
use crate::cli::Context;
use crate::config;
use crate::error::CommandError;
use crate::trust::{
    KeyRole, LockedKey, Passphrase, PublicKeyFile, RootKeys, Secrecy, create_key, first_root,
    sign_root, write_new_file,
};

/// Make a trust folder, a configuration and an example bundle to start from
///
/// One passphrase protects all keys. The profile `desk` has one root key, and its devices take changes on any link. The
/// profile `field` has three root keys of which two must sign, keys of every role, and a root record each for benches and for the
/// field: to try out what TRUST.md has whole offices do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder; made when missing
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// What it is for
    #[arg(long, value_enum, default_value_t = Profile::Desk)]
    profile: Profile,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// What a folder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Profile {
    /// Devices on a desk
    Desk,
    /// Devices that stand where nobody watches
    Field,
}

/// Makes the folder.
///
/// # Errors
/// When something it would write is there already, or cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let folder = &args.folder;
    refuse_taken(folder)?;
    let whose = match args.profile {
        Profile::Desk => "the root and the release key",
        Profile::Field => "all six keys",
    };
    let passphrase = args.passphrase.source().choose(whose)?;
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let made = write_trust(folder, args.profile, &passphrase, context)?;
    for (name, contents) in examples::FILES {
        write_new_file(&folder.join(name), contents, Secrecy::Public)?;
    }
    let keys: Vec<String> =
        made.iter().map(|(name, key)| format!("{name} {}", key.hint())).collect();
    let human = format!(
        "Made {}: keys {}.\nnext: {}noflake bundle create -o rover-nav-1.1.0.nfb",
        folder.join(TRUST_FOLDER).display(),
        keys.join(", "),
        if folder == Path::new(".") {
            String::new()
        } else {
            format!("cd {}, then ", folder.display())
        },
    );
    let machine = json!({
        "folder": folder,
        "root_record": folder.join(TRUST_FOLDER).join(ROOT_RECORD),
        "hints": made.iter().map(|(name, key)| (*name, key.hint())).collect::<BTreeMap<_, _>>(),
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
    profile: Profile,
    passphrase: &Passphrase,
    context: &Context,
) -> Result<Made, CommandError> {
    let aside =
        tempfile::Builder::new().prefix(".noflake-").tempdir_in(folder).map_err(failed(folder))?;
    let made = match profile {
        Profile::Desk => write_desk(&aside, passphrase, context)?,
        Profile::Field => field::write(aside.path(), passphrase, context)?,
    };
    let target = folder.join(TRUST_FOLDER);
    fs::rename(aside.path(), &target).map_err(failed(&target))?;
    Ok(made)
}

/// Keys by name.
type Made = Vec<(&'static str, PublicKeyFile)>;

fn write_desk(
    aside: &TempDir,
    passphrase: &Passphrase,
    context: &Context,
) -> Result<Made, CommandError> {
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
    Ok(vec![("root", root), ("release", release)])
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> CommandError {
    let path = path.to_path_buf();
    move |source| CommandError::Folder { path, source }
}

const TRUST_FOLDER: &str = "trust";
const ROOT_RECORD: &str = "root.nfr";
