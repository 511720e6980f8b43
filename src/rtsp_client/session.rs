//! [`Session`]: DESCRIBE, SETUP and PLAY, then packets, with a keep-alive, until it is dropped, which sends TEARDOWN.

mod keep_alive;
mod lane;
mod request;
mod set_up;

use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep_until, timeout};

use self::lane::Lane;
use super::{
    Codec, Track, Transport, Unit,
    clock::{Clocks, SenderReport},
    connection::Connection,
    failure::Failure,
    headers::Headers,
    message::Item,
    receive::Receiver,
    sound::SoundFormat,
    target::Target,
    tunnel,
};
use crate::fetch::challenge::Scheme;

/// Attempts of one request: without a password, with one, and twice more if the nonce has become stale.
const ATTEMPTS: usize = 4;

/// The pauses of a tunnel between its GET and its POST, in attempts after one that the server has closed: MediaMTX 1.20 answers a GET before
/// it knows it, and closes a POST that comes before that.
const TUNNEL_PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// How long the answer to an earlier request is held back, because the right one can follow.
const GRACE: Duration = Duration::from_millis(300);

/// The timeout of a session without another one (RFC 2326, section 12.37), and the longest pause between two signs of life.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How long a session waits for the answer to TEARDOWN.
const TEARDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Most bytes that wait to be sent. A server that does not read gets no signs of life beyond that.
const MAX_UNSENT: usize = 64 << 10;

/// The channels that SETUP asks for, for video.
const CHANNELS: (u8, u8) = (0, 1);

/// The sound of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sound {
    /// The server offers none.
    Absent,
    /// The server offers none that can be read here; the names of the codecs.
    Unreadable(Vec<String>),
    /// It was not wanted.
    Unwanted,
    /// The server offers it, and does not give it; its words.
    Refused(String),
    /// It is read.
    Playing(SoundFormat),
}

/// A unit with its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The unit.
    pub unit: Unit,
    /// Whether it is sound.
    pub is_sound: bool,
    /// When it is shown or heard, on the clock of this machine: units of picture and sound of one moment have one time.
    pub at: Instant,
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

/// A playing session with a video track, and the sound if it is wanted. A session that ends without TEARDOWN stays at the camera until
/// its timeout, and cameras have few; so dropping it sends TEARDOWN.
pub struct Session(Option<Box<Inner>>);

struct Inner {
    target: Target,
    /// Between the GET and the POST of a tunnel.
    tunnel_pause: Duration,
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
    video: Option<Lane>,
    sound: Option<Lane>,
    offered: Sound,
    clocks: Clocks,
    /// The server is asked for the sound.
    is_at_sound: bool,
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
    /// Connects and plays the first video that can be read, with its sound if that is wanted. Fails after `limit`.
    pub async fn play(target: Target, limit: Duration) -> Result<Self, Failure> {
        let deadline = Instant::now() + limit;
        let mut pause = Duration::ZERO;
        let mut begun = Self::begin(target.clone(), pause, deadline).await;
        for longer in TUNNEL_PAUSES {
            if target.transport != Transport::Http || !matches!(begun, Err((Failure::Closed(_), false))) {
                break;
            }
            pause = longer;
            begun = Self::begin(target.clone(), pause, deadline).await;
        }
        match begun {
            // Firmware that ends the connection, or says nothing, when it is asked for a second track.
            Err((_, true)) => {
                let silent = Target { wants_sound: Arc::new(|| false), ..target };
                let mut session = Self::begin(silent, pause, deadline).await.map_err(|(why, _)| why)?;
                if let Some(inner) = &mut session.0 {
                    inner.offered = Sound::Refused("no answer".into());
                }
                Ok(session)
            }
            other => other.map_err(|(why, _)| why),
        }
    }

