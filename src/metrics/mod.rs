//! Metrics for Prometheus: counters of this program, and figures of the streams.

mod cluster;
mod connections;
mod mqtt;
mod mqtt_video;
mod rtsp;
mod storage;
mod variants;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text::encode},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry as Prometheus,
};
use tokio::{runtime::Handle, time::Duration};

use crate::{
    cluster::Cluster,
    mqtt_publish::Publisher,
    output::{Report, h264::Encodings, http::OutputKind, variants::Variants},
    policy::{Action, Decision},
    producer::{ProducerContext, rtsp::Counters as CameraCounters, udp_camera::Hub},
    server::Connections,
    stream::{Origin, Registry, Stats},
    supervise::Restarts,
};

use self::{
    cluster::ClusterFigures, connections::ConnectionFigures, mqtt::MqttFigures, storage::StorageFigures,
    variants::VariantFigures,
};

pub use self::mqtt_video::{MqttConnected, MqttVideoCounters};
pub use self::rtsp::{Connected, Playing, RtspCounters, SampleKind};

/// Most streams with a label of their own. Every publisher can create names, and each label costs memory in the
/// monitoring system for ever.
const MAX_LABELLED_STREAMS: usize = 1000;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    action: &'static str,
    decision: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WatchedLabels {
    output: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LeftLabels {
    output: &'static str,
    reason: &'static str,
}

/// All counters. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    prometheus: Prometheus,
    requests: Family<RequestLabels, Counter>,
    durations: Histogram,
    decisions: Family<DecisionLabels, Counter>,
    watched_bytes: Family<WatchedLabels, Counter>,
    left: Family<LeftLabels, Counter>,
    rtsp: RtspCounters,
    mqtt_video: MqttVideoCounters,
    connections: ConnectionFigures,
}

impl Metrics {
    /// Registers the counters, and collectors that read the figures of streams, cameras and outputs at each scrape.
    pub fn new(
        streams: Registry,
        context: &ProducerContext,
        encodings: Encodings,
        variants: Variants,
        publisher: Publisher,
        cluster: Option<Cluster>,
        restarts: &Restarts,
    ) -> Self {
        let mut prometheus = Prometheus::with_prefix("mtx_sidecar");
        let requests = Family::<RequestLabels, Counter>::default();
        let durations = Histogram::new(exponential_buckets(0.0001, 4.0, 9));
        let decisions = Family::<DecisionLabels, Counter>::default();
        let watched_bytes = Family::<WatchedLabels, Counter>::default();
        let left = Family::<LeftLabels, Counter>::default();
        prometheus.register("http_requests", "Requests by route pattern and status", requests.clone());
        prometheus.register(
            "http_request_duration_seconds",
            "Time until the head of the response was ready",
            durations.clone(),
        );
        prometheus.register(
            "auth_decisions",
            "Decisions of the policy, for MediaMTX and for routes of this server",
            decisions.clone(),
        );
        prometheus.register("task_restarts", "Background tasks that panicked and were started again", restarts.clone());
        prometheus.register("watched_bytes", "Bytes sent to watchers that have left, by output", watched_bytes.clone());
        prometheus.register("watchers_left", "Watchers that have left, by output and reason", left.clone());
        let rtsp = RtspCounters::default();
        rtsp.register(&mut prometheus);
        let mqtt_video = MqttVideoCounters::default();
        let runtime = Handle::try_current().ok();
        prometheus.register_collector(Box::new(StreamFigures { streams, cameras: context.udp.clone(), runtime }));
        prometheus.register_collector(Box::new(VideoFigures {
            encodings,
            rtsp: rtsp.clone(),
            mqtt_video: mqtt_video.clone(),
            cameras: context.rtsp.counters().clone(),
        }));
        prometheus.register_collector(Box::new(VariantFigures(variants)));
        prometheus.register_collector(Box::new(StorageFigures(context.uploads.clone())));
        let (mqtt, topics) = (context.mqtt.clone(), context.topics.clone());
        prometheus.register_collector(Box::new(MqttFigures { mqtt, topics, publisher }));
        if let Some(cluster) = cluster {
            prometheus.register_collector(Box::new(ClusterFigures(cluster)));
        }
        let connections = ConnectionFigures::default();
        prometheus.register_collector(Box::new(connections.clone()));
        Metrics(Arc::new(Inner {
            prometheus,
            requests,
            durations,
            decisions,
            watched_bytes,
            left,
            rtsp,
            mqtt_video,
            connections,
        }))
    }

