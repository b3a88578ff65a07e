//! Reads `[plan]`, `[timeouts]` and `[policy]`.

use super::head::{AppliesTo, Level, OnFail, OnInconclusive, Policy, Timeouts};
use super::section::{Section, integer};

/// `[plan]` as read.
pub(super) struct Identity {
    pub(super) id: String,
    pub(super) version: String,
    pub(super) level: Level,
    pub(super) applies_to: AppliesTo,
    pub(super) requirements: Vec<String>,
}

pub(super) fn identity(mut section: Section<'_>) -> Option<Identity> {
    let id = section.required_id("id");
    let version = section.required_text("version").map(|(version, _)| version.to_owned());
    let levels = [
        ("smoke", Level::Smoke),
        ("bench", Level::Bench),
        ("release", Level::Release),
        ("field", Level::Field),
    ];
    let level = section.choice("level", &levels).unwrap_or(Level::Bench);
    // The only rule there is: every planned check must report. Read so that a plan may state it.
    section.choice("expected", &[("all", ())]);
    let applies_to = section.table("applies_to").map(applies_to).unwrap_or_default();
    let requirements = section.texts("requirements").unwrap_or_default();
    section.later(&["extends"], "id, version, level, expected, applies_to, requirements");
    section.finish();
    Some(Identity { id: id?, version: version?, level, applies_to, requirements })
}

fn applies_to(mut section: Section<'_>) -> AppliesTo {
    let product = section.text("product").map(|(product, _)| product.to_owned());
    let hardware_rev = hardware_rev(&mut section);
    section.later(&["device_class"], "product, hardware_rev");
    section.finish();
    AppliesTo { product, hardware_rev }
}

fn hardware_rev(section: &mut Section<'_>) -> Vec<u32> {
    let Some((value, at)) = section.value("hardware_rev") else { return Vec::new() };
    let revisions: Option<Vec<u32>> = value.as_array().and_then(|revisions| {
        let numbers = revisions.iter().map(|revision| integer(revision.get_ref()));
        numbers.map(|number| number.and_then(|number| u32::try_from(number).ok())).collect()
    });
    let revisions = revisions.unwrap_or_default();
    if revisions.is_empty() {
        section.problem_at(
            at,
            "`hardware_rev` must be a list of revision numbers as the device reports them, such \
                as [2, 3]",
        );
    }
    revisions
}

pub(super) fn timeouts(section: Option<Section<'_>>) -> Timeouts {
    let default = Timeouts::default();
    let Some(mut section) = section else { return default };
    let trial_boots = section.count("trial_boots", 1..=10_000);
    let connect_ms = section.duration_ms("connect");
    let timeouts = Timeouts {
        run_ms: section.duration_ms("run").unwrap_or(default.run_ms),
        first_connect_ms: connect_ms.unwrap_or(default.first_connect_ms),
        connect_ms: connect_ms.unwrap_or(default.connect_ms),
        silence_ms: section.duration_ms("silence").unwrap_or(default.silence_ms),
        lease_ms: section.duration_ms("lease").unwrap_or(default.lease_ms),
        boot_max_ms: section.duration_ms("boot_max").unwrap_or(default.boot_max_ms),
        trial_boots: trial_boots.and_then(|n| n.try_into().ok()).unwrap_or(default.trial_boots),
    };
    section.finish();
    timeouts
}

pub(super) fn policy(section: Option<Section<'_>>) -> Policy {
    let default = Policy::default();
    let Some(mut section) = section else { return default };
    let on_fail = [("rollback", OnFail::Rollback), ("hold", OnFail::Hold)];
    let on_inconclusive = [("reject", OnInconclusive::Reject), ("hold", OnInconclusive::Hold)];
    let error_limit = section.count("consecutive_error_limit", 1..=1000);
    let policy = Policy {
        on_fail: section.choice("on_fail", &on_fail).unwrap_or(default.on_fail),
        on_inconclusive: section
            .choice("on_inconclusive", &on_inconclusive)
            .unwrap_or(default.on_inconclusive),
        consecutive_error_limit: error_limit
            .and_then(|n| n.try_into().ok())
            .unwrap_or(default.consecutive_error_limit),
    };
    let supported = "on_fail, on_inconclusive, consecutive_error_limit";
    section.later(&["min_units", "waivers", "approvals"], supported);
    section.finish();
    policy
}
