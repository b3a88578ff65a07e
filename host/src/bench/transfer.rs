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
        let mut source = Bent { inner, bend: Bend::Stop { left_bytes }, has_stopped: false };
        let staged = transfer(self, bundle, &mut source, staging, &mut |_, _| {}).await;
        if source.has_stopped { Ok(true) } else { staged.map(|_| false) }
    }

    /// As [`Device::stage`], with one bit of the first component turned on the way: what a host does that is broken or worse.
    ///
    /// # Errors
    /// As [`Device::stage`].
    pub async fn stage_damaged(
        &mut self,
        bundle: &VerifiedBundle,
        staging: Staging,
        at: u64,
    ) -> Result<Staged, DeviceError> {
        let inner = source(bundle, staging.spare)?;
        let mut source = Bent { inner, bend: Bend::Turn { at }, has_stopped: false };
        transfer(self, bundle, &mut source, staging, &mut |_, _| {}).await
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

/// A bundle that does not arrive as it is.
struct Bent<'a> {
    inner: BundleSource<'a>,
    bend: Bend,
    has_stopped: bool,
}

/// What becomes of its bytes.
enum Bend {
    /// They run out.
    Stop { left_bytes: u64 },
    /// A bit of the byte at this place of the first component is turned.
    Turn { at: u64 },
}

impl Parts for Bent<'_> {
    fn parts(&self) -> Vec<Part> {
        self.inner.parts()
    }
}

impl Source for Bent<'_> {
    fn read(
        &mut self,
        component: usize,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), SourceError> {
        let wanted = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        match &mut self.bend {
            Bend::Stop { left_bytes } => {
                let Some(left) = left_bytes.checked_sub(wanted) else {
                    self.has_stopped = true;
                    return Err("nothing more is sent".into());
                };
                *left_bytes = left;
                self.inner.read(component, offset, buffer)
            }
            Bend::Turn { at } => {
                let place = at.checked_sub(offset).and_then(|place| usize::try_from(place).ok());
                self.inner.read(component, offset, buffer)?;
                let byte = place.filter(|_| component == 0).and_then(|place| buffer.get_mut(place));
                if let Some(byte) = byte {
                    *byte ^= 1;
                }
                Ok(())
            }
        }
    }

    fn block_digests(&mut self, component: usize) -> Result<Vec<Digest>, SourceError> {
        self.inner.block_digests(component)
    }
}
