//! QNAP's File Station over HTTP (Web API v4.1 and v5).

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::header::{HeaderValue, RANGE};
use tokio::{sync::Mutex, time::Duration};
use url::{Url, form_urlencoded};

use super::{
    NasSettings, Page,
    answer::{self, Entry, List, Login},
};
use crate::{
    error::{Cause, Code, Error, Result},
    fetch::{Fetch, Request, Response, Target},
    secret::Secret,
};

/// Timeout of an answer. A disk in standby needs about ten seconds.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Most bytes of a list of [`STEP`] entries, each of which has about 400 bytes, and of the answer to a sign-in.
const MAX_LIST: usize = 4 << 20;

/// Most entries of one request.
const STEP: usize = 1000;

/// Most bytes of a thumbnail.
const MAX_THUMBNAIL: usize = 2 << 20;

/// Most bytes of an error.
const MAX_ERROR: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Qnap {
    fetch: Fetch,
    target: Target,
    username: String,
    password: Secret,
    folder: String,
    /// The session id, until the NAS reports its end. Locked during a sign-in, so that only one request signs in.
    sid: Mutex<Option<String>>,
}

impl Qnap {
    pub(super) fn new(settings: &NasSettings, fetch: &Fetch) -> Result<Self> {
        let target = Target::new(&settings.url, "", &Secret::default(), &settings.fingerprint)?;
        if !matches!(target.url.path(), "" | "/") || target.url.query().is_some() {
            return Err(Error::parameter("url", "must be like https://nas.local, without a path"));
        }
        Ok(Qnap {
            fetch: fetch.clone(),
            target,
            username: settings.user.clone(),
            password: settings.pass.clone(),
            folder: settings.folder.trim_end_matches('/').to_owned(),
            sid: Mutex::default(),
        })
    }

    pub(super) fn is_plain(&self) -> bool {
        self.target.url.scheme() == "http"
    }

    fn failed(&self, reason: impl std::fmt::Display) -> Error {
        let host = self.target.url.host_str().unwrap_or_default();
        Error::new(Code::Upstream, format!("the NAS {host}: {reason}"))
    }

    fn refused(&self, status: u64) -> Error {
        match status {
            5 | 25 => Error::new(Code::UnknownFile, format!("the NAS answers: {}", answer::meaning(status)))
                .because(Cause::UnknownFile),
            _ => self.failed(format_args!("{} (status {status})", answer::meaning(status))),
        }
    }

    /// A session id. Signs in if there is none, or only `ended`.
    async fn sid(&self, ended: Option<&str>) -> Result<String> {
        let mut held = self.sid.lock().await;
        if let Some(sid) = held.as_ref().filter(|sid| Some(sid.as_str()) != ended) {
            return Ok(sid.clone());
        }
        *held = None;
        // By POST, because the NAS logs URLs. The password is encoded, not encrypted.
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("user", &self.username)
            .append_pair("pwd", &STANDARD.encode(self.password.expose()))
            .append_pair("serviceKey", "1")
            .finish();
        let request = Request::post("application/x-www-form-urlencoded", form, TIMEOUT);
        let mut url = self.target.url.clone();
        url.set_path("/cgi-bin/authLogin.cgi");
        let response = self.fetch.send(&self.target.at(url), request).await?;
        if !response.status.is_success() {
            return Err(self.unexpected(&response));
        }
        let sid = match answer::login(&response.bytes(MAX_LIST, TIMEOUT).await?) {
            Login::In(sid) => sid,
            Login::Refused => {
                return Err(self.failed(format_args!(
                    "user or password is wrong, or the NAS blocks sign-ins of this machine for a time (user {})",
                    self.username
                )));
            }
            Login::SecondStep => {
                return Err(self.failed(format_args!(
                    "user {} has 2-step verification, which a program cannot pass; configure a user without it",
                    self.username
                )));
            }
            Login::Unknown => {
                return Err(
                    self.failed("its answer is not that of a QNAP; check that the port is that of its web interface")
                );
            }
        };
        *held = Some(sid.clone());
        Ok(sid)
    }

    fn address(&self, file: &str, sid: &str, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.target.url.clone();
        url.set_path("/cgi-bin/filemanager/utilRequest.cgi");
        if !file.is_empty()
            && let Ok(mut segments) = url.path_segments_mut()
        {
            segments.push(file);
        }
        url.query_pairs_mut().extend_pairs(parameters).append_pair("sid", sid);
        url
    }

