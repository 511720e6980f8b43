//! Finds the MediaMTX to which this node's MediaMTX is redirected for a path of another node (`fleet/NAME`).

use percent_encoding::percent_decode_str;
use url::Url;

use crate::{
    error::{Code, Error, Result},
    fleet,
    policy::Credentials,
    state::State,
};

/// The URL for a request for a path of any node; none if it is none, or is not from MediaMTX. The error is `unauthenticated` as long as
/// MediaMTX shows no credentials, which it does when it is asked for them.
pub(super) async fn redirect(state: &State, url: &rtsp_types::Url, shown: &Credentials) -> Option<Result<Url>> {
    let fleet = state.fleet.as_ref()?;
    let name = percent_decode_str(url.path().trim_matches('/')).decode_utf8().ok()?;
    let path = fleet::pulled(&name)?;
    // A stream of this name is an ordinary one.
    if state.catalog.registry().get(&name).is_some() {
        return None;
    }
    if shown.is_empty() {
        return Some(Err(Error::new(Code::Unauthenticated, "credentials are needed")));
    }
    if !fleet.admits_pull(shown) {
        return None;
    }
    let own = state.mediamtx.is_live(path).await;
    Some(fleet.pull_from(path, own, &state.settings.mediamtx.rtsp).await)
}
