//! Cameras that are asked by UDP and answer with a JPEG in datagrams, as the ESP32 sketch in
//! `examples/esp32/` does.
//!
//! While somebody watches, `{"ipaddress":"…","port":…}` goes to the camera in an interval; the camera
//! sends its picture to that address. Only cameras in configured networks are ever sent to, and only a
//! camera that was asked is listened to.

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

/// A camera that is starting may miss the first request; it is asked again after this time until
/// something comes.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// After so many requests without a picture people are told.
const SILENT_REQUESTS: u32 = 3;

/// What holds for all UDP cameras.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UdpSettings {
    /// Where cameras send their pictures to.
    pub listen: SocketAddr,
    /// The address that cameras are told to send to, `IP` or `IP:port`; empty for ours on the route to the camera.
    pub advertise: String,
    /// The networks in which cameras may be asked.
    pub networks: Vec<Network>,
    /// The port on which cameras listen for requests.
    pub camera_port: u16,
    /// How often a watched camera is asked.
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
    /// Says what is wrong with the settings, by key.
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
    /// The camera's address, `IP` or `IP:port`. Without one the stream's name has to be it.
    pub address: Option<String>,
    /// How often the camera is asked, instead of `udp.interval`.
    #[schema(value_type = Option<String>)]
    pub interval: Option<HumanDuration>,
}

pub(super) fn producer(settings: &Settings, name: &StreamName, kit: &ProducerContext) -> Result<Arc<dyn Producer>> {
    let common = kit.udp.settings();
    let refuse = |field: &'static str, rule: String| {
        Err(Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field))
    };
    let text = settings.address.as_deref().unwrap_or(name);
    let Some(camera) = parse_address(text, common.camera_port) else {
        return match settings.address {
            Some(_) => {
                refuse("address", format!("{text:?} is not an address; write 192.168.1.20 or 192.168.1.20:1234"))
            }
            None => refuse("address", format!("is needed, because the name {text} is not an IP address itself")),
        };
    };
    if !any_contains(&common.networks, camera.ip()) {
        return refuse("address", format!("{} is in none of the networks of udp.networks", camera.ip()));
    }
    let interval = settings.interval.unwrap_or(common.interval);
    if let Err(rule) = check_interval(interval) {
        return refuse("interval", rule);
    }
    Ok(Arc::new(UdpCamera { camera, interval: *interval, hub: kit.udp.clone(), limits: kit.limits }))
}

fn parse_address(text: &str, default_port: u16) -> Option<SocketAddr> {
    let with_port = text.parse::<SocketAddr>();
    let address = with_port.or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, default_port))).ok()?;
    (address.port() != 0 && !address.ip().is_multicast() && !address.ip().is_unspecified()).then_some(address)
}

fn check_interval(interval: HumanDuration) -> Result<(), String> {
    if (HumanDuration::millis(100)..=HumanDuration::secs(3600)).contains(&interval) {
        Ok(())
    } else {
        Err(format!("must be from 100ms to 1h, not {interval}"))
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
                    // It is there: from now on at the usual pace.
                    answered = true;
                    ask_at = Instant::now() + interval;
                }
                unanswered = 0;
                match outcome {
                    Outcome::Picture(data) => take(data, sink, limits).await?,
                    Outcome::Dropped(why) => sink.report_problem(format!("what the camera {camera} sends is {why}")),
                }
            }
        }
    }
}

/// Decodes the picture to find out damage that the transport cannot show, and hands it on.
async fn take(data: Encoded, sink: &FrameSink, limits: PictureLimits) -> Result<()> {
    let checked = in_pool(move || {
        let picture = Picture::from_upload_blocking(data, &limits)?;
        verify(&picture)?;
        Ok(picture)
    });
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
    fn addresses_are_taken_with_and_without_a_port() {
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
    fn settings_are_checked_by_key() {
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
