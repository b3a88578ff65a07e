//! What the programs take of flash and memory, crate by crate, held against a budget (docs/PORTING.md, "What it takes").

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind, SymbolKind};

use crate::emulator::{self, Emulator};
use crate::error::Error;
use crate::firmware::{Firmware, Plant};
use crate::interrupted;
use crate::measure;
use crate::noflake::Noflake;
use crate::output::say;
use crate::program;
use crate::site::{self, Site};

/// A program's bounds, in bytes.
struct Budget {
    program: &'static str,
    /// Of flash: code, constants and first values.
    flash_bytes: u64,
    /// Of memory, without stack.
    ram_bytes: u64,
}

/// What decisions/0018 sets. They are there to notice growth, and stand a little above what was measured.
const BUDGETS: [Budget; 4] = [
    Budget { program: "boot_stage", flash_bytes: 28 << 10, ram_bytes: 5 << 10 },
    Budget { program: "recovery", flash_bytes: 108 << 10, ram_bytes: 24 << 10 },
    Budget { program: "application", flash_bytes: 110 << 10, ram_bytes: 24 << 10 },
    Budget { program: "template", flash_bytes: 108 << 10, ram_bytes: 16 << 10 },
];
/// Deepest stack of the boot stage, in bytes.
const BOOT_STACK_BYTES_MAX: u64 = 28 << 10;

/// What a program takes, in bytes.
#[derive(Debug, Default)]
struct Size {
    text: u64,
    data: u64,
    bss: u64,
    by_crate: BTreeMap<String, u64>,
}

/// Prints the table; true when everything is within its budget.
pub(crate) fn run() -> Result<bool, Error> {
    emulator::is_there()?;
    let firmware = Firmware::build(Plant::Nothing)?;
    let mut is_within = true;
    say!(
        "{:12} {:>8} {:>6} {:>7}   {:>17}   {:>17}",
        "bytes",
        "text",
        "data",
        "bss",
        "flash of budget",
        "RAM of budget"
    );
    let mut sizes = Vec::new();
    for budget in &BUDGETS {
        let size = measure_program(&firmware.folder.join(budget.program))?;
        let (flash, ram) = (size.text + size.data, size.data + size.bss);
        let word = if flash > budget.flash_bytes || ram > budget.ram_bytes { "OVER" } else { "" };
        is_within &= word.is_empty();
        say!(
            "{:12} {:>8} {:>6} {:>7}   {flash:>7} of {:>6}   {ram:>7} of {:>6}   {word}",
            budget.program,
            size.text,
            size.data,
            size.bss,
            budget.flash_bytes,
            budget.ram_bytes
        );
        sizes.push((budget.program, size));
    }
    say!("\ncode and constants by crate, of which the names are known");
    for (program, size) in &sizes {
        let mut crates: Vec<_> = size.by_crate.iter().collect();
        crates.sort_unstable_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
        let words: Vec<String> =
            crates.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect();
        say!("{program:12} {}", words.join(", "));
    }
    is_within &= print_start(&firmware)?;
    Ok(is_within)
}

fn measure_program(elf: &Path) -> Result<Size, Error> {
    let data = fs::read(elf).map_err(Error::file(elf))?;
    let file = object::File::parse(&*data)
        .map_err(|error| Error::Image { path: elf.to_owned(), problem: error.to_string() })?;
    let mut size = Size::default();
    for section in file.sections() {
        let kind = section.kind();
        if matches!(
            kind,
            SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::ReadOnlyString
        ) {
            size.text += section.size();
        } else if kind == SectionKind::Data {
            size.data += section.size();
        } else if kind == SectionKind::UninitializedData {
            size.bss += section.size();
        }
    }
    for symbol in file.symbols() {
        let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
        let is_in_flash = section.is_some_and(|it| it.kind() != SectionKind::UninitializedData);
        let is_held = is_in_flash && matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data);
        if let (true, Ok(name)) = (is_held && symbol.size() > 0, symbol.name()) {
            *size.by_crate.entry(crate_of(name)).or_default() += symbol.size();
        }
    }
    Ok(size)
}

/// The crate of a mangled name: of a method of a trait the one that is named first.
fn crate_of(name: &str) -> String {
    let plain = format!("{:#}", rustc_demangle::demangle(name));
    let path = plain.trim_start_matches(['<', '&', '[', '(']).trim_start_matches("mut ");
    match path.split_once("::") {
        Some((name, _)) if name.chars().all(|it| it.is_alphanumeric() || it == '_') => {
            name.to_owned()
        }
        _ => "others".to_owned(),
    }
}

/// What a start takes: of a board that has only its recovery, and of one that hashes a version, a small and a large one.
fn print_start(firmware: &Firmware) -> Result<bool, Error> {
    let work = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
    interrupted::takes_away(work.path());
    let site = Site::make(&work.path().join("site"), Noflake::build()?, firmware)?;
    let board = Emulator::open(&work.path().join("board"), firmware)?;
    let blank = measure::start(&board)?;
    board.start()?;
    let address = board.address();
    program::run(site.command().args(["device", "enroll", "-d", &address]))?;
    let mut stack_bytes = blank.stack_bytes;
    say!("\nboot stage: {} instructions on a blank board", blank.instructions);
    let mut starts = Vec::new();
    for (bundle, program_bytes) in
        [("base.nfb", firmware.application.len() as u64), ("next.nfb", site::LARGE_BYTES as u64)]
    {
        program::run(site.command().args(["deploy", bundle, "-d", &address]))?;
        board.stop()?;
        let start = measure::start(&board)?;
        say!(
            "boot stage: {} instructions with a version of {program_bytes} bytes",
            start.instructions
        );
        stack_bytes = stack_bytes.max(start.stack_bytes);
        starts.push((program_bytes, start.instructions));
        board.start()?;
    }
    board.stop()?;
    if let [(small, few), (large, many)] = starts[..] {
        let per_mib = many.saturating_sub(few) * (1 << 20) / large.saturating_sub(small).max(1);
        say!(
            "boot stage: {per_mib} instructions for each MiB more of a version: {:.2} s at 72 MHz, one instruction a cycle",
            as_seconds(per_mib)
        );
    }
    say!("boot stage: stack {stack_bytes} bytes of {BOOT_STACK_BYTES_MAX}");
    Ok(stack_bytes <= BOOT_STACK_BYTES_MAX)
}

#[expect(clippy::cast_precision_loss, reason = "printed with two digits")]
fn as_seconds(instructions: u64) -> f64 {
    instructions as f64 / 72e6
}
