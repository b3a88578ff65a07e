//! The boot stage: starts the watchdog, decides what runs, stores that, and jumps. It never speaks.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use firmware_protocol::boot::Start;
use firmware_protocol::flash::Fed;
use firmware_protocol::layout::Layout;
use firmware_protocol::start::{BootCheck, Handover, boot};
use mps2_an385::clock::{TICKS_IN_US, Ticks};
use mps2_an385::file::File;
use mps2_an385::flash::FileFlash;
use mps2_an385::layout::{PROGRAM, area, layout};
use mps2_an385::loaded::Loaded;
use mps2_an385::{deadline, map, measured, places, retained, watchdog};

#[entry]
fn main() -> ! {
    let cause = retained::take_cause();
    if !cfg!(feature = "plant-no-watchdog") {
        watchdog::start();
    }
    File::close_left(retained::left_open());
    let Ok(layout) = layout() else { retained::reset_behind_fault() };
    let mut flash = Loaded::new(Fed::new(FileFlash::for_engine(), watchdog::feed), &layout);
    let ticks = Ticks::start();
    let began = ticks.now();
    let handover = boot(&mut flash, &layout, cause, BootCheck::Full);
    let handover = planted(&mut flash, &layout, handover);
    let us = ticks.now().wrapping_sub(began) / TICKS_IN_US;
    measured::leave("measured\0", &[us, measured::stack_used_bytes()]);
    let place = match handover.start {
        Start::Recovery => map::RECOVERY,
        // What was checked last is what was loaded last.
        Start::Slot(slot)
            if flash.holds(area(&layout, slot, PROGRAM)) && places::can_be_entered() =>
        {
            map::APPLICATION
        }
        Start::Slot(_) => retained::reset_behind_fault(),
    };
    // Its file would stay open for as long as the emulator runs.
    drop(flash);
    retained::leave(&handover);
    if handover.deadline_ms.is_some() && !cfg!(feature = "plant-no-deadline") {
        deadline::set(handover.deadline_ms);
    }
    places::jump(place)
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
    use firmware_protocol::slot::{SlotId, SlotState};

    let store = RecordStore::load(flash, layout.record());
    let is_torn = |slot: &SlotId| {
        store
            .state()
            .is_some_and(|state| matches!(state.slots.get(*slot), SlotState::Writing { .. }))
    };
    match SlotId::ALL.into_iter().find(is_torn) {
        Some(slot) => {
            // Loaded, and looked at by nobody.
            let _ = flash.read(area(layout, slot, PROGRAM).start, &mut [0]);
            Handover { start: Start::Slot(slot), ..handover }
        }
        None => handover,
    }
}
