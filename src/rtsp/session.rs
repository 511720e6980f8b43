//! The protocol: answers requests, and gives the packets to send between them.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use bytes::Bytes;
use rtsp_types::{Method, Request, Response, StatusCode, Version, headers};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::{
    open::{self, Opened},
    pull,
    rtp::Packetizer,
    sdp,
};
use crate::{
    error::{Code, Error},
    foreign,
    metrics::{Playing, RtspCounters, SampleKind},
    output::h264::{Pacer, Sample},
    state::State,
    stream::Ended,
};

/// Timeout of a session in seconds (RFC 2326 section 12.37). MediaMTX sends a keepalive five seconds earlier, ffmpeg after
/// half of it, so that both sides notice a lost peer although pictures are rare.
const TIMEOUT: u64 = 12;

const PUBLIC: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, TEARDOWN";

/// Interval of RTCP sender reports, which map RTP time to wall-clock time (MediaMTX: useAbsoluteTimestamp).
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Most characters of a refusal in the log; it can repeat what the client sent.
const MAX_REASON: usize = 500;

type Answer = Response<Vec<u8>>;

/// The state of one client, which has at most one stream at a time.
pub(super) struct Session {
    state: Arc<State>,
    peer: SocketAddr,
    id: String,
    opened: Option<Opened>,
    track: Option<Track>,
    play: Option<Play>,
}

/// The state after SETUP.
struct Track {
    packetizer: Packetizer,
    /// Presentation time of the first sample.
    epoch: Option<Instant>,
    reported_at: Option<Instant>,
}

/// The state after PLAY.
struct Play {
    pacer: Pacer,
    is_paused: bool,
    counted_drops: u64,
    _counted: Playing,
}

impl Session {
    pub(super) fn new(state: Arc<State>, peer: SocketAddr) -> Self {
        let id = format!("{:016x}", getrandom::u64().unwrap_or_else(|_| u64::from(peer.port())));
        Session { state, peer, id, opened: None, track: None, play: None }
    }

    /// Cancelled when the reader must be disconnected; none before a stream is opened.
    pub(super) fn end(&self) -> Option<CancellationToken> {
        self.opened.as_ref().map(|opened| opened.permit.session().end().clone())
    }

    /// Counts bytes that were sent to the reader.
    pub(super) fn sent(&self, bytes: usize) {
        if let Some(opened) = &self.opened {
            opened.permit.session().sent(bytes);
        }
    }

    /// Whether the client is playing.
    pub(super) fn is_playing(&self) -> bool {
        self.play.as_ref().is_some_and(|play| !play.is_paused)
    }

