//! Reads Rust sources as far as style can be told from them: lines of code, functions, paths.
//!
//! Not a parser: comments and literals are blanked, unit tests cut away, braces counted. That is
//! exact enough for code that `rustfmt` has laid out.

use std::path::{Path, PathBuf};

/// One source file, ready to be judged.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path below the crate's `src`.
    pub path: PathBuf,
    /// Its text.
    text: String,
    /// The text without comments, literals and unit tests; same line breaks.
    code: String,
}

/// A function and its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Lines of code from its first to its last.
    pub lines: usize,
}

impl Source {
    /// A source of this text.
    pub fn new(path: impl Into<PathBuf>, text: &str) -> Self {
        let code = without_tests(&blank(text));
        Self { path: path.into(), text: text.to_owned(), code }
    }

    /// Every source below `folder` that is not only tests.
    pub fn of_folder(folder: &Path) -> Vec<Self> {
        let only_tests = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            matches!(name, Some("tests.rs" | "testing.rs"))
        };
        let paths = crate::source::files(folder, ".rs").into_iter();
        paths
            .filter(|path| !only_tests(path))
            .map(|path| {
                let text = std::fs::read_to_string(&path).unwrap();
                Self::new(path.strip_prefix(folder).unwrap(), &text)
            })
            .collect()
    }

    /// The top-level module that the file belongs to.
    pub fn module(&self) -> String {
        let first = self.path.components().next().unwrap().as_os_str().to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    }

    /// Lines of code, unit tests apart.
    pub fn code_lines(&self) -> usize {
        count_lines(&self.code)
    }

    /// Every function outside tests.
    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let starts_word = self.code[..at].chars().next_back().is_none_or(|c| !is_word(c));
            let name: String = self.code[at + 3..].chars().take_while(|c| is_word(*c)).collect();
            let Some(end) = body_end(&self.code[at..]).filter(|_| starts_word) else { continue };
            if !name.is_empty() {
                found.push(Function { name, lines: count_lines(&self.code[at..at + end]) });
            }
        }
        found
    }

    /// The modules of the own crate that the file names.
    pub fn uses(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("crate::") {
            let rest = &self.code[at + "crate::".len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(group_heads(group)),
                None => found.push(rest.chars().take_while(|c| is_word(*c)).collect()),
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// True when the code (not its comments or tests) holds `words`.
    pub fn has_code(&self, words: &str) -> bool {
        self.code.contains(words)
    }

    /// True when the text holds `words` anywhere.
    pub fn has_text(&self, words: &str) -> bool {
        self.text.contains(words)
    }
}

const fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn count_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// Where the braces that open first are closed again; `None` for a signature without a body.
fn body_end(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, character) in code.char_indices() {
        match character {
            ';' if depth == 0 && !in_brackets(&code[..at]) => return None,
            '{' => depth += 1,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// True inside `[u8; 4]`, where a semicolon ends nothing.
fn in_brackets(code: &str) -> bool {
    code.matches('[').count() > code.matches(']').count()
}

/// First words of the entries of `{a::b, c::{d, e}}`.
fn group_heads(group: &str) -> Vec<String> {
    let (mut heads, mut word, mut depth, mut at_head) = (Vec::new(), String::new(), 0_usize, true);
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(std::mem::take(&mut word));
                at_head = true;
            }
            _ if depth > 0 || character.is_whitespace() => {}
            _ if is_word(character) && at_head => word.push(character),
            _ => at_head = false,
        }
    }
    heads.push(word);
    heads.retain(|head| !head.is_empty());
    heads
}

/// Cuts `#[cfg(test)]` items away.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        let item = &rest[at..];
        let end = body_end(item).or_else(|| item.find(';').map(|end| end + 1));
        rest = &item[end.unwrap_or(item.len())..];
    }
    kept.push_str(rest);
    kept
}

/// Blanks comments, text and character literals; keeps line breaks.
fn blank(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = literal_length(rest, code.chars().next_back());
        if length == 0 {
            code.push(character);
            rest = &rest[character.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().filter(|c| *c == '\n'));
            rest = &rest[length..];
        }
    }
    code
}

/// Length of the comment or literal that `text` begins with; zero for anything else.
fn literal_length(text: &str, before: Option<char>) -> usize {
    let after_word = before.is_some_and(is_word);
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    let bare = if after_word { text } else { text.trim_start_matches(['b', 'c']) };
    let prefix = text.len() - bare.len();
    if let Some(raw) = bare.strip_prefix('r').filter(|_| !after_word) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = hashes + 1;
            let end = raw[body..].find(&close).map_or(raw.len(), |end| body + end + close.len());
            return prefix + 1 + end;
        }
    }
    if let Some(inside) = bare.strip_prefix('"') {
        return prefix + 1 + closing(inside, '"');
    }
    match bare.strip_prefix('\'') {
        Some(inside) if is_character(inside) => prefix + 1 + closing(inside, '\''),
        _ => 0,
    }
}

/// A character literal, and no lifetime.
fn is_character(inside: &str) -> bool {
    let mut characters = inside.chars();
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}

fn closing(inside: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in inside.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    inside.len()
}
