//! A tree of XML elements, written so that no text can break out of its place.
//!
//! XML 1.0 cannot hold most control characters, not even as references: one of them makes CI drop the whole
//! file, so they are stripped.

/// One element with its attributes and children.
#[derive(Debug)]
pub(super) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Children(Vec<Element>),
    Text(String),
}

impl Element {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), content: Content::Children(Vec::new()) }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers and texts alike, without an & at each use"
    )]
    pub(super) fn with(mut self, attribute: &'static str, value: impl ToString) -> Self {
        self.attributes.push((attribute, value.to_string()));
        self
    }

    /// Adds the attribute unless the value is empty.
    pub(super) fn with_some(self, attribute: &'static str, value: &str) -> Self {
        if value.is_empty() { self } else { self.with(attribute, value) }
    }

    /// Makes `text` the whole content.
    pub(super) fn holding(mut self, text: impl Into<String>) -> Self {
        self.content = Content::Text(text.into());
        self
    }

    /// Adds children; an element holds children or text, and the last call wins.
    pub(super) fn around(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        if let Content::Children(held) = &mut self.content {
            held.extend(children);
        } else {
            self.content = Content::Children(children.into_iter().collect());
        }
        self
    }

    /// The document with this element as its root.
    pub(super) fn document(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, depth: usize) {
        out.push_str(&"  ".repeat(depth));
        out.push('<');
        out.push_str(self.name);
        for (name, value) in &self.attributes {
            out.push(' ');
            out.push_str(name);
            out.push_str("=\"");
            push_escaped(out, value, true);
            out.push('"');
        }
        match &self.content {
            Content::Children(children) if children.is_empty() => out.push_str("/>\n"),
            Content::Children(children) => {
                out.push_str(">\n");
                for child in children {
                    child.write(out, depth.saturating_add(1));
                }
                out.push_str(&"  ".repeat(depth));
                self.write_end(out);
            }
            Content::Text(text) => {
                out.push('>');
                push_escaped(out, text, false);
                self.write_end(out);
            }
        }
    }

    fn write_end(&self, out: &mut String) {
        out.push_str("</");
        out.push_str(self.name);
        out.push_str(">\n");
    }
}

fn push_escaped(out: &mut String, text: &str, in_attribute: bool) {
    for character in text.chars().filter(|character| is_legal(*character)) {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // `]]>` may not stand in text.
            '>' => out.push_str("&gt;"),
            '"' if in_attribute => out.push_str("&quot;"),
            // A parser turns raw white space in an attribute into blanks.
            '\n' if in_attribute => out.push_str("&#10;"),
            '\t' if in_attribute => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            _ => out.push(character),
        }
    }
}

/// XML 1.0, production 2 (Char).
const fn is_legal(character: char) -> bool {
    matches!(
        character,
        '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out_of_an_attribute_or_an_element() {
        let document = Element::new("a").with("b", "\"><x>&\n\t").document();
        assert!(document.ends_with("<a b=\"&quot;&gt;&lt;x&gt;&amp;&#10;&#9;\"/>\n"), "{document}");
        let document = Element::new("a").holding("]]></a><x> \"&amp;").document();
        assert!(document.ends_with("<a>]]&gt;&lt;/a&gt;&lt;x&gt; \"&amp;amp;</a>\n"), "{document}");
    }

    #[test]
    fn characters_that_xml_cannot_hold_are_stripped() {
        let illegal = "a\0\u{1}\u{8}\u{b}\u{1b}\u{1f}\u{fffe}\u{ffff}z";
        assert!(Element::new("a").holding(illegal).document().ends_with("<a>az</a>\n"));
    }

    #[test]
    fn children_are_indented_and_an_empty_element_is_short() {
        let tree = Element::new("a").around([Element::new("b").around([Element::new("c")])]);
        assert!(tree.document().ends_with("\n<a>\n  <b>\n    <c/>\n  </b>\n</a>\n"));
    }
}
