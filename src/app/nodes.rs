//! This program as a node of a cluster: entering it, and passing on what other nodes have changed.

use std::{sync::Arc, time::Duration};

use crate::{
    cluster::{Cluster, Role, Touched},
    error::{Code, Result},
    events::{Event, Told},
    fleet::PULL_PATH,
    identity::{Identity, first_admin},
    output::snapshot,
    paths::Placement,
    picture::SharedFrame,
    policy::AuthSettings,
    state::State,
    store::Store,
    stream::{Demand, StreamName},
    supervise::{Supervisor, all},
    web,
};

/// How long a start waits for NATS. A node that was in the cluster before starts without it then.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The topic of events.
const EVENTS: &str = "events";

/// The pause before changes of other nodes are read again after a failure of the disk.
const RETRY: Duration = Duration::from_secs(1);

/// Enters the cluster: fills it with the rows of this node if it is the first one, and takes those of the cluster otherwise.
/// Returns the password of the administrator if it was generated now.
pub(super) async fn enter(cluster: &Cluster, settings: &AuthSettings, store: &Store) -> Result<Option<String>> {
    let mirror = cluster.mirror();
    let mut generated = None;
    let entered = async {
        cluster.connection().wait(CONNECT_TIMEOUT).await?;
        if mirror.enter().await? == Role::First {
            generated = first_admin::ensure(settings, store).await?;
            Identity::prepare(settings, store).await?;
            mirror.fill().await?;
        }
        mirror.synchronize().await
    };
    let entered = entered.await;
    if entered.is_err() && generated.take().is_some() {
        // Its password is not shown.
        first_admin::undo(store).await?;
    }
    match entered {
        Err(e) if e.code() == Code::ClusterUnavailable && mirror.was_in().await? => {
            tracing::warn!("this node starts with the state that it had last: {}", e.chain());
        }
        entered => entered?,
    }
    store.share(Arc::new(mirror.clone()))?;
    Ok(generated)
}

/// Tells the other nodes how this one is reached.
pub(super) fn introduce(state: &State, http_port: u16, rtsp_port: u16) {
    if let Some(cluster) = &state.cluster {
        state.events.is_of(cluster.node());
        state.paths.place(Placement { own: cluster.node(), alive: cluster.nodes().alive() });
        cluster.nodes().tell(|own| (own.http_port, own.rtsp_port) = (http_port, rtsp_port));
        if let Some(fleet) = &state.fleet
            && rtsp_port != 0
        {
            state.paths.pull_by(PULL_PATH, fleet.pull_fields(&state.advertise_rtsp));
        }
        let mediamtx = mediamtx_of(state);
        cluster.nodes().fill(Box::new(move |own| own.mediamtx_rtsp = mediamtx()));
        let registry = state.catalog.registry().clone();
        let sessions = state.access.sessions().clone();
        cluster.nodes().fill(Box::new(move |own| {
            own.producers = registry.stats().iter().filter(|stats| stats.state != "idle").count() as u64;
            own.watchers = sessions.len() as u64;
        }));
    }
}

/// Runs this node's part of the cluster, if there is one, until it is aborted.
pub(super) async fn run(state: &State, supervisor: &Supervisor) {
    let Some(cluster) = &state.cluster else { return };
    all([
        supervisor.task("cluster", || cluster.run()),
        supervisor.task("cluster state", || cluster.mirror().run()),
        supervisor.task("cluster changes", || pass_on(state, cluster)),
        supervisor.task("cluster paths", || move_paths(state, cluster)),
        supervisor.task("cluster events", || tell_events(state, cluster)),
        supervisor.task("cluster pulls", async || {
            if let Some(fleet) = &state.fleet {
                fleet.answer_pulls(async |path| state.mediamtx.is_live(&path).await, mediamtx_of(state)).await;
            }
        }),
        supervisor.task("cluster snapshots", async || {
            if let Some(fleet) = &state.fleet {
                fleet.answer_snapshots(async |name, max_age| take_snapshot(state, &name, max_age).await).await;
            }
        }),
        supervisor.task("cluster lists", || web::answer_nodes(state)),
        supervisor.task("cluster webhooks", async || {
            if let Some(fleet) = &state.fleet {
                fleet.post_events(&state.events, &state.webhooks.feeds()).await;
            }
        }),
        supervisor.task("foreign events", || cluster.hear(EVENTS, |told| state.events.pass_on(told))),
    ])
    .await;
}

