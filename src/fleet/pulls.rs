//! [`Pulls`]: a path at the MediaMTX of any node, read through the MediaMTX of this one as `fleet/NAME`.
//!
//! This node's MediaMTX has one path for all of them, whose source is this program's RTSP server. That one asks the other nodes
//! who has the path, and redirects MediaMTX to the MediaMTX of that node, with a ticket that the node has made for it. Video goes from
//! MediaMTX to MediaMTX, never through NATS or this program.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use subtle::ConstantTimeEq;
use tokio::time::{Duration, Instant};
use url::Url;

use crate::{
    cluster::Cluster,
    error::{Code, Error, Result},
    mediamtx::Fields,
    policy::Credentials,
    query,
    secret::hmac_sha256,
    stream::StreamName,
};

/// The beginning of the names under which paths of all nodes are read.
pub const PREFIX: &str = "fleet/";

/// The path at MediaMTX that stands for all of them.
pub const PATH: &str = "~^fleet/(.+)$";

/// The user as which MediaMTX asks this program's RTSP server.
const USER: &str = "_fleet";

/// The parameter of a URL with a ticket.
const TICKET: &str = "mtx_ticket";

/// The topic of questions.
const TOPIC: &str = "path";

/// How long a ticket counts, by the clock of the node that has made it. MediaMTX shows it several times within a second.
const TICKET_LASTS: Duration = Duration::from_secs(20);

/// Most tickets at a time. A node that asks too often gets none for new paths.
const MAX_TICKETS: usize = 2000;

/// How long other nodes can take. MediaMTX waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which path is looked for.
#[derive(Debug, Serialize, Deserialize)]
struct Wish {
    path: String,
}

/// A node that has the path.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Offer {
    /// Base URL of its MediaMTX; empty: unknown.
    url: String,
    /// Whether the path has a publisher or a source now.
    is_live: bool,
    ticket: String,
}

/// Pulls between the MediaMTX of all nodes.
pub(super) struct Pulls {
    cluster: Cluster,
    /// Until when each ticket is good, and for which path.
    tickets: Mutex<HashMap<String, (String, Instant)>>,
    key: String,
}

/// The name of a path at its node, if `name` is that of one that is pulled.
pub fn pulled(name: &str) -> Option<&str> {
    // A second prefix would be a pull of a pull.
    name.strip_prefix(PREFIX).filter(|name| !name.is_empty() && !name.starts_with(PREFIX))
}

impl Pulls {
    pub(super) fn new(cluster: Cluster) -> Self {
        use hmac::Mac;
        let mut mac = hmac_sha256(cluster.settings().secret.expose().as_bytes());
        mac.update(b"mtx-sidecar pull\n");
        mac.update(cluster.node().as_bytes());
        let key = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        Pulls { cluster, tickets: Mutex::default(), key }
    }

    /// The settings of the path at MediaMTX. `rtsp` is the base URL of this program's RTSP server as MediaMTX reaches it.
    pub(super) fn fields(&self, rtsp: &str) -> Fields {
        let at = rtsp.strip_prefix("rtsp://").unwrap_or(rtsp);
        let source = format!("rtsp://{USER}:{}@{at}/{PREFIX}$G1", self.key);
        let fields = json!({"source": source, "rtspTransport": "tcp", "sourceOnDemand": true});
        fields.as_object().cloned().unwrap_or_default()
    }

    /// Whether these are the credentials of this node's MediaMTX.
    pub(super) fn admits(&self, shown: &Credentials) -> bool {
        shown.user == USER && bool::from(shown.password.expose().as_bytes().ct_eq(self.key.as_bytes()))
    }

