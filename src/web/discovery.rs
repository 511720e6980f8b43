//! The search for cameras, for administrators.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{Duration, timeout},
};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, State,
    caller::Admin,
    endless::session_info,
    extract::{Body, SMALL, read},
    offers::{DeviceReport, event_json},
    problem::ProblemDocument,
};
use crate::{
    access::{Role, Session},
    discovery::{Event, Inquiry, Login, MAX_NAMED, Query, parse_consent},
    error::{Code, Error},
    secret::Secret,
};

/// Longest time without data: proxies close a connection that sends nothing.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Longest address, user name or password of an inquiry, in bytes.
const MAX_TEXT: usize = 500;

/// The targets of a search. Commas separate the entries of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DiscoverQuery {
    /// Interfaces, by name or address; by default those of `discovery.interfaces`. With `address` and without `interface`, only the
    /// devices of `address` are asked.
    interface: Option<String>,
    /// Devices that are asked directly: `IP` or `IP:port`.
    address: Option<String>,
    /// Addresses that can be asked although another device has named them as its own.
    consent: Option<String>,
}

/// A device to ask.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InquiryBody {
    /// `192.168.1.20`, `camera.local:8000`, or the URL of its device service.
    address: String,
    /// The user; empty: the device is asked without credentials.
    #[serde(default)]
    user: String,
    /// The password.
    #[serde(default, alias = "password")]
    #[schema(value_type = String)]
    pass: Secret,
    /// Addresses that can be asked although the device has named them as its own.
    #[serde(default)]
    consent: Vec<String>,
    /// The SHA-256 of a self-signed certificate, for HTTPS: 64 hexadecimal digits.
    #[serde(default)]
    fingerprint: String,
}

/// Searches for cameras, and sends an event for each result: `found` with a device, `detail` with the same device and more details,
/// `problem`, and `done` at the end. Only one search can run at a time.
#[utoipa::path(
    get, path = "/api/v1/discover", tag = "discovery", params(DiscoverQuery),
    responses(
        (status = 200, content_type = "text/event-stream", description = "`found` and `detail`: a device", body = DeviceReport),
        (status = 204, description = "To an EventSource that connects again: the search has ended"),
        (status = 403, body = ProblemDocument), (status = 503, description = "Another search is running", body = ProblemDocument),
    )
)]
pub(super) async fn search(
    request: HttpRequest,
    state: web::Data<State>,
    Admin(who): Admin,
    query: web::Query<DiscoverQuery>,
) -> Result<HttpResponse, Problem> {
    // An EventSource connects again after the end of the response. Without this, it would search without end.
    if request.headers().contains_key("last-event-id") {
        return Ok(HttpResponse::NoContent().finish());
    }
    let query = Query::parse(&list(&query.interface), &list(&query.address), &list(&query.consent))?;
    let events = state.discovery.search(query)?.begin();
    let listener = Listener {
        events,
        session: state.access.begin(who, session_info(&request, "discovery", "", Role::Watcher)),
        number: 0,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(stream::unfold(listener, |mut listener| async move {
            let chunk = listener.next().await?;
            Some((Ok::<_, actix_web::Error>(chunk), listener))
        })))
}

fn list(text: &Option<String>) -> Vec<String> {
    // One more than the limit, so that a longer list is refused, and not cut.
    let words = text.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty());
    words.take(MAX_NAMED + 1).map(str::to_owned).collect()
}

/// The receiver of the events. Dropping it ends the search.
struct Listener {
    events: mpsc::Receiver<Event>,
    session: Session,
    number: u32,
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        if self.number == 0 {
            // At once, so that the page knows that the search has started.
            self.number = 1;
            return Some(Bytes::from_static(b": searching\n\n"));
        }
        let event = tokio::select! {
            event = timeout(KEEPALIVE, self.events.recv()) => event,
            () = self.session.end().cancelled() => return None,
        };
        match event {
            Err(_) => Some(Bytes::from_static(b":\n\n")),
            Ok(None) => None,
            Ok(Some(event)) => {
                let text = format!("id: {}\nevent: {}\ndata: {}\n\n", self.number, event.as_str(), event_json(&event));
                self.number += 1;
                Some(text.into())
            }
        }
    }
}

/// Asks one device for all details, with a user name and password if they are given. Only this device and those of `consent` get them, as
/// a digest. The suggestions (`offers`) of the response contain them.
#[utoipa::path(
    post, path = "/api/v1/discover/onvif", tag = "discovery", request_body = InquiryBody,
    responses(
        (status = 200, body = DeviceReport), (status = 400, body = ProblemDocument), (status = 403, body = ProblemDocument),
        (status = 502, description = "No ONVIF device answers there", body = ProblemDocument),
        (status = 503, description = "Too many devices are being asked", body = ProblemDocument),
    )
)]
pub(super) async fn inquire(state: web::Data<State>, _: Admin, body: Body<SMALL>) -> Result<HttpResponse, Problem> {
    let body: InquiryBody = read(&body, Code::InvalidBody)?;
    let texts = [("address", body.address.as_str()), ("user", &body.user), ("pass", body.pass.expose())];
    if let Some((field, _)) = texts.into_iter().find(|(_, text)| text.len() > MAX_TEXT) {
        return Err(Error::parameter(field, format!("must not have more than {MAX_TEXT} bytes")).into());
    }
    if body.user.is_empty() && !body.pass.is_empty() {
        return Err(Error::parameter("user", "is required with a password").into());
    }
    if body.consent.len() > MAX_NAMED {
        return Err(Error::parameter("consent", format!("must not have more than {MAX_NAMED} addresses")).into());
    }
    let login = (!body.user.is_empty()).then_some(Login { username: body.user, password: body.pass });
    let inquiry = Inquiry {
        address: body.address,
        login: login.clone(),
        consent: parse_consent(&body.consent)?,
        fingerprint: body.fingerprint.clone(),
    };
    let device = state.discovery.inquire(inquiry).await?;
    let report = DeviceReport::new(&device, login.as_ref(), &body.fingerprint);
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(report))
}
