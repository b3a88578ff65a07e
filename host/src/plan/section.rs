//! One table of a plan while it is read: typed access by key, and the rule that every key is either
//! read, known as not supported yet, or an error.

use toml::de::{DeTable, DeValue};

use super::ID_MAX_BYTES;
use super::duration::{self, DURATION_FORM};
use super::error::Problems;
use crate::measurement::Pattern;

/// A table with the name that messages call it by. End with [`Section::finish`].
#[derive(Debug)]
pub(super) struct Section<'d> {
    name: String,
    at: usize,
    table: &'d DeTable<'d>,
    /// Keys that were asked for, and so are allowed.
    known: Vec<&'static str>,
    /// Keys of the schema that were refused as not supported yet.
    refused: Vec<&'static str>,
    problems: &'d Problems,
}

impl<'d> Section<'d> {
    pub(super) fn root(table: &'d DeTable<'d>, problems: &'d Problems) -> Self {
        Self::new("the plan".to_owned(), 0, table, problems)
    }

    fn new(name: String, at: usize, table: &'d DeTable<'d>, problems: &'d Problems) -> Self {
        Self { name, at, table, known: Vec::new(), refused: Vec::new(), problems }
    }

    /// Changes the name once the section has told its id.
    pub(super) fn call(&mut self, name: String) {
        self.name = name;
    }

    pub(super) fn line(&self) -> u32 {
        self.problems.line_at(self.at)
    }

    pub(super) fn problem(&self, text: impl AsRef<str>) {
        self.problem_at(self.at, text);
    }

    pub(super) fn problem_at(&self, at: usize, text: impl AsRef<str>) {
        self.problems.add(at, format!("{}: {}", self.name, text.as_ref()));
    }

    pub(super) fn problem_at_line(&self, line: u32, text: impl AsRef<str>) {
        self.problems.add_at_line(line, format!("{}: {}", self.name, text.as_ref()));
    }

