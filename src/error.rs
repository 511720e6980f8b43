//! The one error type. Its [`Code`] is stable and documented (docs/errors.md).
//!
//! `Display` is for the client: short, and without secrets. Details for the operator are in the source, and
//! [`Error::chain`] prints all of them for the log.

mod cause;

use std::{borrow::Cow, error::Error as StdError, fmt};

pub use cause::Cause;

macro_rules! codes {
    ($($variant:ident = $status:literal $code:literal $title:literal),+ $(,)?) => {
        /// The kind of a failure, as a stable word that programs can compare.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant),+
        }

        impl Code {
            /// All codes, in the order of docs/errors.md.
            pub const ALL: &[Code] = &[$(Code::$variant),+];

            /// The word in the `code` member of a problem document.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code),+ }
            }

            /// The HTTP status of the response.
            pub fn status(self) -> u16 {
                match self { $(Code::$variant => $status),+ }
            }

            /// The `title` member (RFC 9457, section 3.1.4): the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),+ }
            }
        }
    };
}

codes! {
    InvalidParameter = 400 "invalid_parameter" "A parameter has an impossible value",
    InvalidName = 400 "invalid_name" "The stream name is not valid",
    InvalidBody = 400 "invalid_body" "The request body cannot be read",
    EmptyBody = 400 "empty_body" "The request body is empty",
    InvalidRequest = 400 "invalid_request" "The request cannot be understood",
    Unauthenticated = 401 "unauthenticated" "Credentials are needed",
    Forbidden = 403 "forbidden" "The permission is missing",
    CrossSite = 403 "cross_site" "Refused: the request comes from another web site",
    UnknownFile = 404 "unknown_file" "There is no such file",
    UnknownIdentity = 404 "unknown_identity" "There is no such user, token or share",
    UnknownPath = 404 "unknown_path" "There is no such path",
    UnknownSession = 404 "unknown_session" "There is no such session",
    UnknownStream = 404 "unknown_stream" "There is no such stream",
    NotFound = 404 "not_found" "No resource has this address",
    MethodNotAllowed = 405 "method_not_allowed" "The address does not support the method",
    SlowBody = 408 "slow_body" "The request body did not arrive in time",
    ClusterConflict = 409 "cluster_conflict" "Another node has changed the same thing",
    KindConflict = 409 "kind_conflict" "The name is in use by a stream of another kind",
    FileExists = 409 "file_exists" "The file exists already",
    FixedByFile = 409 "fixed_by_file" "The stream is defined in the configuration file",
    PathExists = 409 "path_exists" "Another path has the name",
    PreconditionFailed = 412 "precondition_failed" "The resource does not meet the condition of the request",
    BodyTooLarge = 413 "body_too_large" "The request body is larger than the limit",
    FrameTooLarge = 413 "frame_too_large" "The picture is larger than the limit",
    NotAPicture = 415 "not_a_picture" "The data is not a picture of a known format",
    RangeNotSatisfiable = 416 "range_not_satisfiable" "The requested range is outside of the file",
    BrokenPicture = 422 "broken_picture" "The picture is damaged or incomplete",
    InvalidIdentity = 422 "invalid_identity" "The user, token or share is not valid",
    MediaMtxRefuses = 422 "mediamtx_refuses" "MediaMTX refused the change",
    InvalidPath = 422 "invalid_path" "The path is not valid",
    InvalidDefinition = 422 "invalid_definition" "The stream definition is not valid",
    NotAWebSocket = 426 "not_a_websocket" "A WebSocket handshake is needed",
    TooManyFailures = 429 "too_many_failures" "Too many failed sign-ins",
    Internal = 500 "internal" "The server failed",
    MediaMtxAway = 502 "mediamtx_away" "MediaMTX does not answer",
    RtspUnreadable = 502 "rtsp_unreadable" "The camera's RTSP is not understood here",
    Upstream = 502 "upstream" "Another host failed or refused",
    ClusterUnavailable = 503 "cluster_unavailable" "The cluster cannot agree on a change now",
    TooManyIdentities = 503 "too_many_identities" "The limit on users, tokens or shares is reached",
    TooManyPaths = 503 "too_many_paths" "The limit on paths is reached",
    TooManyPulledPaths = 503 "too_many_pulled_paths" "The limit on paths of MediaMTX that are watched here is reached",
    TooManyStreams = 503 "too_many_streams" "The limit on streams is reached",
    TooManyTranscodes = 503 "too_many_transcodes" "The limit on transformed streams is reached",
    TooManyWatchers = 503 "too_many_watchers" "The limit on watchers is reached",
    TooManyPublishers = 503 "too_many_publishers" "The limit on publishers is reached",
    Unavailable = 503 "unavailable" "Temporarily unavailable",
    NoPicture = 504 "no_picture" "The stream gave no picture in time",
    StorageTimeout = 504 "storage_timeout" "The disk did not answer in time",
    FrameMemory = 507 "frame_memory" "The memory for held pictures is full",
    StorageFull = 507 "storage_full" "The disk has no room",
}

