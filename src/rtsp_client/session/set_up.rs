//! From DESCRIBE to PLAY: which tracks are set up, and how.

use tokio::time::{Duration, Instant, timeout};

use super::{CHANNELS, Inner, MAX_PAUSE, SESSION_TIMEOUT, Sound, lane::Lane, open};
use crate::rtsp_client::{
    Codec, Transport,
    clock::Clocks,
    failure::Failure,
    headers::Headers,
    message::Answer,
    receive::Receiver,
    sdp::Description,
    sound::SoundTrack,
    udp::UdpPair,
    uri::{base, clean, joined},
};

/// The channels that SETUP asks for, for sound.
const SOUND_CHANNELS: (u8, u8) = (2, 3);

/// How long a server can take to set up the sound, without which the session begins otherwise.
const SOUND_TIMEOUT: Duration = Duration::from_secs(2);

impl Inner {
    pub(super) async fn start(&mut self) -> Result<(), Failure> {
        let described = self.describe().await?;
        let description = Description::read(&described.body);
        let Some(track) = description.video() else {
            let (videos, sounds) = (description.encodings("video"), description.encodings("audio"));
            return Err(Failure::NoVideo { videos, sounds });
        };
        self.track = track.clone();
        self.codec = track.codec().unwrap_or(Codec::H264);
        self.base = base(&self.target.url, &described.headers, &description.control);
        let uri = joined(&self.base, &self.track.control);
        self.is_set_up = true;
        let agreed = self.set_up(&uri, CHANNELS, self.target.transport).await?;
        let is_udp = agreed.1.is_some();
        let rate = if track.clock_rate > 0 { track.clock_rate } else { 90_000 };
        self.clocks = Clocks::new(rate, None);
        self.video = Some(Lane::new(agreed, Receiver::new(self.codec, &self.track, is_udp)));
        // The pictures of MJPEG are not passed on as video.
        if self.codec != Codec::Jpeg {
            self.add_sound(&description, rate, is_udp).await?;
        }
        let base = self.base.clone();
        self.request("PLAY", &base, "Range: npt=0.000-\r\n").await?;
        self.keep_alive.at = Instant::now() + self.keep_alive.pause;
        Ok(())
    }

    /// Sets up the sound, if there is some and it is wanted. A refusal leaves it out.
    async fn add_sound(&mut self, description: &Description, rate: u32, is_udp: bool) -> Result<(), Failure> {
        let Some((track, sound)) = description.sound() else {
            let names = description.encodings("audio");
            self.offered = if names.is_empty() { Sound::Absent } else { Sound::Unreadable(names) };
            return Ok(());
        };
        if !(self.target.wants_sound)() {
            self.offered = Sound::Unwanted;
            return Ok(());
        }
        let (uri, transport) =
            (joined(&self.base, &track.control), if is_udp { Transport::Udp } else { Transport::Tcp });
        self.is_at_sound = true;
        let setting_up = timeout(SOUND_TIMEOUT, self.set_up(&uri, SOUND_CHANNELS, transport));
        match setting_up.await.unwrap_or(Err(Failure::Silent)) {
            Ok(agreed) => {
                self.play_sound(track.payload_type, sound, rate, agreed);
            }
            Err(Failure::Refused { status, reason, .. }) => {
                self.offered = Sound::Refused(format!("{status} {reason}"));
            }
            Err(other) => return Err(other),
        }
        self.is_at_sound = false;
        Ok(())
    }

    fn play_sound(&mut self, payload_type: u8, sound: SoundTrack, rate: u32, agreed: ((u8, u8), Option<UdpPair>)) {
        let receiver = Receiver::sound(&sound, payload_type, agreed.1.is_some());
        self.clocks = Clocks::new(rate, Some(sound.clock));
        self.sound = Some(Lane::new(agreed, receiver));
        self.offered = Sound::Playing(sound.format);
    }

    async fn describe(&mut self) -> Result<Answer, Failure> {
        let (uri, accept) = (self.target.url.as_str().to_owned(), "Accept: application/sdp\r\n");
        match self.request("DESCRIBE", &uri, accept).await {
            // Some servers close the connection after 401.
            Err(Failure::Closed(_)) if self.auth.is_some() => {
                self.connection = open(&self.target, self.tunnel_pause).await?;
                self.request("DESCRIBE", &uri, accept).await
            }
            other => other,
        }
    }

    /// Sets up a track; its channels, and its ports by UDP.
    async fn set_up(
        &mut self,
        uri: &str,
        channels: (u8, u8),
        transport: Transport,
    ) -> Result<((u8, u8), Option<UdpPair>), Failure> {
        let by_tcp = format!("Transport: RTP/AVP/TCP;unicast;interleaved={}-{}\r\n", channels.0, channels.1);
        let mut refusal = None;
        if transport != Transport::Udp {
            match self.request("SETUP", uri, &by_tcp).await {
                Ok(answer) => {
                    self.take_session(&answer.headers);
                    let chosen = answer.headers.transport();
                    if !chosen.is_udp || transport != Transport::Auto {
                        return Ok((chosen.channels.unwrap_or(channels), None));
                    }
                    // The server has answered with UDP, and expects ports: ask for that.
                }
                Err(Failure::Refused { status, method, reason })
                    if transport == Transport::Auto
                        && self.target.tls.is_none()
                        && !matches!(status, 403 | 404 | 453 | 454) =>
                {
                    refusal = Some(Failure::Refused { status, method, reason });
                }
                Err(e) => return Err(e),
            }
        }
        let (local, peer) = self.connection.addresses;
        let mut pair = UdpPair::bind(local.ip(), peer.ip()).await.map_err(Failure::Unreachable)?;
        let (rtp, rtcp) = pair.ports().map_err(Failure::Unreachable)?;
        let by_udp = format!("Transport: RTP/AVP;unicast;client_port={rtp}-{rtcp}\r\n");
        let answer = match (self.request("SETUP", uri, &by_udp).await, refusal) {
            (Ok(answer), _) => answer,
            // UDP was not asked for: the reason is that TCP is refused.
            (Err(_), Some(refusal)) => return Err(refusal),
            (Err(e), None) => return Err(e),
        };
        self.take_session(&answer.headers);
        let chosen = answer.headers.transport();
        pair.agree(chosen.server_ports, chosen.source).await;
        Ok((channels, Some(pair)))
    }

    fn take_session(&mut self, headers: &Headers) {
        let Some((id, seconds)) = headers.session() else { return };
        self.id = Some(clean(&id));
        let pause = seconds.unwrap_or(SESSION_TIMEOUT) / 2;
        self.keep_alive.pause = pause.clamp(Duration::from_secs(1), MAX_PAUSE);
    }
}