    /// The raw value of `key` and where the key stands.
    pub(super) fn value(&mut self, key: &'static str) -> Option<(&'d DeValue<'d>, usize)> {
        self.known.push(key);
        let table: &'d DeTable<'d> = self.table;
        table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(name, value)| (value.get_ref(), name.span().start))
    }

    /// Where `key` stands, else where the section starts.
    pub(super) fn at(&self, key: &str) -> usize {
        let found = self.table.iter().find(|(name, _)| name.get_ref() == key);
        found.map_or(self.at, |(name, _)| name.span().start)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.iter().any(|(name, _)| name.get_ref() == key)
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<(&'d str, usize)> {
        self.typed(key, "text in quotes", |value| value.as_str())
    }

    pub(super) fn required_text(&mut self, key: &'static str) -> Option<(&'d str, usize)> {
        self.require(key, "text in quotes");
        self.text(key)
    }

    /// An id: stable, printable everywhere, and safe in a file name.
    pub(super) fn required_id(&mut self, key: &'static str) -> Option<String> {
        let (id, at) = self.required_text(key)?;
        let is_id = (1..=ID_MAX_BYTES).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_id {
            self.problem_at(
                at,
                format!("`{key}` must be 1 to {ID_MAX_BYTES} letters, digits, `-`, `_` or `.`, got \"{id}\""),
            );
        }
        is_id.then(|| id.to_owned())
    }

    /// One of `words`, mapped to its value.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let (text, at) = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.problem_at(at, format!("`{key}` is \"{text}\", allowed: {}", allowed.join(", ")));
        }
        found
    }

    pub(super) fn duration_ms(&mut self, key: &'static str) -> Option<u64> {
        let (text, at) = self.typed(key, DURATION_FORM, |value| value.as_str())?;
        duration::parse_ms(text).map_err(|why| self.problem_at(at, format!("`{key}` {why}"))).ok()
    }

    /// A whole number inside `range`.
    pub(super) fn count(
        &mut self,
        key: &'static str,
        range: core::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let (low, high) = (range.start(), range.end());
        let expected = format!("a whole number from {low} to {high}");
        let read = |value: &DeValue<'_>| integer(value).filter(|number| range.contains(number));
        self.typed(key, &expected, read).map(|(number, _)| number)
    }

    /// A finite number above zero.
    pub(super) fn positive(&mut self, key: &'static str) -> Option<f64> {
        let read = |value: &DeValue<'_>| number(value).filter(|number| *number > 0.0);
        self.typed(key, "a number above zero", read).map(|(number, _)| number)
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let read = |value: &'d DeValue<'d>| {
            let texts = value.as_array()?.iter();
            texts.map(|text| text.get_ref().as_str().map(str::to_owned)).collect()
        };
        let expected = "a list of texts, such as [\"a\", \"b\"]";
        self.typed(key, expected, read).map(|(texts, _)| texts)
    }

    pub(super) fn pattern(&mut self, key: &'static str) -> Option<Pattern> {
        let (text, at) = self.text(key)?;
        self.compile(key, text, at)
    }

    pub(super) fn patterns(&mut self, key: &'static str) -> Vec<Pattern> {
        let texts = self.texts(key).unwrap_or_default();
        let at = self.at(key);
        texts.iter().filter_map(|text| self.compile(key, text, at)).collect()
    }

    pub(super) fn table(&mut self, key: &'static str) -> Option<Self> {
        let (table, at) = self.typed(key, "a table", |value| value.as_table())?;
        Some(Self::new(self.inner_name(key), at, table, self.problems))
    }

    pub(super) fn required_table(&mut self, key: &'static str) -> Option<Self> {
        self.require(key, &format!("a table; write [{key}]"));
        self.table(key)
    }

    /// The tables of a list of tables, `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let read = |value: &'d DeValue<'d>| {
            let tables = value.as_array()?.iter();
            tables
                .map(|table| Some((table.get_ref().as_table()?, table.span().start)))
                .collect::<Option<Vec<_>>>()
        };
        let Some((tables, _)) = self.typed(key, "a list of tables", read) else {
            return Vec::new();
        };
        let sections = tables.into_iter().enumerate();
        sections
            .map(|(index, (table, at))| {
                Self::new(format!("{key} number {}", index + 1), at, table, self.problems)
            })
            .collect()
    }

    /// Refuses keys that the schema knows and this version does not.
    pub(super) fn later(&mut self, keys: &[&'static str], supported: &str) {
        for key in keys {
            if self.has(key) {
                let text = format!(
                    "`{key}` is not supported yet by this version (supported: {supported})"
                );
                self.problem_at(self.at(key), text);
            }
            self.refused.push(key);
        }
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) && !self.refused.contains(&name) {
                let hint = nearest(name, &self.known).map_or_else(
                    || format!("allowed: {}", self.known.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.problem_at(key.span().start, format!("unknown key `{name}`; {hint}"));
            }
        }
    }

    fn typed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<(T, usize)> {
        let (value, at) = self.value(key)?;
        let read = read(value);
        if read.is_none() {
            self.problem_at(at, format!("`{key}` must be {expected}, got {}", shown(value)));
        }
        read.map(|read| (read, at))
    }

    pub(super) fn require(&self, key: &str, expected: &str) {
        if !self.has(key) {
            self.problem(format!("`{key}` is missing, expected {expected}"));
        }
    }

    fn compile(&self, key: &str, text: &str, at: usize) -> Option<Pattern> {
        Pattern::new(text)
            .map_err(|error| {
                self.problem_at(
                    at,
                    format!(
                        "`{key}` has the pattern \"{text}\", which is no \
                    regular expression: {error}"
                    ),
                );
            })
            .ok()
    }

    fn inner_name(&self, key: &str) -> String {
        if self.at == 0 && self.name == "the plan" {
            format!("[{key}]")
        } else {
            format!("{}: {key}", self.name)
        }
    }
}

