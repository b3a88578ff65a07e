//! Signed documents for the device: its root record, another one, a certificate.

use firmware_protocol::message::{How, MAX_PIECE_BYTES, Reply, Request, RootStatus};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::LifeCycle;

use super::{Device, DeviceError, identity};

impl Device {
    /// Version of the root record in force; `None` in factory state.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn root_version(&mut self) -> Result<Option<u32>, DeviceError> {
        let answer = self.ask(Request::Identify).await?;
        let identity = identity(&answer)?;
        let is_enrolled = identity.life_cycle != LifeCycle::Factory;
        Ok(is_enrolled.then_some(identity.root_version))
    }

    /// Which root record is in force, and whether flash still holds it; `None` when it does not know the
    /// question.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn root_status(&mut self) -> Result<Option<RootStatus>, DeviceError> {
        let answer = self.ask(Request::RootStatus).await?;
        match answer.reply() {
            Ok(Reply::RootStatus(root)) => Ok(Some(root)),
            Ok(_) => Err(DeviceError::OutOfTurn("root status")),
            Err(Refusal::Unknown { .. }) => Ok(None),
            Err(refusal) => Err(DeviceError::Refused(refusal)),
        }
    }

    /// Whether flash has lost the root record in force; asked once.
    pub(super) async fn root_is_lost(&mut self) -> Result<bool, DeviceError> {
        if self.root_is_lost.is_none() {
            let root = self.root_status().await?;
            self.root_is_lost = Some(root.is_some_and(|root| root.version > 0 && !root.is_held));
        }
        Ok(self.root_is_lost == Some(true))
    }

    /// Offers a root record; needs a session.
    ///
    /// # Errors
    /// When the device refuses or does not answer.
    pub async fn enroll(&mut self, document: &[u8]) -> Result<How, DeviceError> {
        self.root_is_lost = None;
        self.offer(document).await?;
        let answer = self.ask(Request::Enroll).await?;
        let Reply::Done(how) = answer.reply().map_err(DeviceError::Refused)? else {
            return Err(DeviceError::OutOfTurn("enroll"));
        };
        Ok(how)
    }

    /// Shows a certificate; needs a session.
    ///
    /// # Errors
    /// When the device refuses or does not answer.
    pub async fn certify(&mut self, document: &[u8]) -> Result<(), DeviceError> {
        self.offer(document).await?;
        let answer = self.ask(Request::Certify).await?;
        answer.reply().map(|_| ()).map_err(DeviceError::Refused)
    }

    /// Lowers the accept floor by a bench reset; needs a session.
    ///
    /// # Errors
    /// When the device refuses or does not answer.
    pub async fn bench_reset(&mut self, document: &[u8]) -> Result<How, DeviceError> {
        self.offer(document).await?;
        let answer = self.ask(Request::BenchReset).await?;
        let Reply::Done(how) = answer.reply().map_err(DeviceError::Refused)? else {
            return Err(DeviceError::OutOfTurn("bench reset"));
        };
        Ok(how)
    }

    async fn offer(&mut self, document: &[u8]) -> Result<(), DeviceError> {
        let total_bytes = u32::try_from(document.len()).unwrap_or(u32::MAX);
        for (number, piece) in document.chunks(MAX_PIECE_BYTES).enumerate() {
            let offset = number.saturating_mul(MAX_PIECE_BYTES);
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            let answer = self.ask(Request::Offer { total_bytes, offset, bytes: piece }).await?;
            answer.reply().map_err(DeviceError::Refused)?;
        }
        Ok(())
    }
}
