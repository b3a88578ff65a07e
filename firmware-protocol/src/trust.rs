//! From signed bytes to claims that may be acted on: the only way in (BUNDLE.md, "Envelope").
//!
//! An envelope is `domain, type, body length, body, signature count, (key hint, signature)...`. The
//! signatures cover everything before their count *as received*: nothing signed is ever encoded
//! again. A [`Verified`] can only be made here, by counting unique trusted keys whose strict
//! signature holds.

use heapless::Vec;
use thiserror::Error;

use crate::bench_reset::{BenchReset, decode_bench_reset};
use crate::certificate::{Certificate, decode_certificate};
use crate::curve::{Chosen, Curve as _};
use crate::delegation::{Delegation, decode_delegation};
use crate::digest::Digest;
use crate::manifest::{self, DecodeError, Manifest};
use crate::planted::{Defence, decided};
use crate::refusal::Refusal;
use crate::root::{self, MAX_KEYS, PublicKey, RoleKeys, RootRecord};
use crate::twice::twice;

/// First bytes of every envelope: keeps these signatures apart from all others a key may make.
pub const DOMAIN: [u8; 16] = *b"noflake-signed-1";
/// Longest envelope, in bytes.
pub const MAX_ENVELOPE_BYTES: usize = 4096;
/// Most signatures on one envelope.
pub const MAX_SIGNATURES: usize = 8;
/// Length of a key hint: the first bytes of the SHA-256 of the public key.
pub const HINT_BYTES: usize = 8;

const SIGNATURE_BYTES: usize = 64;
const BODY_AT: usize = 21;

/// What an envelope's body is. The number is signed: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BodyType {
    /// A root record.
    Root = 1,
    /// A bundle's manifest.
    Manifest = 2,
    /// A certificate.
    Certificate = 3,
    /// A delegation.
    Delegation = 4,
    /// A bench reset.
    BenchReset = 5,
}

/// Why bytes are not an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// The bytes end before the envelope does.
    #[error("the envelope is cut short")]
    Truncated,
    /// It does not start as an envelope does.
    #[error("not a signed noflake document")]
    Domain,
    /// It is signed as something else.
    #[error("signed as type {got}, expected type {expected}")]
    Type {
        /// Type needed here.
        expected: u8,
        /// Type signed.
        got: u8,
    },
    /// A length is outside its bounds.
    #[error("a length in the envelope is out of bounds")]
    Length,
    /// Bytes are left behind it.
    #[error("bytes are left behind the envelope")]
    Trailing,
}

