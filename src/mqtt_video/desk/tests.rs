use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use serde_json::Value;

use super::*;
use crate::mqtt_video::groups::Script;

/// A source of `door`, which has a group each second, and of `shed`, which ends after two.
#[derive(Clone, Default)]
struct Streams {
    taken: Arc<AtomicUsize>,
    end: CancellationToken,
    reports: Arc<Mutex<Vec<Report>>>,
}

struct Chair(Streams);

impl Drop for Chair {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Seat for Chair {
    fn end(&self) -> CancellationToken {
        self.0.end.clone()
    }

    fn sent(&self, _: usize) {}

    fn left(&self, report: &Report) {
        self.0.reports.lock().push(*report);
    }
}

impl Source for Streams {
    fn describe(&self, url: &str) -> BoxFuture<'static, Result<String>> {
        let found = ["door", "shed"].contains(&url).then(|| "video/mp4; codecs=\"avc1.42C00B\"".to_owned());
        Box::pin(async move { found.ok_or_else(|| Error::new(Code::UnknownStream, "there is no such stream")) })
    }

    fn open(&self, url: &str) -> BoxFuture<'static, Result<Opened>> {
        let (streams, groups) = (
            self.clone(),
            match url {
                "door" => 100_000,
                "shed" => 2,
                _ => 0,
            },
        );
        Box::pin(async move {
            if groups == 0 {
                return Err(Error::new(Code::UnknownStream, "there is no such stream"));
            }
            streams.taken.fetch_add(1, Ordering::Relaxed);
            let frames: Vec<_> = (0..groups).flat_map(|_| [(500, true, 100), (500, false, 100)]).collect();
            Ok(Opened { feed: Script::feed(&frames), seat: Box::new(Chair(streams)) })
        })
    }
}

fn desk(ttl: Option<u64>) -> (Streams, Desk) {
    let streams = Streams::default();
    let bounds = Bounds { jobs: 3, message: 1 << 20, ttl: ttl.map(Duration::from_secs) };
    (streams.clone(), Desk::new(Box::new(streams), bounds))
}

fn ask(client: &str, url: &str, reply: &str) -> Ask {
    Ask { client: client.into(), url: url.into(), reply: reply.into() }
}

fn play(desk: &mut Desk, client: &str, url: &str, reply: &str) {
    assert_eq!(desk.take(Request::Play(ask(client, url, reply))), None);
}

