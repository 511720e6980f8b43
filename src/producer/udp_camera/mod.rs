//! Cameras that get requests by UDP and answer with a JPEG in datagrams, as the ESP32 sketch in `examples/esp32/` does.
//!
//! While a stream has a watcher, `{"ipaddress":"…","port":…}` is sent to its camera at an interval, and the camera sends a
//! picture to that address. Requests go only to cameras in the configured networks, and datagrams are accepted only from
//! cameras that got a request.

mod assembler;
mod hub;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant, sleep_until};
use utoipa::ToSchema;

#[cfg(any(test, fuzzing))]
pub(crate) use self::assembler::properties;
pub use self::hub::Hub;
use self::{
    assembler::Outcome,
    hub::{Encoded, Registration},
};
use super::ProducerContext;
use crate::{
    error::{Code, Error, Result},
    picture::{Picture, PictureLimits, in_pool, verify},
    stream::{FrameSink, Producer, ProducerFuture, Run, StreamName},
    units::{HumanDuration, Network, any_contains, private_networks},
};

/// Pause between requests until the first answer, because a camera that is starting can miss a request.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Pauses between requests to a camera that are permitted.
const SHORTEST_INTERVAL: HumanDuration = HumanDuration::millis(100);
const LONGEST_INTERVAL: HumanDuration = HumanDuration::secs(3600);

/// Requests without an answer after which users see a problem.
const SILENT_REQUESTS: u32 = 3;

/// Settings of all UDP cameras.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UdpSettings {
    /// The address and port that receive pictures.
    pub listen: SocketAddr,
    /// The address in requests, to which cameras send pictures: `IP` or `IP:port`; empty for the local address on
    /// the route to the camera.
    pub advertise: String,
    /// The networks in which cameras are permitted.
    pub networks: Vec<Network>,
    /// The port on which cameras receive requests.
    pub camera_port: u16,
    /// Pause between requests to a watched camera.
    pub interval: HumanDuration,
}

impl Default for UdpSettings {
    fn default() -> Self {
        UdpSettings {
            listen: ([0, 0, 0, 0], 1234).into(),
            advertise: String::new(),
            networks: private_networks(),
            camera_port: 1234,
            interval: HumanDuration::secs(5),
        }
    }
}

impl UdpSettings {
    /// Invalid settings: the key and the rule that it breaks.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        if !self.advertise.is_empty() && self.advertised().is_none() {
            found.push((
                "advertise",
                format!("{:?} is not an address; write 192.168.1.2 or 192.168.1.2:1234", self.advertise),
            ));
        }
        if self.camera_port == 0 {
            found.push(("camera_port", "must be from 1 to 65535".into()));
        }
        if let Err(rule) = check_interval(self.interval) {
            found.push(("interval", rule));
        }
        found
    }

    fn advertised(&self) -> Option<(IpAddr, Option<u16>)> {
        let text = self.advertise.trim();
        let with_port = text.parse::<SocketAddr>().map(|a| (a.ip(), Some(a.port())));
        with_port.or_else(|_| text.parse::<IpAddr>().map(|ip| (ip, None))).ok()
    }
}

/// One UDP camera.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = UdpCameraDefinition)]
pub struct Settings {
    /// The camera's address, `IP` or `IP:port`. Without it, the stream's name must be an address.
    pub address: Option<String>,
    /// Pause between requests to this camera, instead of `udp.interval`.
    #[schema(value_type = Option<String>)]
    pub interval: Option<HumanDuration>,
}

impl Settings {
    /// The camera whose address is the stream's name, asked at this interval in milliseconds, or the nearest one that is
    /// permitted.
    pub(super) fn asked_each(interval: Option<u64>) -> Self {
        let permitted = |millis| HumanDuration::millis(millis).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        Settings { address: None, interval: interval.map(permitted) }
    }
}

pub(super) fn producer(settings: &Settings, name: &StreamName, context: &ProducerContext) -> Result<Arc<dyn Producer>> {
    let common = context.udp.settings();
    let refuse = |field: &'static str, rule: String| {
        Err(Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field))
    };
    let text = settings.address.as_deref().unwrap_or(name);
    let Some(camera) = parse_address(text, common.camera_port) else {
        return match settings.address {
            Some(_) => {
                refuse("address", format!("{text:?} is not an address; write 192.168.1.20 or 192.168.1.20:1234"))
            }
            None => refuse("address", format!("is required, because the name {text} is not an IP address")),
        };
    };
    if !any_contains(&common.networks, camera.ip()) {
        return refuse("address", format!("{} is in none of the networks of udp.networks", camera.ip()));
    }
    let interval = settings.interval.unwrap_or(common.interval);
    if let Err(rule) = check_interval(interval) {
        return refuse("interval", rule);
    }
    Ok(Arc::new(UdpCamera { camera, interval: *interval, hub: context.udp.clone(), limits: context.limits }))
}

