mod host;

use std::path::Path;

use serde_json::json;
use wiremock::{Mock, MockServer, matchers::any};

use self::host::Host;
use super::*;
use crate::{
    fetch::{Fetch, FetchSettings},
    hosts::Hosts,
    mediamtx::{Fields, MediaMtxSettings},
    store::paths::AppliedRow,
    uv4l::Uv4lSettings,
};

fn cameras() -> Cameras {
    Cameras::new(
        &Uv4lSettings::default(),
        tokio::time::Duration::ZERO,
        &Fetch::new(&FetchSettings::default()).expect("no file"),
    )
}

struct Bench {
    paths: Paths,
    host: Host,
    store: Store,
    mediamtx: Client,
    _server: MockServer,
}

async fn bench() -> Bench {
    let (server, host) = (MockServer::start().await, Host::default());
    Mock::given(any()).respond_with(host.clone()).mount(&server).await;
    let settings = MediaMtxSettings { api: server.uri(), ..MediaMtxSettings::default() };
    let hosts = Hosts::new(Path::new("")).expect("TLS");
    let mediamtx = Client::start(&settings, &hosts, || None).expect("a thread");
    let store = Store::in_memory().expect("opens");
    let paths = Paths::open(store.clone(), mediamtx.clone(), Bus::default(), cameras(), "rtsp://127.0.0.1:9554".into())
        .expect("opens");
    Bench { paths, host, store, mediamtx, _server: server }
}

fn wanted(value: Value) -> Wanted {
    serde_json::from_value(value).expect("a definition")
}

fn camera(url: &str) -> Wanted {
    wanted(json!({"kind": "camera", "url": url}))
}

impl Bench {
    async fn settle(&self) {
        while self.paths.pass().await.expect("MediaMTX answers") {}
    }

    async fn state(&self, name: &str) -> (Condition, String) {
        let status = self.paths.get(name).await.expect("is defined");
        (status.state, status.error.unwrap_or_default())
    }

    fn actual(&self, name: &str) -> Option<Fields> {
        self.host.0.lock().paths.get(name).cloned()
    }

    fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.host.0.lock().writes)
    }
}

#[tokio::test]
async fn defined_paths_are_added_changed_and_removed() {
    let bench = bench().await;
    assert!(
        bench
            .paths
            .put("front/door", wanted(json!({"kind": "stream", "stream": "door", "record": true})))
            .await
            .expect("new")
    );
    bench.paths.put("cam", camera("rtsp://10.0.0.5/a")).await.expect("new");
    assert_eq!(bench.state("cam").await.0, Condition::Pending);
    bench.settle().await;
    assert_eq!(bench.state("cam").await.0, Condition::Applied);
    let door =
        json!({"source": "rtsp://127.0.0.1:9554/door", "rtspTransport": "tcp", "sourceOnDemand": true, "record": true});
    assert_eq!(bench.actual("front/door").map(Value::Object), Some(door));
    bench.writes();
    bench.settle().await;
    assert!(bench.writes().is_empty(), "no change is due");

    bench.paths.put("cam", camera("rtsp://10.0.0.5/b")).await.expect("changed");
    bench.settle().await;
    assert_eq!(bench.writes(), ["patch cam"]);
    // A removed setting returns to its default.
    bench
        .paths
        .patch("front/door", serde_json::from_value(json!({"record": false})).expect("members"))
        .await
        .expect("changed");
    bench.settle().await;
    assert_eq!(bench.writes(), ["replace front/door"]);
    bench
        .paths
        .patch("cam", serde_json::from_value(json!({"enabled": false, "note": "broken"})).expect("members"))
        .await
        .expect("changed");
    bench.settle().await;
    assert_eq!((bench.writes(), bench.state("cam").await.0), (vec!["delete cam".into()], Condition::Disabled));
    bench.paths.remove("front/door").await.expect("removed");
    bench.settle().await;
    assert!(bench.actual("front/door").is_none() && bench.paths.get("front/door").await.is_err());
}