/// The next answer as JSON; messages with video before it are counted.
async fn answer(desk: &mut Desk) -> (usize, String, Value) {
    let mut videos = 0;
    loop {
        match desk.next().await {
            Out::Answer { topic, body } => return (videos, topic, serde_json::from_str(&body).expect("JSON")),
            Out::Video { .. } => videos += 1,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_media_type_is_told_and_an_unknown_stream_is_refused_with_a_reason() {
    let (_, mut desk) = desk(None);
    for (url, media_type, error) in
        [("door", "video/mp4; codecs=\"avc1.42C00B\"", Value::Null), ("barn", "", "there is no such stream".into())]
    {
        assert_eq!(desk.take(Request::Describe(ask("a", url, "client/describe/response_1"))), None);
        let (_, topic, body) = answer(&mut desk).await;
        assert_eq!((topic.as_str(), &body["mimeCodec"]), ("client/describe/response_1", &media_type.into()));
        assert_eq!(body["error"], error);
    }
    let began = Instant::now();
    play(&mut desk, "a", "barn", "video_1");
    let (videos, topic, body) = answer(&mut desk).await;
    assert_eq!((videos, topic.as_str(), &body["error"]), (0, "video_1", &"there is no such stream".into()));
    assert_eq!(began.elapsed(), FIRST, "an earlier message would end the connection of the page");
    assert!(desk.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_video_ends_at_stop_and_unregister_without_a_further_message() {
    let (streams, mut desk) = desk(None);
    for request in [
        Request::Stop { client: None, url: "door".into() },
        Request::Stop { client: Some("a".into()), url: "door".into() },
        Request::Unregister { client: "a".into() },
    ] {
        play(&mut desk, "a", "door", "video_1");
        assert!(matches!(desk.next().await, Out::Video { topic, is_begin: true, .. } if topic == "video_1"));
        assert_eq!(desk.take(request), None);
        assert!(desk.is_idle());
        assert_eq!(streams.taken.load(Ordering::Relaxed), 0, "the place is free");
    }
    let reports = streams.reports.lock();
    assert_eq!((reports.len(), reports[0].parts, reports[0].left), (3, 1, DisconnectReason::Closed));
    assert!(reports[0].bytes > 200);
}

#[tokio::test(start_paused = true)]
async fn stop_and_unregister_are_for_the_named_client_and_url_only() {
    let (_, mut desk) = desk(None);
    play(&mut desk, "a", "door", "video_1");
    play(&mut desk, "b", "door", "video_2");
    for request in [
        Request::Stop { client: Some("c".into()), url: "door".into() },
        Request::Stop { client: None, url: "shed".into() },
        Request::Unregister { client: "c".into() },
    ] {
        desk.take(request);
        assert_eq!(desk.viewers(), 2);
    }
    desk.take(Request::Unregister { client: "a".into() });
    assert!(matches!(desk.next().await, Out::Video { topic, .. } if topic == "video_2"));
    desk.keep(|topic| topic != "video_2");
    assert!(desk.is_idle(), "its topic is no longer subscribed");
}

#[tokio::test(start_paused = true)]
async fn a_client_has_one_video_and_the_newest_replaces_the_one_before() {
    let (streams, mut desk) = desk(None);
    play(&mut desk, "a", "door", "video_1");
    desk.next().await;
    play(&mut desk, "a", "door", "video_2");
    assert!(matches!(desk.next().await, Out::Video { topic, .. } if topic == "video_2"));
    assert_eq!((desk.viewers(), streams.taken.load(Ordering::Relaxed)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_heard_of_loses_its_video_after_a_time() {
    let (streams, mut desk) = desk(Some(60));
    let began = Instant::now();
    play(&mut desk, "a", "door", "video_1");
    play(&mut desk, "b", "door", "video_2");
    while began.elapsed() < Duration::from_secs(50) {
        desk.next().await;
    }
    desk.take(Request::Register { client: "b".into() });
    let renewed = Instant::now();
    let (videos, topic, body) = answer(&mut desk).await;
    assert_eq!((topic.as_str(), began.elapsed().as_secs()), ("video_1", 60));
    assert!(videos > 10 && body["error"].as_str().is_some_and(|why| why.contains("mqtt_video.ttl")), "{body}");
    let (_, topic, _) = answer(&mut desk).await;
    assert_eq!((topic.as_str(), renewed.elapsed().as_secs()), ("video_2", 60));
    assert_eq!(streams.reports.lock().iter().filter(|report| report.left == DisconnectReason::Complete).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_video_is_told_with_its_reason() {
    let (streams, mut desk) = desk(None);
    play(&mut desk, "a", "shed", "video_1");
    let (videos, _, body) = answer(&mut desk).await;
    assert_eq!((videos, &body["error"]), (2, &"the script is over".into()));
    play(&mut desk, "a", "door", "video_2");
    desk.next().await;
    streams.end.cancel();
    let (_, topic, body) = answer(&mut desk).await;
    assert_eq!(topic, "video_2");
    assert!(body["error"].as_str().is_some_and(|why| why.contains("permission")), "{body}");
    let left: Vec<_> = streams.reports.lock().iter().map(|report| report.left).collect();
    assert_eq!(left, [DisconnectReason::StreamEnded, DisconnectReason::ToldToEnd]);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_requests_and_videos_is_bounded() {
    let (_, mut desk) = desk(None);
    for client in ["a", "b", "c"] {
        play(&mut desk, client, "door", &format!("video_{client}"));
    }
    for request in [Request::Play(ask("d", "door", "video_d")), Request::Describe(ask("d", "door", "video_d"))] {
        let Some(Out::Answer { topic, body }) = desk.take(request) else { panic!("no answer") };
        assert!(topic == "video_d" && body.contains("too many"), "{body}");
    }
    assert_eq!(desk.viewers(), 3);
}
