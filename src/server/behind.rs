//! Bytes behind a request that are no request.
//!
//! mjpg-streamer's input_http sends the NUL at the end of its string along with the request. actix reads it as the next
//! request, and its refusal ends the stream that the first one has asked for.

/// Where the request ends of which this data has the whole head, if what stands behind it cannot be another request. None
/// for a request with a body, for a head that is not complete, and if nothing or another request follows.
pub(super) fn garbage_at(data: &[u8]) -> Option<usize> {
    if ![&b"GET "[..], b"HEAD "].iter().any(|method| data.starts_with(method)) {
        return None;
    }
    let end = memchr::memmem::find(data, b"\r\n\r\n")? + 4;
    let (head, behind) = data.split_at(end);
    let first = *behind.first()?;
    let has_body = head.split(|byte| *byte == b'\n').any(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        [&b"content-length"[..], b"transfer-encoding"].iter().any(|body| name.trim_ascii().eq_ignore_ascii_case(body))
    });
    (!has_body && !first.is_ascii_alphabetic() && !matches!(first, b'\r' | b'\n')).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_a_request_is_garbage() {
        let head = "GET /?action=stream HTTP/1.0\r\nHost: a\r\n\r\n";
        for (behind, is_garbage) in
            [("\0", true), ("\0\0GET / HTTP/1.1\r\n", true), ("", false), ("GET / HTTP", false), ("\r\nGET", false)]
        {
            let found = garbage_at(format!("{head}{behind}").as_bytes());
            assert_eq!(found, is_garbage.then_some(head.len()), "{behind:?}");
        }
        for request in [
            "POST / HTTP/1.1\r\n\r\n\0",
            "GET / HTTP/1.1\r\ncontent-length : 1\r\n\r\n\0",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\0",
            "GET / HTTP/1.1\r\n\0",
        ] {
            assert_eq!(garbage_at(request.as_bytes()), None, "{request:?}");
        }
    }
}
