use proptest::prelude::*;

use super::*;

/// The items of a connection whose bytes come in pieces of this size, and after a silence.
fn items(data: &[u8], piece: usize, expects_description: bool) -> Result<Vec<Item>, Malformed> {
    let mut reader = Reader::new();
    reader.expect_description(expects_description);
    let mut items = vec![];
    for piece in data.chunks(piece) {
        reader.buffer().extend_from_slice(piece);
        while let Some(item) = reader.next()? {
            items.push(item);
        }
    }
    items.extend(reader.cut());
    Ok(items)
}

/// Items in short: `200 OK [session=1] body`, `> OPTIONS`, `$0 4`.
fn shown(items: &[Item]) -> Vec<String> {
    let show = |item: &Item| match item {
        Item::Answer(Answer { status, reason, headers, body }) => {
            let session = headers.get("session").map(|id| format!(" session={id}")).unwrap_or_default();
            format!("{status} {reason}{session} {}", String::from_utf8_lossy(body)).trim_end().replace("\r\n", "|")
        }
        Item::Call(method, _) => format!("> {method}"),
        Item::Packet(channel, data) => format!("${channel} {}", data.len()),
    };
    items.iter().map(show).collect()
}

const PACKET: &[u8] = b"$\x00\x00\x0C\x80\x60\0\x01\0\0\0\x01\0\0\0\x01";

fn with_packet(before: &[u8], behind: &[u8]) -> Vec<u8> {
    [before, PACKET, behind].concat()
}

