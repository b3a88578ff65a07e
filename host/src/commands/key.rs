//! `noflake key`: makes keys, takes in those that are elsewhere, and shows their public halves.

mod adopt;
mod delegate;

use std::path::{Path, PathBuf};

use serde_json::json;

use super::PassphraseArgs;
use super::signing::command_line;
use crate::cli::Context;
use crate::error::CommandError;
use crate::trust::{
    Hex, KeyRole, LockedKey, PublicKeyFile, Signer, SignerFile, create_key, hint, public_path,
    refuse_taken_key,
};

/// Make keys, take in those of tokens and servers, show them, and say what hosts may do
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Generate(GenerateArgs),
    Adopt(adopt::Args),
    Show(ShowArgs),
    Delegate(delegate::Args),
}

/// Make a key: NAME.key, encrypted under a passphrase, and NAME.pub beside it
#[derive(Debug, clap::Args)]
struct GenerateArgs {
    /// What the key is for
    #[arg(long, value_enum)]
    role: KeyRole,
    /// Where to put it, with or without .key
    name: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Show the public half of a key
///
/// Asks for the passphrase only when there is no .pub file beside the key.
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// A .pub, .key or .signer file
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs `noflake key`.
///
/// # Errors
/// When a key cannot be made or read.
pub fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.command {
        Command::Generate(args) => generate(&args, context),
        Command::Adopt(args) => adopt::run(&args, context),
        Command::Show(args) => show(&args, context),
        Command::Delegate(args) => delegate::run(&args, context),
    }
}

fn generate(args: &GenerateArgs, context: &Context) -> Result<(), CommandError> {
    let path = with_extension(&args.name, "key");
    refuse_taken_key(&path)?;
    let passphrase = args.passphrase.source().choose(&path.display().to_string())?;
    let public = create_key(&path, args.role, &passphrase)?;
    print(context, &path, Some(args.role), &public.public_key, None);
    Ok(())
}

fn show(args: &ShowArgs, context: &Context) -> Result<(), CommandError> {
    let beside = public_path(&args.file);
    let is_public = args.file.extension().is_some_and(|extension| extension == "pub");
    if SignerFile::is_named(&args.file) {
        let file = SignerFile::read(&args.file)?;
        let PublicKeyFile { role, public_key } = file.public();
        print(context, &args.file, Some(*role), public_key, Some(file.program()));
    } else if is_public || beside.exists() {
        let path = if is_public { &args.file } else { &beside };
        let public = PublicKeyFile::open(path)?;
        print(context, &args.file, Some(public.role), &public.public_key, None);
    } else {
        let key = LockedKey::read(&args.file)?;
        let passphrase = args.passphrase.source().read(&args.file.display().to_string())?;
        let signer = key.unlock(&passphrase)?;
        print(context, &args.file, None, &signer.public_key(), None);
    }
    Ok(())
}

fn print(
    context: &Context,
    path: &Path,
    role: Option<KeyRole>,
    public_key: &[u8; 32],
    program: Option<&[String]>,
) {
    let signs = program.map(|program| format!("\nprogram     {}", command_line(program)));
    let algorithm = role.map_or("ed25519", KeyRole::algorithm);
    let role = role.map_or("unknown (no .pub file)", KeyRole::word);
    let hint = hint(public_key);
    let human = format_args!(
        "key         {}\nrole        {role}\nalgorithm   {algorithm}\npublic key  {}\nhint        {}{}",
        path.display(),
        Hex(public_key),
        hint,
        signs.unwrap_or_default(),
    )
    .to_string();
    let machine = json!({
        "key": path,
        "role": role,
        "algorithm": algorithm,
        "public_key": Hex(public_key).to_string(),
        "hint": hint,
        "program": program,
    });
    context.output.result(&human, &machine);
}

fn with_extension(name: &Path, extension: &str) -> PathBuf {
    if name.extension().is_some_and(|given| given == extension) {
        return name.to_path_buf();
    }
    let mut path = name.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    PathBuf::from(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gets_its_extension_once() {
        assert_eq!(with_extension(Path::new("a/release"), "key"), Path::new("a/release.key"));
        assert_eq!(with_extension(Path::new("release.key"), "key"), Path::new("release.key"));
        assert_eq!(with_extension(Path::new("v1.2"), "key"), Path::new("v1.2.key"));
    }
}
