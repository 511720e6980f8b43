//! [`Session`]: DESCRIBE, SETUP and PLAY, then packets, with a keep-alive, until it is dropped, which sends TEARDOWN.

mod keep_alive;

use std::fmt::Write;

use tokio::time::{Duration, Instant, sleep_until, timeout};
use url::Url;

use super::{
    Codec, Track, Transport, Unit,
    connection::{Connection, Tls},
    failure::Failure,
    headers::Headers,
    message::{Answer, Item},
    receive::Receiver,
    sdp::Description,
    udp::UdpPair,
    uri::{base, clean, joined},
};
use crate::{fetch::challenge::Scheme, secret::Secret};

/// Attempts of one request: without a password, with one, and twice more if the nonce has become stale.
const ATTEMPTS: usize = 4;

/// How long the answer to an earlier request is held back, because the right one can follow.
const GRACE: Duration = Duration::from_millis(300);

/// The timeout of a session without another one (RFC 2326, section 12.37), and the longest pause between two signs of life.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How long a session waits for the answer to TEARDOWN.
const TEARDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Most bytes that wait to be sent. A server that does not read gets no signs of life beyond that.
const MAX_UNSENT: usize = 64 << 10;

/// The channels that SETUP asks for.
const CHANNELS: (u8, u8) = (0, 1);

/// Where to connect, and how.
pub struct Target {
    /// The URL of the requests, without user and password. Its host is connected to as it is.
    pub url: Url,
    /// User and password, sent only in answer to a challenge.
    pub login: Option<(String, Secret)>,
    /// How the packets are transported.
    pub transport: Transport,
    /// For `rtsps`.
    pub tls: Option<Tls>,
}

/// The request that keeps the session alive, and is waiting for its answer.
#[derive(Debug)]
struct KeepAlive {
    at: Instant,
    pause: Duration,
    has_get_parameter: bool,
    /// Whether an answer is due, and whether it may be a challenge to answer.
    is_waiting: bool,
    may_answer: bool,
}

/// A playing session with one video track. A session that ends without TEARDOWN stays at the camera until its timeout, and cameras have
/// few; so dropping it sends TEARDOWN.
pub struct Session(Option<Box<Inner>>);

struct Inner {
    target: Target,
    connection: Connection,
    is_closed: bool,
    auth: Option<Scheme>,
    cseq: u32,
    /// All answers so far had the number of their request.
    is_cseq_right: bool,
    /// The URL that PLAY is for, to which control attributes are relative.
    base: String,
    id: Option<String>,
    track: Track,
    codec: Codec,
    channels: (u8, u8),
    /// Whether a packet has come on the agreed channel.
    is_channel_right: bool,
    udp: Option<UdpPair>,
    receiver: Option<Receiver>,
    keep_alive: KeepAlive,
    /// Whether the server may have a session to end.
    is_set_up: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let (Some(inner), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current())
            && inner.is_set_up
            && !inner.is_closed
        {
            runtime.spawn(inner.tear_down());
        }
    }
}

impl Session {
    /// Connects and plays the first video that can be read. Fails after `limit`.
    pub async fn play(target: Target, limit: Duration) -> Result<Self, Failure> {
        let deadline = Instant::now() + limit;
        let opening = open(&target);
        let connection = tokio::time::timeout_at(deadline, opening).await.map_err(|_| Failure::Silent)??;
        let base = target.url.as_str().to_owned();
        let keep_alive = KeepAlive {
            at: Instant::now(),
            pause: MAX_PAUSE,
            has_get_parameter: false,
            is_waiting: false,
            may_answer: false,
        };
        let inner = Inner {
            target,
            connection,
            is_closed: false,
            auth: None,
            cseq: 0,
            is_cseq_right: true,
            base,
            id: None,
            track: Track::default(),
            codec: Codec::H264,
            channels: CHANNELS,
            is_channel_right: false,
            udp: None,
            receiver: None,
            keep_alive,
            is_set_up: false,
        };
        let mut session = Session(Some(Box::new(inner)));
        let Some(inner) = &mut session.0 else { return Err(Failure::Silent) };
        match tokio::time::timeout_at(deadline, inner.start()).await {
            Ok(started) => started.map(|()| session),
            // What the server has sent explains why there is no answer.
            Err(_) => Err(match inner.connection.reader().skipped() {
                Some(skipped) => Failure::Malformed(skipped.clone()),
                None => Failure::Silent,
            }),
        }
    }

    /// The codec of the track.
    pub fn codec(&self) -> Codec {
        self.0.as_ref().map_or(Codec::H264, |inner| inner.codec)
    }

    /// The track that is played.
    pub fn track(&self) -> Option<&Track> {
        self.0.as_ref().map(|inner| &inner.track)
    }

    /// The next unit. Cancel-safe. Must be called all the time, because it reads the connection and keeps it alive.
    pub async fn next(&mut self) -> Result<Unit, Failure> {
        match &mut self.0 {
            Some(inner) => inner.next().await,
            None => Err(Failure::Closed(None)),
        }
    }
}

