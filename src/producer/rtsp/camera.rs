//! [`Camera`]: a session with a camera or with MediaMTX, and its failures in words without secrets.

use std::{sync::Arc, time::SystemTime};

use tokio::time::Duration;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use super::{Plan, Source, address};
use crate::{
    error::{Cause, Code, Error, Result},
    rtsp_client::{Codec, Failure, Received, Session, Sound, Target, Tls, WantsSound},
    secret::Secret,
    trust::{self, Check},
};

/// How long DESCRIBE, SETUP and PLAY can take together: shorter than the usual start timeout, so that users see
/// what failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// A playing session.
pub(super) struct Camera {
    session: Session,
    explainer: Explainer,
}

/// Why there is no session.
pub(super) struct Refusal {
    pub(super) error: Error,
    /// Whether the camera can be reached but speaks otherwise than this client, so that another program may read it.
    pub(super) is_protocol: bool,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal { error, is_protocol: false }
    }
}

impl Camera {
    /// Connects, and plays the first video that can be decoded, with its sound if that is wanted.
    pub(super) async fn connect(plan: &Plan, wants_sound: WantsSound) -> Result<Self, Refusal> {
        let (mut url, mut login) = plan.target()?;
        let explainer = Explainer::new(plan, &url, &login);
        for _ in 0..=MAX_REDIRECTS {
            let tls = if url.scheme() == "rtsps" { Some(tls(plan, &url, &explainer)?) } else { None };
            let pinned = plan.pin(url.clone()).await?;
            let (login_now, transport) = (login.clone(), plan.transport.into());
            let target = Target { url: pinned, login: login_now, transport, tls, wants_sound: wants_sound.clone() };
            match Session::play(target, CONNECT_TIMEOUT).await {
                Ok(session) => {
                    plan.common.counters().connected();
                    return Ok(Camera { session, explainer });
                }
                Err(Failure::Moved(location)) => {
                    let moved = address::redirect(&url, &location, &plan.common.fetch().redirect_networks);
                    let next =
                        moved.map_err(|why| explainer.unavailable(Cause::Moved, &format!("redirects to {why}")))?;
                    // The password is for the host of the definition only.
                    if next.host() != url.host() {
                        login = None;
                    }
                    url = next;
                }
                Err(failure) => {
                    let is_protocol = failure.is_protocol();
                    return Err(Refusal { error: explainer.explain(&failure), is_protocol });
                }
            }
        }
        Err(explainer.unavailable(Cause::Moved, &format!("redirects more than {MAX_REDIRECTS} times")).into())
    }

    /// The codec of the video.
    pub(super) fn codec(&self) -> Codec {
        self.session.codec()
    }

    /// The sound.
    pub(super) fn sound(&self) -> Sound {
        self.session.sound()
    }

    /// The next unit, and when it arrived. Cancel-safe. Must be called all the time, because it reads the connection and keeps it
    /// alive.
    pub(super) async fn next(&mut self) -> Result<(Received, SystemTime)> {
        let received = self.session.next().await.map_err(|failure| self.explainer.explain(&failure))?;
        Ok((received, SystemTime::now()))
    }
}

fn tls(plan: &Plan, url: &Url, explainer: &Explainer) -> Result<Tls> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let check = plan.fingerprint.map_or(Check::AuthorityOrFingerprint, Check::Fingerprint);
    let roots = trust::roots(&plan.common.fetch().ca_file)?;
    let config = Arc::new(trust::client_config(&roots, check)?);
    let name = ServerName::try_from(host)
        .map_err(|e| explainer.unavailable(Cause::UnknownHost, &format!("has no usable name: {e}")))?;
    Ok(Tls { config, name })
}

