//! Redirects this node's MediaMTX to the MediaMTX of the node that has a path (`fleet/NAME`).

use percent_encoding::percent_decode_str;
use rtsp_types::{Request, StatusCode, Url, Version, headers};

use super::session::{Answer, refusal};
use crate::{
    error::{Code, Error},
    fleet,
    policy::Credentials,
    state::State,
};

/// The answer to a request for a path of any node; none if it is none, or is not from MediaMTX.
pub(super) async fn redirect(state: &State, request: &Request<Vec<u8>>, shown: &Credentials) -> Option<Answer> {
    let fleet = state.fleet.as_ref()?;
    let name = name(request.request_uri()?)?;
    let path = fleet::pulled(&name)?;
    // A stream of this name is an ordinary one.
    if state.catalog.registry().get(&name).is_some() {
        return None;
    }
    if shown.is_empty() {
        // MediaMTX shows its credentials when it is asked for them.
        return Some(refusal(&Error::new(Code::Unauthenticated, "credentials are needed"), false));
    }
    if !fleet.admits_pull(shown) {
        return None;
    }
    let own = state.mediamtx.is_live(path).await;
    Some(match fleet.pull_from(path, own, &state.settings.mediamtx.rtsp).await {
        Ok(url) => rtsp_types::Response::builder(Version::V1_0, StatusCode::Found)
            .header(headers::LOCATION, url.as_str())
            .build(vec![]),
        Err(e) => refusal(&e, true),
    })
}

fn name(url: &Url) -> Option<String> {
    let name = percent_decode_str(url.path().trim_matches('/')).decode_utf8().ok()?;
    Some(name.into_owned())
}
