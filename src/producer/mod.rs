//! Where pictures come from: one file (or folder) for each kind, and the list below.
//!
//! Every kind has `Settings` (what may be said about it in `sidecar.yml` and the API) and a
//! `producer` function that makes a [`Producer`] of them. Kinds know [`FrameSink`]
//! (through [`Run`]) and nothing of each other, of outputs, or of HTTP.
//!
//! [`FrameSink`]: crate::stream::FrameSink
//! [`Run`]: crate::stream::Run

pub mod file;
pub mod http;
pub mod nas;
pub mod rtsp;
pub mod test_card;
pub mod udp_camera;
pub mod upload;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    error::{Error, Result},
    fetch::Fetch,
    nas::AllNas,
    picture::PictureLimits,
    stream::{Producer, StreamName},
};

/// What producers share: limits, the UDP socket, the media folders, the store of uploads.
#[derive(Clone)]
pub struct ProducerContext {
    /// What one picture may cost.
    pub limits: PictureLimits,
    /// The socket on which UDP cameras answer.
    pub udp: udp_camera::Hub,
    /// What RTSP cameras share.
    pub rtsp: rtsp::Common,
    /// The folders from which files may be shown.
    pub media: file::MediaRoots,
    /// Those on NAS.
    pub nas: AllNas,
    /// How other hosts are reached.
    pub fetch: Fetch,
    /// Where the last upload of each stream is kept.
    pub uploads: upload::Store,
}

/// Declares the kinds. `$word` is a token and not a literal, because utoipa does not see through the group that serde
/// finds a literal in. The modules themselves stand above, outside of the macro, because rustfmt
/// does not look for modules inside of one.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $module:ident $word:tt),+ $(,)?) => {
        /// A stream's producer as it is written down: the kind, and what the kind wants to know.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
        #[serde(tag = "kind")]
        pub enum Definition {
            $($(#[$doc])* #[serde(rename = $word)] $variant($module::Settings)),+
        }

        impl Definition {
            /// The words for all kinds, in the order of the list.
            pub const KINDS: &[&str] = &[$($word),+];

            /// The word for this kind.
            pub fn kind(&self) -> &'static str {
                match self { $(Definition::$variant(_) => $word),+ }
            }

            /// Makes the producer, or says which setting is wrong.
            pub fn producer(&self, name: &StreamName, kit: &ProducerContext) -> Result<Arc<dyn Producer>> {
                match self { $(Definition::$variant(settings) => $module::producer(settings, name, kit)),+ }
            }

            /// Reads a definition of the kind `word` from anything serde can read; for sources whose
            /// own conversions (text to number) a tagged enum would hide.
            pub fn of_kind<'de, D: serde::Deserializer<'de>>(word: &str, from: D) -> Option<Result<Self, D::Error>> {
                match word {
                    $(// The trait's: a kind may have one of its own beside it (serde's `remote`), which does less.
                    $word => Some(<$module::Settings as serde::Deserialize>::deserialize(from).map(Definition::$variant)),)+
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Pictures that a peer uploads.
    Upload = upload "upload",
    /// A camera that answers requests by UDP, as the ESP32 sketch in examples/ does.
    UdpCamera = udp_camera "udp-camera",
    /// An RTSP camera, or a path of MediaMTX.
    Rtsp = rtsp "rtsp",
    /// A picture file, or a folder or pattern of them as a slideshow.
    File = file "file",
    /// A camera that is asked by HTTP: MJPEG, or one picture at a time.
    Http = http "http",
    /// A picture, or a folder of them as a slideshow, on a NAS.
    Nas = nas "nas",
    /// A drawn card with name, clock and counter.
    TestCard = test_card "test-card",
}

impl Definition {
    /// The definition of streams that uploads make.
    pub fn upload() -> Self {
        Definition::Upload(upload::Settings {})
    }

    /// A picture file, or a folder of them.
    pub fn file(path: String) -> Self {
        Definition::File(file::Settings::new(path))
    }

    /// A picture, or a folder of them, on a NAS. `nas` is its name in `media.nas`.
    pub fn nas(nas: String, path: String) -> Self {
        Definition::Nas(nas::Settings::new(nas, path))
    }

    /// What the original recipe's `type` parameter means: `file` or `udp`.
    pub fn of_recipe(word: &str) -> Result<Self> {
        match word {
            "file" => Ok(Definition::upload()),
            "udp" => Ok(Definition::UdpCamera(udp_camera::Settings::default())),
            other => Err(Error::parameter("type", format!("must be file or udp, not {other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_taken_out_of_an_address_whichever_way_it_is_read() {
        for word in ["http", "rtsp"] {
            let url = format!("{word}://ann:s3cret@192.168.1.30/x");
            let tagged = serde_json::json!({"kind": word, "url": url});
            let tagged: Definition = serde_json::from_value(tagged).expect("read");
            let alone = Definition::of_kind(word, serde_json::json!({"url": url})).expect("known").expect("read");
            assert_eq!(tagged, alone);
            let shown = serde_json::to_string(&alone).expect("written");
            assert!(!shown.contains("s3cret") && shown.contains("ann"), "{shown}");
        }
    }

    #[test]
    fn a_definition_names_what_it_does_not_know() {
        let read = |text: &str| serde_json::from_str::<Definition>(text);
        assert_eq!(read(r#"{"kind":"upload"}"#).expect("known"), Definition::upload());
        for (text, says) in [
            (
                r#"{"kind":"webcam"}"#,
                "unknown variant `webcam`, expected one of `upload`, `udp-camera`, `rtsp`, `file`, `http`, `nas`, `test-card`",
            ),
            (r#"{"kind":"upload","typo":1}"#, "unknown field `typo`"),
            (r#"{"kind":"file"}"#, "missing field `path`"),
            (r#"{}"#, "missing field `kind`"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
