//! Ending the sessions of principals that have lost a permission.

use tokio::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use super::Sessions;
use crate::{
    mediamtx::{Client, SessionIndex},
    policy::Principal,
};

/// MediaMTX is asked at once, and once more after this pause: a session that it admitted a moment ago is not in its lists
/// yet.
const SECOND_ATTEMPT: Duration = Duration::from_secs(2);

/// Ends the sessions of every principal that arrives, until the sender is dropped.
pub(super) async fn run(
    sessions: &Sessions,
    mediamtx: &Client,
    index: &SessionIndex,
    revoked: &Mutex<mpsc::Receiver<Vec<Principal>>>,
) {
    let mut revoked = revoked.lock().await;
    while let Some(principals) = revoked.recv().await {
        for principal in principals {
            let ended = sessions.end(&principal);
            tracing::debug!(%principal, ended, "permissions have changed");
            // A task for each: MediaMTX may not answer, and the next principal must not wait for it.
            tokio::spawn(end_at_mediamtx(mediamtx.clone(), index.clone(), principal));
        }
    }
}

async fn end_at_mediamtx(mediamtx: Client, index: SessionIndex, principal: Principal) {
    for pause in [Duration::ZERO, SECOND_ATTEMPT] {
        tokio::time::sleep(pause).await;
        match index.kick(&mediamtx, &principal).await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(%principal, ended, "sessions at MediaMTX were ended"),
            Err(e) => {
                // A MediaMTX that is not running has no sessions.
                tracing::debug!(%principal, "sessions at MediaMTX were not ended: {}", e.chain());
                return;
            }
        }
    }
}
