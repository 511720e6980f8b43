//! Ending the sessions of credentials that were revoked, and MediaMTX's sessions at the end of their lease. Those here have
//! timers of their own.

use tokio::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use super::Sessions;
use crate::{
    mediamtx::{Client, SessionIndex},
    policy::{Revoked, now},
};

/// MediaMTX is asked at once, and once more after this pause: a session that it admitted a moment ago is not in its lists
/// yet.
const SECOND_ATTEMPT: Duration = Duration::from_secs(2);

/// How often sessions at MediaMTX are checked for the end of their lease.
const LEASE_INTERVAL: Duration = Duration::from_secs(1);

/// Ends the sessions of all credentials that arrive, until the sender is dropped.
pub(super) async fn run(
    sessions: &Sessions,
    mediamtx: &Client,
    index: &SessionIndex,
    revoked: &Mutex<mpsc::Receiver<Vec<Revoked>>>,
) {
    let mut revoked = revoked.lock().await;
    while let Some(all) = revoked.recv().await {
        for revoked in all {
            let ended = sessions.end(&revoked);
            tracing::debug!(%revoked, ended, "permissions have changed");
            // A task for each: MediaMTX may not answer, and the next one must not wait for it.
            tokio::spawn(end_at_mediamtx(mediamtx.clone(), index.clone(), revoked));
        }
    }
}

async fn end_at_mediamtx(mediamtx: Client, index: SessionIndex, revoked: Revoked) {
    for pause in [Duration::ZERO, SECOND_ATTEMPT] {
        tokio::time::sleep(pause).await;
        match index.kick(&mediamtx, &revoked).await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(%revoked, ended, "sessions at MediaMTX were ended"),
            Err(e) => {
                // A MediaMTX that is not running has no sessions.
                tracing::debug!(%revoked, "sessions at MediaMTX were not ended: {}", e.chain());
                return;
            }
        }
    }
}

/// Ends MediaMTX's sessions at the end of their lease, for ever.
pub(super) async fn end_leases(mediamtx: &Client, index: &SessionIndex) {
    loop {
        tokio::time::sleep(LEASE_INTERVAL).await;
        let over = index.take_expired(now());
        if !over.is_empty() {
            let (mediamtx, index) = (mediamtx.clone(), index.clone());
            tokio::spawn(async move {
                match index.kick_sessions(&mediamtx, over).await {
                    Ok(0) => {}
                    Ok(ended) => tracing::info!(ended, "sessions at MediaMTX were ended: their token has expired"),
                    Err(e) => tracing::debug!("sessions at MediaMTX were not ended: {}", e.chain()),
                }
            });
        }
    }
}
