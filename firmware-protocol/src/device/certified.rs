//! The certificate that a root record may want to see (TRUST.md, "Certificates").
//!
//! Nothing of it is stored: it is shown in the boot in which it is needed, and what counts of it is kept until the next one.

use crate::digest::Digest;
use crate::flash::Flash;
use crate::message::How;
use crate::planted::Defence;
use crate::refusal::Refusal;
use crate::trust;

use super::admission::{fits_product, not_taken_back};
use super::requests::{Answer, done};
use super::{Board, Device};

/// What a certificate was shown for in this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Certified {
    bundle: Digest,
    plan: Digest,
    level: u8,
}

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    /// Takes the offered document as a certificate.
    pub(super) fn certify(&mut self) -> Result<Answer<'static>, Refusal> {
        let root = self.root()?;
        let document = self.window.as_ref().get(..self.document_bytes).unwrap_or_default();
        let certificate = trust::verify_certificate(document, &root)?;
        let claims = certificate.claims();
        fits_product(claims.product, &claims.hardware, self.board.info())?;
        not_taken_back(claims.epoch, root.epochs.qualify)?;
        let (bundle, plan, level) = (claims.bundle, claims.plan, claims.level);
        self.certified = Some(Certified { bundle, plan, level });
        done(How::Done)
    }
}

/// Holds what was shown against the level that is wanted of this bundle, if one is.
pub(super) fn is_certified(
    shown: Option<Certified>,
    wanted: Option<u8>,
    bundle: Digest,
) -> Result<(), Refusal> {
    let Some(lowest) = wanted.filter(|_| !Defence::Certificates.is_off()) else { return Ok(()) };
    match shown.filter(|shown| shown.bundle == bundle) {
        None => Err(Refusal::CertificateNeeded { level: lowest }),
        Some(Certified { level: got, .. }) if got < lowest => {
            Err(Refusal::CertificateLevel { got, lowest })
        }
        Some(_) => Ok(()),
    }
}

/// As [`is_certified`], for a trial by this plan.
pub(super) fn is_certified_by(
    shown: Option<Certified>,
    wanted: Option<u8>,
    (bundle, plan): (Digest, Digest),
) -> Result<(), Refusal> {
    is_certified(shown, wanted, bundle)?;
    match (wanted, shown) {
        (Some(_), Some(shown)) if shown.plan != plan => Err(Refusal::CertificatePlan),
        _ => Ok(()),
    }
}
