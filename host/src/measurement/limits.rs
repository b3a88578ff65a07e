//! The limits a value is held against, and where it stands.

use core::fmt;

use serde::Serialize;
use thiserror::Error;

use super::{Pattern, Value};

/// Limits of one measurement; all that are set must hold.
///
/// The names are those of the plan and map one to one onto OCP-TV validators. The `marginal_*`
/// bounds lie inside the hard ones: a value past them, but still inside the hard limits, is
/// marginal.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Limits {
    /// Greater than or equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ge: Option<f64>,
    /// Less than or equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub le: Option<f64>,
    /// Greater than.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gt: Option<f64>,
    /// Less than.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lt: Option<f64>,
    /// Equal to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eq: Option<Value>,
    /// Not equal to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ne: Option<Value>,
    /// Text in which the pattern occurs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Pattern>,
    /// Text in which the pattern does not occur.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_re: Option<Pattern>,
    /// One of these values.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<Value>>,
    /// None of these values.
    #[serde(rename = "not_in", skip_serializing_if = "Option::is_none")]
    pub none_of: Option<Vec<Value>>,
    /// Below this the value is marginal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marginal_ge: Option<f64>,
    /// Above this the value is marginal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marginal_le: Option<f64>,
    /// At or below this the value is marginal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marginal_gt: Option<f64>,
    /// At or above this the value is marginal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marginal_lt: Option<f64>,
}

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Inside every limit.
    Inside,
    /// Inside the hard limits, outside a marginal one.
    Marginal,
    /// Outside a hard limit.
    Outside,
}

/// A value that its limits cannot judge: the plan and the source disagree, which is no failure of
/// the device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LimitMismatch {
    /// The limits are for another kind of value.
    #[error("limits are for a {expected}, got the {got} {value}")]
    Kind {
        /// Kind of value the limits are for.
        expected: &'static str,
        /// Kind of value that came.
        got: &'static str,
        /// The value, rendered.
        value: String,
    },
    /// Not a number or infinite.
    #[error("expected a finite number, got {value}")]
    NotFinite {
        /// The value, rendered.
        value: String,
    },
}

impl Limits {
    /// Says where `value` lies.
    ///
    /// # Errors
    /// [`LimitMismatch`] when the limits are for another kind of value or the number is not finite.
    pub fn judge(&self, value: &Value) -> Result<Standing, LimitMismatch> {
        if let Value::Number(number) = value
            && !number.is_finite()
        {
            return Err(LimitMismatch::NotFinite { value: number.to_string() });
        }
        if let Some(expected) = self.value_kinds().find(|kind| *kind != value.kind()) {
            let (got, value) = (value.kind(), value.to_string());
            return Err(LimitMismatch::Kind { expected, got, value });
        }
        Ok(if !self.holds(value) {
            Standing::Outside
        } else if !self.marginal_holds(value) {
            Standing::Marginal
        } else {
            Standing::Inside
        })
    }

    /// Kinds of value that the limits are for, one entry a limit. A sound set names one kind only.
    pub fn value_kinds(&self) -> impl Iterator<Item = &'static str> {
        let number = self.numbers().into_iter().flatten().map(|_| "number");
        let text = [&self.re, &self.not_re].into_iter().flatten().map(|_| "text");
        let single = [&self.eq, &self.ne].into_iter().flatten().map(Value::kind);
        let listed = [&self.one_of, &self.none_of].into_iter().flatten().flatten().map(Value::kind);
        number.chain(text).chain(single).chain(listed)
    }

    /// Whether no limit is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn numbers(&self) -> [Option<f64>; 8] {
        let Self { ge, le, gt, lt, marginal_ge, marginal_le, marginal_gt, marginal_lt, .. } = *self;
        [ge, le, gt, lt, marginal_ge, marginal_le, marginal_gt, marginal_lt]
    }

    fn holds(&self, value: &Value) -> bool {
        let bounds = Bounds { ge: self.ge, le: self.le, gt: self.gt, lt: self.lt };
        let text = value.text();
        bounds.hold(value)
            && self.eq.as_ref().is_none_or(|eq| eq == value)
            && self.ne.as_ref().is_none_or(|ne| ne != value)
            && self.re.as_ref().is_none_or(|re| text.is_some_and(|text| re.is_match(text)))
            && self.not_re.as_ref().is_none_or(|re| text.is_some_and(|text| !re.is_match(text)))
            && self.one_of.as_ref().is_none_or(|values| values.contains(value))
            && self.none_of.as_ref().is_none_or(|values| !values.contains(value))
    }

    fn marginal_holds(&self, value: &Value) -> bool {
        Bounds {
            ge: self.marginal_ge,
            le: self.marginal_le,
            gt: self.marginal_gt,
            lt: self.marginal_lt,
        }
        .hold(value)
    }
}

