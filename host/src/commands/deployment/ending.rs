//! How a deployment on one device has ended, in words.

use serde_json::json;

use super::DeviceEnd;
use crate::cli::Context;
use crate::commands::named_device::with_device;
use crate::error::Exit;
use crate::evidence::{Outcome, RunEnd};
use crate::qualify::observation::StatusFacts;

pub(super) fn print(context: &Context, end: &DeviceEnd) {
    let DeviceEnd { name, folder, ended, evidence } = end;
    let signer = evidence.as_ref().ok().and_then(Option::as_ref);
    let run_end = &ended.end;
    let next = run_end.next_command.as_deref().map(|next| with_device(next, name));
    let mut lines = vec![format!("{name}: {}: {}", outcome_word(run_end.outcome), run_end.message)];
    let is_judged = run_end.outcome.is_judged();
    if is_judged {
        lines.push(format!("  verdict   {}", run_end.verdict));
    }
    if let Some(downtime_ms) = run_end.downtime_ms {
        lines.push(format!("  downtime  {downtime_ms} ms"));
    }
    if let (Some(status), true) = (&ended.status, run_end.exit_code != 0) {
        let slots = slots_in_words(status);
        // Read after the last act, or only before it.
        lines.push(match (ended.after.is_some(), ended.is_status_old) {
            (true, _) => format!("  slots     {slots}"),
            (false, false) => format!("  last seen {slots}"),
            (false, true) => format!("  last seen before this run: {slots}"),
        });
    }
    lines.push(format!("  evidence  {}", folder.display()));
    lines.extend(signer.map(|hint| format!("  signed    to the end by {hint}")));
    if let Some(next) = &next {
        lines.push(format!("  next      {next}"));
    }
    let machine = json!({
        "device": name,
        "state": run_end.outcome,
        "verdict": is_judged.then_some(run_end.verdict),
        "exit": run_end.exit_code,
        "message": run_end.message,
        "downtime_ms": run_end.downtime_ms,
        "next": next,
        "evidence": folder,
        "signed_by": signer,
        "version": ended.after.as_ref().map(|facts| &facts.version),
        "boot_nonce": ended.after.as_ref().map(|facts| format!("{:016x}", facts.boot_nonce)),
        "running": ended.after.as_ref().map(|facts| facts.running.to_string()),
    });
    context.output.result(&lines.join("\n"), &machine);
}

/// Both slots in a line.
pub(in crate::commands) fn slots_in_words(status: &StatusFacts) -> String {
    use crate::qualify::observation::Where;
    let word = |place: Where| {
        let slot = status.slot(place);
        let state = slot.map(|slot| slot.state.to_string()).unwrap_or_default();
        let reason = slot.and_then(|slot| slot.rejection).map(|rejection| rejection.reason);
        let active = if status.active == Some(place) { ", confirmed" } else { "" };
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{place} {state}{active}{reason}")
    };
    format!("{}; {}", word(Where::SlotA), word(Where::SlotB))
}

pub(super) const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Committed => "committed",
        Outcome::RolledBack => "rolled back",
        Outcome::AlreadyRunning => "found done",
        Outcome::Refused => "refused",
        Outcome::WentBackByItself => "went back by itself",
        Outcome::Error => "no verdict",
        Outcome::Interrupted => "interrupted",
        Outcome::NeedsService => "needs service",
        Outcome::Held => "held",
    }
}

pub(super) fn exit_of(end: &RunEnd) -> Exit {
    Exit::ALL.into_iter().find(|exit| exit.code() == end.exit_code).unwrap_or(Exit::Bench)
}
