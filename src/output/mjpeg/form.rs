//! [`Form`]: parts in other forms than [`Frame::part`], for clients of ustreamer.

use std::{
    collections::VecDeque,
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::{Duration, Instant};

use crate::{
    error::{Error, Result},
    picture::{Frame, PREAMBLE},
    query,
};

/// The form of the parts. The flags have the names and the meaning that they have in ustreamer (its
/// src/ustreamer/http/server.c).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// `advance_headers`: each picture is followed by the head of the next part, as browsers need it. Parts then
    /// have no length and no other headers.
    pub advance_heads: bool,
    /// `extra_headers`: parts have size, times and dropped frames in headers `X-UStreamer-…`.
    pub extra_headers: bool,
    /// `dual_final_frames`: a picture that no other follows at once is repeated at once, for Safari.
    pub dual_final_frames: bool,
    /// `zero_data`: parts have no picture, to measure everything else.
    pub zero_data: bool,
}

impl Form {
    /// Sets the flags that the query has; others keep their value.
    pub fn set_flags(&mut self, query: &str) -> Result<()> {
        for (name, value) in query::pairs(query) {
            let (name, flag) = match &*name {
                "advance_headers" => ("advance_headers", &mut self.advance_heads),
                "extra_headers" => ("extra_headers", &mut self.extra_headers),
                "dual_final_frames" => ("dual_final_frames", &mut self.dual_final_frames),
                "zero_data" => ("zero_data", &mut self.zero_data),
                _ => continue,
            };
            *flag = match &*value {
                // A flag without a value stays as it is, as in ustreamer.
                "" => continue,
                "1" | "true" => true,
                "0" | "false" => false,
                other => return Err(Error::parameter(name, format!("must be 0 or 1, not {other:?}"))),
            };
        }
        Ok(())
    }
}

impl Form {
    /// A part in this form. `dropped` are the frames that the client missed, `fps` the frames that it gets a
    /// second. Times are seconds since 1970; in ustreamer they are seconds since the machine started, but clients
    /// use only differences.
    pub(super) fn part(self, frame: &Frame, dropped: u64, fps: usize) -> Bytes {
        let jpeg = if self.zero_data { Bytes::new() } else { frame.jpeg() };
        let mut part = BytesMut::with_capacity(jpeg.len() + 1024);
        if self.advance_heads {
            part.put_slice(&jpeg);
            part.put_slice(b"\r\n");
            part.put_slice(PREAMBLE);
            part.put_slice(b"Content-Type: image/jpeg\r\n\r\n");
            return part.freeze();
        }
        let mut head = format!(
            "Content-Type: image/jpeg\r\nContent-Length: {}\r\nX-Timestamp: {}\r\n",
            jpeg.len(),
            frame.timestamp()
        );
        if frame.placeholder {
            head.push_str("X-Mtx-Placeholder: waiting\r\n");
        }
        if self.extra_headers {
            for (name, value) in fields(frame, dropped, fps) {
                let _ = write!(head, "X-UStreamer-{name}: {value}\r\n");
            }
        }
        head.push_str("\r\n");
        part.put_slice(head.as_bytes());
        part.put_slice(&jpeg);
        part.put_slice(b"\r\n");
        part.put_slice(PREAMBLE);
        part.freeze()
    }
}

fn fields(frame: &Frame, dropped: u64, fps: usize) -> Vec<(&'static str, String)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = frame.received_at.elapsed();
    let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
    let arrived = now.saturating_sub(age);
    let mut fields = vec![
        ("Online", (!frame.placeholder).to_string()),
        ("Dropped", dropped.to_string()),
        ("Width", frame.width.to_string()),
        ("Height", frame.height.to_string()),
        ("Client-FPS", fps.to_string()),
    ];
    // The arrivedra does not tell when it exposed and encoded the picture, so all of these are the time of arrival.
    for name in [
        "Grab-Begin-Time",
        "Grab-End-Time",
        "Encode-Begin-Time",
        "Encode-End-Time",
        "Expose-Begin-Time",
        "Expose-Cmp-Time",
        "Expose-End-Time",
    ] {
        fields.push((name, seconds(arrived)));
    }
    fields.push(("Send-Time", seconds(now)));
    fields.push(("Latency", seconds(age)));
    fields
}

/// Times at which the parts of the last second were sent.
#[derive(Default)]
pub(super) struct Sent(VecDeque<Instant>);

impl Sent {
    /// Counts one part and returns the number of parts in the last second.
    pub(super) fn a_second(&mut self, now: Instant) -> usize {
        self.0.push_back(now);
        while self.0.front().is_some_and(|at| now.duration_since(*at) > Duration::from_secs(1)) {
            self.0.pop_front();
        }
        self.0.len()
    }
}