/// Writes the limits with the plan's words: `ge 3.14, le 3.47`.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            ["ge", "le", "gt", "lt", "marginal_ge", "marginal_le", "marginal_gt", "marginal_lt"];
        let numbers = names.iter().zip(self.numbers());
        let mut words: Vec<String> =
            numbers.filter_map(|(name, bound)| Some(format!("{name} {}", bound?))).collect();
        words.extend(self.eq.iter().map(|value| format!("eq {value}")));
        words.extend(self.ne.iter().map(|value| format!("ne {value}")));
        words.extend(self.re.iter().map(|re| format!("re {re}")));
        words.extend(self.not_re.iter().map(|re| format!("not_re {re}")));
        words.extend(self.one_of.iter().map(|values| format!("in {}", listed(values))));
        words.extend(self.none_of.iter().map(|values| format!("not_in {}", listed(values))));
        f.write_str(&words.join(", "))
    }
}

struct Bounds {
    ge: Option<f64>,
    le: Option<f64>,
    gt: Option<f64>,
    lt: Option<f64>,
}

impl Bounds {
    fn hold(&self, value: &Value) -> bool {
        let Value::Number(number) = value else { return true };
        self.ge.is_none_or(|ge| *number >= ge)
            && self.le.is_none_or(|le| *number <= le)
            && self.gt.is_none_or(|gt| *number > gt)
            && self.lt.is_none_or(|lt| *number < lt)
    }
}

fn listed(values: &[Value]) -> String {
    let words: Vec<String> = values.iter().map(Value::to_string).collect();
    format!("[{}]", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_closed_bound_is_inside_and_on_an_open_bound_outside() {
        let closed = Limits { ge: Some(1.0), le: Some(2.0), ..Limits::default() };
        let open = Limits { gt: Some(1.0), lt: Some(2.0), ..Limits::default() };
        for edge in [1.0, 2.0] {
            assert_eq!(closed.judge(&Value::Number(edge)), Ok(Standing::Inside));
            assert_eq!(open.judge(&Value::Number(edge)), Ok(Standing::Outside));
        }
    }

    #[test]
    fn a_value_between_the_hard_and_the_marginal_bound_is_marginal() {
        let limits = Limits {
            ge: Some(3.13),
            le: Some(3.47),
            marginal_ge: Some(3.18),
            marginal_le: Some(3.43),
            ..Limits::default()
        };
        let standing = |volts| limits.judge(&Value::Number(volts)).unwrap();
        assert_eq!(standing(3.12), Standing::Outside);
        assert_eq!(standing(3.13), Standing::Marginal);
        assert_eq!(standing(3.18), Standing::Inside);
        assert_eq!(standing(3.44), Standing::Marginal);
        assert_eq!(standing(3.48), Standing::Outside);
    }

    #[test]
    fn text_is_judged_by_pattern_equality_and_list() {
        let text = |text: &str| Value::Text(text.into());
        let re = Limits { re: Pattern::new("^v1").ok(), ..Limits::default() };
        assert_eq!(re.judge(&text("v1.2")), Ok(Standing::Inside));
        assert_eq!(re.judge(&text("v2.0")), Ok(Standing::Outside));
        let not_re = Limits { not_re: Pattern::new("dirty").ok(), ..Limits::default() };
        assert_eq!(not_re.judge(&text("v1-dirty")), Ok(Standing::Outside));
        let one_of = Limits { one_of: Some(vec![text("a"), text("b")]), ..Limits::default() };
        assert_eq!(one_of.judge(&text("b")), Ok(Standing::Inside));
        assert_eq!(one_of.judge(&text("c")), Ok(Standing::Outside));
        let none_of = Limits { none_of: Some(vec![text("a")]), ..Limits::default() };
        assert_eq!(none_of.judge(&text("a")), Ok(Standing::Outside));
        let ne = Limits { ne: Some(Value::Flag(true)), ..Limits::default() };
        assert_eq!(ne.judge(&Value::Flag(false)), Ok(Standing::Inside));
    }

    #[test]
    fn a_value_of_another_kind_or_not_finite_is_a_mismatch_and_never_a_failure() {
        let limits = Limits { ge: Some(1.0), ..Limits::default() };
        let error = limits.judge(&Value::Text("high".into())).unwrap_err();
        assert_eq!(error.to_string(), "limits are for a number, got the text high");
        assert!(limits.judge(&Value::Number(f64::NAN)).is_err());
        assert!(limits.judge(&Value::Number(f64::INFINITY)).is_err());
    }

    #[test]
    fn limits_print_with_the_words_of_the_plan() {
        let limits = Limits {
            ge: Some(3.13),
            marginal_le: Some(3.5),
            one_of: Some(vec![Value::Number(1.0)]),
            ..Limits::default()
        };
        assert_eq!(limits.to_string(), "ge 3.13, marginal_le 3.5, in [1]");
    }
}
