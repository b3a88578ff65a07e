//! The key by which a host proves who it is on a sealed link: X25519, in a file like every other key (RFC 8410).

use firmware_protocol::root::PublicKey;
use firmware_protocol::sealed::LinkSecret;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode, Encode};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::key_file::{KeyError, LockedKey, encrypt};
use super::passphrase::Passphrase;

/// id-X25519.
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");

/// The text of the key file that holds `secret`, and the public half.
pub(super) fn encrypted(
    secret: &[u8; 32],
    passphrase: &Passphrase,
) -> Result<(Zeroizing<String>, PublicKey), KeyError> {
    let failed = |error: pkcs8::der::Error| KeyError::Encrypt(error.into());
    let inner = OctetStringRef::new(secret).and_then(|octets| octets.to_der()).map_err(failed)?;
    let inner = Zeroizing::new(inner);
    let algorithm = AlgorithmIdentifierRef { oid: X25519, parameters: None };
    let octets = OctetStringRef::new(&inner).map_err(failed)?;
    let plain = PrivateKeyInfoRef::new(algorithm, octets).to_der().map_err(failed)?;
    let pem = encrypt(&Zeroizing::new(plain), passphrase)?;
    Ok((pem, LinkSecret::new(*secret).public()))
}

impl LockedKey {
    /// Opens it as the key of a host.
    ///
    /// # Errors
    /// When the passphrase is wrong, or it is a key that signs.
    pub fn unlock_host(&self, passphrase: &Passphrase) -> Result<LinkSecret, KeyError> {
        let plain = self.plain(passphrase)?;
        // One wrong passphrase in 256 leaves a padding that looks right; what comes out is then no key.
        let wrong = || KeyError::WrongPassphrase { path: self.path().to_path_buf() };
        let info = PrivateKeyInfoRef::try_from(plain.as_bytes()).map_err(|_| wrong())?;
        if info.algorithm.oid != X25519 {
            let reason = "it is a key that signs, not the key of a host";
            return Err(KeyError::Format { path: self.path().to_path_buf(), reason });
        }
        let octets = <&OctetStringRef>::from_der(info.private_key.as_bytes());
        let secret = octets.ok().and_then(|octets| octets.as_bytes().try_into().ok());
        secret.map(LinkSecret::new).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::{Secrecy, write_new_file};
    use super::super::key_file::create_key;
    use super::super::public_file::{KeyRole, PublicKeyFile};
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    #[test]
    fn a_host_key_opens_as_one_and_as_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (path, right) = (folder.path().join("host.key"), passphrase("tide pool"));
        let public = create_key(&path, KeyRole::Host, &right).unwrap();
        let locked = LockedKey::read(&path).unwrap();
        assert_eq!(locked.unlock_host(&right).unwrap().public(), public.public_key);
        assert_eq!(PublicKeyFile::open(&path.with_extension("pub")).unwrap(), public);
        assert!(locked.unlock(&right).is_err());
        let wrong = locked.unlock_host(&passphrase("tide pools"));
        assert!(matches!(wrong, Err(KeyError::WrongPassphrase { .. })));
        let release = folder.path().join("release.key");
        create_key(&release, KeyRole::Release, &right).unwrap();
        let error = LockedKey::read(&release).unwrap().unlock_host(&right).unwrap_err();
        assert!(error.to_string().ends_with("not the key of a host"), "{error}");
    }

    /// The layout is that of RFC 8410, section 7, which other tools read.
    #[test]
    fn the_plain_key_is_pkcs8() {
        let folder = tempfile::tempdir().unwrap();
        let (path, right) = (folder.path().join("host.key"), passphrase("x"));
        let (pem, _) = encrypted(&[7; 32], &right).unwrap();
        write_new_file(&path, pem.as_bytes(), Secrecy::Secret).unwrap();
        let plain = LockedKey::read(&path).unwrap().plain(&right).unwrap();
        let head = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22,
            0x04, 0x20,
        ];
        assert_eq!(plain.as_bytes(), [&head[..], &[7; 32]].concat());
    }
}
