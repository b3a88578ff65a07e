//! A root record on its way to its signatures: written down once, signed by each holder on a machine of their own, and
//! put together from copies (TRUST.md, "A new root record").
//!
//! Its file is the envelope that devices take, with fewer signatures so far.

use std::path::Path;

use firmware_protocol::digest::Digest;
use firmware_protocol::root::{PublicKey, RoleKeys, RootRecord, decode_root};
use firmware_protocol::trust::{
    BodyType, Envelope, HINT_BYTES, MAX_ENVELOPE_BYTES, TrustError, key_hint,
};

use super::envelope::{EncodeError, assemble, signed_bytes};
use super::root::{RootError, encode_root};
use super::signer::Signer;
use crate::input;

/// One signature, behind the hint of its key.
type Signature = ([u8; HINT_BYTES], [u8; 64]);

/// A root record with the signatures that it has so far.
#[derive(Debug, Clone)]
pub struct RootDraft {
    record: RootRecord,
    body: Vec<u8>,
    signatures: Vec<Signature>,
}

/// Who has signed for one role, of those who have to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The keys whose signatures hold.
    pub by: Vec<PublicKey>,
    /// The keys of the role that have not signed.
    pub not_by: Vec<PublicKey>,
    /// How many have to.
    pub needed: u8,
}

impl Signed {
    /// How many signatures are missing.
    #[must_use]
    pub fn missing(&self) -> usize {
        usize::from(self.needed).saturating_sub(self.by.len())
    }
}

impl RootDraft {
    /// Writes a root record down, unsigned.
    ///
    /// # Errors
    /// When it breaks a rule of the format.
    pub fn new(record: RootRecord) -> Result<Self, RootError> {
        let body = encode_root(&record)?;
        Ok(Self { record, body, signatures: Vec::new() })
    }

    /// Reads the file at `path`, whoever has signed it.
    ///
    /// # Errors
    /// When the file is not readable, or no root record.
    pub fn read(path: &Path) -> Result<Self, RootError> {
        let failed = |source| RootError::Read { path: path.to_path_buf(), source };
        let limit = u64::try_from(MAX_ENVELOPE_BYTES).unwrap_or(u64::MAX);
        let bytes = input::read(path, limit).map_err(failed)?;
        Self::parse(&bytes).map_err(|source| RootError::Trust { path: path.to_path_buf(), source })
    }

    fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let envelope = Envelope::parse(bytes, BodyType::Root)?;
        let record = decode_root(envelope.body())?;
        let signatures = envelope.signatures().collect();
        Ok(Self { record, body: envelope.body().to_vec(), signatures })
    }

    /// What it says.
    #[must_use]
    pub const fn record(&self) -> &RootRecord {
        &self.record
    }

    /// Digest of what is signed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.body)
    }

    /// Adds a signature, in place of an older one by the same key; false when one that holds was there already.
    ///
    /// # Errors
    /// When the key is none of this record's or of `after`'s, the signer fails, or there is no room.
    pub fn sign(
        &mut self,
        signer: &dyn Signer,
        after: Option<&RootRecord>,
    ) -> Result<bool, RootError> {
        let key = signer.public_key();
        if self.has_signed(&key, after)? {
            return Ok(false);
        }
        let message = signed_bytes(BodyType::Root, &self.body).map_err(RootError::Seal)?;
        let signature =
            signer.sign(&message).map_err(|error| RootError::Seal(EncodeError::Signer(error)))?;
        let hint = key_hint(&key);
        self.signatures.retain(|(of, _)| *of != hint);
        self.signatures.push((hint, signature));
        self.bytes().map(|_| true)
    }

    /// Whether a holder has signed it.
    ///
    /// # Errors
    /// When the key is none of this record's or of `after`'s.
    pub fn has_signed(
        &self,
        key: &PublicKey,
        after: Option<&RootRecord>,
    ) -> Result<bool, RootError> {
        let counts = |record: &RootRecord| record.root.keys.contains(key);
        if !counts(&self.record) && !after.is_some_and(counts) {
            return Err(RootError::NotAHolder { hint: key_hint(key) });
        }
        self.is_signed_by(key)
    }

    /// Takes the signatures of another copy of the same record; gives how many were new.
    ///
    /// # Errors
    /// When it is not the same record, or there is no room.
    pub fn merge(&mut self, other: &Self) -> Result<usize, RootError> {
        if other.body != self.body {
            return Err(RootError::OtherRecord { this: self.digest(), other: other.digest() });
        }
        let had = self.signatures.len();
        for signature in &other.signatures {
            if !self.signatures.contains(signature) {
                self.signatures.push(*signature);
            }
        }
        self.bytes()?;
        Ok(self.signatures.len().saturating_sub(had))
    }

    /// What its file holds.
    ///
    /// # Errors
    /// When it is longer than a device takes.
    pub fn bytes(&self) -> Result<Vec<u8>, RootError> {
        assemble(BodyType::Root, &self.body, &self.signatures).map_err(RootError::Seal)
    }

    /// Who of a role has signed it.
    ///
    /// # Errors
    /// When it is longer than a device takes.
    pub fn signed(&self, role: &RoleKeys) -> Result<Signed, RootError> {
        let bytes = self.bytes()?;
        let envelope = Envelope::parse(&bytes, BodyType::Root)
            .map_err(|source| RootError::Unmet(source.into()))?;
        let by = envelope.signed_by(role).to_vec();
        let not_by = role.keys.iter().filter(|key| !by.contains(key)).copied().collect();
        Ok(Signed { by, not_by, needed: role.threshold })
    }

    fn is_signed_by(&self, key: &PublicKey) -> Result<bool, RootError> {
        let keys = heapless::Vec::from_slice(&[*key]).unwrap_or_default();
        Ok(self.signed(&RoleKeys { keys, threshold: 1 })?.missing() == 0)
    }
}

