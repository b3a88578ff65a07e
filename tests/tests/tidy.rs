//! Style is a test: arrows between modules and crates, lengths, and who may read a clock, open a socket
//! or print. The checks themselves are proven on a bad sample at the end.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use integration::tidy::Source;

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 70;

/// A crate, its modules by layer (lowest first; ARCHITECTURE.md and the crate's own documentation).
struct Crate {
    folder: &'static str,
    layers: &'static [&'static str],
}

const HOST: Crate = Crate {
    folder: "host/src",
    layers: &[
        "causes input measurement verdict platform trust bundle link",
        "session plan evidence boot_record",
        "driver qualify",
        "bench report conformance",
        "config error output progress trace",
        "cli commands lib main",
    ],
};
const PROTOCOL: Crate = Crate {
    folder: "firmware-protocol/src",
    layers: &[
        "slot digest version curve flash frame planted twice",
        "manifest sealed root certificate delegation bench_reset boot refusal scan",
        "message trust stored record layout receiver start",
        "device lib",
    ],
};
const SIMULATOR: Crate = Crate {
    folder: "hw-sim/src",
    layers: &[
        "clock files",
        "fault",
        "flash power stats tap visible",
        "scenario",
        "layout line image factory options",
        "state",
        "device",
        "serve",
        "lib main",
    ],
};
const CRATES: [Crate; 3] = [HOST, PROTOCOL, SIMULATOR];

const BOARD: Crate = Crate {
    folder: "hw-sim/boards/mps2-an385/src",
    layers: &[
        "register map file",
        "interrupts places watchdog measured clock",
        "deadline uart retained",
        "vectors faults power_cut",
        "flash",
        "layout settings",
        "loaded checks",
        "board",
        "serve",
        "lib bin",
    ],
};
const XTASK: Crate = Crate {
    folder: "hw-sim/boards/xtask/src",
    layers: &[
        "error map interrupted output",
        "program image toolchain",
        "noflake",
        "firmware",
        "emulator",
        "site measure tear",
        "suite cuts run size",
        "table",
        "test",
        "main",
    ],
};
/// Firmware for emulated boards, and what is around it: a part of the board has rooms of its own.
const BOARDS: [Crate; 2] = [BOARD, XTASK];

/// Arrows that close a circle on purpose: `commands` answers what `cli` describes, and completions and
/// manual pages are printed from the whole description.
const PAIRS: [(&str, &str); 1] = [("commands", "cli")];

/// Words that have a room of their own: who may use them, and why.
const ROOMS: [(&str, &[&str], &str); 9] = [
    (
        "Instant::now",
        &["host/src/link.rs", "hw-sim/src/serve/"],
        "time is part of a link; a simulator on real ports lives in real time",
    ),
    (
        "SystemTime::now",
        &[
            "host/src/trace.rs",
            "host/src/commands/clock.rs",
            "host/src/commands/deployment.rs",
            "host/src/bench/run.rs",
        ],
        "wall-clock time is for people: evidence, logs and the date of a root record",
    ),
    ("std::net", &["hw-sim/src/serve", "hw-sim/src/options.rs"], "addresses to listen on"),
    ("tokio::net", &["host/src/link/tcp.rs", "hw-sim/src/serve/tcp.rs"], "sockets are links"),
    ("println!", &[], "output.rs prints"),
    ("print!(", &[], "output.rs prints"),
    ("io::stdout", &["host/src/output.rs", "hw-sim/src/main.rs"], "the only printing of results"),
    (
        "io::stderr",
        &[
            "host/src/output.rs",
            "host/src/progress.rs",
            "host/src/cli.rs",
            "host/src/platform.rs",
            "hw-sim/src/main.rs",
        ],
        "the only printing for people, and the modes of their terminal",
    ),
    (
        "process::exit",
        &["host/src/commands/runtime.rs"],
        "the third Ctrl-C does not wait; every other end is an exit code that is returned",
    ),
];

