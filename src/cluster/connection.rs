//! The connections to the NATS servers.
//!
//! There are two. NATS ends a connection whose client reads too slowly (`max_pending`, `write_deadline`), with everything on
//! it. Frames can be that much, so they have a connection of their own: losing it costs pictures, and no lease and no watch.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_nats::{
    Client, ConnectOptions, Event, HeaderMap,
    header::{HeaderValue, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE},
    jetstream::{
        self,
        context::{CreateKeyValueErrorKind, PublishErrorKind},
        kv,
    },
};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{names::Names, settings::ClusterSettings};
use crate::{
    error::{Code, Error, Result},
    foreign,
};

/// The oldest server with which the key-value store of async-nats works: earlier ones leave out members of `$JS.API.INFO`.
pub const OLDEST_SERVER: (i64, i64, i64) = (2, 10, 0);

/// How often a connection is tested. It counts as lost when three tests had no answer.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// How long a request, and a write that has to be acknowledged, can take. After the death of its leader JetStream accepted no
/// write for five seconds.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(6);

/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The pause before what has ended is followed again.
const AGAIN: Duration = Duration::from_millis(500);

/// Messages that wait for a subscription of the control connection. All are small.
const CONTROL_CAPACITY: usize = 8192;

/// Messages that wait for a subscription of the frames connection, up to 200 KB each.
const FRAMES_CAPACITY: usize = 16;

/// Whether the servers can be reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// Connected.
    Up {
        /// Since when.
        since: Instant,
        /// The number of this connection: it grows with each one.
        number: u64,
    },
    /// Not connected.
    Away {
        /// Since when.
        since: Instant,
        /// Why, as far as it is known.
        reason: Option<String>,
    },
}

impl Link {
    /// Whether the servers can be reached.
    pub fn is_up(&self) -> bool {
        matches!(self, Link::Up { .. })
    }

    /// Since when it is as it is.
    pub fn since(&self) -> Instant {
        match self {
            Link::Up { since, .. } | Link::Away { since, .. } => *since,
        }
    }
}

/// Both connections, and the names beneath the prefix. Cheap to clone.
#[derive(Clone)]
pub struct Connection {
    /// For records, requests and heartbeats.
    pub control: Client,
    /// For frames: a slow reader loses messages here, and nothing else.
    pub frames: Client,
    /// JetStream on the control connection.
    pub jetstream: jetstream::Context,
    /// Names of subjects and buckets.
    pub names: Names,
    settings: Arc<ClusterSettings>,
    link: watch::Receiver<Link>,
    errors: Errors,
}

/// The last errors that the servers have told.
type Errors = Arc<Mutex<VecDeque<String>>>;

/// How many of them are remembered.
const ERRORS: usize = 4;

impl Connection {
    /// Begins to connect, and returns at once: the connections are made, and made again, in the background. The error is one
    /// of the settings.
    pub async fn open(settings: &ClusterSettings, node: &str) -> Result<Self> {
        let names = Names::new(&settings.prefix);
        let (sender, link) = watch::channel(Link::Away { since: Instant::now(), reason: None });
        let errors = Errors::default();
        let state = LinkState { purpose: "control", link: Some(sender), errors: errors.clone() };
        let control = connect(settings, node, CONTROL_CAPACITY, state).await?;
        let state = LinkState { purpose: "frames", link: None, errors: errors.clone() };
        let frames = connect(settings, node, FRAMES_CAPACITY, state).await?;
        let mut jetstream = jetstream::new(control.clone());
        jetstream.set_timeout(REQUEST_TIMEOUT);
        Ok(Connection { control, frames, jetstream, names, settings: Arc::new(settings.clone()), link, errors })
    }

    /// Whether the servers can be reached, now and later.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Whether the servers can be reached now.
    pub fn is_up(&self) -> bool {
        self.link.borrow().is_up()
    }

    /// The last errors that the servers have told, such as rights that are missing.
    pub fn server_errors(&self) -> Vec<String> {
        self.errors.lock().iter().cloned().collect()
    }

