//! What a bundle carries behind its payloads, and a copy of it that carries more (BUNDLE.md, "Attachments").

use std::io::{self, Write as _};
use std::path::Path;

use super::container::{self, Attachment};
use super::create::CreateError;
use super::payload::PayloadReader;
use super::reader::Bundle;
use crate::trust::{CarriedCertificate, Secrecy, replace_file};

/// Type of an attachment that is a certificate.
pub const CERTIFICATE: u16 = 1;

impl Bundle {
    /// The certificates of this very bundle that it carries, with nobody's word for them yet.
    #[must_use]
    pub fn certificates(&self) -> Vec<CarriedCertificate> {
        self.carried_certificates()
            .flatten()
            .filter(|certificate| certificate.bundle == self.digest())
            .collect()
    }

    /// How many attachments say that they are certificates, and are none of this bundle.
    #[must_use]
    pub fn stray_certificates(&self) -> usize {
        let is_stray = |certificate: &Option<CarriedCertificate>| {
            certificate.as_ref().is_none_or(|found| found.bundle != self.digest())
        };
        self.carried_certificates().filter(is_stray).count()
    }

    fn carried_certificates(&self) -> impl Iterator<Item = Option<CarriedCertificate>> + '_ {
        let attached = self.attachments().iter().filter(|attached| attached.kind == CERTIFICATE);
        attached.map(|attached| CarriedCertificate::parse(&attached.bytes))
    }

    /// Writes a copy that carries `attachment` as well; nothing that is signed changes. `out` may be the
    /// bundle's own path.
    ///
    /// # Errors
    /// When there is no room for it, or the system refuses.
    pub fn attach(
        &self,
        attachment: Attachment,
        out: &Path,
        overwrite: bool,
    ) -> Result<(), CreateError> {
        let failed = |source| CreateError::Input { path: self.path().to_path_buf(), source };
        let encode = |attachments: &[Attachment]| {
            container::encode_trailer(attachments).map_err(CreateError::Attachments)
        };
        let had = u64::try_from(encode(self.attachments())?.len()).unwrap_or(u64::MAX);
        let attachments: Vec<Attachment> =
            self.attachments().iter().cloned().chain([attachment]).collect();
        let trailer = encode(&attachments)?;
        let length = self.file().metadata().map_err(failed)?.len().saturating_sub(had);
        let mut front = PayloadReader::new(self.file(), 0, length);
        replace_file(out, Secrecy::Public, overwrite, |out| {
            let copied = io::copy(&mut front, out)?;
            if copied != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            out.write_all(&trailer)
        })
        .map_err(CreateError::Write)
    }
}
