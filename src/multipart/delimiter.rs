//! Delimiter lines: finding those of known boundaries, and recognising one that was not declared.

use std::ops::Range;

/// Longest delimiter line that is accepted, in bytes. RFC 2046, section 5.1.1 permits 74, and white space behind them.
pub(super) const MAX_LINE: usize = 512;

/// The boundaries of one body, without their dashes: the declared one, and the one that the body itself shows.
#[derive(Debug, Default)]
pub(super) struct Boundaries {
    declared: Option<Vec<u8>>,
    learnt: Option<Vec<u8>>,
}

/// What the data between two parts begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// More bytes are needed to tell.
    Unclear,
    /// A delimiter line of an unknown boundary, which is known from now on.
    Learnt,
    /// Anything else.
    Other,
}

impl Boundaries {
    /// The boundary that a `Content-Type` declares, if it is a multipart type.
    pub(super) fn of(content_type: Option<&str>) -> Self {
        Boundaries { declared: content_type.and_then(boundary_of), learnt: None }
    }

    /// The first complete delimiter line whose dashes begin at or behind `from`, including the line ends before and
    /// after it. `at_line_start` says whether the data begins at the start of a line.
    pub(super) fn find(&self, data: &[u8], from: usize, at_line_start: bool) -> Option<Range<usize>> {
        let known = [&self.declared, &self.learnt].into_iter().flatten();
        known.filter_map(|boundary| line_of(data, from, at_line_start, boundary)).min_by_key(|line| line.start)
    }

    /// Looks at the data behind a picture, or at the start of the body. If it begins with a line that looks like a
    /// delimiter of another boundary than the declared one, that boundary is learnt: the body is right, not its head.
    pub(super) fn learn(&mut self, data: &[u8]) -> Beginning {
        let skip = data.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let (line, behind) = match text_line(&data[skip..]) {
            Line::Whole(line, behind) => (line.trim_ascii(), &data[skip + behind..]),
            Line::Unfinished if skip <= MAX_LINE => return Beginning::Unclear,
            Line::Unfinished | Line::NotText => return Beginning::Other,
        };
        let dashes = line.iter().take_while(|byte| **byte == b'-').count();
        let bare = without_dashes(line);
        let is_known = |known: &Option<Vec<u8>>| known.as_deref().is_some_and(|known| without_dashes(known) == bare);
        if bare.is_empty() || bare.len() > MAX_BOUNDARY || is_known(&self.declared) || is_known(&self.learnt) {
            return Beginning::Other;
        }
        let is_delimiter = match heads_a_part(behind) {
            Head::Unclear => return Beginning::Unclear,
            Head::No => false,
            // Dashes are missing, too, in some firmware. Then only the header below the line shows that it is one.
            Head::Content => dashes >= 2 || !bare.iter().any(|byte| matches!(byte, b' ' | b':')),
            Head::Other => dashes >= 2,
        };
        if !is_delimiter {
            return Beginning::Other;
        }
        self.learnt = Some(bare.to_vec());
        Beginning::Learnt
    }
}

/// Longest boundary that is accepted.
const MAX_BOUNDARY: usize = 200;

/// The boundary of a multipart content type, without leading dashes: some programs declare the boundary with its
/// dashes (pymjpeg declares `--boundarydonotcross` and sends the same).
fn boundary_of(content_type: &str) -> Option<Vec<u8>> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches(['"', '\'']))
    })?;
    let bare = value.trim_start_matches('-');
    let boundary = if bare.is_empty() { value } else { bare };
    (!boundary.is_empty() && boundary.len() <= MAX_BOUNDARY).then(|| boundary.as_bytes().to_vec())
}

fn without_dashes(line: &[u8]) -> &[u8] {
    let from = line.iter().take_while(|byte| **byte == b'-').count();
    let bare = &line[from..];
    let behind = bare.iter().rev().take_while(|byte| **byte == b'-').count();
    &bare[..bare.len() - behind]
}

fn line_of(data: &[u8], from: usize, at_line_start: bool, boundary: &[u8]) -> Option<Range<usize>> {
    let mut at = from;
    while let Some(found) = super::find(data.get(at..)?, boundary).map(|n| at + n) {
        let behind = found + boundary.len();
        at = behind;
        let dashes = data[from..found].iter().rev().take(MAX_LINE).take_while(|byte| **byte == b'-').count();
        let start = found - dashes;
        let Some(rest) = data.get(behind..data.len().min(start + MAX_LINE)) else { continue };
        let Some(length) = memchr::memchr(b'\n', rest) else { continue };
        let begins_line = if start == 0 { at_line_start } else { data[start - 1] == b'\n' };
        let nothing_else = rest[..length].iter().all(|byte| *byte == b'-' || byte.is_ascii_whitespace());
        if begins_line && nothing_else {
            let mut content_end = start;
            if data[..content_end].ends_with(b"\n") {
                content_end -= 1;
            }
            if data[..content_end].ends_with(b"\r") {
                content_end -= 1;
            }
            return Some(content_end..behind + length + 1);
        }
    }
    None
}

enum Line<'a> {
    /// The line without its end, and the offset of the next one.
    Whole(&'a [u8], usize),
    Unfinished,
    NotText,
}

/// The first line of the data, if it is printable ASCII.
fn text_line(data: &[u8]) -> Line<'_> {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    let length = data.iter().take(MAX_LINE).take_while(|byte| printable(byte)).count();
    match &data[length..] {
        _ if length == MAX_LINE => Line::NotText,
        [] | [b'\r'] => Line::Unfinished,
        [b'\n', ..] => Line::Whole(&data[..length], length + 1),
        [b'\r', b'\n', ..] => Line::Whole(&data[..length], length + 2),
        _ => Line::NotText,
    }
}

enum Head {
    Unclear,
    No,
    /// A header `Content-…`.
    Content,
    /// Another header, an empty line, or a JPEG.
    Other,
}

/// Whether the data is what follows a delimiter line.
fn heads_a_part(data: &[u8]) -> Head {
    match data {
        [] | [0xFF] => return Head::Unclear,
        [0xFF, 0xD8, ..] => return Head::Other,
        _ => {}
    }
    match text_line(data) {
        Line::Unfinished => Head::Unclear,
        Line::NotText => Head::No,
        Line::Whole(line, _) if line.trim_ascii().is_empty() => Head::Other,
        Line::Whole(line, _) => match memchr::memchr(b':', line) {
            Some(colon) if line[..colon].to_ascii_lowercase().starts_with(b"content-") => Head::Content,
            Some(colon) if line[..colon].iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-') && colon > 0 => {
                Head::Other
            }
            _ => Head::No,
        },
    }
}
