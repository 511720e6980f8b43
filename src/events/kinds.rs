//! All kinds of events. A new kind is one entry here and the code that publishes it: its word, its audience, its data and its
//! description are in the OpenAPI document (`EventKind`), from which the console has them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        extensions::ExtensionsBuilder,
        schema::{ObjectBuilder, Schema, Type},
    },
};

/// Who hears of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Callers with `read` on its path, and administrators.
    Readers,
    /// Callers with `api`.
    Administrators,
    /// Callers with `read` on anything: the event is about no path.
    Everyone,
}

impl Audience {
    /// The permission that is needed.
    pub fn action(self) -> &'static str {
        match self {
            Audience::Readers | Audience::Everyone => "read",
            Audience::Administrators => "api",
        }
    }
}

/// Makes [`Kind`] of a list: description, name, word, audience, and the members of `data` with what they are.
macro_rules! events {
    ($($(#[doc = $about:literal])+ $variant:ident = $word:literal for $audience:ident { $($member:ident: $what:literal),* $(,)? })+) => {
        /// The kind of an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $($(#[doc = $about])+ #[serde(rename = $word)] $variant),+
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Kind] = &[$(Kind::$variant),+];

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$variant => $word),+ }
            }

            /// Who hears of it.
            pub fn audience(self) -> Audience {
                match self { $(Kind::$variant => Audience::$audience),+ }
            }

            /// The members of its data, each with what it is. A member can be missing.
            pub fn members(self) -> &'static [(&'static str, &'static str)] {
                match self { $(Kind::$variant => &[$((stringify!($member), $what)),*]),+ }
            }

            /// When it is published.
            pub fn about(self) -> &'static str {
                match self { $(Kind::$variant => concat!($($about),+).trim_ascii_start()),+ }
            }
        }
    };
}

events! {
    /// A path of MediaMTX has a publisher, or its source is connected.
    PathAvailable = "path.available" for Readers {
        source: "MediaMTX's type of the source, such as `rtspSession`",
    }
    /// A path of MediaMTX has lost its publisher or source.
    PathUnavailable = "path.unavailable" for Readers {}
    /// A reader of MediaMTX has connected.
    ReaderJoined = "reader.joined" for Administrators {
        reader: "MediaMTX's type of the reader, such as `webRTCSession`",
        id: "MediaMTX's id of the reader",
    }
    /// A reader of MediaMTX has disconnected.
    ReaderLeft = "reader.left" for Administrators {
        reader: "MediaMTX's type of the reader",
        id: "MediaMTX's id of the reader",
    }
    /// A file of a recording is complete. A hook gives its name at once; without a hook its start is known within 10 seconds.
    RecordingSegment = "recording.segment" for Readers {
        start: "when the file begins (RFC 3339), as MediaMTX lists it",
        hook: "`record-segment-complete`, if a hook has posted the event",
        variables: "the hook's variables, such as `MTX_SEGMENT_PATH`",
    }
    /// A stream of the sidecar has changed its state, has stalled or goes on, or is removed.
    StreamState = "stream.state" for Readers {
        state: "`idle`, `starting`, `live`, `lingering`, `failing` or `removed`",
        reason: "the reason, for people",
        failure: "`code`, `cause`, `reason` and time (`at`) of the failure since the last picture, or null",
        stalled: "whether the source is connected and has brought no picture for some seconds",
        before: "the state before; null for a new stream",
    }
    /// MediaMTX no longer answers the sidecar, or answers again. `path` is empty.
    ServerState = "server.state" for Everyone {
        answers: "whether it answers",
    }
    /// A kept path has changed its `state`.
    PathDrift = "path.drift" for Administrators {
        state: "the state, as `GET /api/v1/paths` has it",
        error: "MediaMTX's message, or null",
        differs: "the settings that differ at MediaMTX",
    }
    /// A client has shown a wrong password or token. At most one event a minute for each user name and address.
    LoginFailed = "login.failed" for Administrators {
        user: "the user name that was shown",
        ip: "the client's address, or null",
        protocol: "the protocol of the request",
        reason: "the reason, for people",
    }
    /// A hook of MediaMTX has posted data.
    Hook = "hook" for Administrators {
        hook: "the word in the hook's address",
        variables: "the hook's variables, such as `MTX_PATH`",
    }
}

impl PartialSchema for Kind {
    /// Strings, so that generated clients have a plain enumeration. Extensions have the rest, in the same order:
    /// `x-enum-descriptions`, the needed permission in `x-enum-permissions`, the members of `data` in `x-enum-data`.
    fn schema() -> RefOr<Schema> {
        let each = |value: fn(&Kind) -> serde_json::Value| Kind::ALL.iter().map(value).collect::<Vec<_>>();
        let data = |kind: &Kind| kind.members().iter().map(|(name, what)| ((*name).to_owned(), json!(what))).collect();
        let extensions = ExtensionsBuilder::new()
            .add("x-enum-descriptions", each(|kind| json!(kind.about())))
            .add("x-enum-permissions", each(|kind| json!(kind.audience().action())))
            .add("x-enum-data", Kind::ALL.iter().map(data).collect::<Vec<serde_json::Value>>());
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Kind::ALL.iter().map(|kind| kind.as_str())))
            .description(Some("The kind of an event."))
            .extensions(Some(extensions.build()))
            .into()
    }
}

impl ToSchema for Kind {
    fn name() -> Cow<'static, str> {
        "EventKind".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_in_code_json_and_schema() {
        let schema = serde_json::to_value(Kind::schema()).expect("JSON");
        for (i, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(json!(kind), json!(kind.as_str()));
            assert_eq!(serde_json::from_value::<Kind>(json!(kind.as_str())).expect("a kind"), *kind);
            assert_eq!(schema["enum"][i], kind.as_str());
            assert_eq!(schema["x-enum-descriptions"][i], kind.about());
            assert!(kind.about().ends_with('.') && !kind.about().starts_with(' '), "{:?}", kind.about());
        }
        assert_eq!(schema["enum"].as_array().map(Vec::len), Some(Kind::ALL.len()));
        let login = Kind::ALL.iter().position(|kind| *kind == Kind::LoginFailed).expect("listed");
        assert_eq!(schema["x-enum-permissions"][login], "api");
        assert!(schema["x-enum-data"][login]["user"].is_string());
    }
}
