//! An error and everything behind it, in words.

use std::error::Error;

/// An error and each of its causes, outermost first.
#[must_use]
pub fn causes(error: &(dyn Error + 'static)) -> Vec<String> {
    // A TOML error ends in a line break.
    std::iter::successors(Some(error), |&error| error.source())
        .map(|error| error.to_string().trim_end().to_owned())
        .collect()
}

/// An error with its causes as one line, for a place that has no more: excerpts of files are left out.
#[must_use]
pub fn sentence(error: &(dyn Error + 'static)) -> String {
    let causes = causes(error);
    let lines = causes.iter().flat_map(|text| text.lines()).filter(|line| !is_excerpt(line));
    lines.collect::<Vec<_>>().join(": ")
}

/// Whether a line shows a part of a file, as in `3 | key = 5` and `  | ^^^`.
fn is_excerpt(line: &str) -> bool {
    line.trim_start_matches(|character: char| character == ' ' || character.is_ascii_digit())
        .starts_with('|')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_one_line_though_a_parser_shows_an_excerpt() {
        let error = toml::from_str::<toml::Table>("a = 1\nb = =\n").unwrap_err();
        assert!(error.to_string().contains("\n2 | b = =\n  |"), "{error}");
        let sentence = sentence(&error);
        let (place, problem) = sentence.split_once(": ").unwrap();
        assert_eq!(place, "TOML parse error at line 2, column 5");
        assert!(!problem.is_empty() && !problem.contains(['\n', '|']), "{problem}");
    }
}
