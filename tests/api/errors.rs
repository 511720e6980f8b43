use crate::support::TestApp;

/// Method, path and body, then the status, the code, and a part of the detail.
#[tokio::test]
#[rustfmt::skip]
async fn each_error_has_its_status_code_and_detail() {
    let app = TestApp::with("streams: {card: {kind: test-card}}");
    let long = "n".repeat(201);
    for (method, path, body, status, code, says) in [
        ("GET", "/nothing/here", "", 404, "not_found", "/nothing/here"),
        ("POST", "/healthz", "", 405, "method_not_allowed", "does not support POST"),
        ("DELETE", "/mediamtx-auth", "", 405, "method_not_allowed", "does not support DELETE"),
        ("GET", "/mediamtx-auth", "", 405, "method_not_allowed", "does not support GET"),
        ("PATCH", "/stream/card.mjpeg", "", 405, "method_not_allowed", "does not support PATCH"),
        ("PUT", "/mjpeg-upload", "x", 400, "invalid_parameter", "name: is required"),
        ("PUT", "/mjpeg-upload?name=", "x", 400, "invalid_name", "must not be empty"),
        ("PUT", "/mjpeg-upload?name=a%2F..%2Fb", "x", 400, "invalid_name", ". or .."),
        ("PUT", "/mjpeg-upload?name=%2Fetc", "x", 400, "invalid_name", "slash"),
        ("PUT", "/mjpeg-upload?name=a%00b", "x", 400, "invalid_name", "can contain"),
        ("PUT", &format!("/mjpeg-upload?name={long}"), "x", 400, "invalid_name", "at most 200"),
        ("GET", "/mjpeg-get", "", 400, "invalid_parameter", "name: is required"),
        ("GET", "/mjpeg-get?name=x&type=webcam", "", 400, "invalid_parameter", "file or udp"),
        ("GET", "/mjpeg-get?name=x&type=udp", "", 422, "invalid_definition", "is not an IP address"),
        ("GET", "/mjpeg-get?name=8.8.8.8&type=udp", "", 422, "invalid_definition", "udp.networks"),
        ("GET", "/stream/a%20b.mjpeg", "", 400, "invalid_name", "' '"),
        ("GET", "/snapshot/%2e%2e/x.jpg", "", 400, "invalid_name", ". or .."),
        ("GET", "/api/v1/streams/none", "", 404, "unknown_stream", "none"),
        ("PUT", "/api/v1/streams/new", "{}", 401, "unauthenticated", "to api"),
    ] {
        let response = app.request(method, path, &[], body.as_bytes()).await;
        assert_eq!((response.status, response.problem().as_str()), (status, code), "{method} {path}: {response:?}");
        assert!(response.detail().contains(says), "{method} {path}: {}", response.detail());
    }
    assert_eq!(app.registry.len(), 1, "a refused request creates no stream");
}

