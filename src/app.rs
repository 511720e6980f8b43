//! The composition root: builds every part, binds the ports, runs, and ends in order. Tests use it as the program does.

mod background;
mod nodes;
mod opening;
mod places;

use std::{io, net::SocketAddr, time::SystemTime};

use actix_web::web;
use tokio::{sync::mpsc, time::Duration};

use self::{
    opening::{hand_over, join_fleet, open_store, open_tls},
    places::Places,
};
use crate::{
    access::{Access, audit::Audit},
    catalog::{Catalog, CatalogParts, mediamtx_reader},
    cluster::Cluster,
    data_folder::{DataFolder, Lock},
    discovery::Discovery,
    error::{Code, Error, Result},
    events::{Bus, Webhooks},
    fetch::Fetch,
    hosts::Hosts,
    identity::{Identity, first_admin},
    library::Library,
    mediamtx,
    metrics::Metrics,
    mqtt::Mqtt,
    mqtt_publish::{self, Publisher},
    mqtt_video::{self, MqttVideo},
    nas::AllNas,
    numbers,
    output::{
        h264::Encodings,
        snapshot,
        variants::{Presets, Variants},
    },
    paths::Paths,
    picture::text::Fonts,
    policy::{Policy, Revoked},
    producer::{Parents, Placement, ProducerContext, file::MediaRoots, mqtt::Groups, udp_camera::Hub, upload},
    rtsp, server,
    settings::{Loaded, Sources},
    shutdown::Shutdown,
    signal,
    state::State,
    store::Store,
    stream::Registry,
    supervise::Supervisor,
    throughput::Throughput,
    traces::Traces,
    uptime::Uptime,
    uv4l,
    values::Values,
    web::application,
};

/// The program, bound and ready to run.
pub struct App {
    server: actix_server::Server,
    addr: SocketAddr,
    tls_addr: Option<SocketAddr>,
    mqtt_video_addr: Option<SocketAddr>,
    tls: Option<server::Tls>,
    connections: server::Connections,
    rtsp: Option<rtsp::Server>,
    whip: mediamtx::Whip,
    /// The address of `uv4l.listen`.
    uv4l_addr: Option<SocketAddr>,
    state: web::Data<State>,
    revoked: mpsc::Receiver<Vec<Revoked>>,
    supervisor: Supervisor,
    generated_password: Option<String>,
    is_first_start: bool,
    /// Held until the last picture is written.
    lock: Lock,
}

impl App {
    /// Opens the data folder, restores the streams, and binds the ports. Port 0 selects a free port.
    pub async fn build(loaded: impl Into<Loaded>) -> Result<Self> {
        let loaded = loaded.into();
        let folder = DataFolder::open(&loaded.settings.data_dir)?;
        let lock = folder.lock()?;
        let store = open_store(&folder)?;
        let cluster = Cluster::open(&loaded.settings.cluster, &loaded.settings.data_dir, &store).await?;
        let generated_password = match &cluster {
            Some(cluster) => nodes::enter(cluster, &loaded.settings.auth, &store).await?,
            None => first_admin::ensure(&loaded.settings.auth, &store).await?,
        };
        let is_generated = generated_password.is_some();
        let built = App::assemble(loaded, (&folder, lock), store.clone(), cluster, generated_password).await;
        if built.is_err()
            && is_generated
            && let Err(e) = first_admin::undo(&store).await
        {
            tracing::warn!("the administrator, whose password was not shown, cannot be removed: {}", e.chain());
        }
        built
    }

