//! Where everything in a bundle file lies; the only code that believes a length, after bounding it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::{Payload, decode_manifest};
use firmware_protocol::trust::{BodyType, Envelope};

use super::container::{
    self, Attachment, FormatError, HEADER_BYTES, MAX_PLAN_BYTES, MAX_TRAILER_BYTES,
};
use super::error::BundleError;
use super::manifest::{OwnedManifest, bundle_digest};
use super::payload::PayloadReader;
use crate::input;

/// What a payload is to the manifest; numbers count from 0 in manifest order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayloadRole {
    /// The deployment plan.
    Plan,
    /// A form of a component.
    Variant {
        /// Number of the component.
        component: usize,
        /// Number of the variant within it.
        variant: usize,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) role: PayloadRole,
    pub(super) offset: u64,
    pub(super) payload: Payload,
}

/// Everything of a bundle but its payload bytes.
pub(super) struct Layout {
    pub(super) envelope: Vec<u8>,
    pub(super) parsed: Parsed,
    pub(super) payloads: Vec<Entry>,
    pub(super) attachments: Vec<Attachment>,
}

/// Opens `path`, if it is a file that can be read at any offset.
pub(super) fn open(path: &Path) -> Result<File, BundleError> {
    let failed = |source| BundleError::Read { path: path.to_path_buf(), source };
    let opened = input::open_regular(path).map_err(failed)?;
    opened.map_err(|_| BundleError::NotAFile { path: path.to_path_buf() })
}

/// Reads all but the payloads, and checks that all lengths together are the file's.
pub(super) fn read(file: &File, path: &Path) -> Result<Layout, BundleError> {
    let failed = |source| BundleError::Read { path: path.to_path_buf(), source };
    let format = |source| BundleError::Format { path: path.to_path_buf(), source };
    let length = file.metadata().map_err(failed)?.len();
    let window = Window { file, path, length };
    let mut header = [0; HEADER_BYTES];
    window.read("its header", 0, &mut header)?;
    let envelope_bytes = container::decode_header(header).map_err(format)?;
    let mut envelope = vec![0; usize::try_from(envelope_bytes).unwrap_or(0)];
    let envelope_at = u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
    window.read("its envelope", envelope_at, &mut envelope)?;
    let parsed = parse_envelope(path, &envelope)?;
    let payloads_at = envelope_at.saturating_add(u64::from(envelope_bytes));
    let (payloads, trailer_at) = place_payloads(&parsed.manifest, payloads_at).map_err(format)?;
    let trailer = window.read_trailer(trailer_at)?;
    let attachments = container::decode_trailer(&trailer).map_err(format)?;
    Ok(Layout { envelope, parsed, payloads, attachments })
}

pub(super) struct Parsed {
    pub(super) manifest: OwnedManifest,
    pub(super) digest: Digest,
    pub(super) signer_hints: Vec<[u8; 8]>,
}

fn parse_envelope(path: &Path, bytes: &[u8]) -> Result<Parsed, BundleError> {
    let envelope = Envelope::parse(bytes, BodyType::Manifest)
        .map_err(|source| BundleError::Envelope { path: path.to_path_buf(), source })?;
    let manifest = decode_manifest(envelope.body())
        .map_err(|source| BundleError::Manifest { path: path.to_path_buf(), source })?;
    Ok(Parsed {
        manifest: OwnedManifest::from(&manifest),
        digest: bundle_digest(envelope.body()),
        signer_hints: envelope.hints().collect(),
    })
}

/// Where each payload lies, and where the last one ends.
fn place_payloads(manifest: &OwnedManifest, start: u64) -> Result<(Vec<Entry>, u64), FormatError> {
    if let Some(plan) = manifest.plan.filter(|plan| plan.payload.stored_length > MAX_PLAN_BYTES) {
        return Err(FormatError::PlanLength { got: plan.payload.stored_length });
    }
    let plan = manifest.plan.iter().map(|plan| (PayloadRole::Plan, plan.payload));
    let variants =
        manifest.components.iter().enumerate().flat_map(|(component, claims)| {
            claims.variants.iter().enumerate().map(move |(variant, form)| {
                (PayloadRole::Variant { component, variant }, form.payload)
            })
        });
    let mut offset = start;
    let mut entries = Vec::new();
    for (role, payload) in plan.chain(variants) {
        entries.push(Entry { role, offset, payload });
        offset = offset.checked_add(payload.stored_length).ok_or(FormatError::Overflow)?;
    }
    Ok((entries, offset))
}

/// The opened file with the length it had then.
struct Window<'a> {
    file: &'a File,
    path: &'a Path,
    length: u64,
}

impl Window<'_> {
    fn read(&self, what: &'static str, at: u64, buffer: &mut [u8]) -> Result<(), BundleError> {
        let expected = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        let got = self.length.saturating_sub(at);
        if got < expected {
            return Err(self.format(FormatError::Truncated { what, expected, got }));
        }
        let mut reader = PayloadReader::new(self.file, at, expected);
        let failed = |source| BundleError::Read { path: self.path.to_path_buf(), source };
        reader.read_exact(buffer).map_err(failed)
    }

    fn read_trailer(&self, at: u64) -> Result<Vec<u8>, BundleError> {
        let cut = FormatError::Truncated { what: "its payloads", expected: at, got: self.length };
        let left = self.length.checked_sub(at).ok_or_else(|| self.format(cut))?;
        if left > MAX_TRAILER_BYTES {
            let extra = left.saturating_sub(MAX_TRAILER_BYTES);
            return Err(self.format(FormatError::Trailing { extra }));
        }
        let mut trailer = vec![0; usize::try_from(left).unwrap_or(0)];
        self.read("its trailer", at, &mut trailer)?;
        Ok(trailer)
    }

    fn format(&self, source: FormatError) -> BundleError {
        BundleError::Format { path: self.path.to_path_buf(), source }
    }
}
