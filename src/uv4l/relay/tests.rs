use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::{io::DuplexStream, sync::mpsc, task::JoinHandle, time::Duration};

use super::*;
use crate::{
    secret::Secret,
    uv4l::{Camera, Uv4lSettings, cameras::tests::cameras, upstream::Upstream},
};

const SDP: &str = "v=0\r\ns=-\r\nm=video 9 x 1\r\na=mid:video\r\n";

/// The time in which the camera must be free again.
const FREE_WITHIN: Duration = Duration::from_secs(5);

/// The usual time for a vanished viewer.
fn usual() -> Duration {
    *Uv4lSettings::default().viewer_timeout
}

/// A viewer in a call, and its camera.
struct Bench {
    viewer: Socket<DuplexStream>,
    camera: mpsc::Receiver<Socket<DuplexStream>>,
    stop: CancellationToken,
    serving: JoinHandle<DisconnectReason>,
}

fn name() -> StreamName {
    StreamName::parse("door").expect("a name")
}

fn begin(cameras: &Cameras, camera: &Camera) -> Bench {
    let (client, server) = tokio::io::duplex(64 << 10);
    let (sender, receiver) = mpsc::channel(4);
    let (cameras, definition, stop) = (cameras.clone(), camera.clone(), CancellationToken::new());
    let open = move || {
        let (cameras, definition, sender) = (cameras.clone(), definition.clone(), sender.clone());
        async move {
            let (place, _) = cameras.take(&name(), &definition, Party::Viewer, true)?;
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            sender.send(Socket::new(theirs, MAX_MESSAGE, 10 * CAMERA_TIMEOUT)).await.expect("the test waits");
            Ok(Call { upstream: Upstream::over(Box::new(ours), BytesMut::new()), place })
        }
        .boxed()
    };
    let terms = Terms { audio: true, may_send: true, ..Terms::default() };
    let relay = Relay {
        socket: Socket::new(server, MAX_MESSAGE, usual()).strict(),
        conversation: Conversation::new(terms, Instant::now()),
        open: Box::new(open),
        opening: None,
        call: None,
    };
    let end = stop.clone();
    let serving = tokio::spawn(async move { relay.run(&end, || Ending::NOT_PERMITTED).await });
    Bench {
        viewer: Socket::client(client, BytesMut::new(), MAX_MESSAGE, 10 * CAMERA_TIMEOUT),
        camera: receiver,
        stop,
        serving,
    }
}

/// The next message; pings are answered. The end of the connection is null.
async fn next(socket: &mut Socket<DuplexStream>) -> Value {
    loop {
        match socket.receive().await {
            Ok(Incoming::Text(text)) => return serde_json::from_str(&text).expect("JSON"),
            Ok(Incoming::Ping(data)) => drop(socket.pong(&data).await),
            Ok(Incoming::Close) => {
                socket.answer_close().await;
                return Value::Null;
            }
            Ok(_) => {}
            Err(_) => return Value::Null,
        }
    }
}

async fn say(socket: &mut Socket<DuplexStream>, what: &str, data: &Value) {
    let data = if data.is_null() { Value::Null } else { json!(data.to_string()) };
    socket.text(&json!({"what": what, "data": data}).to_string()).await.expect("writes");
}

/// A call up to the answer, and the camera's end of it.
async fn answered(bench: &mut Bench) -> Socket<DuplexStream> {
    say(&mut bench.viewer, "call", &Value::Null).await;
    let mut camera = bench.camera.recv().await.expect("the camera is called");
    assert_eq!(next(&mut camera).await["what"], "call");
    say(&mut camera, "offer", &json!({"type": "offer", "sdp": SDP})).await;
    assert_eq!(next(&mut bench.viewer).await["what"], "offer");
    say(&mut bench.viewer, "answer", &json!({"type": "answer", "sdp": SDP})).await;
    assert_eq!(next(&mut camera).await["what"], "answer");
    camera
}

