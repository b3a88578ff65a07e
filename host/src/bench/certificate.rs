//! Shows a device the certificate of the bundle before whatever may need it.

use firmware_protocol::refusal::Refusal;

use super::device::{Device, DeviceError};

/// The certificate of a run's bundle, as far as a device has seen it.
#[derive(Debug, Default)]
pub(super) struct ShownCertificate {
    bytes: Option<Vec<u8>>,
    refusal: Option<Refusal>,
}

impl ShownCertificate {
    /// `bytes` is its envelope, if there is one.
    pub(super) fn new(bytes: Option<Vec<u8>>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Shows it, also when the device has seen it before: a new root record may have come since, behind which nothing that was
    /// shown counts. A refusal stops nothing by itself: whether a certificate is needed is said by what is refused without one.
    ///
    /// # Errors
    /// When the device does not answer, or the session is gone.
    pub(super) async fn show(&mut self, device: &mut Device) -> Result<(), DeviceError> {
        let Some(bytes) = &self.bytes else { return Ok(()) };
        self.refusal = match device.certify(bytes).await {
            Ok(()) => None,
            Err(DeviceError::Refused(
                refusal @ (Refusal::StaleSession | Refusal::NoSession | Refusal::Busy),
            )) => return Err(DeviceError::Refused(refusal)),
            Err(DeviceError::Refused(refusal)) => Some(refusal),
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// What the device had against it, where that is why something else was refused.
    pub(super) fn behind(&self, refused: Refusal) -> Option<Refusal> {
        self.refusal.filter(|_| matches!(refused, Refusal::CertificateNeeded { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_certificate_is_the_reason_where_one_was_needed_and_nowhere_else() {
        let own = Refusal::UntrustedSignature { valid: 0, needed: 1 };
        let shown = ShownCertificate { bytes: Some(vec![1]), refusal: Some(own) };
        let needed = Refusal::CertificateNeeded { level: 1 };
        assert_eq!(shown.behind(needed), Some(own));
        assert_eq!(shown.behind(Refusal::Flash), None);
        assert_eq!(ShownCertificate::new(Some(vec![1])).behind(needed), None);
    }
}
