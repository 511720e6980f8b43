//! Behind nginx and Caddy, with the configuration that docs/proxies.md shows: the protocols pass, clients have the
//! addresses that the proxy sees, and a proxy makes no client one of this machine.

mod proxy;
mod site;

use std::{net::IpAddr, process::Stdio};

use actix_http::ws::{Frame, Message};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    time::timeout,
};

use self::{
    proxy::{AFAR, Kind, Proxy, own_address, stderr_says},
    site::{BEHIND_A_PROXY, ORIGIN, Site, USERS, alice, host, question},
};
use crate::support::{PATIENCE, Program, TestApp, basic, eventually, large_picture, picture, skip::skip};

/// Each check is a test behind nginx and a test behind Caddy.
macro_rules! behind_each_proxy {
    ($($check:ident,)*) => {
        mod nginx {
            $(#[tokio::test] async fn $check() { super::$check(super::Kind::Nginx).await; })*
        }
        mod caddy {
            $(#[tokio::test] async fn $check() { super::$check(super::Kind::Caddy).await; })*
        }
    };
}

behind_each_proxy! {
    pictures_pass_in_both_directions,
    an_endless_upload_passes_picture_by_picture,
    mjpeg_passes_picture_by_picture_and_ends_with_its_client,
    websockets_pass_in_both_directions,
    events_pass_at_once,
    a_page_signs_in_and_other_sites_do_not,
    rules_match_the_address_of_the_client,
    a_client_cannot_choose_its_address_or_the_host,
    the_question_and_the_hooks_of_mediamtx_are_refused,
    everything_works_below_a_path,
    a_proxy_that_is_not_trusted_gives_its_clients_no_address,
}

async fn pictures_pass_in_both_directions(kind: Kind) {
    let Some(site) = Site::documented(kind).await else { return };
    assert_eq!(site.ask("GET", "/snapshot/door.jpg", &[], b"").await.status, 401, "the client is not on this machine");
    let snapshot = site.get_as_alice("/snapshot/door.jpg").await;
    assert!(snapshot.status == 200 && snapshot.body == picture(1), "{snapshot:?}");
    let etag = format!("If-None-Match: {}", snapshot.header("etag").expect("an ETag"));
    assert_eq!(site.ask("GET", "/snapshot/door.jpg", &[&alice(), &etag], b"").await.status, 304);
    // More than the megabyte that nginx takes by default.
    let pictures: Vec<u8> = (1..=6).flat_map(large_picture).collect();
    assert!(pictures.len() > 1 << 20, "{} bytes", pictures.len());
    let taken = site.ask("POST", "/api/v1/streams/many/frames", &[&alice()], &pictures).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    assert_eq!(site.get_as_alice("/snapshot/many.jpg").await.body, large_picture(6));
}

async fn an_endless_upload_passes_picture_by_picture(kind: Kind) {
    let Some(site) = Site::documented(kind).await else { return };
    let headers = [&*host(), &alice(), "Content-Length: 1000000"];
    let mut upload = site.app.send("POST", "/api/v1/streams/live/frames", &headers, &picture(2)).await;
    for number in [2, 3] {
        if number == 3 {
            upload.write_all(&picture(3)).await.expect("writes");
        }
        eventually("the picture is there while its request goes on", async || {
            site.get_as_alice("/snapshot/live.jpg").await.body == picture(number)
        })
        .await;
    }
}

/// An unchanged picture is not repeated for an hour: nothing but the next picture pushes one out of a buffer.
async fn mjpeg_passes_picture_by_picture_and_ends_with_its_client(kind: Kind) {
    let settings = format!("{BEHIND_A_PROXY}output: {{interval: 1h}}\n");
    let Some(site) = Site::open(kind, &kind.at_a_host(), &settings).await else { return };
    let mut reader = site.watch("/stream/door.mjpeg");
    reader.until(&picture(1)).await;
    for number in 2..=4 {
        site.upload("door", &picture(number)).await;
        reader.until(&picture(number)).await;
    }
    assert_eq!(site.watchers().await, 1);
    drop(reader);
    // A write detects that the client has gone, as without a proxy.
    eventually("the watcher has left", async || {
        site.upload("door", &picture(5)).await;
        site.watchers().await == 0
    })
    .await;
}

async fn websockets_pass_in_both_directions(kind: Kind) {
    let Some(site) = Site::documented(kind).await else { return };
    let mut watching = site.ws("/ws/door").await.expect("pictures");
    assert_eq!(watching.picture().await, picture(1));
    let mut sending = site.ws("/ws/door?push=1").await.expect("a publisher");
    sending.binary(picture(2)).await;
    assert_eq!(sending.notice().await["type"], "taken");
    assert_eq!(watching.picture().await, picture(2));
    watching.say(Message::Close(None)).await;
    while !matches!(watching.next().await, Frame::Close(_)) {}
}

async fn events_pass_at_once(kind: Kind) {
    let Some(site) = Site::documented(kind).await else { return };
    let mut lines = BufReader::new(site.app.send("GET", "/api/v1/events", &[&host(), &alice()], b"").await).lines();
    let mut head = String::new();
    while head.is_empty() || !head.ends_with("\n\n") {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("reads");
        head += &format!("{}\n", line.expect("goes on"));
    }
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    site.upload("gate", &picture(1)).await;
    let told = async {
        while let Some(line) = lines.next_line().await.expect("reads") {
            let event = line.strip_prefix("data: ").and_then(|text| serde_json::from_str::<Value>(text).ok());
            if event.is_some_and(|event| event["type"] == "stream.state" && event["path"] == "gate") {
                return;
            }
        }
        panic!("the events have ended");
    };
    timeout(PATIENCE, told).await.expect("the event is not held back");
}

async fn a_page_signs_in_and_other_sites_do_not(kind: Kind) {
    let Some(site) = Site::documented(kind).await else { return };
    let signed_in = site.sign_in("/api/v1/login", ORIGIN).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    let cookie = signed_in.header("set-cookie").expect("a cookie");
    for attribute in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/api/v1;"] {
        assert!(cookie.contains(attribute), "{attribute}: {cookie}");
    }
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap_or_default());
    let refreshed = site.ask("POST", "/api/v1/login/refresh", &[ORIGIN, &cookie], b"").await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let other = site.sign_in("/api/v1/login", "Origin: https://evil.example").await;
    assert_eq!((other.status, other.problem().as_str()), (403, "cross_site"));
    assert!(site.link("/api/v1/shares", &[]).await.starts_with("https://cameras.example/viewer/#share="));
    let (link, origin) = site.link_by_http2().await;
    assert!(link.starts_with(&format!("{origin}/viewer/#share=")), "{link} at {origin}");
}