/// A whole number that fits i64.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A finite number, whole or not. Whole numbers past 2^53 are none: a float cannot hold them
/// exactly.
pub(super) fn number(value: &DeValue<'_>) -> Option<f64> {
    const EXACT_MAX: i64 = 1 << 53;
    if let Some(whole) = integer(value) {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        return (-EXACT_MAX..=EXACT_MAX).contains(&whole).then_some(whole as f64);
    }
    value.as_float()?.as_str().parse().ok().filter(|number: &f64| number.is_finite())
}

/// A value as a message shows it: its type, and its text when short.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.len() <= 40 => format!("\"{text}\""),
        DeValue::Integer(integer) => integer.as_str().to_owned(),
        DeValue::Float(float) => float.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::String(_) => "a long text".to_owned(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The allowed key that is at most two edits away, if any.
fn nearest<'k>(key: &str, allowed: &[&'k str]) -> Option<&'k str> {
    let distances = allowed.iter().map(|near| (edits(key, near), *near));
    distances.filter(|(edits, near)| *edits <= 2 && *edits < near.len()).min().map(|(_, near)| near)
}

/// Levenshtein distance over bytes.
fn edits(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, a) in left.bytes().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(right.bytes()) {
            let change = diagonal + usize::from(a != b);
            diagonal = *cell;
            before = change.min(*cell + 1).min(before + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("same", "same"), 0);
    }

    #[test]
    fn a_typo_names_the_nearest_key_and_other_keys_the_allowed_ones() {
        let messages = read_all("timeuot = 1\nfrobnicate = 2", |section| {
            section.value("timeout");
            section.value("retry");
        });
        assert_eq!(
            messages,
            [
                "line 1: the plan: unknown key `timeuot`; did you mean `timeout`?",
                "line 2: the plan: unknown key `frobnicate`; allowed: timeout, retry",
            ]
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_says_what_was_expected_and_what_came() {
        let messages = read_all("a = 60\nb = 'x'\nc = [1]\nd = 9", |section| {
            section.duration_ms("a");
            section.count("b", 1..=3);
            section.texts("c");
            section.count("d", 1..=3);
        });
        assert_eq!(
            messages,
            [
                "line 1: the plan: `a` must be a duration with its unit, such as \"500ms\", \
                    \"60s\" or \"4h\", got 60",
                "line 2: the plan: `b` must be a whole number from 1 to 3, got \"x\"",
                "line 3: the plan: `c` must be a list of texts, such as [\"a\", \"b\"], got a list",
                "line 4: the plan: `d` must be a whole number from 1 to 3, got 9",
            ]
        );
    }

    #[test]
    fn a_key_that_is_not_supported_yet_is_refused_and_not_called_unknown() {
        let messages = read_all("claim = 1", |section| section.later(&["claim"], "limits"));
        let expected =
            "line 1: the plan: `claim` is not supported yet by this version (supported: limits)";
        assert_eq!(messages, [expected]);
    }

    #[test]
    fn numbers_that_a_float_cannot_hold_are_none() {
        let document = DeTable::parse("a = 9007199254740993\nb = inf\nc = 3").unwrap();
        let of = |key: &str| {
            document
                .get_ref()
                .iter()
                .find(|(name, _)| name.get_ref() == key)
                .and_then(|(_, v)| number(v.get_ref()))
        };
        assert_eq!((of("a"), of("b"), of("c")), (None, None, Some(3.0)));
    }

    fn read_all(text: &str, read: impl FnOnce(&mut Section<'_>)) -> Vec<String> {
        let problems = Problems::new(text);
        {
            let document = DeTable::parse(text).unwrap();
            let mut section = Section::root(document.get_ref(), &problems);
            read(&mut section);
            section.finish();
        }
        problems.into_sorted().iter().map(ToString::to_string).collect()
    }
}
