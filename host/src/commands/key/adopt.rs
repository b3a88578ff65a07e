//! `noflake key adopt`: takes in a key whose secret half stays elsewhere, and that a program signs with.

use std::path::PathBuf;

use clap::ValueEnum as _;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{print, with_extension};
use crate::cli::Context;
use crate::commands::signing;
use crate::error::CommandError;
use crate::trust::{KeyError, KeyRole, Signer as _, SignerFile, read_public_key};

/// Take in a key of a token, an HSM or a signing server: NAME.signer says which program signs, and NAME.pub is beside it
///
/// The program is asked to sign at once, a message that counts for nothing: a key that nobody can sign with would be found
/// out too late. Then NAME.signer goes wherever a command takes a --key. TRUST.md, "A key elsewhere", says what a
/// program gets and what it answers.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What the key is for
    #[arg(long, value_parser = signing_role())]
    role: KeyRole,
    /// Its public half: a PEM file, or 64 hex digits
    #[arg(long, value_name = "KEY")]
    public_key: String,
    /// Where to put it, with or without .signer
    name: PathBuf,
    /// The program and its arguments, behind a --; with a folder in its name, as in ./sign.sh, it is relative to NAME.signer
    #[arg(last = true, required = true)]
    program: Vec<String>,
}

/// Keys of hosts sign nothing.
fn signing_role() -> impl TypedValueParser<Value = KeyRole> {
    let roles = || KeyRole::value_variants().iter().filter(|role| **role != KeyRole::Host);
    let named = PossibleValuesParser::new(roles().map(|role| role.word()));
    named.try_map(move |word| {
        roles().find(|role| role.word() == word).copied().ok_or("no such role")
    })
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let path = with_extension(&args.name, "signer");
    let public_key = read_public_key(&args.public_key)?;
    let file = SignerFile::describe(&path, args.role, public_key, args.program.clone())?;
    let mut proof = PROOF.to_vec();
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(CommandError::Random)?;
    proof.extend_from_slice(&nonce);
    signing::announce(&path, &file, context);
    file.signer().map_err(KeyError::from)?.sign(&proof)?;
    file.write()?;
    print(context, &path, Some(args.role), &public_key, Some(file.program()));
    Ok(())
}

/// What a proof begins with; everything that counts begins with `noflake-signed-1` (BUNDLE.md, "Envelope").
const PROOF: [u8; 16] = *b"noflake-adopts-1";
