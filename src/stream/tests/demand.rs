//! The demand that a producer sees, and streams that exist only while they have a watcher.

use tokio::sync::watch;

use super::*;

/// A producer that passes the demand of each run to the test.
struct Listening(mpsc::UnboundedSender<watch::Receiver<Demand>>);

impl Producer for Listening {
    fn kind(&self) -> &'static str {
        "listening"
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let _ = self.0.send(run.demand.clone());
        Box::pin(async move {
            run.sink.publish(&picture(1))?;
            run.stop.cancelled().await;
            Ok(())
        })
    }
}

fn listening(registry: &Registry, origin: Origin) -> (Arc<Stream>, mpsc::UnboundedReceiver<watch::Receiver<Demand>>) {
    let (tell, told) = mpsc::unbounded_channel();
    (registry.define(&name("cam"), origin, Arc::new(Listening(tell))).expect("room"), told)
}

#[tokio::test(start_paused = true)]
async fn a_producer_sees_whether_its_watchers_need_every_picture() {
    let registry = registry();
    let (stream, mut told) = listening(&registry, Origin::File);
    let mut single = stream.watch_for(Demand::Single).expect("open");
    let demand = told.recv().await.expect("it runs");
    assert_eq!(*demand.borrow(), Demand::Single);
    let watch = stream.watch().expect("open");
    assert_eq!(*demand.borrow(), Demand::Continuous);
    drop(watch);
    assert_eq!(*demand.borrow(), Demand::Single);
    single.set_demand(Demand::Continuous);
    single.set_demand(Demand::Continuous);
    assert_eq!(*demand.borrow(), Demand::Continuous);
    drop(single);
    assert_eq!(*demand.borrow(), Demand::Single, "no watcher is left to need every picture");
    advance(Duration::from_secs(11)).await;
    let _later = stream.watch().expect("open");
    assert_eq!(*told.recv().await.expect("it runs again").borrow(), Demand::Continuous);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_mediamtx_s_path_is_removed_with_its_last_watcher() {
    let registry = registry();
    let (stream, _told) = listening(&registry, Origin::MediaMtx);
    advance(Duration::from_millis(900)).await;
    let watch = stream.watch().expect("there is time to take a watch");
    advance(Duration::from_secs(600)).await;
    assert_eq!((registry.len(), stream.state().0), (1, State::Live));
    drop(watch);
    advance(Duration::from_secs(9)).await;
    drop(stream.watch().expect("it lingers"));
    advance(Duration::from_secs(9)).await;
    assert_eq!(registry.len(), 1);
    for _ in 0..12 {
        advance(Duration::from_millis(250)).await;
    }
    assert!(registry.is_empty() && registry.get("cam").is_none() && stream.watch().is_err());
    // A stream without any watch is removed; a stream that was defined meanwhile stays.
    let (_unwatched, _told) = listening(&registry, Origin::MediaMtx);
    for _ in 0..8 {
        advance(Duration::from_millis(250)).await;
    }
    assert!(registry.is_empty());
    let (_passing, _told) = listening(&registry, Origin::MediaMtx);
    let (kept, _also_told) = listening(&registry, Origin::Api);
    advance(Duration::from_secs(60)).await;
    assert_eq!((registry.len(), kept.origin()), (1, Origin::Api));
    timeout(Duration::from_secs(5), registry.close()).await.expect("closes");
}

#[tokio::test]
async fn a_producer_sees_the_forms_that_its_watchers_need_and_a_watcher_of_jpegs_gets_encoded_frames() {
    use crate::picture::{Raster, RasterPicture};

    let registry = registry();
    let (producer, remote) = scripted(Mode::Pulled);
    let stream = registry.define(&name("cam"), Origin::File, producer).expect("room");
    let mut planes = stream.watch().expect("open");
    planes.set_form(Form::Raster);
    let forms = |jpeg, raster| Forms { jpeg, raster };
    assert_eq!(stream.forms(), forms(false, true));
    let mut jpegs = stream.watch().expect("open");
    assert_eq!(stream.forms(), forms(true, true));
    timeout(Duration::from_secs(20), async {
        while remote.sinks.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it runs");
    let sink = remote.sinks.lock()[0].clone();
    let raster = Arc::new(Raster::filled(64, 48, [80, 90, 200]));
    let shot = RasterPicture { raster, jpeg: None, quality: 80, captured_at: std::time::SystemTime::now() };
    let frame = sink.publish_raster(&shot, Instant::now()).expect("room").expect("it runs");
    assert!(!planes.next().await.expect("open").is_encoded() && frame.raster().is_some());
    assert!(jpegs.next().await.expect("open").is_encoded() && frame.is_encoded());
    drop(jpegs);
    planes.set_form(Form::Jpeg);
    assert_eq!(stream.forms(), forms(true, false));
    drop(planes);
    assert_eq!(stream.forms(), forms(false, false));
}
