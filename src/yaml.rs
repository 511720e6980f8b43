//! Reads YAML: `sidecar.yml`, and the `mediamtx.yml` of an administrator.
//!
//! A few lines of YAML can stand for gigabytes: aliases of aliases ("billion laughs"), deep nesting. The limits here apply to the
//! document with all aliases expanded.

use serde_json::{Map, Value};
use serde_saphyr::Options;

/// Deepest nesting. A stream definition is at level 3.
const MAX_DEPTH: usize = 32;

/// Most keys, values and sections together: ten thousand paths of ten settings.
const MAX_NODES: usize = 250_000;

/// Most anchors, and most aliases. A file of a person has some dozens.
const MAX_ANCHORS: usize = 1000;
const MAX_ALIASES: usize = 10_000;

/// Most bytes of keys and values together.
const MAX_TEXT: usize = 16 << 20;

/// Reads one document, which must be a mapping; an empty document is an empty mapping. `yes`, `no`, `on` and `off` stay text, because
/// a password can be one of them. The error has line and column.
pub fn parse(text: &str) -> Result<Map<String, Value>, String> {
    match serde_saphyr::from_str_with_options(text, options()) {
        Ok(Value::Object(mapping)) => Ok(mapping),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err("must be a mapping: lines of the form `key: value`".into()),
        Err(e) => Err(e.to_string()),
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_anchors: MAX_ANCHORS,
            max_aliases: MAX_ALIASES,
            max_recorded_anchor_events: 2 * MAX_NODES,
            max_recorded_anchor_bytes: MAX_TEXT,
            max_total_scalar_bytes: MAX_TEXT,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_keep_the_type_that_the_file_gives_them() {
        let text = "a: yes\nb: true\nc: 12\nd: 1.5\ne: '12'\nf: 0123\ng: 1_000\nh:\ni: [x, {y: z}]\nj: :9997\n";
        let expected = json!({
            "a": "yes", "b": true, "c": 12, "d": 1.5, "e": "12", "f": "0123", "g": "1_000", "h": null, "i": ["x", {"y": "z"}], "j": ":9997",
        });
        assert_eq!(parse(text).map(Value::Object), Ok(expected));
        assert_eq!(parse("# nothing\n"), Ok(Map::new()));
        assert_eq!(parse(""), Ok(Map::new()));
        let shared = "base: &b {x: 1}\nother: {<<: *b, y: 2}\n";
        assert_eq!(parse(shared).expect("anchors")["other"], json!({"x": 1, "y": 2}));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, says) in [
            ("a: 1\nb: [\n", "line 2"),
            ("a: 1\nA: 2\na: 3\n", "line 3"),
            ("- a\n- b\n", "must be a mapping"),
            ("text", "must be a mapping"),
            ("a: 1\n---\nb: 2\n", "document"),
            ("a: *unknown\n", "line 1"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(says) && !error.contains('\n'), "{text:?}: {error}");
        }
    }

    #[test]
    fn documents_that_expand_to_gigabytes_are_refused() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
            laughs.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
        }
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(10_000));
        let merged = (1..20).fold("a0: &a0 {k: v}\n".to_owned(), |text, n| {
            format!("{text}a{n}: &a{n} {{x{n}: *a{m}, y{n}: *a{m}}}\n", m = n - 1)
        });
        for (text, kind) in [
            (laughs, "aliases of aliases"),
            (merged, "aliases in mappings"),
            (long, "one long text many times"),
            (format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000)), "nesting"),
            (format!("a: {}", "{b: ".repeat(100_000)), "nesting of mappings"),
            ((0..50_000).map(|n| format!("{}- \n", " ".repeat(n % 500))).collect(), "steps of indentation"),
            (format!("a: {}", "&x ".repeat(100_000)), "many names for one value"),
            ((0..5000).map(|n| format!("k{n}: &a{n} x\n")).collect(), "many anchors"),
            (format!("a: {}", "x".repeat(17 << 20)), "one long text"),
            (format!("? {}\n: b\n", "[a, ".repeat(50_000)), "a long key"),
            (format!("a: [{}]", "x, ".repeat(MAX_NODES)), "many values"),
            ("a: &a [*a]".into(), "an alias of itself"),
        ] {
            assert!(parse(&text).is_err(), "{kind}");
        }
    }
}