    async fn ask(&self, file: &str, sid: &str, parameters: &[(&str, &str)], range: Option<&str>) -> Result<Response> {
        let mut request = Request::get(TIMEOUT);
        if let Some(range) = range.and_then(|range| HeaderValue::from_str(range).ok()) {
            request.headers.insert(RANGE, range);
        }
        let response = self.fetch.send(&self.target.at(self.address(file, sid, parameters)), request).await?;
        match response.status.as_u16() {
            200..=299 | 416 => Ok(response),
            404 => Err(self.refused(5)),
            _ => Err(self.unexpected(&response)),
        }
    }

    /// An answer with a status that File Station does not have: another program answers at this address.
    fn unexpected(&self, response: &Response) -> Error {
        match response.leads_to() {
            Some(address) => self.failed(format_args!("it leads to {address}; set that as url")),
            None => self.failed(format_args!(
                "its answer is not that of a QNAP, but HTTP status {}; check that the port is that of its web interface",
                response.status
            )),
        }
    }

    /// Splits a path below the folder of the settings into folder and name.
    fn split<'a>(&self, path: &'a str) -> (String, &'a str) {
        match path.rsplit_once('/') {
            Some((folder, name)) => (format!("{}/{folder}", self.folder), name),
            None => (self.folder.clone(), path),
        }
    }

    pub(super) async fn list(&self, path: &str, start: usize, limit: usize) -> Result<Page> {
        let folder = match path {
            "" => self.folder.clone(),
            path => format!("{}/{path}", self.folder),
        };
        let mut page = Page::default();
        while page.spans < limit {
            let (from, step) = ((start + page.spans).to_string(), (limit - page.spans).min(STEP).to_string());
            let list = self.part(&folder, &from, &step).await?;
            let entries = list.datas.unwrap_or_default();
            let count = entries.len();
            page.total = list.total.map_or(start + page.spans + count, |total| total as usize);
            page.spans += count;
            page.items.extend(entries.into_iter().filter_map(Entry::into_item));
            if count == 0 || start + page.spans >= page.total {
                break;
            }
        }
        Ok(page)
    }

    async fn part(&self, folder: &str, start: &str, limit: &str) -> Result<List> {
        let parameters = [
            ("func", "get_list"),
            ("is_iso", "0"),
            ("list_mode", "all"),
            ("path", folder),
            ("dir", "ASC"),
            ("sort", "filename"),
            ("start", start),
            ("limit", limit),
            ("hidden_file", "0"),
        ];
        let mut sid = self.sid(None).await?;
        for is_last in [false, true] {
            let response = self.ask("", &sid, &parameters, None).await?;
            let body = response.bytes(MAX_LIST, TIMEOUT).await?;
            let list: List =
                serde_json::from_slice(&body).map_err(|e| self.failed(format_args!("its list cannot be read: {e}")))?;
            match list.status {
                _ if list.datas.is_some() => return Ok(list),
                Some(3) if !is_last => sid = self.sid(Some(&sid)).await?,
                status => return Err(self.refused(status.unwrap_or_default())),
            }
        }
        Err(self.refused(3))
    }

    pub(super) async fn open(&self, path: &str, range: Option<&str>) -> Result<Response> {
        let (folder, name) = self.split(path);
        let parameters = [("func", "get_viewer"), ("source_path", &*folder), ("source_file", name)];
        self.content(name, &parameters, range).await
    }

    pub(super) async fn thumbnail(&self, path: &str) -> Result<Bytes> {
        let (folder, name) = self.split(path);
        let parameters = [("func", "get_thumb"), ("path", &*folder), ("name", name), ("size", "320")];
        let bytes = self.content("", &parameters, None).await?.bytes(MAX_THUMBNAIL, TIMEOUT).await?;
        if bytes.is_empty() { Err(self.failed("it has no thumbnail of this file")) } else { Ok(bytes) }
    }

    /// The content of a file. The NAS sends an error as JSON with status 200 in place of the content.
    async fn content(&self, file: &str, parameters: &[(&str, &str)], range: Option<&str>) -> Result<Response> {
        let mut sid = self.sid(None).await?;
        for is_last in [false, true] {
            let response = self.ask(file, &sid, parameters, range).await?;
            let is_text = |kind: &str| kind.starts_with("application/json") || kind.starts_with("text/");
            // Only pictures, videos and sound files are requested, so text is an error.
            if !response.header("content-type").is_some_and(is_text) {
                return Ok(response);
            }
            let body = response.bytes(MAX_ERROR, TIMEOUT).await?;
            let status = serde_json::from_slice::<List>(&body).ok().and_then(|list| list.status);
            match status {
                Some(3) if !is_last => sid = self.sid(Some(&sid)).await?,
                status => return Err(self.refused(status.unwrap_or_default())),
            }
        }
        Err(self.refused(3))
    }
}
