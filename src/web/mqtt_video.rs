//! MQTT by WebSocket, for video.

use actix_http::ws::verify_handshake;
use actix_web::{HttpRequest, HttpResponse, http::header, web};
use tracing::Instrument;

use super::{
    Problem, State,
    caller::CallerExtractor,
    guard::acts_for_another_site,
    problem::ProblemDocument,
    ws::{offers, switching_protocols_with},
};
use crate::{
    error::{Code, Error},
    mqtt_video::{Client, KIND},
    policy::Credentials,
    server::{TakenOver, Takeover, TakeoverBody},
};

/// The WebSocket protocols: MQTT 3.1.1 (its section 6), and what clients of MQTT 3.1 offer.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// MQTT 3.1 and 3.1.1 in binary messages (WebSocket protocol `mqtt` or `mqttv3.1`), with the topics of the video protocol only:
/// docs/mqtt.md. The user and the password of CONNECT count, or else the credentials of this request.
#[utoipa::path(
    get, path = "/mqtt", summary = KIND.about, tag = "pictures out",
    responses(
        (status = 101, description = "Packets of MQTT follow"), (status = 404, description = "mqtt_video.enabled is off", body = ProblemDocument),
        (status = 426, body = ProblemDocument),
    )
)]
pub(super) async fn connect(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(mut caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    if !state.mqtt_video.settings().enabled {
        return Err(Error::new(Code::NotFound, "video over MQTT is off (mqtt_video.enabled)").into());
    }
    verify_handshake(request.head()).map_err(|e| Error::new(Code::NotAWebSocket, e.to_string()))?;
    let takeover = request.conn_data::<Takeover>().cloned();
    let takeover = takeover.ok_or_else(|| Error::new(Code::Internal, "this connection cannot be taken over"))?;
    // The page of the program is served by any web server. It is a client without credentials then: a browser adds cookies and
    // stored passwords by itself.
    if acts_for_another_site(&request, &state).await {
        caller.credentials = Credentials::default();
    }
    let client = Client {
        may_make: !caller.credentials.is_empty(),
        caller,
        remote: request.peer_addr().map(|addr| addr.to_string()).unwrap_or_default(),
    };
    let span = tracing::info_span!("mqtt", peer = %client.remote);
    let (mqtt_video, shutdown) = (state.mqtt_video.clone(), state.shutdown.clone());
    let then = move |(io, place): TakenOver| {
        let serve = async move { mqtt_video.serve(io, client, place).await };
        actix_web::rt::spawn(shutdown.track(serve.instrument(span)));
    };
    let protocol = PROTOCOLS.into_iter().find(|protocol| offers(&request, protocol));
    let mut head = switching_protocols_with(&request, protocol);
    head.insert_header((header::CACHE_CONTROL, "no-store"));
    let mut response = head.body(TakeoverBody::new(takeover, then));
    response.head_mut().no_chunking(true);
    Ok(response.map_into_boxed_body())
}
