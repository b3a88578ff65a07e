//! The figures of many sweeps, as people read them.

use std::collections::BTreeMap;

use hw_sim::FaultClass;

use super::sweep::{Failure, Figures, Sweep};

/// Figures by deed, by part, and in all.
#[derive(Debug, Default)]
pub struct Table {
    deeds: BTreeMap<(usize, &'static str), Row>,
    parts: BTreeMap<String, Row>,
    each: Vec<(String, Figures)>,
}

#[derive(Debug, Default, Clone)]
struct Row {
    sweeps: usize,
    figures: Figures,
}

/// At least so many percent of cases leave different contents, or they are not worth their number.
pub const LEAST_DISTINCT_PERCENT: usize = 60;

impl Table {
    /// Adds a sweep of the deed that is number `row` in the list of deeds.
    pub fn add(&mut self, row: usize, sweep: &Sweep<'_>, figures: &Figures) {
        self.deeds.entry((row, sweep.deed.name)).or_default().add(figures);
        self.parts.entry(sweep.part.name.clone()).or_default().add(figures);
        self.each.push((sweep.place(), figures.clone()));
    }

    /// All of it: by part or by sweep, then by deed and in all.
    pub fn lines(&self, each: bool) -> impl Iterator<Item = String> {
        let first = if each { self.by_sweep() } else { self.by_part() };
        first.into_iter().chain([String::new()]).chain(self.by_deed())
    }

    /// A line for each deed, all its parts together, and their sum.
    fn by_deed(&self) -> Vec<String> {
        let rows = self.deeds.iter().map(|((_, deed), row)| row.line(deed, row.sweeps));
        [head("scenario", "sweeps")]
            .into_iter()
            .chain(rows)
            .chain([self.sum().line("all", self.sweeps())])
            .collect()
    }

    /// A line for each part, all deeds together.
    fn by_part(&self) -> Vec<String> {
        let rows = self.parts.iter().map(|(part, row)| row.line(part, row.sweeps));
        [head("geometry", "sweeps")].into_iter().chain(rows).collect()
    }

    /// A line for each deed on each part at each age.
    fn by_sweep(&self) -> Vec<String> {
        let mut each = self.each.clone();
        each.sort_by(|one, other| one.0.cmp(&other.0));
        let rows = each
            .iter()
            .map(|(place, figures)| Row { sweeps: 1, figures: figures.clone() }.line(place, 1));
        [head("geometry/scenario/age", "sweeps")].into_iter().chain(rows).collect()
    }

    /// How often each class of fault has struck.
    pub fn fired(&self) -> BTreeMap<FaultClass, u64> {
        self.sum().figures.fired
    }

    /// Deeds whose cuts leave too often the same.
    pub fn too_alike(&self) -> impl Iterator<Item = &'static str> {
        self.deeds
            .iter()
            .filter(|(_, row)| row.percent() < LEAST_DISTINCT_PERCENT)
            .map(|(key, _)| key.1)
    }

    /// Every failure.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> + Clone {
        self.deeds.values().flat_map(|row| &row.figures.failures)
    }

    /// Sweeps in all.
    pub fn sweeps(&self) -> usize {
        self.deeds.values().map(|row| row.sweeps).sum()
    }

    /// Cases in all.
    pub fn cases(&self) -> usize {
        self.sum().figures.cases
    }

    fn sum(&self) -> Row {
        let mut sum = Row::default();
        self.deeds.values().for_each(|row| sum.add(&row.figures));
        sum
    }
}

impl Row {
    fn add(&mut self, figures: &Figures) {
        self.sweeps += 1;
        let sum = &mut self.figures;
        sum.operations += figures.operations;
        sum.cases += figures.cases;
        sum.distinct += figures.distinct;
        sum.took += figures.took;
        for (class, count) in &figures.fired {
            *sum.fired.entry(*class).or_default() += count;
        }
        sum.failures.extend(figures.failures.iter().cloned());
    }

    fn percent(&self) -> usize {
        (self.figures.distinct * 100).checked_div(self.figures.cases).unwrap_or(100)
    }

    fn line(&self, name: &str, sweeps: usize) -> String {
        let Figures { operations, cases, distinct, took, failures, .. } = &self.figures;
        format!(
            "{name:<24} {sweeps:>6} {operations:>10} {cases:>10} {distinct:>10} {:>4} {:>8.1} {:>10}",
            self.percent(),
            took.as_secs_f64(),
            failures.len()
        )
    }
}

fn head(first: &str, second: &str) -> String {
    format!(
        "{first:<24} {second:>6} {:>10} {:>10} {:>10} {:>4} {:>8} {:>10}",
        "operations", "cases", "distinct", "%", "seconds", "violations"
    )
}
