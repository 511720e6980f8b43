//! The search: which devices answer, which are reported, and who can search.

use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpListener};

use super::{
    SETTINGS, addresses, detail,
    fake::{Auth, Bait, Behaviour, Camera, LOGIN, card_id},
    of, search,
};
use crate::support::{FAR, TestApp, basic, bearer, eventually, skip};

#[tokio::test]
async fn cameras_of_four_makers_are_found_and_described() {
    let app = TestApp::with(SETTINGS);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let nowhere = format!("0.0.0.0:{}", listener.local_addr().expect("bound").port());
    let xm = Behaviour { elsewhere: Some(nowhere), ..Behaviour::of("xm") };
    let tapo = Behaviour { ignores_typed: true, ..Behaviour::of("tapo") };
    let cameras = [
        Camera::start(Behaviour::of("hikvision")).await,
        Camera::start(Behaviour::of("axis")).await,
        Camera::start(tapo).await,
        Camera::on(listener, [127, 0, 0, 1], xm).await,
    ];
    let events = search(&app, &addresses(&cameras.each_ref().map(|camera| camera.udp))).await;
    assert_eq!(of(&events, "problem"), Vec::<&Value>::new(), "{events:?}");
    assert_eq!(of(&events, "done")[0]["found"], 4, "{events:?}");
    assert_eq!(events.last().expect("some").0, "done");
    for card in of(&events, "found") {
        assert_eq!((&card["address"], &card["found_by"]), (&json!("127.0.0.1"), &json!("ws-discovery")), "{card}");
        assert!(card["name"].as_str().is_some_and(|name| name.ends_with(" Front Door")), "decoded: {card}");
        assert_eq!((&card["hardware"], &card["location"]), (&json!("HW/1"), &json!("city/hangzhou")), "{card}");
    }
    let hikvision = detail(&events, &card_id(&cameras[0]));
    assert_eq!((&hikvision["manufacturer"], &hikvision["model"]), (&json!("HIKVISION"), &json!("DS-2CD2143G2-I")));
    let (http, name) = (cameras[0].http, "hikvision-front-door-1");
    let main = json!({
        "token": "Profile_1", "name": "mainStream", "codec": "H264", "width": 2688, "height": 1520, "fps": 25.0,
        "stream_uri": "rtsp://127.0.0.1:554/Streaming/Channels/Profile_1?transportmode=unicast&profile=Profile_1",
        "snapshot_uri": format!("http://{http}/onvif-http/snapshot?Profile_1"),
    });
    assert_eq!(hikvision["profiles"][0], main);
    assert_eq!((&hikvision["profiles"][1]["codec"], &hikvision["profiles"][1]["width"]), (&json!("JPEG"), &json!(640)));
    assert_eq!(hikvision["needs_credentials"], false);
    let offers = hikvision["offers"].as_array().expect("a list");
    assert_eq!(offers.len(), 6, "a path, a stream, and snapshots of each: {offers:?}");
    let body = json!({"kind": "camera", "url": main["stream_uri"], "on_demand": true, "transport": "tcp"});
    assert_eq!((&offers[0]["href"], &offers[0]["body"]), (&json!(format!("/api/v1/paths/{name}")), &body));
    assert_eq!(offers[1]["body"], json!({"kind": "rtsp", "url": main["stream_uri"]}));
    assert_eq!(offers[2]["body"], json!({"kind": "http", "url": main["snapshot_uri"]}));
    // Each offer can be put.
    for offer in offers {
        let put = app.admin("PUT", offer["href"].as_str().expect("text"), &offer["body"].to_string()).await;
        assert!(matches!(put.status, 200 | 201), "{offer}: {put:?}");
    }

    let axis = detail(&events, &card_id(&cameras[1]));
    let uri = "rtsp://127.0.0.1/onvif-media/media.amp?profile=profile_1%20h264&sessiontimeout=60&streamtype=unicast";
    assert_eq!(axis["profiles"][0]["stream_uri"], uri, "{axis}");
    let tapo = detail(&events, &card_id(&cameras[2]));
    assert_eq!((&tapo["profiles"][0]["codec"], &tapo["profiles"][0]["fps"]), (&json!("H265"), &json!(12.5)), "{tapo}");
    assert_eq!(
        (&tapo["profiles"][0]["stream_uri"], &tapo["problems"]),
        (&json!("rtsp://127.0.0.1:554/stream1"), &Value::Null)
    );

    let xm = detail(&events, &card_id(&cameras[3]));
    assert_eq!((&xm["model"], &xm["elsewhere"]), (&json!("50X20L"), &Value::Null), "0.0.0.0 is itself: {xm}");
    assert_eq!(xm["device_service"], format!("http://{}/onvif/device_service", cameras[3].http));
}

