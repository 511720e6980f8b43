//! Numbers over time as pictures.
//!
//! Points come by HTTP, WebSocket and InfluxDB's protocol (`web`), from topics of MQTT, and from a page of metrics. They are kept in
//! [`crate::numbers`] whether the stream is watched or not. A picture is drawn only for watchers: when there are new points, and when
//! the window has moved by a pixel.

mod scrape;
mod topics;

use std::{
    borrow::Cow,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{
    task::JoinHandle,
    time::{Duration, sleep, timeout},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use self::scrape::Page;
use super::ProducerContext;
use crate::{
    error::{Code, Error, Result},
    graph,
    numbers::{Numbers, Rules, time},
    picture::{in_pool, text::Fonts},
    stream::{Producer, ProducerFuture, Run, StreamName},
};

/// The settings of a graph. Boxed, because a graph has many of them, and each definition of another kind would take as much memory. A type of
/// its own, because the name of a box in the OpenAPI document would be "Box".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(Box<graph::Settings>);

impl Deref for Settings {
    type Target = graph::Settings;

    fn deref(&self) -> &graph::Settings {
        &self.0
    }
}

impl DerefMut for Settings {
    fn deref_mut(&mut self) -> &mut graph::Settings {
        &mut self.0
    }
}

impl PartialSchema for Settings {
    fn schema() -> RefOr<Schema> {
        graph::Settings::schema()
    }
}

impl ToSchema for Settings {
    fn name() -> Cow<'static, str> {
        graph::Settings::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        <graph::Settings as ToSchema>::schemas(schemas);
    }
}

/// Most series and topics that one definition names.
const MAX_ENTRIES: usize = 64;

/// An error of a definition.
fn refuse(field: &'static str, rule: impl std::fmt::Display) -> Error {
    Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field)
}

pub(super) fn producer(settings: &Settings, name: &StreamName, context: &ProducerContext) -> Result<Arc<dyn Producer>> {
    settings.check().map_err(|(field, rule)| refuse(field, rule))?;
    for (field, count) in [
        ("series", settings.series.len()),
        ("topics", settings.topics.len()),
        ("thresholds", settings.thresholds.len()),
    ] {
        if count > MAX_ENTRIES {
            return Err(refuse(field, format!("at most {MAX_ENTRIES} entries, not {count}")));
        }
    }
    let sources = topics::sources(settings, &context.mqtt)?;
    let page = Page::of(settings, &context.fetch)?;
    let numbers = context.numbers.numbers(name);
    let selectors = settings.series.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
    numbers.rule(Rules { window: settings.longest(), selectors: (!selectors.is_empty()).then_some(selectors) });
    let problem = Problem::default();
    let mut tasks: Vec<Task> = vec![];
    for source in sources {
        let (numbers, problem, mqtt) = (numbers.clone(), problem.clone(), context.mqtt.clone());
        tasks.extend(Task::spawn(async move { source.receive(&mqtt, &numbers, &problem).await }));
    }
    let watched_page = match page {
        Some(page) if settings.keep => {
            let (numbers, problem) = (numbers.clone(), problem.clone());
            tasks.extend(Task::spawn(async move { page.read_forever(&numbers, &problem).await }));
            None
        }
        page => page,
    };
    let settings = Arc::new(settings.clone());
    let fonts = context.fonts.clone();
    Ok(Arc::new(Graph { settings, numbers, fonts, page: watched_page.map(Arc::new), problem, _tasks: tasks.into() }))
}

/// Why a source has no numbers at the moment.
#[derive(Clone, Default)]
struct Problem(Arc<Mutex<Option<String>>>);

impl Problem {
    fn set(&self, problem: Option<String>) {
        *self.0.lock() = problem;
    }

    fn get(&self) -> Option<String> {
        self.0.lock().clone()
    }
}

/// A task that ends with the definition.
struct Task(JoinHandle<()>);

impl Task {
    /// None outside of the program's runtime, as when a definition is only checked.
    fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Option<Self> {
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        Some(Task(runtime.spawn(work)))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Clone)]
struct Graph {
    settings: Arc<Settings>,
    numbers: Arc<Numbers>,
    fonts: Fonts,
    /// The page that is read while the stream is watched.
    page: Option<Arc<Page>>,
    problem: Problem,
    _tasks: Arc<[Task]>,
}

impl Producer for Graph {
    fn kind(&self) -> &'static str {
        "graph"
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let this = self.clone();
        Box::pin(async move {
            tokio::select! {
                () = run.stop.cancelled() => Ok(()),
                end = this.draw_forever(&run) => end,
                () = this.read_page() => Ok(()),
            }
        })
    }
}

impl Graph {
    /// Never ends.
    async fn read_page(&self) {
        match &self.page {
            Some(page) => page.read_forever(&self.numbers, &self.problem).await,
            None => std::future::pending().await,
        }
    }

    async fn draw_forever(&self, run: &Run) -> Result<()> {
        let mut changes = self.numbers.changes();
        let pause = Duration::from_secs_f64(1.0 / self.settings.fps);
        loop {
            changes.borrow_and_update();
            let now = time::now();
            let span = self.settings.span(now);
            let series = self.numbers.since(span.start);
            let (settings, fonts) = (self.settings.clone(), self.fonts.clone());
            let picture = in_pool(move || graph::draw(&settings, &series, &fonts, now)).await?;
            run.sink.publish(&picture)?;
            // The picture has cleared the reason that was shown before it.
            if let Some(problem) = self.problem.get().or_else(|| self.numbers.problem()) {
                run.sink.report_problem(problem);
            }
            sleep(pause).await;
            let pixel = (span.end - span.start) / i64::from(self.settings.width);
            let pixel = Duration::from_micros(u64::try_from(pixel).unwrap_or_default());
            // Both lead to the next picture: a change, and a window that has moved by a pixel.
            let _ = timeout(pixel.saturating_sub(pause), changes.changed()).await;
        }
    }
}
