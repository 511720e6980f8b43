//! Conditions of requests that make something.

use actix_web::{HttpRequest, http::header};

use crate::error::Error;

/// Whether the request makes a resource only if there is none of the name (`If-None-Match: *`, RFC 9110, section 13.1.2). Other
/// values of the header name versions, which these resources do not have.
pub(super) fn only_if_new(request: &HttpRequest) -> Result<bool, Error> {
    let mut values = request.headers().get_all(header::IF_NONE_MATCH);
    match (values.next().map(|value| value.as_bytes()), values.next()) {
        (None, _) => Ok(false),
        (Some(b"*"), None) => Ok(true),
        _ => Err(Error::parameter("If-None-Match", "must be * or left out")),
    }
}