/// The failure as a word.
fn cause_of(failure: &Failure, is_path: bool) -> Cause {
    match failure {
        Failure::Unreachable(_) => Cause::Unreachable,
        Failure::Tls(_) => Cause::Untrusted,
        Failure::Silent => Cause::Silent,
        Failure::Closed(_) => Cause::Disconnected,
        // The password is that of MediaMTX, which no watcher can correct.
        Failure::Password { .. } | Failure::Refused { status: 401 | 403, .. } if is_path => Cause::Refused,
        Failure::Password { unsupported: Some(_), .. } => Cause::PasswordUnsupported,
        Failure::Password { is_given: false, .. } => Cause::PasswordNeeded,
        Failure::Password { is_given: true, .. } | Failure::Refused { status: 401 | 403, .. } => Cause::WrongPassword,
        Failure::Moved(_) => Cause::Moved,
        Failure::Refused { status: 404, .. } if is_path => Cause::NoPublisher,
        Failure::Refused { status: 404, .. } => Cause::NotFound,
        Failure::Refused { status: 453 | 503, .. } => Cause::Busy,
        Failure::Refused { .. } => Cause::Refused,
        Failure::Malformed(_) => Cause::NotUnderstood,
        Failure::NoVideo { videos, .. } if videos.is_empty() => Cause::NoVideo,
        Failure::NoVideo { .. } => Cause::Codec,
    }
}

/// Explains errors without secrets.
pub(super) struct Explainer {
    peer: String,
    is_path: bool,
    /// Texts that must not be logged: the password, and the part of the URL after the host, where some cameras have
    /// the password.
    secrets: Vec<Secret>,
}

impl Explainer {
    pub(super) fn new(plan: &Plan, url: &Url, login: &Option<(String, Secret)>) -> Self {
        let is_path = matches!(plan.source, Source::Path(_));
        let mut secrets: Vec<_> = login.iter().map(|(_, password)| password.clone()).collect();
        if !is_path {
            let mut texts = vec![url.path().to_owned()];
            texts.extend(url.query().map(str::to_owned));
            secrets.extend(texts.into_iter().filter(|text| text.len() > 1).map(Secret::new));
        }
        Explainer { peer: plan.peer(), is_path, secrets }
    }

    fn unavailable(&self, cause: Cause, why: &str) -> Error {
        self.error(Code::Unavailable, why).because(cause)
    }

    fn error(&self, code: Code, why: &str) -> Error {
        Error::new(code, self.without_secrets(format!("{} {why}", self.peer)))
    }

    fn explain(&self, failure: &Failure) -> Error {
        let mut code = Code::Unavailable;
        let why = match (failure, self.is_path) {
            (Failure::Password { .. } | Failure::Refused { status: 401 | 403, .. }, true) => {
                "cannot be read with our credentials (mediamtx.user, mediamtx.pass)".to_owned()
            }
            (Failure::Refused { status: 404, .. }, true) => "has no publisher".to_owned(),
            (Failure::Refused { status: 404, .. }, false) => "has no stream at this path".to_owned(),
            (Failure::Refused { status: 461, .. }, _) => {
                "does not support this transport; try the other one".to_owned()
            }
            (Failure::NoVideo { .. }, _) => format!("{failure}; H.264, H.265 and MJPEG can be shown as pictures"),
            (failure, false) if failure.is_protocol() && !matches!(failure, Failure::Closed(_)) => {
                code = Code::RtspUnreadable;
                format!(
                    "{failure}; MediaMTX may be able to read it: make a path of MediaMTX with this source, and set `path` \
                     instead of `url` (the console has a button that does both)"
                )
            }
            (failure, _) => failure.to_string(),
        };
        let error = self.error(code, &why).because(cause_of(failure, self.is_path));
        match failure {
            Failure::Closed(Some(e)) | Failure::Unreachable(e) => error.caused_by(self.without_secrets(e.to_string())),
            _ => error,
        }
    }

    pub(super) fn without_secrets(&self, text: String) -> String {
        let secrets = self.secrets.iter().map(Secret::expose).filter(|secret| !secret.is_empty());
        secrets.fold(text, |text, secret| text.replace(secret, "***"))
    }
}