    /// Adds the figures of a listener's connections.
    pub fn watch_connections(&self, listener: &'static str, connections: &Connections) {
        self.0.connections.add(listener, connections.clone());
    }

    /// The counters of the RTSP server.
    pub fn rtsp(&self) -> &RtspCounters {
        &self.0.rtsp
    }

    /// The counters of video over MQTT.
    pub fn mqtt_video(&self) -> &MqttVideoCounters {
        &self.0.mqtt_video
    }

    /// Counts an answered request by route pattern and status.
    pub fn count_request(&self, route: &str, status: u16, elapsed: Duration) {
        self.0.requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc();
        self.0.durations.observe(elapsed.as_secs_f64());
    }

    /// Counts a decision of the policy.
    pub fn count_decision(&self, action: &str, decision: Decision) {
        // An unknown action of a later MediaMTX must not become a label of its own.
        let action = action.parse::<Action>().map_or("other", Action::as_str);
        self.0.decisions.get_or_create(&DecisionLabels { action, decision: decision.as_str() }).inc();
    }

    /// A watcher that has left.
    pub fn count_watched(&self, output: &OutputKind, report: &Report) {
        let output = output.word;
        self.0.watched_bytes.get_or_create(&WatchedLabels { output }).inc_by(report.bytes);
        self.0.left.get_or_create(&LeftLabels { output, reason: report.left.reason() }).inc();
    }

    /// All metrics in OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Err(e) = encode(&mut text, &self.0.prometheus) {
            tracing::error!("the metrics cannot be written: {e}");
        }
        text
    }
}

/// The figures of the streams, read at each scrape.
struct StreamFigures {
    streams: Registry,
    cameras: Hub,
    /// That of the background tasks and of the producers.
    runtime: Option<Handle>,
}

impl fmt::Debug for StreamFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamFigures")
    }
}

impl Collector for StreamFigures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let all = self.streams.stats();
        let labelled = &all[..all.len().min(MAX_LABELLED_STREAMS)];
        one(&mut encoder, "streams", "Streams", MetricType::Gauge, all.len() as f64)?;
        let pulled = all.iter().filter(|stats| stats.origin == Origin::MediaMtx).count();
        one(&mut encoder, "pulled_paths", "Paths of MediaMTX that are watched here", MetricType::Gauge, pulled as f64)?;
        one(
            &mut encoder,
            "frame_memory_bytes",
            "Memory of held pictures",
            MetricType::Gauge,
            self.streams.memory().used() as f64,
        )?;
        let tasks = self.runtime.as_ref().map_or(0, |runtime| runtime.metrics().num_alive_tasks());
        one(
            &mut encoder,
            "tasks",
            "Tasks in the background: producers, encoders, RTSP",
            MetricType::Gauge,
            tasks as f64,
        )?;
        let dropped = self.streams.traces().dropped();
        let help = "Spans that were dropped because the collector is slower";
        one(&mut encoder, "trace_spans_dropped", help, MetricType::Counter, dropped as f64)?;
        one(
            &mut encoder,
            "udp_strangers",
            "Datagrams from addresses that got no request",
            MetricType::Counter,
            self.cameras.unexpected() as f64,
        )?;

        type Read = fn(&Stats) -> f64;
        let figures: [(&str, &str, MetricType, Read); 8] = [
            ("stream_frames", "Pictures", MetricType::Counter, |s| s.frames as f64),
            ("stream_bytes", "Bytes of those pictures", MetricType::Counter, |s| s.bytes as f64),
            ("stream_dropped_frames", "Frames that slow watchers skipped", MetricType::Counter, |s| s.dropped as f64),
            ("stream_damaged_frames", "Pictures that arrived damaged", MetricType::Counter, |s| {
                s.damaged.values().sum::<u64>() as f64
            }),
            ("stream_watchers", "Watchers", MetricType::Gauge, |s| s.watchers as f64),
            ("stream_fps", "Pictures a second", MetricType::Gauge, |s| s.fps),
            ("stream_live", "1 while the stream is live", MetricType::Gauge, |s| f64::from(s.state == "live")),
            ("stream_frame_age_seconds", "Age of the held picture", MetricType::Gauge, |s| {
                s.picture.as_ref().map_or(f64::NAN, |p| p.age_seconds)
            }),
        ];
        for (name, help, kind, read) in figures {
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for stats in labelled {
                let labels = [("stream", stats.name.to_string()), ("kind", stats.kind.to_owned())];
                put(&mut metric.encode_family(&labels)?, kind, read(stats))?;
            }
        }
        Ok(())
    }
}

