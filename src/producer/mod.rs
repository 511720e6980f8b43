//! Producers bring pictures into streams: one file (or folder) for each kind, and the list of kinds below.
//!
//! Every kind has `Settings` (its keys in `sidecar.yml` and the API) and a function `producer` that makes a [`Producer`]
//! from them. A kind knows [`FrameSink`] (through [`Run`]), but no other kind, no output and no HTTP.
//!
//! [`FrameSink`]: crate::stream::FrameSink
//! [`Run`]: crate::stream::Run

mod definition;
pub mod derived;
pub mod file;
pub mod graph;
pub mod http;
pub mod mosaic;
pub mod mqtt;
pub mod nas;
mod parents;
mod placement;
pub mod rtsp;
pub mod test_card;
pub mod udp_camera;
pub mod upload;

use std::sync::Arc;

pub use self::{
    definition::{StreamDefinition, check_nodes, check_title},
    parents::Parents,
    placement::{Place, Placement},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    error::{Error, Result},
    fetch::Fetch,
    mqtt::Mqtt,
    nas::AllNas,
    numbers,
    picture::{PictureLimits, text::Fonts},
    stream::{Producer, StreamName},
    values::Values,
};

/// Shared by all producers: limits, the UDP socket, the media folders, the store of uploads.
#[derive(Clone)]
pub struct ProducerContext {
    /// Limits on one picture.
    pub limits: PictureLimits,
    /// Finds the streams that others are made of.
    pub parents: Parents,
    /// On which node of a cluster producers run.
    pub placement: Placement,
    /// Values in text on pictures.
    pub values: Values,
    /// The fonts of text on pictures.
    pub fonts: Fonts,
    /// The socket that receives pictures of UDP cameras.
    pub udp: udp_camera::Hub,
    /// Shared by all RTSP cameras.
    pub rtsp: rtsp::Common,
    /// The media folders.
    pub media: file::MediaRoots,
    /// The NAS of `media.nas`.
    pub nas: AllNas,
    /// The connection to the MQTT broker.
    pub mqtt: Mqtt,
    /// The definitions of kind `mqtt` whose topic has wildcards.
    pub topics: mqtt::Groups,
    /// The client for requests to other hosts.
    pub fetch: Fetch,
    /// Keeps the last upload of each stream.
    pub uploads: upload::Store,
    /// Keeps the points of graphs.
    pub numbers: numbers::Store,
}

/// Declares the kinds. `$word` is a token and not a literal, because utoipa does not read the group in which serde
/// gets a literal. The modules are declared outside the macro, because rustfmt does not find modules inside a
/// macro.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $module:ident $word:tt),+ $(,)?) => {
        /// The definition of a stream's producer: the kind, and the settings of the kind.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
        #[serde(tag = "kind")]
        pub enum Definition {
            $($(#[$doc])* #[serde(rename = $word)] $variant($module::Settings)),+
        }

        impl Definition {
            /// The words of all kinds, in the order of the list.
            pub const KINDS: &[&str] = &[$($word),+];

            /// The word of this kind.
            pub fn kind(&self) -> &'static str {
                match self { $(Definition::$variant(_) => $word),+ }
            }

            /// Makes the producer. An error names the invalid setting.
            pub fn producer(&self, name: &StreamName, context: &ProducerContext) -> Result<Arc<dyn Producer>> {
                match self { $(Definition::$variant(settings) => $module::producer(settings, name, context)),+ }
            }

            /// Reads a definition of the kind `word` from any serde deserializer. For formats with conversions of
            /// their own (text to number), which a tagged enum prevents. None if there is no such kind.
            pub fn of_kind<'de, D: serde::Deserializer<'de>>(word: &str, from: D) -> Option<Result<Self, D::Error>> {
                match word {
                    $(// The method of the trait: a kind can have an inherent method of the same name (serde's `remote`), which does less.
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
    /// A camera that gets requests by UDP and answers with a picture, as the ESP32 sketch in examples/ does.
    UdpCamera = udp_camera "udp-camera",
    /// An RTSP camera, or a path of MediaMTX.
    Rtsp = rtsp "rtsp",
    /// A picture file, or a folder or pattern of picture files as a slideshow.
    File = file "file",
    /// A camera with HTTP: MJPEG, or one picture for each request.
    Http = http "http",
    /// A picture on a NAS, or a folder of pictures as a slideshow.
    Nas = nas "nas",
    /// Pictures in messages of an MQTT topic.
    Mqtt = mqtt "mqtt",
    /// A graph of numbers that are sent, published by MQTT, or read from a page of metrics.
    Graph = graph "graph",
    /// Another stream or path of MediaMTX: cut, scaled, turned, drawn on; with a permission of its own.
    Derived = derived "derived",
    /// Many streams as one picture, with a tile for each.
    Mosaic = mosaic "mosaic",
    /// A generated card with name, clock and counter.
    TestCard = test_card "test-card",
}

impl Definition {
    /// The definition of streams that uploads make.
    pub fn upload() -> Self {
        Definition::Upload(upload::Settings {})
    }

    /// The definition of graphs that the first points to a name make.
    pub fn graph() -> Self {
        Definition::Graph(graph::Settings::default())
    }

    /// Whether only one node of a cluster fetches its pictures, because they come from a device or a host that must not be asked by each
    /// node. Other kinds are made where they are watched, or come to each node.
    fn has_one_source(&self) -> bool {
        matches!(self, Definition::UdpCamera(_) | Definition::Rtsp(_) | Definition::Http(_) | Definition::Nas(_))
    }

    /// A picture file, or a folder of them.
    pub fn file(path: String) -> Self {
        Definition::File(file::Settings::new(path))
    }

    /// A picture, or a folder of them, on a NAS. `nas` is its name in `media.nas`.
    pub fn nas(nas: String, path: String) -> Self {
        Definition::Nas(nas::Settings::new(nas, path))
    }

    /// The definition for the `type` parameter of the original recipe: `file` or `udp`.
    ///
    /// `interval` is the parameter of the same name in milliseconds, if the address has it. As in the original recipe, a UDP
    /// camera is asked that often, within the limits of such cameras.
    pub fn of_recipe(word: &str, interval: Option<&str>) -> Result<Self> {
        match word {
            "file" => Ok(Definition::upload()),
            "udp" => {
                Ok(Definition::UdpCamera(udp_camera::Settings::asked_each(interval.and_then(|text| text.parse().ok()))))
            }
            other => Err(Error::parameter("type", format!("must be file or udp, not {other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_recipe_is_that_of_its_camera() {
        for (interval, expected) in [
            (None, None),
            (Some("200"), Some("200ms")),
            (Some("40"), Some("100ms")),
            (Some("99999999999"), Some("1h")),
            (Some("soon"), None),
        ] {
            let definition =
                serde_json::to_value(Definition::of_recipe("udp", interval).expect("known")).expect("JSON");
            assert_eq!(definition["interval"].as_str(), expected, "{interval:?}");
        }
    }

    #[test]
    fn a_login_is_removed_from_an_address_by_every_way_of_reading_it() {
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
    fn an_error_names_the_unknown_part_of_a_definition() {
        let read = |text: &str| serde_json::from_str::<Definition>(text);
        assert_eq!(read(r#"{"kind":"upload"}"#).expect("known"), Definition::upload());
        for (text, says) in [
            (
                r#"{"kind":"webcam"}"#,
                "unknown variant `webcam`, expected one of `upload`, `udp-camera`, `rtsp`, `file`, `http`, `nas`, `mqtt`, `graph`, `derived`, `mosaic`, `test-card`",
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