fn parse_address(text: &str, default_port: u16) -> Option<SocketAddr> {
    let with_port = text.parse::<SocketAddr>();
    let address = with_port.or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, default_port))).ok()?;
    (address.port() != 0 && !address.ip().is_multicast() && !address.ip().is_unspecified()).then_some(address)
}

fn check_interval(interval: HumanDuration) -> Result<(), String> {
    if (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&interval) {
        Ok(())
    } else {
        Err(format!("must be from {SHORTEST_INTERVAL} to {LONGEST_INTERVAL}, not {interval}"))
    }
}

struct UdpCamera {
    camera: SocketAddr,
    interval: Duration,
    hub: Hub,
    limits: PictureLimits,
}

impl Producer for UdpCamera {
    fn kind(&self) -> &'static str {
        "udp-camera"
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let (camera, interval, hub, limits) = (self.camera, self.interval, self.hub.clone(), self.limits);
        Box::pin(async move {
            let mut registration =
                hub.register(camera, &run.sink).await.map_err(|e| Error::new(Code::Unavailable, e.to_string()))?;
            let watch = watch_camera(&mut registration, camera, interval, &run.sink, limits);
            tokio::select! {
                () = run.stop.cancelled() => Ok(()),
                end = watch => end,
            }
        })
    }
}

async fn watch_camera(
    registration: &mut Registration,
    camera: SocketAddr,
    interval: Duration,
    sink: &FrameSink,
    limits: PictureLimits,
) -> Result<()> {
    let mut ask_at = Instant::now();
    let mut answered = false;
    let mut unanswered = 0;
    loop {
        tokio::select! {
            () = sleep_until(ask_at) => {
                if unanswered >= SILENT_REQUESTS {
                    sink.report_problem(format!("the camera {camera} does not answer ({unanswered} requests)"));
                }
                if let Err(e) = registration.ask().await {
                    sink.report_problem(format!("the camera {camera} cannot be reached: {e}"));
                }
                unanswered += 1;
                ask_at = Instant::now() + if answered { interval } else { interval.min(FIRST_RETRY) };
            }
            outcome = registration.next() => {
                if !answered {
                    // The camera answers: from now on at the usual interval.
                    answered = true;
                    ask_at = Instant::now() + interval;
                }
                unanswered = 0;
                match outcome {
                    Outcome::Picture(data) => take(data, sink, limits).await?,
                    Outcome::Dropped(why) => sink.report_problem(format!("the camera {camera} sends {why} data")),
                }
            }
        }
    }
}

/// Decodes the picture to detect damage that the protocol does not reveal, and publishes it.
async fn take(data: Encoded, sink: &FrameSink, limits: PictureLimits) -> Result<()> {
    let checked = async {
        let picture = Picture::from_upload(data, &limits).await?;
        in_pool(move || verify(&picture).map(|()| picture)).await
    };
    match checked.await {
        Ok(picture) => {
            if let Err(full) = sink.publish(&picture) {
                sink.report_problem(full.to_string());
            }
        }
        Err(e) => {
            sink.damaged(if e.code() == Code::FrameTooLarge { "too large" } else { "damaged" });
            sink.report_problem(format!("the camera's last picture was not taken: {e}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_accepted_with_and_without_a_port() {
        for (text, expected) in [
            ("192.168.1.20", Some("192.168.1.20:1234")),
            ("192.168.1.20:99", Some("192.168.1.20:99")),
            ("fd00::1", Some("[fd00::1]:1234")),
            ("[fd00::1]:7", Some("[fd00::1]:7")),
            ("192.168.1.20:0", None),
            ("224.0.0.1", None),
            ("0.0.0.0", None),
            ("camera", None),
            ("", None),
        ] {
            let expected = expected.map(|e| e.parse().expect("an address"));
            assert_eq!(parse_address(text, 1234), expected, "{text}");
        }
    }

    #[test]
    fn invalid_settings_are_named() {
        let bad = UdpSettings {
            advertise: "here".into(),
            camera_port: 0,
            interval: HumanDuration::millis(1),
            ..Default::default()
        };
        let keys: Vec<_> = bad.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["advertise", "camera_port", "interval"]);
        assert!(UdpSettings::default().problems().is_empty());
    }
}
