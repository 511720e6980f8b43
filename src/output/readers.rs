//! Programs that read pictures and video, known by the name in their `User-Agent`. Only where a program cannot be served
//! as all others are.

/// Words in the names of decoders: libavformat and ffmpeg, Frigate (`FFmpeg Frigate/0.16`), GStreamer, VLC, OpenCV.
const DECODERS: [&str; 6] = ["lavf", "ffmpeg", "frigate", "gstreamer", "vlc", "opencv"];

/// Bytes that Home Assistant's MJPEG camera reads before it looks for a picture, if it has no still URL
/// (homeassistant/components/mjpeg/camera.py, `BUFFER_SIZE`).
const HOME_ASSISTANT_READS: usize = 102_400;

/// Whether the reader is a decoder: it probes its input before it starts, and others join what it makes of it (MediaMTX's
/// readers join the ffmpeg of runOnDemand), so that it needs the picture again and again.
pub fn is_decoder(user_agent: &str) -> bool {
    let name = user_agent.to_ascii_lowercase();
    DECODERS.iter().any(|word| name.contains(word))
}

/// Python's clients: `stream.read(1024)` of urllib and `iter_content(1024)` of requests return whole blocks, so that a program gets
/// the end of a picture together with the begin of the next one.
const BLOCK_READERS: [&str; 3] = ["Python-urllib/", "python-requests/", "python-httpx/"];

/// Whether the reader shows a part of MJPEG only when the next one comes: WebKit, but not the engines that descend from it
/// and name it, too; and programs that read in blocks.
pub fn shows_a_part_late(user_agent: &str) -> bool {
    let is_webkit =
        user_agent.contains("AppleWebKit/") && !["Chrome/", "Chromium/"].iter().any(|name| user_agent.contains(name));
    is_webkit || BLOCK_READERS.iter().any(|name| user_agent.starts_with(name))
}

/// Number of bytes that the reader takes at a time, before it looks at them.
pub fn reads_at_once(user_agent: &str) -> Option<usize> {
    user_agent.starts_with("HomeAssistant/").then_some(HOME_ASSISTANT_READS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoders_are_known_by_a_word_anywhere_in_their_name() {
        for name in [
            "Lavf/60.16.100",
            "FFmpeg Frigate/0.16.1-abc",
            "GStreamer souphttpsrc 1.22.0 libsoup/3.2.2",
            "VLC/3.0.18 LibVLC/3.0.18",
            "opencv-python/4.9",
        ] {
            assert!(is_decoder(name), "{name}");
        }
        for name in ["", "curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"] {
            assert!(!is_decoder(name), "{name}");
        }
    }

    #[test]
    fn webkit_is_told_from_the_engines_that_name_it() {
        let webkit = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)";
        assert!(shows_a_part_late(&format!("{webkit} Version/17.5 Safari/605.1.15")));
        assert!(shows_a_part_late(&format!("{webkit} CriOS/126.0.0.0 Mobile/15E148 Safari/604.1")));
        assert!(!shows_a_part_late(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
        ));
        assert!(!shows_a_part_late("Mozilla/5.0 (X11; rv:128.0) Gecko/20100101 Firefox/128.0"));
    }

    #[test]
    fn python_s_clients_read_in_blocks() {
        for name in ["Python-urllib/3.11", "python-requests/2.32.3", "python-httpx/0.28.1"] {
            assert!(shows_a_part_late(name), "{name}");
        }
        assert!(!shows_a_part_late("Python/3.13 aiohttp/3.13.2"), "returns what has come");
    }
}
