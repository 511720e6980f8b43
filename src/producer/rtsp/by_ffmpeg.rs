//! Reads a camera with the program ffmpeg, for cameras that this program's own client cannot read.
//!
//! ffmpeg gets the address through its standard input, as a list of one file for its `concat` demuxer (ffmpeg 5.0 and later), so that
//! its arguments, which every user of the machine can list, contain no password.

use std::process::Stdio;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};
use url::Url;

use super::{
    Plan, Transport,
    camera::Explainer,
    decode::Shown,
    ffmpeg::{CHUNK, last_messages, pipes, to_jpegs},
};
use crate::{
    error::{Cause, Code, Error, Result},
    multipart::Splitter,
    picture::Picture,
    secret,
    stream::Run,
};

/// Protocols that ffmpeg can use. A list from a camera's answer must not lead to files of this machine.
const PROTOCOLS: &str = "pipe,rtsp,rtp,tcp,udp,http";

/// Whether ffmpeg can read the source in the way that its definition requires. ffmpeg checks no certificate.
pub(super) fn can_read(plan: &Plan) -> bool {
    plan.is_ffmpeg_installed() && plan.target().is_ok_and(|(url, _)| url.scheme() == "rtsp")
}

/// Reads and publishes until something fails.
pub(super) async fn read(plan: &Plan, run: &Run) -> Result<()> {
    let (url, login) = plan.target()?;
    if url.scheme() != "rtsp" {
        let message =
            format!("{} is read by rtsps, which ffmpeg does not check; set rtsp_cameras.reader to auto", plan.peer());
        return Err(Error::new(Code::Unavailable, message));
    }
    let explainer = Explainer::new(plan, &url, &login);
    let mut url = plan.pin(url).await?;
    let mut hidden = vec![];
    if let Some((user, password)) = &login
        && let Ok(with_login) = Url::parse(&secret::with_login(url.as_str(), user, password.expose()))
    {
        hidden.extend(with_login.password().map(str::to_owned));
        url = with_login;
    }
    let failure = |why: String| Error::new(Code::Unavailable, format!("{}: {why}", plan.peer()));
    let program = &plan.common.settings().ffmpeg;
    let keyframes: &[&str] = if plan.keyframes_only { &["-skip_frame", "nokey"] } else { &[] };
    let mut command = Command::new(program);
    command.args(["-hide_banner", "-loglevel", "error", "-protocol_whitelist", PROTOCOLS]).args(keyframes);
    command.args(["-thread_type", "slice", "-threads", "2", "-f", "concat", "-safe", "0", "-i", "pipe:0"]);
    to_jpegs(&mut command, plan, true);
    command.args(["-flush_packets", "1", "-f", "image2pipe", "pipe:1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let missing =
        |e| failure("ffmpeg, which is to read it, cannot be started (rtsp_cameras.ffmpeg)".into()).caused_by(e);
    let mut child = command.spawn().map_err(missing)?;
    plan.common.counters().ffmpeg_started();
    plan.common.counters().connected();
    let (mut stdin, mut stdout, mut messages) = pipes(&mut child)?;
    // ffmpeg tells in its messages why it has not read the list.
    let _ = stdin.write_all(list(&url, plan.transport).as_bytes()).await;
    drop(stdin);
    let mut splitter = Splitter::new(None, plan.limits.frame_size.bytes());
    let mut buffer = vec![0; CHUNK];
    let stale_after = plan.common.settings().stale_after;
    loop {
        let part = splitter.next_part().map_err(|fault| failure(format!("ffmpeg's output cannot be read: {fault}")))?;
        if let Some(part) = part {
            plan.publish(Shown::Jpeg(Picture::from_plain_jpeg(part.data, &plan.limits)?), &run.sink);
            continue;
        }
        match timeout(*stale_after, stdout.read(&mut buffer)).await {
            Ok(Ok(n @ 1..)) => splitter.feed(&buffer[..n]),
            Ok(_) => break,
            Err(_) => {
                return Err(failure(format!("ffmpeg, which reads it, has sent no picture for {stale_after}"))
                    .because(Cause::NoPicture));
            }
        }
    }
    let said = explainer.without_secrets(last_messages(&mut child, &mut messages).await);
    let said = hidden.iter().filter(|secret| !secret.is_empty()).fold(said, |said, secret| said.replace(secret, "***"));
    let last = said.rsplit("; ").next().unwrap_or_default().chars().take(200).collect::<String>();
    Err(failure(format!("ffmpeg, which reads it, ended: {last}")).because(cause_of(&last)).caused_by(said))
}

/// What ffmpeg's last message is about (its libavutil/error.c, libavformat/rtsp.c).
fn cause_of(message: &str) -> Cause {
    let about = [
        ("401", Cause::WrongPassword),
        ("403", Cause::WrongPassword),
        ("404", Cause::NotFound),
        ("Connection refused", Cause::Unreachable),
        ("No route to host", Cause::Unreachable),
        ("unreachable", Cause::Unreachable),
        ("timed out", Cause::Silent),
    ];
    about.into_iter().find(|(words, _)| message.contains(words)).map_or(Cause::NotUnderstood, |(_, cause)| cause)
}

/// The list for ffmpeg's `concat` demuxer.
fn list(url: &Url, transport: Transport) -> String {
    let transport = match transport {
        Transport::Udp => "udp",
        Transport::Http => "http",
        Transport::Auto | Transport::Tcp => "tcp",
    };
    let url = url.as_str().replace('\'', "%27");
    format!("ffconcat version 1.0\nfile '{url}'\noption rtsp_transport {transport}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_cannot_leave_its_line() {
        let url = Url::parse("rtsp://a'b:c@h/x'y\n?z").expect("an address");
        let text = list(&url, Transport::Auto);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert_eq!(text.matches('\'').count(), 2, "{text}");
        assert!(list(&url, Transport::Udp).ends_with("option rtsp_transport udp\n"));
    }
}
