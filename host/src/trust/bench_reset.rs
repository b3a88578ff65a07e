//! Bench resets on the host: made for a device that is there, and signed (TRUST.md, "Floors").

use firmware_protocol::bench_reset::{BenchReset, decode_bench_reset};
use firmware_protocol::root::RootRecord;
use firmware_protocol::trust::verify_bench_reset;

use super::signer::Signer;
use super::statement::{Kind, StatementError};

/// Signs a bench reset; what comes back is what the device that it names takes under `root`.
///
/// # Errors
/// When it breaks a rule of the format or a signer fails; when the signers do not meet the threshold of the qualify role, or
/// its epoch is over.
pub fn sign_bench_reset(
    reset: &BenchReset<'_>,
    signers: &[&dyn Signer],
    root: &RootRecord,
) -> Result<Vec<u8>, StatementError> {
    let bytes = Kind::BenchReset.sign(reset, |body| decode_bench_reset(body).map(drop), signers)?;
    Kind::BenchReset.counts(verify_bench_reset(&bytes, root), reset.epoch, root.epochs.qualify)?;
    Ok(bytes)
}