#[tokio::test]
async fn definitions_are_refused_with_the_field_and_the_rule() {
    let app = TestApp::with("streams: {card: {kind: test-card}}");
    for (body, status, says) in [
        ("", 422, "not JSON"),
        ("{", 422, "not JSON"),
        (r#"{"kind":"webcam"}"#, 422, "unknown variant `webcam`"),
        (r#"{"kind":"upload","x":1}"#, 422, "unknown field `x`"),
        (r#"{"kind":"test-card","fps":0}"#, 422, "fps: must be from 0.1 to 30"),
        (r#"{"kind":"test-card","width":100000}"#, 422, "width: must be from 16 to 3840"),
        (r#"{"kind":"udp-camera"}"#, 422, "address: is required"),
        (r#"{"kind":"udp-camera","address":"example.com"}"#, 422, "address: \"example.com\" is not an address"),
        (r#"{"kind":"udp-camera","address":"203.0.113.9"}"#, 422, "udp.networks"),
        (r#"{"kind":"udp-camera","address":"10.0.0.9","interval":"1ms"}"#, 422, "interval: must be from 100ms"),
        (r#"{"kind":"file","path":""}"#, 422, "path: must not be empty"),
        (r#"{"kind":"file","path":"../secret.jpg"}"#, 422, "path: must not contain .."),
        (r#"{"kind":"file","path":"/etc/passwd"}"#, 422, "path: /etc/passwd is in none of the media folders"),
        (r#"{"kind":"file","path":"[.jpg"}"#, 422, "path: the pattern is not valid"),
        (r#"{"kind":"file","path":"*/x.jpg"}"#, 422, "path: only the last part"),
        (r#"{"kind":"file","path":"x","interval":"5"}"#, 422, "is not a duration"),
    ] {
        let response = app.admin("PUT", "/api/v1/streams/new", body).await;
        assert_eq!(response.status, status, "{body}: {response:?}");
        assert!(response.detail().contains(says), "{body}: {}", response.detail());
        assert!(app.registry.get("new").is_none(), "{body}");
    }
    for (method, body) in [("PUT", r#"{"kind":"upload"}"#), ("PATCH", r#"{"fps":1}"#), ("DELETE", "")] {
        let response = app.admin(method, "/api/v1/streams/card", body).await;
        assert_eq!((response.status, response.problem().as_str()), (409, "fixed_by_file"), "{method}");
    }
}

/// Requests that no client library sends.
#[tokio::test]
async fn incomplete_and_hostile_requests_are_refused() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = TestApp::spawn();
    let huge_header = format!("GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
    for request in [
        &b"\0\x01\x02\x03\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"PUT /mjpeg-upload?name=x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"PUT /mjpeg-upload?name=x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"PUT /mjpeg-upload?name=x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        huge_header.as_bytes(),
    ] {
        let mut socket = tokio::net::TcpStream::connect(app.addr).await.expect("connects");
        let _ = socket.write_all(request).await;
        let mut answer = vec![];
        let read = tokio::time::timeout(crate::support::PATIENCE, socket.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "left hanging: {:?}", String::from_utf8_lossy(&request[..request.len().min(60)]));
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(app.get("/healthz").await.status, 200);
}

/// Requests that a page of another site can make a browser send.
#[tokio::test]
async fn requests_from_pages_of_other_sites_are_refused() {
    let app = TestApp::spawn();
    let body = crate::support::picture(1);
    let own = format!("Origin: http://{}", app.addr);
    for (headers, status) in [
        (vec!["Origin: https://evil.example", "Content-Type: text/plain"], 403),
        (vec!["Origin: null"], 403),
        (vec!["Sec-Fetch-Site: cross-site"], 403),
        (vec!["Sec-Fetch-Site: same-site"], 403),
        (vec!["Sec-Fetch-Site: same-origin"], 200),
        (vec![own.as_str()], 200),
        (vec![], 200),
        // DNS rebinding: the page and the request have the same origin, which is not this machine.
        (vec!["Host: evil.example", "Origin: http://evil.example"], 401),
    ] {
        let response = app.request("PUT", "/api/v1/streams/x/frame", &headers, &body).await;
        assert_eq!(response.status, status, "{headers:?}: {response:?}");
    }
    // Credentials that a browser adds by itself do not count from a web site, and a token does.
    let admin = crate::support::basic("admin", app.password.as_deref().expect("generated"));
    let permissions = serde_json::json!([{"action": "publish", "path": "x"}]);
    let made = app
        .made("/api/v1/tokens", serde_json::json!({"name": "cam", "permissions": permissions, "expires": "1day"}))
        .await;
    let token = made["token"].as_str().expect("a token").to_owned();
    let bearer = crate::support::bearer(&token);
    let (plain, with_token, with_nonsense) = (
        "/api/v1/streams/x/frame",
        format!("/api/v1/streams/x/frame?token={token}"),
        "/api/v1/streams/x/frame?token=nonsense",
    );
    for (path, headers, status) in [
        (plain, vec!["Origin: https://evil.example", &admin], 403),
        (plain, vec!["Origin: null", &admin], 403),
        (plain, vec!["Origin: https://evil.example", &bearer], 200),
        (&with_token, vec!["Origin: file://"], 200),
        (&with_token, vec!["Origin: https://other.example"], 200),
        // The rights of this machine are not lent to a page that adds an invalid token.
        (with_nonsense, vec!["Origin: https://evil.example"], 403),
        (plain, vec!["Origin: file://", &admin], 200),
        (plain, vec!["Origin: file://", "Sec-Fetch-Mode: cors", &admin], 403),
        (plain, vec!["Origin: file://"], 403),
    ] {
        let response = app.request("PUT", path, &headers, &body).await;
        assert_eq!(response.status, status, "{path} {headers:?}: {response:?}");
    }
    let open = TestApp::with("http: {cors_origins: ['file://', 'null']}");
    for origin in ["Origin: file://", "Origin: null"] {
        assert_eq!(open.request("PUT", plain, &[origin], &body).await.status, 200, "{origin}");
        let read = open.request("GET", "/snapshot/x.jpg", &[origin], b"").await;
        assert_eq!(read.header("access-control-allow-origin"), origin.strip_prefix("Origin: "), "{read:?}");
    }
    let rebound = app.request("GET", "/snapshot/x.jpg", &["Host: evil.example"], b"").await;
    assert_eq!(rebound.status, 401);
    let proxied = app.request("GET", "/snapshot/x.jpg", &["X-Forwarded-For: 127.0.0.1"], b"").await;
    assert_eq!(proxied.status, 401, "a request through a proxy does not count as one from this machine");
}
