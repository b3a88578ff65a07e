//! Reads limits and refuses those that no value, or every value past reason, could meet.

use toml::de::DeValue;

use super::section::{Section, number, shown};
use crate::measurement::{Limits, Standing, Value};

const KEYS: &str = "ge, le, gt, lt, eq, ne, re, not_re, in, not_in, marginal_ge, marginal_le, \
    marginal_gt, marginal_lt";

/// Reads `limits` of a check; `None` when there are none or they have problems, which are reported.
pub(super) fn read(check: &mut Section<'_>) -> Option<Limits> {
    let mut section = check.table("limits")?;
    let limits = Limits {
        ge: bound(&mut section, "ge"),
        le: bound(&mut section, "le"),
        gt: bound(&mut section, "gt"),
        lt: bound(&mut section, "lt"),
        eq: single(&mut section, "eq"),
        ne: single(&mut section, "ne"),
        re: section.pattern("re"),
        not_re: section.pattern("not_re"),
        one_of: list(&mut section, "in"),
        none_of: list(&mut section, "not_in"),
        marginal_ge: bound(&mut section, "marginal_ge"),
        marginal_le: bound(&mut section, "marginal_le"),
        marginal_gt: bound(&mut section, "marginal_gt"),
        marginal_lt: bound(&mut section, "marginal_lt"),
    };
    if limits.is_empty() {
        section.problem(format!("no limit is set; use one or more of {KEYS}"));
    } else if let Some(why) = impossible(&limits) {
        section.problem(why);
    }
    section.finish();
    (!limits.is_empty()).then_some(limits)
}

/// As [`read`], for a kind whose value is always a number.
pub(super) fn read_numeric(check: &mut Section<'_>) -> Option<Limits> {
    let limits = read(check)?;
    if let Some(kind) = limits.value_kinds().find(|kind| *kind != "number") {
        let at = check.at("limits");
        check.problem_at(
            at,
            format!(
                "limits are for a {kind}, this kind of check measures a \
            number; use ge, le, gt or lt"
            ),
        );
    }
    Some(limits)
}

/// Whether the limits are for a number, which then needs a unit.
pub(super) fn are_numeric(limits: &Limits) -> bool {
    limits.value_kinds().any(|kind| kind == "number")
}

/// Says why no value can be inside, or why a marginal bound cannot matter.
fn impossible(limits: &Limits) -> Option<String> {
    mixed(limits)
        .or_else(|| crossed(limits))
        .or_else(|| stray_marginal(limits))
        .or_else(|| excluded(limits))
}

fn mixed(limits: &Limits) -> Option<String> {
    let first = limits.value_kinds().next()?;
    let other = limits.value_kinds().find(|kind| *kind != first)?;
    Some(format!("limits mix a {first} and a {other}; a value is one of them, so use two checks"))
}

fn crossed(limits: &Limits) -> Option<String> {
    let lower = [("ge", limits.ge, false), ("gt", limits.gt, true)];
    let upper = [("le", limits.le, false), ("lt", limits.lt, true)];
    crossing(&lower, &upper).or_else(|| {
        let lower = [
            lower,
            [("marginal_ge", limits.marginal_ge, false), ("marginal_gt", limits.marginal_gt, true)],
        ]
        .concat();
        let upper = [
            upper,
            [("marginal_le", limits.marginal_le, false), ("marginal_lt", limits.marginal_lt, true)],
        ]
        .concat();
        crossing(&lower, &upper)
    })
}