/// Messages of the camera's end until it is closed.
async fn rest(camera: &mut Socket<DuplexStream>) -> Vec<String> {
    let mut words = vec![];
    loop {
        match next(camera).await {
            Value::Null => return words,
            message => words.push(message["what"].as_str().expect("a word").to_owned()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_viewers_have_separate_calls() {
    let cameras = cameras(&Uv4lSettings::default());
    let two = Camera { max_sessions: 2, ..Camera::default() };
    let (mut a, mut b) = (begin(&cameras, &two), begin(&cameras, &two));
    let (mut camera_a, mut camera_b) = (answered(&mut a).await, answered(&mut b).await);
    assert_eq!(cameras.sessions("door"), 2);
    say(&mut camera_a, "message", &json!("for a")).await;
    say(&mut b.viewer, "addIceCandidate", &json!({"candidate": "of b"})).await;
    assert_eq!(next(&mut a.viewer).await["data"], "\"for a\"");
    assert_eq!(next(&mut camera_b).await["what"], "addIceCandidate");
    say(&mut a.viewer, "hangup", &Value::Null).await;
    assert_eq!(rest(&mut camera_a).await, ["hangup"], "nothing of b came to the camera of a");
    assert_eq!(a.serving.await.expect("ends"), DisconnectReason::Complete);
    assert_eq!(cameras.sessions("door"), 1);
    say(&mut camera_b, "hangup", &Value::Null).await;
    assert_eq!(next(&mut b.viewer).await["what"], "hangup", "nothing of a came to b");
}

/// Every way in which a call can end.
#[tokio::test(start_paused = true)]
async fn the_camera_gets_a_hangup_at_every_end() {
    for way in ["hangup", "close", "gone", "vanished", "binary", "nonsense", "stop", "taken over"] {
        let cameras = cameras(&Uv4lSettings::default());
        let one = Camera { takeover: true, ..Camera::default() };
        let mut bench = begin(&cameras, &one);
        let mut camera = answered(&mut bench).await;
        let began = Instant::now();
        let mut other = None;
        let Bench { mut viewer, stop, serving, .. } = bench;
        match way {
            "hangup" => say(&mut viewer, "hangup", &Value::Null).await,
            "close" => viewer.close(CloseCode::Normal, "").await,
            "binary" => viewer.binary(b"x").await.expect("writes"),
            "nonsense" => viewer.text("{").await.expect("writes"),
            "stop" => stop.cancel(),
            "taken over" => {
                let mut bench = begin(&cameras, &one);
                say(&mut bench.viewer, "call", &Value::Null).await;
                other = Some(bench);
            }
            _ => {}
        }
        let kept = (way != "gone").then_some(viewer);
        let words = rest(&mut camera).await;
        assert_eq!(words.last().map(String::as_str), Some("hangup"), "{way}: {words:?}");
        assert!(began.elapsed() < FREE_WITHIN, "{way}: the camera was busy for {:?}", began.elapsed());
        serving.await.expect("ends");
        drop((kept, other));
    }
}

/// Without a FIN, at any moment between two pings, and also when the camera sends more than the viewer's connection holds just before
/// the viewer is found to have vanished.
#[tokio::test(start_paused = true)]
async fn a_vanished_viewer_leaves_no_call_behind() {
    let candidate = json!({"candidate": "x".repeat(1000), "sdpMLineIndex": 0});
    let flood = json!(vec![candidate; 60]);
    for (answers_for, floods_at) in
        [(0, None), (300, None), (1100, None), (1200, None), (2500, None), (0, Some(3400)), (1200, Some(3300))]
    {
        let cameras = cameras(&Uv4lSettings::default());
        let mut bench = begin(&cameras, &Camera::default());
        let mut camera = answered(&mut bench).await;
        let _ = tokio::time::timeout(Duration::from_millis(answers_for), next(&mut bench.viewer)).await;
        let vanished = Instant::now();
        if let Some(at) = floods_at {
            tokio::time::sleep(Duration::from_millis(at)).await;
            for _ in 0..2 {
                say(&mut camera, "iceCandidates", &flood).await;
            }
        }
        let words = rest(&mut camera).await;
        assert_eq!(words.last().map(String::as_str), Some("hangup"), "{answers_for} {floods_at:?}: {words:?}");
        assert!(vanished.elapsed() < FREE_WITHIN, "{answers_for} {floods_at:?}: {:?}", vanished.elapsed());
        assert_eq!(bench.serving.await.expect("ends"), DisconnectReason::Stalled);
        assert_eq!(cameras.sessions("door"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_viewer_is_told_when_its_camera_vanishes_or_leaves() {
    for way in ["closes", "breaks", "vanishes", "too large"] {
        let cameras = cameras(&Uv4lSettings::default());
        let mut bench = begin(&cameras, &Camera::default());
        let mut camera = answered(&mut bench).await;
        match way {
            "closes" => camera.close(CloseCode::Normal, "").await,
            "too large" => drop(camera.text(&"x".repeat(MAX_MESSAGE + 1)).await),
            _ => {}
        }
        let kept = (way != "breaks").then_some(camera);
        let mut told = next(&mut bench.viewer).await;
        // Without candidates of the camera there is nothing else for the viewer.
        assert_eq!(told["what"], "message", "{way}");
        let text = told["data"].take();
        assert!(text.as_str().is_some_and(|text| text.contains("has ended the connection")), "{way}: {text}");
        assert_eq!(next(&mut bench.viewer).await, Value::Null, "{way}");
        drop((bench, kept));
    }
}

#[tokio::test(start_paused = true)]
async fn a_camera_that_sends_no_offer_is_hung_up() {
    let cameras = cameras(&Uv4lSettings::default());
    let mut bench = begin(&cameras, &Camera::default());
    say(&mut bench.viewer, "call", &Value::Null).await;
    let mut camera = bench.camera.recv().await.expect("the camera is called");
    let Bench { mut viewer, serving, .. } = bench;
    let told = tokio::spawn(async move { next(&mut viewer).await["data"].to_string() });
    assert_eq!(rest(&mut camera).await, ["call", "hangup"]);
    assert!(told.await.expect("ends").contains("no offer within 10s"));
    serving.await.expect("ends");
    assert_eq!(cameras.sessions("door"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_viewer_is_told_that_the_camera_is_busy() {
    let cameras = cameras(&Uv4lSettings::default());
    let one = Camera::default();
    let mut first = begin(&cameras, &one);
    let mut camera = answered(&mut first).await;
    let mut second = begin(&cameras, &one);
    say(&mut second.viewer, "call", &Value::Null).await;
    let told = next(&mut second.viewer).await;
    assert_eq!(told["data"], "busy: the camera takes one call at a time, and another viewer has it");
    let close = second.viewer.receive().await.expect("a close frame");
    assert_eq!(close, Incoming::Close);
    drop(first);
    assert_eq!(rest(&mut camera).await, ["hangup"]);
}

#[tokio::test(start_paused = true)]
async fn a_camera_without_its_agent_cannot_be_called() {
    let mut settings = Uv4lSettings::default();
    settings.cameras.insert(name(), Camera { pass: Secret::default(), ..Camera::default() });
    let cameras = cameras(&settings);
    let (client, server) = tokio::io::duplex(4 << 10);
    let of_task = cameras.clone();
    let serving = tokio::spawn(async move {
        let viewer = Viewer { name: name(), may_publish: true, form: Form::Encoded, timeout: usual() };
        serve(server, viewer, &of_task, CancellationToken::new(), || Ending::SHUTDOWN).await
    });
    let mut viewer = Socket::client(client, BytesMut::new(), MAX_MESSAGE, 10 * CAMERA_TIMEOUT);
    say(&mut viewer, "call", &Value::Null).await;
    let told = next(&mut viewer).await;
    assert!(told["data"].as_str().is_some_and(|text| text.contains("agent")), "{told}");
    drop(viewer);
    serving.await.expect("ends");
    assert_eq!(cameras.sessions("door"), 0);
}
