//! The events of a search, and the devices in them.

use std::net::IpAddr;

use serde::Serialize;
use utoipa::ToSchema;

use super::interfaces::NetworkInterface;

/// Most other hosts that are listed for a device.
const MAX_ELSEWHERE: usize = 8;

/// Most problems that are listed for a device.
const MAX_PROBLEMS: usize = 16;

/// A discovered device.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DiscoveredDevice {
    /// Its identity: the UUID with which it answers, or its address.
    pub id: String,
    /// Its IP address.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// The way in which it was found.
    pub found_by: FoundBy,
    /// The name that its owner has given it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The hardware that it announces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// The place that it announces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Its manufacturer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The version of its firmware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Its serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The ONVIF profiles to which it conforms, such as `S` or `T`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conformance: Vec<String>,
    /// The URL of its ONVIF device service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_service: Option<String>,
    /// The URL of its web page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// The seconds by which its clock is ahead of the sidecar's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_seconds: Option<i64>,
    /// Whether it gives more details to a client with (other) credentials.
    pub needs_credentials: bool,
    /// Hosts that it named and that were not asked. `consent` permits to ask them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<String>,
    /// Its media profiles: the forms in which it sends video.
    pub profiles: Vec<Profile>,
    /// Requests that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// The way in which a device was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FoundBy {
    /// It answered a WS-Discovery probe.
    WsDiscovery,
    /// It answered an SSDP search.
    Ssdp,
    /// The caller named its address, and it answered ONVIF at a usual port.
    Address,
}

/// A media profile: one of the forms in which a device sends video.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Profile {
    /// The device's identifier of the profile.
    pub token: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `H264`, `H265`, `JPEG`, `MPEG4`…
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Width in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Most pictures a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<f32>,
    /// The RTSP URL of its video, without user and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_uri: Option<String>,
    /// The HTTP URL of a snapshot, without user and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_uri: Option<String>,
}

/// A failure of the search, or of one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SearchProblem {
    /// The device, if the failure concerns one.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The failure.
    pub message: String,
}

/// The end of a search.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Summary {
    /// The number of cameras.
    pub found: usize,
    /// The number of other devices that answered: printers, computers, lamps.
    pub others: usize,
    /// The interfaces of the search.
    pub interfaces: Vec<NetworkInterface>,
    /// Its duration.
    pub seconds: f32,
}

/// An event of a search.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A device has answered; with the details that it announces.
    Found(Box<DiscoveredDevice>),
    /// The same device, with the details that it gave on request.
    Detail(Box<DiscoveredDevice>),
    /// A failure.
    Problem(SearchProblem),
    /// The end.
    Done(Summary),
}

impl Event {
    /// The name of the event in the API.
    pub fn as_str(&self) -> &'static str {
        match self {
            Event::Found(_) => "found",
            Event::Detail(_) => "detail",
            Event::Problem(_) => "problem",
            Event::Done(_) => "done",
        }
    }
}

impl DiscoveredDevice {
    /// A device without details.
    pub(crate) fn new(id: String, address: IpAddr, found_by: FoundBy) -> Self {
        DiscoveredDevice {
            id,
            address,
            found_by,
            name: None,
            hardware: None,
            location: None,
            manufacturer: None,
            model: None,
            firmware: None,
            serial: None,
            conformance: vec![],
            device_service: None,
            page: None,
            clock_offset_seconds: None,
            needs_credentials: false,
            elsewhere: vec![],
            profiles: vec![],
            problems: vec![],
        }
    }

    /// Adds a host that the device named and that was not asked.
    pub(super) fn note_elsewhere(&mut self, host: Option<String>) {
        if let Some(host) = host.filter(|host| !self.elsewhere.contains(host) && self.elsewhere.len() < MAX_ELSEWHERE) {
            self.elsewhere.push(host);
        }
    }

    /// Adds a problem, once.
    pub(super) fn note(&mut self, problem: impl Into<String>) {
        let problem = problem.into();
        if !self.problems.contains(&problem) && self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}

impl Profile {
    /// Codec, size and rate, such as `H264 1920x1080 25 fps`.
    pub fn summary(&self) -> String {
        let mut parts = vec![self.codec.clone().unwrap_or_else(|| "video".into())];
        if let (Some(width), Some(height)) = (self.width, self.height) {
            parts.push(format!("{width}x{height}"));
        }
        parts.extend(self.fps.map(|fps| format!("{fps} fps")));
        parts.join(" ")
    }
}