/// Takes a snapshot of a stream of this node for another node.
async fn take_snapshot(state: &State, name: &StreamName, max_age: Option<Duration>) -> Result<SharedFrame> {
    let output = &state.settings.output;
    let options =
        snapshot::Options { max_age, usual_max_age: *output.snapshot_max_age, timeout: *output.snapshot_timeout };
    let registry = state.catalog.registry();
    let watch = registry.watch_for(Demand::Single, || registry.find(name))?;
    snapshot::take(watch, &options).await
}

/// The URL at which the MediaMTX of other nodes reach that of this one; empty: unknown.
fn mediamtx_of(state: &State) -> impl Fn() -> String + Send + Sync + 'static {
    let (cluster, mediamtx, paths) =
        (state.settings.cluster.clone(), state.settings.mediamtx.clone(), state.path_cache.clone());
    move || {
        let port = match paths.servers() {
            // MediaMTX trusts no certificate that it cannot check, so it reads plain RTSP.
            Some(servers) => servers.rtsp.filter(|server| !server.tls).map(|server| server.port),
            None => mediamtx.rtsp_port(),
        };
        cluster.mediamtx_rtsp(port)
    }
}

/// Tells the other nodes of the events of this one.
async fn tell_events(state: &State, cluster: &Cluster) {
    let mut listening = state.events.listen();
    let mut last = state.events.latest();
    while listening.changed().await.is_ok() {
        for event in state.events.since(last).events {
            last = event.event.id;
            // While NATS is away, they are those of this node alone.
            if event.is_foreign || !cluster.connection().is_up() {
                continue;
            }
            let Event { at, kind, path, data, uid, .. } = event.event.clone();
            let told = Told { at, kind, path, data, node: cluster.node(), uid };
            if let Err(e) = cluster.broadcast(EVENTS, &told).await {
                tracing::debug!("an event is not told to the other nodes: {}", e.chain());
            }
        }
    }
}

/// Compares with MediaMTX when nodes come and go: paths with failover move.
async fn move_paths(state: &State, cluster: &Cluster) {
    let mut alive = cluster.nodes().alive();
    while alive.changed().await.is_ok() {
        state.paths.compare();
    }
}

/// Lets the parts of this program take what other nodes have changed.
async fn pass_on(state: &State, cluster: &Cluster) {
    loop {
        let mut touched = cluster.mirror().touched().await;
        while let Err(e) = pass_on_once(state, &touched).await {
            tracing::error!("changes of other nodes are not in effect yet: {}", e.chain());
            tokio::time::sleep(RETRY).await;
            touched.extend(cluster.mirror().take_touched());
        }
    }
}

async fn pass_on_once(state: &State, touched: &[Touched]) -> Result<()> {
    let ids = |table: &'static str| touched.iter().filter(move |row| row.table == table).map(|row| row.id.clone());
    if touched.iter().any(|row| matches!(row.table, "users" | "keys" | "shares" | "revoked")) {
        state.identity.reload().await?;
    }
    let paths: Vec<_> = ids("paths").collect();
    if !paths.is_empty() {
        state.paths.follow(paths).await?;
    }
    for name in ids("streams") {
        // A definition that cannot run here, with a file that this node does not have for example, stops no other.
        if let Err(e) = state.catalog.follow(&name).await {
            tracing::error!(stream = name, "the definition of another node does not run here: {}", e.chain());
        }
    }
    Ok(())
}
