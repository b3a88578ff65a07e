//! Many sweeps at once, on as many threads as there are cores.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::sweep::{Kind, Sweep, Until};
use super::table::Table;

/// A sweep, and the row of the table that its figures go to.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// Its deed's place in the list of deeds.
    pub row: usize,
    /// The sweep.
    pub sweep: Sweep<'a>,
}

/// Does all of it, or as much as it takes.
pub fn run(work: &[Work<'_>], kind: Kind, until: Until) -> Table {
    let (table, next) = (Mutex::new(Table::default()), AtomicUsize::new(0));
    let is_over = AtomicBool::new(false);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(Work { row, sweep }) = work.get(next.fetch_add(1, Ordering::Relaxed))
                    && !is_over.load(Ordering::Relaxed)
                {
                    let figures = sweep.run(kind, until);
                    if until.is_over(&figures.failures) {
                        is_over.store(true, Ordering::Relaxed);
                    }
                    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
                    table.add(*row, sweep, &figures);
                }
            });
        }
    });
    table.into_inner().unwrap_or_else(PoisonError::into_inner)
}
