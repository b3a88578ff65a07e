//! What a device under a root record will say to a bundle, point by point, and who can do something about it.

use firmware_protocol::digest::Digest;
use firmware_protocol::root::{PublicKey, RootRecord};
use firmware_protocol::trust::{BodyType, Envelope};

use crate::bundle::{Bundle, Problem};
use crate::causes::sentence;
use crate::commands::point::Point;
use crate::plan::{Asked, AsksTooMuch, Plan};
use crate::trust::{CertificateError, Hex, StatementError, fitting_certificate, hints};

/// Every point that the root record decides; what a device holds itself (its floor, its hardware, what it rejected) only
/// the device can say.
pub(super) fn explain(
    bundle: &Bundle,
    problems: &[Problem],
    root: &RootRecord,
    plan: Digest,
    read: Option<&Plan>,
) -> Vec<Point> {
    vec![
        contents(problems),
        signatures(bundle, root),
        epoch(bundle, root),
        security(bundle, root),
        trial(read, root),
        certificate(bundle, root, plan),
    ]
}

/// What is in the file, apart from who has signed it.
fn contents(problems: &[Problem]) -> Point {
    let count = problems.iter().filter(|it| !matches!(it, Problem::Bundle(_))).count();
    if count == 0 {
        return Point::good("contents", "every payload is the one that is signed".to_owned());
    }
    Point::bad(
        "contents",
        format!("{count} problem(s), which stand above"),
        "copy the bundle again from where it was built",
    )
}

fn signatures(bundle: &Bundle, root: &RootRecord) -> Point {
    let counted = Envelope::parse(bundle.envelope(), BodyType::Manifest)
        .map(|envelope| envelope.signed_by(&root.release))
        .unwrap_or_default();
    let (got, needed) = (counted.len(), usize::from(root.release.threshold));
    let says = format!(
        "signed by {got} of {needed} needed release keys of root record {}: {}",
        root.version,
        if counted.is_empty() { "none".to_owned() } else { hints(&counted).join(", ") }
    );
    if got >= needed {
        return Point::good("signatures", says);
    }
    let missing: Vec<PublicKey> =
        root.release.keys.iter().filter(|key| !counted.contains(key)).copied().collect();
    let claimed: Vec<String> =
        bundle.signer_hints().iter().map(|hint| Hex(hint).to_string()).collect();
    let says = format!(
        "{says}; it names {}, and {} could sign",
        claimed.join(", "),
        hints(&missing).join(", ")
    );
    Point::bad(
        "signatures",
        says,
        "who builds signs it with such a key: noflake bundle create; or it is not for these devices",
    )
}

fn epoch(bundle: &Bundle, root: &RootRecord) -> Point {
    let (got, lowest) = (bundle.unverified_manifest().epoch, root.epochs.release);
    let says = format!("epoch {got}; {lowest} and later count");
    if got >= lowest {
        Point::good("epoch", says)
    } else {
        let remedy =
            "taken back by whoever holds the root: who builds signs it anew, if it is still meant";
        Point::bad("epoch", says, remedy)
    }
}

fn security(bundle: &Bundle, root: &RootRecord) -> Point {
    let got = bundle.unverified_manifest().security_version;
    let (lowest, step) = (root.policy.lowest_security_version, root.policy.max_security_step);
    let says = format!(
        "security version {got}; from {lowest}, at most {step} above what a device has confirmed"
    );
    if got < lowest {
        Point::bad("security", says, "take a bundle with a newer security version")
    } else {
        Point::good("security", says)
    }
}

/// What the plan asks of a trial; it is opened once the bundle is staged.
fn trial(plan: Option<&Plan>, root: &RootRecord) -> Point {
    const ABOUT: &str = "trial";
    let Some(plan) = plan else {
        return Point::unknown(ABOUT, "its plan cannot be read, so nobody knows".to_owned());
    };
    let timeouts = &plan.timeouts;
    if let Err(error) = timeouts.allowed_by(root) {
        return Point::bad(ABOUT, error.to_string(), AsksTooMuch::NEXT);
    }
    let asks = timeouts.asked().map(|asked: Asked| asked.to_string()).join(", ");
    Point::good(ABOUT, format!("the plan asks for {asks}; all of it is allowed"))
}

fn certificate(bundle: &Bundle, root: &RootRecord, plan: Digest) -> Point {
    let need = root.policy.certificate;
    let Some(level) = need.level() else {
        return Point::good("certificate", "none is needed".to_owned());
    };
    let when = if need.to_stage().is_some() { "anything is staged" } else { "it is confirmed" };
    let wanted = format!("one of level {level} or higher is needed before {when}");
    match fitting_certificate(&bundle.certificates(), root, plan) {
        Ok(_) => Point::good("certificate", format!("{wanted}; it carries one, for its own plan")),
        Err(error) => {
            let error = error.beside(bundle.stray_certificates());
            let says = format!("{wanted}; {}", sentence(&error));
            Point::bad("certificate", says, after_certificate(&error))
        }
    }
}

/// Who can do something about a certificate that does not count. One that is there and not signed may be damaged.
const fn after_certificate(error: &CertificateError) -> &'static str {
    if matches!(
        error,
        CertificateError::Statement(StatementError::Trust { .. }) | CertificateError::Stray { .. }
    ) {
        "copy the bundle again from where it was certified; else the holder of a qualify key signs once more: noflake bundle \
         certify"
    } else {
        "the bench qualifies it, and the holder of a qualify key signs that: noflake bundle certify"
    }
}
