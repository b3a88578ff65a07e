//! The simulated device's flash file, looked at from outside the device.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use firmware_protocol::digest::Digest;
use serde::Deserialize;

use crate::error::CommandError;

#[derive(Deserialize)]
struct Layout {
    slot: Vec<Slot>,
}

#[derive(Deserialize)]
struct Slot {
    id: String,
    area: Vec<Area>,
}

#[derive(Deserialize)]
struct Area {
    name: String,
    start: u64,
}

/// SHA-256 over the whole flash.
pub(super) fn digest(state: &Path) -> Result<Digest, CommandError> {
    Ok(Digest::of(&fs::read(state.join("flash.bin")).map_err(CommandError::Demo)?))
}

/// Flips one bit of the byte at `offset` of a component, under the running device.
pub(super) fn flip(
    state: &Path,
    slot: &str,
    component: &str,
    offset: u64,
) -> Result<(), CommandError> {
    let text = fs::read_to_string(state.join("layout.toml")).map_err(CommandError::Demo)?;
    let missing = || CommandError::DemoStep {
        typed: format!("look for component {component} of slot {slot} in layout.toml"),
        exit: -1,
        said: text.clone(),
    };
    let layout: Layout = toml::from_str(&text).map_err(|_| missing())?;
    let area = layout
        .slot
        .iter()
        .find(|found| found.id == slot)
        .and_then(|found| found.area.iter().find(|area| area.name == component));
    let at = area.ok_or_else(missing)?.start.saturating_add(offset);
    let file = OpenOptions::new().read(true).write(true).open(state.join("flash.bin"));
    let mut file = file.map_err(CommandError::Demo)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))
        .and_then(|_| file.read_exact(&mut byte))
        .and_then(|()| file.seek(SeekFrom::Start(at)))
        .and_then(|_| file.write_all(&byte.map(|byte| byte ^ 1)))
        .map_err(CommandError::Demo)
}
