//! Words one after the other, on as many lines as they need.

use ratatui::text::{Line, Span};

/// Puts `items` beside each other, `gap` characters apart, and begins a line where the next one
/// would go beyond `width`. Items themselves are not broken.
pub fn flow<'a>(
    items: impl IntoIterator<Item = Line<'a>>,
    gap: usize,
    width: usize,
) -> Vec<Line<'a>> {
    let mut lines: Vec<Line> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if line.width() + gap + item.width() <= width => {
                line.push_span(Span::raw(" ".repeat(gap)));
                line.spans.extend(item.spans);
            }
            _ => lines.push(item),
        }
    }
    lines
}

/// The words of a text as items.
pub fn words(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.split_whitespace().map(Line::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_as_much_as_fits() {
        let lines = flow(words("one two three unbreakable"), 1, 9);
        let texts: Vec<String> = lines.iter().map(Line::to_string).collect();
        assert_eq!(texts, ["one two", "three", "unbreakable"]);
        assert!(flow(words(""), 1, 9).is_empty());
    }
}
