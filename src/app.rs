//! The composition root: everything is built and bound here, by the program and by tests alike.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::AtomicUsize},
    time::SystemTime,
};

use actix_web::web;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::{
    discovery::Discovery,
    error::{Code, Error, Result},
    events::{Bus, Kind, Webhooks, observe, webhooks::RateLimiter},
    fetch::Fetch,
    identity::Identity,
    library::Library,
    mediamtx::{self, SessionIndex},
    metrics::Metrics,
    nas::AllNas,
    output::{h264::Encodings, variants::Variants},
    paths::Paths,
    policy::{
        Action, Credential, Decision, Permission, Policy, Principal, User,
        audit::{Audit, Entry},
        hash_password,
    },
    producer::{Definition, ProducerContext, file::MediaRoots, udp_camera::Hub, upload},
    rtsp, server,
    settings::{Loaded, Settings, Sources, TlsSettings},
    shutdown::Shutdown,
    state::{RelayedPaths, Sessions, State, reader_of_mediamtx},
    store::Store,
    stream::{Origin, Registry, StreamName},
    throughput::{self, Throughput},
    web::application,
};

/// Under this key the hash of the generated administrator's password is kept.
const ADMIN_HASH: &str = "admin_password_hash";

/// How often streams, and MediaMTX's paths, are looked at for events.
const LOOK_EVERY: Duration = throughput::EVERY;

/// How often it is looked for complete segments of recordings, of which hooks tell at once.
const LOOK_AT_RECORDINGS_EVERY: Duration = Duration::from_secs(10);

/// Open files a process needs beyond its watchers: workers, database, log, UDP, files being shown.
const SPARE_FILES: u64 = 256;

/// The program, bound and ready to run.
pub struct App {
    server: actix_server::Server,
    addr: SocketAddr,
    tls_addr: Option<SocketAddr>,
    tls: Option<server::Tls>,
    rtsp: Option<rtsp::Server>,
    state: web::Data<State>,
    revoked: mpsc::Receiver<Vec<Principal>>,
    generated_password: Option<String>,
    new_data_dir: bool,
}