#[cfg(test)]
mod tests {
    use firmware_protocol::trust::{verify_first_root, verify_next_root};

    use super::super::root::{RootKeys, first_root};
    use super::super::test_signer;
    use super::*;

    /// Two of three root keys.
    fn record(version: u32, keys: [u8; 3]) -> RootRecord {
        let keys = keys.map(|seed| test_signer(seed).public_key());
        let release = [test_signer(9).public_key()];
        let root = RootKeys { keys: &keys, threshold: 2 };
        let first = first_root(root, RootKeys { keys: &release, threshold: 1 }, 1).unwrap();
        RootRecord { version, ..first }
    }

    #[test]
    fn two_of_three_holders_sign_one_behind_the_other() {
        let mut draft = RootDraft::new(record(1, [1, 2, 3])).unwrap();
        assert_eq!(draft.signed(&draft.record().root).unwrap().missing(), 2);
        assert!(verify_first_root(&draft.bytes().unwrap()).is_err());
        assert!(draft.sign(&test_signer(3), None).unwrap());
        assert!(!draft.sign(&test_signer(3), None).unwrap(), "nobody signs twice");
        assert_eq!(draft.signed(&draft.record().root).unwrap().missing(), 1);
        let mut draft = RootDraft::parse(&draft.bytes().unwrap()).unwrap();
        assert!(draft.sign(&test_signer(1), None).unwrap());
        let signed = draft.signed(&draft.record().root).unwrap();
        assert_eq!((signed.missing(), signed.not_by), (0, vec![test_signer(2).public_key()]));
        assert_eq!(verify_first_root(&draft.bytes().unwrap()).unwrap().digest(), draft.digest());
    }

    #[test]
    fn copies_that_were_signed_side_by_side_are_put_together() {
        let mut one = RootDraft::new(record(1, [1, 2, 3])).unwrap();
        let mut two = one.clone();
        assert!(one.sign(&test_signer(1), None).unwrap());
        assert!(two.sign(&test_signer(2), None).unwrap());
        assert_eq!(one.merge(&two).unwrap(), 1);
        assert_eq!(one.merge(&two).unwrap(), 0, "once more changes nothing");
        assert!(verify_first_root(&one.bytes().unwrap()).is_ok());
        let other = RootDraft::new(record(1, [1, 2, 4])).unwrap();
        assert!(matches!(one.merge(&other), Err(RootError::OtherRecord { .. })));
    }

    /// A lost holder is replaced: those in force sign, and those who come.
    #[test]
    fn the_next_record_needs_holders_of_both() {
        let (old, new) = (record(1, [1, 2, 3]), record(2, [2, 4, 5]));
        let mut draft = RootDraft::new(new).unwrap();
        for (seed, old_missing, own_missing) in [(2, 1, 1), (4, 1, 0), (1, 0, 0)] {
            assert!(draft.sign(&test_signer(seed), Some(&old)).unwrap());
            assert_eq!(draft.signed(&old.root).unwrap().missing(), old_missing, "{seed}");
            assert_eq!(draft.signed(&draft.record().root).unwrap().missing(), own_missing);
            let is_taken = verify_next_root(&draft.bytes().unwrap(), &old).is_ok();
            assert_eq!(is_taken, old_missing + own_missing == 0, "{seed}");
        }
        let stranger = draft.sign(&test_signer(8), Some(&old));
        assert!(matches!(stranger, Err(RootError::NotAHolder { .. })));
    }

    /// A signature that was damaged on its way is no reason to be refused the second time.
    #[test]
    fn a_signature_that_does_not_hold_is_replaced_by_its_key() {
        let mut draft = RootDraft::new(record(1, [1, 2, 3])).unwrap();
        assert!(draft.sign(&test_signer(1), None).unwrap());
        draft.signatures[0].1[5] ^= 1;
        assert_eq!(draft.signed(&draft.record().root).unwrap().missing(), 2);
        assert!(draft.sign(&test_signer(1), None).unwrap());
        assert_eq!(draft.signatures.len(), 1);
        assert_eq!(draft.signed(&draft.record().root).unwrap().missing(), 1);
    }
}
