//! `noflake bundle create`: from a spec file to a signed bundle.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use super::plan_digest;
use super::show::Sheet;
use crate::bundle::{Prepared, Provenance, Spec, prepare, refuse_existing};
use crate::cli::Context;
use crate::commands::PassphraseArgs;
use crate::commands::signing::{SigningKey, borrowed, unlock_all};
use crate::error::CommandError;
use crate::trust::{KeyRole, PublicKeyFile, public_path};

/// Make a signed bundle from a spec file
///
/// The same inputs give the same bytes. What is signed is shown before it is signed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What goes into the bundle
    #[arg(default_value = "bundle.toml")]
    spec: PathBuf,
    /// The bundle to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    /// Release key to sign with, a .key or .signer file; once for each [default: `trust.release_key` of noflake.toml]
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Version to use in place of the spec's
    #[arg(long = "bundle-version", value_name = "VERSION")]
    bundle_version: Option<String>,
    /// Commit of the source
    #[arg(long, default_value = "")]
    commit: String,
    /// The source had changes that are in no commit
    #[arg(long)]
    dirty: bool,
    /// Who or what built it
    #[arg(long, default_value = "")]
    builder: String,
    /// When it was built, such as 2026-01-31T12:00:00Z; leave out for reproducible bundles
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    built_at: Option<u64>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let mut spec = Spec::read(&args.spec)?;
    if let Some(version) = args.bundle_version {
        spec.version = version;
    }
    let provenance = Provenance {
        commit: args.commit,
        dirty: args.dirty,
        builder: args.builder,
        built_at_s: args.built_at.unwrap_or(0),
    };
    refuse_existing(&args.output, args.force)?;
    let paths = key_paths(args.keys, context)?;
    let keys = SigningKey::read_all(&paths)?;
    let prepared = prepare(&spec, provenance, &plan_digest)?;
    announce(&prepared, context);
    let signers = unlock_all(&keys, args.passphrase, None, context)?;
    let digest = prepared.digest();
    let version = prepared.manifest().version.to_string();
    prepared.write(&borrowed(&signers), &[], &args.output, args.force)?;
    let human = format!("Created {} (bundle digest {digest}).", args.output.display());
    let machine = json!({
        "bundle": args.output,
        "bundle_digest": digest.to_string(),
        "version": version,
        "signatures": signers.len(),
    });
    context.output.result(&human, &machine);
    Ok(())
}

fn announce(prepared: &Prepared, context: &Context) {
    let sheet = Sheet { manifest: prepared.manifest(), digest: prepared.digest() };
    context.output.progress(&format_args!("About to sign this manifest:\n{sheet}"));
}

/// The keys to sign with; each known to be a release key where its public half says what it is.
fn key_paths(named: Vec<PathBuf>, context: &Context) -> Result<Vec<PathBuf>, CommandError> {
    let keys = if named.is_empty() {
        context.config()?.trust.release_key.into_iter().collect()
    } else {
        named
    };
    if keys.is_empty() {
        let (what, flag, key) = ("release key", "--key", "trust.release_key");
        return Err(CommandError::NotNamed { what, flag, key });
    }
    for path in &keys {
        let beside = public_path(path);
        if beside.exists() {
            let got = PublicKeyFile::open(&beside)?.role;
            if got != KeyRole::Release {
                let (expected, got) = (KeyRole::Release.word(), got.word());
                return Err(CommandError::WrongRole { path: path.clone(), expected, got });
            }
        }
    }
    Ok(keys)
}

fn parse_time(text: &str) -> Result<u64, String> {
    let time = humantime::parse_rfc3339(text)
        .map_err(|error| format!("{error}, expected UTC time such as 2026-01-31T12:00:00Z"))?;
    Ok(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
}
