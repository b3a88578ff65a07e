//! Brings a bundle into a slot, over the conversation there is.

use firmware_protocol::digest::Digest;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::SlotId;

use super::device::{Device, DeviceError};
use super::source::BundleSource;
use crate::bundle::VerifiedBundle;
use crate::driver::{Source, SourceError};
use crate::session::transfer::{Part, Progress, Staged, Transfer};

/// How a bundle is staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staging {
    /// The slot that receives.
    pub spare: SlotId,
    /// Also what the device rejected before.
    pub again: bool,
    /// Given up then, in microseconds from now.
    pub limit_us: u64,
}

impl Device {
    /// Brings `bundle` into the spare slot and has it read back.
    ///
    /// # Errors
    /// When the device refuses, the link fails or the bundle cannot be read.
    pub async fn stage(
        &mut self,
        bundle: &VerifiedBundle,
        staging: Staging,
    ) -> Result<Staged, DeviceError> {
        let mut source = source(bundle, staging.spare)?;
        transfer(self, bundle, &mut source, staging, &mut |_, _| {}).await
    }

    /// As [`Device::stage`], and stops for good behind so many bytes: what a host does that dies in the middle. False when
    /// the device wanted no more than that.
    ///
    /// # Errors
    /// As [`Device::stage`], but for the stop.
    pub async fn stage_in_part(
        &mut self,
        bundle: &VerifiedBundle,
        staging: Staging,
        left_bytes: u64,
    ) -> Result<bool, DeviceError> {
        let inner = source(bundle, staging.spare)?;
        let mut source = Shorter { inner, left_bytes, has_stopped: false };
        let staged = transfer(self, bundle, &mut source, staging, &mut |_, _| {}).await;
        if source.has_stopped { Ok(true) } else { staged.map(|_| false) }
    }
}

/// Brings `bundle` into the spare slot; `show` is told how far it has come.
pub(super) async fn transfer(
    device: &mut Device,
    bundle: &VerifiedBundle,
    source: &mut impl Parts,
    staging: Staging,
    show: &mut dyn FnMut(Progress, u64),
) -> Result<Staged, DeviceError> {
    let Staging { spare, again, limit_us } = staging;
    let envelope = bundle.bundle().envelope().to_vec();
    let transfer = Transfer::new(envelope, spare, source.parts(), again, device.tuning());
    let transfer = transfer.within(limit_us);
    device.mark_torn(true);
    let staged = device.driver()?.stage(transfer, source, show).await;
    let staged = device.note_staged(staged)?;
    if staged.bundle != bundle.bundle().digest() {
        return Err(DeviceError::OutOfTurn("stage: it has read another bundle back"));
    }
    Ok(staged)
}

fn source(bundle: &VerifiedBundle, spare: SlotId) -> Result<BundleSource<'_>, DeviceError> {
    BundleSource::new(bundle, spare).map_err(|none| {
        DeviceError::Refused(Refusal::NoVariant { index: none.index(), slot: spare })
    })
}

/// A source that knows what there is to send.
pub(super) trait Parts: Source {
    fn parts(&self) -> Vec<Part>;
}

impl Parts for BundleSource<'_> {
    fn parts(&self) -> Vec<Part> {
        BundleSource::parts(self)
    }
}

/// A bundle whose bytes run out.
struct Shorter<'a> {
    inner: BundleSource<'a>,
    left_bytes: u64,
    has_stopped: bool,
}

impl Parts for Shorter<'_> {
    fn parts(&self) -> Vec<Part> {
        self.inner.parts()
    }
}

impl Source for Shorter<'_> {
    fn read(
        &mut self,
        component: usize,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), SourceError> {
        let wanted = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        let Some(left_bytes) = self.left_bytes.checked_sub(wanted) else {
            self.has_stopped = true;
            return Err("nothing more is sent".into());
        };
        self.left_bytes = left_bytes;
        self.inner.read(component, offset, buffer)
    }

    fn block_digests(&mut self, component: usize) -> Result<Vec<Digest>, SourceError> {
        self.inner.block_digests(component)
    }
}