#[tokio::test]
async fn a_host_that_a_camera_names_is_asked_only_with_consent() {
    let app = TestApp::with(SETTINGS);
    // The same port at another address, because the port that a camera names is usually right.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("bound").port();
    let bait = Bait::at(([127, 0, 0, 9], port).into());
    let behaviour = Behaviour { elsewhere: Some(bait.addr().to_string()), ..Behaviour::of("xm") };
    let camera = Camera::on(listener, [127, 0, 0, 1], behaviour).await;
    let query = addresses(&[camera.udp]);
    let events = search(&app, &query).await;
    let card = detail(&events, &card_id(&camera));
    assert_eq!(card["elsewhere"], json!(["127.0.0.9"]), "{card}");
    assert_eq!(card["model"], "50X20L", "its own address is asked: {card}");
    let uri =
        format!("rtsp://127.0.0.1:{port}/user=admin_password=tlJwpbo6_channel=1_stream=0&onvif=0.sdp?real_stream");
    assert_eq!(card["profiles"][0]["stream_uri"], uri, "unescaped twice, at the host that answered: {card}");
    assert_eq!(card["profiles"][0]["snapshot_uri"], Value::Null, "{card}");
    assert!(!bait.is_taken(), "the sidecar has connected to the other host");
    // Consent to a third host changes nothing; with consent to this host it is asked.
    search(&app, &format!("{query}&consent=127.0.0.8")).await;
    assert!(!bait.is_taken(), "the sidecar has connected to the other host");
    let query = format!("{query}&consent=127.0.0.9");
    let asking = search(&app, &query);
    let taken = eventually("the named host is asked", async || bait.is_taken());
    let (events, ()) = tokio::join!(asking, taken);
    assert_eq!(detail(&events, &card_id(&camera))["elsewhere"], Value::Null, "{events:?}");
}

#[tokio::test]
async fn a_description_is_fetched_from_the_device_only() {
    // Permission to follow redirects to other hosts does not apply here.
    let app = TestApp::with(&format!("{SETTINGS}\nfetch: {{redirect_networks: [127.0.0.0/8]}}"));
    let bait = Bait::at(([127, 0, 0, 9], 0).into());
    let silent = Behaviour { probe_match: String::new(), ..Behaviour::of("axis") };
    let liar = Behaviour { location: Some(format!("http://{}/rootdesc1.xml", bait.addr())), ..silent.clone() };
    let liar = Camera::start_at([127, 0, 0, 3], liar).await;
    let honest = Behaviour { location: Some("http://{HOST}/rootdesc1.xml".into()), ..silent.clone() };
    let honest = Camera::start_at([127, 0, 0, 4], honest).await;
    let sly = Behaviour { location: Some(format!("http://{{HOST}}/to/{}", bait.addr())), ..silent };
    let sly = Camera::start_at([127, 0, 0, 5], sly).await;
    let events = search(&app, &addresses(&[liar.udp, honest.udp, sly.udp])).await;
    let cards = of(&events, "found");
    assert_eq!(cards.len(), 1, "{events:?}");
    let card = cards[0];
    assert_eq!((&card["address"], &card["found_by"]), (&json!("127.0.0.4"), &json!("ssdp")), "{card}");
    assert_eq!(
        (&card["name"], &card["manufacturer"]),
        (&json!("AXIS M1065-L - ACCC8E000001"), &json!("AXIS")),
        "{card}"
    );
    assert_eq!(card["page"], format!("http://{}/index.html", honest.http), "{card}");
    for address in ["127.0.0.3", "127.0.0.5"] {
        let says =
            |t: &&Value| t["address"] == address && t["message"].as_str().is_some_and(|m| m.contains("127.0.0.9"));
        assert!(of(&events, "problem").iter().any(says), "{address}: {events:?}");
    }
    assert_eq!(sly.seen.lock().len(), 1, "one request, and its redirect is not followed");
    assert!(!bait.is_taken(), "the sidecar has connected to the other host");
    // After the answer by UDP, only the description is fetched, besides the questions to ONVIF's usual port.
    assert_eq!(honest.count("GET /rootdesc1.xml HTTP/1.1"), 1);
}

