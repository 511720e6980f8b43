//! Snapshots that another node of a cluster gives.

use tokio::sync::oneshot;

use super::*;
use crate::error::Result;

/// What the test answers a request with.
type Answer = oneshot::Sender<Option<Result<(Picture, Instant)>>>;

/// A producer that another node runs: the test gives the answers.
struct Elsewhere(mpsc::UnboundedSender<Answer>);

impl Producer for Elsewhere {
    fn kind(&self) -> &'static str {
        "elsewhere"
    }

    fn fetch(&self, _max_age: Option<Duration>) -> Option<FetchFuture> {
        let (answer, answered) = oneshot::channel();
        let asked = self.0.clone();
        Some(Box::pin(async move {
            asked.send(answer).ok()?;
            answered.await.ok()?
        }))
    }

    fn run(&self, run: Run) -> ProducerFuture {
        Box::pin(async move {
            run.sink.publish(&picture(9))?;
            run.stop.cancelled().await;
            Ok(())
        })
    }
}

fn elsewhere(registry: &Registry) -> (Arc<Stream>, mpsc::UnboundedReceiver<Answer>) {
    let (ask, asked) = mpsc::unbounded_channel();
    (registry.define(&name("cam"), Origin::File, Arc::new(Elsewhere(ask))).expect("room"), asked)
}

/// Begins a snapshot.
fn fetch(stream: &Arc<Stream>, max_age: Option<Duration>) -> tokio::task::JoinHandle<Option<Result<u64>>> {
    let stream = stream.clone();
    tokio::spawn(async move { stream.fetch(max_age).await.map(|got| got.map(|frame| frame.seq)) })
}

#[tokio::test(start_paused = true)]
async fn snapshots_at_the_same_time_share_one_request_and_its_error() {
    let registry = registry();
    let (stream, mut asked) = elsewhere(&registry);
    assert!(stream.is_fetched());
    let snapshots: Vec<_> = (0..5).map(|_| fetch(&stream, None)).collect();
    settle().await;
    let answer = asked.try_recv().expect("is asked");
    assert!(asked.try_recv().is_err(), "once");
    answer.send(Some(Ok((picture(1), Instant::now())))).expect("waits");
    for snapshot in snapshots {
        assert_eq!(snapshot.await.expect("ends").expect("answered").expect("a picture"), 1, "the same frame");
    }
    assert_eq!(stream.state().0, State::Idle, "no run has begun");
    assert_eq!(stream.latest().map(|frame| frame.seq), Some(1), "the picture is held");

    let snapshots: Vec<_> = (0..3).map(|_| fetch(&stream, None)).collect();
    settle().await;
    let refused = Error::new(Code::NoPicture, "no picture").with_words("10.0.0.5 refuses");
    asked.try_recv().expect("is asked anew").send(Some(Err(refused))).expect("waits");
    for snapshot in snapshots {
        let error = snapshot.await.expect("ends").expect("answered").expect_err("an error");
        assert_eq!((error.code(), error.in_full().to_string().as_str()), (Code::NoPicture, "10.0.0.5 refuses"));
    }
    let silent = fetch(&stream, None);
    settle().await;
    asked.try_recv().expect("is asked").send(None).expect("waits");
    assert!(silent.await.expect("ends").is_none(), "it must be watched");
}

#[tokio::test(start_paused = true)]
async fn a_picture_that_is_too_old_for_a_later_snapshot_is_not_shared_with_it() {
    let registry = registry();
    let (stream, mut asked) = elsewhere(&registry);
    let max_age = Some(Duration::from_millis(100));
    let first = fetch(&stream, max_age);
    settle().await;
    let came = Instant::now();
    advance(Duration::from_millis(150)).await;
    let later = fetch(&stream, max_age);
    settle().await;
    asked.try_recv().expect("is asked").send(Some(Ok((picture(1), came)))).expect("waits");
    assert_eq!(first.await.expect("ends").expect("answered").expect("a picture"), 1);
    settle().await;
    asked.try_recv().expect("is asked anew").send(Some(Ok((picture(2), Instant::now())))).expect("waits");
    assert_eq!(later.await.expect("ends").expect("answered").expect("a picture"), 2);
    assert!(asked.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_runs_here_is_not_fetched_and_a_late_answer_does_not_replace_its_picture() {
    let registry = registry();
    let (stream, mut asked) = elsewhere(&registry);
    let late = fetch(&stream, None);
    settle().await;
    let before = Instant::now();
    advance(Duration::from_millis(1)).await;
    let mut watch = stream.watch().expect("open");
    assert_eq!(watch.next().await.expect("a picture").seq, 1);
    assert!(!stream.is_fetched() && stream.fetch(None).await.is_none(), "a watch has the pictures");
    asked.try_recv().expect("is asked").send(Some(Ok((picture(2), before)))).expect("waits");
    assert!(late.await.expect("ends").expect("answered").is_ok(), "the snapshot has its picture");
    assert_eq!(stream.latest().map(|frame| frame.seq), Some(1));
    // Nor does one of an earlier definition.
    drop(watch);
    advance(Duration::from_secs(11)).await;
    let of_before = fetch(&stream, None);
    settle().await;
    let (ask, mut asked_of_next) = mpsc::unbounded_channel();
    registry.define(&name("cam"), Origin::File, Arc::new(Elsewhere(ask))).expect("room");
    asked.try_recv().expect("is asked").send(Some(Ok((picture(3), Instant::now())))).expect("waits");
    assert!(of_before.await.expect("ends").expect("answered").is_ok());
    assert!(stream.latest().is_none(), "another camera");
    // A snapshot that is given up asks for nothing more.
    let given_up = fetch(&stream, None);
    settle().await;
    let answer = asked_of_next.try_recv().expect("is asked");
    given_up.abort();
    settle().await;
    assert!(answer.is_closed());
}
