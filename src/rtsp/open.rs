//! From a URL to a stream: what is asked for, and whether this caller may read it.

use std::net::SocketAddr;

use percent_encoding::percent_decode_str;
use rtsp_types::Url;

use super::sdp::TRACK;
use crate::{
    error::{Code, Error, Result},
    output::h264::{Reader, Want},
    policy::{Action, Caller, Credentials, webhook::token_in_query},
    producer::Definition,
    state::{State, WatcherPermit},
    stream::{Origin, StreamName},
};

/// A stream that somebody may read and is about to.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) name: StreamName,
    pub(super) want: Want,
    /// Until it plays.
    pub(super) reader: Option<Reader>,
    /// The URL of the presentation, with a slash at the end and without parameters.
    pub(super) base: String,
    pub(super) permit: WatcherPermit,
}

/// What a URL says.
struct Asked {
    name: String,
    base: String,
    want: Want,
    recipe: Option<Definition>,
}

/// Asks the policy, finds the stream, and joins it; its producer is started by that.
pub(super) async fn open(state: &State, caller: &Caller, url: &Url) -> Result<Opened> {
    let Asked { name, base, want, recipe } = parse(url)?;
    let name = state.registry.name(&name)?;
    let who = state.permit_by("rtsp", caller, Action::Read, &name).await?;
    let permit = state.watcher_permit(who)?;
    let watch = state.registry.watch(|| match &recipe {
        Some(wanted) => state.stream_of_kind(&name, wanted, Origin::Pull),
        None => state.registry.find(&name),
    })?;
    let reader = Some(state.encodings.join(watch, want));
    Ok(Opened { name, want, reader, base, permit })
}

/// The caller of a request: RTSP knows no proxies, so the connection's address is to be believed. Players that can
/// show nothing but a URL have their token in its parameters, as MediaMTX takes it there.
pub(super) fn caller(peer: SocketAddr, authorization: Option<&str>, url: &Url) -> Caller {
    let in_url = || {
        let query = url.query().unwrap_or_default();
        let query = query.strip_suffix(TRACK).map_or(query, |query| query.trim_end_matches('/'));
        token_in_query(query).map(|token| Credentials::from_token(&token))
    };
    let credentials = authorization.and_then(Credentials::from_header).or_else(in_url).unwrap_or_default();
    Caller { ip: Some(peer.ip().to_canonical()), credentials }
}

/// The base of a URL, as [`Opened::base`] has it.
pub(super) fn base(url: &Url) -> String {
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    // Nobody sends them, and they must not come back in an answer.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    let text = base.as_str();
    let text = text.strip_suffix(TRACK).unwrap_or(text);
    format!("{}/", text.trim_end_matches('/'))
}

fn parse(url: &Url) -> Result<Asked> {
    let base = base(url);
    let path = Url::parse(&base).map_err(|e| Error::new(Code::InvalidName, e.to_string()))?;
    let name = path.path().trim_matches('/');
    let name = percent_decode_str(name)
        .decode_utf8()
        .map_err(|_| Error::new(Code::InvalidName, "name: must be text").in_field("name"))?;
    // A client that did not take our base URL appends the track to the parameters.
    let query = url.query().unwrap_or_default();
    let query = query.strip_suffix(TRACK).map_or(query, |q| q.trim_end_matches('/'));
    let parameter = |wanted: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value).next()
    };
    Ok(Asked {
        want: Want::parse(parameter("w"), parameter("h"), parameter("fps"))?,
        recipe: parameter("type").map(Definition::of_recipe).transpose()?,
        name: name.into_owned(),
        base,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str) -> Result<Asked> {
        parse(&Url::parse(url).expect("a URL"))
    }

    #[test]
    fn urls_name_a_stream_however_clients_write_them() {
        for (url, name) in [
            ("rtsp://127.0.0.1:9554/door", "door"),
            ("rtsp://127.0.0.1:9554/Front/Door/", "Front/Door"),
            ("rtsp://127.0.0.1:9554/front/door/trackID=0", "front/door"),
            ("rtsp://127.0.0.1:9554/door?w=640&h=480/trackID=0", "door"),
            ("rtsp://127.0.0.1:9554/d%6For?fps=2", "door"),
            ("rtsp://alice:secret@127.0.0.1:9554/door", "door"),
        ] {
            let asked = asked(url).expect("understood");
            assert_eq!(asked.name, name, "{url}");
            assert!(asked.base.ends_with('/') && !asked.base.contains(['?', '@']), "{url}: {}", asked.base);
        }
        let parameters = asked("rtsp://h/door?w=640&h=480&fps=5/trackID=0").expect("understood");
        assert_eq!(parameters.want, Want::parse(Some("640"), Some("480"), Some("5")).expect("valid"));
        assert_eq!(
            asked("rtsp://h/192.168.1.20?type=udp").expect("understood").recipe.map(|r| r.kind()),
            Some("udp-camera")
        );
    }

    #[test]
    fn what_is_wrong_with_a_url_is_named() {
        for (url, field) in [
            ("rtsp://h/door?w=1", "w"),
            ("rtsp://h/door?fps=x/trackID=0", "fps"),
            ("rtsp://h/door?type=tape", "type"),
            ("rtsp://h/%FF", "name"),
        ] {
            assert_eq!(asked(url).err().and_then(|e| e.field()), Some(field), "{url}");
        }
    }
}
