//! The tasks that no request starts.

use actix_web::web;
use tokio::sync::{Mutex, mpsc};

use super::{nodes, opening::HAND_OVER};
use crate::{
    data_folder::DataFolder, events::Observer, mediamtx, policy::Revoked, server, state::State, supervise::Supervisor,
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
    tokio::join!(
        supervisor.run("access", || state.access.run(&state.events, &state.mediamtx, &revoked)),
        supervisor.run("audit", || state.access.audit().write_forever()),
        nodes::run(&state, &supervisor),
        supervisor.run("fleet", async || {
            if let Some(fleet) = &state.fleet {
                let file = DataFolder::drain_in(&state.settings.data_dir);
                tokio::join!(fleet.run(), fleet.drain_when_asked(&file, HAND_OVER));
            }
        }),
        supervisor.run("fleet uploads", async || {
            if let Some(fleet) = &state.fleet {
                while let Some(news) = fleet.next_upload().await {
                    state.catalog.take_note(news);
                }
            }
        }),
        supervisor.run("fleet pictures", async || {
            if let Some(fleet) = &state.fleet {
                fleet.fill_again(|| state.catalog.keep_again(fleet)).await;
            }
        }),
        supervisor.run("identity", || state.identity.run()),
        supervisor.run("mqtt", || state.mqtt.run()),
        supervisor.run("mqtt publisher", || state.publisher.run()),
        supervisor.run("mqtt topics", || state.catalog.follow_topics()),
        supervisor.run("mqtt video", || state.mqtt_video.run()),
        supervisor.run("paths", || state.paths.run()),
        supervisor.run("uv4l", || bridge.run()),
        supervisor.run("observer", || observer.run()),
        supervisor.run("uploads", || uploads.write_forever()),
        supervisor.run("points", || numbers.write_forever()),
        supervisor.run("expiry", || {
            state.catalog.registry().sweep_forever(|name| {
                // Another node of a cluster can use the stream; there it expires by itself.
                uploads.forget_here(name);
                numbers.forget(name);
            })
        }),
        supervisor.run("leftovers", || state.library.remove_leftovers()),
        supervisor.run("http connections", || http.run()),
        supervisor.run("rtsp connections", async || {
            if let Some(rtsp) = &rtsp {
                rtsp.run().await;
            }
        }),
        supervisor.run("certificates", async || {
            if let Some(tls) = &tls {
                tls.run().await;
            }
        }),
    );
}
