//! Errors on the wire: `application/problem+json` (RFC 9457) with our stable `code`.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Code, Error};

/// An error on its way to a client.
#[derive(Debug)]
pub struct Problem(Error);

/// The document a client gets.
#[derive(Serialize, ToSchema)]
pub struct ProblemDocument {
    /// `urn:mtx-sidecar:error:` and the code.
    #[schema(example = "urn:mtx-sidecar:error:unknown_stream")]
    r#type: String,
    /// The same for every occurrence.
    title: &'static str,
    /// The HTTP status again.
    status: u16,
    /// This occurrence in words.
    detail: String,
    /// The stable word for programs; docs/errors.md lists all of them.
    code: &'static str,
    /// The field, parameter or header to blame, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Problem(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let code = self.0.code();
        if code == Code::Internal {
            tracing::error!("{}", self.0.chain());
        }
        let mut response = HttpResponse::build(self.status_code());
        match code {
            Code::Unauthenticated => {
                response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"mtx-sidecar\", charset=\"UTF-8\""));
            }
            Code::NotAWebSocket => {
                response.insert_header((header::UPGRADE, "websocket"));
                response.insert_header((header::SEC_WEBSOCKET_VERSION, "13"));
            }
            Code::TooManyFailures => {
                response.insert_header((header::RETRY_AFTER, "60"));
            }
            Code::TooManyStreams | Code::TooManyTranscodes | Code::TooManyWatchers | Code::Unavailable => {
                response.insert_header((header::RETRY_AFTER, "5"));
            }
            _ => {}
        }
        let document = ProblemDocument {
            r#type: format!("urn:mtx-sidecar:error:{}", code.as_str()),
            title: code.title(),
            status: code.status(),
            detail: self.0.to_string(),
            code: code.as_str(),
            field: self.0.field(),
        };
        let body = serde_json::to_string(&document).unwrap_or_default();
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        response.content_type("application/problem+json").body(body)
    }
}
