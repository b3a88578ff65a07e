//! A bundle that nobody signed, and a client that skips the host's checks.

use std::fs;
use std::path::Path;

use firmware_protocol::message::{MAX_PIECE_BYTES, Request};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::trust::{BodyType, Envelope};

use crate::bench::{Device, DeviceError, Opening};
use crate::bundle::Bundle;
use crate::commands::{runtime, target};
use crate::error::CommandError;
use crate::link::LinkStart;

/// Where a container says how long its envelope is.
const LENGTH_AT: usize = 12;
/// Where its envelope begins.
const ENVELOPE_AT: usize = 16;

/// Writes a copy of a bundle with every signature taken off; gives its envelope.
pub(super) fn strip(signed: &Path, unsigned: &Path) -> Result<Vec<u8>, CommandError> {
    let bundle = Bundle::open(signed)?;
    let parsed = Envelope::parse(bundle.envelope(), BodyType::Manifest);
    let Ok(parsed) = parsed else {
        return Err(broken(signed));
    };
    let envelope = [parsed.signed(), &[0]].concat();
    let bytes = fs::read(signed).map_err(CommandError::Demo)?;
    let payloads = bytes.get(ENVELOPE_AT.saturating_add(bundle.envelope().len())..);
    let head = bytes.get(..LENGTH_AT);
    let (Some(head), Some(payloads)) = (head, payloads) else {
        return Err(broken(signed));
    };
    let length = u32::try_from(envelope.len()).unwrap_or(u32::MAX).to_le_bytes();
    let copy = [head, &length, &envelope, payloads].concat();
    fs::write(unsigned, copy).map_err(CommandError::Demo)?;
    Ok(envelope)
}

/// Offers an envelope to a device without looking at it first; gives the device's refusal, or `None`
/// when it took it.
pub(super) fn push(address: &str, envelope: &[u8]) -> Result<Option<Refusal>, CommandError> {
    let opening = Opening {
        address: address.parse()?,
        start: LinkStart::new(None, 0),
        take_over: false,
        first_id: 77,
        host: None,
    };
    let mut device = Device::new(opening);
    runtime::block_on(async {
        let reached = device.connect(target::CONNECT_MS, None, true, &mut |_| {}).await;
        reached.map_err(|source| target::at(&device, source))?;
        let refused = offer(&mut device, envelope).await;
        device.close().await;
        match refused {
            Ok(()) => Ok(None),
            Err(DeviceError::Refused(refusal)) => Ok(Some(refusal)),
            Err(error) => Err(target::at(&device, error)),
        }
    })?
}

async fn offer(device: &mut Device, envelope: &[u8]) -> Result<(), DeviceError> {
    let total_bytes = u32::try_from(envelope.len()).unwrap_or(u32::MAX);
    for (number, piece) in envelope.chunks(MAX_PIECE_BYTES).enumerate() {
        let offset = u32::try_from(number.saturating_mul(MAX_PIECE_BYTES)).unwrap_or(u32::MAX);
        let answer = device.ask(Request::Offer { total_bytes, offset, bytes: piece }).await?;
        answer.reply().map_err(DeviceError::Refused)?;
    }
    let answer = device.ask(Request::Stage { again: true }).await?;
    answer.reply().map(|_| ()).map_err(DeviceError::Refused)
}

fn broken(path: &Path) -> CommandError {
    CommandError::DemoStep {
        typed: format!("take the signatures off {}", path.display()),
        exit: -1,
        said: "not a bundle".to_owned(),
    }
}
