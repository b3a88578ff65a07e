//! P6, interrupted work resumes: what is durable is not sent again.

use firmware_protocol::message::{How, Reply, Request};
use firmware_protocol::slot::SlotId;

use super::bundles::Role;
use super::finding::{Stop, promised};
use super::subject::Subject;
use super::unit::Unit;
use crate::bundle::VerifiedBundle;

/// Between two questions for what is missing, in milliseconds.
const ASK_MS: u64 = 200;
/// What a device may write again behind a reset, in bytes: the run that it was at and the one before, of 48 KiB each unless
/// its layout says otherwise (BOOT.md, "Slot states").
const LOST_BYTES: u64 = 96 * 1_024;
/// Why a stage in part would be a whole one.
pub(super) const NO_OTHER: &str =
    "the spare slot holds `next` already, and no other bundle is there to take its place";

/// A host that dies in the middle of a stage.
pub(super) async fn resumes<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let part_bytes = in_part(subject).await?;
    subject.unit.hang_up();
    is_gone_on_with(subject, part_bytes).await
}

/// A reset in the middle of a stage.
pub(super) async fn resumes_behind_reset<U: Unit>(
    subject: &mut Subject<'_, U>,
) -> Result<(), Stop> {
    let part_bytes = in_part(subject).await?;
    if part_bytes < LOST_BYTES.saturating_mul(2) {
        let why = format!(
            "`next` is too small: what a device writes again behind a reset may be all of {part_bytes} bytes"
        );
        return Err(Stop::NotChecked(why));
    }
    let boot = subject.device().identify().await?.boot_nonce;
    subject.reset(boot).await?;
    subject.meet_behind(boot).await?;
    is_gone_on_with(subject, part_bytes).await
}

/// Sends three quarters of what the device asks for of `next`, and waits until it has written them; gives how many bytes that
/// were.
async fn in_part<U: Unit>(subject: &mut Subject<'_, U>) -> Result<u64, Stop> {
    let mut wanted_bytes = None;
    // What it has in common with the version that runs is not asked for: how much that is shows the first time.
    for _ in 0..2 {
        subject.spoil().await?;
        let (bundle, staging) = (subject.bundle(Role::Next)?, subject.staging().await?);
        let (length, blocks) = extent(bundle, staging.spare);
        if blocks < 4 {
            let why = format!("`next` has {blocks} blocks: too few to be sent in part");
            return Err(Stop::NotChecked(why));
        }
        let most_bytes = wanted_bytes.unwrap_or(length).saturating_mul(3) / 4;
        let (sent_bytes, has_stopped) =
            subject.device().stage_in_part(bundle, staging, most_bytes).await?;
        if has_stopped {
            settles(subject).await?;
            return Ok(sent_bytes);
        }
        wanted_bytes = Some(sent_bytes);
    }
    Err(Stop::NotChecked(NO_OTHER.to_owned()))
}

async fn is_gone_on_with<U: Unit>(
    subject: &mut Subject<'_, U>,
    part_bytes: u64,
) -> Result<(), Stop> {
    let staged = subject.stage(Role::Next).await?;
    promised(staged.how == How::Resumed, || "the stage began anew".to_owned())?;
    promised(staged.kept_bytes > 0, || {
        format!("of {part_bytes} bytes that were sent before none was kept")
    })?;
    let differs = subject.differs(staged.slot, Role::Next).await?;
    promised(differs.is_none(), || differs.unwrap_or_default())
}

/// Bytes and blocks of what goes into a slot.
fn extent(bundle: &VerifiedBundle, slot: SlotId) -> (u64, u64) {
    let manifest = bundle.manifest();
    let variants = (0..manifest.components.len()).filter_map(|it| manifest.variant_for(it, slot));
    variants.fold((0, 0), |(bytes, blocks), (_, variant)| {
        let more = variant.length.div_ceil(u64::from(variant.block_size.max(1)));
        (variant.length.saturating_add(bytes), more.saturating_add(blocks))
    })
}

/// Waits until the device has written what it was sent.
async fn settles<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let until_ms = subject.until(subject.limits.back_ms);
    let mut before = None;
    while subject.device().now_ms() < until_ms {
        let answer = subject.device().ask(Request::Missing { first_block: 0 }).await?;
        let missing = match answer.reply() {
            Ok(Reply::Missing { missing, .. }) => Some(missing),
            Ok(_) | Err(_) => None,
        };
        if missing.is_none() || missing == before {
            break;
        }
        before = missing;
        let at_ms = subject.until(ASK_MS);
        subject.device().wait_until(at_ms).await?;
    }
    Ok(())
}
