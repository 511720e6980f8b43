//! The tasks that no request starts.

use actix_web::web;
use futures_util::FutureExt;
use tokio::sync::{Mutex, mpsc};

use super::{nodes, opening::HAND_OVER};
use crate::{
    data_folder::DataFolder,
    events::Observer,
    mediamtx,
    policy::Revoked,
    server,
    state::State,
    supervise::{Supervisor, all},
    uv4l,
};

/// Runs everything that is not started by a request, until it is aborted.
pub(super) async fn run(
    state: web::Data<State>,
    supervisor: Supervisor,
    revoked: mpsc::Receiver<Vec<Revoked>>,
    tls: Option<server::Tls>,
    whip: mediamtx::Whip,
    (http, rtsp): (server::Connections, Option<server::Connections>),
) {
    let observer = Observer {
        events: state.events.clone(),
        registry: state.catalog.registry().clone(),
        mediamtx: state.mediamtx.clone(),
        path_cache: state.path_cache.clone(),
        throughput: state.throughput.clone(),
        uptime: state.uptime.clone(),
        sent: Box::new({
            let sessions = state.access.sessions().clone();
            move || sessions.sent()
        }),
    };
    let bridge = uv4l::Bridge {
        cameras: state.uv4l.clone(),
        whip,
        path_cache: state.path_cache.clone(),
        shutdown: state.shutdown.clone(),
    };
    let revoked = Mutex::new(revoked);
    let (uploads, numbers) = (&state.catalog.context().uploads, &state.catalog.context().numbers);
    all([
        supervisor.task("access", || state.access.run(&state.events, &state.mediamtx, &revoked)),
        supervisor.task("audit", || state.access.audit().write_forever()),
        nodes::run(&state, &supervisor).boxed(),
        supervisor.task("fleet", async || {
            if let Some(fleet) = &state.fleet {
                let file = DataFolder::drain_in(&state.settings.data_dir);
                tokio::join!(fleet.run(), fleet.drain_when_asked(&file, HAND_OVER));
            }
        }),
        supervisor.task("fleet uploads", async || {
            if let Some(fleet) = &state.fleet {
                while let Some(news) = fleet.next_upload().await {
                    state.catalog.take_note(news);
                }
            }
        }),
        supervisor.task("fleet pictures", async || {
            if let Some(fleet) = &state.fleet {
                fleet.fill_again(|| state.catalog.keep_again(fleet)).await;
            }
        }),
        supervisor.task("identity", || state.identity.run()),
        supervisor.task("mqtt", || state.mqtt.run()),
        supervisor.task("mqtt publisher", || state.publisher.run()),
        supervisor.task("mqtt topics", || state.catalog.follow_topics()),
        supervisor.task("mqtt video", || state.mqtt_video.run()),
        supervisor.task("paths", || state.paths.run()),
        supervisor.task("uv4l", || bridge.run()),
        supervisor.task("observer", || observer.run()),
        supervisor.task("uploads", || uploads.write_forever()),
        supervisor.task("points", || numbers.write_forever()),
        supervisor.task("expiry", || {
            state.catalog.registry().sweep_forever(|name| {
                // Another node of a cluster can use the stream; there it expires by itself.
                uploads.forget_here(name);
                numbers.forget(name);
            })
        }),
        supervisor.task("leftovers", || state.library.remove_leftovers()),
        supervisor.task("http connections", || http.run()),
        supervisor.task("rtsp connections", async || {
            if let Some(rtsp) = &rtsp {
                rtsp.run().await;
            }
        }),
        supervisor.task("certificates", async || {
            if let Some(tls) = &tls {
                tls.run().await;
            }
        }),
    ])
    .await;
}
