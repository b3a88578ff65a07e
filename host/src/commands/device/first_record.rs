//! What is asked before a device gets its first root record, which nobody can take back.

use firmware_protocol::root::LifeCycle;

use crate::bench::Device;
use crate::error::CommandError;
use crate::qualify::observation::DeviceFacts;
use crate::trust::LoadedRoot;

/// Refuses to give a device a record under which nobody here could work on it.
///
/// # Errors
/// When its key would be seen by nobody, or this host's delegation is not about it.
pub(super) fn refuse_in_vain(
    device: &Device,
    facts: &DeviceFacts,
    root: &LoadedRoot,
) -> Result<(), CommandError> {
    let address = device.address().clone();
    let claims = root.record().claims();
    if claims.life_cycle == LifeCycle::Field && device.opening().host.is_none() {
        return Err(CommandError::KeyUnseen { address, version: claims.version });
    }
    device.covered(&facts.product).map_err(|refusal| CommandError::NotOurs {
        address,
        serial: facts.serial.clone(),
        product: facts.product.clone(),
        refusal,
    })
}
