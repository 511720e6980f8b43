//! The query of a URL, read as `application/x-www-form-urlencoded` (URL Standard, section 5): `+` is a space, and bytes that
//! are not UTF-8 become U+FFFD.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::error::{Error, Result};

/// All names and values, decoded, in the order of the query. A name without `=` has an empty value.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(query.as_bytes())
}

/// The first value of the parameter, decoded.
pub fn first<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    pairs(query).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The value of the parameter, decoded. Refuses a query that has the parameter twice.
pub fn once<'a>(query: &'a str, name: &'static str) -> Result<Option<Cow<'a, str>>> {
    let mut values = pairs(query).filter(|(key, _)| key == name).map(|(_, value)| value);
    let value = values.next();
    match values.next() {
        None => Ok(value),
        Some(_) => Err(Error::parameter(name, "is there twice")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let all = |query| pairs(query).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        assert_eq!(all("a=1&b=x%20y&b=x+y&=&c&&d%3D=%26%C3%A9"), ["a=1", "b=x y", "b=x y", "=", "c=", "d==&é"]);
        assert_eq!(all("a=%FF&b=%zz"), ["a=\u{fffd}", "b=%zz"]);
        assert_eq!(all(""), [""; 0]);
    }

    #[test]
    fn a_parameter_is_found_by_its_decoded_name() {
        assert_eq!(first("b=0&%61=1&a=2", "a").as_deref(), Some("1"));
        assert_eq!(first("ab=1", "a"), None);
        assert_eq!(once("b=0&a=1", "a").expect("once").as_deref(), Some("1"));
        assert_eq!(once("b=0", "a").expect("never"), None);
        let refused = once("a=1&b=0&a=1", "a").expect_err("twice");
        assert_eq!((refused.field(), refused.to_string().as_str()), (Some("a"), "a: is there twice"));
    }
}
