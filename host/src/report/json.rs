//! What `noflake report show --format json` prints: the run as one JSON value.

use serde_json::{Value, json};

use super::words;
use crate::evidence::{AttemptView, CheckView, DeviceFacts, Integrity, RunView};
use crate::trust::Hex;

/// Renders a run for programs. What the record does not say is `null`.
#[must_use]
pub fn run_json(view: &RunView) -> Value {
    let end = view.end.as_ref();
    let checks = view.stages.iter().flat_map(|stage| &stage.checks);
    json!({
        "complete": end.is_some(),
        "verdict": end.filter(|end| end.outcome.is_judged()).map(|end| end.verdict),
        "state": end.map(|end| end.outcome),
        "exit": end.map(|end| end.exit_code),
        "message": end.map(|end| &end.message),
        "next": end.and_then(|end| end.next_command.as_ref()),
        "device": view.run.device_address,
        "bench": view.run.bench,
        "seed": view.run.seed,
        "bundle": view.run.bundle,
        "plan": view.run.plan,
        "before": view.before.as_ref().map(device),
        "after": view.after.as_ref().map(device),
        "started_unix_ms": view.started_unix_ms,
        "ended_unix_ms": view.ended_unix_ms,
        "downtime_ms": end.and_then(|end| end.downtime_ms),
        "checks": checks.map(check).collect::<Vec<_>>(),
        "record": record(&view.integrity),
        "signed": signed_json(view),
    })
}

fn device(facts: &DeviceFacts) -> Value {
    json!({
        "product": facts.product,
        "hardware": facts.hardware,
        "revision": facts.revision,
        "serial": facts.serial,
        "slot": facts.slot,
        "version": facts.version,
        "bundle": facts.bundle,
        "boot_nonce": facts.boot_nonce,
        "reset_cause": facts.reset_cause,
    })
}

fn check(check: &CheckView) -> Value {
    let attempts = check.attempts.iter().map(|(number, view)| attempt(*number, view));
    json!({
        "stage": check.start.id.stage,
        "check": check.start.id.check,
        "kind": check.start.kind,
        "severity": check.start.severity,
        "verdict": check.verdict,
        "reason": check.reason,
        "attempts": attempts.collect::<Vec<_>>(),
    })
}

fn attempt(number: u32, attempt: &AttemptView) -> Value {
    let values = attempt.measurements.iter().map(|judged| {
        let limits = judged.validators.iter();
        let limits = limits.map(|limit| json!({ "op": limit.op, "value": limit.value() }));
        json!({
            "name": judged.measurement.name,
            "value": judged.measurement.value,
            "unit": judged.measurement.unit,
            "limits": limits.collect::<Vec<_>>(),
        })
    });
    json!({
        "attempt": number,
        "verdict": words::attempt_verdict(attempt.verdict),
        "reason": attempt.reason,
        "values": values.collect::<Vec<_>>(),
    })
}

/// How far a record is signed, by whom. That its keys are the right ones, nobody has looked.
#[must_use]
pub fn signed_json(view: &RunView) -> Value {
    let signed = view.signed.iter().map(|signed| {
        json!({
            "hint": signed.hint(),
            "public_key": Hex(&signed.public_key).to_string(),
            "lines": signed.lines,
            "to_end": view.signed_to_end().any(|other| other == signed),
        })
    });
    signed.collect()
}

fn record(integrity: &Integrity) -> Value {
    match integrity {
        Integrity::Complete { lines, head } => json!({ "lines": lines, "head": head }),
        Integrity::Interrupted { lines, head, torn_bytes } => {
            json!({ "lines": lines, "head": head, "torn_bytes": torn_bytes })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::sample;

    #[test]
    fn a_rejected_run_is_rendered_exactly() {
        let mut value = run_json(&sample::view());
        let checks = value["checks"].take();
        let lines = checks.as_array().unwrap().iter().map(|check| format!("check: {check}"));
        let keys = value.as_object().unwrap().iter();
        let lines = keys.map(|(key, value)| format!("{key}: {value}")).chain(lines);
        assert_eq!(lines.collect::<Vec<_>>().join("\n"), REJECTED);
    }

    #[test]
    fn a_run_without_end_claims_nothing() {
        let value = run_json(&sample::view_of([]));
        assert_eq!(value["complete"], false);
        for key in ["verdict", "state", "exit", "message", "next", "before", "after", "downtime_ms"]
        {
            assert_eq!(value[key], Value::Null, "{key}");
        }
    }

    const REJECTED: &str = r#"after: {"boot_nonce":"n3","bundle":"aa00","hardware":"rn-mcu","product":"rover-nav","reset_cause":"power_on","revision":"C","serial":"SN-17","slot":"A","version":"2.0.0"}
before: {"boot_nonce":"n1","bundle":"aa00","hardware":"rn-mcu","product":"rover-nav","reset_cause":"power_on","revision":"C","serial":"SN-17","slot":"A","version":"2.0.0"}
bench: "bench-3"
bundle: {"digest":"bd01","product":"rover-nav","version":"2.1.0"}
checks: null
complete: true
device: "tcp:10.0.0.5:7700"
downtime_ms: 4200
ended_unix_ms: 1795380433000
exit: 1
message: "log-clean failed; version 2.0.0 runs again in slot A"
next: "noflake report show runs/x"
plan: {"digest":"9a02","id":"rover-nav.release","path":"plans/release.toml","version":"7"}
record: {"head":"c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffee","lines":35}
seed: 7
signed: []
started_unix_ms: 1795380400000
state: "rolled_back"
verdict: "rejected"
check: {"attempts":[{"attempt":1,"reason":"the meter did not answer in 2 s","values":[],"verdict":"error"},{"attempt":2,"reason":"","values":[{"limits":[{"op":"ge","value":3.13},{"op":"le","value":3.47},{"op":"marginal_ge","value":3.18}],"name":"rail_3v3","unit":"V","value":3.31}],"verdict":"pass"}],"check":"rail-3v3","kind":"series","reason":"","severity":"blocker","stage":"oq","verdict":"pass"}
check: {"attempts":[{"attempt":1,"reason":"ready after 9.2 s, limit 8 s","values":[],"verdict":"fail"},{"attempt":2,"reason":"","values":[],"verdict":"pass"}],"check":"cold-boot","kind":"boot","reason":"passed in attempt 2 of 2","severity":"blocker","stage":"oq","verdict":"flaky"}
check: {"attempts":[{"attempt":1,"reason":"the log has \"panic | <nav>\"","values":[],"verdict":"fail"}],"check":"log-clean","kind":"log","reason":"the log has \"panic | <nav>\"","severity":"blocker","stage":"oq","verdict":"fail"}
check: {"attempts":[],"check":"soak","kind":"","reason":"the record ends before its end","severity":"","stage":"pq","verdict":"not_run"}"#;
}
