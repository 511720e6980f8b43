//! RTSP in HTTP, as QuickTime, ffmpeg (`-rtsp_transport http`) and MediaMTX do it: answers and packets come as the body of a GET, and
//! requests go in Base64 as the body of a POST on a second connection, which has the same `x-sessioncookie`. For networks and cameras
//! that let HTTP through only.

use std::fmt::Write;

use tokio::time::{Duration, sleep};

use super::{connection::Connection, failure::Failure, message::Item, target::Target, uri::clean};
use crate::fetch::challenge::Scheme;

/// Both sides' media type.
const MEDIA_TYPE: &str = "application/x-rtsp-tunnelled";

/// Attempts of the GET: without a password, and with one.
const ATTEMPTS: usize = 2;

/// Opens both connections. The server has `pause` to get ready for the POST.
pub(super) async fn open(target: &Target, pause: Duration) -> Result<Connection, Failure> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|e| Failure::Unreachable(std::io::Error::other(e)))?;
    let cookie = format!("{:016x}", u64::from_ne_bytes(random));
    let mut auth: Option<Scheme> = None;
    for _ in 0..ATTEMPTS {
        let mut get = target.connect().await?;
        get.reader().expect_tunnel();
        get.send(head(target, "GET", &cookie, &mut auth).as_bytes());
        let answer = loop {
            match get.item().await? {
                Item::Answer(answer) if (100..200).contains(&answer.status) => {}
                Item::Answer(answer) => break answer,
                Item::Call(..) | Item::Packet(..) => {}
            }
        };
        match answer.status {
            200..=299 => {
                sleep(pause).await;
                let mut post = target.connect().await?;
                post.send(head(target, "POST", &cookie, &mut auth).as_bytes());
                return Ok(get.with_requests_on(post));
            }
            401 if target.login.is_some() && auth.is_none() => {
                let unsupported = |schemes| Failure::Password { is_given: true, unsupported: Some(schemes) };
                auth = Some(Scheme::choose(answer.headers.all("www-authenticate")).map_err(unsupported)?);
            }
            401 => return Err(Failure::Password { is_given: target.login.is_some(), unsupported: None }),
            status => return Err(Failure::Refused { method: "GET", status, reason: answer.reason }),
        }
    }
    Err(Failure::Password { is_given: true, unsupported: None })
}

fn head(target: &Target, method: &str, cookie: &str, auth: &mut Option<Scheme>) -> String {
    let url = &target.url;
    let path =
        clean(url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())).as_str());
    let path = if path.is_empty() { "/".to_owned() } else { path };
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: mtx-sidecar\r\nx-sessioncookie: {cookie}\r\n\
         Pragma: no-cache\r\nCache-Control: no-cache\r\n"
    );
    if let (Some(scheme), Some((user, password))) = (auth, &target.login)
        && let Ok(answer) = scheme.answer((user, password), method, &path, &[])
    {
        let _ = write!(head, "Authorization: {answer}\r\n");
    }
    // The body of the POST has no length; servers expect some, and that of ffmpeg is what they are used to.
    let _ = match method {
        "POST" => write!(
            head,
            "Content-Type: {MEDIA_TYPE}\r\nContent-Length: 32767\r\nExpires: Sun, 9 Jan 1972 00:00:00 GMT\r\n\r\n"
        ),
        _ => write!(head, "Accept: {MEDIA_TYPE}\r\n\r\n"),
    };
    head
}
