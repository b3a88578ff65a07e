//! May this bundle go into this slot? Everything is asked before the first erase (promise P4).

use heapless::Vec;

use crate::boot::BootState;
use crate::flash::{Flash, Range};
use crate::layout::Layout;
use crate::manifest::{Component, Encoding, HardwareRange, Manifest};
use crate::planted::Defence;
use crate::receiver::{Part, Target};
use crate::refusal::Refusal;
use crate::root::{Policy, RootRecord};
use crate::slot::{SlotId, SlotState};
use crate::trust::Verified;
use crate::version::Version;

use super::board::BoardInfo;

/// What a bundle is held against.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) info: BoardInfo<'a>,
    pub(super) layout: &'a Layout,
    /// The root record in force.
    pub(super) root: &'a RootRecord,
    pub(super) state: &'a BootState,
    /// `None` in recovery: nothing runs that could be too old.
    pub(super) running: Option<Running<'a>>,
    pub(super) spare: SlotId,
    pub(super) window_bytes: usize,
}

/// The image that runs; `None` when its manifest cannot be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running<'a>(pub(super) Option<&'a Version>);

/// Holds a verified manifest against the device; gives what is to be received.
pub(super) fn admit<F: Flash>(
    manifest: &Verified<Manifest<'_>>,
    place: &Place<'_>,
    flash: &F,
) -> Result<Target, Refusal> {
    let claims = manifest.claims();
    fits_product(claims.product, &claims.hardware, place.info)?;
    still_counts(claims, place.state, place.root)?;
    if let (Some(oldest), Some(Running(version))) = (&claims.from_version, place.running)
        && version.ok_or(Refusal::Flash)? < oldest
    {
        return Err(Refusal::TooOldToComeFrom);
    }
    let slot = place.layout.slot(place.spare);
    if claims.components.len() != slot.areas.len() {
        let index = u8::try_from(claims.components.len()).unwrap_or(u8::MAX);
        return Err(Refusal::Components { index });
    }
    let mut parts = Vec::new();
    for (index, component) in claims.components.iter().enumerate() {
        let index = u8::try_from(index).unwrap_or(u8::MAX);
        let part = admit_component(component, index, place, flash)?;
        parts.push(part).map_err(|_| Refusal::Components { index })?;
    }
    Ok(Target {
        slot: place.spare,
        bundle: manifest.digest(),
        parts,
        worth_listing: !matches!(place.state.slots.get(place.spare), SlotState::Empty),
        suspect: Range::default(),
        run_bytes: place.layout.run_bytes(),
    })
}

/// A signed document is for this product, and this hardware and revision.
pub(super) fn fits_product(
    product: &str,
    hardware: &[HardwareRange<'_>],
    info: BoardInfo<'_>,
) -> Result<(), Refusal> {
    if Defence::HardwareMatch.is_off() {
        return Ok(());
    }
    if product != info.product {
        return Err(Refusal::WrongProduct);
    }
    let fits = hardware.iter().any(|range| {
        range.id == info.hardware
            && (range.first_revision..=range.last_revision).contains(&info.revision)
    });
    if fits { Ok(()) } else { Err(Refusal::WrongHardware { revision: info.revision }) }
}

/// A signed document is of an epoch that still counts.
pub(super) fn not_taken_back(offered: u32, lowest: u32) -> Result<(), Refusal> {
    if offered < lowest && !Defence::Epochs.is_off() {
        Err(Refusal::BelowEpoch { offered, lowest })
    } else {
        Ok(())
    }
}

/// A manifest is of an epoch and a security version that the device takes: judged when it is staged, and when a trial of
/// it is opened.
pub(super) fn still_counts(
    claims: &Manifest<'_>,
    state: &BootState,
    root: &RootRecord,
) -> Result<(), Refusal> {
    not_taken_back(claims.epoch, root.epochs.release)?;
    fits_floor(claims.security_version, state.accept_floor, &root.policy)
}

/// Neither below what the device has confirmed, nor so far above that the numbers would be used up.
fn fits_floor(offered: u64, accept_floor: u64, policy: &Policy) -> Result<(), Refusal> {
    let is_lowest_off = Defence::LowestSecurityVersion.is_off();
    let lowest = if is_lowest_off { 0 } else { policy.lowest_security_version };
    let floor = accept_floor.max(lowest);
    let most = floor.saturating_add(policy.max_security_step);
    if offered < floor && !Defence::Floor.is_off() {
        Err(Refusal::BelowFloor { offered, floor })
    } else if offered > most && !Defence::SecurityStep.is_off() {
        Err(Refusal::SecurityStep { offered, most })
    } else {
        Ok(())
    }
}

fn admit_component<F: Flash>(
    component: &Component<'_>,
    index: u8,
    place: &Place<'_>,
    flash: &F,
) -> Result<Part, Refusal> {
    let slot = place.layout.slot(place.spare);
    let (_, area) = slot.area(component.name).ok_or(Refusal::Components { index })?;
    let variant = *component
        .variant_for(place.spare)
        .ok_or(Refusal::NoVariant { index, slot: place.spare })?;
    let limit = u64::from(area.range.len_bytes);
    if variant.length > limit && !Defence::ComponentSize.is_off() {
        return Err(Refusal::TooLarge { index, got: variant.length, limit });
    }
    match variant.payload.encoding {
        Encoding::Raw => {}
        Encoding::Unknown if Defence::Encodings.is_off() => {}
        Encoding::Unknown => return Err(Refusal::Encoding { index }),
    }
    let part = Part { range: area.range, variant };
    let largest = largest_block(place.window_bytes);
    let suits = variant.block_count().is_some()
        && variant.block_size <= largest
        && blocks_nest(flash, &part);
    if !suits {
        return Err(Refusal::BlockSize { index, got: variant.block_size, limit: largest });
    }
    Ok(part)
}

/// Two blocks must fit into the window: one that arrives while the other is written.
fn largest_block(window_bytes: usize) -> u32 {
    u32::try_from(window_bytes / 2).unwrap_or(u32::MAX)
}

/// Every block lies within one erase block, or is made of whole ones; so no erase of one block's
/// place can reach into another's that is not spoilt with it.
fn blocks_nest<F: Flash>(flash: &F, part: &Part) -> bool {
    let size = part.variant.block_size;
    let blocks = part.variant.block_count().unwrap_or(0);
    (0..blocks).all(|block| {
        let start = part.range.start.saturating_add(block.saturating_mul(size));
        let end = start.saturating_add(size).min(part.range.end());
        let (Some(first), Some(last)) =
            (flash.block_at(start), flash.block_at(end.saturating_sub(1)))
        else {
            return false;
        };
        let within = first == last && inside(first, part.range);
        let whole = first.start == start && last.end() == end;
        within || whole
    })
}

const fn inside(inner: Range, outer: Range) -> bool {
    inner.start >= outer.start && inner.end() <= outer.end()
}
