//! Files of recordings from MediaMTX's playback server, as they arrive.

use std::sync::Arc;

use actix_web::http::{
    StatusCode,
    header::{AUTHORIZATION, HeaderValue},
};
use bytes::Bytes;
use futures_util::StreamExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::{Duration, timeout};

use super::{MediaMtxSettings, queue::Authorize};
use crate::{
    error::{Code, Error, Result},
    hosts::{self, Hosts},
};

/// Longest time without data: MediaMTX looks for the first key frame in its files before it begins.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest error text that is read.
const MAX_REFUSAL: usize = 4096;

/// Makes requests for files on the thread of the caller, which must have an actix runtime. Cheap to clone.
#[derive(Clone)]
pub struct Downloads(Arc<Inner>);

struct Inner {
    hosts: Hosts,
    base: String,
    authorize: Authorize,
}

/// A file that is being received.
pub struct Download {
    body: awc::ClientResponse,
}

impl Downloads {
    /// `authorize` gives the `Authorization` header if the settings have no user.
    pub fn new(
        settings: &MediaMtxSettings,
        hosts: &Hosts,
        authorize: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let authorize: Authorize = match settings.basic() {
            Some(basic) => Box::new(move || Some(basic.clone())),
            None => Box::new(authorize),
        };
        let base = settings.playback.trim_end_matches('/').to_owned();
        Downloads(Arc::new(Inner { hosts: hosts.clone(), base, authorize }))
    }

    /// Begins to receive a range of a recording as an MP4 file. `start` is an RFC 3339 time, `seconds` the duration.
    pub async fn open(&self, path: &str, start: &str, seconds: f64) -> Result<Download> {
        let Inner { hosts, base, authorize } = &*self.0;
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let url = format!("{base}/get?path={}&start={}&duration={seconds}&format=mp4", encoded(path), encoded(start));
        let mut request = hosts.client(PATIENCE).get(url);
        if let Some(value) = authorize().and_then(|value| HeaderValue::try_from(value).ok()) {
            request = request.insert_header((AUTHORIZATION, value));
        }
        let away = |reason: String| {
            Error::new(Code::MediaMtxAway, "MediaMTX's playback server does not answer (mediamtx.playback)")
                .caused_by(reason)
        };
        let mut response = request.send().await.map_err(|e| away(hosts::explain(&e)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Download { body: response });
        }
        let body = response.body().limit(MAX_REFUSAL).await.unwrap_or_default();
        let answer = serde_json::from_slice::<Value>(&body).ok();
        let reason = answer.as_ref().and_then(|body| body["error"].as_str()).unwrap_or_default();
        let code = if status == StatusCode::NOT_FOUND { Code::UnknownFile } else { Code::MediaMtxAway };
        Err(Error::new(code, format!("MediaMTX does not give the recording: {status} {reason}")))
    }
}

impl Download {
    /// The next bytes; none at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let broken = |reason: String| {
            Error::new(Code::MediaMtxAway, "MediaMTX's playback server has ended the file").caused_by(reason)
        };
        match timeout(PATIENCE, self.body.next()).await {
            Err(_) => Err(broken(format!("no data for {PATIENCE:?}"))),
            Ok(None) => Ok(None),
            Ok(Some(Ok(data))) => Ok(Some(data)),
            Ok(Some(Err(e))) => Err(broken(e.to_string())),
        }
    }
}
