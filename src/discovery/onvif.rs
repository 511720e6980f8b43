//! The conversation with one ONVIF device: its clock, its manufacturer, its media profiles.

use std::{future::Future, time::SystemTime};

use http_auth::DigestClient;
use url::Url;

use super::{
    device::{self, DEVICE, Media},
    http::Peer,
    probe::reach,
    report::{DiscoveredDevice, Profile},
    soap::{self, Login, Operation, Refusal},
    xml::Element,
};

/// Most requests for one operation: with three clocks, and two challenges of HTTP Digest.
const MAX_TRIES: usize = 5;

/// Smaller clock offsets are not reported: the request itself takes time.
const WRONG_CLOCK_SECONDS: i64 = 5;

/// The way in which requests are authenticated.
#[derive(Debug)]
enum Proof {
    /// A UsernameToken in the envelope, as in ONVIF Core.
    Token,
    /// HTTP Digest, which newer devices require.
    Digest(Box<DigestClient>),
}

/// A conversation.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    peer: &'a Peer<'a>,
    login: Option<&'a Login>,
    proof: Proof,
    /// Seconds by which the device's clock is ahead of the sidecar's, as far as is known.
    offset: i64,
    /// What the device says: the same, or none if it tells no time.
    told: Option<i64>,
    /// Offsets that the device has refused. Some devices tell another time than the one by which they measure.
    refused: Vec<i64>,
    /// Whether the device has accepted the credentials.
    is_proven: bool,
    /// Whether the device has refused the credentials.
    is_refused: bool,
}

/// The reason for which a request has no result.
#[derive(Debug)]
enum Failure {
    /// The device does not answer, or does not answer HTTP.
    Away(String),
    /// The device refuses the request.
    Refused(Refusal),
}

impl<'a> Conversation<'a> {
    pub(super) fn new(peer: &'a Peer<'a>, login: Option<&'a Login>) -> Self {
        Conversation {
            peer,
            login,
            proof: Proof::Token,
            offset: 0,
            told: None,
            refused: vec![],
            is_proven: false,
            is_refused: false,
        }
    }

    /// Asks for the time, which needs no credentials (Core, access class PRE_AUTH). The error says why this is not an ONVIF device.
    pub(super) async fn begin(&mut self, service: &Url) -> Result<Option<i64>, String> {
        let operation = Operation::new(DEVICE, "GetSystemDateAndTime");
        match self.exchange(service, &operation, false).await {
            Ok(answer) => {
                let offset = device::clock_offset(&answer, SystemTime::now());
                (self.offset, self.told) = (offset.unwrap_or(0), offset);
                Ok(offset)
            }
            // Some devices require credentials for the time. Then the sidecar's clock is used.
            Err(Failure::Refused(Refusal::NotAuthorized | Refusal::Fault(_))) => Ok(None),
            Err(Failure::Refused(Refusal::Unreadable(why))) => {
                Err(format!("its answer is not that of an ONVIF device: {why}"))
            }
            Err(Failure::Away(why)) => Err(why),
        }
    }

    /// Adds all details that the device gives. If the caller stops waiting, the details until then stay.
    pub(super) async fn fill(&mut self, found: &mut DiscoveredDevice, service: &Url) -> Result<(), String> {
        found.clock_offset_seconds = self.begin(service).await?;
        if let Some(offset) = found.clock_offset_seconds.filter(|offset| offset.abs() > WRONG_CLOCK_SECONDS) {
            found.note(format!("its clock is {} by {} s", if offset > 0 { "fast" } else { "slow" }, offset.abs()));
        }
        let mut services = self.services(found, service).await;
        match self.ask(service, &Operation::new(DEVICE, "GetDeviceInformation")).await {
            Ok(answer) => {
                let information = device::information(&answer);
                found.manufacturer = information.manufacturer.or(found.manufacturer.take());
                found.model = information.model.or(found.model.take());
                found.firmware = information.firmware;
                found.serial = information.serial.or(found.serial.take());
            }
            Err(failure) => self.note(found, "GetDeviceInformation", failure),
        }
        // Small devices have all of their services at one URL, and no list of services.
        if services.is_empty() {
            services.push((Media::One, service.clone()));
        }
        for (media, url) in services {
            let Some(profiles) = self.profiles(found, media, &url).await else { continue };
            // Media1 has no codec for a profile in H.265; Media2 has.
            let knows_codecs = profiles.iter().any(|profile| profile.codec.is_some());
            if knows_codecs || found.profiles.is_empty() {
                found.profiles = profiles;
                self.addresses(found, media, &url).await;
            }
            if knows_codecs {
                break;
            }
        }
        Ok(())
    }

