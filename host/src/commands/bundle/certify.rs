//! `noflake bundle certify`: what a run has shown, signed, into the bundle.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use firmware_protocol::certificate::{Certificate, CertifiedVerdict};
use firmware_protocol::digest::Digest;
use firmware_protocol::root::PublicKey;
use serde_json::json;

use crate::bundle::{Attachment, Bundle, CERTIFICATE, HardwareClaim, VerifiedBundle};
use crate::cli::Context;
use crate::commands::PassphraseArgs;
use crate::commands::clock::now_s;
use crate::commands::report::read_bench_keys;
use crate::commands::root::RootArgs;
use crate::commands::signing::{OfRole, SigningKey, borrowed, unlock_all};
use crate::error::CommandError;
use crate::evidence::{Integrity, Outcome, RECORD_FILE, RunRecord, RunView};
use crate::trust::{certified_hardware, parse_hex, refuse_taken, sign_certificate};
use crate::verdict::RunVerdict;

/// Certify a bundle: sign, with a qualify key, that a run has qualified it
///
/// The certificate is about this bundle and the plan of that run. It goes into the bundle, behind what
/// the release keys have signed; devices whose root record wants one are shown it by noflake deploy.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle
    bundle: PathBuf,
    /// Folder of the run that qualified it, or a folder of runs: the newest of them that qualified it
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Key of the qualify role, a .key or .signer file; named as often as its threshold says
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<PathBuf>,
    /// Public half of a bench's key that has to have signed the run's whole record; again for more keys, of which one is
    /// enough
    #[arg(long = "signed-by", value_name = "PUB")]
    signed_by: Vec<PathBuf>,
    /// How much the plan asks of a bundle; root records say which level they want
    #[arg(long, value_name = "N", default_value_t = 1)]
    level: u8,
    /// Epoch; root records take back those below theirs [default: the lowest that counts]
    #[arg(long, value_name = "N")]
    epoch: Option<u32>,
    /// File to write instead of the bundle itself
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace that file if it is there already
    #[arg(long, requires = "output")]
    force: bool,
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// What a shell makes of `--run runs/*`, beyond the first.
    #[arg(hide = true)]
    more: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    refuse_more(args)?;
    let root = args.root.require(context)?;
    let bundle = Bundle::open(&args.bundle)?.verify(root.record().claims())?;
    let benches = read_bench_keys(&args.signed_by)?;
    let keys = SigningKey::read_all(&args.keys)?;
    let out = args.output.as_ref().unwrap_or(&args.bundle);
    let overwrite = args.force || args.output.is_none();
    refuse_taken(out, overwrite)?;
    let Shown { path, record, plan, verdict } = newest_shown(&args.run, &benches, &bundle)?;
    let manifest = bundle.manifest();
    let certificate = Certificate {
        product: &manifest.product,
        hardware: certified_hardware(manifest.hardware.iter().map(HardwareClaim::borrow))?,
        bundle: bundle.bundle().digest(),
        plan,
        verdict,
        level: args.level,
        epoch: args.epoch.unwrap_or(root.record().claims().epochs.qualify),
        made_at_s: now_s(),
    };
    let (run, sheet) = (record.view(), Sheet(&certificate));
    context.output.progress(&format_args!(
        "About to sign this certificate:\n{sheet}\nrun         {} of plan {} {}, version {}",
        path.display(),
        run.run.plan.id,
        run.run.plan.version,
        manifest.version,
    ));
    let of_role = OfRole { role: "qualify", keys: &root.record().claims().qualify };
    let signers = unlock_all(&keys, args.passphrase, Some(of_role), context)?;
    let bytes = sign_certificate(&certificate, &borrowed(&signers), root.record().claims())?;
    let attachment = Attachment { kind: CERTIFICATE, bytes };
    bundle.bundle().attach(attachment, out, overwrite)?;
    let human = format!("Certified {} for level {}.", out.display(), args.level);
    let machine = json!({
        "bundle": out,
        "bundle_digest": certificate.bundle.to_string(),
        "plan_digest": plan.to_string(),
        "verdict": verdict_word(verdict),
        "level": args.level,
        "epoch": certificate.epoch,
        "run": path,
    });
    context.output.result(&human, &machine);
    Ok(())
}

