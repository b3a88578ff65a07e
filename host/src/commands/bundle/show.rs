//! `noflake bundle show`: what a bundle claims, and whether anybody vouches for it.

use std::fmt;
use std::path::PathBuf;

use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::{ComponentKind, Variant};
use firmware_protocol::root::RootRecord;
use serde_json::{Value, json};

use super::certify::verdict_word;
use crate::bundle::{Bundle, OwnedManifest, slot_word};
use crate::causes::sentence;
use crate::cli::Context;
use crate::commands::root::RootArgs;
use crate::error::CommandError;
use crate::evidence::{escape_text, utc_from_unix_s};
use crate::trust::{CarriedCertificate, Hex};

/// Show what a bundle claims
///
/// Looks at the manifest only; `bundle verify` also reads all payloads.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle
    bundle: PathBuf,
    #[command(flatten)]
    root: RootArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let bundle = Bundle::open(&args.bundle)?;
    let root = args.root.load(context)?;
    let trust = match &root {
        None => Trust::NotChecked,
        Some(root) => match bundle.check_signatures(root.record().claims()) {
            Ok(()) => Trust::Verified,
            Err(error) => Trust::Refused(sentence(&error)),
        },
    };
    let hints: Vec<String> =
        bundle.signer_hints().iter().map(|hint| Hex(hint).to_string()).collect();
    let sheet = Sheet { manifest: bundle.unverified_manifest(), digest: bundle.digest() };
    let certificates = bundle.certificates();
    let claims = root.as_ref().map(|root| root.record().claims());
    let certified: Vec<Certified<'_>> =
        certificates.iter().map(|certificate| Certified::new(certificate, claims)).collect();
    let mut lines = vec![
        trust.to_string(),
        sheet.to_string(),
        format!("signed by   {} (hints; not proof)", hints.join(", ")),
        format!("attached    {} attachment(s), unsigned", bundle.attachments().len()),
    ];
    lines.extend(certified.iter().map(Certified::to_string));
    let human = lines.join("\n");
    let mut machine = sheet.to_json();
    if let Value::Object(fields) = &mut machine {
        fields.insert("trust".into(), trust.word().into());
        fields.insert("signer_hints".into(), hints.into());
        fields.insert("attachments".into(), bundle.attachments().len().into());
        let certified: Vec<Value> = certified.iter().map(Certified::to_json).collect();
        fields.insert("certificates".into(), certified.into());
    }
    context.output.result(&human, &machine);
    Ok(())
}

/// Whether the signatures were checked, and how that went.
enum Trust {
    NotChecked,
    Verified,
    Refused(String),
}

impl Trust {
    const fn word(&self) -> &'static str {
        match self {
            Self::NotChecked => "not_checked",
            Self::Verified => "verified",
            Self::Refused(_) => "refused",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotChecked => f.write_str(
                "UNVERIFIED: no root record given (--root), so anybody may have written this",
            ),
            Self::Verified => f.write_str("verified: enough release keys signed this manifest"),
            Self::Refused(reason) => write!(f, "UNVERIFIED: {reason}"),
        }
    }
}

/// A certificate as people and scripts read it.
struct Certified<'a> {
    certificate: &'a CarriedCertificate,
    /// What the root record says of it, where one is named.
    trust: Trust,
}

impl<'a> Certified<'a> {
    fn new(certificate: &'a CarriedCertificate, root: Option<&RootRecord>) -> Self {
        let trust = match root.map(|root| certificate.check(root, certificate.plan)) {
            None => Trust::NotChecked,
            Some(Ok(())) => Trust::Verified,
            Some(Err(error)) => Trust::Refused(sentence(&error)),
        };
        Self { certificate, trust }
    }

    fn to_json(&self) -> Value {
        let CarriedCertificate { plan, verdict, level, epoch, made_at_s, signer_hints, .. } =
            self.certificate;
        let hints: Vec<String> = signer_hints.iter().map(|hint| Hex(hint).to_string()).collect();
        json!({
            "plan_digest": plan.to_string(),
            "verdict": verdict_word(*verdict),
            "level": level,
            "epoch": epoch,
            "made_at_s": made_at_s,
            "signer_hints": hints,
            "trust": self.trust.word(),
        })
    }
}

impl fmt::Display for Certified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CarriedCertificate { plan, verdict, level, epoch, .. } = self.certificate;
        let verdict = verdict_word(*verdict);
        write!(f, "certificate level {level}, epoch {epoch}, {verdict} by plan {plan:.16}")?;
        match &self.trust {
            Trust::NotChecked => f.write_str("; UNVERIFIED"),
            Trust::Verified => f.write_str("; verified"),
            Trust::Refused(reason) => write!(f, "; UNVERIFIED: {reason}"),
        }
    }
}

