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