fn refuse_more(args: &Args) -> Result<(), CommandError> {
    if args.more.is_empty() {
        return Ok(());
    }
    let problem = "a certificate is made from one run, and several were named".to_owned();
    let usage =
        "name that run, or the folder of all of them: the newest that qualified the bundle counts";
    Err(CommandError::Arguments { problem, usage: usage.to_owned() })
}

/// A run that a certificate can be made from.
struct Shown {
    path: PathBuf,
    record: RunRecord,
    plan: Digest,
    verdict: CertifiedVerdict,
}

/// The run in the folder `named`, or the newest of the runs in it that fit.
fn newest_shown(
    named: &Path,
    benches: &[PublicKey],
    bundle: &VerifiedBundle,
) -> Result<Shown, CommandError> {
    let mut newest_error = None;
    for path in runs_in(named) {
        let shown = RunRecord::read(&path).map_err(CommandError::from).and_then(|record| {
            if !benches.is_empty() {
                let proven = record.view().proven_by(benches);
                proven.map_err(|source| CommandError::Unproven { path: path.clone(), source })?;
            }
            let (plan, verdict) = shown(&path, record.view(), bundle)?;
            Ok(Shown { path, record, plan, verdict })
        });
        match shown {
            Ok(shown) => return Ok(shown),
            Err(error) => newest_error = newest_error.or(Some(error)),
        }
    }
    let why = "no run is in it".to_owned();
    Err(newest_error.unwrap_or(CommandError::RunUnfit { path: named.to_path_buf(), why }))
}

/// A run by itself, or the runs of a folder, the newest first: their names begin with the time.
fn runs_in(named: &Path) -> Vec<PathBuf> {
    let is_run = |path: &PathBuf| path.join(RECORD_FILE).exists();
    let entries = fs::read_dir(named).into_iter().flatten().flatten();
    let mut runs: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_run).collect();
    if runs.is_empty() || is_run(&named.to_path_buf()) {
        return vec![named.to_path_buf()];
    }
    runs.sort_by(|one, other| other.cmp(one));
    runs
}

/// The plan and the verdict of a run, if it is one that a certificate can be made from.
fn shown(
    path: &Path,
    view: &RunView,
    bundle: &VerifiedBundle,
) -> Result<(Digest, CertifiedVerdict), CommandError> {
    let unfit =
        |why: &str| CommandError::RunUnfit { path: path.to_path_buf(), why: why.to_owned() };
    judged(view, bundle.bundle().digest()).map_err(unfit)
}

/// As [`shown`]; else what speaks against the run.
fn judged(view: &RunView, bundle: Digest) -> Result<(Digest, CertifiedVerdict), &'static str> {
    let digest = |hex: &str| parse_hex::<32>(hex).map(Digest);
    let end = view.end.as_ref().ok_or("its record has no end")?;
    if !matches!(view.integrity, Integrity::Complete { .. }) {
        return Err("something stands behind the end of its record");
    }
    if digest(&view.run.bundle.digest) != Some(bundle) {
        return Err("it is about another bundle");
    }
    if end.outcome != Outcome::Committed {
        return Err("the bundle was not committed in it");
    }
    let verdict = match end.verdict {
        RunVerdict::Qualified => CertifiedVerdict::Qualified,
        RunVerdict::QualifiedWithDeviations => CertifiedVerdict::QualifiedWithDeviations,
        RunVerdict::Inconclusive | RunVerdict::Error | RunVerdict::Rejected => {
            return Err("the bundle was not qualified in it");
        }
    };
    let plan = digest(&view.run.plan.digest).ok_or("it names no plan")?;
    Ok((plan, verdict))
}

