//! Puts a body into a signed envelope (BUNDLE.md, "Envelope"); the reader is
//! [`firmware_protocol::trust::Envelope`].

use firmware_protocol::trust::{
    BodyType, DOMAIN, HINT_BYTES, MAX_ENVELOPE_BYTES, MAX_SIGNATURES, key_hint,
};
use thiserror::Error;

use super::signer::{Signer, SignerError};

/// Why a body was not sealed.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// Nobody signs.
    #[error("a signed document needs at least one signature")]
    Unsigned,
    /// More signers than an envelope takes.
    #[error("{got} signatures, an envelope takes {MAX_SIGNATURES} at most")]
    TooManySigners {
        /// Signers given.
        got: usize,
    },
    /// A device would not take it.
    #[error("the signed document has {got} bytes, devices take {MAX_ENVELOPE_BYTES} at most")]
    TooLong {
        /// Length with its signatures, in bytes.
        got: usize,
    },
    /// A signer gave no signature.
    #[error("failed to sign")]
    Signer(#[from] SignerError),
}

/// Signs `body` as a document of type `body_type`, once by each signer, in their order.
///
/// # Errors
/// When there is no signer or too many, the result is too long for a device, or a signer fails.
pub fn seal(
    body_type: BodyType,
    body: &[u8],
    signers: &[&dyn Signer],
) -> Result<Vec<u8>, EncodeError> {
    if signers.is_empty() {
        return Err(EncodeError::Unsigned);
    }
    let signed = signed_bytes(body_type, body)?;
    // Nobody is asked to sign what no device takes.
    refuse_overlong(signed.len(), signers.len())?;
    let mut signatures = Vec::new();
    for signer in signers {
        signatures.push((key_hint(&signer.public_key()), signer.sign(&signed)?));
    }
    assemble(body_type, body, &signatures)
}

/// What signatures of `body` cover.
///
/// # Errors
/// When it is too long for a device.
pub(super) fn signed_bytes(body_type: BodyType, body: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let length = u32::try_from(body.len()).map_err(|_| EncodeError::TooLong { got: body.len() })?;
    let mut signed = DOMAIN.to_vec();
    signed.push(body_type as u8);
    signed.extend_from_slice(&length.to_le_bytes());
    signed.extend_from_slice(body);
    Ok(signed)
}

/// Puts `body` and its signatures together.
///
/// # Errors
/// When there are too many, or the result is too long for a device.
pub(super) fn assemble(
    body_type: BodyType,
    body: &[u8],
    signatures: &[([u8; HINT_BYTES], [u8; 64])],
) -> Result<Vec<u8>, EncodeError> {
    let mut envelope = signed_bytes(body_type, body)?;
    envelope.push(refuse_overlong(envelope.len(), signatures.len())?);
    for (hint, signature) in signatures {
        envelope.extend_from_slice(hint);
        envelope.extend_from_slice(signature);
    }
    Ok(envelope)
}

/// The number of signatures as an envelope holds it, when that has room for them behind `signed_bytes`.
fn refuse_overlong(signed_bytes: usize, signatures: usize) -> Result<u8, EncodeError> {
    let Some(count) = u8::try_from(signatures).ok().filter(|_| signatures <= MAX_SIGNATURES) else {
        return Err(EncodeError::TooManySigners { got: signatures });
    };
    let got = signatures
        .saturating_mul(HINT_BYTES.saturating_add(64))
        .saturating_add(signed_bytes)
        .saturating_add(1);
    if got > MAX_ENVELOPE_BYTES { Err(EncodeError::TooLong { got }) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use firmware_protocol::trust::Envelope;

    use super::super::signer::tests::signer;
    use super::*;

    #[test]
    fn a_sealed_body_parses_as_its_own_type_only() {
        let (one, two) = (signer(1), signer(2));
        let bytes = seal(BodyType::Root, b"body", &[&one, &two]).unwrap();
        let envelope = Envelope::parse(&bytes, BodyType::Root).unwrap();
        assert_eq!(envelope.body(), b"body");
        let hints: Vec<_> = envelope.hints().collect();
        assert_eq!(hints, [key_hint(&one.public_key()), key_hint(&two.public_key())]);
        assert!(Envelope::parse(&bytes, BodyType::Manifest).is_err());
    }

    #[test]
    fn an_envelope_is_signed_by_one_to_eight_and_fits_a_device() {
        let one = signer(1);
        let nine: Vec<&dyn Signer> = vec![&one; 9];
        assert!(matches!(seal(BodyType::Root, b"", &[]), Err(EncodeError::Unsigned)));
        assert!(matches!(
            seal(BodyType::Root, b"", &nine),
            Err(EncodeError::TooManySigners { got: 9 })
        ));
        let long = vec![0; MAX_ENVELOPE_BYTES];
        assert!(matches!(seal(BodyType::Root, &long, &[&one]), Err(EncodeError::TooLong { .. })));
    }
}