async fn rules_match_the_address_of_the_client(kind: Kind) {
    let Some(near) = own_address() else { return skip("this machine has no address besides loopback") };
    let Some(mut site) = Site::documented(kind).await else { return };
    let rule = json!({"pass": "correct horse", "role": "user", "ips": [near]}).to_string();
    let made = site.ask("PUT", "/api/v1/users/bob", &[&alice()], rule.as_bytes()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let bob = basic("bob", "correct horse");
    assert_eq!(site.ask("GET", "/snapshot/door.jpg", &[&bob], b"").await.status, 401, "from another address");
    site.come_from(near).await;
    assert_eq!(site.ask("GET", "/snapshot/door.jpg", &[&bob], b"").await.status, 200);
}

/// What a client itself writes into the headers of proxies does not reach the sidecar.
async fn a_client_cannot_choose_its_address_or_the_host(kind: Kind) {
    let Some(mut site) = Site::documented(kind).await else { return };
    let forged = [
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1;host=evil.example;proto=http",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: http",
    ];
    // Also from 127.0.0.1: that is the address of a client of the proxy, in a header.
    for source in [AFAR, IpAddr::from([127, 0, 0, 1])] {
        site.come_from(source).await;
        for headers in [&[][..], &forged] {
            let answer = site.ask("GET", "/snapshot/door.jpg", headers, b"").await;
            assert_eq!(answer.status, 401, "{source} {headers:?}");
        }
    }
    let link = site.link("/api/v1/shares", &forged).await;
    assert!(link.starts_with("https://cameras.example/"), "{link}");
    let body = json!({"user": "alice", "pass": "s3cret"}).to_string();
    let evil = [&forged[..], &["Origin: https://evil.example"]].concat();
    assert_eq!(site.ask("POST", "/api/v1/login", &evil, body.as_bytes()).await.status, 403);
}

async fn the_question_and_the_hooks_of_mediamtx_are_refused(kind: Kind) {
    let Some(mut site) = Site::documented(kind).await else { return };
    for (path, body) in [("/mediamtx-auth", question()), ("/api/v1/hooks/read", "MTX_PATH=door".into())] {
        let answer = site.ask("POST", path, &[], body.as_bytes()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "forbidden"), "{path}");
    }
    // MediaMTX itself, without the proxy.
    site.app.addr = site.direct;
    assert_eq!(site.app.request("POST", "/mediamtx-auth", &[], question().as_bytes()).await.status, 204);
    assert_eq!(site.app.request("POST", "/api/v1/hooks/read", &[], b"MTX_PATH=door").await.status, 204);
}

