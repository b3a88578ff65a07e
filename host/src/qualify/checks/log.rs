//! The console shows what it must and nothing that it must not.

use super::{Claim, Judgement, Next};
use crate::measurement::Pattern;
use crate::qualify::observation::{ConsoleLine, Scene, Seen};
use crate::verdict::AttemptVerdict;

/// Watches the console from the boot on until the window closes; asks the device nothing.
#[derive(Debug, Clone)]
pub(super) struct Log {
    require: Vec<Pattern>,
    forbid: Vec<Pattern>,
    until_ms: u64,
}

impl Log {
    pub(super) const fn new(require: Vec<Pattern>, forbid: Vec<Pattern>, until_ms: u64) -> Self {
        Self { require, forbid, until_ms }
    }

    fn judge_end(&self, console: &[ConsoleLine]) -> Judgement {
        // An unplugged console shows no panic either: silence proves nothing.
        if console.is_empty() {
            let reason = "the console showed no line at all; see whether it is connected";
            return Judgement::of(AttemptVerdict::Inconclusive, reason);
        }
        let missing: Vec<String> =
            self.missing(console).map(|re| format!("no line matches {re}")).collect();
        let pass = format!("{} console lines are as planned", console.len());
        Judgement::from_complaints(pass, &missing)
    }

    fn missing<'l>(&'l self, console: &'l [ConsoleLine]) -> impl Iterator<Item = &'l Pattern> {
        let seen = |re: &Pattern| console.iter().any(|line| re.is_match(&line.text));
        self.require.iter().filter(move |re| !seen(re))
    }

    fn forbidden(&self, console: &[ConsoleLine]) -> Option<Judgement> {
        let hit = |line: &ConsoleLine| {
            let re = self.forbid.iter().find(|re| re.is_match(&line.text))?;
            let reason = format!("line \"{}\" matches the forbidden {re}", line.text);
            Some(Judgement::of(AttemptVerdict::Fail, reason))
        };
        console.iter().find_map(hit)
    }
}

impl Claim for Log {
    fn next(&mut self, now_ms: u64, scene: &Scene<'_>) -> Next {
        if let Some(failure) = self.forbidden(scene.console) {
            return Next::Judged(failure);
        }
        let is_through = self.forbid.is_empty() && self.missing(scene.console).next().is_none();
        if now_ms >= self.until_ms || is_through {
            return Next::Judged(self.judge_end(scene.console));
        }
        Next::Wait { at_ms: self.until_ms }
    }

    fn see(&mut self, _now_ms: u64, seen: Seen) -> Option<Judgement> {
        Some(Judgement::unexpected("console line", &seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qualify::checks::testing::expectation;

    #[test]
    fn a_forbidden_line_fails_at_once_and_is_quoted() {
        let next = look(&[], &["panic"], 0, &["boot", "kernel panic at 7"]);
        let Next::Judged(judgement) = next else { panic!("{next:?}") };
        assert_eq!(judgement.verdict, AttemptVerdict::Fail);
        assert_eq!(judgement.reason, "line \"kernel panic at 7\" matches the forbidden panic");
    }

    #[test]
    fn without_forbidden_patterns_the_last_required_line_ends_the_wait() {
        assert_eq!(verdict(&look(&["^ready"], &[], 0, &["ready"])), AttemptVerdict::Pass);
    }

    #[test]
    fn with_forbidden_patterns_the_whole_window_is_watched() {
        assert_eq!(look(&["^ready"], &["panic"], 0, &["ready"]), Next::Wait { at_ms: 1_000 });
        assert_eq!(
            verdict(&look(&["^ready"], &["panic"], 1_000, &["ready"])),
            AttemptVerdict::Pass
        );
    }

    #[test]
    fn a_required_line_that_never_came_fails_when_the_window_closes() {
        assert_eq!(look(&["^ready"], &[], 999, &["boot"]), Next::Wait { at_ms: 1_000 });
        let next = look(&["^ready"], &[], 1_000, &["boot"]);
        let Next::Judged(judgement) = next else { panic!("{next:?}") };
        assert_eq!(
            (judgement.verdict, judgement.reason.as_str()),
            (AttemptVerdict::Fail, "no line matches ^ready")
        );
    }

    #[test]
    fn a_console_without_any_line_is_inconclusive() {
        assert_eq!(verdict(&look(&["^ready"], &[], 1_000, &[])), AttemptVerdict::Inconclusive);
        assert_eq!(verdict(&look(&[], &["panic"], 1_000, &[])), AttemptVerdict::Inconclusive);
    }

    fn verdict(next: &Next) -> AttemptVerdict {
        let Next::Judged(judgement) = next else { panic!("{next:?}") };
        judgement.verdict
    }

    fn look(require: &[&str], forbid: &[&str], now_ms: u64, lines: &[&str]) -> Next {
        let patterns =
            |texts: &[&str]| texts.iter().map(|text| Pattern::new(text).unwrap()).collect();
        let line = |text: &&str| ConsoleLine { at_ms: 0, text: (*text).into() };
        let console: Vec<ConsoleLine> = lines.iter().map(line).collect();
        let expect = expectation();
        let scene = Scene { expect: &expect, boot: None, console: &console };
        Log::new(patterns(require), patterns(forbid), 1_000).next(now_ms, &scene)
    }
}