/// A named bound and whether it is open.
type Bound = (&'static str, Option<f64>, bool);

fn crossing(lower: &[Bound], upper: &[Bound]) -> Option<String> {
    for (low_name, low, low_open) in lower {
        for (high_name, high, high_open) in upper {
            let (Some(low), Some(high)) = (low, high) else { continue };
            if low > high || (low >= high && (*low_open || *high_open)) {
                return Some(format!(
                    "no value can meet {low_name} {low} and {high_name} {high}; lower the first \
                        or raise the second"
                ));
            }
        }
    }
    None
}

/// A marginal bound outside the hard one would never be reached, which its author did not mean.
fn stray_marginal(limits: &Limits) -> Option<String> {
    let hard_low = [("ge", limits.ge), ("gt", limits.gt)];
    let hard_high = [("le", limits.le), ("lt", limits.lt)];
    let low = [("marginal_ge", limits.marginal_ge), ("marginal_gt", limits.marginal_gt)];
    let high = [("marginal_le", limits.marginal_le), ("marginal_lt", limits.marginal_lt)];
    stray(&low, &hard_low, |marginal, hard| marginal < hard)
        .or_else(|| stray(&high, &hard_high, |marginal, hard| marginal > hard))
}

fn stray(
    marginal: &[(&str, Option<f64>)],
    hard: &[(&str, Option<f64>)],
    is_outside: impl Fn(f64, f64) -> bool,
) -> Option<String> {
    for (name, value) in marginal {
        for (hard_name, hard_value) in hard {
            let (Some(value), Some(hard_value)) = (value, hard_value) else { continue };
            if is_outside(*value, *hard_value) {
                return Some(format!(
                    "{name} {value} is outside {hard_name} {hard_value}; a marginal limit lies \
                        inside the hard one"
                ));
            }
        }
    }
    None
}

/// Values named as right that the other limits refuse.
fn excluded(limits: &Limits) -> Option<String> {
    let refused = |value: &&Value| limits.judge(value) == Ok(Standing::Outside);
    let named = limits.eq.iter().chain(limits.one_of.iter().flatten());
    let value = named.clone().find(refused)?;
    Some(format!("the allowed value {value} is outside the other limits; drop one of the two"))
}

fn bound(section: &mut Section<'_>, key: &'static str) -> Option<f64> {
    let (value, at) = section.value(key)?;
    let bound = number(value);
    if bound.is_none() {
        section.problem_at(at, format!("`{key}` must be a finite number, got {}", shown(value)));
    }
    bound
}

fn single(section: &mut Section<'_>, key: &'static str) -> Option<Value> {
    let (value, at) = section.value(key)?;
    let single = plain(value);
    if single.is_none() {
        section.problem_at(
            at,
            format!(
                "`{key}` must be a finite number, a text or true or false, got {}",
                shown(value)
            ),
        );
    }
    single
}

fn list(section: &mut Section<'_>, key: &'static str) -> Option<Vec<Value>> {
    let (value, at) = section.value(key)?;
    let values: Option<Vec<Value>> = value
        .as_array()
        .and_then(|values| values.iter().map(|value| plain(value.get_ref())).collect());
    let values = values.filter(|values| !values.is_empty());
    if values.is_none() {
        section.problem_at(
            at,
            format!(
                "`{key}` must be a list of values, such as [1, 2] or [\"a\", \"b\"], got {}",
                shown(value)
            ),
        );
    }
    values
}

fn plain(value: &DeValue<'_>) -> Option<Value> {
    let text = value.as_str().map(|text| Value::Text(text.to_owned()));
    text.or_else(|| value.as_bool().map(Value::Flag)).or_else(|| number(value).map(Value::Number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::error::Problems;
    use toml::de::DeTable;

    #[test]
    fn every_key_of_the_schema_is_read() {
        let (limits, problems) = parse(
            "ge = 1, le = 9, gt = 0, lt = 10, marginal_ge = 2, marginal_le = 8, marginal_gt = 1, \
                marginal_lt = 9, ne = 5",
        );
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            limits.unwrap().to_string(),
            "ge 1, le 9, gt 0, lt 10, marginal_ge 2, marginal_le 8, marginal_gt 1, marginal_lt \
                9, ne 5"
        );
        let (limits, problems) =
            parse("re = '^v', not_re = 'x$', in = ['v1'], not_in = ['v3'], ne = 'v4', eq = 'v1'");
        assert_eq!(problems, Vec::<String>::new());
        assert!(limits.is_some());
    }

    #[test]
    fn limits_that_no_value_can_meet_are_refused_with_both_bounds() {
        refuses("ge = 5, le = 3", "no value can meet ge 5 and le 3");
        refuses("gt = 3, le = 3", "no value can meet gt 3 and le 3");
        refuses("ge = 3, lt = 3", "no value can meet ge 3 and lt 3");
        refuses(
            "marginal_ge = 4, marginal_le = 3",
            "no value can meet marginal_ge 4 and marginal_le 3",
        );
        refuses("le = 3, marginal_ge = 4", "no value can meet marginal_ge 4 and le 3");
        refuses("eq = 5, le = 3", "allowed value 5 is outside");
        refuses("in = ['a', 'b'], not_in = ['b']", "allowed value b is outside");
        refuses("eq = 'a', re = 'b'", "allowed value a is outside");
    }

    #[test]
    fn a_single_value_between_closed_bounds_is_possible() {
        assert_eq!(parse("ge = 3, le = 3").1, Vec::<String>::new());
    }

    #[test]
    fn a_marginal_bound_outside_the_hard_one_is_refused() {
        refuses("ge = 3, marginal_ge = 2", "marginal_ge 2 is outside ge 3");
        refuses("le = 3, marginal_le = 4", "marginal_le 4 is outside le 3");
    }

    #[test]
    fn limits_of_two_kinds_of_value_are_refused() {
        refuses("ge = 3, re = 'x'", "mix a number and a text");
        refuses("in = [1, true]", "mix a number and a flag");
    }

    #[test]
    fn empty_unknown_and_malformed_limits_are_refused() {
        refuses("", "no limit is set");
        refuses("gte = 3, le = 4", "unknown key `gte`; did you mean `ge`?");
        refuses("re = '('", "no regular expression");
        refuses("ge = nan", "`ge` must be a finite number");
        refuses("in = []", "`in` must be a list of values");
        refuses("eq = [1]", "`eq` must be a finite number, a text");
    }

    fn refuses(limits: &str, expected: &str) {
        let problems = parse(limits).1;
        assert!(problems.iter().any(|text| text.contains(expected)), "{limits}: {problems:?}");
    }

    fn parse(limits: &str) -> (Option<Limits>, Vec<String>) {
        let text = format!("limits = {{ {limits} }}");
        let problems = Problems::new(&text);
        let limits = {
            let document = DeTable::parse(&text).unwrap();
            read(&mut Section::root(document.get_ref(), &problems))
        };
        (limits, problems.into_sorted().iter().map(ToString::to_string).collect())
    }
}
