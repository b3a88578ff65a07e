//! A program on the host ends as expected.

use super::{Claim, Judgement, Measured, Next};
use crate::measurement::{Limits, Measurement, Pattern, Value};
use crate::qualify::observation::{Ask, Scene, Seen};

/// Longest part of a program's output that a reason quotes, in characters.
const QUOTE_CHARS_MAX: usize = 200;

/// Starts the program once and looks at how it ended.
#[derive(Debug, Clone)]
pub(super) struct Command {
    argv: Vec<String>,
    exit: i32,
    stdout_re: Option<Pattern>,
    timeout_ms: u64,
}

impl Command {
    pub(super) const fn new(
        argv: Vec<String>,
        exit: i32,
        stdout_re: Option<Pattern>,
        timeout_ms: u64,
    ) -> Self {
        Self { argv, exit, stdout_re, timeout_ms }
    }

    fn judge(&self, code: i32, stdout: &str, stderr: &str) -> Judgement {
        let program = self.argv.first().map_or("", String::as_str);
        let mut complaints = Vec::new();
        if code != self.exit {
            complaints.push(format!(
                "{program} ended with {code}, expected {}{}",
                self.exit,
                quoted(stderr)
            ));
        }
        if let Some(re) = self.stdout_re.as_ref().filter(|re| !re.is_match(stdout)) {
            complaints
                .push(format!("the output of {program} does not match {re}{}", quoted(stdout)));
        }
        let mut judgement =
            Judgement::from_complaints(format!("{program} ended with {code}"), &complaints);
        let limits = Limits { eq: Some(Value::Number(f64::from(self.exit))), ..Limits::default() };
        let measurement = Measurement::number("exit_status", f64::from(code), "");
        judgement.measurements.push(Measured { measurement, limits });
        judgement
    }
}

impl Claim for Command {
    fn next(&mut self, _now_ms: u64, _scene: &Scene<'_>) -> Next {
        Next::Ask(Ask::Command { argv: self.argv.clone(), timeout_ms: self.timeout_ms })
    }

    fn see(&mut self, _now_ms: u64, seen: Seen) -> Option<Judgement> {
        let Seen::CommandExit { code, stdout, stderr } = seen else {
            return Some(Judgement::unexpected("program exit", &seen));
        };
        // A signal comes from the host, an out-of-memory kill say, and not from the device.
        Some(match code {
            Some(code) => self.judge(code, &stdout, &stderr),
            None => Judgement::error("a signal ended the program before it could judge"),
        })
    }
}

fn quoted(output: &str) -> String {
    let text: String = output.trim().chars().take(QUOTE_CHARS_MAX).collect();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qualify::checks::testing::{answers, expectation};
    use crate::verdict::AttemptVerdict;

    #[test]
    fn the_expected_exit_status_passes() {
        assert_eq!(judge(Some(3), "all OK\n").verdict, AttemptVerdict::Pass);
    }

    #[test]
    fn another_exit_status_fails_and_quotes_what_the_program_said() {
        let judgement = judge(Some(1), "OK");
        assert_eq!(judgement.verdict, AttemptVerdict::Fail);
        assert_eq!(judgement.reason, "./check.sh ended with 1, expected 3: no fix");
    }

    #[test]
    fn output_without_the_pattern_fails() {
        let judgement = judge(Some(3), "meh");
        assert_eq!(judgement.reason, "the output of ./check.sh does not match OK: meh");
        assert_eq!(judgement.verdict, AttemptVerdict::Fail);
    }

    #[test]
    fn a_program_that_a_signal_ended_is_an_error() {
        assert_eq!(judge(None, "OK").verdict, AttemptVerdict::Error);
    }

    fn judge(code: Option<i32>, stdout: &str) -> Judgement {
        let mut claim = Command::new(vec!["./check.sh".into()], 3, Pattern::new("OK").ok(), 1_000);
        let exit = Seen::CommandExit { code, stdout: stdout.into(), stderr: "no fix\n".into() };
        answers(&mut claim, &expectation(), None, vec![exit])
    }
}
