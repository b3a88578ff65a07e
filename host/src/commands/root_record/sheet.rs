//! A root record as people read it before they sign it.

use std::fmt;
use std::time::Duration;

use firmware_protocol::root::{CertificateNeed, Epochs, Policy, RoleKeys, RootRecord};

use super::change::changes;
use super::life_cycle_word;
use crate::evidence::utc_from_unix_s;
use crate::trust::{RootDraft, hints};

/// What it says, and what of that is not as in the one before.
pub(super) struct Sheet<'a> {
    pub(super) draft: &'a RootDraft,
    pub(super) after: Option<&'a RootRecord>,
}

impl fmt::Display for Sheet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RootRecord {
            version,
            root,
            release,
            qualify,
            operate,
            life_cycle,
            policy,
            epochs,
            made_at_s,
            resets_time,
        } = self.draft.record();
        writeln!(f, "root record {version} ({})", life_cycle_word(*life_cycle))?;
        writeln!(f, "digest      {}", self.draft.digest())?;
        let resets = if *resets_time {
            ", and devices take that for now, whatever they have seen"
        } else {
            ""
        };
        writeln!(f, "made        {}{resets}", utc_from_unix_s(*made_at_s))?;
        let roles =
            [("root", root), ("release", release), ("qualify", qualify), ("operate", operate)];
        for (name, role) in roles.into_iter().filter(|(_, role)| !role.is_unused()) {
            writeln!(f, "{name:<11} {}", role_words(role))?;
        }
        let Epochs { release, qualify, operate } = epochs;
        writeln!(
            f,
            "epochs      from {release} of bundles, {qualify} of certificates, {operate} of delegations"
        )?;
        let Policy { max_boots, max_boot_ms, max_lease_ms, .. } = policy;
        writeln!(
            f,
            "security    versions from {}, at most {} above what was confirmed",
            policy.lowest_security_version, policy.max_security_step
        )?;
        writeln!(f, "certificate {}", certificate_words(policy.certificate))?;
        write!(
            f,
            "trials      at most {max_boots} boots, {} each, lease {}",
            time_words((*max_boot_ms).into()),
            time_words((*max_lease_ms).into())
        )?;
        self.fmt_changes(f)
    }
}

impl Sheet<'_> {
    fn fmt_changes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.draft.record();
        let Some(after) = self.after else {
            return match record.version.saturating_sub(1) {
                0 => Ok(()),
                before => write!(
                    f,
                    "\nchanges     --after FILE says what is not as in root record {before}"
                ),
            };
        };
        let changes = changes(after, record);
        let number = after.version;
        if changes.is_empty() {
            return write!(f, "\nchanges     none: all of it is as in root record {number}");
        }
        write!(f, "\nchanges     of root record {number}; ! takes back or loosens what it says")?;
        changes.iter().try_for_each(|change| write!(f, "\n{change}"))
    }
}

pub(super) fn role_words(role: &RoleKeys) -> String {
    if role.is_unused() {
        return "nobody".to_owned();
    }
    format!("{} of {}", role.threshold, hints(&role.keys).join(", "))
}

pub(super) fn certificate_words(need: CertificateNeed) -> String {
    match need {
        CertificateNeed::Never => "not needed".to_owned(),
        CertificateNeed::BeforeConfirm { level } => {
            format!("of level {level} or higher, before a trial is confirmed")
        }
        CertificateNeed::BeforeStage { level } => {
            format!("of level {level} or higher, before anything is staged")
        }
    }
}

pub(super) fn time_words(ms: u64) -> String {
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}
