//! Makes a bundle: the same inputs give the same bytes, in bounded memory.
//!
//! [`prepare`] reads every input once and states the claims; [`Prepared::write`] has them signed and
//! copies the inputs behind them, hashing again, so an input that changed in between is caught. The
//! two are apart so that a person sees what is signed before anything is.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use firmware_protocol::digest::{Digest, Hasher};
use firmware_protocol::manifest::{Encoding, Payload, PlanRef, Variant};
use firmware_protocol::trust::BodyType;
use firmware_protocol::version::{Version, VersionError};
use tempfile::NamedTempFile;
use thiserror::Error;

use super::container::{self, Attachment, FormatError, MAX_PLAN_BYTES};
use super::manifest::{
    HardwareClaim, ManifestError, OwnedComponent, OwnedManifest, ProvenanceClaim, bundle_digest,
};
use super::measure::{self, CHUNK_BYTES};
use super::spec::{ComponentSpec, Spec, VariantSpec};
use crate::input;
use crate::trust::{EncodeError, Secrecy, Signer, WriteError, refuse_taken, replace_file, seal};

/// Gives the plan digest of a plan's text, or says in words why it is not a plan; the second
/// argument names where the text came from.
pub type PlanDigest<'a> = &'a dyn Fn(&str, &str) -> Result<[u8; 32], String>;

/// Where the inputs came from, as the caller knows it.
pub type Provenance = ProvenanceClaim;

