//! Webhooks: the sidecar and a scripted receiver, written as a sequence.

use std::collections::VecDeque;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{PATIENCE, TestApp, eventually};

/// The receiver of events. Its answers are the script of the test.
struct Receiver {
    listener: TcpListener,
    /// Deliveries of other paths that came while the script waited for one path.
    others: VecDeque<Delivery>,
}

impl Receiver {
    async fn new() -> Self {
        Receiver { listener: TcpListener::bind("127.0.0.1:0").await.expect("binds"), others: VecDeque::new() }
    }

    fn url(&self) -> String {
        format!("http://{}/in", self.listener.local_addr().expect("bound"))
    }

    /// The next delivery of this path. Paths are independent of each other, so their order is not part of a script.
    async fn next(&mut self, path: &str) -> Delivery {
        if let Some(i) = self.others.iter().position(|delivery| delivery.event["path"] == path) {
            return self.others.remove(i).expect("it was found");
        }
        loop {
            let (socket, _) = timeout(PATIENCE, self.listener.accept()).await.expect("in time").expect("accepts");
            let delivery = Delivery::read(socket).await;
            if delivery.event["path"] == path {
                return delivery;
            }
            self.others.push_back(delivery);
        }
    }

    /// Whether there is a delivery that the script has not taken.
    async fn has_more(&mut self) -> bool {
        !self.others.is_empty() || timeout(std::time::Duration::ZERO, self.listener.accept()).await.is_ok()
    }
}

/// A request that waits for its answer. Dropping it closes the connection without one.
struct Delivery {
    socket: TcpStream,
    head: String,
    body: Vec<u8>,
    event: Value,
}

impl Delivery {
    async fn read(mut socket: TcpStream) -> Self {
        let mut data = vec![];
        let (head, body) = loop {
            assert!(timeout(PATIENCE, socket.read_buf(&mut data)).await.expect("in time").expect("reads") > 0);
            let Some(end) = data.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(data[..end].to_vec()).expect("text");
            let length = header(&head, "content-length").expect("a length").parse().expect("a number");
            if let Some(body) = data[end + 4..].get(..length) {
                break (head, body.to_vec());
            }
        };
        let event = serde_json::from_slice(&body).expect("an event is JSON");
        Delivery { socket, head, body, event }
    }

    /// The number that [`hook`] put into the event.
    fn number(&self) -> u64 {
        self.event["data"]["variables"]["n"].as_str().expect("a number").parse().expect("a number")
    }

    async fn answer(mut self, status: &str) {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        self.socket.write_all(answer.as_bytes()).await.expect("writes");
    }

    /// Closes the connection in the middle of the answer.
    async fn break_off(mut self) {
        self.socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Le").await.expect("writes");
    }

