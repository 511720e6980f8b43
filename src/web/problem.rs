//! Errors on the wire: `application/problem+json` (RFC 9457) with a stable `code`.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Cause, Code, Error};

/// An error that is sent to a client.
#[derive(Debug)]
pub struct Problem(Error);

/// The body of each error.
#[derive(Serialize, ToSchema)]
pub struct ProblemDocument {
    /// `urn:mtx-sidecar:error:` and the code.
    #[schema(example = "urn:mtx-sidecar:error:unknown_stream")]
    r#type: String,
    /// The same for every occurrence.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// This occurrence, for people.
    detail: String,
    /// The stable word for programs. docs/errors.md lists all words.
    code: &'static str,
    /// The field, parameter or header at fault, if one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Why a source gives no pictures, if that is known: a stable word of docs/errors.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    cause: Option<Cause>,
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
            field: self.0.field().map(str::to_owned),
            cause: self.0.cause(),
        };
        let body = serde_json::to_string(&document).unwrap_or_default();
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        response.content_type("application/problem+json").body(body)
    }
}

/// In the extensions of a response whose body is an error in another form on purpose.
pub(super) struct OwnForm;

/// Makes a problem document of each error without one: those of actix-web and actix-cors, and of files that are served (412 and
/// 416 have no body there). Headers stay, such as `Content-Range` of 416.
///
/// A request that is not HTTP, or whose head is too large, is refused by actix-http before this, with an empty body.
pub(super) async fn explain(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, actix_web::Error> {
    let response = next.call(request).await?;
    if !needs_document(response.response()) {
        return Ok(response.map_into_left_body());
    }
    let (request, response) = response.into_parts();
    let status = response.status();
    let detail = match response.error() {
        Some(e) => e.to_string(),
        None => status.canonical_reason().unwrap_or("refused").to_owned(),
    };
    let explained = Problem::from(Error::new(code_of(status), detail)).error_response();
    let (mut response, _) = response.into_parts();
    *response.status_mut() = explained.status();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_ENCODING);
    for (name, value) in explained.headers() {
        headers.insert(name.clone(), value.clone());
    }
    let response = response.set_body(explained.into_body());
    Ok(ServiceResponse::new(request, response.map_into_right_body()))
}

fn needs_document<B>(response: &HttpResponse<B>) -> bool {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() || response.extensions().get::<OwnForm>().is_some() {
        return false;
    }
    response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/problem+json")
}

/// The code for an error that has nothing but its status.
fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::PRECONDITION_FAILED => Code::PreconditionFailed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge,
        StatusCode::RANGE_NOT_SATISFIABLE => Code::RangeNotSatisfiable,
        status if status.is_server_error() => Code::Internal,
        _ => Code::InvalidRequest,
    }
}