async fn everything_works_below_a_path(kind: Kind) {
    let settings = "http: {trusted_proxies: ['127.0.0.1'], base_path: /cameras}\n";
    let Some(site) = Site::open(kind, &kind.below_a_path(), settings).await else { return };
    assert_eq!(site.get_as_alice("/cameras/snapshot/door.jpg").await.body, picture(1));
    assert_eq!(site.ask("GET", "/cameras/viewer/", &[], b"").await.status, 200);
    let signed_in = site.sign_in("/cameras/api/v1/login", ORIGIN).await;
    let cookie = signed_in.header("set-cookie").unwrap_or_default();
    assert!(signed_in.status == 200 && cookie.contains("Path=/cameras/api/v1;"), "{signed_in:?}");
    let link = site.link("/cameras/api/v1/shares", &[]).await;
    assert!(link.starts_with("https://cameras.example/cameras/viewer/#share="), "{link}");
    site.watch("/cameras/stream/door.mjpeg").until(&picture(1)).await;
    assert_eq!(site.ws("/cameras/ws/door").await.expect("pictures").picture().await, picture(1));
}

async fn a_proxy_that_is_not_trusted_gives_its_clients_no_address(kind: Kind) {
    let Some(mut site) = Site::open(kind, &kind.at_a_host(), "").await else { return };
    for source in [AFAR, IpAddr::from([127, 0, 0, 1])] {
        site.come_from(source).await;
        assert_eq!(site.ask("GET", "/snapshot/door.jpg", &[], b"").await.status, 401, "{source}");
        assert_eq!(site.get_as_alice("/snapshot/door.jpg").await.status, 200, "{source}");
    }
}

/// nginx sends the address of `proxy_pass` as `Host` unless it is told to keep the client's.
#[tokio::test]
async fn the_host_that_a_trusted_proxy_reports_counts() {
    let without_host = lines_without(&Kind::Nginx.at_a_host(), &["proxy_set_header Host "]);
    let Some(site) = Site::open(Kind::Nginx, &without_host, BEHIND_A_PROXY).await else { return };
    let signed_in = site.sign_in("/api/v1/login", ORIGIN).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    assert_eq!(site.sign_in("/api/v1/login", "Origin: https://evil.example").await.status, 403);
    let link = site.link("/api/v1/shares", &[]).await;
    assert!(link.starts_with("https://cameras.example/"), "{link}");
    assert_eq!(site.ws("/ws/door").await.expect("the page's WebSocket").picture().await, picture(1));
}

/// The lines of a configuration without those that contain one of the texts.
fn lines_without(configuration: &str, texts: &[&str]) -> String {
    let keep = |line: &&str| !texts.iter().any(|text| line.contains(text));
    let kept: String = configuration.lines().filter(keep).map(|line| format!("{line}\n")).collect();
    assert!(kept.len() < configuration.len(), "the configuration has none of {texts:?}");
    kept
}

/// A bare `proxy_pass`: its request has the same bytes as one of a program on this machine. The document says which requests are
/// recognised nevertheless, and which settings make the others harmless.
#[tokio::test]
async fn a_bare_proxy_pass_is_recognised_as_far_as_it_can_be() {
    let bare = lines_without(&Kind::Nginx.at_a_host(), &["proxy_set_header"]);
    let Some(site) = Site::open(Kind::Nginx, &bare, "").await else { return };
    let plain = site.ask("GET", "/snapshot/door.jpg", &[], b"").await;
    assert_eq!(plain.status, 200, "docs/proxies.md says that this cannot be recognised");
    let mut unrecognised = vec![];
    for sign in [
        "X-Forwarded-For: 203.0.113.7",
        "X-Forwarded-Host: cameras.example",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 443",
        "X-Real-IP: 203.0.113.7",
        "Forwarded: for=203.0.113.7",
        "Via: 1.1 cdn",
        "CF-Connecting-IP: 203.0.113.7",
        "True-Client-IP: 203.0.113.7",
        "X-Client-IP: 203.0.113.7",
    ] {
        if site.ask("GET", "/snapshot/door.jpg", &[sign], b"").await.status != 401 {
            unrecognised.push(sign);
        }
    }
    assert!(unrecognised.is_empty(), "{unrecognised:?}");
    // A page of the proxy's site changes nothing, and the refusal names the setting.
    let refused = site.sign_in("/api/v1/login", ORIGIN).await;
    assert_eq!((refused.status, refused.problem().as_str()), (403, "cross_site"));
    assert!(refused.detail().contains("http.public_url"), "{}", refused.detail());
}

