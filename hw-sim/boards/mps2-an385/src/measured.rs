//! What a program has used of its stack, and the boot stage's figures: `cargo xtask board size` prints them.

use crate::file::File;

/// What `cortex-m-rt` fills the stack with before the program starts.
const PAINT: u32 = 0xcccc_cccc;

unsafe extern "C" {
    static mut _stack_end: u32;
    static mut _stack_start: u32;
}

/// The deepest that the stack has been since the program started, in bytes.
#[must_use]
pub fn stack_used_bytes() -> u32 {
    let (end, start) = (&raw const _stack_end as usize, &raw const _stack_start as usize);
    let deepest = (end..start).step_by(4).find(|address| {
        // SAFETY: between the two lies the stack, whole words of it.
        let word = unsafe { crate::register::Register::at(*address) };
        word.read() != PAINT
    });
    u32::try_from(start - deepest.unwrap_or(start)).unwrap_or(u32::MAX)
}

/// Leaves numbers in the file `name`, which ends with a zero. Who cannot write measures nothing.
pub fn leave(name: &str, numbers: &[u32; 2]) {
    if let Ok(mut file) = File::create(name) {
        let [first, second] = numbers.map(u32::to_le_bytes);
        let [a, b, c, d] = first;
        let [e, f, g, h] = second;
        let _ = file.write(&[a, b, c, d, e, f, g, h]);
    }
}