    /// The next sample when it is due; pending while nothing plays. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Sample, Ended> {
        match &mut self.play {
            Some(play) if !play.is_paused => play.pacer.next().await,
            _ => std::future::pending().await,
        }
    }

    /// The RTP packets of a sample, and a sender report when one is due.
    pub(super) fn packets(&mut self, sample: &Sample, counters: &RtspCounters) -> Vec<Bytes> {
        let (Some(track), Some(play)) = (&mut self.track, &mut self.play) else { return vec![] };
        let epoch = *track.epoch.get_or_insert(sample.at);
        let time = track.packetizer.time(sample.at.duration_since(epoch));
        let mut out = vec![];
        track.packetizer.packetize(sample.nals().iter(), time, &mut out);
        let now = Instant::now();
        if track.reported_at.is_none_or(|at| now.duration_since(at) >= REPORT_EVERY) {
            // After the first packets: gortsplib ignores a report of a source that it does not know yet.
            track.reported_at = Some(now);
            let age = now.duration_since(sample.at);
            out.push(
                track.packetizer.report(time, SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)),
            );
        }
        counters.samples(if sample.repeated { SampleKind::Repeated } else { SampleKind::New }, 1);
        let dropped = play.pacer.dropped();
        counters.samples(SampleKind::Dropped, dropped - play.counted_drops);
        play.counted_drops = dropped;
        out
    }

    /// Answers a request.
    pub(super) async fn answer(&mut self, request: &Request<Vec<u8>>) -> Answer {
        let Some(cseq) = request.header(&headers::CSEQ).filter(|v| v.as_str().parse::<u32>().is_ok()) else {
            return text(StatusCode::BadRequest, "CSeq: must be a number (RFC 2326 section 12.17)");
        };
        let mut answer = match self.check(request) {
            Some(refusal) => refusal,
            None => self.dispatch(request).await,
        };
        answer.insert_header(headers::CSEQ, cseq.as_str());
        answer.insert_header(headers::SERVER, "mtx-sidecar");
        answer
    }

    /// Checks that apply to every method.
    fn check(&self, request: &Request<Vec<u8>>) -> Option<Answer> {
        if request.version() != Version::V1_0 {
            return Some(text(StatusCode::RTSPVersionNotSupported, "only RTSP/1.0 is supported"));
        }
        if let Some(require) = request.header(&headers::REQUIRE) {
            let mut answer = text(StatusCode::OptionNotSupported, "no options are supported");
            answer.insert_header(headers::UNSUPPORTED, require.as_str());
            return Some(answer);
        }
        let session = request.header(&headers::SESSION)?.as_str().split(';').next().unwrap_or_default().trim();
        (session != self.id)
            .then(|| text(StatusCode::SessionNotFound, "Session: this is not the session of this connection"))
    }

    async fn dispatch(&mut self, request: &Request<Vec<u8>>) -> Answer {
        match request.method() {
            Method::Options => {
                let mut answer = empty(StatusCode::Ok);
                answer.insert_header(headers::PUBLIC, PUBLIC);
                answer
            }
            Method::Describe => self.describe(request).await,
            Method::Setup => self.setup(request).await,
            Method::Play => self.begin(),
            Method::Pause => self.pause(),
            // A keepalive: there are no parameters.
            Method::GetParameter => self.with_session(empty(StatusCode::Ok)),
            Method::Teardown => {
                (self.play, self.track, self.opened) = (None, None, None);
                empty(StatusCode::Ok)
            }
            Method::Extension(_) => text(StatusCode::NotImplemented, "the method is not known"),
            _ => {
                let mut answer = text(StatusCode::MethodNotAllowed, "this server does not take publishers");
                answer.insert_header(headers::ALLOW, PUBLIC);
                answer
            }
        }
    }

    async fn describe(&mut self, request: &Request<Vec<u8>>) -> Answer {
        let accepts =
            |value: &str| value.contains("application/sdp") || value.contains("*/*") || value.contains("application/*");
        if request.header(&headers::ACCEPT).is_some_and(|value| !accepts(value.as_str())) {
            return text(StatusCode::NotAcceptable, "Accept: must include application/sdp");
        }
        if self.track.is_some() {
            return self.wrong_state("a stream is set up; tear it down first");
        }
        if let Some(url) = request.request_uri() {
            let authorization = request.header(&headers::AUTHORIZATION).map(|value| value.as_str());
            let shown = open::caller(self.peer, authorization, url).credentials;
            match pull::redirect(&self.state, url, &shown).await {
                Some(Ok(to)) => {
                    let mut answer = empty(StatusCode::Found);
                    answer.insert_header(headers::LOCATION, to.as_str());
                    return answer;
                }
                Some(Err(e)) => return refusal(&e, !shown.is_empty()),
                None => {}
            }
        }
        let opened = match self.open(request).await {
            Ok(opened) => opened,
            Err(answer) => return answer,
        };
        // Waits for the first access unit, so that the SDP carries SPS and PPS. MediaMTX waits for this answer no longer than
        // its readTimeout (10 s).
        let longest = *self.state.encodings.settings().first_frame_timeout + Duration::from_secs(1);
        let first = match &opened.reader {
            Some(reader) => reader.first(longest).await,
            None => None,
        };
        let id = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let description = sdp::describe(&opened.name, id, first.as_ref().map(|picture| &picture.access_unit));
        let answer = Response::builder(Version::V1_0, StatusCode::Ok)
            .header(headers::CONTENT_TYPE, "application/sdp")
            .header(headers::CONTENT_BASE, opened.base.as_str())
            .build(description);
        self.opened = Some(opened);
        answer
    }

    async fn setup(&mut self, request: &Request<Vec<u8>>) -> Answer {
        if self.play.is_some() {
            return self.wrong_state("the stream is playing already");
        }
        let Some(url) = request.request_uri() else { return text(StatusCode::BadRequest, "a track's URL is needed") };
        let transport = request.header(&headers::TRANSPORT).map(|value| value.as_str()).unwrap_or_default();
        let Some(channel) = interleaved(transport) else {
            return text(StatusCode::UnsupportedTransport, "Transport: must be RTP/AVP/TCP;unicast;interleaved=0-1");
        };
        if url.path().rsplit('/').next().is_some_and(|last| last.starts_with("trackID=") && last != sdp::TRACK) {
            return text(StatusCode::NotFound, "there is one track, trackID=0");
        }
        let same = self.opened.as_ref().is_some_and(|opened| opened.base == open::base(url));
        if !same {
            if self.track.is_some() {
                return self.wrong_state("another stream is set up; tear it down first");
            }
            // Some clients skip DESCRIBE.
            match self.open(request).await {
                Ok(opened) => self.opened = Some(opened),
                Err(answer) => return answer,
            }
        }
        let random = |_| getrandom::u32().unwrap_or_else(|_| self.peer.port().into());
        let [ssrc, sequence, time] = [0, 1, 2].map(random);
        self.track = Some(Track {
            packetizer: Packetizer::new(channel, ssrc, sequence as u16, time),
            epoch: None,
            reported_at: None,
        });
        let mut answer = empty(StatusCode::Ok);
        answer.insert_header(
            headers::TRANSPORT,
            format!("RTP/AVP/TCP;unicast;interleaved={channel}-{};ssrc={ssrc:08X}", channel + 1),
        );
        self.with_session(answer)
    }

    fn begin(&mut self) -> Answer {
        let Some(track) = &self.track else { return self.wrong_state("SETUP must come first") };
        let Some(opened) = &mut self.opened else { return self.wrong_state("SETUP must come first") };
        let since = track.epoch.map(|epoch| epoch.elapsed()).unwrap_or_default();
        let info = format!(
            "url={}{};seq={};rtptime={}",
            opened.base,
            sdp::TRACK,
            track.packetizer.sequence(),
            track.packetizer.time(since)
        );
        match (&mut self.play, opened.reader.take()) {
            (Some(play), _) => play.is_paused = false,
            (None, None) => return self.wrong_state("SETUP must come first"),
            (None, Some(reader)) => {
                let pacer = Pacer::new(reader, self.state.encodings.settings(), opened.want);
                let counted = self.state.metrics.rtsp().now_playing();
                self.play = Some(Play { pacer, is_paused: false, counted_drops: 0, _counted: counted });
                tracing::debug!(stream = %opened.name, "reading");
            }
        }
        let mut answer = empty(StatusCode::Ok);
        answer.insert_header(headers::RANGE, "npt=now-");
        answer.insert_header(headers::RTP_INFO, info);
        self.with_session(answer)
    }

    fn pause(&mut self) -> Answer {
        match &mut self.play {
            Some(play) => play.is_paused = true,
            None => return self.wrong_state("nothing is playing"),
        }
        self.with_session(empty(StatusCode::Ok))
    }

    async fn open(&self, request: &Request<Vec<u8>>) -> Result<Opened, Answer> {
        let url = request.request_uri().ok_or_else(|| text(StatusCode::BadRequest, "a stream's URL is needed"))?;
        let authorization = request.header(&headers::AUTHORIZATION).map(|value| value.as_str());
        let caller = open::caller(self.peer, authorization, url);
        let opened = open::open(&self.state, self.peer, &caller, url)
            .await
            .map_err(|e| refusal(&e, !caller.credentials.is_empty()))?;
        tracing::Span::current().record("stream", tracing::field::display(&opened.name));
        Ok(opened)
    }

    fn with_session(&self, mut answer: Answer) -> Answer {
        if self.track.is_some() {
            answer.insert_header(headers::SESSION, format!("{};timeout={TIMEOUT}", self.id));
        }
        answer
    }

    fn wrong_state(&self, why: &str) -> Answer {
        let mut answer = text(StatusCode::MethodNotValidInThisState, why);
        answer.insert_header(headers::ALLOW, PUBLIC);
        answer
    }
}

