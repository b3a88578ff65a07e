//! What is found out about a deployment before any device is asked.

use std::path::Path;

use firmware_protocol::digest::Digest;

use crate::bundle::{MAX_PLAN_BYTES, PayloadRole, VerifiedBundle};
use crate::error::CommandError;
use crate::evidence::Verb;
use crate::input;
use crate::plan::Plan;
use crate::trust::{LoadedRoot, fitting_certificate};

/// A damaged copy is found here, before any device is asked, and not after its spare slot was erased.
pub(super) fn check_payloads(bundle: &VerifiedBundle) -> Result<(), CommandError> {
    let bundle = bundle.bundle();
    for (index, (role, _)) in bundle.payloads().enumerate() {
        if matches!(role, PayloadRole::Variant { .. }) {
            bundle.block_digests(index)?;
        }
    }
    Ok(())
}

/// A device says what it has against the terms of a trial once the bundle is staged, and its fallback gone for it.
pub(super) fn check_terms(
    bundle: &VerifiedBundle,
    root: &LoadedRoot,
    plan: &Plan,
) -> Result<(), CommandError> {
    plan.timeouts.allowed_by(root.record().claims()).map_err(|source| {
        let path = bundle.bundle().path().to_path_buf();
        CommandError::AsksTooMuch { path, source }
    })
}

/// The certificate that devices are shown. A deployment that lacks one which the root record wants ends here; a
/// qualification may be what it will be made from, so there the device decides.
pub(super) fn certificate(
    bundle: &VerifiedBundle,
    root: &LoadedRoot,
    verb: Verb,
    plan: &Plan,
) -> Result<Option<Vec<u8>>, CommandError> {
    let carried = bundle.bundle().certificates();
    let plan = Digest(plan.digest());
    match fitting_certificate(&carried, root.record().claims(), plan) {
        Ok(found) => Ok(found.map(|certificate| certificate.bytes.clone())),
        Err(_) if verb == Verb::Qualify => Ok(None),
        Err(source) => {
            let path = bundle.bundle().path().to_path_buf();
            let source = source.beside(bundle.bundle().stray_certificates());
            Err(CommandError::NotCertified { path, source })
        }
    }
}

/// The plan that is named, or the bundle's own, or the built-in one; and where it was named.
pub(super) fn load_plan(
    bundle: &VerifiedBundle,
    named: Option<&Path>,
) -> Result<(Plan, String), CommandError> {
    if let Some(path) = named {
        let text = input::read_text(path, MAX_PLAN_BYTES)
            .map_err(|source| CommandError::PlanFile { path: path.to_owned(), source })?;
        let origin = path.display().to_string();
        return Ok((Plan::parse(&text, &origin)?, origin));
    }
    match bundle.bundle().plan_text()? {
        Some(text) => {
            let origin = format!("{} (its plan)", bundle.bundle().path().display());
            Ok((Plan::parse(&text, &origin)?, String::new()))
        }
        None => Ok((Plan::default_deploy()?, String::new())),
    }
}