    /// Begins a session. A failure comes with whether the sound is the reason. `pause` is that of a tunnel before its POST.
    async fn begin(target: Target, pause: Duration, deadline: Instant) -> Result<Self, (Failure, bool)> {
        let opening = open(&target, pause);
        let opened = tokio::time::timeout_at(deadline, opening).await.map_err(|_| (Failure::Silent, false))?;
        let connection = opened.map_err(|why| (why, false))?;
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
            tunnel_pause: pause,
            connection,
            is_closed: false,
            auth: None,
            cseq: 0,
            is_cseq_right: true,
            base,
            id: None,
            track: Track::default(),
            codec: Codec::H264,
            video: None,
            sound: None,
            offered: Sound::Absent,
            clocks: Clocks::new(90_000, None),
            is_at_sound: false,
            keep_alive,
            is_set_up: false,
        };
        let mut session = Session(Some(Box::new(inner)));
        let Some(inner) = &mut session.0 else { return Err((Failure::Silent, false)) };
        match tokio::time::timeout_at(deadline, inner.start()).await {
            Ok(Ok(())) => Ok(session),
            Ok(Err(why)) => Err((why, inner.is_at_sound)),
            // What the server has sent explains why there is no answer.
            Err(_) => Err(match inner.connection.reader().skipped() {
                Some(skipped) => (Failure::Malformed(skipped.clone()), false),
                None => (Failure::Silent, false),
            }),
        }
    }

    /// The codec of the track.
    pub fn codec(&self) -> Codec {
        self.0.as_ref().map_or(Codec::H264, |inner| inner.codec)
    }

    /// The sound of the session.
    pub fn sound(&self) -> Sound {
        self.0.as_ref().map_or(Sound::Absent, |inner| inner.offered.clone())
    }

    /// The next unit. Cancel-safe. Must be called all the time, because it reads the connection and keeps it alive.
    pub async fn next(&mut self) -> Result<Received, Failure> {
        match &mut self.0 {
            Some(inner) => inner.next().await,
            None => Err(Failure::Closed(None)),
        }
    }
}

impl Inner {
    async fn next(&mut self) -> Result<Received, Failure> {
        loop {
            if let Some(received) = self.pop() {
                return Ok(received);
            }
            let receivers = [&self.video, &self.sound].into_iter().flatten().map(|lane| &lane.receiver);
            let deadline = receivers.filter_map(Receiver::deadline).min();
            let has_udp = self.video.as_ref().is_some_and(|lane| lane.udp.is_some());
            tokio::select! {
                item = self.connection.item(), if !self.is_closed => match item {
                    Ok(item) => self.take(item),
                    // Packets by UDP can go on without the connection.
                    Err(Failure::Closed(_)) if has_udp => self.is_closed = true,
                    Err(e) => return Err(e),
                },
                (data, is_report) = Lane::datagram(&mut self.video) => self.take_datagram(true, data, is_report),
                (data, is_report) = Lane::datagram(&mut self.sound) => self.take_datagram(false, data, is_report),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    for lane in [&mut self.video, &mut self.sound].into_iter().flatten() {
                        lane.receiver.release(Instant::now());
                    }
                }
                () = sleep_until(self.keep_alive.at), if !self.is_closed => self.send_sign_of_life().await,
            }
        }
    }

    fn pop(&mut self) -> Option<Received> {
        let now = Instant::now();
        if let Some(unit) = self.video.as_mut().and_then(|lane| lane.receiver.pop()) {
            let at = self.clocks.video(unit.timestamp, now);
            return Some(Received { unit, is_sound: false, at });
        }
        let unit = self.sound.as_mut().and_then(|lane| lane.receiver.pop())?;
        let at = self.clocks.sound(unit.timestamp, now);
        Some(Received { unit, is_sound: true, at })
    }

    fn take_datagram(&mut self, is_video: bool, data: bytes::Bytes, is_report: bool) {
        let lane = if is_video { &mut self.video } else { &mut self.sound };
        match (SenderReport::read(&data), lane) {
            (Some(report), _) => self.clocks.report(is_video, report),
            (None, Some(lane)) if !is_report => {
                lane.take(data);
            }
            _ => {}
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
        for (is_video, lane) in [(true, &mut self.video), (false, &mut self.sound)] {
            let Some(lane) = lane.as_mut().filter(|lane| [lane.channels.0, lane.channels.1].contains(&channel)) else {
                continue;
            };
            if let Some(report) = SenderReport::read(&data) {
                return self.clocks.report(is_video, report);
            }
            if channel == lane.channels.1 || lane.take(data.clone()) {
                return;
            }
        }
        for lane in [&mut self.video, &mut self.sound].into_iter().flatten() {
            if lane.take_elsewhere(channel, data.clone()) {
                return;
            }
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

    async fn tear_down(mut self) {
        let base = self.base.clone();
        let cseq = self.send("TEARDOWN", &base, "");
        // The server ends the session itself if the request does not arrive.
        let _ = timeout(TEARDOWN_TIMEOUT, self.answer("TEARDOWN", cseq)).await;
    }
}

async fn open(target: &Target, pause: Duration) -> Result<Connection, Failure> {
    match target.transport {
        Transport::Http => tunnel::open(target, pause).await,
        Transport::Auto | Transport::Tcp | Transport::Udp => target.connect().await,
    }
}
