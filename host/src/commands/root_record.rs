//! `noflake root`: makes root records, and gathers the signatures of their holders (TRUST.md, "A new root record").

mod change;
mod sheet;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use firmware_protocol::root::{
    CertificateNeed, LifeCycle, Policy, PublicKey, RoleKeys, RootRecord,
};
use serde_json::{Value, json};

use self::change::changes;
use self::sheet::Sheet;
use super::clock::now_s;
use super::signing::SigningKey;
use super::{NewFileArgs, PassphraseArgs};
use crate::cli::Context;
use crate::error::CommandError;
use crate::link::shell_word;
use crate::trust::{
    Hex, RootDraft, RootError, RootSpec, Secrecy, Signed, hint, hints, read_root, replace_file,
};

/// Make root records and gather their signatures, on as many machines as there are holders
///
/// A root record says whose signatures devices believe. It is drafted once, signed by each holder
/// with their own key, and given to devices by noflake device enroll. Nothing here needs a network.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Draft(DraftArgs),
    Sign(SignArgs),
    Merge(MergeArgs),
    Show(ShowArgs),
}

/// Write down a root record that nobody has signed yet
#[derive(Debug, clap::Args)]
struct DraftArgs {
    /// What it is to say, a TOML file; behind another root record, what is to change
    spec: PathBuf,
    #[command(flatten)]
    after: AfterArgs,
    #[command(flatten)]
    output: NewFileArgs,
}

/// Add the signature of a holder to a root record, in its file
#[derive(Debug, clap::Args)]
struct SignArgs {
    /// The root record
    file: PathBuf,
    /// Key of a holder, of this record or of the one before: a .key or .signer file
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    #[command(flatten)]
    after: AfterArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Put copies of a root record together that were signed on different machines
#[derive(Debug, clap::Args)]
struct MergeArgs {
    /// The copies
    #[arg(required = true, num_args = 2..)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    after: AfterArgs,
    #[command(flatten)]
    output: NewFileArgs,
}

/// Show what a root record says, who has signed it, and who has yet to
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The root record
    file: PathBuf,
    #[command(flatten)]
    after: AfterArgs,
}

#[derive(Debug, clap::Args)]
struct AfterArgs {
    /// The root record in force, one number below, whose holders have to sign as well
    #[arg(long, value_name = "FILE")]
    after: Option<PathBuf>,
}

impl AfterArgs {
    fn load(&self) -> Result<Option<RootRecord>, CommandError> {
        let root = self.after.as_deref().map(read_root).transpose()?;
        Ok(root.map(|root| root.record().claims().clone()))
    }

    /// The record that `draft` takes the place of.
    ///
    /// # Errors
    /// When the file is no root record, or not the one before by its number: devices take new ones one by one.
    fn load_for(&self, draft: &RootDraft) -> Result<Option<RootRecord>, CommandError> {
        let after = self.load()?;
        let version = draft.record().version;
        if let Some(before) = after.as_ref().map(|after| after.version)
            && before.checked_add(1) != Some(version)
        {
            return Err(RootError::NotNext { version, before }.into());
        }
        Ok(after)
    }

    /// As it stands on a command line about `record`.
    fn words(&self, record: &RootRecord) -> String {
        match &self.after {
            Some(path) => format!(" --after {}", word(path)),
            None if record.version > 1 => " --after RECORD".to_owned(),
            None => String::new(),
        }
    }
}

/// Runs `noflake root`.
///
/// # Errors
/// When a file cannot be read or written, or a key is none of a holder.
pub fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.command {
        Command::Draft(args) => draft(&args, context),
        Command::Sign(args) => sign(&args, context),
        Command::Merge(args) => merge(&args, context),
        Command::Show(args) => show(&args, context),
    }
}

fn draft(args: &DraftArgs, context: &Context) -> Result<(), CommandError> {
    let after = args.after.load()?;
    let record = RootSpec::read(&args.spec)?.record(after.as_ref(), now_s())?;
    let draft = RootDraft::new(record)?;
    args.output.write(&draft.bytes()?)?;
    report("Drafted", args.output.path(), &draft, (after.as_ref(), &args.after), context)
}

fn sign(args: &SignArgs, context: &Context) -> Result<(), CommandError> {
    let mut draft = RootDraft::read(&args.file)?;
    let after = args.after.load_for(&draft)?;
    let key = SigningKey::read(&args.key)?;
    if let Some(public_key) = key.public_key()
        && draft.has_signed(&public_key, after.as_ref())?
    {
        let did = found_signed(&public_key);
        return report(&did, &args.file, &draft, (after.as_ref(), &args.after), context);
    }
    let sheet = Sheet { draft: &draft, after: after.as_ref() };
    context.output.progress(&format_args!("About to sign this root record:\n{sheet}"));
    let signer = key.unlock(args.passphrase, None, context)?;
    let public_key = signer.public_key();
    let did = if draft.sign(signer.as_ref(), after.as_ref())? {
        let bytes = draft.bytes()?;
        replace_file(&args.file, Secrecy::Public, true, |file| file.write_all(&bytes))?;
        format!("Signed by {}:", hint(&public_key))
    } else {
        found_signed(&public_key)
    };
    report(&did, &args.file, &draft, (after.as_ref(), &args.after), context)
}

