//! The bundle spec file: what a person writes to say what goes into a bundle (BUNDLE.md, "Spec").

use std::io;
use std::path::{Path, PathBuf};

use firmware_protocol::manifest::{ComponentKind, VariantSlot};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use thiserror::Error;

use crate::input;

/// A bundle spec; paths in it are relative to its folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Product the bundle is for.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Security version.
    #[serde(default)]
    pub security_version: u64,
    /// Epoch of its release keys' signatures.
    #[serde(default)]
    pub epoch: u32,
    /// Oldest running version it can be installed over.
    pub from_version: Option<String>,
    /// After the confirm, the version before may not be fallen back to.
    #[serde(default)]
    pub retires_fallback: bool,
    /// Version of the persistent data it writes.
    #[serde(default)]
    pub data_schema: u32,
    /// Oldest data schema reader that can still read what it writes; the schema itself if not given.
    pub data_readable_by: Option<u32>,
    /// For people.
    #[serde(default)]
    pub notes: String,
    /// The deployment plan's file.
    pub plan: Option<PathBuf>,
    /// Hardware it runs on.
    pub hardware: Vec<HardwareSpec>,
    /// Everything that changes under one switch.
    #[serde(rename = "component")]
    pub components: Vec<ComponentSpec>,
    /// The folder that the spec was read from.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// A hardware id with the revisions that fit, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardwareSpec {
    /// Hardware id.
    pub id: String,
    /// Oldest revision.
    pub first_revision: u32,
    /// Newest revision.
    pub last_revision: u32,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentSpec {
    /// Its name, an area of the device.
    pub name: String,
    /// What it is.
    #[serde(deserialize_with = "kind")]
    pub kind: ComponentKind,
    /// What to write, by slot.
    #[serde(rename = "variant")]
    pub variants: Vec<VariantSpec>,
}

/// One form of a component.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantSpec {
    /// The slot it is made for.
    #[serde(deserialize_with = "slot")]
    pub slot: VariantSlot,
    /// The file with its bytes.
    pub file: PathBuf,
    /// Address it runs at.
    #[serde(default, deserialize_with = "address")]
    pub load: u64,
    /// Block size, in bytes; chosen by length if not given.
    pub block_size: Option<u32>,
}

/// Why a spec file cannot be used.
#[derive(Debug, Error)]
pub enum SpecError {
    /// The system refused.
    #[error("failed to read bundle spec {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not say what it must, or says more than that.
    #[error("bundle spec {} cannot be used", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
}

impl Spec {
    /// Reads the spec at `path`.
    ///
    /// # Errors
    /// When the file cannot be read or is not a spec.
    pub fn read(path: &Path) -> Result<Self, SpecError> {
        let text = input::read_text(path, MAX_SPEC_BYTES)
            .map_err(|source| SpecError::Read { path: path.to_path_buf(), source })?;
        let mut spec: Self = toml::from_str(&text).map_err(|source| SpecError::Syntax {
            path: path.to_path_buf(),
            source: Box::new(source),
        })?;
        spec.folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(spec)
    }
}

/// The slot in the word that spec files and people use.
#[must_use]
pub const fn slot_word(slot: VariantSlot) -> &'static str {
    match slot {
        VariantSlot::A => "A",
        VariantSlot::B => "B",
        VariantSlot::Any => "any",
    }
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ComponentKind, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "image" => Ok(ComponentKind::Image),
        "config" => Ok(ComponentKind::Config),
        other => Err(de::Error::unknown_variant(other, &["image", "config"])),
    }
}

fn slot<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VariantSlot, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "A" => Ok(VariantSlot::A),
        "B" => Ok(VariantSlot::B),
        "any" => Ok(VariantSlot::Any),
        other => Err(de::Error::unknown_variant(other, &["A", "B", "any"])),
    }
}

/// TOML integers end at 2^63 - 1, so higher addresses come as hex text.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Address {
        Number(u64),
        Text(String),
    }
    let wrong = || de::Error::custom("an address is an integer or text such as \"0x08020000\"");
    match Address::deserialize(deserializer).map_err(|_| wrong())? {
        Address::Number(number) => Ok(number),
        Address::Text(text) => text
            .strip_prefix("0x")
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(wrong),
    }
}

/// No honest spec comes near it.
const MAX_SPEC_BYTES: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = r#"
        product = "rover-nav"
        version = "1.0.0"
        plan = "deploy.toml"
        hardware = [{ id = "nav", first_revision = 1, last_revision = 2 }]
        [[component]]
        name = "app"
        kind = "image"
        [[component.variant]]
        slot = "A"
        file = "a.bin"
        load = "0x08020000"
        [[component.variant]]
        slot = "any"
        file = "b.bin"
        load = 4096
        block_size = 8192
    "#;

    #[test]
    fn a_spec_says_what_it_says() {
        let spec: Spec = toml::from_str(SPEC).unwrap();
        assert_eq!(spec.plan, Some(PathBuf::from("deploy.toml")));
        let [a, any] = &spec.components[0].variants[..] else { panic!("two variants") };
        assert_eq!((a.slot, a.load, a.block_size), (VariantSlot::A, 0x0802_0000, None));
        assert_eq!((any.slot, any.load, any.block_size), (VariantSlot::Any, 4096, Some(8192)));
    }

    #[test]
    fn unknown_keys_and_words_are_refused_by_name() {
        for (from, to, hint) in [
            ("product", "prodcut", "unknown field `prodcut`"),
            ("load = 4096", "laod = 4096", "unknown field `laod`"),
            ("\"image\"", "\"firmware\"", "unknown variant `firmware`"),
            ("\"any\"", "\"C\"", "unknown variant `C`"),
            ("0x08020000", "0x+8", "an address is an integer or text"),
            ("4096", "-1", "an address is an integer or text"),
        ] {
            let error = toml::from_str::<Spec>(&SPEC.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
