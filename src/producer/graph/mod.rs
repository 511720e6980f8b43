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

use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Duration, sleep},
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
    let problems = Problems::default();
    let mut tasks: Vec<Task> = vec![];
    for source in sources {
        let (numbers, problem, mqtt) = (numbers.clone(), problems.of_a_source(), context.mqtt.clone());
        tasks.extend(Task::spawn(async move { source.receive(&mqtt, &numbers, &problem).await }));
    }
    let watched_page = match page {
        Some(page) if settings.keep => {
            let (numbers, problem) = (numbers.clone(), problems.of_a_source());
            tasks.extend(Task::spawn(async move { page.read_forever(&numbers, &problem).await }));
            None
        }
        page => page.map(|page| Arc::new(WatchedPage { page, problem: problems.of_a_source() })),
    };
    let settings = Arc::new(settings.clone());
    let fonts = context.fonts.clone();
    Ok(Arc::new(Graph { settings, numbers, fonts, page: watched_page, problems, _tasks: tasks.into() }))
}

/// Why sources have no numbers at the moment: an entry for each source.
#[derive(Clone, Default)]
struct Problems(watch::Sender<Vec<Option<String>>>);

impl Problems {
    /// A further source, which has no problem.
    fn of_a_source(&self) -> Problem {
        let mut source = 0;
        self.0.send_modify(|all| {
            source = all.len();
            all.push(None);
        });
        Problem { all: self.0.clone(), source }
    }

    /// That of the first source that has one.
    fn first(&self) -> Option<String> {
        self.0.borrow().iter().flatten().next().cloned()
    }
}

/// The entry of one source in [`Problems`].
struct Problem {
    all: watch::Sender<Vec<Option<String>>>,
    source: usize,
}

impl Problem {
    fn set(&self, problem: Option<String>) {
        self.all.send_if_modified(|all| match all.get_mut(self.source) {
            Some(entry) if *entry != problem => {
                *entry = problem;
                true
            }
            _ => false,
        });
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

struct WatchedPage {
    page: Page,
    problem: Problem,
}

#[derive(Clone)]
struct Graph {
    settings: Arc<Settings>,
    numbers: Arc<Numbers>,
    fonts: Fonts,
    /// The page that is read while the stream is watched.
    page: Option<Arc<WatchedPage>>,
    problems: Problems,
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
            Some(watched) => watched.page.read_forever(&self.numbers, &watched.problem).await,
            None => std::future::pending().await,
        }
    }

    async fn draw_forever(&self, run: &Run) -> Result<()> {
        let (mut changes, mut problems) = (self.numbers.changes(), self.problems.0.subscribe());
        let pause = Duration::from_secs_f64(1.0 / self.settings.fps);
        loop {
            changes.borrow_and_update();
            problems.borrow_and_update();
            let now = time::now();
            let span = self.settings.span(now);
            let series = self.numbers.since(span.start);
            let (settings, fonts) = (self.settings.clone(), self.fonts.clone());
            let picture = in_pool(move || graph::draw(&settings, &series, &fonts, now)).await?;
            run.sink.publish(&picture)?;
            // The picture has cleared the reason that was shown before it.
            if let Some(problem) = self.problems.first().or_else(|| self.numbers.problem()) {
                run.sink.report_problem(problem);
            }
            sleep(pause).await;
            let pixel = (span.end - span.start) / i64::from(self.settings.width);
            let pixel = Duration::from_micros(u64::try_from(pixel).unwrap_or_default());
            // All lead to the next picture: a change of numbers or problems, and a window that has moved by a pixel.
            tokio::select! {
                _ = changes.changed() => {}
                _ = problems.changed() => {}
                () = sleep(pixel.saturating_sub(pause)) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_ends_its_own_problem_only_and_each_change_is_told_once() {
        let problems = Problems::default();
        let (first, second) = (problems.of_a_source(), problems.of_a_source());
        let mut changes = problems.0.subscribe();
        second.set(Some("second".into()));
        assert!(changes.has_changed().unwrap());
        changes.borrow_and_update();
        first.set(None);
        second.set(Some("second".into()));
        assert!(!changes.has_changed().unwrap(), "nothing has changed");
        assert_eq!(problems.first().as_deref(), Some("second"));
        first.set(Some("first".into()));
        second.set(None);
        assert_eq!(problems.first().as_deref(), Some("first"));
    }
}
