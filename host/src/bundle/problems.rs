//! Every defect of a bundle, as data: one damaged payload does not hide the next.

use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::Variant;
use firmware_protocol::root::RootRecord;
use thiserror::Error;

use super::create::PlanDigest;
use super::error::BundleError;
use super::layout::PayloadRole;
use super::measure::{self, DEFAULT_BLOCK_BYTES, Measured};
use super::reader::Bundle;

/// One defect of a bundle.
#[derive(Debug, Error)]
pub enum Problem {
    /// Not signed by enough trusted keys, or not readable.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Bytes do not match a digest in the manifest.
    #[error("{what}: {which} is {got}, the manifest says {expected}")]
    Digest {
        /// Which bytes.
        what: String,
        /// Which digest of them.
        which: &'static str,
        /// As signed.
        expected: Digest,
        /// As found.
        got: Digest,
    },
    /// An attachment says that it is a certificate.
    #[error("{count} of its certificates are of another bundle, or no certificates")]
    Certificates {
        /// How many.
        count: usize,
    },
    /// The plan does not mean anything.
    #[error("the plan cannot be used: {reason}")]
    Plan {
        /// Why.
        reason: String,
    },
}

impl Bundle {
    /// Everything that is wrong with signatures, payloads and plan; empty when nothing is.
    #[must_use]
    pub fn check_problems(&self, root: &RootRecord, plan_digest: PlanDigest<'_>) -> Vec<Problem> {
        let mut problems: Vec<Problem> =
            self.check_signatures(root).err().into_iter().map(Problem::from).collect();
        problems.extend(self.check_payloads());
        problems.extend(self.check_plan(plan_digest));
        let count = self.stray_certificates();
        problems.extend((count > 0).then_some(Problem::Certificates { count }));
        problems
    }

    /// Reads every payload once and compares it with all its digests.
    #[must_use]
    pub fn check_payloads(&self) -> Vec<Problem> {
        let each = self.payloads().enumerate();
        each.flat_map(|(index, (role, payload))| {
            let block_bytes =
                self.variant(role).map_or(DEFAULT_BLOCK_BYTES, |form| form.block_size);
            let measured = self.payload(index).and_then(|mut reader| {
                measure::measure(&mut reader, block_bytes).map_err(|source| self.failed(source))
            });
            match measured {
                Ok(measured) => {
                    let what = self.describe(role);
                    compare(&what, payload.stored_digest, self.variant(role), &measured)
                }
                Err(error) => vec![error.into()],
            }
        })
        .collect()
    }

    fn check_plan(&self, plan_digest: PlanDigest<'_>) -> Option<Problem> {
        let expected = self.unverified_manifest().plan?.digest;
        let text = match self.plan_text() {
            Ok(text) => text?,
            // Its stored digest is reported with the other payloads.
            Err(BundleError::Damaged { .. }) => return None,
            Err(error) => return Some(error.into()),
        };
        match plan_digest(&text, &format!("{} (plan)", self.path().display())) {
            Err(reason) => Some(Problem::Plan { reason }),
            Ok(got) if got == expected.0 => None,
            Ok(got) => Some(Problem::Digest {
                what: self.describe(PayloadRole::Plan),
                which: "plan digest",
                expected,
                got: Digest(got),
            }),
        }
    }
}

fn compare(
    what: &str,
    stored: Digest,
    variant: Option<&Variant>,
    measured: &Measured,
) -> Vec<Problem> {
    let mut digests = vec![("stored digest", stored, measured.digest)];
    if let Some(variant) = variant {
        digests.push(("digest", variant.digest, measured.digest));
        digests.push((
            "block list digest",
            variant.block_list_digest,
            measured.block_list_digest(),
        ));
    }
    let differ = digests.into_iter().filter(|(_, expected, got)| expected != got);
    differ
        .map(|(which, expected, got)| Problem::Digest {
            what: what.to_owned(),
            which,
            expected,
            got,
        })
        .collect()
}
