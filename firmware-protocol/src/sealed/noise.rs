//! What the Noise library is built on: the primitives that signatures and digests use already (decisions/0014).

use clatter::bytearray::{ByteArray as _, SensitiveByteArray};
use clatter::error::{CipherError, CipherResult, DhError, DhResult};
use clatter::rand_core::{CryptoRng, Error, RngCore};
use clatter::traits::{Cipher, CryptoComponent, Dh, Hash, Rng};
use clatter::{KeyPair, NqHandshakeCore};
use sha2::Digest as _;

use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Tag};

use crate::curve::{Chosen, Curve as _};

use super::TAG_BYTES;

/// A handshake of Noise.
pub(super) type Handshake = NqHandshakeCore<X25519, ChaChaPoly, Sha256, NoRandom>;
/// A key pair of it.
pub(super) type Pair = KeyPair<[u8; 32], SensitiveByteArray<[u8; 32]>>;

/// The public half of a key.
pub(super) fn public(secret: &[u8; 32]) -> [u8; 32] {
    Chosen::public(secret)
}

/// A secret key with its public half.
pub(super) fn pair(secret: &[u8; 32]) -> Pair {
    KeyPair { public: public(secret), secret: SensitiveByteArray::new(*secret) }
}

/// X25519 (RFC 7748).
#[derive(Clone)]
pub(super) struct X25519;

impl CryptoComponent for X25519 {
    fn name() -> &'static str {
        "25519"
    }
}

impl Dh for X25519 {
    type PrivateKey = SensitiveByteArray<[u8; 32]>;
    type PubKey = [u8; 32];
    type Output = SensitiveByteArray<[u8; 32]>;

    /// Both sides bring their keys, so none is ever drawn here.
    fn genkey_rng<R: Rng>(_: &mut R) -> DhResult<KeyPair<Self::PubKey, Self::PrivateKey>> {
        Err(DhError::KeyGeneration)
    }

    fn pubkey(secret: &Self::PrivateKey) -> Self::PubKey {
        public(secret)
    }

    fn dh(secret: &Self::PrivateKey, public: &Self::PubKey) -> DhResult<Self::Output> {
        // None of a public key of small order: whoever sent it would know the secret without having one.
        Chosen::agree(secret, public).map(SensitiveByteArray::new).ok_or(DhError::KeyGeneration)
    }
}

/// ChaCha20-Poly1305 (RFC 8439), its nonce as Noise builds it: four zeros and the number, little-endian.
#[derive(Clone)]
pub(super) struct ChaChaPoly;

impl CryptoComponent for ChaChaPoly {
    fn name() -> &'static str {
        "ChaChaPoly"
    }
}

impl Cipher for ChaChaPoly {
    type Key = SensitiveByteArray<[u8; 32]>;

    fn tag_len() -> usize {
        TAG_BYTES
    }

    fn encrypt(
        key: &Self::Key,
        nonce: u64,
        ad: &[u8],
        plaintext: &[u8],
        out: &mut [u8],
    ) -> CipherResult<()> {
        let place = out.get_mut(..plaintext.len()).ok_or(CipherError::Encrypt)?;
        place.copy_from_slice(plaintext);
        Self::encrypt_in_place(key, nonce, ad, out, plaintext.len()).map(drop)
    }

    fn encrypt_in_place(
        key: &Self::Key,
        nonce: u64,
        ad: &[u8],
        in_out: &mut [u8],
        plaintext_len: usize,
    ) -> CipherResult<usize> {
        let (text, behind) =
            in_out.split_at_mut_checked(plaintext_len).ok_or(CipherError::Encrypt)?;
        let place = behind.first_chunk_mut::<TAG_BYTES>().ok_or(CipherError::Encrypt)?;
        let tag = cipher(key)
            .encrypt_inout_detached(&nonce_bytes(nonce).into(), ad, text.into())
            .map_err(|_| CipherError::Encrypt)?;
        *place = tag.into();
        Ok(plaintext_len.saturating_add(TAG_BYTES))
    }

    fn decrypt(
        key: &Self::Key,
        nonce: u64,
        ad: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> CipherResult<()> {
        let (text, tag) = ciphertext.split_last_chunk().ok_or(CipherError::Decrypt)?;
        let out = out.get_mut(..text.len()).ok_or(CipherError::Decrypt)?;
        out.copy_from_slice(text);
        open(key, nonce, ad, out, *tag)
    }

    fn decrypt_in_place(
        key: &Self::Key,
        nonce: u64,
        ad: &[u8],
        in_out: &mut [u8],
        ciphertext_len: usize,
    ) -> CipherResult<usize> {
        let sealed = in_out.get_mut(..ciphertext_len).ok_or(CipherError::Decrypt)?;
        let (text, tag) = sealed.split_last_chunk_mut().ok_or(CipherError::Decrypt)?;
        open(key, nonce, ad, text, *tag)?;
        Ok(text.len())
    }
}

fn open(
    key: &SensitiveByteArray<[u8; 32]>,
    nonce: u64,
    ad: &[u8],
    text: &mut [u8],
    tag: [u8; TAG_BYTES],
) -> CipherResult<()> {
    cipher(key)
        .decrypt_inout_detached(&nonce_bytes(nonce).into(), ad, text.into(), &Tag::from(tag))
        .map_err(|_| CipherError::Decrypt)
}

fn cipher(key: &SensitiveByteArray<[u8; 32]>) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&(**key).into())
}

fn nonce_bytes(nonce: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    if let Some(number) = bytes.last_chunk_mut() {
        *number = nonce.to_le_bytes();
    }
    bytes
}

/// SHA-256.
#[derive(Clone, Default)]
pub(super) struct Sha256(sha2::Sha256);

impl CryptoComponent for Sha256 {
    fn name() -> &'static str {
        "SHA256"
    }
}

impl Hash for Sha256 {
    type Block = [u8; 64];
    type Output = SensitiveByteArray<[u8; 32]>;

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(self) -> Self::Output {
        Self::Output::from_slice(&self.0.finalize())
    }
}

/// The random source that the library asks for and never uses.
#[derive(Clone, Default)]
pub(super) struct NoRandom;

impl RngCore for NoRandom {
    fn next_u32(&mut self) -> u32 {
        0
    }

    fn next_u64(&mut self) -> u64 {
        0
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.fill(0);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for NoRandom {}