/// A manifest as people and scripts read it.
pub(super) struct Sheet<'a> {
    pub(super) manifest: &'a OwnedManifest,
    pub(super) digest: Digest,
}

impl fmt::Display for Sheet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manifest = self.manifest;
        writeln!(f, "bundle      {}", self.digest)?;
        writeln!(f, "product     {}", escape_text(&manifest.product))?;
        writeln!(f, "version     {}", manifest.version)?;
        writeln!(f, "security    version {}, epoch {}", manifest.security_version, manifest.epoch)?;
        if let Some(from) = &manifest.from_version {
            writeln!(f, "from        version {from} or newer")?;
        }
        if manifest.retires_fallback {
            writeln!(f, "fallback    retired: no way back after the confirm")?;
        }
        let (schema, readable_by) = (manifest.data_schema, manifest.data_readable_by);
        writeln!(f, "data        schema {schema}, readable by schema {readable_by} or newer")?;
        for range in &manifest.hardware {
            let (first, last) = (range.first_revision, range.last_revision);
            writeln!(f, "hardware    {} revision {first} to {last}", escape_text(&range.id))?;
        }
        self.write_origin(f)?;
        for component in &manifest.components {
            for variant in &component.variants {
                write!(
                    f,
                    "\ncomponent   {} ({})",
                    escape_text(&component.name),
                    word(component.kind)
                )?;
                write!(
                    f,
                    " slot {}, {} bytes at {:#x}, SHA-256 {}",
                    slot_word(variant.slot),
                    variant.length,
                    variant.load,
                    variant.digest
                )?;
            }
        }
        Ok(())
    }
}

impl Sheet<'_> {
    fn write_origin(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.manifest.provenance;
        if !origin.commit.is_empty() || origin.dirty {
            let dirty = if origin.dirty { " with changes that are in no commit" } else { "" };
            writeln!(f, "commit      {}{dirty}", escape_text(&origin.commit))?;
        }
        if !origin.builder.is_empty() {
            writeln!(f, "builder     {}", escape_text(&origin.builder))?;
        }
        if let Some(time) = time_text(origin.built_at_s) {
            writeln!(f, "built at    {time}")?;
        }
        if !self.manifest.notes.is_empty() {
            writeln!(f, "notes       {}", escape_text(&self.manifest.notes))?;
        }
        match &self.manifest.plan {
            Some(plan) => write!(f, "plan        {}", plan.digest),
            None => f.write_str("plan        none"),
        }
    }

    fn to_json(&self) -> Value {
        let manifest = self.manifest;
        let hardware = manifest.hardware.iter().map(|range| {
            json!({
                "id": range.id,
                "first_revision": range.first_revision,
                "last_revision": range.last_revision,
            })
        });
        let components = manifest.components.iter().map(|component| {
            json!({
                "name": component.name,
                "kind": word(component.kind),
                "variants": component.variants.iter().map(variant_json).collect::<Vec<_>>(),
            })
        });
        json!({
            "bundle_digest": self.digest.to_string(),
            "product": manifest.product,
            "version": manifest.version.to_string(),
            "security_version": manifest.security_version,
            "epoch": manifest.epoch,
            "from_version": manifest.from_version.as_ref().map(ToString::to_string),
            "retires_fallback": manifest.retires_fallback,
            "data_schema": manifest.data_schema,
            "data_readable_by": manifest.data_readable_by,
            "hardware": hardware.collect::<Vec<_>>(),
            "provenance": {
                "commit": manifest.provenance.commit,
                "dirty": manifest.provenance.dirty,
                "builder": manifest.provenance.builder,
                "built_at_s": manifest.provenance.built_at_s,
            },
            "notes": manifest.notes,
            "plan_digest": manifest.plan.map(|plan| plan.digest.to_string()),
            "components": components.collect::<Vec<_>>(),
        })
    }
}

fn variant_json(variant: &Variant) -> Value {
    json!({
        "slot": slot_word(variant.slot),
        "load": variant.load,
        "length_bytes": variant.length,
        "digest": variant.digest.to_string(),
        "block_size_bytes": variant.block_size,
        "block_list_digest": variant.block_list_digest.to_string(),
    })
}

const fn word(kind: ComponentKind) -> &'static str {
    match kind {
        ComponentKind::Image => "image",
        ComponentKind::Config => "config",
    }
}

/// `None` for zero, which stands for not said.
fn time_text(seconds: u64) -> Option<String> {
    (seconds > 0).then(|| utc_from_unix_s(seconds))
}
