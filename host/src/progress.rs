//! What a person sees while a deployment runs: bars on a terminal, plain lines elsewhere, JSON lines
//! where a program listens. All of it on stderr; results go to stdout.

use std::io::{self, IsTerminal, Write};
use std::rc::Rc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::bench::{Progressed, Waiting};
use crate::evidence::{
    Ending, Entry, NoteSeverity, Step, escape_json_line, escape_log_line, escape_text,
};
use crate::output::Format;
use crate::platform::QuietKeys;
use crate::session::transfer::Progress;
use crate::verdict::CheckVerdict;

/// Between two lines about the same transfer where there is no terminal, in milliseconds.
const LINE_MS: u64 = 2_000;

/// The screen, shared by all devices of one command.
#[derive(Debug, Clone)]
pub struct Screen {
    format: Format,
    bars: Option<MultiProgress>,
    _quiet: Option<Rc<QuietKeys>>,
}

impl Screen {
    /// Bars when stderr is a terminal and people read it.
    #[must_use]
    pub fn new(format: Format) -> Self {
        let is_live = format == Format::Human && io::stderr().is_terminal();
        let bars = is_live.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        let quiet = bars.as_ref().and_then(|_| QuietKeys::on_stderr()).map(Rc::new);
        Self { format, bars, _quiet: quiet }
    }

    /// One device's part of the screen.
    #[must_use]
    pub fn device(&self, name: &str) -> DeviceProgress {
        let name = escape_text(name);
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_prefix(name.clone());
            bar.set_style(spinner());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        DeviceProgress {
            screen: self.clone(),
            name,
            bar,
            rate: Rate::default(),
            phase: String::new(),
        }
    }

    // Without a stderr there is nobody to tell; the work itself goes on.
    fn line(&self, text: &str) {
        let text = match self.format {
            Format::Human => escape_log_line(text),
            Format::Json => escape_json_line(text),
        };
        match &self.bars {
            Some(bars) => drop(bars.println(text)),
            None => drop(writeln!(io::stderr().lock(), "{text}")),
        }
    }
}

/// What is shown of one device.
#[derive(Debug)]
pub struct DeviceProgress {
    screen: Screen,
    name: String,
    bar: Option<ProgressBar>,
    rate: Rate,
    phase: String,
}

/// How fast a transfer goes.
#[derive(Debug, Default)]
struct Rate {
    began: Option<(u64, u64)>,
    told_ms: u64,
}

impl Rate {
    /// Since the first sight of the transfer; what the device held already has not been sent.
    fn bytes_per_s(&mut self, progress: Progress, at_ms: u64) -> u64 {
        let sent_bytes = progress.done_bytes.saturating_sub(progress.kept_bytes);
        let (began_ms, began_bytes) = *self.began.get_or_insert((at_ms, sent_bytes));
        let took_ms = at_ms.saturating_sub(began_ms).max(1);
        sent_bytes.saturating_sub(began_bytes).saturating_mul(1_000) / took_ms
    }
}

impl DeviceProgress {
    /// Shows what happened.
    pub fn show(&mut self, what: Progressed<'_>) {
        match what {
            Progressed::Entry(entry) => self.entry(entry),
            Progressed::Waiting(waiting) => self.waiting(waiting),
            Progressed::Transfer { progress, at_ms } => self.transfer(progress, at_ms),
        }
    }

    /// Takes the bar away; the result follows.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Tells how it came out, where the result itself has to wait for other devices.
    pub fn end(&self, outcome: &str, message: &str) {
        self.say("end", outcome, &format!("{outcome}: {message}"), false);
    }

    fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::StepStart(Step::Phase(phase)) => {
                phase.name().clone_into(&mut self.phase);
                self.rate = Rate::default();
                self.say("phase", phase.name(), &format!("{} ...", phase.name()), true);
            }
            Entry::StepEnd { step: Step::Phase(phase), ending, reason } => {
                let tail = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                let quiet = *ending == Ending::Done;
                if !quiet {
                    let text = format!("{} {}{tail}", phase.name(), ending_word(*ending));
                    self.say("phase_end", phase.name(), &text, false);
                }
            }
            // What did not run is in the reports; here it would bury the reason.
            Entry::CheckEnd { check, verdict, reason } if *verdict != CheckVerdict::NotRun => {
                let tail = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                let text = format!("  {} {}{tail}", mark(*verdict), check.check);
                self.say("check", &check.check, &text, false);
            }
            Entry::Note { severity, text } => {
                let word = match severity {
                    NoteSeverity::Info => "note",
                    NoteSeverity::Warning => "warning",
                    NoteSeverity::Error => "error",
                };
                self.say("note", word, &format!("{word}: {text}"), false);
            }
            Entry::RunStart(_)
            | Entry::Device { .. }
            | Entry::StepStart(Step::Stage(_))
            | Entry::StepMeasurement { .. }
            | Entry::StepEnd { step: Step::Stage(_), .. }
            | Entry::CheckStart(_)
            | Entry::CheckMeasurement { .. }
            | Entry::AttemptEnd { .. }
            | Entry::CheckEnd { .. }
            | Entry::Console { .. }
            | Entry::RunEnd(_) => {}
        }
    }

    /// `kind` and `about` are for programs, `text` for people; a passing remark only moves the bar.
    fn say(&self, kind: &str, about: &str, text: &str, is_passing: bool) {
        let text = escape_text(text);
        match (self.screen.format, &self.bar) {
            (Format::Json, _) => {
                let line = json!({ "progress": kind, "device": self.name, "about": about, "text": text.trim() });
                self.screen.line(&line.to_string());
            }
            (Format::Human, Some(bar)) if is_passing => {
                bar.set_style(spinner());
                bar.set_message(text);
            }
            (Format::Human, _) => self.screen.line(&format!("{} | {text}", self.name)),
        }
    }

    fn waiting(&self, waiting: Waiting) {
        let text = waiting.to_string();
        match (self.screen.format, &self.bar) {
            (Format::Json, _) => {
                let line = json!({
                    "progress": "waiting",
                    "device": self.name,
                    "text": text,
                    "waited_s": waiting.waited_s,
                    "limit_s": waiting.limit_s,
                });
                self.screen.line(&line.to_string());
            }
            (Format::Human, Some(bar)) => {
                bar.set_style(spinner());
                bar.set_message(format!("{} ... {text}", self.phase));
            }
            (Format::Human, None) => self.screen.line(&format!("{} | {text}", self.name)),
        }
    }

    fn transfer(&mut self, progress: Progress, at_ms: u64) {
        let rate = self.rate.bytes_per_s(progress, at_ms);
        let left = progress.total_bytes.saturating_sub(progress.done_bytes);
        let left_s = left.checked_div(rate).filter(|_| rate > 0);
        if let Some(bar) = &self.bar {
            show_bar(bar, &self.phase, progress, rate, left_s);
            return;
        }
        if at_ms.saturating_sub(self.rate.told_ms) < LINE_MS {
            return;
        }
        self.rate.told_ms = at_ms;
        let line = match self.screen.format {
            Format::Json => json!({
                "progress": "transfer",
                "device": self.name,
                "done_bytes": progress.done_bytes,
                "total_bytes": progress.total_bytes,
                "rate_bytes_per_s": rate,
                "left_s": left_s,
                "reading_back": progress.reading_back,
            })
            .to_string(),
            Format::Human => format!("{} | {}", self.name, transfer_line(progress, rate, left_s)),
        };
        self.screen.line(&line);
    }
}

fn show_bar(bar: &ProgressBar, phase: &str, progress: Progress, rate: u64, left_s: Option<u64>) {
    if bar.length() != Some(progress.total_bytes) {
        bar.set_style(transfer_bar());
        bar.set_length(progress.total_bytes);
    }
    bar.set_position(progress.done_bytes);
    let left = left_s.map(|left_s| format!(", {left_s} s left")).unwrap_or_default();
    let doing = if progress.reading_back { "read-back" } else { phase };
    bar.set_message(format!("{doing} {} KB/s{left}", rate / 1_000));
}

fn transfer_line(progress: Progress, rate: u64, left_s: Option<u64>) -> String {
    let percent =
        progress.done_bytes.saturating_mul(100).checked_div(progress.total_bytes).unwrap_or(100);
    if progress.reading_back {
        return "the device reads the slot back".to_owned();
    }
    let left = left_s.map(|left_s| format!(", {left_s} s left")).unwrap_or_default();
    format!("{percent:3} % of {} bytes, {} KB/s{left}", progress.total_bytes, rate / 1_000)
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix}: {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn transfer_bar() -> ProgressStyle {
    ProgressStyle::with_template("  {prefix}: [{bar:30}] {bytes}/{total_bytes} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

const fn mark(verdict: CheckVerdict) -> &'static str {
    match verdict {
        CheckVerdict::Pass => "pass        ",
        CheckVerdict::Skip => "skip        ",
        CheckVerdict::Marginal => "marginal    ",
        CheckVerdict::Flaky => "flaky       ",
        CheckVerdict::Inconclusive => "inconclusive",
        CheckVerdict::Error => "error       ",
        CheckVerdict::NotRun => "not run     ",
        CheckVerdict::Fail => "FAIL        ",
    }
}

const fn ending_word(ending: Ending) -> &'static str {
    match ending {
        Ending::Done => "done",
        Ending::FoundDone => "found done",
        Ending::Resumed => "done, resumed from an earlier attempt",
        Ending::TakenOver => "done, taken over",
        Ending::Skipped => "skipped",
        Ending::Refused => "refused",
        Ending::Failed => "failed",
        Ending::WentBack => "ended: the device went back",
        Ending::Error => "error",
        Ending::Interrupted => "interrupted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_the_device_held_already_are_no_speed() {
        let seen = |done_bytes, kept_bytes| Progress {
            total_bytes: 1_000_000,
            done_bytes,
            kept_bytes,
            reading_back: false,
        };
        let mut rate = Rate::default();
        assert_eq!(rate.bytes_per_s(seen(0, 0), 0), 0);
        assert_eq!(rate.bytes_per_s(seen(900_000, 900_000), 1_000), 0);
        assert_eq!(rate.bytes_per_s(seen(920_000, 900_000), 2_000), 10_000);
    }
}
