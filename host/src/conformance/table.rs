//! What the suite has found, promise by promise.

use std::fmt;

use serde_json::{Value, json};

use super::finding::{Fault, Finding};
use super::scenario::{Promise, Scenario};

/// What one scenario has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The scenario.
    pub scenario: Scenario,
    /// What it has found.
    pub finding: Finding,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What all of them have found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table(Vec<Row>);

impl Finding {
    /// Its word in a table, with the reason.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Holds => "holds".to_owned(),
            Self::Broken { why } => format!("BROKEN: {why}"),
            Self::NotChecked { why, .. } => format!("not checked: {why}"),
            Self::NotDefended { why } => format!("not defended: {why}"),
        }
    }

    const fn machine_word(&self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Broken { .. } => "broken",
            Self::NotChecked { .. } => "not_checked",
            Self::NotDefended { .. } => "not_defended",
        }
    }

    fn why(&self) -> Option<&str> {
        match self {
            Self::Holds => None,
            Self::Broken { why } | Self::NotChecked { why, .. } | Self::NotDefended { why } => {
                Some(why)
            }
        }
    }
}

impl Row {
    /// One line of JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "scenario": self.scenario.id(),
            "promise": self.scenario.promise().id(),
            "says": self.scenario.says(),
            "finding": self.finding.machine_word(),
            "why": self.finding.why(),
            "took_ms": self.took_ms,
        })
    }
}

impl Table {
    /// Sorts what was found by promise.
    #[must_use]
    pub fn new(mut rows: Vec<Row>) -> Self {
        rows.sort_by_key(|row| row.scenario.kind());
        Self(rows)
    }

    /// How many were found to hold, broken, not checked and not defended.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, usize); 4] {
        ["holds", "broken", "not_checked", "not_defended"].map(|word| {
            let rows = self.0.iter().filter(|row| row.finding.machine_word() == word);
            (word, rows.count())
        })
    }

    /// Whether a promise is broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.0.iter().any(|row| matches!(row.finding, Finding::Broken { .. }))
    }

    /// Whether some scenario was not checked by this fault.
    #[must_use]
    pub fn has_fault(&self, named: Fault) -> bool {
        self.0
            .iter()
            .any(|row| matches!(row.finding, Finding::NotChecked { fault, .. } if fault == named))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for promise in Promise::ALL {
            let rows = self.0.iter().filter(|row| row.scenario.promise() == promise);
            for (index, row) in rows.enumerate() {
                if index == 0 {
                    writeln!(f, "{:<10}{}", promise.id(), promise.title())?;
                }
                writeln!(f, "  {:<24}{}", row.scenario.id(), row.finding.in_words())?;
            }
        }
        let [(_, holds), (_, broken), (_, not_checked), (_, not_defended)] = self.counts();
        write!(
            f,
            "{holds} hold, {broken} broken, {not_checked} not checked, {not_defended} not defended"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_goes_by_promise_and_counts_what_was_not_checked() {
        let row = |id, finding| {
            let scenario = Scenario::named(id).unwrap();
            Row { scenario, finding, took_ms: 7 }
        };
        let why = || "needs a bundle `deaf` in conformance.toml".to_owned();
        let table = Table::new(vec![
            row("P6.resumes", Finding::Holds),
            row("P3.deaf", Finding::NotChecked { why: why(), fault: Fault::None }),
            row("P3.silence", Finding::Broken { why: "it still runs".to_owned() }),
        ]);
        assert_eq!(
            table.to_string(),
            "P3        losing the host means rollback\n\
             \x20 P3.silence              BROKEN: it still runs\n\
             \x20 P3.deaf                 not checked: needs a bundle `deaf` in conformance.toml\n\
             P6        interrupted work resumes\n\
             \x20 P6.resumes              holds\n\
             1 hold, 1 broken, 1 not checked, 0 not defended"
        );
        assert!(
            table.is_broken() && table.has_fault(Fault::None) && !table.has_fault(Fault::Bench)
        );
        let machine = table.0[0].to_json();
        assert_eq!(machine["finding"], "broken");
        assert_eq!(machine["why"], "it still runs");
    }
}