impl Inner {
    async fn start(&mut self) -> Result<(), Failure> {
        let described = self.describe().await?;
        let description = Description::read(&described.body);
        let Some(track) = description.video() else { return Err(Failure::NoVideo(description.videos())) };
        self.track = track.clone();
        self.codec = track.codec().unwrap_or(Codec::H264);
        self.base = base(&self.target.url, &described.headers, &description.control);
        let uri = joined(&self.base, &self.track.control);
        self.is_set_up = true;
        self.set_up(&uri).await?;
        self.receiver = Some(Receiver::new(self.codec, &self.track, self.udp.is_some()));
        let base = self.base.clone();
        self.request("PLAY", &base, "Range: npt=0.000-\r\n").await?;
        self.keep_alive.at = Instant::now() + self.keep_alive.pause;
        Ok(())
    }

    async fn describe(&mut self) -> Result<Answer, Failure> {
        let (uri, accept) = (self.target.url.as_str().to_owned(), "Accept: application/sdp\r\n");
        match self.request("DESCRIBE", &uri, accept).await {
            // Some servers close the connection after 401.
            Err(Failure::Closed(_)) if self.auth.is_some() => {
                self.connection = open(&self.target).await?;
                self.request("DESCRIBE", &uri, accept).await
            }
            other => other,
        }
    }