impl App {
    /// Opens the data folder, makes the streams, and binds the port. Port 0 is a free one.
    pub async fn build(loaded: impl Into<Loaded>) -> Result<Self> {
        let Loaded { mut settings, file, origins } = loaded.into();
        let new_data_dir = !settings.data_dir.exists();
        std::fs::create_dir_all(&settings.data_dir).map_err(|e| {
            Error::internal(format!("the data folder {} cannot be made (data_dir)", settings.data_dir.display()), e)
        })?;
        let store = Store::open(&settings.data_dir.join("sidecar.db"))?;
        let generated_password = add_generated_admin(&mut settings, &store).await?;
        let policy = Policy::new(&settings.auth).map_err(|e| Error::new(Code::Internal, e))?;
        let (identity, revoked) = Identity::open(settings.auth.clone(), store.clone(), policy.clone()).await?;
        let mediamtx = mediamtx::Client::start(&settings.mediamtx, {
            let identity = identity.clone();
            move || identity.internal_token().ok().map(|token| format!("Bearer {token}"))
        });
        let registry = Registry::new(settings.stream_defaults.clone(), settings.limits.streams());
        let uploads = upload::Store::open(&settings.data_dir.join("frames"))
            .map_err(|e| Error::internal("the folder for uploaded pictures cannot be made", e))?;
        let fetch = Fetch::new(&settings.fetch)?;
        let nas = AllNas::new(&settings.media.nas, &fetch)?;
        let kit = ProducerContext {
            rtsp: reader_of_mediamtx(&settings, &identity),
            limits: settings.limits.pictures(),
            udp: Hub::new(settings.udp.clone(), settings.limits.frame_size.bytes()),
            media: MediaRoots::new(&settings.media),
            nas: nas.clone(),
            fetch,
            uploads,
        };
        define_streams(&settings, &store, &registry, &kit)?;
        raise_file_limit(settings.limits.watchers as u64 + SPARE_FILES);

        let listener = server::bind(settings.http.listen)
            .map_err(|e| Error::internal(format!("port {} cannot be opened (http.listen)", settings.http.listen), e))?;
        let addr = listener.local_addr().map_err(|e| Error::internal("the port has no address", e))?;
        // From here on the settings say where it is, not that it may be anywhere.
        settings.http.listen = addr;
        let rtsp = match &settings.rtsp {
            rtsp if rtsp.enabled => Some(
                rtsp::Server::bind(rtsp.listen)
                    .map_err(|e| Error::internal(format!("port {} cannot be opened (rtsp.listen)", rtsp.listen), e))?,
            ),
            _ => None,
        };
        let (events, webhooks) = (Bus::default(), Webhooks::default());
        webhooks.start(&settings.events, &events);
        let rtsp_addr = rtsp.as_ref().map_or(settings.rtsp.listen, rtsp::Server::addr);
        let paths =
            Paths::open(store.clone(), mediamtx.clone(), events.clone(), settings.mediamtx.advertise_rtsp(rtsp_addr))?;
        let shutdown = Shutdown::new();
        let encodings = Encodings::new(settings.h264.clone(), *settings.stream_defaults.placeholder_after);
        let variants = Variants::new(settings.variants.clone(), settings.limits.pictures(), registry.clone());
        let state = web::Data::new(State {
            metrics: Metrics::new(registry.clone(), &kit, encodings.clone(), variants.clone()),
            encodings,
            variants,
            discovery: Discovery::new(&settings.discovery, &settings.fetch)?,
            library: Library::new(&settings.media, &nas),
            advertise_http: settings.mediamtx.advertise_http(addr),
            advertise_rtsp: settings.mediamtx.advertise_rtsp(rtsp_addr),
            pulls: RelayedPaths::new(settings.limits.pulled_paths),
            settings,
            sources: Sources { file, origins },
            started: SystemTime::now(),
            throughput: Throughput::default(),
            registry,
            kit,
            policy,
            identity,
            paths,
            events,
            webhooks,
            mediamtx,
            path_cache: mediamtx::PathCache::default(),
            audit: Audit::default(),
            sessions: Sessions::default(),
            store,
            shutdown: shutdown.clone(),
            watchers: Arc::new(AtomicUsize::new(0)),
        });
        let weak = Arc::downgrade(&state);
        state.kit.rtsp.tell_own_streams(Box::new(move |path| {
            let state = weak.upgrade();
            Box::pin(async move { state?.own_stream_at(&path).await })
        }));
        let http = &state.settings.http;
        let workers = match http.workers {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            n => n,
        };
        let options = server::Options { workers, shutdown_timeout: *http.shutdown_timeout };
        let for_workers = state.clone();
        let mut listeners = vec![(listener, None)];
        let mut tls_addr = None;
        let tls = open_tls(&state.settings.http.tls)?.map(|(listener, tls)| {
            tls_addr = listener.local_addr().ok();
            listeners.push((listener, Some(tls.clone())));
            tls
        });
        let server = server::listen(listeners, &options, shutdown, move || application(for_workers.clone()))
            .map_err(|e| Error::internal("the server cannot be started", e))?;
        Ok(App { server, addr, tls_addr, tls, rtsp, state, revoked, generated_password, new_data_dir })
    }

    /// Where we listen for HTTP.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where we listen for HTTPS, if we do.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_addr
    }

    /// Where we listen for RTSP, if we do.
    pub fn rtsp_addr(&self) -> Option<SocketAddr> {
        self.rtsp.as_ref().map(rtsp::Server::addr)
    }

    /// What the handlers work with.
    pub fn state(&self) -> web::Data<State> {
        self.state.clone()
    }

    /// The administrator's password, if it was made just now. It is not kept anywhere in this form.
    pub fn generated_password(&self) -> Option<&str> {
        self.generated_password.as_deref()
    }

    /// Whether the data folder was made just now.
    pub fn is_first_start(&self) -> bool {
        self.new_data_dir
    }

    /// Serves until the shutdown is asked for (see [`State::shutdown`]), then ends in order: no new
    /// requests, endless responses, streams, and at last what is still to be written.
    pub async fn run_until_stopped(self) -> io::Result<()> {
        let App { server, rtsp, state, revoked, tls, .. } = self;
        let handle = server.handle();
        let mut serving = tokio::spawn(server);
        if let Some(rtsp) = rtsp {
            tokio::spawn(rtsp.serve(state.clone().into_inner()));
        }
        let store = state.kit.uploads.clone();
        let writing = tokio::spawn({
            let store = store.clone();
            async move { store.write_forever().await }
        });
        let sweeping = tokio::spawn({
            let state = state.clone();
            async move { state.registry.sweep_forever(|name| state.kit.uploads.forget(name)).await }
        });

        let keeping = tokio::spawn(keep(state.clone(), revoked));
        let certificates = tokio::spawn(async move {
            if let Some(tls) = tls {
                tls.run().await;
            }
        });

        let ended = tokio::select! {
            ended = &mut serving => Some(ended),
            () = state.shutdown.asked() => None,
        };
        state.shutdown.ask();
        let patience = *state.settings.http.shutdown_timeout;
        if !state.shutdown.wait(patience).await {
            tracing::warn!("some watchers did not take the end of their stream in time");
        }
        tracing::debug!("watchers are gone");
        let ended = match ended {
            Some(ended) => ended,
            None => {
                handle.stop(true).await;
                serving.await
            }
        };
        tracing::debug!("requests are done");
        if tokio::time::timeout(Duration::from_secs(5), state.registry.close()).await.is_err() {
            tracing::warn!("some producers did not end in time");
        }
        sweeping.abort();
        keeping.abort();
        certificates.abort();
        writing.abort();
        store.write_waiting().await;
        tracing::debug!("pictures are written");
        ended.unwrap_or_else(|e| Err(io::Error::other(e)))
    }
}