/// The RTP channel of the first transport that is interleaved in this connection.
fn interleaved(transport: &str) -> Option<u8> {
    transport.split(',').find_map(|one| {
        let mut parts = one.trim().split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case("RTP/AVP/TCP") {
            return None;
        }
        let mut channel = 0;
        for part in parts {
            match part.split_once('=') {
                Some(("interleaved", channels)) => {
                    // RTCP uses the next channel, which must exist.
                    channel = channels.split('-').next()?.parse().ok().filter(|c| *c < u8::MAX)?;
                }
                Some(("mode", mode)) if !mode.trim_matches('"').eq_ignore_ascii_case("play") => return None,
                None if part.eq_ignore_ascii_case("multicast") => return None,
                _ => {}
            }
        }
        Some(channel)
    })
}

fn empty(status: StatusCode) -> Answer {
    Response::builder(Version::V1_0, status).build(vec![])
}

fn text(status: StatusCode, why: &str) -> Answer {
    let body = format!("{why}\n").into_bytes();
    Response::builder(Version::V1_0, status).header(headers::CONTENT_TYPE, "text/plain").build(body)
}

fn refusal(error: &Error, showed_credentials: bool) -> Answer {
    let status = match error.code() {
        Code::TooManyFailures => StatusCode::Forbidden,
        code => StatusCode::from(code.status()),
    };
    // Every client is asked for credentials first, which needs no log line.
    if error.code() != Code::Unauthenticated || showed_credentials {
        tracing::info!("refused: {}", foreign::limited(&error.chain(), MAX_REASON));
    }
    let mut answer = text(status, &error.to_string());
    if status == StatusCode::Unauthorized {
        answer.insert_header(headers::WWW_AUTHENTICATE, "Basic realm=\"mtx-sidecar\"");
    }
    answer
}