#[tokio::test]
async fn paths_survive_restarts_of_mediamtx_and_of_the_sidecar_and_reloads() {
    let bench = bench().await;
    for n in 0..1000 {
        bench.paths.put(&format!("cam{n}"), camera("rtsp://10.0.0.5/a")).await.expect("new");
    }
    bench.settle().await;
    assert_eq!(bench.writes().len(), 1000);
    let lose = |starts: u32| {
        let mut host = bench.host.0.lock();
        host.starts += starts;
        host.paths.clear();
    };
    // A restart, then a reload of the file, after which only the paths are gone.
    for starts in [1, 0] {
        lose(starts);
        bench.settle().await;
        assert_eq!(bench.writes().len(), 1000);
        assert!(bench.actual("cam999").is_some());
    }
    // A restart of the sidecar: it knows its paths, and corrects one that another program has changed.
    let again = Paths::open(
        bench.store.clone(),
        bench.mediamtx.clone(),
        Bus::default(),
        cameras(),
        "rtsp://127.0.0.1:9554".into(),
    )
    .expect("opens");
    assert!(!again.pass().await.expect("MediaMTX answers"), "no change is due");
    bench.host.0.lock().paths.insert("cam7".into(), Fields::new());
    assert!(again.pass().await.expect("MediaMTX answers"));
    assert_eq!(bench.writes(), ["patch cam7"]);
}

#[tokio::test]
async fn paths_of_others_are_reported_and_not_changed() {
    let bench = bench().await;
    let theirs: Fields = serde_json::from_value(json!({"source": "rtsp://10.0.0.9/theirs"})).expect("an object");
    bench.host.0.lock().paths.insert("cam".into(), theirs.clone());
    bench.host.0.lock().paths.insert("other".into(), theirs.clone());
    bench.paths.put("cam", camera("rtsp://10.0.0.5/a")).await.expect("new");
    bench.settle().await;
    let status = bench.paths.get("cam").await.expect("is defined");
    assert_eq!(status.state, Condition::Conflict);
    assert!(status.error.expect("a reason").contains("mediamtx.yml") && status.differs.contains(&"source".into()));
    bench.paths.remove("cam").await.expect("removed");
    bench.settle().await;
    assert!(bench.writes().is_empty());
    assert_eq!((bench.actual("cam"), bench.actual("other")), (Some(theirs.clone()), Some(theirs)));

    // A program that changes a path back each time is not answered without end.
    bench.paths.put("mine", camera("rtsp://10.0.0.5/a")).await.expect("new");
    bench.settle().await;
    bench.writes();
    for _ in 0..10 {
        bench.host.0.lock().paths.insert("mine".into(), Fields::new());
        let _ = bench.paths.pass().await.expect("MediaMTX answers");
    }
    assert!((1..=4).contains(&bench.writes().len()));
    assert_eq!(
        bench.state("mine").await,
        (Condition::Conflict, "another program changes the path back each time".into())
    );
}

/// The stored settings of a path that MediaMTX has show that the sidecar made the path, even if they cannot be read.
#[tokio::test]
async fn a_path_with_damaged_stored_settings_is_corrected_and_is_no_conflict() {
    let bench = bench().await;
    bench.paths.put("cam", camera("rtsp://10.0.0.5/a")).await.expect("new");
    bench.settle().await;
    let row = AppliedRow { name: "cam".into(), started: "start 0".into(), fields: "{".into() };
    bench.store.note_applied_paths(&[row], &[]).expect("writes");
    bench.host.0.lock().paths.insert("cam".into(), Fields::new());
    bench.writes();
    bench.settle().await;
    assert_eq!(bench.writes(), ["patch cam"]);
    assert_eq!(bench.state("cam").await, (Condition::Applied, String::new()));
}

#[tokio::test]
async fn a_refusal_has_mediamtx_s_reason_and_is_not_repeated_at_once() {
    let bench = bench().await;
    bench.paths.put("bad", wanted(json!({"kind": "raw", "fields": {"sourc": "publisher"}}))).await.expect("new");
    bench.paths.put("good", camera("rtsp://10.0.0.5/a")).await.expect("new");
    for _ in 0..3 {
        let _ = bench.paths.pass().await.expect("MediaMTX answers");
    }
    let (state, error) = bench.state("bad").await;
    assert!(state == Condition::Refused && error.contains("unknown field \"sourc\""), "{state:?} {error}");
    assert_eq!(bench.state("good").await.0, Condition::Applied, "other paths do not wait");
    assert_eq!(bench.writes().iter().filter(|write| *write == "add bad").count(), 1);
    bench.paths.put("bad", wanted(json!({"kind": "raw", "fields": {"source": "publisher"}}))).await.expect("changed");
    bench.settle().await;
    assert_eq!(bench.state("bad").await.0, Condition::Applied, "a new definition is tried at once");
}