/// Why a bundle was not made.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The system refused to give an input.
    #[error("failed to read {}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A payload without bytes.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// More than the format takes.
    #[error("{} has {got} bytes, the limit is {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length, in bytes.
        got: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A block size that does not fit.
    #[error(
        "block size {got} does not fit {}: expected a power of two from 512 to 1048576 that gives \
         at most 4096 blocks",
        path.display()
    )]
    BlockSize {
        /// The file.
        path: PathBuf,
        /// As asked for, in bytes.
        got: u32,
    },
    /// Somebody wrote to an input while the bundle was made.
    #[error("{} changed while the bundle was made", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A version in the spec is none.
    #[error("{key} is {got:?}")]
    Version {
        /// The key of the spec.
        key: &'static str,
        /// Its value.
        got: String,
        /// Why.
        source: VersionError,
    },
    /// The plan does not mean anything.
    #[error("plan {} cannot be used: {reason}", path.display())]
    Plan {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The claims do not make a manifest.
    #[error("the spec does not make a bundle")]
    Manifest(#[source] ManifestError),
    /// The attachments do not fit.
    #[error("the attachments do not fit")]
    Attachments(#[source] FormatError),
    /// It was not signed.
    #[error("failed to sign the bundle")]
    Seal(#[source] EncodeError),
    /// It was not written.
    #[error("failed to make the bundle")]
    Write(#[source] WriteError),
}

/// Claims that nobody has signed yet, and the inputs they are about.
#[must_use = "nothing is written before `write`"]
#[derive(Debug)]
pub struct Prepared {
    manifest: OwnedManifest,
    body: Vec<u8>,
    inputs: Vec<Input>,
}

#[derive(Debug)]
struct Input {
    path: PathBuf,
    length: u64,
    digest: Digest,
}

/// Reads every input of `spec` once and states the claims about them.
///
/// # Errors
/// When an input cannot be read or does not fit, or the claims break a rule of the format.
pub fn prepare(
    spec: &Spec,
    provenance: Provenance,
    plan_digest: PlanDigest<'_>,
) -> Result<Prepared, CreateError> {
    let mut inputs = Vec::new();
    let version = parse_version("version", &spec.version)?;
    let from = spec.from_version.as_deref();
    let from_version = from.map(|text| parse_version("from_version", text)).transpose()?;
    let plan = spec.plan.as_ref().map(|path| {
        let (plan, input) = read_plan(&spec.folder.join(path), plan_digest)?;
        inputs.push(input);
        Ok(plan)
    });
    let plan = plan.transpose()?;
    let components = spec
        .components
        .iter()
        .map(|component| read_component(&spec.folder, component, &mut inputs));
    let components = components.collect::<Result<Vec<_>, _>>()?;
    let hardware = spec.hardware.iter().map(|range| HardwareClaim {
        id: range.id.clone(),
        first_revision: range.first_revision,
        last_revision: range.last_revision,
    });
    let manifest = OwnedManifest {
        product: spec.product.clone(),
        hardware: hardware.collect(),
        version,
        security_version: spec.security_version,
        epoch: spec.epoch,
        from_version,
        retires_fallback: spec.retires_fallback,
        data_schema: spec.data_schema,
        data_readable_by: spec.data_readable_by.unwrap_or(spec.data_schema),
        provenance,
        notes: spec.notes.clone(),
        plan,
        components,
    };
    let body = manifest.encode().map_err(CreateError::Manifest)?;
    Ok(Prepared { manifest, body, inputs })
}

impl Prepared {
    /// The claims to be signed.
    #[must_use]
    pub const fn manifest(&self) -> &OwnedManifest {
        &self.manifest
    }

    /// The digest that the bundle will have.
    #[must_use]
    pub fn digest(&self) -> Digest {
        bundle_digest(&self.body)
    }

    /// Has the claims signed and writes the bundle to `out`, whole or not at all.
    ///
    /// # Errors
    /// When a signer fails, an input changed since, or `out` cannot be written or exists and
    /// `overwrite` is not set.
    pub fn write(
        self,
        signers: &[&dyn Signer],
        attachments: &[Attachment],
        out: &Path,
        overwrite: bool,
    ) -> Result<(), CreateError> {
        refuse_existing(out, overwrite)?;
        let trailer = container::encode_trailer(attachments).map_err(CreateError::Attachments)?;
        let envelope = seal(BodyType::Manifest, &self.body, signers).map_err(CreateError::Seal)?;
        let length = u32::try_from(envelope.len()).unwrap_or(u32::MAX);
        let header = container::encode_header(length);
        // The writer's own errors are of the output; an input's has to leave past them by itself.
        let mut input_error = None;
        let written = replace_file(out, Secrecy::Public, overwrite, |file| {
            file.write_all(&header)?;
            file.write_all(&envelope)?;
            for input in &self.inputs {
                if let Err(error) = input.copy_to(file)? {
                    input_error = Some(error);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
            file.write_all(&trailer)
        });
        match (input_error, written) {
            (Some(error), _) => Err(error),
            (None, written) => written.map_err(CreateError::Write),
        }
    }
}

impl Input {
    /// The outer result is the output's, the inner one the input's.
    fn copy_to(&self, out: &mut NamedTempFile) -> io::Result<Result<(), CreateError>> {
        let failed = |source| CreateError::Input { path: self.path.clone(), source };
        let mut source = match input::open(&self.path) {
            Ok(file) => file.take(self.length.saturating_add(1)),
            Err(source) => return Ok(Err(failed(source))),
        };
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut hasher = Hasher::new();
        loop {
            let count = match measure::read_some(&mut source, &mut chunk) {
                Ok(count) => count,
                Err(source) => return Ok(Err(failed(source))),
            };
            let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            hasher.update(bytes);
            out.write_all(bytes)?;
        }
        let same = hasher.finish() == self.digest;
        Ok(same.then_some(()).ok_or_else(|| CreateError::Changed { path: self.path.clone() }))
    }
}

/// Refuses a path that [`Prepared::write`] would refuse, before anybody types a passphrase for it.
///
/// # Errors
/// When `out` exists and `overwrite` is not set.
pub fn refuse_existing(out: &Path, overwrite: bool) -> Result<(), CreateError> {
    refuse_taken(out, overwrite).map_err(CreateError::Write)
}

fn read_component(
    folder: &Path,
    component: &ComponentSpec,
    inputs: &mut Vec<Input>,
) -> Result<OwnedComponent, CreateError> {
    let variants = component.variants.iter().map(|variant| {
        let (variant, input) = read_variant(&folder.join(&variant.file), variant)?;
        inputs.push(input);
        Ok(variant)
    });
    let variants = variants.collect::<Result<Vec<_>, _>>()?;
    Ok(OwnedComponent { name: component.name.clone(), kind: component.kind, variants })
}

fn read_variant(path: &Path, spec: &VariantSpec) -> Result<(Variant, Input), CreateError> {
    let failed = |source| CreateError::Input { path: path.to_path_buf(), source };
    let file = input::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length == 0 {
        return Err(CreateError::Empty { path: path.to_path_buf() });
    }
    let block_size = choose_block_size(path, length, spec.block_size)?;
    // One byte more than expected is enough to see that it grew, however long it now is.
    let measured =
        measure::measure(&mut file.take(length.saturating_add(1)), block_size).map_err(failed)?;
    if measured.length != length {
        return Err(CreateError::Changed { path: path.to_path_buf() });
    }
    let digest = measured.digest;
    let payload = Payload { encoding: Encoding::Raw, stored_length: length, stored_digest: digest };
    let variant = Variant {
        slot: spec.slot,
        load: spec.load,
        length,
        digest,
        block_size,
        block_list_digest: measured.block_list_digest(),
        payload,
    };
    Ok((variant, Input { path: path.to_path_buf(), length, digest }))
}

fn choose_block_size(path: &Path, length: u64, asked: Option<u32>) -> Result<u32, CreateError> {
    match asked {
        Some(size) if measure::fits(length, size) => Ok(size),
        Some(got) => Err(CreateError::BlockSize { path: path.to_path_buf(), got }),
        None => measure::default_block_bytes(length).ok_or_else(|| CreateError::TooLong {
            path: path.to_path_buf(),
            got: length,
            limit: MAX_VARIANT_BYTES,
        }),
    }
}

fn read_plan(path: &Path, plan_digest: PlanDigest<'_>) -> Result<(PlanRef, Input), CreateError> {
    let failed = |source| CreateError::Input { path: path.to_path_buf(), source };
    let text = input::read_text(path, MAX_PLAN_BYTES).map_err(failed)?;
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let digest = plan_digest(&text, &path.display().to_string())
        .map_err(|reason| CreateError::Plan { path: path.to_path_buf(), reason })?;
    let stored_digest = Digest::of(text.as_bytes());
    let payload = Payload { encoding: Encoding::Raw, stored_length: length, stored_digest };
    let plan = PlanRef { digest: Digest(digest), payload };
    Ok((plan, Input { path: path.to_path_buf(), length, digest: stored_digest }))
}

fn parse_version(key: &'static str, text: &str) -> Result<Version, CreateError> {
    text.parse().map_err(|source| CreateError::Version { key, got: text.to_owned(), source })
}

/// 4096 blocks of 1 MiB.
const MAX_VARIANT_BYTES: u64 = 4 << 30;
