//! [`Cause`]: why a source gives no pictures, as a word that programs compare and pages translate.

use serde::{Serialize, Serializer};

macro_rules! causes {
    ($($variant:ident = $word:literal $title:literal),+ $(,)?) => {
        /// Why a source gives no pictures. More precise than [`Code`](super::Code), which is about the request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cause {
            $(#[doc = $title] $variant),+
        }

        impl Cause {
            /// All causes, in the order of docs/errors.md.
            pub const ALL: &[Cause] = &[$(Cause::$variant),+];

            /// The stable word.
            pub fn as_str(self) -> &'static str {
                match self { $(Cause::$variant => $word),+ }
            }

            /// A sentence for everyone who can watch: without names and addresses of the network.
            pub fn title(self) -> &'static str {
                match self { $(Cause::$variant => $title),+ }
            }
        }
    };
}

causes! {
    WrongPassword = "wrong_password" "The source refuses the user name or the password",
    PasswordNeeded = "password_needed" "The source requires a user name and a password",
    PasswordUnsupported = "password_unsupported" "The source requires a kind of password that is not supported",
    UnknownHost = "unknown_host" "The host name of the source is not known",
    NotPermitted = "not_permitted" "The address of the source is outside of the permitted networks",
    Unreachable = "unreachable" "The source cannot be reached",
    Untrusted = "untrusted" "The certificate of the source is not trusted",
    Silent = "silent" "The source does not answer",
    Disconnected = "disconnected" "The source has closed the connection",
    NotFound = "not_found" "The source has nothing at this address",
    Moved = "moved" "The source redirects to an address that is not followed",
    Busy = "busy" "The source serves too many others",
    Refused = "refused" "The source refuses the request",
    NotUnderstood = "not_understood" "The answer of the source is not understood",
    Codec = "codec" "The codec of the source is not supported",
    NoVideo = "no_video" "The source offers no video",
    NoPicture = "no_picture" "The source sends no picture",
    NotAPicture = "not_a_picture" "The source sends something that is not a picture",
    NoPublisher = "no_publisher" "Nothing publishes to the path",
    UnknownFile = "unknown_file" "The file or folder does not exist, or has no picture",
    Parent = "parent" "The stream that this one is made of fails",
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn causes_are_distinct() {
        let words: HashSet<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        assert_eq!(words.len(), Cause::ALL.len());
    }
}