#[tokio::test]
async fn paths_are_applied_when_mediamtx_answers_again() {
    let bench = bench().await;
    bench.paths.put("cam", camera("rtsp://10.0.0.5/a")).await.expect("new");
    bench.host.0.lock().is_down = true;
    let running = tokio::spawn({
        let paths = bench.paths.clone();
        async move { paths.run().await }
    });
    let until = async |condition: &str, holds: &dyn Fn() -> bool| {
        let start = std::time::Instant::now();
        while !holds() {
            assert!(start.elapsed() < std::time::Duration::from_secs(20), "not in time: {condition}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    until("the error is reported", &|| bench.paths.host().error.is_some()).await;
    assert!(!bench.paths.host().reachable);
    bench.host.0.lock().is_down = false;
    until("the path is added", &|| bench.actual("cam").is_some()).await;
    bench.host.0.lock().paths.clear();
    until("the path is added again", &|| bench.actual("cam").is_some()).await;
    assert_eq!(bench.paths.host().version.as_deref(), Some("v1.20.1"));
    running.abort();
}

#[tokio::test]
async fn a_replacement_of_all_paths_is_made_as_a_whole_or_not_at_all() {
    let bench = bench().await;
    for name in ["a", "b", "c"] {
        bench.paths.put(name, camera("rtsp://10.0.0.5/a")).await.expect("new");
    }
    let all = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, url)| ((*name).to_owned(), camera(url))).collect::<BTreeMap<_, _>>()
    };
    let new = [("a", "rtsp://10.0.0.5/a"), ("b", "rtsp://10.0.0.5/b"), ("d", "rtsp://10.0.0.5/d")];
    let expected =
        Difference { added: vec!["d".into()], changed: vec!["b".into()], removed: vec!["c".into()], unchanged: 1 };
    assert_eq!(bench.paths.replace_all(all(&new), true).await.expect("valid"), expected);
    assert!(bench.paths.get("c").await.is_ok(), "a dry run changes nothing");
    let error = bench
        .paths
        .replace_all(all(&[("x", "rtsp://10.0.0.5/x"), ("y", "gopher://x")]), false)
        .await
        .expect_err("refused");
    assert!(error.to_string().starts_with("y: url: must be"), "{error}");
    assert!(bench.paths.get("x").await.is_err());
    assert_eq!(bench.paths.replace_all(all(&new), false).await.expect("valid"), expected);
    assert!(bench.paths.get("c").await.is_err() && bench.paths.get("d").await.is_ok());
}

#[tokio::test]
async fn paths_of_mediamtx_can_be_imported() {
    let bench = bench().await;
    for (name, fields) in [
        ("cam", json!({"source": "rtsp://10.0.0.9/x"})),
        ("secret", json!({"publishPass": "<redacted>"})),
        ("all_others", json!({})),
    ] {
        bench.host.0.lock().paths.insert(name.into(), serde_json::from_value(fields).expect("an object"));
    }
    let imported = bench.paths.import(None, false).await.expect("imports");
    assert_eq!(imported.imported, ["cam"]);
    assert_eq!(imported.skipped.keys().collect::<Vec<_>>(), ["all_others", "secret"]);
    let Kind::Raw { fields } = bench.paths.get("cam").await.expect("is defined").wanted.kind else { panic!("raw") };
    assert_eq!(Value::Object(fields), json!({"source": "rtsp://10.0.0.9/x"}), "without defaults");
    bench.settle().await;
    assert!(bench.writes().is_empty(), "the import changes nothing at MediaMTX");
    bench.host.0.lock().paths.clear();
    bench.settle().await;
    assert!(bench.actual("cam").is_some(), "an imported path is added again when MediaMTX has lost it");
}

#[tokio::test]
async fn passwords_are_stored_and_not_shown() {
    let bench = bench().await;
    bench.paths.put("cam", camera("rtsp://root:hunter2@10.0.0.5/a")).await.expect("new");
    let shown = bench.paths.get("cam").await.expect("is defined");
    let text = serde_json::to_string(&shown).expect("plain data");
    assert!(!text.contains("hunter2") && text.contains("rtsp://root:***@10.0.0.5/a"), "{text}");
    // A definition that was shown can be sent back.
    bench.paths.put("cam", Wanted { note: "x".into(), ..shown.wanted }).await.expect("changed");
    bench.settle().await;
    assert_eq!(bench.actual("cam").expect("exists")["source"], "rtsp://root:hunter2@10.0.0.5/a");
    let error = bench.paths.put("cam", camera("rtsp://root:***@10.0.0.6/a")).await.expect_err("refused");
    assert!(error.to_string().contains("write the password"), "{error}");
}

