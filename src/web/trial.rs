//! Trying a definition of a stream out, for administrators.

use actix_web::{HttpResponse, http::header, web};
use serde::Deserialize;
use tokio::{sync::Semaphore, time::Duration};
use utoipa::IntoParams;

use super::{Problem, State, caller::Admin, extract::Body, problem::ProblemDocument};
use crate::{
    catalog::{Members, invalid},
    error::{Code, Error},
    producer::StreamDefinition,
};

/// Trials at the same time. Each one opens a connection to a camera, and can decode video.
static TRIALS: Semaphore = Semaphore::const_new(4);

/// How long a trial waits for a picture: cameras that record in H.264 can take some seconds to the next keyframe.
const PATIENCE: Duration = Duration::from_secs(12);

/// Parameters of a trial.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TrialQuery {
    /// The stream of the definition. Members that are `***` have its stored values. Default: a new stream.
    name: Option<String>,
}

/// Fetches one picture by a definition, which is not stored: the picture, or the reason why there is none. Hosts have to be in
/// `fetch.networks`, as for the stream itself.
#[utoipa::path(
    post, path = "/api/v1/stream-test", tag = "streams", params(TrialQuery), request_body = StreamDefinition,
    responses(
        (status = 200, description = "The picture", content_type = "image/jpeg"),
        (status = 422, description = "The definition is not valid", body = ProblemDocument),
        (status = 503, description = "Other definitions are being tried out", body = ProblemDocument),
        (status = 504, description = "There is no picture; `field` is the member that is probably wrong", body = ProblemDocument),
    )
)]
pub(super) async fn try_out(
    state: web::Data<State>,
    _: Admin,
    query: web::Query<TrialQuery>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let members: Members = serde_json::from_slice(&body).map_err(invalid)?;
    let name = state.catalog.name(query.name.as_deref().filter(|name| !name.is_empty()).unwrap_or("stream-test"))?;
    let busy = |_| Error::new(Code::Unavailable, "other definitions are being tried out; try again in some seconds");
    let _place = TRIALS.try_acquire().map_err(busy)?;
    let frame = state.catalog.try_out(&name, members, PATIENCE).await?;
    frame.encode().await;
    Ok(HttpResponse::Ok()
        .content_type("image/jpeg")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(frame.jpeg()))
}
