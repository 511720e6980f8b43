//! Hostile and broken devices.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    SETTINGS, addresses, detail,
    fake::{Behaviour, Camera, MATCH, card_id},
    of, search,
};
use crate::support::TestApp;

#[tokio::test]
async fn hostile_documents_are_refused_and_other_devices_are_still_found() {
    let app = TestApp::with(SETTINGS);
    let laughs =
        "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;\">]><l>&c;</l>".to_owned();
    let outside = "<!DOCTYPE l [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><l>&x;</l>".to_owned();
    let deep = format!("{}{}", "<a>".repeat(50_000), "</a>".repeat(50_000));
    let large = format!("<a>{}</a>", "x".repeat(2 << 20));
    let wide = format!("<a>{}</a>", "<b/>".repeat(100_000));
    let cases = [
        (laughs, "DOCTYPE"),
        (outside, "DOCTYPE"),
        (deep, "nested deeper"),
        (large, "more than"),
        (wide, "elements"),
        ("<html><body>hello".into(), "ends in the middle"),
        (String::new(), "single"),
    ];
    let mut cameras = vec![];
    for (body, _) in &cases {
        let answers_with = Some(Arc::new(body.clone().into_bytes()));
        cameras.push(Camera::start(Behaviour { answers_with, ..Behaviour::of("xm") }).await);
    }
    let good = Camera::start(Behaviour::of("hikvision")).await;
    let mut all: Vec<_> = cameras.iter().map(|camera| camera.udp).collect();
    all.push(good.udp);
    let events = search(&app, &addresses(&all)).await;
    for ((_, says), camera) in cases.iter().zip(&cameras) {
        let card = detail(&events, &card_id(camera));
        let problem = card["problems"][0].as_str().expect("a problem");
        assert!(problem.contains(says), "{problem} should say {says}");
        assert!(problem.len() < 400, "{problem}");
    }
    assert_eq!(detail(&events, &card_id(&good))["model"], "DS-2CD2143G2-I");
}

#[tokio::test]
async fn malformed_datagrams_are_ignored() {
    let app = TestApp::with(SETTINGS);
    let many = MATCH.replace("</d:ProbeMatch>", &format!("</d:ProbeMatch>{}", "<d:ProbeMatch/>".repeat(3000)));
    let script = MATCH.replace("{MAKER}", "%1b%5b2J%0a%3Cscript%3E");
    let entities = format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{}", MATCH.split_once("?>").expect("a declaration").1);
    let mut cameras = vec![];
    for (last, probe_match) in (40..).zip([many, script, entities, "\0\u{1}<".into(), "<".repeat(60_000)]) {
        cameras.push(Camera::start_at([127, 0, 0, last], Behaviour { probe_match, ..Behaviour::of("xm") }).await);
    }
    let all: Vec<_> = cameras.iter().map(|camera| camera.udp).collect();
    let events = search(&app, &addresses(&all)).await;
    let found: Vec<_> = of(&events, "found").into_iter().map(|card| card["address"].clone()).collect();
    assert_eq!(found, [json!("127.0.0.40"), json!("127.0.0.41")], "{events:?}");
    let name = of(&events, "found")[1]["name"].as_str().expect("a name").to_owned();
    assert_eq!(name, "[2J<script> Front Door", "without the control character that begins a terminal sequence");
    let offer = &detail(&events, &card_id(&cameras[1]))["offers"][0];
    assert_eq!(offer["name"], "2j-script-front-door-41", "{offer}");
}

#[tokio::test]
async fn a_silent_device_does_not_delay_another() {
    let app = TestApp::with(SETTINGS);
    let silent = Camera::start(Behaviour { is_silent: true, ..Behaviour::of("xm") }).await;
    let good = Camera::start(Behaviour::of("hikvision")).await;
    let events = search(&app, &addresses(&[silent.udp, good.udp])).await;
    let order: Vec<_> = of(&events, "detail").into_iter().map(|card| card["id"].clone()).collect();
    assert_eq!(order, [json!(card_id(&good)), json!(card_id(&silent))]);
    let card = detail(&events, &card_id(&silent));
    assert!(card["problems"][0].as_str().is_some_and(|text| text.contains("does not answer")), "{card}");
    assert_eq!(of(&events, "problem"), Vec::<&Value>::new());
}

#[tokio::test]
async fn the_number_of_reported_devices_is_limited() {
    let app = TestApp::with(SETTINGS);
    let (head, rest) = MATCH.split_once("<d:ProbeMatch>").expect("one");
    let (one, tail) = rest.split_once("</d:ProbeMatch>").expect("one");
    // No program listens on port 1, so each question fails at once.
    let one = one.replace("{XADDR}", "http://0.0.0.0:1/onvif/device_service");
    let crowd =
        (0..64).map(|n| format!("<d:ProbeMatch>{}</d:ProbeMatch>", one.replace("{ID}", &format!("{{ID}}-{n}"))));
    let probe_match = format!("{head}{}{tail}", crowd.collect::<String>());
    let mut cameras = vec![];
    for last in 60..65 {
        let behaviour = Behaviour { probe_match: probe_match.clone(), ..Behaviour::of("xm") };
        cameras.push(Camera::start_at([127, 0, 0, last], behaviour).await);
    }
    let all: Vec<_> = cameras.iter().map(|camera| camera.udp).collect();
    let events = search(&app, &addresses(&all)).await;
    assert_eq!((of(&events, "found").len(), of(&events, "detail").len()), (256, 256));
    let problems = of(&events, "problem");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0]["message"].as_str().is_some_and(|text| text.contains("more than 256 devices")), "{problems:?}");
}
