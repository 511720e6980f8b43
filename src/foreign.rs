//! Text of strangers, made fit for logs and lists: user names, paths, user agents, words of protocols.

use std::{borrow::Cow, fmt::Write};

/// Most characters of one text. MediaMTX's names have up to 250 bytes, and ours are shorter by default.
pub const MAX_CHARS: usize = 200;

/// The text in one line of at most [`MAX_CHARS`] characters. Control characters, with which a terminal or a second line of a
/// log can be forged, are escaped; a longer text is cut, and its length is stated.
pub fn shown(text: &str) -> Cow<'_, str> {
    limited(text, MAX_CHARS)
}

/// As [`shown`], with another limit in characters.
pub fn limited(text: &str, max_chars: usize) -> Cow<'_, str> {
    let end = text.char_indices().nth(max_chars).map(|(at, _)| at);
    if end.is_none() && !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(end.unwrap_or(text.len()) + 32);
    for c in text.chars().take(max_chars) {
        match c {
            c if is_unsafe(c) => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    if end.is_some() {
        // Writing to a String never fails.
        let _ = write!(shown, "… (cut, {} bytes)", text.len());
    }
    Cow::Owned(shown)
}

/// Characters that move the cursor, begin a line, or change the direction or the look of what follows (Unicode TR 36).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_one_line_of_limited_length() {
        for (text, expected) in [
            ("alice", "alice"),
            ("", ""),
            ("門/カメラ 1", "門/カメラ 1"),
            ("a\nINFO forged", "a\\nINFO forged"),
            ("a\r\t\u{1b}[31mred\u{7f}\u{9b}2J", "a\\r\\t\\u{1b}[31mred\\u{7f}\\u{9b}2J"),
            ("left\u{202e}thgir\u{2028}", "left\\u{202e}thgir\\u{2028}"),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert!(matches!(shown("alice"), Cow::Borrowed(_)));
        let exactly = "é".repeat(MAX_CHARS);
        assert_eq!(shown(&exactly), exactly);
        let longer = "é".repeat(MAX_CHARS + 1);
        assert_eq!(shown(&longer), format!("{exactly}… (cut, 402 bytes)"));
        let worst = "\u{1b}".repeat(44 << 10);
        assert!(shown(&worst).len() < 10 * MAX_CHARS, "{}", shown(&worst).len());
    }
}
