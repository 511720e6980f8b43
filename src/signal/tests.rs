use bytes::BytesMut;
use tokio::io::DuplexStream;

use super::*;

/// A member of a room, and the task that serves it.
struct Peer {
    socket: Socket<DuplexStream>,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<DisconnectReason>,
}

fn join(rooms: &Rooms, room: &str, mode: Mode) -> Peer {
    let (client, server) = tokio::io::duplex(256 << 10);
    let (rooms, name, stop) = (rooms.clone(), StreamName::parse(room).expect("a name"), CancellationToken::new());
    let end = stop.clone();
    let serving = tokio::spawn(async move { serve(server, &rooms, &name, mode, end, || Ending::NOT_PERMITTED).await });
    Peer { socket: Socket::client(client, BytesMut::new(), MAX_MESSAGE, 10 * TIMEOUT), stop, serving }
}

impl Peer {
    /// The next text; pings are answered. None when the connection is closed.
    async fn next(&mut self) -> Option<String> {
        loop {
            match self.socket.receive().await {
                Ok(Incoming::Text(text)) => return Some(text),
                Ok(Incoming::Ping(data)) => self.socket.pong(&data).await.expect("writes"),
                Ok(Incoming::Close) => {
                    self.socket.answer_close().await;
                    return None;
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    async fn json(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.next().await.expect("a message")).expect("JSON")
    }
}

async fn has_rooms(rooms: &Rooms, count: usize) {
    while rooms.len() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn members_of_a_room_hear_each_other_and_no_other_room() {
    let rooms = Rooms::default();
    let (mut a, mut b) = (join(&rooms, "home", Mode::Addressed), join(&rooms, "home", Mode::Addressed));
    let mut other = join(&rooms, "away", Mode::Addressed);
    let id = a.json().await["id"].as_str().expect("an id").to_owned();
    let joined = a.json().await;
    assert_eq!(joined["type"], "joined");
    assert_eq!(b.json().await["peers"][0], *id);
    a.socket.text(r#"{"type":"offer","from":"x"}"#).await.expect("writes");
    assert_eq!(b.json().await["from"], *id);
    b.socket.text("no JSON").await.expect("writes");
    assert_eq!(b.json().await["type"], "error");
    b.stop.cancel();
    assert_eq!((b.next().await, b.serving.await.expect("ends")), (None, DisconnectReason::ToldToEnd));
    assert_eq!(a.json().await["type"], "left");
    assert_eq!(other.json().await["type"], "welcome");
    drop((a, other));
    has_rooms(&rooms, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_member_of_an_opaque_room_is_refused() {
    let rooms = Rooms::default();
    let (a, _b) = (join(&rooms, "home", Mode::Opaque), join(&rooms, "home", Mode::Opaque));
    let mut c = join(&rooms, "home", Mode::Opaque);
    assert_eq!((c.next().await, c.serving.await.expect("ends")), (None, DisconnectReason::ToldToEnd));
    drop(a);
    let mut d = join(&rooms, "home", Mode::Addressed);
    assert_eq!(d.next().await, None, "the members use the other mode");
}

#[tokio::test(start_paused = true)]
async fn a_flood_ends_its_sender() {
    let rooms = Rooms::default();
    let mut a = join(&rooms, "home", Mode::Opaque);
    for _ in 0..60 {
        // The connection can be closed already.
        let _ = a.socket.text("x").await;
    }
    assert_eq!((a.next().await, a.serving.await.expect("ends")), (None, DisconnectReason::ToldToEnd));
    has_rooms(&rooms, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_takes_nothing_does_not_hold_messages_without_a_bound() {
    let rooms = Rooms::default();
    let mut a = join(&rooms, "home", Mode::Opaque);
    let b = join(&rooms, "home", Mode::Opaque);
    let large = "x".repeat(60_000);
    while !b.serving.is_finished() {
        a.socket.text(&large).await.expect("writes");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    has_rooms(&rooms, 1).await;
    a.stop.cancel();
    assert_eq!(a.next().await, None, "no text came back");
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_and_a_vanished_one_leave() {
    let rooms = Rooms::default();
    let mut silent = join(&rooms, "home", Mode::Opaque);
    let began = Instant::now();
    assert_eq!(silent.next().await, None);
    assert!(began.elapsed() >= IDLE, "it answers pings all the time");
    let vanished = join(&rooms, "home", Mode::Opaque);
    assert_eq!(vanished.serving.await.expect("ends"), DisconnectReason::Stalled);
    has_rooms(&rooms, 0).await;
}