#[tokio::test]
async fn answers_to_other_probes_and_printers_are_not_reported() {
    let app = TestApp::with(SETTINGS);
    let base = Behaviour::of("hikvision");
    let matches = [
        base.probe_match.replace("{RELATES}", "urn:uuid:00000000-0000-4000-8000-000000000000"),
        base.probe_match.replace("<wsadis:RelatesTo>{RELATES}</wsadis:RelatesTo>", ""),
        base.probe_match
            .replace("dn:NetworkVideoTransmitter", "wsdp:Device wprt:PrintDeviceType")
            .replace("onvif", "printer")
            .replace("{XADDR}", "http://127.0.0.22/print"),
    ];
    let mut cameras = vec![];
    for (last, probe_match) in (20..).zip(matches) {
        cameras.push(Camera::start_at([127, 0, 0, last], Behaviour { probe_match, ..base.clone() }).await);
    }
    let all: Vec<_> = cameras.iter().map(|camera| camera.udp).collect();
    let events = search(&app, &addresses(&all)).await;
    let done = of(&events, "done")[0];
    assert_eq!((of(&events, "found").len(), &done["others"]), (0, &json!(1)), "{events:?}");
    // A device without a valid answer is asked at ONVIF's usual ports only, and these cameras have another port.
    assert!(cameras.iter().all(|camera| camera.seen.lock().is_empty()));
}

#[tokio::test]
async fn a_camera_on_the_group_is_found_by_multicast() {
    let app = TestApp::with(SETTINGS);
    let behaviour = Behaviour::of("hikvision");
    let mut camera = Camera::start(behaviour.clone()).await;
    if let Err(e) = camera.join_group(&behaviour) {
        return skip::skip(&format!("this machine has no multicast on loopback: {e}"));
    }
    let events = search(&app, "interface=127.0.0.1").await;
    let card = detail(&events, &card_id(&camera));
    assert_eq!(card["model"], "DS-2CD2143G2-I", "{card}");
    let done = of(&events, "done")[0];
    assert_eq!(done["interfaces"][0]["address"], "127.0.0.1", "{done}");
    let seen: Vec<_> =
        of(&events, "found").into_iter().filter(|card| card["id"] == card_id(&camera).as_str()).collect();
    assert_eq!(seen.len(), 1, "several probes are answered, and the camera is reported once");
    let events = search(&app, "interface=nonesuch7").await;
    assert!(of(&events, "problem")[0]["message"].as_str().is_some_and(|m| m.contains("nonesuch7")), "{events:?}");
}

