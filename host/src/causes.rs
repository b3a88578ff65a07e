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