    async fn set_up(&mut self, uri: &str) -> Result<(), Failure> {
        let by_tcp = format!("Transport: RTP/AVP/TCP;unicast;interleaved={}-{}\r\n", CHANNELS.0, CHANNELS.1);
        let mut refusal = None;
        if self.target.transport != Transport::Udp {
            match self.request("SETUP", uri, &by_tcp).await {
                Ok(answer) => {
                    self.take_session(&answer.headers);
                    let chosen = answer.headers.transport();
                    if !chosen.is_udp || self.target.transport == Transport::Tcp {
                        self.channels = chosen.channels.unwrap_or(CHANNELS);
                        return Ok(());
                    }
                    // The server has answered with UDP, and expects ports: ask for that.
                }
                Err(Failure::Refused { status, method, reason })
                    if self.target.transport == Transport::Auto
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
        self.udp = Some(pair);
        Ok(())
    }

    fn take_session(&mut self, headers: &Headers) {
        let Some((id, seconds)) = headers.session() else { return };
        self.id = Some(clean(&id));
        let pause = seconds.unwrap_or(SESSION_TIMEOUT) / 2;
        self.keep_alive.pause = pause.clamp(Duration::from_secs(1), MAX_PAUSE);
    }

    async fn next(&mut self) -> Result<Unit, Failure> {
        loop {
            let Some(receiver) = &mut self.receiver else { return Err(Failure::Silent) };
            if let Some(unit) = receiver.pop() {
                return Ok(unit);
            }
            let deadline = receiver.deadline();
            let datagram = async {
                match &mut self.udp {
                    Some(udp) => udp.receive().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                item = self.connection.item(), if !self.is_closed => match item {
                    Ok(item) => self.take(item),
                    // Packets by UDP can go on without the connection.
                    Err(Failure::Closed(_)) if self.udp.is_some() => self.is_closed = true,
                    Err(e) => return Err(e),
                },
                data = datagram => {
                    receiver.push(data, true, Instant::now());
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    receiver.release(Instant::now());
                }
                () = sleep_until(self.keep_alive.at), if !self.is_closed => self.send_sign_of_life().await,
            }
        }
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Packet(channel, data) => self.take_packet(channel, data),
            Item::Call(method, headers) => self.reply(&method, &headers),
            Item::Answer(answer) if self.keep_alive.is_waiting => self.take_life(&answer),
            Item::Answer(_) => {}
        }
    }

    fn take_packet(&mut self, channel: u8, data: bytes::Bytes) {
        // Before SETUP there is no track.
        let Some(receiver) = &mut self.receiver else { return };
        let is_agreed = channel == self.channels.0;
        if !is_agreed && (self.is_channel_right || channel == self.channels.1) {
            return;
        }
        let is_ours = receiver.push(data, is_agreed, Instant::now());
        self.is_channel_right |= is_ours && is_agreed;
        if is_ours && !is_agreed {
            // The server sends on another channel than it has said.
            self.channels = (channel, channel.saturating_add(1));
            self.is_channel_right = true;
        }
    }

    /// Answers a request of the server (RFC 2326, section 10).
    fn reply(&mut self, method: &str, headers: &Headers) {
        if self.connection.unsent() > MAX_UNSENT {
            return;
        }
        let line = match method {
            "OPTIONS" | "GET_PARAMETER" | "SET_PARAMETER" | "ANNOUNCE" => "200 OK",
            _ => "501 Not Implemented",
        };
        let cseq = headers.cseq().map_or(String::new(), |cseq| format!("CSeq: {cseq}\r\n"));
        self.connection.send(format!("RTSP/1.0 {line}\r\n{cseq}\r\n").as_bytes());
    }

    /// Sends a request; its number.
    fn send(&mut self, method: &'static str, uri: &str, extra: &str) -> u32 {
        self.cseq += 1;
        let uri = clean(uri);
        let mut text = format!("{method} {uri} RTSP/1.0\r\nCSeq: {}\r\nUser-Agent: mtx-sidecar\r\n{extra}", self.cseq);
        if let Some(id) = &self.id {
            let _ = write!(text, "Session: {id}\r\n");
        }
        if let (Some(scheme), Some((user, password))) = (&mut self.auth, &self.target.login)
            && let Ok(answer) = scheme.answer((user, password), method, &uri, &[])
        {
            let _ = write!(text, "Authorization: {answer}\r\n");
        }
        text.push_str("\r\n");
        self.connection.send(text.as_bytes());
        self.cseq
    }

    /// Sends a request, and answers challenges.
    async fn request(&mut self, method: &'static str, uri: &str, extra: &str) -> Result<Answer, Failure> {
        let mut has_answered = false;
        for _ in 0..ATTEMPTS {
            let cseq = self.send(method, uri, extra);
            let answer = self.answer(method, cseq).await?;
            match answer.status {
                200..=299 => return Ok(answer),
                401 => self.take_challenge(&answer.headers, &mut has_answered)?,
                300..=399 if answer.headers.get("location").is_some() => {
                    let location = answer.headers.get("location").unwrap_or_default();
                    return Err(Failure::Moved(location.to_owned()));
                }
                403 if self.auth.is_some() || self.target.login.is_none() => {
                    return Err(Failure::Password { is_given: self.target.login.is_some(), unsupported: None });
                }
                status => return Err(Failure::Refused { method, status, reason: answer.reason }),
            }
        }
        Err(Failure::Password { is_given: true, unsupported: None })
    }

    /// A password is wrong only after 401 to the answer to a challenge of the same request: an older nonce can be out of date, which
    /// not every server says with `stale=true`.
    fn take_challenge(&mut self, headers: &Headers, has_answered: &mut bool) -> Result<(), Failure> {
        if self.target.login.is_none() {
            return Err(Failure::Password { is_given: false, unsupported: None });
        }
        let unsupported = |schemes: String| Failure::Password {
            is_given: true,
            unsupported: Some(if schemes.is_empty() { "401 without a challenge".into() } else { schemes }),
        };
        let scheme = match Scheme::choose(headers.all("www-authenticate")) {
            Ok(scheme) => scheme,
            // MediaMTX refuses a wrong password without another challenge.
            Err(_) if self.auth.is_some() => {
                return Err(Failure::Password { is_given: true, unsupported: None });
            }
            Err(schemes) => return Err(unsupported(schemes)),
        };
        if *has_answered && !scheme.is_stale() {
            return Err(Failure::Password { is_given: true, unsupported: None });
        }
        *has_answered = true;
        self.auth = Some(scheme);
        Ok(())
    }

    async fn answer(&mut self, method: &'static str, cseq: u32) -> Result<Answer, Failure> {
        self.connection.reader().expect_description(method == "DESCRIBE");
        let mut doubtful: Option<Answer> = None;
        let answer = loop {
            let item = match &doubtful {
                None => self.connection.item().await?,
                Some(_) => match timeout(GRACE, self.connection.item()).await {
                    Ok(item) => item?,
                    Err(_) => break None,
                },
            };
            match item {
                // "Continue", and the like.
                Item::Answer(answer) if (100..200).contains(&answer.status) => {}
                Item::Answer(answer) => {
                    let number = answer.headers.cseq();
                    let is_earlier = number.is_some_and(|number| number > 0 && number < cseq);
                    if self.is_cseq_right && is_earlier && doubtful.is_none() {
                        // An answer that comes late or twice; or a server that always sends the same number.
                        doubtful = Some(answer);
                        continue;
                    }
                    self.is_cseq_right &= number == Some(cseq);
                    break Some(answer);
                }
                other => self.take(other),
            }
        };
        self.connection.reader().expect_description(false);
        if answer.is_none() {
            self.is_cseq_right = false;
        }
        answer.or(doubtful).ok_or(Failure::Silent)
    }

    async fn tear_down(mut self) {
        let base = self.base.clone();
        let cseq = self.send("TEARDOWN", &base, "");
        // The server ends the session itself if the request does not arrive.
        let _ = timeout(TEARDOWN_TIMEOUT, self.answer("TEARDOWN", cseq)).await;
    }
}

async fn open(target: &Target) -> Result<Connection, Failure> {
    let url = &target.url;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port().unwrap_or(if target.tls.is_some() { 322 } else { 554 });
    Connection::open(host, port, target.tls.as_ref()).await
}
