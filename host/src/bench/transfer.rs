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

    /// As [`Device::stage`], and stops for good behind so many bytes: what a host does that dies in the middle. Gives how many
    /// were sent, and whether it has stopped: a device does not ask for what it has.
    ///
    /// # Errors
    /// As [`Device::stage`], but for the stop.
    pub async fn stage_in_part(
        &mut self,
        bundle: &VerifiedBundle,
        staging: Staging,
        most_bytes: u64,
    ) -> Result<(u64, bool), DeviceError> {
        let inner = source(bundle, staging.spare)?;
        let bend = Bend::Stop { left_bytes: most_bytes };
        let mut source = Bent { inner, bend, has_stopped: false };
        let staged = transfer(self, bundle, &mut source, staging, &mut |_, _| {}).await;
        let left_bytes = match source.bend {
            Bend::Stop { left_bytes } => left_bytes,
            Bend::Turn { .. } => 0,
        };
        if !source.has_stopped {
            staged?;
        }
        Ok((most_bytes.saturating_sub(left_bytes), source.has_stopped))
    }

    /// As [`Device::stage`], with one bit of the first component turned on the way: of the first byte from `at` on that is
    /// sent. What a host does that is broken or worse. Gives the byte, if there was one: a device has what lies in its other
    /// slot already, and does not ask for it.
    ///
    /// # Errors
    /// As [`Device::stage`], behind the byte.
    pub async fn stage_damaged(
        &mut self,
        bundle: &VerifiedBundle,
        staging: Staging,
        at: u64,
    ) -> (Option<u64>, Result<Staged, DeviceError>) {
        let inner = match source(bundle, staging.spare) {
            Ok(inner) => inner,
            Err(error) => return (None, Err(error)),
        };
        let bend = Bend::Turn { from: at, turned: None };
        let mut source = Bent { inner, bend, has_stopped: false };
        let staged = transfer(self, bundle, &mut source, staging, &mut |_, _| {}).await;
        match source.bend {
            Bend::Turn { turned, .. } => (turned, staged),
            Bend::Stop { .. } => (None, staged),
        }
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
    /// A bit of the first component is turned: of the first byte from this place on that is sent, which stays the one.
    Turn { from: u64, turned: Option<u64> },
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
            Bend::Turn { from, turned } => {
                self.inner.read(component, offset, buffer)?;
                let at = turned.unwrap_or_else(|| offset.max(*from));
                let place = at.checked_sub(offset).and_then(|place| usize::try_from(place).ok());
                let byte = place.filter(|_| component == 0).and_then(|place| buffer.get_mut(place));
                if let Some(byte) = byte {
                    *byte ^= 1;
                    *turned = Some(at);
                }
                Ok(())
            }
        }
    }

    fn block_digests(&mut self, component: usize) -> Result<Vec<Digest>, SourceError> {
        self.inner.block_digests(component)
    }
}
