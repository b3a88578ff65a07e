//! The trust folder of the profile `field`: keys of every role, and a root record each for benches and for the field.

use std::path::Path;

use super::super::clock::now_s;
use super::{Made, ROOT_RECORD};
use crate::cli::Context;
use crate::error::CommandError;
use crate::trust::{
    KeyRole, LockedKey, Passphrase, RootSpec, Secrecy, Signer, create_key, sign_root,
    write_new_file,
};

const KEYS: [(&str, KeyRole); 6] = [
    ("root-a", KeyRole::Root),
    ("root-b", KeyRole::Root),
    ("root-c", KeyRole::Root),
    ("release", KeyRole::Release),
    ("qualify", KeyRole::Qualify),
    ("operate", KeyRole::Operate),
];
/// Who signs: as many as the threshold says.
const SIGNERS: [&str; 2] = ["root-a", "root-b"];

/// What both root records have in common.
const ROLES: &str = "[root]
keys = [\"root-a.pub\", \"root-b.pub\", \"root-c.pub\"]
threshold = 2
[release]
keys = [\"release.pub\"]
threshold = 1
[qualify]
keys = [\"qualify.pub\"]
threshold = 1
[operate]
keys = [\"operate.pub\"]
threshold = 1
";
/// What each says of its own: the file of the root record, that of its words, and the policy.
const RECORDS: [(&str, &str, &str); 2] = [
    (
        ROOT_RECORD,
        "root.toml",
        "[policy]\nlife_cycle = \"field\"\ncertificate = \"before-stage\"\ncertificate_level = 1\n",
    ),
    ("bench.nfr", "bench.toml", "[policy]\nlife_cycle = \"development\"\n"),
];

/// Fills `folder`.
pub(super) fn write(
    folder: &Path,
    passphrase: &Passphrase,
    context: &Context,
) -> Result<Made, CommandError> {
    let mut made = Vec::new();
    for (name, role) in KEYS {
        made.push((name, create_key(&folder.join(format!("{name}.key")), role, passphrase)?));
    }
    let mut signers = Vec::new();
    for name in SIGNERS {
        signers.push(LockedKey::read(&folder.join(format!("{name}.key")))?.unlock(passphrase)?);
    }
    let signers: Vec<&dyn Signer> = signers.iter().map(|signer| signer as &dyn Signer).collect();
    for (record, words, policy) in RECORDS {
        let spec = folder.join(words);
        write_new_file(&spec, format!("{ROLES}{policy}").as_bytes(), Secrecy::Public)?;
        let root = RootSpec::read(&spec)?.record(None, now_s())?;
        context.output.progress(&format_args!(
            "Signing root record 1 ({record}) by {}.",
            SIGNERS.join(" and ")
        ));
        write_new_file(&folder.join(record), &sign_root(&root, &signers)?, Secrecy::Public)?;
    }
    Ok(made)
}
