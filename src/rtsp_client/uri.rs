//! URLs of requests: what control attributes are relative to, and how they are joined.

use url::Url;

use super::headers::Headers;

/// The URL that control attributes are relative to (RFC 2326, appendix C.1.1), if the answer has a usable one. Firmware writes
/// addresses without a scheme there.
pub(super) fn base(url: &Url, headers: &Headers, control: &str) -> String {
    let is_url =
        |text: &str| text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("rtsp")) && text.contains("://");
    if is_url(control) {
        return control.to_owned();
    }
    let announced = ["content-base", "content-location"].iter().filter_map(|name| headers.get(name));
    let mut usable = announced.filter_map(|text| match text {
        text if is_url(text) => Some(text.to_owned()),
        text if text.starts_with('/') => url.join(text).ok().map(Url::into),
        _ => None,
    });
    usable.next().unwrap_or_else(|| url.as_str().to_owned())
}

/// A control attribute behind the base, as ffmpeg and live555 join them: also behind a query.
pub(super) fn joined(base: &str, control: &str) -> String {
    match control.trim() {
        "" | "*" => base.to_owned(),
        absolute if absolute.contains("://") => absolute.to_owned(),
        relative if base.ends_with('/') || relative.starts_with('/') => {
            format!("{}/{}", base.trim_end_matches('/'), relative.trim_start_matches('/'))
        }
        relative => format!("{base}/{relative}"),
    }
}

/// A text without characters that would end a request line or a header.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).map(|c| if c == ' ' { "%20".to_owned() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        list.iter().for_each(|(name, value)| headers.push(name, value));
        headers
    }

    #[test]
    fn control_attributes_are_joined_with_the_base() {
        let url = Url::parse("rtsp://10.0.0.5:554/live?user=x").expect("an address");
        for (announced, session, control, expected) in [
            (&[("Content-Base", "rtsp://10.0.0.5/live/")][..], "*", "track1", "rtsp://10.0.0.5/live/track1"),
            (&[("Content-Base", "rtsp://0.0.0.0:554/live/")], "", "trackID=0", "rtsp://0.0.0.0:554/live/trackID=0"),
            (&[("Content-Base", "127.0.0.1:554/stream0/")], "", "track1", "rtsp://10.0.0.5:554/live?user=x/track1"),
            (&[("Content-Base", "")], "", "track1", "rtsp://10.0.0.5:554/live?user=x/track1"),
            (&[("Content-Base", ""), ("Content-Location", "rtsp://h/s")], "", "/track1", "rtsp://h/s/track1"),
            (&[("Content-Base", "/other/")], "", "track1", "rtsp://10.0.0.5:554/other/track1"),
            (&[], "", "track1", "rtsp://10.0.0.5:554/live?user=x/track1"),
            (&[], "rtsp://h/all", "track1", "rtsp://h/all/track1"),
            (&[], "", "rtsp://h/live/track1", "rtsp://h/live/track1"),
            (&[], "", "*", "rtsp://10.0.0.5:554/live?user=x"),
            (&[], "*", "", "rtsp://10.0.0.5:554/live?user=x"),
        ] {
            let base = base(&url, &headers(announced), session);
            assert_eq!(joined(&base, control), expected, "{announced:?} {session} {control}");
        }
    }

    #[test]
    fn a_camera_s_text_cannot_add_a_header() {
        assert_eq!(clean("track 1\r\nX: y\0"), "track%201X:%20y");
    }
}