/// Opens the port for HTTPS, if there is to be one.
fn open_tls(settings: &TlsSettings) -> Result<Option<(TcpListener, server::Tls)>> {
    let Some(listen) = settings.listen else { return Ok(None) };
    let tls = server::Tls::open(&settings.certificate, &settings.key)
        .map_err(|e| Error::internal("HTTPS cannot be served (http.tls)", e))?;
    let listener = server::bind(listen)
        .map_err(|e| Error::internal(format!("port {listen} cannot be opened (http.tls.listen)"), e))?;
    Ok(Some((listener, tls)))
}

/// Keeps the audit and the users, and ends the sessions of those who have lost something.
async fn keep(state: web::Data<State>, mut revoked: mpsc::Receiver<Vec<Principal>>) {
    let session_index = SessionIndex::default();
    let ending = async {
        while let Some(lost) = revoked.recv().await {
            for who in lost {
                let ours = state.sessions.end(&who);
                tracing::debug!(%who, ours, "permissions have changed");
                // Apart from one another: MediaMTX may be away, and the next loser must not wait for it.
                tokio::spawn(end_at_mediamtx(state.mediamtx.clone(), session_index.clone(), who));
            }
        }
    };
    let mut quiet = RateLimiter::default();
    let auditing = state.audit.keep(|entry| {
        session_index.note(entry);
        tell_failure(&state.events, &mut quiet, entry);
    });
    let (identity, paths) = (state.identity.run(), state.paths.keep());
    tokio::join!(auditing, identity, paths, watch_streams(&state), watch_paths(&state), ending);
}

/// A wrong password is an event, once a minute for each name and address.
fn tell_failure(events: &Bus, quiet: &mut RateLimiter, entry: &Entry) {
    if !matches!(entry.decision, Decision::WrongCredentials | Decision::TooManyFailures) {
        return;
    }
    let about = format!("{} {:?}", entry.user, entry.ip);
    if quiet.may_tell(&about, Duration::from_secs(60)) {
        let data =
            serde_json::json!({"user": entry.user, "ip": entry.ip, "protocol": entry.protocol, "reason": entry.reason});
        events.tell(Kind::LoginFailed, &entry.path, data);
    }
}