    /// The media services, Media1 first, at hosts that can be asked.
    async fn services(&mut self, found: &mut DiscoveredDevice, service: &Url) -> Vec<(Media, Url)> {
        let get_services =
            Operation::new(DEVICE, "GetServices").with("<x:IncludeCapability>false</x:IncludeCapability>");
        let get_capabilities = Operation::new(DEVICE, "GetCapabilities").with("<x:Category>All</x:Category>");
        for operation in [get_services, get_capabilities] {
            // Needs no credentials (Core, access class PRE_AUTH); some devices require them all the same.
            let mut answer = self.exchange(service, &operation, false).await;
            if matches!(answer, Err(Failure::Refused(Refusal::NotAuthorized))) && self.login.is_some() {
                answer = self.ask(service, &operation).await;
            }
            // A device without this operation is asked by the next one.
            let services = answer.map(|answer| device::media_services(&answer)).unwrap_or_default();
            if !services.is_empty() {
                return services.into_iter().map(|(media, url)| (media, self.reach(found, &url))).collect();
            }
        }
        vec![]
    }

    async fn profiles(&mut self, found: &mut DiscoveredDevice, media: Media, url: &Url) -> Option<Vec<Profile>> {
        match self.ask(url, &media.get_profiles()).await {
            Ok(answer) => Some(media.profiles(&answer)),
            Err(failure) => {
                self.note(found, "GetProfiles", failure);
                None
            }
        }
    }

    async fn addresses(&mut self, found: &mut DiscoveredDevice, media: Media, url: &Url) {
        for i in 0..found.profiles.len() {
            let token = found.profiles[i].token.clone();
            match self.ask(url, &media.get_stream_uri(&token)).await {
                Ok(answer) => {
                    let uri = device::uri_of(&answer, &["rtsp", "rtsps"]);
                    found.profiles[i].stream_uri = uri.map(|uri| self.reach(found, &uri).into());
                }
                Err(failure) => self.note(found, "GetStreamUri", failure),
            }
            // From the media service: the imaging service has settings of the sensor, and no snapshots.
            match self.ask(url, &media.get_snapshot_uri(&token)).await {
                Ok(answer) => {
                    let uri = device::uri_of(&answer, &["http", "https"]);
                    found.profiles[i].snapshot_uri = uri.map(|uri| self.reach(found, &uri).into());
                }
                // Many devices have no snapshots.
                Err(Failure::Refused(Refusal::Fault(_) | Refusal::Unreadable(_))) => {}
                Err(failure) => self.note(found, "GetSnapshotUri", failure),
            }
        }
    }

    fn reach(&self, found: &mut DiscoveredDevice, url: &Url) -> Url {
        let reached = reach(url, self.peer.at, self.peer.consent);
        found.note_elsewhere(reached.instead_of);
        reached.url
    }

    fn note(&self, found: &mut DiscoveredDevice, operation: &str, failure: Failure) {
        match failure {
            Failure::Refused(Refusal::NotAuthorized) => {
                found.needs_credentials = true;
                found.note(match self.login {
                    None => "it gives more details to a client with user name and password".to_owned(),
                    Some(_) => self.why_refused(),
                });
            }
            Failure::Refused(Refusal::Fault(text) | Refusal::Unreadable(text)) | Failure::Away(text) => {
                found.note(format!("{operation}: {text}"));
            }
        }
    }