    /// Verifies `X-Mtx-Signature` as docs/mediamtx.md describes it, with the HMAC of aws-lc (the sidecar uses the crate
    /// hmac).
    fn is_signed_with(&self, key: &str, body: &[u8]) -> bool {
        let Some((time, digest)) = header(&self.head, "x-mtx-signature").and_then(|value| value.split_once(',')) else {
            return false;
        };
        let time = time.strip_prefix("t=").expect("the time is first");
        let digest = digest.strip_prefix("sha256=").expect("the digest is second");
        let bytes = |i| u8::from_str_radix(&digest[i..i + 2], 16).expect("hexadecimal");
        let digest: Vec<_> = (0..digest.len()).step_by(2).map(bytes).collect();
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        hmac::verify(&key, &[time.as_bytes(), b".", body].concat(), &digest).is_ok()
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    headers.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
}

/// Posts a hook of MediaMTX, which becomes an event of the kind `hook`.
async fn hook(app: &TestApp, path: &str, n: u64) {
    let body = json!({"MTX_PATH": path, "n": n.to_string()}).to_string();
    assert_eq!(app.request("POST", "/api/v1/hooks/read", &[], body.as_bytes()).await.status, 204);
}

fn app(receiver: &Receiver, more: &str) -> TestApp {
    TestApp::with(&format!("events: {{webhooks: [{{url: '{}', events: [hook]{more}}}]}}", receiver.url()))
}

#[tokio::test]
async fn another_implementation_verifies_the_signature_and_rejects_a_wrong_key() {
    let mut receiver = Receiver::new().await;
    let app = app(&receiver, ", pass: s3cret");
    tokio::join!(hook(&app, "door", 1), async {
        let delivery = receiver.next("door").await;
        assert_eq!(header(&delivery.head, "x-mtx-event"), Some("hook"));
        assert_eq!(header(&delivery.head, "content-type"), Some("application/json"));
        assert!(delivery.is_signed_with("s3cret", &delivery.body));
        assert!(!delivery.is_signed_with("S3cret", &delivery.body));
        assert!(!delivery.is_signed_with("", &delivery.body));
        let mut changed = delivery.body.clone();
        changed[0] ^= 1;
        assert!(!delivery.is_signed_with("s3cret", &changed));
        delivery.answer("204 No Content").await;
    });
}

#[tokio::test]
async fn an_event_is_repeated_until_it_is_accepted_and_the_next_of_its_path_waits() {
    let mut receiver = Receiver::new().await;
    let app = app(&receiver, "");
    tokio::join!(
        async {
            hook(&app, "door", 1).await;
            hook(&app, "door", 2).await;
        },
        async {
            for status in ["500 Internal Server Error", "429 Too Many Requests", "200 OK"] {
                let delivery = receiver.next("door").await;
                assert_eq!((delivery.number(), header(&delivery.head, "x-mtx-signature")), (1, None));
                delivery.answer(status).await;
            }
            let delivery = receiver.next("door").await;
            assert_eq!(delivery.number(), 2);
            delivery.answer("204 No Content").await;
        }
    );
    assert!(!receiver.has_more().await);
    assert_eq!(app.admin("GET", "/api/v1/events/dead-letters", "").await.json()["dead"], json!([]));
}

#[tokio::test]
async fn an_event_that_is_refused_or_fails_too_often_becomes_a_dead_letter() {
    let mut receiver = Receiver::new().await;
    let app = app(&receiver, ", tries: 2");
    tokio::join!(
        async {
            hook(&app, "door", 1).await;
            hook(&app, "door", 2).await;
            hook(&app, "door", 3).await;
        },
        async {
            // A client error is final.
            let refused = receiver.next("door").await;
            assert_eq!(refused.number(), 1);
            refused.answer("410 Gone").await;
            for _ in 0..2 {
                let failed = receiver.next("door").await;
                assert_eq!(failed.number(), 2);
                failed.answer("503 Service Unavailable").await;
            }
            let accepted = receiver.next("door").await;
            assert_eq!(accepted.number(), 3);
            accepted.answer("204 No Content").await;
        }
    );
    let mut letters = Value::Null;
    eventually("both are listed", async || {
        letters = app.admin("GET", "/api/v1/events/dead-letters", "").await.json()["dead"].clone();
        letters.as_array().is_some_and(|letters| letters.len() == 2)
    })
    .await;
    for (letter, n, tries, status) in [(&letters[0], "2", 2, "503"), (&letters[1], "1", 1, "410")] {
        assert_eq!((&letter["event"]["data"]["variables"]["n"], &letter["tries"]), (&json!(n), &json!(tries)));
        assert!(letter["error"].as_str().is_some_and(|error| error.contains(status)), "{letter}");
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_or_disconnects_gets_every_event_and_delays_only_their_path() {
    let mut receiver = Receiver::new().await;
    let app = app(&receiver, ", timeout: 300ms");
    tokio::join!(
        async {
            for (path, n) in [("door", 1), ("door", 2), ("hall", 3)] {
                hook(&app, path, n).await;
            }
        },
        async {
            let unanswered = receiver.next("door").await;
            assert_eq!(unanswered.number(), 1);
            let other = receiver.next("hall").await;
            assert_eq!(other.number(), 3, "another path does not wait for it");
            other.answer("204 No Content").await;
            let broken = receiver.next("door").await;
            assert_eq!(broken.number(), 1);
            broken.break_off().await;
            for n in [1, 2] {
                let delivery = receiver.next("door").await;
                assert_eq!(delivery.number(), n);
                delivery.answer("204 No Content").await;
            }
            drop(unanswered);
        }
    );
}

/// The URL of a webhook often is its secret.
#[tokio::test]
async fn the_url_of_a_webhook_is_shown_without_its_secrets() {
    let mut receiver = Receiver::new().await;
    let url = format!("{}/services/T1/abcdefghij0123456789?token=hunter2", receiver.url());
    let app = TestApp::with(&format!("events: {{webhooks: [{{url: '{url}', events: [hook], tries: 1}}]}}"));
    tokio::join!(hook(&app, "door", 1), async {
        receiver.next("door").await.answer("410 Gone").await;
    });
    let mut letters = String::new();
    eventually("it is listed", async || {
        letters = app.admin("GET", "/api/v1/events/dead-letters", "").await.json()["dead"].to_string();
        letters.contains("410")
    })
    .await;
    let settings = app.admin("GET", "/api/v1/settings", "").await.json().to_string();
    for text in [letters, settings] {
        assert!(text.contains("/in/services/T1/***?token=***") && !text.contains("hunter2"), "{text}");
        assert!(!text.contains("abcdefghij0123456789"), "{text}");
    }
}
