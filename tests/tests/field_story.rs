//! README's field story, typed as it stands there.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration::cli::{Running, noflake_binary};
use integration::simulator::{SimOptions, Simulator};
use integration::site::Site;

/// What asks for a passphrase.
const ASK: [&str; 6] = [
    "noflake init",
    "bundle create",
    "bundle certify",
    "key generate",
    "key delegate",
    "root sign",
];

#[test]
fn readmes_field_story_works_as_it_is_typed() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, story) = readme.split_once("## In the field\n").unwrap();
    let (story, _) = story.split_once("\n## ").unwrap();
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp().factory());
    let mut folder = site.folder().to_path_buf();
    let binaries = noflake_binary().parent().unwrap().display().to_string();
    let path = format!("{binaries}:{}", std::env::var("PATH").unwrap());
    let mut typed = 0;
    for line in story.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(below) = line.strip_prefix("cd ") {
            folder = folder.join(below);
            continue;
        }
        let (command, said) = line.split_once('#').unwrap_or((line, "exit 0"));
        let code = said.trim().strip_prefix("exit ").unwrap().split(':').next().unwrap();
        let mut command = command.trim().replace("tcp:127.0.0.1:7700", &device.address());
        if ASK.iter().any(|ask| command.contains(ask)) || command.contains("--as ") {
            command.push_str(" --passphrase-fd 0");
        }
        println!("{command}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).env("PATH", &path);
        let ended = Running::spawn(&folder, shell, "secret\n").wait();
        let ended = ended.code(code.parse().unwrap());
        if command.contains("enroll") && command.contains("root-2.nfr") {
            let _ = ended.says("noflake.toml still names root record 1: set trust.root");
        }
        typed += 1;
    }
    assert_eq!(typed, 31, "every line of the story was typed");
    assert_eq!(site.running_version(&device.address()), "1.3.0");
}
