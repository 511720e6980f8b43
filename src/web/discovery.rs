//! Cameras on the network, for administrators.

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
    problem::ProblemDocument,
};
use crate::{
    access::{Role, Session},
    discovery::{DiscoveredDevice, Event, Inquiry, Login, MAX_NAMED, Query, parse_consent},
    error::{Code, Error},
    secret::Secret,
};

/// Something is sent so often at least: proxies close what is silent.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Longest address, name or password of an inquiry, in bytes.
const MAX_TEXT: usize = 500;

/// Where is searched. Lists have commas between.
#[derive(Deserialize, IntoParams)]
pub struct DiscoverQuery {
    /// Interfaces, by name or address; those of `discovery.interfaces` without. With `address` and without this, nobody else is
    /// asked.
    interface: Option<String>,
    /// Devices that are asked directly, as `IP` or `IP:port`.
    address: Option<String>,
    /// Addresses that may be asked although somebody else has named them.
    consent: Option<String>,
}

/// A device to ask.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InquiryBody {
    /// `192.168.1.20`, `camera.local:8000`, or the URL of its device service.
    address: String,
    /// The device's user; it is asked as nobody without.
    #[serde(default)]
    user: String,
    /// The password.
    #[serde(default, alias = "password")]
    #[schema(value_type = String)]
    pass: Secret,
    /// Addresses that may be asked although the device has named them.
    #[serde(default)]
    consent: Vec<String>,
    /// The SHA-256 of its certificate, for HTTPS with one of its own; 64 hexadecimal digits.
    #[serde(default)]
    fingerprint: String,
}

/// Searches for cameras, and tells what it finds as it goes on: `found` with a card, `detail` with the same card and more,
/// `problem`, and `done` at the end. One search at a time.
#[utoipa::path(
    get, path = "/api/v1/discover", tag = "discovery", params(DiscoverQuery),
    responses(
        (status = 200, content_type = "text/event-stream", description = "`found` and `detail`: a card", body = DiscoveredDevice),
        (status = 204, description = "To an EventSource that comes back by itself: that was all"),
        (status = 403, body = ProblemDocument), (status = 503, description = "Somebody is searching", body = ProblemDocument),
    )
)]
pub(super) async fn search(
    request: HttpRequest,
    state: web::Data<State>,
    Admin(who): Admin,
    query: web::Query<DiscoverQuery>,
) -> Result<HttpResponse, Problem> {
    // An EventSource comes back when the response has ended, and would search for ever.
    if request.headers().contains_key("last-event-id") {
        return Ok(HttpResponse::NoContent().finish());
    }
    let query = Query::parse(&list(&query.interface), &list(&query.address), &list(&query.consent))?;
    let told = state.discovery.search(query)?.begin();
    let listener = Listener {
        told,
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
    // One more than may be, so that too many are refused and not left out.
    let words = text.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty());
    words.take(MAX_NAMED + 1).map(str::to_owned).collect()
}

/// Who waits for the events; the search ends when this is dropped.
struct Listener {
    told: mpsc::Receiver<Event>,
    session: Session,
    number: u32,
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        if self.number == 0 {
            // At once, so that the page knows that it goes on.
            self.number = 1;
            return Some(Bytes::from_static(b": searching\n\n"));
        }
        let event = tokio::select! {
            told = timeout(KEEPALIVE, self.told.recv()) => told,
            () = self.session.end().cancelled() => return None,
        };
        match event {
            Err(_) => Some(Bytes::from_static(b":\n\n")),
            Ok(None) => None,
            Ok(Some(event)) => {
                let text = format!("id: {}\nevent: {}\ndata: {}\n\n", self.number, event.as_str(), event.json());
                self.number += 1;
                Some(text.into())
            }
        }
    }
}

/// Asks one device for everything, with a user name and password if they are given. They are shown to that device
/// and those in `consent` only, and never plainly; the offers of the answer have them.
#[utoipa::path(
    post, path = "/api/v1/discover/onvif", tag = "discovery", request_body = InquiryBody,
    responses(
        (status = 200, body = DiscoveredDevice), (status = 400, body = ProblemDocument), (status = 403, body = ProblemDocument),
        (status = 502, description = "No ONVIF device answers there", body = ProblemDocument),
        (status = 503, description = "Too many are being asked", body = ProblemDocument),
    )
)]
pub(super) async fn inquire(state: web::Data<State>, _: Admin, body: Body<SMALL>) -> Result<HttpResponse, Problem> {
    let body: InquiryBody = read(&body, Code::InvalidBody)?;
    let texts = [("address", body.address.as_str()), ("user", &body.user), ("pass", body.pass.expose())];
    if let Some((field, _)) = texts.into_iter().find(|(_, text)| text.len() > MAX_TEXT) {
        return Err(Error::parameter(field, format!("may have {MAX_TEXT} bytes")).into());
    }
    if body.user.is_empty() && !body.pass.is_empty() {
        return Err(Error::parameter("user", "is needed with a password").into());
    }
    if body.consent.len() > MAX_NAMED {
        return Err(Error::parameter("consent", format!("may be {MAX_NAMED} addresses")).into());
    }
    let login = (!body.user.is_empty()).then_some(Login { username: body.user, password: body.pass });
    let inquiry =
        Inquiry { address: body.address, login, consent: parse_consent(&body.consent)?, fingerprint: body.fingerprint };
    let card = state.discovery.inquire(inquiry).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(card))
}