/// A parsed envelope: nobody has vouched for it yet.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    signed: &'a [u8],
    body: &'a [u8],
    signatures: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Takes an envelope of type `expected` apart; `bytes` hold it and nothing else.
    ///
    /// # Errors
    /// When the bytes are no envelope of this type.
    pub fn parse(bytes: &'a [u8], expected: BodyType) -> Result<Self, EnvelopeError> {
        let (envelope, rest) = Self::parse_front(bytes, expected)?;
        if rest.is_empty() { Ok(envelope) } else { Err(EnvelopeError::Trailing) }
    }

    /// Takes the envelope at the front of `bytes` apart and gives what stands behind it.
    ///
    /// # Errors
    /// When the front is no envelope of this type.
    pub fn parse_front(
        bytes: &'a [u8],
        expected: BodyType,
    ) -> Result<(Self, &'a [u8]), EnvelopeError> {
        let (head, rest) = bytes.split_first_chunk::<BODY_AT>().ok_or(EnvelopeError::Truncated)?;
        let (domain, tail) = head.split_at(DOMAIN.len());
        let &[got, a, b, c, d] = tail else { return Err(EnvelopeError::Truncated) };
        if domain != DOMAIN {
            return Err(EnvelopeError::Domain);
        }
        if got != expected as u8 {
            return Err(EnvelopeError::Type { expected: expected as u8, got });
        }
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d]))
            .ok()
            .filter(|length| *length <= MAX_ENVELOPE_BYTES)
            .ok_or(EnvelopeError::Length)?;
        let (body, rest) = rest.split_at_checked(length).ok_or(EnvelopeError::Truncated)?;
        let (count, rest) = rest.split_first().ok_or(EnvelopeError::Truncated)?;
        if usize::from(*count) > MAX_SIGNATURES {
            return Err(EnvelopeError::Length);
        }
        let signatures_len = usize::from(*count).saturating_mul(HINT_BYTES + SIGNATURE_BYTES);
        let (signatures, rest) =
            rest.split_at_checked(signatures_len).ok_or(EnvelopeError::Truncated)?;
        let signed = bytes.get(..BODY_AT.saturating_add(length)).ok_or(EnvelopeError::Truncated)?;
        Ok((Self { signed, body, signatures }, rest))
    }

    /// The bytes that signatures cover.
    #[must_use]
    pub const fn signed(&self) -> &'a [u8] {
        self.signed
    }

    /// The body as received. Not verified: look, do not act.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// SHA-256 of the body as received; a manifest's is the bundle digest.
    #[must_use]
    pub fn body_digest(&self) -> Digest {
        Digest::of(self.body)
    }

    /// Key hints of the signatures, in order: they name keys and prove nothing.
    pub fn hints(&self) -> impl Iterator<Item = [u8; HINT_BYTES]> + use<'a> {
        self.signatures().map(|(hint, _)| hint)
    }

    /// The unique keys of `role` whose signature over the received bytes holds: each verified strictly, as a
    /// device does before it believes the document.
    #[must_use]
    pub fn signed_by(&self, role: &RoleKeys) -> Vec<PublicKey, MAX_KEYS> {
        self.valid_keys(role, verify)
    }

    /// The unique keys of `role` whose signature holds.
    ///
    /// Every signature is checked under the one key that its hint names, and a key that counts is
    /// not checked again: at most [`MAX_SIGNATURES`] checks, whatever the envelope says. A wrong hint
    /// makes a signature worthless, never more than it is.
    fn valid_keys(
        &self,
        role: &RoleKeys,
        mut holds: impl FnMut(&PublicKey, &[u8], &[u8; SIGNATURE_BYTES]) -> bool,
    ) -> Vec<PublicKey, MAX_KEYS> {
        let mut keys: Vec<_, MAX_KEYS> =
            role.keys.iter().map(|key| (key_hint(key), key, false)).collect();
        for (hint, signature) in self.signatures() {
            let named = keys.iter_mut().find(|(of, _, counted)| *of == hint && !*counted);
            if let Some((_, key, counted)) = named {
                *counted = holds(key, self.signed, &signature);
            }
        }
        keys.into_iter().filter(|(_, _, counted)| *counted).map(|(_, key, _)| *key).collect()
    }

    /// The signatures, each behind the hint of the key that made it; none of them checked.
    pub fn signatures(
        &self,
    ) -> impl Iterator<Item = ([u8; HINT_BYTES], [u8; SIGNATURE_BYTES])> + use<'a> {
        self.signatures.chunks_exact(HINT_BYTES + SIGNATURE_BYTES).filter_map(|entry| {
            let (hint, signature) = entry.split_first_chunk::<HINT_BYTES>()?;
            Some((*hint, *signature.first_chunk::<SIGNATURE_BYTES>()?))
        })
    }
}

/// Something whose signatures met their role's threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    claims: T,
    digest: Digest,
}

impl<T> Verified<T> {
    /// What was signed.
    pub const fn claims(&self) -> &T {
        &self.claims
    }

    /// SHA-256 of the signed body.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

/// Why an envelope was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TrustError {
    /// Not an envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Too few signatures count.
    #[error("{valid} of {needed} needed signatures are by trusted keys and correct")]
    Signatures {
        /// Unique trusted keys whose signature holds.
        valid: u8,
        /// Threshold of the role.
        needed: u8,
    },
    /// Signed, and not what it should be.
    #[error("the signed body {0}")]
    Body(#[from] DecodeError),
}

impl From<TrustError> for Refusal {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::Envelope(_) | TrustError::Body(_) => Self::Malformed,
            TrustError::Signatures { valid, needed } => Self::UntrustedSignature { valid, needed },
        }
    }
}

/// Verifies a manifest envelope under the release keys.
///
/// # Errors
/// When it is no envelope, too few release keys signed it, or its body breaks the format.
pub fn verify_manifest<'a>(
    bytes: &'a [u8],
    root: &RootRecord,
) -> Result<Verified<Manifest<'a>>, TrustError> {
    released(&Envelope::parse(bytes, BodyType::Manifest)?, root)
}

