//! The formats that ffmpeg may find in files of media folders.
//!
//! ffmpeg decides by the content of a file and not by its name, and some formats are lists of further addresses: an HLS
//! playlist named `film.mp4` makes it ask any host and port that the playlist names, from the machine on which it runs.

/// ffmpeg's names of the formats in which media files come (`-format_whitelist`): those of [`super::FileKind`], and none that
/// names other files or hosts.
pub const MEDIA_FORMATS: &str = "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,mp3,aac,loas,ogg,flac,wav,w64,\
    jpeg_pipe,png_pipe,webp_pipe,bmp_pipe,gif_pipe,gif,mjpeg";

/// Bytes at the beginning of a file that decide whether it is a list.
pub(super) const HEAD: usize = 512;

/// The beginnings of lists, in lower case, and their names.
const LISTS: [(&str, &str); 7] = [
    ("#extm3u", "a playlist (HLS, M3U)"),
    ("ffconcat", "a list for ffmpeg (ffconcat)"),
    ("<?xml", "an XML document (DASH, ASX, XSPF)"),
    ("<mpd", "a DASH manifest"),
    ("<asx", "a playlist (ASX)"),
    ("[playlist]", "a playlist (PLS)"),
    ("v=0", "a session description (SDP)"),
];

/// What a file is that claims to be a picture, a video or sound and is a list of addresses. `head` is its beginning.
pub(super) fn list_in(head: &[u8]) -> Option<&'static str> {
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let begins = |list: &str| head.get(..list.len()).is_some_and(|head| head.eq_ignore_ascii_case(list.as_bytes()));
    LISTS.iter().find(|(list, _)| begins(list)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_recognised_by_their_beginning() {
        for (head, is_list) in [
            (&b"#EXTM3U\n#EXT-X-TARGETDURATION:1"[..], true),
            (b"\xEF\xBB\xBF \r\n#extm3u", true),
            (b"ffconcat version 1.0\nfile x", true),
            (b"<?xml version='1.0'?><MPD>", true),
            (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1", true),
            (b"\0\0\0\x20ftypisom", false),
            (b"\x1A\x45\xDF\xA3", false),
            (b"GIF89a", false),
            (b"#", false),
            (b"", false),
        ] {
            assert_eq!(list_in(head).is_some(), is_list, "{head:?}");
        }
        assert!(!MEDIA_FORMATS.contains(' '), "one word of a command line");
    }
}
