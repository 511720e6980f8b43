//! What is told of a search and of the devices it finds.

use std::net::IpAddr;

use serde::Serialize;
use utoipa::ToSchema;

use super::{interfaces::NetworkInterface, offers::Offer};

/// Most other hosts that are listed.
const MAX_ELSEWHERE: usize = 8;

/// A device that was found.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DiscoveredDevice {
    /// What names the device: the UUID that it answers with, or where it is.
    pub id: String,
    /// Where it is.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// How it was found.
    pub found_by: FoundBy,
    /// What its owner calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The hardware, as it announces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Where it hangs, as it announces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its firmware's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Its serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// ONVIF's profiles that it conforms to, such as `S` or `T`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conformance: Vec<String>,
    /// Its ONVIF device service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_service: Option<String>,
    /// Its own page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// How many seconds its clock is ahead of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_seconds: Option<i64>,
    /// Whether it tells more to somebody with a user name and password, or with another one.
    pub needs_credentials: bool,
    /// Hosts that it named and that were not asked; consent lets them be asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<String>,
    /// What it can be watched as.
    pub profiles: Vec<Profile>,
    /// What can be made of it here.
    pub offers: Vec<Offer>,
    /// What did not work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// How a device was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FoundBy {
    /// It answered a probe.
    WsDiscovery,
    /// It answered a search.
    Ssdp,
    /// It was named, and answered to ONVIF where devices usually do.
    Address,
}

/// One of the ways in which a device sends video.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Profile {
    /// The device's word for it.
    pub token: String,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `H264`, `H265`, `JPEG`, `MPEG4`…
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Most pictures a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<f32>,
    /// Where it is watched by RTSP; without user and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_uri: Option<String>,
    /// Where a picture can be had by HTTP; without user and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_uri: Option<String>,
}

/// Something that did not work, of the search or of one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Trouble {
    /// The device, if it is one.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// What.
    pub message: String,
}

/// The end of a search.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Summary {
    /// Cameras that were told of.
    pub found: usize,
    /// Others that answered: printers, computers, lamps.
    pub others: usize,
    /// Where was searched.
    pub interfaces: Vec<NetworkInterface>,
    /// How long it took.
    pub seconds: f32,
}

/// What a search tells as it goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A device has answered; as much as it announces by itself.
    Found(Box<DiscoveredDevice>),
    /// The same device, asked.
    Detail(Box<DiscoveredDevice>),
    /// Something did not work.
    Problem(Trouble),
    /// That was all.
    Done(Summary),
}

impl Event {
    /// The word on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Event::Found(_) => "found",
            Event::Detail(_) => "detail",
            Event::Problem(_) => "problem",
            Event::Done(_) => "done",
        }
    }

    /// As JSON.
    pub fn json(&self) -> String {
        match self {
            Event::Found(card) | Event::Detail(card) => serde_json::to_string(card),
            Event::Problem(report_problem) => serde_json::to_string(report_problem),
            Event::Done(summary) => serde_json::to_string(summary),
        }
        .unwrap_or_default()
    }
}

impl DiscoveredDevice {
    /// A device of which nothing more is known.
    pub(super) fn new(id: String, address: IpAddr, found_by: FoundBy) -> Self {
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
            offers: vec![],
            problems: vec![],
        }
    }

    /// Notes a host that was named and not asked.
    pub(super) fn note_elsewhere(&mut self, host: Option<String>) {
        if let Some(host) = host.filter(|host| !self.elsewhere.contains(host) && self.elsewhere.len() < MAX_ELSEWHERE) {
            self.elsewhere.push(host);
        }
    }

    /// Notes a problem, once.
    pub(super) fn note(&mut self, problem: impl Into<String>) {
        let problem = problem.into();
        if !self.problems.contains(&problem) && self.problems.len() < 16 {
            self.problems.push(problem);
        }
    }
}

impl Profile {
    /// Codec, size and rate, such as `H264 1920x1080 25 fps`.
    pub fn in_words(&self) -> String {
        let mut parts = vec![self.codec.clone().unwrap_or_else(|| "video".into())];
        if let (Some(width), Some(height)) = (self.width, self.height) {
            parts.push(format!("{width}x{height}"));
        }
        parts.extend(self.fps.map(|fps| format!("{fps} fps")));
        parts.join(" ")
    }
}
