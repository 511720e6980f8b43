//! [`Camera`]: an RTSP session with a camera, by retina.

use std::{pin::Pin, time::SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use retina::{
    client::{
        Credentials, Demuxed, Described, PlayOptions, Session, SessionOptions, SetupOptions, TcpTransportOptions,
        Transport as RtpTransport, UdpTransportOptions,
    },
    codec::{CodecItem, FrameFormat},
};
use tokio::time::{Duration, timeout};

use super::{Plan, Source, Transport, address, backlog::ReceivedUnit};
use crate::{
    error::{Code, Error, Result},
    secret::Secret,
};

/// How long DESCRIBE, SETUP and PLAY can take together: shorter than the usual start timeout, so that users see
/// what failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// The codec of the video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    H264,
    H265,
    Jpeg,
}

impl Codec {
    /// Reads retina's name of a codec, which is the name in SDP in lower case.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "h264" => Codec::H264,
            "h265" => Codec::H265,
            "jpeg" => Codec::Jpeg,
            _ => return None,
        })
    }
}

/// A playing session.
pub(super) struct Camera {
    pub(super) codec: Codec,
    frames: Pin<Box<Demuxed>>,
    explainer: Explainer,
}

impl Camera {
    /// Connects, and plays the first video that can be decoded.
    pub(super) async fn connect(plan: &Plan) -> Result<Self> {
        let (url, login) = plan.target()?;
        let url = match &plan.source {
            Source::Camera { .. } => address::pin(url, plan.common.networks()).await?,
            // The administrator configured this address.
            Source::Path(_) => url,
        };
        let explainer = Explainer::new(plan, &url, &login);
        let creds = login.map(|(username, pass)| Credentials { username, password: pass.expose().to_owned() });
        let options = SessionOptions::default().creds(creds).user_agent("mtx-sidecar".into());
        let connecting = async {
            let mut session = Session::describe(url, options).await.map_err(|e| explainer.explain(&e))?;
            let (i, codec) = explainer.choose(&session)?;
            let transport = match plan.transport {
                Transport::Tcp => RtpTransport::Tcp(TcpTransportOptions::default()),
                Transport::Udp => RtpTransport::Udp(UdpTransportOptions::default()),
            };
            let setup = SetupOptions::default().transport(transport).frame_format(FrameFormat::SIMPLE);
            session.setup(i, setup).await.map_err(|e| explainer.explain(&e))?;
            let playing = session.play(PlayOptions::default()).await.map_err(|e| explainer.explain(&e))?;
            let frames = playing.demuxed().map_err(|e| explainer.explain(&e))?;
            Ok((codec, Box::pin(frames)))
        };
        let late = || Error::new(Code::Unavailable, format!("{} does not answer", explainer.peer));
        let (codec, frames) = timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| late())??;
        plan.common.counters().connected();
        Ok(Camera { codec, frames, explainer })
    }

    /// The next unit, and whether data before it was lost. Cancel-safe. Must be called all the time, because it
    /// reads the connection and keeps it alive.
    pub(super) async fn next(&mut self) -> Result<(ReceivedUnit, bool)> {
        loop {
            match self.frames.next().await {
                Some(Ok(CodecItem::VideoFrame(frame))) => {
                    let (is_key, has_loss) = (frame.is_random_access_point(), frame.loss() > 0);
                    let unit =
                        ReceivedUnit { is_key, received: SystemTime::now(), data: Bytes::from(frame.into_data()) };
                    return Ok((unit, has_loss));
                }
                Some(Ok(_)) => {}
                Some(Err(e)) => return Err(self.explainer.explain(&e)),
                None => {
                    return Err(Error::new(
                        Code::Unavailable,
                        format!("{} has closed the connection", self.explainer.peer),
                    ));
                }
            }
        }
    }
}

/// Explains errors without secrets.
struct Explainer {
    peer: String,
    is_path: bool,
    has_login: bool,
    /// Texts that must not be logged: the password, and the part of the URL after the host, where some cameras have
    /// the password.
    secrets: Vec<Secret>,
}

impl Explainer {
    fn new(plan: &Plan, url: &url::Url, login: &Option<(String, Secret)>) -> Self {
        let is_path = matches!(plan.source, Source::Path(_));
        let mut secrets: Vec<_> = login.iter().map(|(_, password)| password.clone()).collect();
        if !is_path {
            let mut texts = vec![url.path().to_owned()];
            texts.extend(url.query().map(str::to_owned));
            secrets.extend(texts.into_iter().filter(|text| text.len() > 1).map(Secret::new));
        }
        Explainer { peer: plan.peer(), is_path, has_login: login.is_some(), secrets }
    }

    fn explain(&self, e: &retina::Error) -> Error {
        let peer = &self.peer;
        let why = match (e.status_code(), self.is_path) {
            (Some(401 | 403), true) => {
                format!("{peer} cannot be read with our credentials (mediamtx.user, mediamtx.pass)")
            }
            (Some(401 | 403), false) if self.has_login => format!("{peer} refuses the user name and password"),
            (Some(401 | 403), false) => format!("{peer} requires a user name and password"),
            (Some(404), true) => format!("{peer} has no publisher"),
            (Some(404), false) => format!("{peer} has no stream at this path"),
            (Some(461), _) => format!("{peer} does not support this transport; try the other one"),
            (Some(status), _) => format!("{peer} answers with status {status}"),
            (None, _) if e.to_string().starts_with("Unable to connect") => format!("{peer} cannot be reached"),
            (None, _) => format!("the connection to {peer} was lost"),
        };
        let cause = e.to_string().replace("\n\n", "; ").replace('\n', ", ");
        Error::new(Code::Unavailable, why).caused_by(self.without_secrets(cause))
    }

    fn without_secrets(&self, text: String) -> String {
        let secrets = self.secrets.iter().map(Secret::expose).filter(|secret| !secret.is_empty());
        secrets.fold(text, |text, secret| text.replace(secret, "***"))
    }

    fn choose(&self, session: &Session<Described>) -> Result<(usize, Codec)> {
        let videos = session.streams().iter().enumerate().filter(|(_, stream)| stream.media() == "video");
        let names: Vec<_> = videos.map(|(i, stream)| (i, stream.encoding_name())).collect();
        if let Some(found) = names.iter().find_map(|(i, name)| Some((*i, Codec::of(name)?))) {
            return Ok(found);
        }
        let what = match names.as_slice() {
            [] => "no video".to_owned(),
            names => names.iter().map(|(_, name)| name.to_ascii_uppercase()).collect::<Vec<_>>().join(" and "),
        };
        Err(Error::new(
            Code::Unavailable,
            format!("{} offers {what}; H.264, H.265 and MJPEG can be shown as pictures", self.peer),
        ))
    }
}