    async fn assemble(
        Loaded { mut settings, file, origins }: Loaded,
        (folder, lock): (&DataFolder, Lock),
        store: Store,
        cluster: Option<Cluster>,
        generated_password: Option<String>,
    ) -> Result<Self> {
        let policy = Policy::new(&settings.auth).map_err(|e| Error::new(Code::Internal, e))?;
        let (identity, revoked) = Identity::open(settings.auth.clone(), store.clone(), policy.clone()).await?;
        store.refuse_writes()?;
        let supervisor = Supervisor::new(&settings.data_dir);
        let hosts = Hosts::new(&settings.fetch.ca_file)?.supervised_by(&supervisor);
        let traces = Traces::start(&settings.traces, &hosts)?;
        let mediamtx = mediamtx::Client::start(&settings.mediamtx, &hosts, {
            let identity = identity.clone();
            move || identity.internal_token().ok().map(|token| format!("Bearer {token}"))
        })?;
        let downloads = mediamtx::Downloads::new(&settings.mediamtx, &hosts, {
            let identity = identity.clone();
            move || identity.internal_token().ok().map(|token| format!("Bearer {token}"))
        });
        let registry =
            Registry::supervised_by(&supervisor, settings.stream_defaults.clone(), settings.limits.streams());
        let fonts = Fonts::new(&settings.text);
        registry.draw_with(&fonts);
        registry.trace_with(&traces);
        let uploads = upload::Store::open(&folder.frames(), settings.uploads.durability)
            .map_err(|e| Error::internal("the folder for uploaded pictures cannot be made", e))?;
        let numbers = numbers::Store::open(&folder.points(), &settings.graphs)
            .map_err(|e| Error::internal("the folder for the points of graphs cannot be made", e))?;
        let fetch = Fetch::new(&settings.fetch)?;
        let uv4l = uv4l::Cameras::new(&settings.uv4l, *settings.stream_defaults.linger, &fetch);
        let nas = AllNas::new(&settings.media.nas, &fetch)?;
        let mqtt = Mqtt::new(&settings.mqtt, &fetch, &settings.data_dir, settings.limits.frame_size)?;
        let context = ProducerContext {
            rtsp: mediamtx_reader(&settings, &identity),
            limits: settings.limits.pictures(),
            fonts,
            parents: Parents::new(registry.deriver()),
            placement: Placement::default(),
            values: Values::with_lookup({
                let numbers = numbers.clone();
                move |key| numbers.last_of(key)
            }),
            udp: Hub::new(settings.udp.clone(), settings.limits.frame_size.bytes()),
            media: MediaRoots::new(&settings.media),
            nas: nas.clone(),
            mqtt: mqtt.clone(),
            topics: Groups::default(),
            fetch,
            uploads,
            numbers,
        };
        let places = Places::of(&settings);

        let listener = server::bind(settings.http.listen)
            .map_err(|e| Error::internal(format!("port {} cannot be opened (http.listen)", settings.http.listen), e))?;
        let addr = listener.local_addr().map_err(|e| Error::internal("the port has no address", e))?;
        // Port 0 is replaced by the port that was bound.
        settings.http.listen = addr;
        let rtsp = match &settings.rtsp {
            rtsp if rtsp.enabled => Some(
                rtsp::Server::bind(rtsp.listen, places.connections(places.rtsp, &settings))
                    .map_err(|e| Error::internal(format!("port {} cannot be opened (rtsp.listen)", rtsp.listen), e))?,
            ),
            _ => None,
        };
        let (events, webhooks) = (Bus::default(), Webhooks::default());
        // In a cluster one node posts the events of all to a webhook.
        webhooks.start(&settings.events, &events, &hosts, cluster.is_some())?;
        let rtsp_addr = rtsp.as_ref().map_or(settings.rtsp.listen, rtsp::Server::addr);
        let (advertise_rtsp, advertise_http) =
            (settings.mediamtx.advertise_rtsp(rtsp_addr), settings.mediamtx.advertise_http(addr));
        let path_cache = mediamtx::PathCache::default();
        let fleet = join_fleet(cluster.as_ref(), &registry, &context)?;
        let catalog = Catalog::new(CatalogParts {
            registry: registry.clone(),
            context: context.clone(),
            store: store.clone(),
            file: settings.streams.clone(),
            mediamtx: mediamtx.clone(),
            path_cache: path_cache.clone(),
            relayed_paths: settings.limits.pulled_paths,
            advertised: [advertise_rtsp.clone(), advertise_http.clone()],
        });
        catalog.restore()?;
        let paths = Paths::open(store.clone(), mediamtx.clone(), events.clone(), uv4l.clone(), advertise_rtsp.clone())?;
        let whip = mediamtx::Whip::start(&settings.mediamtx, &hosts, {
            let identity = identity.clone();
            move |path| identity.publishing_token(path).ok().map(|token| format!("Bearer {token}"))
        })?;
        let shutdown = Shutdown::new();
        let encodings = Encodings::new(
            settings.h264.clone(),
            *settings.stream_defaults.placeholder_after,
            settings.limits.pictures(),
        );
        let presets = Presets::new(&settings.overlays, &context.fonts, &context.values)?;
        let variants =
            Variants::with_presets(settings.variants.clone(), settings.limits.pictures(), registry.clone(), presets);
        let publisher = Publisher::new(mqtt_publish::Parts {
            mqtt: mqtt.clone(),
            catalog: catalog.clone(),
            variants: variants.clone(),
            store: store.clone(),
            supervisor: supervisor.clone(),
            events: events.clone(),
            snapshot: snapshot::Options {
                max_age: None,
                usual_max_age: *settings.output.snapshot_max_age,
                timeout: *settings.output.snapshot_timeout,
            },
            url: settings.http.public_url.clone(),
            mediamtx: mediamtx.clone(),
            paths: path_cache.clone(),
        })?;
        let restarts = supervisor.restarts();
        let metrics = Metrics::new(
            registry,
            &context,
            encodings.clone(),
            variants.clone(),
            publisher.clone(),
            cluster.clone(),
            restarts,
        );
        let audit = Audit::new(store.clone(), *settings.auth.audit_retention)?;
        let access = Access::new(policy, audit, metrics.clone(), shutdown.clone(), &settings.limits);
        let mqtt_video = MqttVideo::new(mqtt_video::Parts {
            settings: settings.mqtt_video.clone(),
            access: access.clone(),
            catalog: catalog.clone(),
            encodings: encodings.clone(),
            metrics: metrics.clone(),
            mqtt: mqtt.clone(),
            shutdown: shutdown.clone(),
            connect_timeout: *settings.http.head_timeout,
            stall_timeout: *settings.output.stall_timeout,
        });
        let state = web::Data::new(State {
            access,
            catalog,
            discovery: Discovery::new(&settings.discovery, &settings.fetch)?,
            library: Library::new(&settings.media, &nas),
            settings,
            sources: Sources { file, origins },
            started: SystemTime::now(),
            throughput: Throughput::default(),
            uptime: Uptime::default(),
            traces,
            cluster,
            fleet,
            identity,
            paths,
            uv4l,
            rooms: signal::Rooms::default(),
            events,
            webhooks,
            mediamtx,
            downloads,
            mqtt,
            publisher,
            mqtt_video,
            path_cache,
            advertise_rtsp,
            advertise_http,
            store,
            shutdown: shutdown.clone(),
            encodings,
            variants,
            metrics,
        });
        let http = &state.settings.http;
        let workers = match http.workers {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            n => n,
        };
        let connections = places.connections(places.http, &state.settings);
        let rtsp_connections = rtsp.as_ref().map(|rtsp| rtsp.connections().clone());
        state.metrics.watch_connections("http", &connections);
        if let Some(connections) = &rtsp_connections {
            state.metrics.watch_connections("rtsp", connections);
        }
        let options = server::Options {
            workers,
            shutdown_timeout: *http.shutdown_timeout,
            head_timeout: *http.head_timeout,
            idle_timeout: *http.idle_timeout,
            stall_timeout: *state.settings.output.stall_timeout,
            min_rate: http.min_rate.0,
            connections: connections.clone(),
        };
        let for_workers = state.clone();
        let mut ports = vec![server::Port { listener, tls: None, only: None }];
        let mut tls_addr = None;
        let tls = open_tls(&state.settings.http.tls)?.map(|(listener, tls)| {
            tls_addr = listener.local_addr().ok();
            ports.push(server::Port { listener, tls: Some(tls.clone()), only: None });
            tls
        });
        let mut mqtt_video_addr = None;
        if let Some(listen) = state.settings.mqtt_video.listen {
            let listener = server::bind(listen)
                .map_err(|e| Error::internal(format!("port {listen} cannot be opened (mqtt_video.listen)"), e))?;
            mqtt_video_addr = listener.local_addr().ok();
            let only = Some(server::Only(mqtt_video::KIND.path));
            ports.push(server::Port { listener, tls: None, only });
        }
        let mut uv4l_addr = None;
        if let Some(at) = state.settings.uv4l.listen() {
            let listener = server::bind(at)
                .map_err(|e| Error::internal(format!("port {at} cannot be opened (uv4l.listen)"), e))?;
            uv4l_addr = listener.local_addr().ok();
            ports.push(server::Port { listener, tls: None, only: None });
        }
        let server = server::listen(ports, &options, shutdown, move || application(for_workers.clone()))
            .map_err(|e| Error::internal("the server cannot be started", e))?;
        let is_first_start = folder.is_new();
        nodes::introduce(&state, addr.port(), rtsp.as_ref().map_or(0, |rtsp| rtsp.addr().port()));
        Ok(App {
            server,
            addr,
            tls_addr,
            mqtt_video_addr,
            tls,
            connections,
            rtsp,
            whip,
            uv4l_addr,
            state,
            revoked,
            supervisor,
            generated_password,
            is_first_start,
            lock,
        })
    }