#[tokio::test]
async fn only_administrators_search_and_one_search_runs_at_a_time() {
    let app = TestApp::with("discovery: {wait: 20s}");
    let made =
        app.made("/api/v1/tokens", json!({"name": "x", "permissions": [{"action": "read"}], "expires": "1h"})).await;
    let reader = bearer(made["token"].as_str().expect("a token"));
    let body = json!({"address": "127.0.0.1"}).to_string();
    for (method, path) in [("GET", "/api/v1/discover"), ("POST", "/api/v1/discover/onvif")] {
        for (headers, status) in [(&[FAR][..], 401), (&[FAR, reader.as_str()], 403), (&[], 401)] {
            let response = app.request(method, path, headers, body.as_bytes()).await;
            assert_eq!(response.status, status, "{method} {path} {headers:?} {response:?}");
        }
    }
    let admin = basic("admin", app.password.as_deref().expect("generated"));
    let path = "/api/v1/discover?address=127.0.0.1:1";
    let mut first = app.send("GET", path, &[&admin], b"").await;
    let mut text = vec![];
    while !String::from_utf8_lossy(&text).contains(": searching") {
        assert!(first.read_buf(&mut text).await.expect("reads") > 0);
    }
    let second = app.request("GET", path, &[&admin], b"").await;
    assert_eq!((second.status, second.problem().as_str()), (503, "unavailable"));
    assert!(second.header("retry-after").is_some());
    // The search ends when its client disconnects.
    drop(first);
    eventually("another search can begin", async || {
        let mut again = app.send("GET", path, &[&admin], b"").await;
        let mut line = vec![0; 12];
        again.read_exact(&mut line).await.expect("answers");
        line == b"HTTP/1.1 200"
    })
    .await;
    // A browser's EventSource reconnects by itself, and status 204 ends that (HTML, section 9.2.3).
    let again = app.request("GET", path, &[&admin, "Last-Event-ID: 3"], b"").await;
    assert_eq!(again.status, 204);
    for (query, says) in [
        ("address=x", "address: \"x\" is not an address"),
        ("address=8.8.8.8", "8.8.8.8 is not in discovery.networks"),
        ("consent=camera.local", "consent: \"camera.local\" is not an IP address"),
        (&format!("interface={}", "e,".repeat(100)), "interface: must not have more than 64 values"),
    ] {
        let refused = app.admin("GET", &format!("/api/v1/discover?{query}"), "").await;
        assert_eq!((refused.status, refused.problem().as_str()), (400, "invalid_parameter"), "{query}");
        assert!(refused.detail().contains(says), "{refused:?}");
    }
}

#[tokio::test]
async fn the_command_finds_cameras_and_never_prints_the_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("sidecar.yml");
    std::fs::write(&config, SETTINGS).expect("writes");
    let camera = Camera::start(Behaviour { auth: Auth::Token, clock: -86_400, ..Behaviour::of("hikvision") }).await;
    let command = |args: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
        command.args(["--config", &config.to_string_lossy(), "discover"]).args(args);
        command.env("SIDECAR_CAMERA_PASSWORD", LOGIN.1).kill_on_drop(true);
        command.stdin(std::process::Stdio::null());
        command
    };
    let address = camera.udp.to_string();
    let output = command(&["--address", &address, "--user", LOGIN.0, "--json"]).output().await.expect("runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    let card: Value = serde_json::from_str(out.trim()).expect("one line of JSON");
    assert_eq!((&card["needs_credentials"], &card["profiles"][0]["codec"]), (&json!(false), &json!("H264")), "{card}");
    assert!(err.contains("1 cameras in "), "{err}");
    let plain = command(&["--address", &address, "--user", LOGIN.0]).output().await.expect("runs");
    let text = String::from_utf8_lossy(&plain.stdout);
    assert!(text.contains("127.0.0.1  hikvision Front Door (HIKVISION DS-2CD2143G2-I)\n"), "{text}");
    assert!(text.contains("    H264 2688x1520 25 fps  rtsp://127.0.0.1:554/Streaming/"), "{text}");
    assert!(text.contains("    ! its clock is slow by 86"), "{text}");
    for said in [&out, &err, &text, &String::from_utf8_lossy(&plain.stderr)] {
        assert!(!said.contains("s3cret"), "{said}");
    }
    // The password is sent only to addresses that are named.
    let refused = command(&["--interface", "127.0.0.1", "--user", LOGIN.0]).output().await.expect("runs");
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--address"));
}
