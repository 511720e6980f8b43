//! Opens the stream that a URL names: parses the URL, admits the caller, and joins the encoding.

use std::net::SocketAddr;

use percent_encoding::percent_decode_str;
use rtsp_types::Url;

use super::sdp::TRACK;
use crate::{
    access::{Permit, Role, SessionInfo},
    catalog::Requester,
    error::{Code, Error, Result},
    faults,
    output::h264::{Reader, Want},
    policy::{Caller, Credentials, token_in_query},
    producer::Definition,
    query,
    state::State,
    stream::StreamName,
    traces::{self, Kind},
};

/// A stream that an admitted caller is about to read.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) name: StreamName,
    pub(super) want: Want,
    /// Taken by PLAY.
    pub(super) reader: Option<Reader>,
    /// The URL of the presentation, with a slash at the end and without parameters.
    pub(super) base: String,
    pub(super) permit: Permit,
}

/// The parts of a URL.
struct Target {
    name: String,
    base: String,
    want: Want,
    recipe: Option<Definition>,
}

/// Admits the caller, then watches the stream, which starts its producer, and joins the encoding.
pub(super) async fn open(state: &State, peer: SocketAddr, caller: &Caller, url: &Url) -> Result<Opened> {
    let target = parse(url)?;
    let name = state.catalog.name(&target.name)?;
    let mut span = state.traces.begin("open by RTSP", Kind::Server, state.traces.cause_of(&name));
    span.set("stream", &name);
    span.set("client.address", peer.ip());
    let opened = traces::within(&span, admit(state, peer, caller, name, target)).await;
    if let Err(e) = &opened {
        span.fail(&e.to_string());
    }
    opened
}

async fn admit(state: &State, peer: SocketAddr, caller: &Caller, name: StreamName, target: Target) -> Result<Opened> {
    let Target { base, want, recipe, .. } = target;
    let session = SessionInfo { protocol: "rtsp", path: name.to_string(), remote: peer.to_string(), publishes: false };
    let (who, permit) = state.access.admit(Role::Watcher, caller, session).await?;
    // No browser speaks RTSP, so that no page of a web site can cause this request.
    let by = Requester { share: caller.quota_holder(&who), may_make: true };
    let watch = state.catalog.watch_own(&name, recipe.as_ref(), &by)?;
    faults::pass("RTSP request", &name);
    let reader = Some(state.encodings.join(watch, want));
    Ok(Opened { name, want, reader, base, permit })
}

/// The caller of a request. RTSP has no proxies, so its address is that of the connection. A player that can send nothing
/// but a URL has its token in the query, where MediaMTX takes it as well.
pub(super) fn caller(peer: SocketAddr, authorization: Option<&str>, url: &Url) -> Caller {
    let in_url = || {
        let query = url.query().unwrap_or_default();
        let query = query.strip_suffix(TRACK).map_or(query, |query| query.trim_end_matches('/'));
        token_in_query(query).map(|token| Credentials::from_token(&token))
    };
    let credentials = authorization.and_then(Credentials::from_header).or_else(in_url).unwrap_or_default();
    Caller { ip: Some(peer.ip().to_canonical()), credentials, ..Caller::default() }
}

/// The base of a URL; see [`Opened::base`].
pub(super) fn base(url: &Url) -> String {
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    // Credentials in a URL must not be repeated in an answer.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    let text = base.as_str();
    let text = text.strip_suffix(TRACK).unwrap_or(text);
    format!("{}/", text.trim_end_matches('/'))
}

fn parse(url: &Url) -> Result<Target> {
    let base = base(url);
    let path = Url::parse(&base).map_err(|e| Error::new(Code::InvalidName, e.to_string()))?;
    let name = path.path().trim_matches('/');
    let name = percent_decode_str(name)
        .decode_utf8()
        .map_err(|_| Error::new(Code::InvalidName, "name: must be text").in_field("name"))?;
    // A client that ignores Content-Base appends the track to the query.
    let parameters = url.query().unwrap_or_default();
    let parameters = parameters.strip_suffix(TRACK).map_or(parameters, |rest| rest.trim_end_matches('/'));
    let parameter = |name| query::first(parameters, name);
    let recipe =
        parameter("type").map(|word| Definition::of_recipe(&word, parameter("interval").as_deref())).transpose()?;
    Ok(Target {
        want: Want::parse(parameter("w").as_deref(), parameter("h").as_deref(), parameter("fps").as_deref())?,
        recipe,
        name: name.into_owned(),
        base,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target> {
        parse(&Url::parse(url).expect("a URL"))
    }

    #[test]
    fn every_form_of_url_names_the_stream() {
        for (url, name) in [
            ("rtsp://127.0.0.1:9554/door", "door"),
            ("rtsp://127.0.0.1:9554/Front/Door/", "Front/Door"),
            ("rtsp://127.0.0.1:9554/front/door/trackID=0", "front/door"),
            ("rtsp://127.0.0.1:9554/door?w=640&h=480/trackID=0", "door"),
            ("rtsp://127.0.0.1:9554/d%6For?fps=2", "door"),
            ("rtsp://alice:secret@127.0.0.1:9554/door", "door"),
        ] {
            let target = target(url).expect("parses");
            assert_eq!(target.name, name, "{url}");
            assert!(target.base.ends_with('/') && !target.base.contains(['?', '@']), "{url}: {}", target.base);
        }
        let parameters = target("rtsp://h/door?w=640&h=480&fps=5/trackID=0").expect("parses");
        assert_eq!(parameters.want, Want::parse(Some("640"), Some("480"), Some("5")).expect("valid"));
        assert_eq!(
            target("rtsp://h/192.168.1.20?type=udp").expect("parses").recipe.map(|r| r.kind()),
            Some("udp-camera")
        );
    }

    #[test]
    fn an_error_names_the_parameter() {
        for (url, field) in [
            ("rtsp://h/door?w=1", "w"),
            ("rtsp://h/door?fps=x/trackID=0", "fps"),
            ("rtsp://h/door?type=tape", "type"),
            ("rtsp://h/%FF", "name"),
        ] {
            assert_eq!(target(url).err().as_ref().and_then(Error::field), Some(field), "{url}");
        }
    }
}
