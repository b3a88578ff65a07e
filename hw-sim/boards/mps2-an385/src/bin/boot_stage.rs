//! The boot stage: starts the watchdog, decides what runs, stores that, and jumps. It never speaks.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use firmware_protocol::boot::Start;
use firmware_protocol::flash::{Fed, Flash as _};
use firmware_protocol::layout::Layout;
use firmware_protocol::slot::SlotId;
use firmware_protocol::start::{BootCheck, Handover, boot};
use mps2_an385::clock::{TICKS_IN_US, Ticks};
use mps2_an385::flash::FileFlash;
use mps2_an385::layout::{PROGRAM, area, layout};
use mps2_an385::{deadline, measured, places, retained, watchdog};

#[entry]
fn main() -> ! {
    let cause = retained::take_cause();
    if !cfg!(feature = "plant-no-watchdog") {
        watchdog::start();
    }
    let Ok(layout) = layout() else { retained::reset_behind_fault() };
    let mut flash = Fed::new(FileFlash::for_engine(), watchdog::feed);
    let ticks = Ticks::start();
    let began = ticks.now();
    let handover = boot(&mut flash, &layout, cause, BootCheck::Full);
    let handover = planted(&mut flash, &layout, handover);
    let us = ticks.now().wrapping_sub(began) / TICKS_IN_US;
    measured::leave("measured\0", &[us, measured::stack_used_bytes()]);
    let place = match handover.start {
        Start::Recovery => places::RECOVERY,
        Start::Slot(slot) => match load(&mut flash, &layout, slot) {
            Some(()) => places::APPLICATION,
            None => retained::reset_behind_fault(),
        },
    };
    retained::leave(&handover);
    if handover.deadline_ms.is_some() && !cfg!(feature = "plant-no-watchdog") {
        deadline::set(handover.deadline_ms);
    }
    places::jump(place)
}

/// Copies the slot's program to where it runs.
fn load<F: FnMut()>(
    flash: &mut Fed<mps2_an385::flash::BoardFlash, F>,
    layout: &Layout,
    slot: SlotId,
) -> Option<()> {
    let program = area(layout, slot, PROGRAM);
    places::load(program.len_bytes, |offset, piece| flash.read(program.start + offset, piece)).ok()
}

#[cfg(not(feature = "plant-torn-accepted"))]
const fn planted<F>(_: &mut F, _: &Layout, handover: Handover) -> Handover {
    handover
}

/// A mistake on purpose: what was being written is taken for what is to run.
#[cfg(feature = "plant-torn-accepted")]
fn planted<F: firmware_protocol::flash::Flash>(
    flash: &mut F,
    layout: &Layout,
    handover: Handover,
) -> Handover {
    use firmware_protocol::record::RecordStore;
    use firmware_protocol::slot::SlotState;

    let store = RecordStore::load(flash, layout.record());
    let is_torn = |slot: &SlotId| {
        store
            .state()
            .is_some_and(|state| matches!(state.slots.get(*slot), SlotState::Writing { .. }))
    };
    match SlotId::ALL.into_iter().find(is_torn) {
        Some(slot) => Handover { start: Start::Slot(slot), ..handover },
        None => handover,
    }
}