    /// Why the device does not accept the credentials. A token has a time, and a device refuses one that is minutes old in
    /// the same words as a wrong password.
    fn why_refused(&self) -> String {
        let users = "it does not accept the user name and password; many cameras have other users for ONVIF than for their web page";
        match self.told {
            Some(offset) if offset.abs() <= WRONG_CLOCK_SECONDS => users.to_owned(),
            Some(_) => {
                format!("{users}, and others refuse them because their clock is wrong: set the clock of the camera")
            }
            None => format!(
                "{users}, and others refuse them because their clock is wrong, which this one does not tell: set its clock"
            ),
        }
    }

    /// Asks with credentials: with a token first, and with HTTP Digest if the device refuses the token and sends a challenge.
    fn ask(&mut self, url: &Url, operation: &Operation) -> impl Future<Output = Result<Element, Failure>> {
        self.exchange(url, operation, true)
    }

    async fn exchange(&mut self, url: &Url, operation: &Operation, with_login: bool) -> Result<Element, Failure> {
        let Some(login) = self.login.filter(|_| with_login) else {
            let reply = self.peer.post(url, operation, None, None).await.map_err(Failure::Away)?;
            return soap::read(reply.status, &reply.body, operation.name).map_err(Failure::Refused);
        };
        // Cameras lock accounts after a few wrong passwords, so refused credentials are not sent again.
        if self.is_refused {
            return Err(Failure::Refused(Refusal::NotAuthorized));
        }
        for _ in 0..MAX_TRIES {
            let token = match self.proof {
                Proof::Token => Some(self.token(login).map_err(Failure::Away)?),
                Proof::Digest(_) => None,
            };
            let digest = match &mut self.proof {
                Proof::Token => None,
                Proof::Digest(client) => Some((&mut **client, login)),
            };
            let reply = self.peer.post(url, operation, token.as_deref(), digest).await.map_err(Failure::Away)?;
            let answer = soap::read(reply.status, &reply.body, operation.name);
            if !matches!(answer, Err(Refusal::NotAuthorized)) {
                self.is_proven = true;
                return answer.map_err(Failure::Refused);
            }
            let next = match (&self.proof, reply.challenge) {
                (Proof::Token, Some(challenge)) => Some(challenge),
                // Some devices send the challenge only in answer to a request without a token.
                (Proof::Token, None) => self.challenge(url, operation).await,
                // The nonce has expired; some devices do not mark it as stale.
                (Proof::Digest(old), Some(new)) if new.nonce() != old.nonce() && (self.is_proven || new.stale()) => {
                    Some(new)
                }
                (Proof::Digest(_), _) => None,
            };
            let is_token = matches!(self.proof, Proof::Token);
            match next {
                Some(challenge) => self.proof = Proof::Digest(challenge.into()),
                None if is_token && !self.is_proven && self.try_other_clock(reply.date) => {}
                None => break,
            }
        }
        // After accepted credentials, the refusal is about a permission.
        self.is_refused = !self.is_proven;
        Err(Failure::Refused(Refusal::NotAuthorized))
    }

    /// Takes the next time that can be the one by which the device measures: ours, or that of its web server. False if all
    /// were refused. A wrong password is sent no more often for it unless the device's times differ.
    fn try_other_clock(&mut self, date: Option<SystemTime>) -> bool {
        self.refused.push(self.offset);
        let by_date = date.and_then(|date| device::ahead(date, SystemTime::now()));
        let is_new = |offset: &i64| self.refused.iter().all(|known| (known - offset).abs() > WRONG_CLOCK_SECONDS);
        match [Some(0), by_date].into_iter().flatten().find(is_new) {
            Some(offset) => {
                self.offset = offset;
                true
            }
            None => false,
        }
    }

    /// The challenge that the device sends in answer to a request without credentials.
    async fn challenge(&self, url: &Url, operation: &Operation) -> Option<DigestClient> {
        self.peer.post(url, operation, None, None).await.ok()?.challenge
    }

    fn token(&self, login: &Login) -> Result<String, String> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|e| format!("the system gives no random numbers: {e}"))?;
        Ok(soap::security(login, nonce, &soap::created(SystemTime::now(), self.offset)))
    }
}