fn found_signed(key: &PublicKey) -> String {
    format!("Found signed by {}:", hint(key))
}

fn merge(args: &MergeArgs, context: &Context) -> Result<(), CommandError> {
    let mut copies = args.files.iter().map(|path| RootDraft::read(path));
    let Some(first) = copies.next() else { return Ok(()) };
    let mut draft = first?;
    for copy in copies {
        draft.merge(&copy?)?;
    }
    let after = args.after.load_for(&draft)?;
    args.output.write(&draft.bytes()?)?;
    report("Put together", args.output.path(), &draft, (after.as_ref(), &args.after), context)
}

fn show(args: &ShowArgs, context: &Context) -> Result<(), CommandError> {
    let draft = RootDraft::read(&args.file)?;
    let after = args.after.load_for(&draft)?;
    report("", &args.file, &draft, (after.as_ref(), &args.after), context)
}

/// Says what a root record is, whose signatures it has and whose it lacks, and what to do next.
fn report(
    did: &str,
    path: &Path,
    draft: &RootDraft,
    (after, after_args): (Option<&RootRecord>, &AfterArgs),
    context: &Context,
) -> Result<(), CommandError> {
    let record = draft.record();
    let own = draft.signed(&record.root)?;
    let before = after.map(|after| draft.signed(&after.root)).transpose()?;
    let missing = own.missing() + before.as_ref().map_or(0, Signed::missing);
    let mut lines = Vec::new();
    if !did.is_empty() {
        lines.push(format!("{did} {}.", path.display()));
    }
    lines.push(Sheet { draft, after }.to_string());
    lines.push(signed_line("signed by", &own));
    if let (Some(after), Some(before)) = (after, &before) {
        lines.push(signed_line(&format!("of record {}", after.version), before));
    } else if record.version > 1 {
        lines.push(format!(
            "            --after RECORD says whether the holders of root record {} have signed it, too",
            record.version.saturating_sub(1)
        ));
    }
    let is_complete = missing == 0 && (record.version == 1 || before.is_some());
    let next = if missing > 0 {
        format!("noflake root sign {} --key KEY{}", word(path), after_args.words(record))
    } else if !is_complete {
        format!("noflake root show {}{}", word(path), after_args.words(record))
    } else {
        format!("noflake device enroll -d DEVICE --root {}", word(path))
    };
    lines.push(format!("next: {next}"));
    let machine = json!({
        "root_record": path,
        "version": record.version,
        "digest": draft.digest().to_string(),
        "life_cycle": life_cycle_word(record.life_cycle),
        "made_at_s": record.made_at_s,
        "resets_time": record.resets_time,
        "root": role_json(&record.root),
        "release": role_json(&record.release),
        "qualify": role_json(&record.qualify),
        "operate": role_json(&record.operate),
        "epochs": {
            "release": record.epochs.release,
            "qualify": record.epochs.qualify,
            "operate": record.epochs.operate,
        },
        "policy": policy_json(&record.policy),
        "changes": after.map(|after| changes(after, record)),
        "signed": signed_json(&own),
        "signed_before": before.as_ref().map(signed_json),
        "complete": is_complete,
        "next": next,
    });
    context.output.result(&lines.join("\n"), &machine);
    Ok(())
}

fn signed_line(name: &str, signed: &Signed) -> String {
    let by = if signed.by.is_empty() { "nobody".to_owned() } else { hints(&signed.by).join(", ") };
    let missing = match signed.missing() {
        0 => String::new(),
        missing => format!("; {missing} more of {}", hints(&signed.not_by).join(", ")),
    };
    format!("{name:<11} {by} ({} of {} needed){missing}", signed.by.len(), signed.needed)
}

fn role_json(role: &RoleKeys) -> Value {
    let keys: Vec<String> = role.keys.iter().map(|key| Hex(key).to_string()).collect();
    json!({ "keys": keys, "threshold": role.threshold })
}

fn signed_json(signed: &Signed) -> Value {
    json!({
        "by": hints(&signed.by),
        "not_by": hints(&signed.not_by),
        "needed": signed.needed,
        "missing": signed.missing(),
    })
}

fn policy_json(policy: &Policy) -> Value {
    let (needed, level) = match policy.certificate {
        CertificateNeed::Never => ("never", None),
        CertificateNeed::BeforeConfirm { level } => ("before-confirm", Some(level)),
        CertificateNeed::BeforeStage { level } => ("before-stage", Some(level)),
    };
    json!({
        "max_boots": policy.max_boots,
        "max_boot_ms": policy.max_boot_ms,
        "max_lease_ms": policy.max_lease_ms,
        "lowest_security_version": policy.lowest_security_version,
        "max_security_step": policy.max_security_step,
        "certificate": needed,
        "certificate_level": level,
    })
}

pub(super) const fn life_cycle_word(life_cycle: LifeCycle) -> &'static str {
    match life_cycle {
        LifeCycle::Factory => "factory",
        LifeCycle::Development => "development",
        LifeCycle::Field => "field",
    }
}

fn word(path: &Path) -> String {
    shell_word(&path.display().to_string())
}