    /// The address of the HTTP listener.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of the HTTPS listener, if there is one.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_addr
    }

    /// The address of the listener for video over MQTT, if there is one.
    pub fn mqtt_video_addr(&self) -> Option<SocketAddr> {
        self.mqtt_video_addr
    }

    /// The further address of the HTTP listener (`uv4l.listen`), if there is one.
    pub fn uv4l_addr(&self) -> Option<SocketAddr> {
        self.uv4l_addr
    }

    /// The address of the RTSP listener, if there is one.
    pub fn rtsp_addr(&self) -> Option<SocketAddr> {
        self.rtsp.as_ref().map(rtsp::Server::addr)
    }

    /// The parts that request handlers use.
    pub fn state(&self) -> web::Data<State> {
        self.state.clone()
    }

    /// The password of the administrator that was generated by this start. Only its hash is stored.
    pub fn generated_password(&self) -> Option<&str> {
        self.generated_password.as_deref()
    }

    /// Whether this start created the data folder.
    pub fn is_first_start(&self) -> bool {
        self.is_first_start
    }

    /// Serves until the shutdown is requested (see [`State::shutdown`]), then ends in order: endless responses, requests,
    /// streams, and the pictures that are not written yet.
    pub async fn run_until_stopped(self) -> io::Result<()> {
        let App { server, rtsp, whip, state, revoked, supervisor, tls, connections, lock, .. } = self;
        let handle = server.handle();
        let mut serving = tokio::spawn(server);
        let rtsp_connections = rtsp.as_ref().map(|rtsp| rtsp.connections().clone());
        if let Some(rtsp) = rtsp {
            let (state, supervisor) = (state.clone().into_inner(), supervisor.clone());
            tokio::spawn(async move { supervisor.run("rtsp", || rtsp.serve(&state)).await });
        }
        let (uploads, numbers) = (state.catalog.context().uploads.clone(), state.catalog.context().numbers.clone());
        let background = tokio::spawn(background::run(
            state.clone(),
            supervisor,
            revoked,
            tls,
            whip,
            (connections, rtsp_connections),
        ));

        let ended = tokio::select! {
            ended = &mut serving => Some(ended),
            () = state.shutdown.asked() => None,
        };
        state.shutdown.ask();
        // Beside the end of the watchers here: those of other nodes get pictures all the time.
        let handing_over = tokio::spawn(hand_over(state.fleet.clone()));
        let patience = *state.settings.http.shutdown_timeout;
        if !state.shutdown.wait(patience).await {
            tracing::warn!("some watchers did not read the end of their stream in time");
        }
        tracing::debug!("watchers are disconnected");
        let ended = match ended {
            Some(ended) => ended,
            None => {
                handle.stop(true).await;
                serving.await
            }
        };
        tracing::debug!("requests are done");
        if let Err(e) = handing_over.await {
            tracing::error!("the streams were not handed over: {e}");
        }
        if tokio::time::timeout(Duration::from_secs(5), state.catalog.registry().close()).await.is_err() {
            tracing::warn!("some producers did not end in time");
        }
        if let Some(fleet) = &state.fleet {
            fleet.end().await;
        }
        state.mqtt.close().await;
        if let Some(cluster) = &state.cluster {
            cluster.leave().await;
        }
        background.abort();
        uploads.write_waiting().await;
        numbers.finish().await;
        if let Some(upload::Fault { streams, reason }) = uploads.fault() {
            tracing::error!("the last pictures of {streams} streams are lost: {reason}");
        }
        tracing::debug!("pictures are written");
        drop(lock);
        ended.unwrap_or_else(|e| Err(io::Error::other(e)))
    }
}