#[tokio::test]
async fn two_settings_make_a_bare_proxy_pass_harmless() {
    let bare = lines_without(&Kind::Nginx.at_a_host(), &["proxy_set_header"]);
    let app = TestApp::with(
        "auth: {webhook_secret: hush, users: [{user: alice, pass: s3cret, permissions: [{action: read}]}]}",
    );
    let Some(mut proxy) = Proxy::start(Kind::Nginx, &bare, app.addr).await else { return };
    let mut app = app;
    app.addr = proxy.client(AFAR).await;
    assert_eq!(app.request("GET", "/snapshot/door.jpg", &[&host()], b"").await.status, 401);
    assert_eq!(app.request("POST", "/mediamtx-auth", &[&host()], question().as_bytes()).await.status, 403);
}

/// Keeping the host is enough not to be this machine, unless `http.hostnames` has the name.
#[tokio::test]
async fn a_proxy_that_keeps_the_host_is_not_this_machine() {
    let kept = lines_without(
        &Kind::Nginx.at_a_host(),
        &["proxy_set_header X-", "proxy_set_header Forwarded", "proxy_set_header Upgrade"],
    );
    let Some(site) = Site::open(Kind::Nginx, &kept, "").await else { return };
    assert_eq!(site.ask("GET", "/snapshot/door.jpg", &[], b"").await.status, 401);
}

/// The forms in which proxies report the host that the browser asked for.
#[tokio::test]
async fn pages_are_ours_by_every_form_in_which_a_trusted_proxy_reports_the_host() {
    let trusted = TestApp::with(&format!("{BEHIND_A_PROXY}{USERS}"));
    let public = TestApp::with(&format!(
        "http: {{trusted_proxies: ['127.0.0.1'], public_url: 'https://cameras.example'}}{USERS}"
    ));
    let untrusted = TestApp::with(USERS);
    let (upstream, client) = ("Host: 127.0.0.1:9995", "X-Forwarded-For: 203.0.113.7");
    let (x_host, https) = ("X-Forwarded-Host: cameras.example", "X-Forwarded-Proto: https");
    let kept = host();
    let kept = &*kept;
    let mut wrong = vec![];
    for (app, what, origin, headers, status) in [
        (&trusted, "the upstream's host", "https://cameras.example", &[upstream][..], 403),
        (&public, "the upstream's host, and public_url", "https://cameras.example", &[upstream], 200),
        (&trusted, "X-Forwarded-Host", "https://cameras.example", &[upstream, x_host, https], 200),
        (&trusted, "X-Forwarded-Host of another", "https://evil.example", &[upstream, x_host, https], 403),
        (
            &trusted,
            "X-Forwarded-Host with the default port",
            "https://cameras.example",
            &[upstream, "X-Forwarded-Host: cameras.example:443", https],
            200,
        ),
        (
            &trusted,
            "Forwarded (RFC 7239)",
            "https://cameras.example",
            &[upstream, "Forwarded: for=203.0.113.7;host=cameras.example;proto=https"],
            200,
        ),
        (&trusted, "the host is kept", "https://cameras.example", &[kept, https], 200),
        (&trusted, "and has the port of https", "https://cameras.example", &["Host: cameras.example:443", https], 200),
        (&trusted, "and has the port of http", "http://cameras.example", &["Host: cameras.example:80"], 200),
        (&trusted, "and has another port", "https://cameras.example", &["Host: cameras.example:8443", https], 403),
        (&trusted, "the same port", "https://cameras.example:8443", &["Host: cameras.example:8443", https], 200),
        (&untrusted, "X-Forwarded-Host is not trusted", "https://cameras.example", &[upstream, x_host, https], 403),
    ] {
        let body = json!({"user": "alice", "pass": "s3cret"}).to_string();
        let origin = format!("Origin: {origin}");
        let headers = [&[client, &origin], headers].concat();
        let answer = app.request("POST", "/api/v1/login", &headers, body.as_bytes()).await;
        if answer.status != status {
            wrong.push(format!("{what}: {} instead of {status}", answer.status));
        } else if status == 403 && !answer.detail().contains("http.public_url") {
            wrong.push(format!("{what}: the refusal does not name the setting"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_start_without_trusted_proxies_is_warned_of_if_there_is_a_public_url() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("sidecar.yml");
    let settings = "http: {listen: '127.0.0.1:0', public_url: 'https://cameras.example'}\nrtsp: {enabled: no}\n";
    std::fs::write(&config, settings).expect("writes");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.arg("--config").arg(&config).arg("serve").current_dir(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut program = Program(command.spawn().expect("starts"));
    let line = stderr_says(&mut program, "http.trusted_proxies").await;
    assert!(line.contains("WARN"), "{line}");
}
