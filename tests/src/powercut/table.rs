//! The figures of many sweeps, as people read them.

use std::collections::BTreeMap;

use super::sweep::Figures;

/// One line for each deed, all its parts together, and their sum.
#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<(usize, &'static str), Row>,
}

#[derive(Debug, Default, Clone)]
struct Row {
    sweeps: usize,
    figures: Figures,
}

impl Table {
    /// Adds a sweep of the deed that is `place` in the list of deeds.
    pub fn add(&mut self, place: usize, deed: &'static str, figures: &Figures) {
        self.rows.entry((place, deed)).or_default().add(figures);
    }

    /// The table, and the sum in its last line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<10} {:>7} {:>11} {:>10} {:>10} {:>9} {:>11}",
            "deed", "sweeps", "operations", "cuts", "distinct", "seconds", "violations"
        )];
        let mut sum = Row::default();
        for ((_, deed), row) in &self.rows {
            lines.push(row.line(deed));
            sum.sweeps += row.sweeps;
            sum.take(&row.figures);
        }
        lines.push(sum.line("all"));
        lines
    }

    /// Every failure.
    pub fn failures(&self) -> impl Iterator<Item = &super::sweep::Failure> {
        self.rows.values().flat_map(|row| &row.figures.failures)
    }

    /// Sweeps in all.
    pub fn sweeps(&self) -> usize {
        self.rows.values().map(|row| row.sweeps).sum()
    }

    /// Cuts in all, and different contents behind them.
    pub fn cuts(&self) -> (usize, usize) {
        self.rows.values().fold((0, 0), |(cuts, distinct), row| {
            (cuts + row.figures.cases, distinct + row.figures.distinct)
        })
    }
}

impl Row {
    fn add(&mut self, figures: &Figures) {
        self.sweeps += 1;
        self.take(figures);
    }

    fn take(&mut self, figures: &Figures) {
        let sum = &mut self.figures;
        sum.operations += figures.operations;
        sum.cases += figures.cases;
        sum.distinct += figures.distinct;
        sum.fired += figures.fired;
        sum.took += figures.took;
        sum.failures.extend(figures.failures.iter().cloned());
    }

    fn line(&self, name: &str) -> String {
        let Figures { operations, cases, distinct, took, failures, .. } = &self.figures;
        format!(
            "{name:<10} {:>7} {operations:>11} {cases:>10} {distinct:>10} {:>9.1} {:>11}",
            self.sweeps,
            took.as_secs_f64(),
            failures.len()
        )
    }
}
