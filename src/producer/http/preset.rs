//! The addresses of pictures in well-known cameras and programs.

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::Mode;

/// A kind of camera or program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Espressif's CameraWebServer: `:81/stream`, `/capture`.
    Esp32Cam,
    /// ESPHome's `esp32_camera_web_server`: a port for the stream (8080), one for snapshots (8081).
    Esphome,
    /// s60sc's ESP32-CAM_MJPEG2SD: `/sustain?video=1`, `/control?still=1`.
    Mjpeg2sd,
    /// Prusa's firmware for ESP32 cameras: `/stream.mjpg`.
    Prusa,
    /// OctoPi, Mainsail and Fluidd: `/webcam/?action=stream`.
    Octoprint,
    /// mjpg-streamer itself: `/?action=stream`.
    MjpgStreamer,
    /// ustreamer and camera-streamer: `/stream`, `/snapshot`.
    Ustreamer,
    /// Axis (VAPIX): `/axis-cgi/mjpg/video.cgi`, `/axis-cgi/jpg/image.cgi`.
    Axis,
}

/// Port (none for that of the scheme), and path with query.
type Endpoint = (Option<u16>, &'static str);

impl Preset {
    /// The addresses of the endless response and, if there is one, of a single picture.
    fn endpoints(self) -> (Endpoint, Option<Endpoint>) {
        match self {
            Preset::Esp32Cam => ((Some(81), "/stream"), Some((None, "/capture"))),
            Preset::Esphome => ((Some(8080), "/"), Some((Some(8081), "/"))),
            Preset::Mjpeg2sd => ((None, "/sustain?video=1"), Some((None, "/control?still=1"))),
            Preset::Prusa => ((None, "/stream.mjpg"), None),
            Preset::Octoprint => ((None, "/webcam/?action=stream"), Some((None, "/webcam/?action=snapshot"))),
            Preset::MjpgStreamer => ((Some(8080), "/?action=stream"), Some((Some(8080), "/?action=snapshot"))),
            Preset::Ustreamer => ((Some(8080), "/stream"), Some((Some(8080), "/snapshot"))),
            Preset::Axis => ((None, "/axis-cgi/mjpg/video.cgi"), Some((None, "/axis-cgi/jpg/image.cgi"))),
        }
    }

    /// Number of old pictures at the start: the driver of ESP32 cameras fills its buffers before a request arrives
    /// (esphome/issues#6997, espressif/esp32-camera `CAMERA_GRAB_WHEN_EMPTY`).
    pub(super) fn discard_first(self) -> u32 {
        match self {
            Preset::Esp32Cam | Preset::Esphome | Preset::Mjpeg2sd | Preset::Prusa => 1,
            _ => 0,
        }
    }

    /// Adds port, path and query to an address that has none.
    pub(super) fn complete(self, url: &mut Url, mode: Mode) {
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return;
        }
        let (stream, snapshot) = self.endpoints();
        let (port, place) = if mode == Mode::Snapshot { snapshot.unwrap_or(stream) } else { stream };
        let (path, query) = place.split_once('?').map_or((place, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        if url.port().is_none() && url.scheme() == "http" {
            // Fails only for addresses without a host.
            let _ = url.set_port(port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_enough_and_explicit_parts_stay() {
        use Preset::*;
        for (preset, url, mode, completed) in [
            (Esp32Cam, "http://cam", Mode::Auto, "http://cam:81/stream"),
            (Esp32Cam, "http://cam/", Mode::Snapshot, "http://cam/capture"),
            (Esp32Cam, "http://cam:8081", Mode::Mjpeg, "http://cam:8081/stream"),
            (Esphome, "http://cam", Mode::Auto, "http://cam:8080/"),
            (Esphome, "http://cam", Mode::Snapshot, "http://cam:8081/"),
            (Octoprint, "http://pi", Mode::Snapshot, "http://pi/webcam/?action=snapshot"),
            (MjpgStreamer, "http://pi:8081", Mode::Auto, "http://pi:8081/?action=stream"),
            (Prusa, "http://cam", Mode::Snapshot, "http://cam/stream.mjpg"),
            (Axis, "https://cam", Mode::Auto, "https://cam/axis-cgi/mjpg/video.cgi"),
            (Axis, "http://cam/own?x=1", Mode::Auto, "http://cam/own?x=1"),
            (Ustreamer, "http://pi/?own", Mode::Auto, "http://pi/?own"),
        ] {
            let mut address = Url::parse(url).expect(url);
            preset.complete(&mut address, mode);
            assert_eq!(address.as_str(), completed, "{preset:?} {url} {mode:?}");
        }
    }
}