/// The figures of the RTSP server, of video over MQTT, the RTSP cameras and the encoder, read at each scrape.
#[derive(Debug)]
struct VideoFigures {
    encodings: Encodings,
    rtsp: RtspCounters,
    mqtt_video: MqttVideoCounters,
    cameras: CameraCounters,
}

impl Collector for VideoFigures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        use MetricType::{Counter, Gauge};
        let (rtsp, h264) = (self.rtsp.figures(), self.encodings.counters());
        let cameras = self.cameras.figures();
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed) as f64;
        for (name, help, kind, value) in [
            ("rtsp_connections", "Open RTSP connections", Gauge, rtsp.connections as f64),
            ("rtsp_playing", "RTSP connections that play", Gauge, rtsp.playing as f64),
            ("rtsp_bytes", "Bytes sent to RTSP connections", Counter, rtsp.bytes as f64),
            ("rtsp_refused_connections", "RTSP connections beyond rtsp.max_connections", Counter, rtsp.refused as f64),
            ("mqtt_video_connections", "Open connections at /mqtt", Gauge, self.mqtt_video.connections() as f64),
            ("mqtt_video_requests", "Requests for video by MQTT", Counter, self.mqtt_video.requests() as f64),
            ("camera_connections", "Sessions with RTSP cameras and MediaMTX", Counter, cameras.connections as f64),
            ("camera_keyframes", "Keyframes of RTSP cameras that were decoded", Counter, cameras.keyframes as f64),
            ("camera_deltas", "Other pictures of RTSP cameras that were decoded", Counter, cameras.deltas as f64),
            ("camera_skipped", "Coded pictures of RTSP cameras that were skipped", Counter, cameras.skipped as f64),
            ("camera_pictures", "Pictures made of RTSP cameras' video", Counter, cameras.pictures as f64),
            ("camera_ffmpegs", "Processes of ffmpeg started for RTSP cameras", Counter, cameras.ffmpegs as f64),
            ("h264_encodings", "Streams being encoded at the moment", Gauge, self.encodings.len() as f64),
            ("h264_stills", "Pictures encoded as stills", Counter, read(&h264.stills)),
            ("h264_keyframes", "Keyframes of moving streams", Counter, read(&h264.keys)),
            ("h264_deltas", "Other pictures of moving streams", Counter, read(&h264.deltas)),
            ("h264_identical", "Pictures identical to the one before", Counter, read(&h264.identical)),
            ("h264_failed", "Pictures that could not be encoded", Counter, read(&h264.failed)),
            ("h264_encoding_seconds", "Time spent on encoding", Counter, read(&h264.micros) / 1e6),
        ] {
            one(&mut encoder, name, help, kind, value)?;
        }
        Ok(())
    }
}

fn one(encoder: &mut DescriptorEncoder, name: &str, help: &str, kind: MetricType, value: f64) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    put(&mut metric, kind, value)
}

fn put(metric: &mut MetricEncoder, kind: MetricType, value: f64) -> fmt::Result {
    match kind {
        MetricType::Counter => metric.encode_counter::<NoLabelSet, f64, u64>(&value, None),
        _ => metric.encode_gauge(&value),
    }
}
