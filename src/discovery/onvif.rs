//! The conversation with one ONVIF device: what time it has, who made it, and what it can be watched as.

use std::{future::Future, time::SystemTime};

use http_auth::DigestClient;
use url::Url;

use super::{
    device::{self, DEVICE, Media},
    http::Device,
    probe::reach,
    report::{DiscoveredDevice, Profile},
    soap::{self, Login, Operation, Refusal},
    xml::Element,
};

/// A clock that is wrong by less than this is told as right: asking takes time, too.
const WRONG_CLOCK_SECONDS: i64 = 5;

/// How the device is told who we are.
#[derive(Debug)]
enum Proof {
    /// By a token in the envelope, as ONVIF has it.
    Token,
    /// By HTTP Digest, which newer devices want instead.
    Digest(Box<DigestClient>),
}

/// A conversation.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    device: &'a Device<'a>,
    login: Option<&'a Login>,
    proof: Proof,
    /// Seconds by which the device's clock is ahead of ours.
    offset: i64,
    /// Whether the password was right, as far as we know.
    is_proven: bool,
    /// Whether it was wrong.
    is_refused: bool,
}

/// Why there was no answer.
#[derive(Debug)]
enum Failure {
    /// The device is not there, or is not what it should be.
    Away(String),
    /// It refuses.
    Refused(Refusal),
}

impl<'a> Conversation<'a> {
    pub(super) fn new(device: &'a Device<'a>, login: Option<&'a Login>) -> Self {
        Conversation { device, login, proof: Proof::Token, offset: 0, is_proven: false, is_refused: false }
    }

    /// Asks for the time, which every device tells everybody; the error says why this is none of ONVIF's.
    pub(super) async fn begin(&mut self, service: &Url) -> Result<Option<i64>, String> {
        let operation = Operation::new(DEVICE, "GetSystemDateAndTime");
        match self.exchange(service, &operation, false).await {
            Ok(answer) => {
                let offset = device::clock_offset(&answer, SystemTime::now());
                self.offset = offset.unwrap_or(0);
                Ok(offset)
            }
            // Some tell it only to those they know. Our time has to do.
            Err(Failure::Refused(Refusal::NotAuthorized | Refusal::Fault(_))) => Ok(None),
            Err(Failure::Refused(Refusal::Unreadable(why))) => Err(format!("it does not answer as ONVIF does: {why}")),
            Err(Failure::Away(why)) => Err(why),
        }
    }

    /// Fills the card with all that the device tells. What has been learnt stays if this is given up in between.
    pub(super) async fn fill(&mut self, card: &mut DiscoveredDevice, service: &Url) -> Result<(), String> {
        card.clock_offset_seconds = self.begin(service).await?;
        if let Some(offset) = card.clock_offset_seconds.filter(|offset| offset.abs() > WRONG_CLOCK_SECONDS) {
            card.note(format!("its clock is {} by {} s", if offset > 0 { "fast" } else { "slow" }, offset.abs()));
        }
        let mut services = self.services(card, service).await;
        match self.ask(service, &Operation::new(DEVICE, "GetDeviceInformation")).await {
            Ok(answer) => {
                let told = device::information(&answer);
                card.manufacturer = told.manufacturer.or(card.manufacturer.take());
                card.model = told.model.or(card.model.take());
                card.firmware = told.firmware;
                card.serial = told.serial.or(card.serial.take());
            }
            Err(failure) => self.note(card, "GetDeviceInformation", failure),
        }
        // Small devices have all of their services at one address, and no list.
        if services.is_empty() {
            services.push((Media::One, service.clone()));
        }
        for (media, url) in services {
            let Some(profiles) = self.profiles(card, media, &url).await else { continue };
            // The first generation shows what is encoded as H.265 as nothing; the second knows better.
            let knows_codecs = profiles.iter().any(|profile| profile.codec.is_some());
            if knows_codecs || card.profiles.is_empty() {
                card.profiles = profiles;
                self.addresses(card, media, &url).await;
            }
            if knows_codecs {
                break;
            }
        }
        Ok(())
    }

    /// The media services, older generation first, at hosts that may be asked.
    async fn services(&mut self, card: &mut DiscoveredDevice, service: &Url) -> Vec<(Media, Url)> {
        let get_services =
            Operation::new(DEVICE, "GetServices").with("<x:IncludeCapability>false</x:IncludeCapability>");
        let get_capabilities = Operation::new(DEVICE, "GetCapabilities").with("<x:Category>All</x:Category>");
        for operation in [get_services, get_capabilities] {
            // Devices tell this everybody (Core, access class PRE_AUTH); those that do not are asked as somebody.
            let mut answer = self.exchange(service, &operation, false).await;
            if matches!(answer, Err(Failure::Refused(Refusal::NotAuthorized))) && self.login.is_some() {
                answer = self.ask(service, &operation).await;
            }
            let found = answer.map(|answer| device::media_services(&answer)).unwrap_or_default();
            if !found.is_empty() {
                return found.into_iter().map(|(media, url)| (media, self.reach(card, &url))).collect();
            }
        }
        vec![]
    }