/// Verifies the envelope of a manifest under the release keys.
///
/// # Errors
/// When too few release keys signed it, or its body breaks the format.
pub fn released<'a>(
    envelope: &Envelope<'a>,
    root: &RootRecord,
) -> Result<Verified<Manifest<'a>>, TrustError> {
    if !Defence::ReleaseSignatures.is_off() {
        meet_threshold(envelope, &root.release)?;
    }
    let claims = manifest::decode_manifest(envelope.body)?;
    Ok(Verified { claims, digest: envelope.body_digest() })
}

/// Verifies a certificate under the qualify keys.
///
/// # Errors
/// When it is no envelope, too few qualify keys signed it, or its body breaks the format.
pub fn verify_certificate<'a>(
    bytes: &'a [u8],
    root: &RootRecord,
) -> Result<Verified<Certificate<'a>>, TrustError> {
    let envelope = Envelope::parse(bytes, BodyType::Certificate)?;
    meet_threshold(&envelope, &root.qualify)?;
    let claims = decode_certificate(envelope.body)?;
    Ok(Verified { claims, digest: envelope.body_digest() })
}

/// Verifies a delegation under the operate keys.
///
/// # Errors
/// When it is no envelope, too few operate keys signed it, or its body breaks the format.
pub fn verify_delegation<'a>(
    bytes: &'a [u8],
    root: &RootRecord,
) -> Result<Verified<Delegation<'a>>, TrustError> {
    let envelope = Envelope::parse(bytes, BodyType::Delegation)?;
    meet_threshold(&envelope, &root.operate)?;
    let claims = decode_delegation(envelope.body)?;
    Ok(Verified { claims, digest: envelope.body_digest() })
}

/// Verifies a bench reset under the qualify keys.
///
/// # Errors
/// When it is no envelope, too few qualify keys signed it, or its body breaks the format.
pub fn verify_bench_reset<'a>(
    bytes: &'a [u8],
    root: &RootRecord,
) -> Result<Verified<BenchReset<'a>>, TrustError> {
    let envelope = Envelope::parse(bytes, BodyType::BenchReset)?;
    meet_threshold(&envelope, &root.qualify)?;
    let claims = decode_bench_reset(envelope.body)?;
    Ok(Verified { claims, digest: envelope.body_digest() })
}

/// Verifies a first root record: it must be signed under its own root keys. That proves that whoever
/// made it holds the keys it names; whom a device should believe is decided by who may enrol it.
///
/// # Errors
/// When it is no envelope, its own root keys did not sign it, or its body breaks the format.
pub fn verify_first_root(bytes: &[u8]) -> Result<Verified<RootRecord>, TrustError> {
    let envelope = Envelope::parse(bytes, BodyType::Root)?;
    let claims = root::decode_root(envelope.body)?;
    meet_threshold(&envelope, &claims.root)?;
    Ok(Verified { claims, digest: envelope.body_digest() })
}

/// Why a document is not the root record that follows the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NextRootError {
    /// Too few of the root keys in force signed it.
    #[error("not signed by enough root keys in force")]
    Stranger,
    /// It is not the next one.
    #[error("root record {got}, expected {expected}")]
    Version {
        /// The one behind the one in force.
        expected: u32,
        /// What it says.
        got: u32,
    },
    /// It is no root record, or its own keys did not sign it.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Verifies the root record that follows `current`: its version is the next one, and enough keys signed it of
/// those in force and of those it names (TRUST.md, "A new root record").
///
/// # Errors
/// The first of these that does not hold.
pub fn verify_next_root(
    bytes: &[u8],
    current: &RootRecord,
) -> Result<Verified<RootRecord>, NextRootError> {
    let envelope = Envelope::parse(bytes, BodyType::Root).map_err(TrustError::from)?;
    let succeeds = !Defence::RootSuccession.is_off();
    if succeeds {
        meet_threshold(&envelope, &current.root).map_err(|_| NextRootError::Stranger)?;
    }
    let claims = root::decode_root(envelope.body).map_err(TrustError::from)?;
    let expected = current.version.saturating_add(1);
    if succeeds && (claims.version != expected || claims.version == current.version) {
        return Err(NextRootError::Version { expected, got: claims.version });
    }
    meet_threshold(&envelope, &claims.root)?;
    Ok(Verified { claims, digest: envelope.body_digest() })
}

/// SHA-256 of the body of a root record's envelope. Nobody has vouched for it yet.
///
/// # Errors
/// When it is no envelope of a root record.
pub fn root_digest(bytes: &[u8]) -> Result<Digest, TrustError> {
    Ok(Envelope::parse(bytes, BodyType::Root)?.body_digest())
}