/// A failure: its code, a sentence for the client, and the cause for the log.
#[derive(Debug)]
pub struct Error {
    code: Code,
    message: String,
    field: Option<Cow<'static, str>>,
    cause: Option<Cause>,
    /// More words than the message has, which name addresses of the network.
    words: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a sentence for the client.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error { code, message: message.into(), field: None, cause: None, words: None, source: None }
    }

    /// A parameter with an impossible value. The message names the parameter and the rule that it breaks.
    pub fn parameter(field: impl Into<Cow<'static, str>>, rule: impl fmt::Display) -> Self {
        let field = field.into();
        Error::new(Code::InvalidParameter, format!("{field}: {rule}")).in_field(field)
    }

    /// A failure inside the server. The client gets `context`, the log also gets the cause.
    pub fn internal(context: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Error::new(Code::Internal, context).caused_by(source)
    }

    /// A write that the disk did not take. A disk without room has a code of its own.
    pub fn unwritten(context: impl Into<String>, cause: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        let context = context.into();
        match cause.kind() {
            StorageFull | QuotaExceeded => Error::new(Code::StorageFull, format!("{context}: the disk has no room")),
            _ => Error::new(Code::Internal, context),
        }
        .caused_by(cause)
    }

    /// Names the field, parameter or header at fault.
    pub fn in_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Names the reason why a source gives no pictures.
    pub fn because(mut self, cause: impl Into<Option<Cause>>) -> Self {
        self.cause = cause.into();
        self
    }

    /// Attaches words for administrators and for the log, which can name addresses of the network.
    pub fn with_words(mut self, words: impl Into<String>) -> Self {
        self.words = Some(words.into());
        self
    }

    /// The error for an administrator: with the words that others do not get.
    pub fn in_full(mut self) -> Self {
        self.message = self.words.take().unwrap_or(self.message);
        self
    }

    /// The same error for another client, without its source.
    pub fn again(&self) -> Self {
        let Error { code, cause, .. } = *self;
        Error {
            code,
            message: self.message.clone(),
            field: self.field.clone(),
            cause,
            words: self.words.clone(),
            source: None,
        }
    }

    /// The words for administrators and for the log, if there are any.
    pub fn words(&self) -> Option<&str> {
        self.words.as_deref()
    }

    /// Attaches the source of the error, which goes to the log and not to the client.
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The field, parameter or header at fault, if one is known.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// Why a source gives no pictures, if that is known.
    pub fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// The message and every cause below it, for the log.
    pub fn chain(&self) -> String {
        let mut text = self.words.as_ref().unwrap_or(&self.message).clone();
        let mut next = self.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_their_status_is_an_error() {
        let words: HashSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|c| (400..600).contains(&c.status())));
    }

    #[test]
    fn a_write_on_a_full_disk_has_a_code_of_its_own() {
        for (kind, code) in [
            (std::io::ErrorKind::StorageFull, Code::StorageFull),
            (std::io::ErrorKind::QuotaExceeded, Code::StorageFull),
            (std::io::ErrorKind::PermissionDenied, Code::Internal),
        ] {
            let error = Error::unwritten("the picture is not kept", kind.into());
            assert_eq!(error.code(), code, "{kind:?}");
            assert!(error.to_string().starts_with("the picture is not kept"), "{error}");
        }
    }

    #[test]
    fn the_chain_tells_what_display_keeps_to_itself() {
        let error = Error::internal("cannot store the picture", std::io::Error::other("disk is full"));
        assert_eq!(error.to_string(), "cannot store the picture");
        assert_eq!(error.chain(), "cannot store the picture: disk is full");
        let error = Error::new(Code::NoPicture, "no picture").with_words("no picture: 10.0.0.5 refuses");
        assert_eq!(
            (error.to_string().as_str(), error.chain().as_str()),
            ("no picture", "no picture: 10.0.0.5 refuses")
        );
        assert_eq!(error.in_full().to_string(), "no picture: 10.0.0.5 refuses");
    }
}
