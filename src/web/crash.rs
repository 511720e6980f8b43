//! A panic in a handler: its caller gets an answer, and the connection and all others go on.

use std::panic::AssertUnwindSafe;

use actix_web::{
    Error, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};
use futures_util::FutureExt;

use super::Problem;
use crate::{error, faults, supervise::message};

/// Answers 500 `internal` when a handler panics. Without it the connection is closed without an answer, and a client cannot
/// tell that from a network failure.
pub(super) async fn answer_panics(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let answered = request.request().clone();
    let work = async move {
        faults::pass("handler", request.path());
        next.call(request).await
    };
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(response) => Ok(response?.map_into_boxed_body()),
        Err(panic) => {
            let reason = format!("the handler panicked: {}", message(&*panic));
            let problem = Problem::from(error::Error::internal("the server failed; its log has the reason", reason));
            Ok(ServiceResponse::new(answered, problem.error_response()))
        }
    }
}