/// The root record at the front of `bytes`, if there is a whole one that its own keys
/// signed; what stands behind it does not matter.
#[must_use]
pub fn stored_root(bytes: &[u8]) -> Option<Verified<RootRecord>> {
    let (_, rest) = Envelope::parse_front(bytes, BodyType::Root).ok()?;
    let envelope = bytes.get(..bytes.len().checked_sub(rest.len())?)?;
    verify_first_root(envelope).ok()
}

/// Takes back a root record that was verified before and whose digest was recorded then.
///
/// # Errors
/// When the bytes are not those of the recorded digest.
pub fn admitted_root(bytes: &[u8], recorded: Digest) -> Result<Verified<RootRecord>, TrustError> {
    let (envelope, _) = Envelope::parse_front(bytes, BodyType::Root)?;
    if envelope.body_digest() != recorded {
        return Err(TrustError::Body(DecodeError::Rule("its digest is the recorded one")));
    }
    Ok(Verified { claims: root::decode_root(envelope.body)?, digest: recorded })
}

/// Takes back a manifest that was admitted before and whose digest was recorded then.
///
/// # Errors
/// When the bytes are not those of the recorded digest.
pub fn admitted_manifest(
    bytes: &[u8],
    recorded: Digest,
) -> Result<Verified<Manifest<'_>>, TrustError> {
    let (envelope, _) = Envelope::parse_front(bytes, BodyType::Manifest)?;
    if !twice(|| envelope.body_digest() == recorded) {
        return Err(TrustError::Body(DecodeError::Rule("its digest is the recorded one")));
    }
    Ok(Verified { claims: manifest::decode_manifest(envelope.body)?, digest: recorded })
}

/// The hint that stands before a signature by `key`.
#[must_use]
pub fn key_hint(key: &PublicKey) -> [u8; HINT_BYTES] {
    let mut hint = [0; HINT_BYTES];
    for (place, byte) in hint.iter_mut().zip(Digest::of(key).0) {
        *place = byte;
    }
    hint
}

fn meet_threshold(envelope: &Envelope<'_>, role: &RoleKeys) -> Result<(), TrustError> {
    let valid = if Defence::UniqueKeys.is_off() {
        let holds = |(_, signature): &([u8; HINT_BYTES], [u8; SIGNATURE_BYTES])| {
            role.keys.iter().any(|key| verify(key, envelope.signed, signature))
        };
        envelope.signatures().filter(holds).count()
    } else {
        envelope.signed_by(role).len()
    };
    let valid = u8::try_from(valid).unwrap_or(u8::MAX);
    // A role that is not used has a threshold of zero, and nobody speaks for it.
    if decided(valid >= role.threshold && role.threshold > 0) {
        Ok(())
    } else {
        Err(TrustError::Signatures { valid, needed: role.threshold })
    }
}

/// Strict Ed25519: refuses small-order keys and points, and non-canonical encodings.
fn verify(key: &PublicKey, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
    decided(Chosen::verify(key, message, signature))
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    /// Eight signatures that all name a key of the role, or none, under five keys: eight checks.
    #[test]
    fn no_envelope_costs_more_checks_than_it_has_signatures() {
        let keys: Vec<PublicKey, MAX_KEYS> = (0..5).map(|n| [n; 32]).collect();
        let role = RoleKeys { keys, threshold: 5 };
        for named in 0..7_u8 {
            let mut bytes = DOMAIN.to_vec();
            bytes.extend([BodyType::Manifest as u8, 0, 0, 0, 0, 8]);
            for _ in 0..8 {
                bytes.extend(key_hint(&[named; 32]));
                bytes.extend([0; SIGNATURE_BYTES]);
            }
            let envelope = Envelope::parse(&bytes, BodyType::Manifest).unwrap();
            let mut checked = vec![];
            let valid = envelope.valid_keys(&role, |key, _, _| {
                checked.push(*key);
                false
            });
            let expected = if named < 5 { MAX_SIGNATURES } else { 0 };
            assert_eq!((valid.len(), checked.len()), (0, expected), "key {named}");
            let mut checks = 0;
            let valid = envelope.valid_keys(&role, |_, _, _| {
                checks += 1;
                true
            });
            assert!(valid.len() == checks && checks <= 1, "a key that counts is not checked again");
        }
    }
}
