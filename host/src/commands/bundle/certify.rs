//! `noflake bundle certify`: what a run has shown, signed, into the bundle.

use std::fmt;
use std::path::PathBuf;

use firmware_protocol::certificate::{Certificate, CertifiedVerdict};
use firmware_protocol::digest::Digest;
use serde_json::json;

use crate::bundle::{Attachment, Bundle, CERTIFICATE, HardwareClaim, VerifiedBundle};
use crate::cli::Context;
use crate::commands::PassphraseArgs;
use crate::commands::clock::now_s;
use crate::commands::report::read_bench_keys;
use crate::commands::root::RootArgs;
use crate::commands::signing::{OfRole, SigningKey, borrowed, unlock_all};
use crate::error::CommandError;
use crate::evidence::{Integrity, Outcome, RunRecord, RunView};
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
    /// Folder of the run that qualified it
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
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let root = args.root.require(context)?;
    let bundle = Bundle::open(&args.bundle)?.verify(root.record().claims())?;
    let benches = read_bench_keys(&args.signed_by)?;
    let record = RunRecord::read(&args.run)?;
    if !benches.is_empty() {
        let proven = record.view().proven_by(&benches);
        proven.map_err(|source| CommandError::Unproven { path: args.run.clone(), source })?;
    }
    let keys = SigningKey::read_all(&args.keys)?;
    let out = args.output.as_ref().unwrap_or(&args.bundle);
    let overwrite = args.force || args.output.is_none();
    refuse_taken(out, overwrite)?;
    let (plan, verdict) = shown(args, record.view(), &bundle)?;
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
        args.run.display(),
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
        "run": args.run,
    });
    context.output.result(&human, &machine);
    Ok(())
}

/// The plan and the verdict of a run, if it is one that a certificate can be made from.
fn shown(
    args: &Args,
    view: &RunView,
    bundle: &VerifiedBundle,
) -> Result<(Digest, CertifiedVerdict), CommandError> {
    let unfit = |why: &str| CommandError::RunUnfit { path: args.run.clone(), why: why.to_owned() };
    let digest = |hex: &str| parse_hex::<32>(hex).map(Digest);
    if !matches!(view.integrity, Integrity::Complete { .. }) {
        return Err(unfit("its record has no end"));
    }
    if digest(&view.run.bundle.digest) != Some(bundle.bundle().digest()) {
        return Err(unfit("it is about another bundle"));
    }
    let end = view.end.as_ref().ok_or_else(|| unfit("its record has no end"))?;
    if end.outcome != Outcome::Committed {
        return Err(unfit("the bundle was not committed in it"));
    }
    let verdict = match end.verdict {
        RunVerdict::Qualified => CertifiedVerdict::Qualified,
        RunVerdict::QualifiedWithDeviations => CertifiedVerdict::QualifiedWithDeviations,
        RunVerdict::Inconclusive | RunVerdict::Error | RunVerdict::Rejected => {
            return Err(unfit("the bundle was not qualified in it"));
        }
    };
    let plan = digest(&view.run.plan.digest).ok_or_else(|| unfit("it names no plan"))?;
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