/// The verdict of a certificate in one word.
pub(super) const fn verdict_word(verdict: CertifiedVerdict) -> &'static str {
    match verdict {
        CertifiedVerdict::Qualified => "qualified",
        CertifiedVerdict::QualifiedWithDeviations => "qualified_with_deviations",
    }
}

/// A certificate for people.
struct Sheet<'a>(&'a Certificate<'a>);

impl fmt::Display for Sheet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Certificate { product, hardware, bundle, plan, verdict, level, epoch, .. } = self.0;
        writeln!(f, "product     {}", crate::evidence::escape_text(product))?;
        for range in hardware {
            let id = crate::evidence::escape_text(range.id);
            writeln!(
                f,
                "hardware    {id} revision {} to {}",
                range.first_revision, range.last_revision
            )?;
        }
        writeln!(f, "bundle      {bundle}")?;
        writeln!(f, "plan        {plan}")?;
        writeln!(f, "verdict     {}", verdict_word(*verdict))?;
        write!(f, "level       {level}, epoch {epoch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::sample;

    const BUNDLE: Digest = Digest([3; 32]);
    const PLAN: Digest = Digest([4; 32]);

    /// A run that has qualified and committed the bundle.
    fn qualified() -> RunView {
        let mut view = sample::view();
        view.run.bundle.digest = BUNDLE.to_string();
        view.run.plan.digest = PLAN.to_string();
        let end = view.end.as_mut().unwrap();
        (end.outcome, end.verdict) = (Outcome::Committed, RunVerdict::Qualified);
        view
    }

    #[test]
    fn only_a_whole_run_that_qualified_and_committed_this_bundle_is_certified() {
        assert_eq!(judged(&qualified(), BUNDLE), Ok((PLAN, CertifiedVerdict::Qualified)));
        assert_eq!(judged(&qualified(), PLAN), Err("it is about another bundle"));
        let changed = |change: fn(&mut RunView)| {
            let mut view = qualified();
            change(&mut view);
            judged(&view, BUNDLE)
        };
        let uncommitted = changed(|view| view.end.as_mut().unwrap().outcome = Outcome::RolledBack);
        assert_eq!(uncommitted, Err("the bundle was not committed in it"));
        for verdict in [RunVerdict::Inconclusive, RunVerdict::Error, RunVerdict::Rejected] {
            let mut view = qualified();
            view.end.as_mut().unwrap().verdict = verdict;
            assert_eq!(judged(&view, BUNDLE), Err("the bundle was not qualified in it"));
        }
        let deviating = changed(|view| {
            view.end.as_mut().unwrap().verdict = RunVerdict::QualifiedWithDeviations;
        });
        assert_eq!(deviating, Ok((PLAN, CertifiedVerdict::QualifiedWithDeviations)));
        let behind = changed(|view| {
            let head = String::new();
            view.integrity = Integrity::Interrupted { lines: 35, head, torn_bytes: 1 };
        });
        assert_eq!(behind, Err("something stands behind the end of its record"));
        assert_eq!(changed(|view| view.end = None), Err("its record has no end"));
    }

    #[test]
    fn a_folder_of_runs_gives_them_newest_first_and_a_run_itself() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["20261130T035020Z-6d80efbe", "20261201T035020Z-00000000", "notes"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            if name != "notes" {
                fs::write(folder.path().join(name).join(RECORD_FILE), "").unwrap();
            }
        }
        let runs = runs_in(folder.path());
        let expected = ["20261201T035020Z-00000000", "20261130T035020Z-6d80efbe"];
        assert_eq!(runs, expected.map(|name| folder.path().join(name)));
        assert_eq!(runs_in(&runs[0]), [runs[0].clone()]);
        let record = runs[0].join(RECORD_FILE);
        assert_eq!(runs_in(&record), [record]);
    }
}
