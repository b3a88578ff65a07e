//! Certificates on the host: made from what a run has shown, signed, and read back (TRUST.md, "Certificates").

use firmware_protocol::certificate::{Certificate, CertifiedVerdict, decode_certificate};
use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::HardwareRange;
use firmware_protocol::root::{CertificateNeed, RootRecord};
use firmware_protocol::trust::{BodyType, Envelope, HINT_BYTES, verify_certificate};
use thiserror::Error;

use super::signer::Signer;
use super::statement::{Kind, StatementError};

/// A certificate that was read: nobody has vouched for it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedCertificate {
    /// The envelope, as a device takes it.
    pub bytes: Vec<u8>,
    /// The bundle.
    pub bundle: Digest,
    /// The plan that judged it.
    pub plan: Digest,
    /// How it ended.
    pub verdict: CertifiedVerdict,
    /// How much was asked of it.
    pub level: u8,
    /// Its epoch.
    pub epoch: u32,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub made_at_s: u64,
    /// Hints of the keys that signed, or say they did.
    pub signer_hints: Vec<[u8; HINT_BYTES]>,
}

/// Why a certificate is not made, or does not count.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// More hardware ids than the format takes.
    #[error("the bundle names more hardware ids than a certificate takes")]
    TooMuchHardware,
    /// It was not made, or does not count under the root record.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Its level is too low.
    #[error("the certificate has level {got}, the root record wants {lowest} or higher")]
    Level {
        /// The certificate's.
        got: u8,
        /// The root record's.
        lowest: u8,
    },
    /// It is about another plan.
    #[error("the certificate is about plan {certified:.16}, this run is judged by plan {runs:.16}")]
    Plan {
        /// The plan that it was made for.
        certified: Digest,
        /// The plan of the run.
        runs: Digest,
    },
    /// There is none.
    #[error(
        "the root record wants a certificate of level {level} or higher, and the bundle carries none"
    )]
    None {
        /// Lowest level.
        level: u8,
    },
    /// What stands in its place is none.
    #[error(
        "the root record wants a certificate of level {level} or higher, and what the bundle carries as one is damaged or \
         about another bundle"
    )]
    Stray {
        /// Lowest level.
        level: u8,
    },
}

impl CertificateError {
    /// The same of a bundle that carries so many attachments which say that they are certificates, and are none of it.
    #[must_use]
    pub fn beside(self, strays: usize) -> Self {
        match self {
            Self::None { level } if strays > 0 => Self::Stray { level },
            other @ (Self::TooMuchHardware
            | Self::Statement(_)
            | Self::Level { .. }
            | Self::Plan { .. }
            | Self::None { .. }
            | Self::Stray { .. }) => other,
        }
    }
}

/// Signs a certificate; what comes back is what a device under `root` takes.
///
/// # Errors
/// When it breaks a rule of the format, a signer fails, or it is too long; when the signers do not meet the threshold
/// of the qualify role, or its epoch is over.
pub fn sign_certificate(
    certificate: &Certificate<'_>,
    signers: &[&dyn Signer],
    root: &RootRecord,
) -> Result<Vec<u8>, CertificateError> {
    let bytes =
        Kind::Certificate.sign(certificate, |body| decode_certificate(body).map(drop), signers)?;
    counts(&bytes, certificate.epoch, root)?;
    Ok(bytes)
}

/// Says whether a certificate counts at all under `root`, whatever it is about.
fn counts(bytes: &[u8], epoch: u32, root: &RootRecord) -> Result<(), StatementError> {
    Kind::Certificate.counts(verify_certificate(bytes, root), epoch, root.epochs.qualify)
}

/// Hardware ids with first and last revision, as a certificate holds them.
///
/// # Errors
/// When there are too many.
pub fn certified_hardware<'a>(
    ranges: impl Iterator<Item = HardwareRange<'a>>,
) -> Result<heapless::Vec<HardwareRange<'a>, 4>, CertificateError> {
    let mut hardware = heapless::Vec::new();
    for range in ranges {
        hardware.push(range).map_err(|_| CertificateError::TooMuchHardware)?;
    }
    Ok(hardware)
}

impl CarriedCertificate {
    /// Takes a certificate's envelope apart; `None` when it is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let envelope = Envelope::parse(bytes, BodyType::Certificate).ok()?;
        let claims = decode_certificate(envelope.body()).ok()?;
        let Certificate { bundle, plan, verdict, level, epoch, made_at_s, .. } = claims;
        Some(Self {
            bytes: bytes.to_vec(),
            bundle,
            plan,
            verdict,
            level,
            epoch,
            made_at_s,
            signer_hints: envelope.hints().collect(),
        })
    }

    /// Says whether devices that are enrolled under `root` will let it count for a run by `plan`.
    ///
    /// # Errors
    /// The first thing that speaks against it.
    pub fn check(&self, root: &RootRecord, plan: Digest) -> Result<(), CertificateError> {
        counts(&self.bytes, self.epoch, root)?;
        let (got, lowest) = (self.level, root.policy.certificate.level().unwrap_or(0));
        if got < lowest {
            return Err(CertificateError::Level { got, lowest });
        }
        if self.plan != plan {
            return Err(CertificateError::Plan { certified: self.plan, runs: plan });
        }
        Ok(())
    }
}

