//! Parts of a request that handlers take: parameters, and whole bodies within limits. Each fault is a problem document.

use std::ops::{Deref, RangeInclusive};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    error::{PathError, QueryPayloadError},
    http::header,
    web,
};
use bytes::{Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::{Problem, turn::Paced};
use crate::{
    error::{Code, Error},
    paths::MAX_PATHS,
    units::Size,
};

/// Bytes of a body with credentials, a code or a choice. Such bodies come from clients that are not signed in yet.
pub(super) const SMALL: usize = 16 << 10;

/// Bytes of a body with one definition (stream, path, user, token, share), of MediaMTX's question and of its hooks. A long
/// list of permissions fits.
pub(super) const DEFINITION: usize = 256 << 10;

/// Bytes of a mediamtx.yml: thousands of paths fit.
pub(super) const CONFIGURATION: usize = 4 << 20;

/// Bytes of a body with all paths. A camera with a long URL, a note and labels has about 800 bytes.
pub(super) const ALL_PATHS: usize = MAX_PATHS * 1600;

/// The whole body, of at most `LIMIT` bytes.
pub(super) struct Body<const LIMIT: usize = DEFINITION>(Bytes);

impl<const LIMIT: usize> Deref for Body<LIMIT> {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl<const LIMIT: usize> FromRequest for Body<LIMIT> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = collect(announced(request), Paced::new(request, payload.take()), LIMIT);
        Box::pin(async { Ok(Body(body.await?)) })
    }
}

/// Reads the whole body, of at most `limit` bytes. For large bodies: the handler calls this after the caller is authorized,
/// while an extractor reads at the same time.
pub(super) async fn whole(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Bytes, Error> {
    collect(announced(request), Paced::new(request, payload.into_inner()), limit).await
}

fn announced(request: &HttpRequest) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn collect(announced: Option<usize>, mut body: Paced<Payload>, limit: usize) -> Result<Bytes, Error> {
    let refuse_over = |length: usize| match length {
        length if length > limit => {
            Err(Error::new(Code::BodyTooLarge, format!("the body is larger than {}", Size(limit as u64))))
        }
        _ => Ok(()),
    };
    refuse_over(announced.unwrap_or_default())?;
    let mut whole = BytesMut::new();
    let mut first = Bytes::new();
    while let Some(chunk) = body.next().await? {
        refuse_over(first.len() + whole.len() + chunk.len())?;
        // Most bodies come in one piece, which is not copied.
        if first.is_empty() && whole.is_empty() {
            first = chunk;
            continue;
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&chunk);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// Reads JSON. `code` is that of the definition in the body. The error has the position, and the field if serde names one.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], code: Code) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|e| {
        let message = e.to_string();
        let field = field_in(&message).map(str::to_owned);
        let error = Error::new(code, message);
        match field {
            Some(field) => error.in_field(field),
            None => error,
        }
    })
}

/// A parameter that is a whole number. It is read as text, so that the error names the parameter.
pub(super) fn number(
    field: &'static str,
    text: Option<&str>,
    default: usize,
    range: RangeInclusive<usize>,
) -> Result<usize, Error> {
    let Some(text) = text else { return Ok(default) };
    let fits = text.parse().ok().filter(|number| range.contains(number));
    fits.ok_or_else(|| {
        let rule = match (range.start(), range.end()) {
            (0, &usize::MAX) => format!("must be a whole number, not {text:?}"),
            (least, most) => format!("must be from {least} to {most}, not {text:?}"),
        };
        Error::parameter(field, rule)
    })
}

/// The field in a message of serde: "missing field `path`", "duplicate field `limit`", "unknown field `x`, expected …".
fn field_in(message: &str) -> Option<&str> {
    let rest =
        ["missing field `", "duplicate field `", "unknown field `"].iter().find_map(|p| message.strip_prefix(p))?;
    rest.split('`').next()
}

/// Configures actix's extractors of parameters, whose own errors are plain text.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let query = web::QueryConfig::default().error_handler(|e, _| Problem::from(query_fault(&e)).into());
    let path = web::PathConfig::default().error_handler(|e, _| Problem::from(path_fault(&e)).into());
    config.app_data(query).app_data(path);
}

fn query_fault(e: &QueryPayloadError) -> Error {
    let message = match e {
        QueryPayloadError::Deserialize(e) => e.to_string(),
        e => e.to_string(),
    };
    match field_in(&message) {
        Some(field) if message.starts_with("missing") => Error::parameter(field.to_owned(), "is required"),
        Some(field) if message.starts_with("duplicate") => Error::parameter(field.to_owned(), "is there twice"),
        _ => Error::new(Code::InvalidParameter, format!("the query cannot be read: {message}")),
    }
}

fn path_fault(e: &PathError) -> Error {
    Error::new(Code::InvalidRequest, format!("the address cannot be read: {e}"))
}

#[cfg(test)]
mod tests {
    use actix_web::web::Query;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        path: String,
        limit: Option<u8>,
    }

    #[test]
    fn faults_of_queries_name_the_parameter() {
        for (query, field, says) in [
            ("", Some("path"), "path: is required"),
            ("path=a&path=b", Some("path"), "path: is there twice"),
            ("path=a&limit=x", None, "the query cannot be read: invalid digit"),
        ] {
            let fault = query_fault(&Query::<Wanted>::from_query(query).expect_err("wrong"));
            assert_eq!((fault.code(), fault.field()), (Code::InvalidParameter, field), "{query}");
            assert!(fault.to_string().starts_with(says), "{fault}");
        }
        let Query(Wanted { path, limit }) = Query::from_query("path=a&limit=7").expect("right");
        assert_eq!((path.as_str(), limit), ("a", Some(7)));
    }

    #[test]
    fn faults_of_json_have_the_code_of_what_was_expected() {
        for (body, field, says) in [
            ("", None, "EOF"),
            ("{}", Some("path"), "missing field `path`"),
            (r#"{"path": "a", "x": 1}"#, Some("x"), "unknown field `x`"),
            (r#"{"path": 1}"#, None, "invalid type"),
        ] {
            let fault = read::<Wanted>(body.as_bytes(), Code::InvalidPath).expect_err("wrong");
            assert_eq!((fault.code(), fault.field()), (Code::InvalidPath, field), "{body}");
            assert!(fault.to_string().starts_with(says), "{fault}");
        }
    }
}