    async fn profiles(&mut self, card: &mut DiscoveredDevice, media: Media, url: &Url) -> Option<Vec<Profile>> {
        match self.ask(url, &media.get_profiles()).await {
            Ok(answer) => Some(media.profiles(&answer)),
            Err(failure) => {
                self.note(card, "GetProfiles", failure);
                None
            }
        }
    }

    async fn addresses(&mut self, card: &mut DiscoveredDevice, media: Media, url: &Url) {
        for i in 0..card.profiles.len() {
            let token = card.profiles[i].token.clone();
            match self.ask(url, &media.get_stream_uri(&token)).await {
                Ok(answer) => {
                    let found = device::uri_of(&answer, &["rtsp", "rtsps"]);
                    card.profiles[i].stream_uri = found.map(|found| self.reach(card, &found).into());
                }
                Err(failure) => self.note(card, "GetStreamUri", failure),
            }
            // Of the media service, not of the imaging service.
            match self.ask(url, &media.get_snapshot_uri(&token)).await {
                Ok(answer) => {
                    let found = device::uri_of(&answer, &["http", "https"]);
                    card.profiles[i].snapshot_uri = found.map(|found| self.reach(card, &found).into());
                }
                // Many have none.
                Err(Failure::Refused(Refusal::Fault(_) | Refusal::Unreadable(_))) => {}
                Err(failure) => self.note(card, "GetSnapshotUri", failure),
            }
        }
    }

    fn reach(&self, card: &mut DiscoveredDevice, url: &Url) -> Url {
        let reached = reach(url, self.device.at, self.device.consent);
        card.note_elsewhere(reached.instead_of);
        reached.url
    }

    fn note(&self, card: &mut DiscoveredDevice, what: &str, failure: Failure) {
        match failure {
            Failure::Refused(Refusal::NotAuthorized) => {
                card.needs_credentials = true;
                card.note(match self.login {
                    None => "it tells more to somebody with a user name and password",
                    Some(_) => {
                        "it does not accept the user name and password; many cameras keep users of ONVIF apart from those of their page"
                    }
                });
            }
            Failure::Refused(Refusal::Fault(text) | Refusal::Unreadable(text)) | Failure::Away(text) => {
                card.note(format!("{what}: {text}"));
            }
        }
    }

    /// Asks as who we are: by token, and by HTTP Digest if that is not accepted and the device wants one.
    fn ask(&mut self, url: &Url, operation: &Operation) -> impl Future<Output = Result<Element, Failure>> {
        self.exchange(url, operation, true)
    }

    async fn exchange(&mut self, url: &Url, operation: &Operation, as_somebody: bool) -> Result<Element, Failure> {
        let Some(login) = self.login.filter(|_| as_somebody) else {
            let reply = self.device.post(url, operation, None, None).await.map_err(Failure::Away)?;
            return soap::read(reply.status, &reply.body, operation.name).map_err(Failure::Refused);
        };
        // Cameras lock accounts after a few wrong passwords: what was refused once is not shown again.
        if self.is_refused {
            return Err(Failure::Refused(Refusal::NotAuthorized));
        }
        for _ in 0..3 {
            let token = match self.proof {
                Proof::Token => Some(self.token(login).map_err(Failure::Away)?),
                Proof::Digest(_) => None,
            };
            let digest = match &mut self.proof {
                Proof::Token => None,
                Proof::Digest(client) => Some((&mut **client, login)),
            };
            let reply = self.device.post(url, operation, token.as_deref(), digest).await.map_err(Failure::Away)?;
            let answer = soap::read(reply.status, &reply.body, operation.name);
            if !matches!(answer, Err(Refusal::NotAuthorized)) {
                self.is_proven = true;
                return answer.map_err(Failure::Refused);
            }
            let next = match (&self.proof, reply.challenge) {
                (Proof::Token, Some(challenge)) => Some(challenge),
                // It may want a digest and say so only to who shows nothing.
                (Proof::Token, None) => self.challenge(url, operation).await,
                // Its nonce has become old, which some do not say.
                (Proof::Digest(old), Some(new)) if new.nonce() != old.nonce() && (self.is_proven || new.stale()) => {
                    Some(new)
                }
                (Proof::Digest(_), _) => None,
            };
            match next {
                Some(challenge) => self.proof = Proof::Digest(challenge.into()),
                None => break,
            }
        }
        // One who was believed before lacks a permission.
        self.is_refused = !self.is_proven;
        Err(Failure::Refused(Refusal::NotAuthorized))
    }

    /// What the device says to nobody in particular: some ask for a digest only then.
    async fn challenge(&self, url: &Url, operation: &Operation) -> Option<DigestClient> {
        self.device.post(url, operation, None, None).await.ok()?.challenge
    }

    fn token(&self, login: &Login) -> Result<String, String> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|e| format!("the system gives no random numbers: {e}"))?;
        Ok(soap::security(login, nonce, &soap::created(SystemTime::now(), self.offset)))
    }
}
