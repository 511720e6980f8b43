//! How many connections the listeners can have.

use crate::{server, settings::Settings, units::is_this_machine};

/// Open files beyond those of clients' connections: workers, database, log, UDP socket, cameras, files of producers, and
/// connections that have made room and are about to be closed.
const SPARE_FILES: u64 = 512;

/// How many connections the limit on open files leaves room for.
pub(super) struct Places {
    pub(super) http: usize,
    pub(super) rtsp: usize,
}

impl Places {
    /// Raises the soft limit on open files to what the settings need, as far as the system allows. If that is less, HTTP and
    /// RTSP share it as their settings do.
    pub(super) fn of(settings: &Settings) -> Self {
        let (http, rtsp) = (settings.limits.connections, settings.rtsp.max_connections);
        let wanted = (http + rtsp) as u64 + SPARE_FILES;
        let limit = rlimit::increase_nofile_limit(wanted).unwrap_or_else(|e| {
            tracing::warn!("the limit on open files cannot be raised: {e}");
            rlimit::Resource::NOFILE.get_soft().unwrap_or(1024)
        });
        if limit >= wanted {
            return Places { http, rtsp };
        }
        let room = usize::try_from(limit.saturating_sub(SPARE_FILES)).unwrap_or(usize::MAX).max(64);
        let share = |of: usize| ((of as u128 * room as u128 / (http + rtsp) as u128) as usize).max(16);
        let places = Places { http: share(http), rtsp: share(rtsp) };
        tracing::warn!(
            "the system allows {limit} open files, and limits.connections and rtsp.max_connections need {wanted}: there can be \
             {} HTTP and {} RTSP connections (ulimit -n)",
            places.http,
            places.rtsp
        );
        places
    }

    /// The connections of one listener. All clients behind a trusted proxy have its address, and MediaMTX, at an address of
    /// `auth.webhook_networks`, speaks for its own clients.
    pub(super) fn connections(&self, max: usize, settings: &Settings) -> server::Connections {
        let networks = [
            settings.http.trusted_proxies.clone(),
            settings.http.ingress.from.clone(),
            settings.auth.webhook_networks.clone().unwrap_or_default(),
        ]
        .concat();
        let share = max * usize::from(settings.limits.caller_share) / 100;
        server::Connections::new(max, share, move |ip| {
            is_this_machine(ip) || networks.iter().any(|network| network.contains(ip))
        })
    }
}
