//! What is wrong with a plan, in words for its author.

use core::cell::RefCell;
use core::fmt;

use thiserror::Error;

/// A plan that cannot be used, with every problem that was found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", self.listed())]
pub struct PlanError {
    /// Path or name of the plan.
    pub origin: String,
    /// The problems in line order; never empty.
    pub problems: Vec<Problem>,
}

/// One problem of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the plan, from 1; none when the whole plan is meant.
    pub line: Option<u32>,
    /// What is wrong, what was expected and what to write instead.
    pub text: String,
}

impl PlanError {
    /// One line a problem, in the `path:line: text` form that editors and terminals open.
    fn listed(&self) -> String {
        let lines: Vec<String> = self
            .problems
            .iter()
            .map(|problem| match problem.line {
                Some(line) => format!("{}:{line}: {}", self.origin, problem.text),
                None => format!("{}: {}", self.origin, problem.text),
            })
            .collect();
        lines.join("\n")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Collects problems while a plan is read. Shared by all sections, hence the cell: it is borrowed
/// for one push only, so no two borrows meet.
#[derive(Debug)]
pub(super) struct Problems {
    /// Where each line but the first starts.
    line_starts: Vec<usize>,
    found: RefCell<Vec<Problem>>,
}

impl Problems {
    pub(super) fn new(text: &str) -> Self {
        let line_starts = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        Self { line_starts, found: RefCell::new(Vec::new()) }
    }

    /// Line of the byte at `offset`, from 1.
    pub(super) fn line_at(&self, offset: usize) -> u32 {
        let breaks = self.line_starts.partition_point(|start| *start <= offset);
        u32::try_from(breaks).unwrap_or(u32::MAX).saturating_add(1)
    }

    pub(super) fn add(&self, offset: usize, text: String) {
        self.add_at_line(self.line_at(offset), text);
    }

    pub(super) fn add_at_line(&self, line: u32, text: String) {
        self.found.borrow_mut().push(Problem { line: Some(line), text });
    }

    pub(super) fn add_without_line(&self, text: String) {
        self.found.borrow_mut().push(Problem { line: None, text });
    }

    /// Problems in line order; those of the whole plan come first.
    pub(super) fn into_sorted(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| problem.line);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_from_one() {
        let problems = Problems::new("a\nb\nc");
        assert_eq!([0, 1, 2, 4, 99].map(|offset| problems.line_at(offset)), [1, 1, 2, 3, 3]);
    }

    #[test]
    fn an_error_lists_every_problem_as_path_line_text_in_line_order() {
        let problems = Problems::new("a\nb\n");
        problems.add(2, "second".into());
        problems.add(0, "first".into());
        problems.add_without_line("whole".into());
        let error = PlanError { origin: "p.toml".into(), problems: problems.into_sorted() };
        assert_eq!(error.to_string(), "p.toml: whole\np.toml:1: first\np.toml:2: second");
    }
}