/// Tells of our streams' states.
async fn watch_streams(state: &State) {
    let mut before = observe::Streams::new();
    loop {
        let path_cache = state.registry.list().into_iter().map(|stream| {
            let (state, reason) = stream.state();
            (stream.name().to_string(), (state.as_str(), reason))
        });
        let now = path_cache.collect();
        observe::tell_streams(&state.events, &before, &now);
        before = now;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Tells of MediaMTX's paths and their readers, and notes how much comes and goes. While it is away, nothing is known, and
/// nothing is told.
async fn watch_paths(state: &State) {
    let (mut before, mut segments) = (None, None);
    let mut looked = tokio::time::Instant::now();
    loop {
        let list = state.mediamtx.paths().await.ok();
        let received = state.registry.list().iter().map(|stream| stream.received()).sum();
        state.throughput.note(list.as_deref(), received, state.sessions.sent(), Instant::now());
        let now = list.as_deref().map(observe::paths);
        // Noted before it is told: whoever asks because of an event finds what the event is about.
        state.path_cache.note(list);
        if let Some(now) = now {
            // What was there when we came is not news.
            if let Some(before) = before.replace(now.clone()) {
                observe::tell_paths(&state.events, &before, &now);
            }
            // Less often: MediaMTX reads its folders for it.
            if looked.elapsed() >= LOOK_AT_RECORDINGS_EVERY {
                looked = tokio::time::Instant::now();
                if let Ok(recorded) = state.mediamtx.recordings().await {
                    let now = observe::segments(&recorded, &now);
                    if let Some(before) = segments.replace(now.clone()) {
                        observe::tell_segments(&state.events, &before, &now);
                    }
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Asks MediaMTX to end somebody's sessions. Twice: one that was admitted in the last moment is not in its lists yet.
async fn end_at_mediamtx(mediamtx: mediamtx::Client, session_index: SessionIndex, who: Principal) {
    for pause in [Duration::ZERO, Duration::from_secs(2)] {
        tokio::time::sleep(pause).await;
        match session_index.kick(&mediamtx, &who).await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(%who, ended, "sessions of MediaMTX were ended"),
            Err(e) => {
                // Where there is no MediaMTX there is nothing to end.
                tracing::debug!(%who, "sessions of MediaMTX could not be ended: {}", e.chain());
                return;
            }
        }
    }
}

/// Adds the administrator whom nobody configured. Returns the password when it is new.
async fn add_generated_admin(settings: &mut Settings, store: &Store) -> Result<Option<String>> {
    if !settings.auth.generate_admin || Policy::grants(&settings.auth.users, Action::Api) {
        return Ok(None);
    }
    let (hash, fresh) = match store.fact(ADMIN_HASH)? {
        Some(hash) => (hash, None),
        None => {
            let password = random_password()?;
            let hash = hash_password(&password).map_err(|e| Error::internal("the password cannot be hashed", e))?;
            store.put_fact(ADMIN_HASH, &hash)?;
            (hash, Some(password))
        }
    };
    let pass =
        Credential::parse(&hash).map_err(|e| Error::internal("the kept administrator password is damaged", e))?;
    settings.auth.users.push(User {
        user: Credential::plain("admin"),
        pass,
        ips: vec![],
        permissions: Permission::all(),
    });
    Ok(fresh)
}

/// Twenty letters and digits that cannot be mistaken for one another: 98 bits.
fn random_password() -> Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes).map_err(|e| Error::internal("the system gives no random numbers", e))?;
    Ok(bytes.iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect())
}

/// Streams of the file, of the database, and those that something was uploaded to before the restart.
fn define_streams(settings: &Settings, store: &Store, registry: &Registry, kit: &ProducerContext) -> Result<()> {
    for (name, definition) in &settings.streams {
        let producer = definition
            .producer(name, kit)
            .map_err(|e| Error::new(Code::InvalidDefinition, format!("streams.{name}: {e}")))?;
        registry.define(name, Origin::File, producer)?;
    }
    for (name, text) in store.streams()? {
        let restored = StreamName::parse(&name).and_then(|name| {
            if registry.get(&name).is_some() {
                // sidecar.yml has taken the name since, and wins.
                return Ok(());
            }
            let definition: Definition =
                serde_json::from_str(&text).map_err(|e| Error::new(Code::InvalidDefinition, e.to_string()))?;
            registry.define(&name, Origin::Api, definition.producer(&name, kit)?).map(drop)
        });
        if let Err(e) = restored {
            // Kept in the database: whoever repairs the configuration has it back.
            tracing::error!(stream = name, "the stream cannot be restored: {}", e.chain());
        }
    }
    for name in kit.uploads.names() {
        let producer = || Definition::upload().producer(&name, kit);
        if let Err(e) = registry.get_or_create(&name, Origin::Upload, producer) {
            tracing::error!(stream = %name, "the uploaded picture cannot be restored: {}", e.chain());
        }
    }
    Ok(())
}

/// Raises the soft limit on open files as far as the watchers need and the system allows.
fn raise_file_limit(wanted: u64) {
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit < wanted => {
            tracing::warn!("the system allows {limit} open files; limits.watchers needs {wanted} (ulimit -n)");
        }
        Ok(_) => {}
        Err(e) => tracing::warn!("the limit on open files cannot be raised: {e}"),
    }
}
