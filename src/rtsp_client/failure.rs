//! [`Failure`]: why a camera cannot be read, in words without its address.

use std::{fmt, io};

/// Most characters of a camera's line in an error.
const MAX_QUOTED: usize = 120;

/// Why a session failed.
#[derive(Debug)]
pub enum Failure {
    /// No connection.
    Unreachable(io::Error),
    /// No trusted connection; the text begins in lower case and says why.
    Tls(String),
    /// No answer in time.
    Silent,
    /// The connection was closed, perhaps with a reason of the system.
    Closed(Option<io::Error>),
    /// 401 without an answerable challenge, or 401 to an answer to a fresh nonce, or 403.
    Password {
        /// Whether there was a user name and password to send.
        is_given: bool,
        /// The authentication schemes that the camera offers, if none of them is supported.
        unsupported: Option<String>,
    },
    /// The stream is at another address.
    Moved(String),
    /// Another refusal.
    Refused {
        /// The request.
        method: &'static str,
        /// The status code.
        status: u16,
        /// The camera's words, cleaned.
        reason: String,
    },
    /// Bytes that are no RTSP.
    Malformed(Malformed),
    /// The description has no video that can be read here.
    NoVideo {
        /// The names of the codecs of its video.
        videos: Vec<String>,
        /// The names of the codecs of its sound.
        sounds: Vec<String>,
    },
}

/// Where a camera's bytes end to be RTSP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The rule that is broken.
    pub rule: &'static str,
    /// Position of the first such byte in the connection, from 0.
    pub offset: u64,
    /// Number of the line in the answer, from 1.
    pub line: usize,
    /// The line, cleaned and cut.
    pub text: String,
}

impl Failure {
    /// Whether another client could succeed: the camera can be reached, and the password is not the reason.
    pub fn is_protocol(&self) -> bool {
        match self {
            Failure::Malformed(_) | Failure::Closed(_) => true,
            // ffmpeg knows more codecs.
            Failure::NoVideo { videos, .. } => !videos.is_empty(),
            Failure::Refused { status, .. } => !matches!(status, 403 | 404 | 453 | 461 | 503),
            Failure::Password { unsupported, .. } => unsupported.is_some(),
            Failure::Unreachable(_) | Failure::Tls(_) | Failure::Silent | Failure::Moved(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unreachable(e) => write!(f, "cannot be reached: {e}"),
            Failure::Tls(why) => write!(f, "offers no trusted connection: {why}"),
            Failure::Silent => f.write_str("does not answer"),
            Failure::Closed(_) => f.write_str("has closed the connection"),
            Failure::Password { unsupported: Some(schemes), .. } => {
                write!(f, "requires a kind of password that is not supported: {schemes}")
            }
            Failure::Password { is_given: true, .. } => f.write_str("refuses the user name and password"),
            Failure::Password { is_given: false, .. } => f.write_str("requires a user name and password"),
            Failure::Moved(location) => write!(f, "redirects to {location}"),
            Failure::Refused { method, status, reason } => write!(f, "refuses {method}: {status} {reason}"),
            Failure::Malformed(Malformed { rule, offset, line, text }) => {
                write!(f, "sends {rule}, in line {line} at byte {offset}: {text:?}")
            }
            Failure::NoVideo { videos, sounds } if videos.is_empty() && sounds.is_empty() => {
                f.write_str("offers no video")
            }
            Failure::NoVideo { videos, sounds } if videos.is_empty() => {
                write!(f, "offers no video, only sound ({})", sounds.join(" and "))
            }
            Failure::NoVideo { videos, .. } => write!(f, "offers {}", videos.join(" and ")),
        }
    }
}

/// Foreign bytes as a short printable text.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MAX_QUOTED)]);
    text.trim().chars().take(MAX_QUOTED).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}