/// The one of `carried` that a device under `root` will take for a run by `plan`; `None` where none is needed and
/// none fits.
///
/// # Errors
/// When one is needed: what speaks against the best there is.
pub fn fitting_certificate<'a>(
    carried: &'a [CarriedCertificate],
    root: &RootRecord,
    plan: Digest,
) -> Result<Option<&'a CarriedCertificate>, CertificateError> {
    let mut best: Option<&CarriedCertificate> = None;
    let mut against = None;
    for certificate in carried {
        match certificate.check(root, plan) {
            Ok(()) if best.is_none_or(|best| best.level < certificate.level) => {
                best = Some(certificate);
            }
            Ok(()) => {}
            Err(error) => against = Some(error),
        }
    }
    match (best, root.policy.certificate) {
        (Some(best), _) => Ok(Some(best)),
        (None, CertificateNeed::Never) => Ok(None),
        (None, need) => {
            let level = need.level().unwrap_or(0);
            Err(against.unwrap_or(CertificateError::None { level }))
        }
    }
}

#[cfg(test)]
mod tests {
    use firmware_protocol::root::Policy;

    use super::super::root::{RootKeys, first_root, role_keys};
    use super::super::test_signer;
    use super::*;

    const BUNDLE: Digest = Digest([1; 32]);
    const PLAN: Digest = Digest([2; 32]);

    /// Seed 3 signs for the qualify role.
    fn root(need: CertificateNeed) -> RootRecord {
        under(need, 3)
    }

    fn under(need: CertificateNeed, qualify: u8) -> RootRecord {
        let keys = |seed| [test_signer(seed).public_key()];
        let (root, release, qualify) = (keys(1), keys(2), keys(qualify));
        let one = |keys| RootKeys { keys, threshold: 1 };
        let first = first_root(one(&root), one(&release), 1).unwrap();
        let policy = Policy { certificate: need, ..Policy::default() };
        RootRecord { qualify: role_keys(one(&qualify)).unwrap(), policy, ..first }
    }

    fn claims(plan: Digest, level: u8, epoch: u32) -> Certificate<'static> {
        let range = HardwareRange { id: "board", first_revision: 1, last_revision: 2 };
        Certificate {
            product: "rover",
            hardware: certified_hardware([range].into_iter()).unwrap(),
            bundle: BUNDLE,
            plan,
            verdict: CertifiedVerdict::Qualified,
            level,
            epoch,
            made_at_s: 5,
        }
    }

    fn carried(plan: Digest, level: u8, seed: u8) -> CarriedCertificate {
        let certificate = claims(plan, level, 0);
        let signed = sign_certificate(
            &certificate,
            &[&test_signer(seed)],
            &under(CertificateNeed::Never, seed),
        );
        let signed = signed.unwrap();
        let read = CarriedCertificate::parse(&signed).unwrap();
        assert_eq!((read.bundle, read.plan, read.level, read.made_at_s), (BUNDLE, plan, level, 5));
        read
    }

    /// What no device would let count is not made.
    #[test]
    fn a_certificate_below_its_threshold_or_epoch_is_not_made() {
        let certificate = claims(PLAN, 1, 1);
        let signers = [test_signer(3), test_signer(4)];
        let keys = [signers[0].public_key(), signers[1].public_key()];
        let two = role_keys(RootKeys { keys: &keys, threshold: 2 }).unwrap();
        let root = RootRecord { qualify: two, ..root(CertificateNeed::Never) };
        let sign = |signers: &[&dyn Signer], root: &RootRecord| {
            sign_certificate(&certificate, signers, root)
        };
        for alone in [&[&signers[0] as &dyn Signer][..], &[&signers[0], &signers[0]]] {
            assert!(matches!(
                sign(alone, &root),
                Err(CertificateError::Statement(StatementError::Trust { .. }))
            ));
        }
        let both: [&dyn Signer; 2] = [&signers[0], &signers[1]];
        assert!(sign(&both, &root).is_ok());
        let epochs = firmware_protocol::root::Epochs { qualify: 2, ..Default::default() };
        let over = sign(&both, &RootRecord { epochs, ..root });
        assert!(matches!(
            over,
            Err(CertificateError::Statement(StatementError::Epoch { got: 1, lowest: 2, .. }))
        ));
    }

    #[test]
    fn the_highest_level_that_counts_is_taken() {
        let root = root(CertificateNeed::BeforeStage { level: 2 });
        let other_plan = Digest([9; 32]);
        let all = [
            carried(PLAN, 2, 3),
            carried(PLAN, 4, 3),
            carried(PLAN, 9, 4),
            carried(other_plan, 9, 3),
        ];
        let best = fitting_certificate(&all, &root, PLAN).unwrap().unwrap();
        assert_eq!(best.level, 4);
    }

    #[test]
    fn what_speaks_against_it_is_said_where_one_is_needed() {
        let need = CertificateNeed::BeforeConfirm { level: 3 };
        let against = |carried: &[CarriedCertificate]| {
            fitting_certificate(carried, &root(need), PLAN).unwrap_err()
        };
        assert!(matches!(against(&[]), CertificateError::None { level: 3 }));
        assert!(matches!(
            against(&[carried(PLAN, 3, 4)]),
            CertificateError::Statement(StatementError::Trust { .. })
        ));
        let low = against(&[carried(PLAN, 2, 3)]);
        assert!(matches!(low, CertificateError::Level { got: 2, lowest: 3 }));
        let other = against(&[carried(Digest([9; 32]), 3, 3)]);
        assert!(matches!(other, CertificateError::Plan { .. }));
        let raised = RootRecord {
            epochs: firmware_protocol::root::Epochs { qualify: 1, ..Default::default() },
            ..root(need)
        };
        let old = fitting_certificate(&[carried(PLAN, 3, 3)], &raised, PLAN).unwrap_err();
        assert!(matches!(
            old,
            CertificateError::Statement(StatementError::Epoch { got: 0, lowest: 1, .. })
        ));
        let stray = [carried(PLAN, 2, 4)];
        let free = fitting_certificate(&stray, &root(CertificateNeed::Never), PLAN);
        assert_eq!(free.unwrap(), None, "none is needed");
    }
}