    /// The URL from which a path is pulled. `own` tells whether this node's MediaMTX has it, and whether it is live; `here` is the URL of
    /// that MediaMTX.
    pub(super) async fn find(&self, path: &str, own: Option<bool>, here: &str) -> Result<Url> {
        let name = StreamName::parse(path)?;
        let mut offers: Vec<(String, Offer)> = vec![];
        if let Some(is_live) = own {
            let offer = Offer { url: here.to_owned(), is_live, ticket: self.ticket(&name)? };
            offers.push((String::new(), offer));
        }
        // This node's own counts while NATS is away, too.
        if own != Some(true) {
            let wish = Wish { path: name.to_string() };
            for (node, answer) in self.cluster.ask_all::<_, Option<Offer>>(TOPIC, &wish, PATIENCE).await {
                match answer {
                    Ok(Some(offer)) if offer.url.is_empty() => tracing::warn!(
                        node,
                        path,
                        "the node has the path, and does not tell how its MediaMTX is reached: set cluster.address or cluster.mediamtx_rtsp there"
                    ),
                    Ok(Some(offer)) => offers.push((node, offer)),
                    Ok(None) => {}
                    Err(e) => tracing::debug!(node, path, "{}", e.chain()),
                }
            }
        }
        // The first of those that are live, and this node before others.
        let best = offers.into_iter().min_by_key(|(node, offer)| (!offer.is_live, node.clone()));
        let (_, offer) =
            best.ok_or_else(|| Error::new(Code::UnknownPath, format!("no node of the cluster has a path {path}")))?;
        location(&offer.url, &name, &offer.ticket)
    }

    /// Answers other nodes. `find` tells whether this node's MediaMTX has a path, and whether it is live; `here` its URL.
    pub(super) async fn answer<F: Future<Output = Option<bool>>>(
        &self,
        find: impl Fn(String) -> F,
        here: impl Fn() -> String,
    ) {
        let (find, here) = (&find, &here);
        let answer = |Wish { path }: Wish| async move {
            let name = StreamName::parse(&path).ok().filter(|name| !name.starts_with(PREFIX))?;
            let is_live = find(path).await?;
            Some(Offer { url: here(), is_live, ticket: self.ticket(&name).ok()? })
        };
        self.cluster.answer(TOPIC, answer).await;
    }

    fn ticket(&self, path: &StreamName) -> Result<String> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|e| Error::internal("the system gives no random numbers", e))?;
        let ticket: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let now = Instant::now();
        let mut tickets = self.tickets.lock();
        tickets.retain(|_, (_, until)| *until > now);
        if tickets.len() >= MAX_TICKETS {
            return Err(Error::new(Code::Unavailable, "too many paths are asked for at this moment"));
        }
        tickets.insert(ticket.clone(), (path.to_string(), now + TICKET_LASTS));
        Ok(ticket)
    }

    /// Whether the query of a reader of a path has a ticket for it.
    pub(super) fn has_ticket(&self, path: &str, query: &str) -> bool {
        // A client that ignores Content-Base appends the track to the query.
        let ticket = query::first(query, TICKET);
        let ticket = ticket.as_deref().map(|ticket| ticket.split('/').next().unwrap_or_default());
        let tickets = self.tickets.lock();
        ticket.and_then(|ticket| tickets.get(ticket)).is_some_and(|(of, until)| of == path && *until > Instant::now())
    }
}

fn location(base: &str, path: &StreamName, ticket: &str) -> Result<Url> {
    let unusable = || Error::new(Code::Unavailable, format!("{base} is no address of a MediaMTX"));
    let base = base.trim_end_matches('/');
    let mut url = Url::parse(&format!("{base}/{path}")).map_err(|_| unusable())?;
    if url.scheme() != "rtsp" || url.host_str().is_none_or(str::is_empty) {
        return Err(unusable());
    }
    url.set_query(Some(&format!("{TICKET}={ticket}")));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_has_one_prefix_and_a_url_of_its_own() {
        assert_eq!(
            (pulled("fleet/a/b"), pulled("fleet/fleet/a"), pulled("fleet/"), pulled("a")),
            (Some("a/b"), None, None, None)
        );
        let name = StreamName::parse("a/b").expect("a name");
        let url = |base| location(base, &name, "t").map(String::from).map_err(|e| e.to_string());
        assert_eq!(url("rtsp://10.0.0.1:8554").as_deref(), Ok("rtsp://10.0.0.1:8554/a/b?mtx_ticket=t"));
        assert_eq!(url("rtsp://[::1]:8554/").as_deref(), Ok("rtsp://[::1]:8554/a/b?mtx_ticket=t"));
        for base in ["http://h", "h", ""] {
            assert!(url(base).is_err(), "{base}");
        }
    }
}