/// Arrows between crates: the words, and the only files that may hold them.
const CROSSINGS: [(&str, &str, &[&str]); 5] = [
    (
        "host/src",
        "hw_sim",
        &[
            "host/src/link/simulated.rs",
            "host/src/commands/sim.rs",
            "host/src/commands/demo",
            // Wraps the simulator's error for the exit table, behind the same feature.
            "host/src/error",
        ],
    ),
    ("hw-sim/src", "noflake::", &[]),
    ("firmware-protocol/src", "hw_sim", &[]),
    ("firmware-protocol/src", "noflake::", &[]),
    ("firmware-protocol/src", "alloc::", &[]),
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(of: &Crate) -> Vec<Source> {
    let sources = Source::of_folder(&workspace().join(of.folder));
    assert!(sources.len() > 10, "{} has sources", of.folder);
    sources
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn no_file_and_no_function_is_too_long() {
    let mut problems = Vec::new();
    for of in CRATES.iter().chain(&BOARDS) {
        for source in sources(of) {
            problems.extend(too_long(of.folder, &source));
        }
    }
    assert_none(&problems);
}

fn too_long(folder: &str, source: &Source) -> Vec<String> {
    let path = source.path.display();
    let mut problems = Vec::new();
    let lines = source.code_lines();
    if lines > MAX_FILE_LINES {
        problems.push(format!("{folder}/{path}: {lines} lines of code, at most {MAX_FILE_LINES}"));
    }
    for function in source.functions() {
        if function.lines > MAX_FUNCTION_LINES {
            let (name, lines) = (function.name, function.lines);
            let limit = MAX_FUNCTION_LINES;
            problems.push(format!("{folder}/{path}: fn {name}: {lines} lines, at most {limit}"));
        }
    }
    problems
}

#[test]
fn arrows_between_modules_point_down_and_never_in_circles() {
    let mut problems = Vec::new();
    for of in CRATES.iter().chain(&BOARDS) {
        problems.extend(bad_arrows(of, &sources(of)));
    }
    assert_none(&problems);
}

fn bad_arrows(of: &Crate, sources: &[Source]) -> Vec<String> {
    let layer = |module: &str| of.layers.iter().position(|row| row.split(' ').any(|m| m == module));
    let mut problems = Vec::new();
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        let from = source.module();
        let path = source.path.display();
        let Some(own) = layer(&from) else {
            problems.push(format!("{}/{path}: module {from} is in no layer", of.folder));
            continue;
        };
        for to in source.uses().into_iter().filter(|to| *to != from) {
            match layer(&to) {
                _ if PAIRS.contains(&(&*from, &*to)) => {}
                Some(other) if other <= own => {
                    arrows.entry(from.clone()).or_default().insert(to);
                }
                Some(other) => {
                    let words = format!("L{own} uses {to} of L{other}");
                    problems.push(format!("{}/{path}: {words}", of.folder));
                }
                // A macro or a re-export at the crate's root.
                None => {}
            }
        }
    }
    let circles = arrows.keys().filter(|module| reaches(&arrows, module));
    problems.extend(circles.map(|module| format!("{}: {module} uses itself", of.folder)));
    problems
}

/// True when arrows lead from `module` back to it.
fn reaches(arrows: &BTreeMap<String, BTreeSet<String>>, module: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![module];
    while let Some(next) = waiting.pop() {
        for to in arrows.get(next).into_iter().flatten() {
            if to == module {
                return true;
            }
            if seen.insert(to) {
                waiting.push(to);
            }
        }
    }
    false
}

#[test]
fn clocks_sockets_and_prints_stay_in_their_rooms_and_crates_apart() {
    let mut problems = Vec::new();
    for of in &CRATES {
        for source in sources(of) {
            problems.extend(out_of_room(of.folder, &source));
        }
    }
    assert_none(&problems);
}

fn out_of_room(folder: &str, source: &Source) -> Vec<String> {
    let path = format!("{folder}/{}", source.path.display());
    let outside = |rooms: &[&str]| !rooms.iter().any(|room| path.starts_with(room));
    let rooms = ROOMS.iter().filter(|(words, rooms, _)| source.has_code(words) && outside(rooms));
    let mut problems: Vec<String> =
        rooms.map(|(words, _, why)| format!("{path}: `{words}` outside its room: {why}")).collect();
    let crossings = CROSSINGS
        .iter()
        .filter(|(from, words, files)| *from == folder && source.has_code(words) && outside(files));
    problems
        .extend(crossings.map(|(_, words, _)| format!("{path}: `{words}` may not be used here")));
    problems
}

/// A file that `all.rs` does not name is compiled into nothing, and its tests pass over in silence.
#[test]
fn every_file_of_tests_is_part_of_the_program_that_runs_them() {
    for folder in ["tests/tests", "firmware-protocol/tests"].map(|it| workspace().join(it)) {
        let named = fs::read_to_string(folder.join("all.rs")).unwrap();
        let apart = fs::read_to_string(folder.with_file_name("Cargo.toml")).unwrap();
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|it| it == "rs")) {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let is_named = named.contains(&format!("\nmod {name};\n"));
            let is_apart = apart.contains(&format!("[[test]]\nname = \"{name}\"\n"));
            assert!(is_named || is_apart, "{}", file.display());
        }
    }
}