#[tokio::test]
async fn passphrases_and_secret_parameters_are_stored_and_not_shown() {
    let bench = bench().await;
    bench
        .paths
        .put("srt", camera("srt://10.0.0.5:8890?streamid=read:cam:bob:hunter2&passphrase=hunter2hunter2"))
        .await
        .expect("new");
    let fields = json!({"kind": "raw", "fields": {
        "source": "publisher", "srtPublishPassphrase": "hunter2hunter2", "srtReadPassphrase": "hunter2hunter3",
        "runOnDemand": "ffmpeg -i http://10.0.0.5/x?pwd=hunter2 -f null -",
    }});
    bench.paths.put("raw", wanted(fields)).await.expect("new");
    for name in ["srt", "raw"] {
        let shown = bench.paths.get(name).await.expect("is defined");
        let text = serde_json::to_string(&shown).expect("plain data");
        assert!(!text.contains("hunter") && text.contains("***"), "{text}");
        bench
            .paths
            .put(name, Wanted { note: "x".into(), ..shown.wanted })
            .await
            .expect("a shown definition is accepted");
    }
    bench.settle().await;
    let raw = bench.actual("raw").expect("exists");
    assert_eq!(raw["srtPublishPassphrase"], "hunter2hunter2");
    assert_eq!(raw["runOnDemand"], "ffmpeg -i http://10.0.0.5/x?pwd=hunter2 -f null -");
    let source = bench.actual("srt").expect("exists")["source"].clone();
    assert_eq!(source, "srt://10.0.0.5:8890?streamid=read:cam:bob:hunter2&passphrase=hunter2hunter2");
    let changed = json!({"kind": "raw", "fields": {"srtReadPassphrase": "***", "source": "srt://h?passphrase=***"}});
    let error = bench.paths.put("other", wanted(changed)).await.expect_err("nothing is stored");
    assert!(error.to_string().contains("write the value"), "{error}");
}

#[test]
#[rustfmt::skip]
fn each_error_names_its_field() {
    for (name, value, says) in [
        ("", json!({"kind": "camera", "url": "rtsp://x/y"}), "name"),
        ("/x", json!({"kind": "camera", "url": "rtsp://x/y"}), "name"),
        ("a/../b", json!({"kind": "camera", "url": "rtsp://x/y"}), "name"),
        ("-y", json!({"kind": "camera", "url": "rtsp://x/y"}), "no - at the start"),
        ("a b", json!({"kind": "camera", "url": "rtsp://x/y"}), "name"),
        ("all_others", json!({"kind": "camera", "url": "rtsp://x/y"}), "all_others"),
        ("~(", json!({"kind": "camera", "url": "rtsp://x/y"}), "regular expression"),
        ("~^x$", json!({"kind": "camera", "url": "rtsp://x/y", "on_demand": false}), "on_demand"),
        ("~^x$", json!({"kind": "stream", "stream": "x"}), "stream"),
        ("x", json!({"kind": "camera", "url": "10.0.0.5"}), "url: must be a URL"),
        ("x", json!({"kind": "camera", "url": "rtsp://x/a b"}), "no space"),
        ("x", json!({"kind": "camera", "url": "http://x/video.mjpg"}), "not MJPEG"),
        ("x", json!({"kind": "camera", "url": "rtsp://x", "transport": "pigeon"}), "transport"),
        ("x", json!({"kind": "raw", "fields": {"name": "y"}}), "must not have name"),
        ("x", json!({"kind": "raw", "fields": {"runOnDemand": "  "}}), "white space"),
        ("x", json!({"kind": "raw", "fields": {"runOnDemand": "echo 'x"}}), "quotation mark"),
        ("x", json!({"kind": "raw", "fields": {"readPass": "<redacted>"}}), "write the value"),
    ] {
        let error = wanted(value.clone()).check(name).expect_err("refused").to_string();
        assert!(error.contains(says), "{name} {value}: {error}");
    }
    for name in ["x", "front/door", "Cam.1_a-b", "~^cam/(.+)$"] {
        assert!(check_name(name).is_ok(), "{name}");
    }
}
