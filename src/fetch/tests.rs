use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use super::*;

const SHORT: Duration = Duration::from_secs(5);

fn target(url: &str) -> Target {
    Target::new(url, "", &Secret::default(), "").expect("a target")
}

fn fetch() -> Fetch {
    Fetch::new(&FetchSettings::default()).expect("no file to read")
}

/// Sends these answers, one to each request, over one connection while the client keeps it. The receiver gives each request with
/// the number of its connection.
async fn host(answers: Vec<String>) -> (SocketAddr, mpsc::UnboundedReceiver<(usize, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("bound");
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        for connection in 1.. {
            let (mut socket, _) = listener.accept().await.expect("accepts");
            let mut request = vec![];
            while let Ok(byte) = socket.read_u8().await {
                request.push(byte);
                if request.ends_with(b"\r\n\r\n") {
                    let text = String::from_utf8_lossy(&request).into_owned();
                    request.clear();
                    sender.send((connection, text)).ok();
                    let Some(answer) = answers.next() else { return };
                    socket.write_all(answer.as_bytes()).await.ok();
                    if answer.contains("close") {
                        break;
                    }
                }
            }
        }
    });
    (addr, requests)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn urls_and_fingerprints_are_read() {
    let with_user = target("http://ann:p%40ss@cam.example:81/x?y=1#z");
    assert_eq!(with_user.url.as_str(), "http://cam.example:81/x?y=1", "the URL has no secret left");
    assert_eq!((with_user.username.as_str(), with_user.password.expose()), ("ann", "p@ss"));
    assert!(with_user.is_plain());
    let hex = "ab".repeat(32);
    for (url, user, fingerprint, says) in [
        ("ftp://cam/", "", "", "url: must begin with http:// or https://"),
        ("cam", "", "", "url: "),
        ("http://cam/", "a:b", "", "user: must not contain a colon"),
        ("https://cam/", "", "abcd", "fingerprint: must be a certificate's SHA-256"),
        ("https://cam/", "", &"é".repeat(32), "fingerprint: must be a certificate's SHA-256"),
        ("http://cam/", "", &hex, "fingerprint: needs an https URL"),
    ] {
        let e = Target::new(url, user, &Secret::default(), fingerprint).expect_err(url);
        assert!(e.to_string().starts_with(says), "{url}: {e}");
    }
    let colons = Fingerprint::parse(&["AB"; 32].join(":")).expect("openssl's form");
    assert_eq!(colons, Fingerprint::parse(&hex).expect("plain digits"));
    assert_eq!(colons.to_string(), ["AB"; 32].join(":"));
}

#[tokio::test]
async fn one_connection_serves_all_requests_until_the_host_closes_it() {
    let closing = "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nto the end";
    let (addr, mut requests) = host(vec![ok("one"), ok("two"), closing.into(), ok("three")]).await;
    let mut session = fetch().session(target(&format!("http://{addr}/a?b=c")));
    for (connection, body) in [(1, "one"), (1, "two"), (1, "to the end"), (2, "three")] {
        let response = session.send(Request::get(SHORT)).await.expect("answers");
        assert_eq!(response.bytes(100, SHORT).await.expect("whole"), body);
        let (number, request) = requests.recv().await.expect("a request");
        assert_eq!(number, connection, "{body}");
        assert!(
            request.starts_with("GET /a?b=c HTTP/1.1\r\n") && request.contains(&format!("\r\nHost: {addr}\r\n")),
            "{request}"
        );
    }
}

#[tokio::test]
async fn a_digest_challenge_is_answered_and_remembered_and_a_wrong_password_is_tried_once() {
    let ask = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"cam\"\r\n\
               WWW-Authenticate: Digest realm=\"cam\", nonce=\"abc\", qop=\"auth\"\r\nContent-Length: 0\r\n\r\n";
    let (addr, mut requests) = host(vec![ask.into(), ok("in"), ok("again"), ask.into(), ask.into()]).await;
    let login = Target::new(&format!("http://{addr}/"), "ann", &Secret::new("secret"), "").expect("a target");
    let mut session = fetch().session(login);
    for body in ["in", "again"] {
        let response = session.send(Request::get(SHORT)).await.expect("answers");
        assert_eq!(response.bytes(100, SHORT).await.expect("whole"), body);
    }
    let (_, first) = requests.recv().await.expect("a request");
    assert!(!first.contains("Authorization"), "the password waits for the challenge: {first}");
    for count in ["00000001", "00000002"] {
        let (_, request) = requests.recv().await.expect("a request");
        assert!(request.contains("Authorization: Digest username=\"ann\""), "Digest before Basic: {request}");
        assert!(request.contains(&format!("nc={count}")) && !request.contains("secret"), "{request}");
        let field = |name: &str| request.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        let (cnonce, response) = (field("cnonce").expect("there"), field("response").expect("there"));
        let hash = |text: &str| md5(text);
        let expected = hash(&format!("{}:abc:{count}:{cnonce}:auth:{}", hash("ann:cam:secret"), hash("GET:/")));
        assert_eq!(response, expected, "RFC 7616, section 3.4.1");
    }
    let refused = session.send(Request::get(SHORT)).await.expect("answers");
    assert_eq!(refused.status, 401);
}