#[test]
fn nothing_is_left_to_be_done_later() {
    let mut problems = Vec::new();
    let words = ["TODO", "FIXME", "XXX", "HACK"];
    for folder in ["host", "hw-sim", "firmware-protocol", "tests/src", "docs"] {
        let paths = integration::source::files(&workspace().join(folder), "");
        // What a build of the boards leaves is nobody's text.
        let built = workspace().join("hw-sim/boards/target");
        let is_built = |path: &&PathBuf| path.starts_with(&built);
        for path in paths.iter().filter(|path| !is_built(path)) {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let found = words.iter().filter(|word| text.contains(*word));
            problems.extend(found.map(|word| format!("{}: {word}", path.display())));
        }
    }
    assert_none(&problems);
}

/// The checks of this file on a sample with every mistake in it.
#[test]
fn every_check_finds_its_mistake() {
    let long = "    let x = 1;\n".repeat(80);
    let text = format!(
        "//! `Instant::now` in a comment is no clock.\n\
         use crate::{{verdict::Verdict, output::{{Format, Output}}}};\n\
         const WORDS: &str = \"println!( SystemTime::now\";\n\
         fn short<'a>(x: &'a [u8; 4]) -> char {{ '{{' }}\n\
         fn long() {{\n{long}    Instant::now();\n}}\n\
         use hw_sim::Scenario;\n\
         #[cfg(test)]\nmod tests {{\n    fn println() {{ println!(); }}\n}}\n"
    );
    let source = Source::new("plan/sample.rs", &text);
    assert_eq!(source.uses(), ["output", "verdict"]);
    let lengths: Vec<_> = source.functions().into_iter().map(|f| (f.name, f.lines)).collect();
    assert_eq!(lengths, [("short".to_owned(), 1), ("long".to_owned(), 83)]);
    let problems = [
        too_long("host/src", &source),
        bad_arrows(&HOST, std::slice::from_ref(&source)),
        out_of_room("host/src", &source),
    ];
    assert_eq!(
        problems.concat(),
        [
            "host/src/plan/sample.rs: fn long: 83 lines, at most 70",
            "host/src/plan/sample.rs: L1 uses output of L4",
            "host/src/plan/sample.rs: `Instant::now` outside its room: time is part of a link; a \
             simulator on real ports lives in real time",
            "host/src/plan/sample.rs: `hw_sim` may not be used here",
        ]
    );
    let whole = Source::new("plan/whole.rs", &"fn a() {}\n".repeat(401));
    assert_eq!(too_long("host/src", &whole).len(), 1);
    let (a, b) = (
        Source::new("plan.rs", "use crate::session::S;\n"),
        Source::new("session.rs", "use crate::plan::P;\n"),
    );
    assert_eq!(bad_arrows(&HOST, &[a, b]).len(), 2, "a circle within a layer");
    assert!(Source::new("x.rs", "// TODO later\n").has_text("TODO"));
}
