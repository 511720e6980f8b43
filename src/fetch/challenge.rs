//! Challenges of `WWW-Authenticate` as devices write them, in the form of RFC 7616.
//!
//! Firmware leaves commas and quotation marks out, sets them where none belong, and offers `auth-int`, which it then computes
//! wrong. The library that answers challenges wants them as the standard has them.

/// Longest header that is read.
const MAX_LENGTH: usize = 4 << 10;

/// The challenges of a header, for the schemes that are answered here.
pub fn normalised(header: &str) -> Vec<String> {
    let mut found: Vec<(String, Vec<String>)> = vec![];
    let mut rest = header.get(..MAX_LENGTH).unwrap_or(header);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|c: char| c == '=' || c == ',' || c.is_ascii_whitespace()).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        if word.is_empty() {
            // Nothing but `=` can stand here.
            let Some(behind) = behind.strip_prefix('=') else { break };
            rest = behind;
            continue;
        }
        let Some(value) = behind.trim_start().strip_prefix('=') else {
            found.push((word.to_owned(), vec![]));
            rest = behind;
            continue;
        };
        let (value, behind) = value_of(value.trim_start());
        if let Some((_, parameters)) = found.last_mut() {
            parameters.push(parameter(word, &value));
        }
        rest = behind;
    }
    found.retain(|(scheme, _)| scheme.eq_ignore_ascii_case("digest") || scheme.eq_ignore_ascii_case("basic"));
    found.into_iter().map(|(scheme, parameters)| format!("{scheme} {}", parameters.join(", "))).collect()
}

/// A quoted or bare value, and what stands behind it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ',' || c.is_ascii_whitespace()).unwrap_or(text.len());
        let (value, behind) = text.split_at(end);
        return (value.to_owned(), behind);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => return (value, characters.as_str()),
            '\\' => value.extend(characters.next()),
            c => value.push(c),
        }
    }
    (value, "")
}

fn parameter(name: &str, value: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "qop" if value.split(',').any(|word| word.trim().eq_ignore_ascii_case("auth")) => "qop=\"auth\"".to_owned(),
        "algorithm" | "stale" => format!("{name}={}", value.trim()),
        _ => format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_firmware_become_those_of_the_standard() {
        for (header, expected) in [
            ("Digest realm=\"a b\",qop=\"auth\",nonce=\"1\"", "Digest realm=\"a b\", qop=\"auth\", nonce=\"1\""),
            ("Digest realm=\"x\" nonce=\"66\" qop=\"auth\"", "Digest realm=\"x\", nonce=\"66\", qop=\"auth\""),
            (
                "Digest realm=\"/\", nonce=\"n\", algorithm=\"MD5\", qop=\"auth,auth-int\"",
                "Digest realm=\"/\", nonce=\"n\", algorithm=MD5, qop=\"auth\"",
            ),
            ("Digest qop=auth, realm=x , nonce=\"aa==\",", "Digest qop=\"auth\", realm=\"x\", nonce=\"aa==\""),
            ("Digest realm=\"a\\\"b\", nonce=1, stale=\"FALSE\"", "Digest realm=\"a\\\"b\", nonce=\"1\", stale=FALSE"),
            ("Negotiate, Basic realm=x", "Basic realm=\"x\""),
            ("Digest realm=\"never ends", "Digest realm=\"never ends\""),
        ] {
            assert_eq!(normalised(header), [expected], "{header}");
        }
        let two = "Basic realm=\"a\", Digest realm=\"b\", nonce=\"c\"";
        assert_eq!(normalised(two), ["Basic realm=\"a\"", "Digest realm=\"b\", nonce=\"c\""]);
        assert!(normalised("").is_empty() && normalised("=,=").is_empty() && normalised("Negotiate YII=").is_empty());
    }
}