/// By the system's program, so that the test does not compare one library with itself.
fn md5(text: &str) -> String {
    use std::{io::Write, process};
    let mut child = process::Command::new("md5sum");
    let child = child.stdin(process::Stdio::piped()).stdout(process::Stdio::piped()).spawn();
    let mut child = child.expect("coreutils");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("writes");
    let output = child.wait_with_output().expect("ends").stdout;
    String::from_utf8_lossy(&output[..32]).into_owned()
}

#[tokio::test]
async fn redirects_are_followed_to_the_same_host_and_into_permitted_networks_only() {
    let to = |location: &str| format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let (there, _requests) = host(vec![ok("there")]).await;
    let there = format!("http://127.0.0.1:{}/", there.port());
    for (location, outcome) in [
        ("/elsewhere", Ok("here")),
        (there.as_str(), Ok("there")),
        ("http://127.0.0.2/", Err("redirects to 127.0.0.2, which is not in fetch.redirect_networks")),
        ("http://localhost/", Err("redirects to localhost, which is not")),
        ("file:///etc/passwd", Err("which is not http or https")),
    ] {
        let (addr, _requests) = host(vec![to(location), ok("here")]).await;
        let answer = fetch().send(&target(&format!("http://{addr}/")), Request::get(SHORT)).await;
        match outcome {
            Ok(body) => assert_eq!(answer.expect(location).bytes(100, SHORT).await.expect("whole"), body, "{location}"),
            Err(says) => assert!(answer.expect_err(location).to_string().contains(says), "{location}"),
        }
    }
    let (addr, _requests) = host(vec![to("/"); 10]).await;
    let e =
        fetch().send(&target(&format!("http://{addr}/")), Request::get(SHORT)).await.expect_err("a loop of redirects");
    assert!(e.to_string().contains("more than 5 times"), "{e}");
}

/// Another program can listen at another port of the camera's host.
#[tokio::test]
async fn a_redirect_to_another_port_of_the_host_gets_no_password() {
    let challenge = "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n".to_owned();
    let to = |location: &str| format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let user = |addr| Target::new(&format!("http://{addr}/"), "ann", &Secret::new("hunter2"), "").expect("a target");
    let (there, mut requests) = host(vec![challenge.clone(), ok("there")]).await;
    // The host knows the password already, as after its own challenge.
    let (here, _requests) = host(vec![challenge.clone(), to(&format!("http://{there}/")), ok("here")]).await;
    let answer = fetch().send(&user(here), Request::get(SHORT)).await.expect("answers");
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let (_, request) = requests.recv().await.expect("it followed the redirect");
    assert!(!request.to_ascii_lowercase().contains("authorization"), "{request}");
    assert!(requests.try_recv().is_err(), "the challenge was not answered");
    // To another path of the same port, the password is sent.
    let (here, mut requests) = host(vec![to("/other"), challenge, ok("here")]).await;
    let answer = fetch().send(&user(here), Request::get(SHORT)).await.expect("answers");
    assert_eq!(answer.bytes(100, SHORT).await.expect("whole"), "here");
    let mut last = String::new();
    while let Ok((_, request)) = requests.try_recv() {
        last = request;
    }
    assert!(last.contains("/other") && last.to_ascii_lowercase().contains("authorization: basic"), "{last}");
}

#[tokio::test]
async fn a_host_name_with_an_address_outside_of_the_networks_is_refused_without_a_connection() {
    let (addr, mut requests) = host(vec![ok("secret")]).await;
    let settings =
        FetchSettings { networks: vec![Network("10.0.0.0/8".parse().expect("a network"))], ..<_>::default() };
    let fetch = Fetch::new(&settings).expect("no file to read");
    let e = fetch.send(&target(&format!("http://localhost:{}/", addr.port())), Request::get(SHORT)).await;
    assert!(e.expect_err("refused").to_string().ends_with("which is not in fetch.networks"));
    assert!(requests.try_recv().is_err(), "no request was made");
}

#[tokio::test]
async fn a_body_has_a_size_limit_and_a_time_limit() {
    let (addr, _requests) =
        host(vec![ok(&"x".repeat(101)), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".into()]).await;
    let mut session = fetch().session(target(&format!("http://{addr}/")));
    let response = session.send(Request::get(SHORT)).await.expect("answers");
    assert!(response.bytes(100, SHORT).await.expect_err("too long").to_string().contains("more than 100 bytes"));
    let mut response = session.send(Request::get(SHORT)).await.expect("answers");
    assert_eq!(response.chunk(SHORT).await.expect("arrives").expect("not the end"), "half");
    tokio::time::pause();
    assert!(response.chunk(SHORT).await.expect_err("silent").to_string().contains("is silent for 5s"));
}