#[test]
fn answers_are_read_in_every_form_that_devices_send() {
    for (data, expected) in [
        (&b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nSession: 1\r\n\r\n"[..], &["200 OK session=1"][..]),
        (b"RTSP/1.0 200 OK\nCSeq: 1\nsession : 1 \n\n", &["200 OK session=1"]),
        (b"RTSP/1.0 200 OK\r\nCSeq: 1\nSESSION:1\r\n\n", &["200 OK session=1"]),
        (b"\r\n\r\n RTSP/1.0  200\r\n\r\n", &["200"]),
        (b"rtsp/2.0 200 Everything is fine\r\n\r\n", &["200 Everything is fine"]),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", &["400 Bad Request"]),
        (b"RTSP/1.0 200 OK\r\nhello\r\nX Odd: 1\r\n: empty\r\nSession: 1\r\n\r\n", &["200 OK session=1"]),
        (b"RTSP/1.0 200 OK\r\nX: a\r\n \r\nSession:\r\n 1\r\n\r\n", &["200 OK session=1"]),
        (b"RTSP/1.0 200 OK\r\nX: \xFF\xE4\r\nSession: 1\r\n\r\n", &["200 OK session=1"]),
        (
            b"RTSP/1.0 200 OK\r\nSession: 1\r\nSession: 2\r\n\r\nRTSP/1.0 404 Not Found\r\n\r\n",
            &["200 OK session=2", "404 Not Found"],
        ),
        (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\nRTSP/1.0 200 OK\r\n\r\n", &["> OPTIONS", "200 OK"]),
        // The end of the head is missing.
        (b"RTSP/1.0 200 OK\r\nSession: 1\r\n", &["200 OK session=1"]),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nabRTSP/1.0 404 No\r\n\r\n", &["200 OK ab", "404 No"]),
        (b"half a line\r\nanother: line\r\nRTSP/1.0 200 OK\r\n\r\n", &["200 OK"]),
    ] {
        for piece in [1, 5, data.len()] {
            let read = items(data, piece, false).expect("no bound is exceeded");
            assert_eq!(shown(&read), expected, "{} in pieces of {piece}", String::from_utf8_lossy(data));
        }
    }
}

#[test]
fn the_length_of_a_description_is_corrected() {
    let sdp = "v=0\r\nm=video 0 RTP/AVP 96\r\n";
    let whole = format!("200 OK {}", sdp.trim_end().replace("\r\n", "|"));
    for length in [
        "Content-Length: 27\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 500\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0\r\n",
        "",
        "Content-Length: 5\r\nContent-Length: 27\r\n",
    ] {
        let data = format!("RTSP/1.0 200 OK\r\n{length}\r\n{sdp}");
        let read = items(data.as_bytes(), data.len(), true).expect("no bound is exceeded");
        let shown: Vec<_> = shown(&read).iter().map(|text| text.trim_end_matches('|').to_owned()).collect();
        assert_eq!(shown.join(" "), whole, "{length:?}");
    }
    // The next message ends a description without a length.
    let data = [b"RTSP/1.0 200 OK\r\n\r\nv=0\n", PACKET, b"RTSP/1.0 404 No\r\n\r\n"].concat();
    let read = items(&data, data.len(), true).expect("no bound is exceeded");
    assert_eq!(shown(&read), ["200 OK v=0", "$0 12", "404 No"]);
}

#[test]
fn packets_are_found_before_between_and_in_the_middle_of_answers() {
    for (data, expected) in [
        (with_packet(b"", b"RTSP/1.0 200 OK\r\n\r\n"), &["$0 12", "200 OK"][..]),
        (with_packet(b"RTSP/1.0 200 OK\r\nX: 1\r\n", b"Session: 1\r\n\r\n"), &["$0 12", "200 OK session=1"]),
        (with_packet(b"RTSP/1.0 200 OK\r\n\r\n", PACKET), &["200 OK", "$0 12", "$0 12"]),
        (with_packet(b"garbage-without-a-frame", b"RTSP/1.0 200 OK\r\n\r\n"), &["$0 12", "200 OK"]),
        (with_packet(b"junk$\x00\x00\x03abc", PACKET), &["$0 12", "$0 12"]),
        (with_packet(b"$\x07\x00\x03abc", b""), &["$7 3", "$0 12"]),
    ] {
        let read = items(&data, data.len(), false).expect("no bound is exceeded");
        assert_eq!(shown(&read), expected, "{}", String::from_utf8_lossy(&data));
    }
}

#[test]
fn packets_end_a_head_that_has_no_end() {
    let data = [b"RTSP/1.0 200 OK\r\nSession: 1\r\n", &PACKET.repeat(50)[..]].concat();
    let read = items(&data, 100, false).expect("no bound is exceeded");
    let shown = shown(&read);
    assert_eq!((shown.len(), shown[MAX_INSIDE as usize + 1].as_str()), (51, "200 OK session=1"));
}

#[test]
fn junk_that_looks_like_a_long_packet_hides_no_packet() {
    let data = [b"$$$\0\x04junk\r\n", &PACKET.repeat(700)[..]].concat();
    let read = items(&data, 100, false).expect("no bound is exceeded");
    assert_eq!(shown(&read), vec!["$0 12"; 700]);
}

#[test]
fn what_is_too_long_is_an_error_with_its_place() {
    let long_line = [b"RTSP/1.0 200 OK\r\nX: ", &[b'x'; MAX_LINE][..]].concat();
    let e = items(&long_line, 1 << 20, false).expect_err("too long");
    assert_eq!((e.rule, e.offset, e.line), ("a line of more than 16 kB", 17, 1));
    assert!(e.text.starts_with("X: xxx") && e.text.len() <= 120, "{e:?}");
    let many = [b"RTSP/1.0 200 OK\r\n".to_vec(), b"X: 1\r\n".repeat(MAX_HEADERS + 1)].concat();
    assert_eq!(items(&many, 100, false).expect_err("too many").rule, "more than 256 header lines");
    let large = b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n";
    assert_eq!(items(large, 100, false).expect_err("too large").rule, "a body of more than 1 MB");
    let junk = b"an endless text\n".repeat(1 << 17);
    let e = items(&junk, 1000, false).expect_err("no RTSP");
    assert_eq!((e.rule, e.offset, e.line, e.text.as_str()), ("bytes that are no RTSP", 0, 1, "an endless text"));
}

proptest! {
    /// A packet that follows any bytes is found at last, because nothing is waited for without end.
    #[test]
    fn packets_are_found_again_after_any_bytes(junk in prop::collection::vec(any::<u8>(), 0..300)) {
        let data = [junk, b"\n\n".to_vec(), PACKET.repeat(6000)].concat();
        let mut reader = Reader::new();
        reader.buffer().extend_from_slice(&data);
        let mut found = 0;
        while let Ok(Some(item)) = reader.next() {
            found += u32::from(matches!(item, Item::Packet(0, ref data) if data[..] == PACKET[4..]));
        }
        prop_assert!(found > 0);
    }
}
