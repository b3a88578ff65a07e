//! What a certificate says: this bundle passed this plan (TRUST.md, "Certificates").
//!
//! As in [`crate::manifest`] these types are only the meaning of bytes; [`crate::trust`] decides.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::{DecodeError, HardwareRange, MAX_HARDWARE, check, decode};

/// The word of the qualify role: a bundle, as judged by a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate<'a> {
    /// Product it is for.
    pub product: &'a str,
    /// Hardware on which it holds.
    #[serde(borrow)]
    pub hardware: Vec<HardwareRange<'a>, MAX_HARDWARE>,
    /// The bundle.
    pub bundle: Digest,
    /// The plan that judged it.
    pub plan: Digest,
    /// How it ended.
    pub verdict: CertifiedVerdict,
    /// How much was asked of it; what a level means is for the root's policy to say.
    pub level: u8,
    /// Held against the lowest that the root record lets count.
    pub epoch: u32,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub made_at_s: u64,
}

/// A verdict that is worth a certificate. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CertifiedVerdict {
    /// Every planned check passed.
    Qualified,
    /// Every required check passed, and some others deviated: the evidence lists them.
    QualifiedWithDeviations,
}

/// Decodes a certificate and checks the rules that hold for every one.
///
/// # Errors
/// When the body does not decode whole, or breaks a rule.
pub fn decode_certificate(body: &[u8]) -> Result<Certificate<'_>, DecodeError> {
    let certificate: Certificate<'_> = decode(body)?;
    check(!certificate.product.is_empty(), "a product is named")?;
    check(!certificate.hardware.is_empty(), "at least one hardware id is named")?;
    Ok(certificate)
}