/// The answer to bytes that are no request, before the connection is closed.
pub(super) fn not_understood(too_long: bool) -> Answer {
    match too_long {
        true => text(StatusCode::RequestMessageBodyTooLarge, "the request is too long"),
        false => text(StatusCode::BadRequest, "this is not RTSP/1.0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_transport_within_the_connection_is_taken() {
        for (transport, channel) in [
            ("RTP/AVP/TCP;unicast;interleaved=0-1", Some(0)),
            ("RTP/AVP/TCP;interleaved=4-5", Some(4)),
            ("rtp/avp/tcp;unicast", Some(0)),
            ("RTP/AVP;unicast;client_port=5000-5001, RTP/AVP/TCP;unicast;interleaved=2-3", Some(2)),
            ("RTP/AVP/TCP;unicast;interleaved=0-1;mode=\"PLAY\"", Some(0)),
            ("RTP/AVP/TCP;unicast;interleaved=254-255", Some(254)),
            ("RTP/AVP/TCP;unicast;interleaved=255-256", None),
            ("RTP/AVP/TCP;unicast;interleaved=x", None),
            ("RTP/AVP/TCP;unicast;interleaved=0-1;mode=record", None),
            ("RTP/AVP;unicast;client_port=5000-5001", None),
            ("RTP/AVP/UDP;unicast;client_port=5000-5001", None),
            ("RTP/AVP/TCP;multicast", None),
            ("", None),
        ] {
            assert_eq!(interleaved(transport), channel, "{transport}");
        }
    }
}
