//! Opens a bundle once and reads every part of it through that handle.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::{Payload, Variant};
use firmware_protocol::root::RootRecord;
use firmware_protocol::trust::verify_manifest;

use super::container::Attachment;
use super::error::BundleError;
use super::layout::{self, Entry, Layout, Parsed, PayloadRole};
use super::manifest::OwnedManifest;
use super::measure;
use super::payload::PayloadReader;
use super::spec::slot_word;

/// A bundle whose layout is sound. Nobody has vouched for its claims yet: look, do not act.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    file: File,
    envelope: Vec<u8>,
    manifest: OwnedManifest,
    digest: Digest,
    signer_hints: Vec<[u8; 8]>,
    payloads: Vec<Entry>,
    attachments: Vec<Attachment>,
}

impl Bundle {
    /// Opens the bundle at `path` and checks its layout: every length, and that all of them together
    /// are the file's.
    ///
    /// # Errors
    /// When the file cannot be read or is not laid out as a bundle.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let file = layout::open(path)?;
        let Layout { envelope, parsed, payloads, attachments } = layout::read(&file, path)?;
        let Parsed { manifest, digest, signer_hints } = parsed;
        let path = path.to_path_buf();
        Ok(Self { path, file, envelope, manifest, digest, signer_hints, payloads, attachments })
    }

    /// Verifies the signatures under the release keys of `root`.
    ///
    /// # Errors
    /// When too few of them signed the manifest.
    pub fn verify(self, root: &RootRecord) -> Result<VerifiedBundle, BundleError> {
        self.check_signatures(root)?;
        Ok(VerifiedBundle { bundle: self })
    }

    /// Says whether [`Bundle::verify`] would take it, without giving it up.
    ///
    /// # Errors
    /// When too few release keys of `root` signed the manifest.
    pub fn check_signatures(&self, root: &RootRecord) -> Result<(), BundleError> {
        let verified = verify_manifest(&self.envelope, root);
        let failed = |source| BundleError::Trust { path: self.path.clone(), source };
        verified.map(|_| ()).map_err(failed)
    }

    /// The file it was opened from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the manifest claims, with nobody's word for it yet.
    #[must_use]
    pub const fn unverified_manifest(&self) -> &OwnedManifest {
        &self.manifest
    }

    /// The envelope's bytes, as a device takes them.
    #[must_use]
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// The bundle digest: SHA-256 of the manifest's body as received.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Hints of the keys that signed, or say they did.
    #[must_use]
    pub fn signer_hints(&self) -> &[[u8; 8]] {
        &self.signer_hints
    }

    /// What stands behind the payloads; not signed by the manifest's signers.
    #[must_use]
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Every payload with its role, in the order of the file.
    #[must_use]
    pub fn payloads(&self) -> impl ExactSizeIterator<Item = (PayloadRole, Payload)> + '_ {
        self.payloads.iter().map(|entry| (entry.role, entry.payload))
    }

    /// The number of the payload with this role.
    #[must_use]
    pub fn payload_index(&self, role: PayloadRole) -> Option<usize> {
        self.payloads.iter().position(|entry| entry.role == role)
    }

    /// The bytes of payload `index`, as stored.
    ///
    /// # Errors
    /// When there is no such payload.
    pub fn payload(&self, index: usize) -> Result<PayloadReader<'_>, BundleError> {
        let entry = self.entry(index)?;
        Ok(PayloadReader::new(&self.file, entry.offset, entry.payload.stored_length))
    }

    /// The digests of the blocks of payload `index`, checked against the manifest's digest of their
    /// list; at most 4096 of them.
    ///
    /// # Errors
    /// When there is no such variant, the file cannot be read, or its bytes are not the signed ones.
    pub fn block_digests(&self, index: usize) -> Result<Vec<Digest>, BundleError> {
        let role = self.entry(index)?.role;
        let variant = self.variant(role).ok_or_else(|| self.no_payload(index))?;
        let measured = measure::measure(&mut self.payload(index)?, variant.block_size)
            .map_err(|source| self.failed(source))?;
        let (expected, got) = (variant.block_list_digest, measured.block_list_digest());
        if expected == got {
            return Ok(measured.blocks);
        }
        let what = format!("the block list of {}", self.describe(role));
        Err(BundleError::Damaged { path: self.path.clone(), what, expected, got })
    }

    /// The text of the deployment plan, checked against its stored digest; `None` without a plan.
    ///
    /// # Errors
    /// When the file cannot be read, or the bytes are not the signed ones, or not text.
    pub fn plan_text(&self) -> Result<Option<String>, BundleError> {
        let Some(index) = self.payload_index(PayloadRole::Plan) else { return Ok(None) };
        let mut bytes = Vec::new();
        self.payload(index)?.read_to_end(&mut bytes).map_err(|source| self.failed(source))?;
        let (expected, got) = (self.entry(index)?.payload.stored_digest, Digest::of(&bytes));
        if expected != got {
            let what = "the plan".to_owned();
            return Err(BundleError::Damaged { path: self.path.clone(), what, expected, got });
        }
        let text = String::from_utf8(bytes);
        text.map(Some).map_err(|_| BundleError::PlanText { path: self.path.clone() })
    }

    /// The payload's role in words.
    #[must_use]
    pub fn describe(&self, role: PayloadRole) -> String {
        match (role, self.variant(role)) {
            (PayloadRole::Variant { component, .. }, Some(variant)) => {
                let name = self.manifest.components.get(component).map(|found| &found.name);
                let name = name.map_or("component", String::as_str);
                format!("{name} for slot {}", slot_word(variant.slot))
            }
            (PayloadRole::Variant { .. } | PayloadRole::Plan, _) => "the plan".to_owned(),
        }
    }

    pub(super) fn variant(&self, role: PayloadRole) -> Option<&Variant> {
        match role {
            PayloadRole::Plan => None,
            PayloadRole::Variant { component, variant } => {
                self.manifest.components.get(component)?.variants.get(variant)
            }
        }
    }

    pub(super) fn failed(&self, source: io::Error) -> BundleError {
        BundleError::Read { path: self.path.clone(), source }
    }

    fn entry(&self, index: usize) -> Result<&Entry, BundleError> {
        self.payloads.get(index).ok_or_else(|| self.no_payload(index))
    }

    fn no_payload(&self, index: usize) -> BundleError {
        BundleError::NoPayload { path: self.path.clone(), index }
    }
}

/// A bundle whose manifest enough release keys signed. Its payload bytes are checked where they are
/// read: by [`Bundle::block_digests`], by [`Bundle::check_payloads`], and by the device itself.
#[derive(Debug)]
pub struct VerifiedBundle {
    bundle: Bundle,
}

impl VerifiedBundle {
    /// The signed claims.
    #[must_use]
    pub const fn manifest(&self) -> &OwnedManifest {
        &self.bundle.manifest
    }

    /// The bundle itself.
    #[must_use]
    pub const fn bundle(&self) -> &Bundle {
        &self.bundle
    }
}