    /// Does the work while the servers can be reached, and begins it anew with each connection, and after its end. `what` begins the line
    /// of the log that says why it has ended. Returns with the program.
    pub async fn follow<F: Future<Output = Result<()>>>(&self, what: &str, work: impl Fn() -> F) {
        let mut link = self.link();
        loop {
            if link.wait_for(Link::is_up).await.is_err() {
                return;
            }
            link.mark_unchanged();
            tokio::select! {
                end = work() => if let Err(e) = end {
                    tracing::debug!("{what} cannot be followed now: {}", e.chain());
                },
                _ = link.changed() => continue,
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Waits for the connection, for at most this time. The error says why there is none.
    pub async fn wait(&self, longest: Duration) -> Result<()> {
        let mut link = self.link();
        let connected = timeout(longest, link.wait_for(Link::is_up)).await;
        if connected.is_ok_and(|connected| connected.is_ok()) {
            return Ok(());
        }
        let why = explain(&self.settings).await;
        Err(why.map_or_else(|| self.away(), |why| away(&format!(" ({why})"))))
    }

    /// The error while the servers cannot be reached.
    pub fn away(&self) -> Error {
        let reason = match &*self.link.borrow() {
            Link::Away { reason: Some(reason), .. } => format!(" ({reason})"),
            _ => String::new(),
        };
        away(&reason)
    }

    /// The version of the server, if it is too old for the records of a cluster.
    pub fn too_old(&self) -> Option<String> {
        let (major, minor, patch) = OLDEST_SERVER;
        let info = self.control.try_server_info()?;
        (!self.control.is_server_compatible(major, minor, patch)).then_some(info.version)
    }

    /// How many servers keep each record: as the settings say, or three if the servers are a cluster.
    pub fn replicas(&self) -> usize {
        let is_cluster = self.control.try_server_info().is_some_and(|info| info.cluster.is_some());
        match self.settings.replicas {
            0 if is_cluster => 3,
            0 => 1,
            n => n,
        }
    }

    /// A bucket of the cluster, which is made if it is not there. `config.bucket` is the name without the prefix. An existing
    /// one keeps its replicas.
    pub async fn bucket(&self, config: kv::Config) -> Result<kv::Store> {
        if let Some(version) = self.too_old() {
            let message = format!(
                "the NATS server has version {version}, and the key-value store of a cluster needs 2.10 or later; Debian 12's \
                 package is older, so install a release of nats.io"
            );
            return Err(Error::new(Code::ClusterUnavailable, message));
        }
        let name = self.names.bucket(&config.bucket);
        if let Ok(found) = self.jetstream.get_key_value(&name).await {
            return Ok(found);
        }
        let replicas = self.replicas();
        let make = |num_replicas| {
            self.jetstream.create_key_value(kv::Config { bucket: name.clone(), num_replicas, ..config.clone() })
        };
        let made = match make(replicas).await {
            // A cluster of one or two servers: the number was our guess.
            Err(e)
                if self.settings.replicas == 0 && replicas > 1 && e.kind() == CreateKeyValueErrorKind::BucketCreate =>
            {
                make(1).await
            }
            made => made,
        };
        made.map_err(|e| {
            let message = format!(
                "the bucket {name} cannot be made at NATS ({e}); JetStream must be on, and the account needs the rights of \
                 docs/cluster.md"
            );
            Error::new(Code::ClusterUnavailable, message).caused_by(e)
        })
    }

    /// Writes a record if its newest revision is still `expected`; 0: if there is none. None deletes the record, with its
    /// earlier revisions, and leaves a marker. Returns the new revision.
    pub async fn agree(
        &self,
        bucket: &str,
        key: &str,
        value: Option<Bytes>,
        expected: u64,
    ) -> Result<u64, Disagreement> {
        let subject = format!("$KV.{}.{key}", self.names.bucket(bucket));
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(expected));
        if value.is_none() {
            headers.insert("KV-Operation", "PURGE");
            headers.insert("Nats-Rollup", "sub");
        }
        if !self.is_up() {
            return Err(Disagreement::Failed(self.away()));
        }
        let sent = self.jetstream.publish_with_headers(subject, headers, value.unwrap_or_default()).await;
        let answered = match sent {
            Ok(answer) => answer.await,
            Err(e) => Err(e),
        };
        match answered {
            Ok(ack) => Ok(ack.sequence),
            Err(e) if e.kind() == PublishErrorKind::WrongLastSequence => Err(Disagreement::Changed),
            Err(e) => Err(Disagreement::Failed(refused(e))),
        }
    }
}

/// Why a record was not written.
#[derive(Debug)]
pub enum Disagreement {
    /// Another node has written it since.
    Changed,
    /// NATS did not write it, or did not say so.
    Failed(Error),
}

fn refused(e: jetstream::context::PublishError) -> Error {
    let text = std::iter::successors(Some(&e as &dyn std::error::Error), |e| e.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    let text = foreign::shown(&text).into_owned();
    // JetStream's words for a full disk, a full account and a full bucket (errors 10023, 10047, 10077).
    let is_full = ["insufficient", "maximum bytes", "maximum messages", "resource limits exceeded", "no space"]
        .iter()
        .any(|words| text.contains(words));
    let error = match e.kind() {
        _ if is_full => {
            let message = format!("JetStream has no room, so the change was not made ({text})");
            Error::new(Code::StorageFull, message)
        }
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Error::new(
            Code::ClusterUnavailable,
            "the NATS servers did not confirm the change in time; look whether it was made before you repeat it",
        ),
        _ => Error::new(Code::ClusterUnavailable, format!("the NATS servers did not make the change ({text})")),
    };
    error.caused_by(e)
}

fn away(reason: &str) -> Error {
    Error::new(Code::ClusterUnavailable, format!("the NATS servers of the cluster cannot be reached{reason}"))
}

async fn connect(settings: &ClusterSettings, node: &str, capacity: usize, state: LinkState) -> Result<Client> {
    let options = options(settings, &format!("mtx-sidecar {node} {}", state.purpose)).await?;
    let state = Arc::new(state);
    let options = options.subscription_capacity(capacity).client_capacity(capacity);
    let options = options.retry_on_initial_connect().event_callback(move |event| {
        let state = state.clone();
        async move { state.note(&event) }
    });
    options.connect(settings.nats.clone()).await.map_err(|e| {
        Error::new(Code::ClusterUnavailable, format!("the connection to NATS cannot be begun: {e}")).caused_by(e)
    })
}

/// Why there is no connection, in more words than the attempts in the background report.
async fn explain(settings: &ClusterSettings) -> Option<String> {
    let options = options(settings, "mtx-sidecar").await.ok()?;
    let e = timeout(REQUEST_TIMEOUT, options.connect(settings.nats.clone())).await.ok()?.err()?;
    let causes = std::iter::successors(Some(&e as &dyn std::error::Error), |e| e.source());
    let mut words: Vec<String> = causes.map(ToString::to_string).collect();
    words.dedup();
    Some(foreign::limited(&words.join(": "), 500).into_owned())
}

async fn options(settings: &ClusterSettings, name: &str) -> Result<ConnectOptions> {
    let unusable = |key: &'static str, e: std::io::Error| Error::parameter(format!("cluster.{key}"), e);
    let mut options = ConnectOptions::new()
        .name(name)
        .custom_inbox_prefix(Names::new(&settings.prefix).inbox())
        .ping_interval(PING_INTERVAL)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .connection_timeout(REQUEST_TIMEOUT)
        // The servers of the settings, and no addresses that these know and this machine may not reach.
        .ignore_discovered_servers()
        .tls_client_config(settings.tls()?)
        .reconnect_delay_callback(|attempts| {
            let doublings = u32::try_from(attempts.min(6)).unwrap_or(6);
            LONGEST_PAUSE.min(Duration::from_millis(50) * 2u32.pow(doublings))
        });
    if !settings.user.is_empty() {
        options = options.user_and_password(settings.user.clone(), settings.pass.expose().to_owned());
    }
    if !settings.credentials.as_os_str().is_empty() {
        options = options.credentials_file(&settings.credentials).await.map_err(|e| unusable("credentials", e))?;
    }
    if !settings.nkey.as_os_str().is_empty() {
        let seed = tokio::fs::read_to_string(&settings.nkey).await.map_err(|e| unusable("nkey", e))?;
        options = options.nkey(seed.trim().to_owned());
    }
    Ok(options)
}

/// What is known of one connection.
struct LinkState {
    purpose: &'static str,
    link: Option<watch::Sender<Link>>,
    errors: Errors,
}

impl LinkState {
    fn note(&self, event: &Event) {
        match event {
            Event::Connected => tracing::info!("NATS: the {} connection is made", self.purpose),
            Event::Disconnected | Event::Closed => tracing::warn!("NATS: the {} connection is lost", self.purpose),
            // Under load there are thousands a second; they are counted where the messages are read.
            Event::SlowConsumer(_) => return,
            event => tracing::debug!("NATS: {} connection: {}", self.purpose, foreign::shown(&event.to_string())),
        }
        if let Event::ServerError(e) = event {
            let mut errors = self.errors.lock();
            let text = foreign::shown(&e.to_string()).into_owned();
            if errors.back() != Some(&text) {
                tracing::warn!("NATS: the server says on the {} connection: {text}", self.purpose);
                errors.push_back(text);
                if errors.len() > ERRORS {
                    errors.pop_front();
                }
            }
        }
        let Some(link) = &self.link else { return };
        link.send_if_modified(|link| {
            let next = match (event, &*link) {
                // Also without a loss before it.
                (Event::Connected, _) => {
                    let number = LINK_NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    Link::Up { since: Instant::now(), number }
                }
                (Event::Disconnected | Event::Closed, Link::Up { .. }) => {
                    Link::Away { since: Instant::now(), reason: None }
                }
                (Event::ClientError(e), Link::Away { since, .. }) => {
                    Link::Away { since: *since, reason: Some(foreign::shown(&e.to_string()).into_owned()) }
                }
                (Event::ServerError(e), Link::Away { since, .. }) => {
                    Link::Away { since: *since, reason: Some(foreign::shown(&e.to_string()).into_owned()) }
                }
                _ => return false,
            };
            *link = next;
            true
        });
    }
}

/// Numbers of connections.
static LINK_NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
