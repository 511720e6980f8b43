//! [`Store`]: the points of all graph streams, in memory and on the disk.

mod latest;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use futures_util::StreamExt;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::sleep};

use super::{
    Point, Sample, Selector, SeriesName,
    disk::{self, Journal},
    series::Series,
    time,
};
use crate::{
    blocking::data,
    data_folder,
    stream::StreamName,
    units::{HumanDuration, Size},
};

/// A point later than this beyond the clock of this machine was made by a clock that is wrong.
const FUTURE: i64 = 60 * time::SECOND;

/// Files that are written at a time.
const WRITES_AT_ONCE: usize = 8;

/// Graphs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraphSettings {
    /// Most points of one series. Beyond it, the smallest and the largest of each part of the window stay.
    pub points: usize,
    /// Most series of one stream.
    pub series: usize,
    /// Memory for the points of all streams together.
    pub memory: Size,
    /// Pause between two writes of new points to the disk.
    pub write_interval: HumanDuration,
}

impl Default for GraphSettings {
    fn default() -> Self {
        GraphSettings { points: 10_000, series: 64, memory: Size::mib(256), write_interval: HumanDuration::secs(30) }
    }
}

/// Which points a stream keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Microseconds; older points are dropped.
    pub window: i64,
    /// The series that are kept; none: all.
    pub selectors: Option<Vec<Selector>>,
}

/// The points of all graph streams. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    settings: GraphSettings,
    folder: Option<PathBuf>,
    streams: Mutex<HashMap<StreamName, Arc<Numbers>>>,
    /// Files of streams that were removed.
    removed: Mutex<Vec<StreamName>>,
    memory: Arc<AtomicUsize>,
    changed: watch::Sender<u64>,
}

/// The points of one stream.
pub struct Numbers {
    settings: GraphSettings,
    data: Mutex<Data>,
    /// Points of all streams.
    all: Arc<AtomicUsize>,
    changed: watch::Sender<u64>,
    any_changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Data {
    rules: Option<Rules>,
    names: HashMap<String, usize>,
    series: Vec<(SeriesName, Series)>,
    /// Points in all series.
    count: usize,
    journal: Journal,
    /// Why points were left out lately.
    problem: Option<String>,
}

/// Why a point is not kept. What no entry selects is no fault: Telegraf sends more than a graph shows.
struct NotKept {
    why: String,
    is_fault: bool,
}

/// What became of the points of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Points that are kept.
    pub points: usize,
    /// Points that are not.
    pub skipped: usize,
    /// Why.
    pub reason: Option<String>,
}

/// A series, with its points.
#[derive(Clone, Debug)]
pub struct Latest {
    /// The name.
    pub name: SeriesName,
    /// In order of time.
    pub points: Vec<Point>,
}

impl Store {
    /// Reads the points of this folder, which is made if it does not exist.
    pub fn open(folder: &Path, settings: &GraphSettings) -> io::Result<Self> {
        match data_folder::make(folder) {
            Err(e) if !data_folder::is_full(&e) && e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let store = Store::new(Some(folder.to_owned()), settings);
        for name in disk::names(folder) {
            match disk::read(&disk::path(folder, &name)) {
                Ok(records) => store.numbers(&name).restore(records),
                Err(e) => tracing::error!(stream = %name, "the points of the graph cannot be read: {e}"),
            }
        }
        Ok(store)
    }

    /// Keeps nothing after the end of the program.
    pub fn none(settings: &GraphSettings) -> Self {
        Store::new(None, settings)
    }

    fn new(folder: Option<PathBuf>, settings: &GraphSettings) -> Self {
        Store(Arc::new(Inner {
            settings: settings.clone(),
            folder,
            streams: Mutex::default(),
            removed: Mutex::default(),
            memory: Arc::default(),
            changed: watch::Sender::new(0),
        }))
    }

    /// The points of a stream.
    pub fn numbers(&self, name: &StreamName) -> Arc<Numbers> {
        let make = || {
            Arc::new(Numbers {
                settings: self.0.settings.clone(),
                data: Mutex::default(),
                all: self.0.memory.clone(),
                changed: watch::Sender::new(0),
                any_changed: self.0.changed.clone(),
            })
        };
        self.0.streams.lock().entry(name.clone()).or_insert_with(make).clone()
    }

    /// The series of a stream with their points since `from`; none if there are none.
    pub fn present(&self, name: &StreamName, from: i64) -> Vec<Latest> {
        let numbers = self.0.streams.lock().get(name).cloned();
        numbers.map(|numbers| numbers.since(from)).unwrap_or_default()
    }

    /// Streams that have points.
    pub fn names(&self) -> Vec<StreamName> {
        self.0.streams.lock().keys().cloned().collect()
    }

    /// Points in memory, of all streams.
    pub fn count(&self) -> usize {
        self.0.memory.load(Relaxed)
    }

    /// Drops the points of a stream that was removed, also those on the disk. Returns at once.
    pub fn forget(&self, name: &StreamName) {
        if let Some(numbers) = self.0.streams.lock().remove(name) {
            let mut data = numbers.data.lock();
            self.0.memory.fetch_sub(data.count, Relaxed);
            *data = Data::default();
            self.0.removed.lock().push(name.clone());
        }
    }

    /// Writes new points to the disk until the program ends.
    pub async fn write_forever(&self) {
        loop {
            sleep(*self.0.settings.write_interval).await;
            self.write_waiting().await;
        }
    }

    /// Writes everything that is not known to be on the disk; for the end of the program, when the task of [`Self::write_forever`]
    /// has been ended in the middle of a write.
    pub async fn finish(&self) {
        for numbers in self.0.streams.lock().values() {
            numbers.data.lock().journal.forget_unfinished();
        }
        self.write_waiting().await;
    }

    /// Writes all new points now; for the end of the program and for tests. A write that fails is tried again with the next one.
    pub async fn write_waiting(&self) {
        let Some(folder) = self.0.folder.clone() else { return };
        let removed = std::mem::take(&mut *self.0.removed.lock());
        for name in removed {
            let is_used = self.0.streams.lock().contains_key(&name);
            let path = disk::path(&folder, &name);
            if !is_used && let Err(e) = data().run(move || disk::remove(&path)).await {
                tracing::error!(stream = %name, "the points of the deleted graph stay on the disk: {}", e.chain());
            }
        }
        let streams: Vec<_> =
            self.0.streams.lock().iter().map(|(name, numbers)| (name.clone(), numbers.clone())).collect();
        let write = async |(name, numbers): (StreamName, Arc<Numbers>)| {
            let Some(work) = numbers.journal() else { return };
            let path = disk::path(&folder, &name);
            let done = data().run(move || work.write(&path)).await;
            numbers.written(&name, done);
        };
        futures_util::stream::iter(streams).for_each_concurrent(WRITES_AT_ONCE, write).await;
    }
}

impl Numbers {
    /// Sets what is kept from now on.
    pub fn rule(&self, rules: Rules) {
        let mut data = self.data.lock();
        if data.rules.as_ref() == Some(&rules) {
            return;
        }
        data.rules = Some(rules);
        let Data { rules, series, names, .. } = &mut *data;
        let before = series.len();
        series.retain(|(name, _)| is_selected(rules.as_ref(), name));
        if series.len() < before {
            *names = series.iter().enumerate().map(|(i, (name, _))| (name.to_string(), i)).collect();
            data.journal.begin_anew();
        }
        self.count_anew(&mut data);
        drop(data);
        self.changed.send_modify(|version| *version += 1);
    }

    /// Takes points; `now` is the time of those without one. Points from the future, by more than a minute, count as of now.
    pub fn take(&self, samples: impl IntoIterator<Item = Sample>, now: i64) -> Taken {
        let mut taken = Taken::default();
        let mut data = self.data.lock();
        let window = data.rules.as_ref().map_or(i64::MAX, |rules| rules.window);
        let oldest = now.saturating_sub(window);
        let mut new: BTreeMap<usize, Vec<Point>> = BTreeMap::new();
        // Samples of one series often follow each other.
        let mut before: Option<(String, usize)> = None;
        let mut problem = None;
        for Sample { series, at, value } in samples {
            let at = at.unwrap_or(now);
            let at = if at > now.saturating_add(FUTURE) { now } else { at };
            if at < oldest {
                taken.skip(|| "a point is older than the window".into());
                continue;
            }
            let index = match &before {
                Some((name, index)) if *name == series => Ok(*index),
                _ => data.index(&series, self.settings.series),
            };
            match index {
                Ok(index) => {
                    new.entry(index).or_default().push(Point { at, value });
                    taken.points += 1;
                    before = Some((series, index));
                }
                Err(NotKept { why, is_fault }) => {
                    if is_fault {
                        problem.get_or_insert_with(|| why.clone());
                    }
                    taken.skip(|| why);
                }
            }
        }
        for (index, points) in new {
            data.journal.add(index, &points);
            let Some((_, series)) = data.series.get_mut(index) else { continue };
            series.add(points);
            series.drop_before(oldest);
            series.thin(window, self.settings.points);
        }
        self.count_anew(&mut data);
        self.stay_within_memory(&mut data);
        data.problem = problem;
        drop(data);
        if taken.points > 0 {
            self.changed.send_modify(|version| *version += 1);
            self.any_changed.send_modify(|version| *version += 1);
        }
        taken
    }

    /// Whether there is a point of this series.
    pub fn is_known(&self, name: &SeriesName) -> bool {
        let data = self.data.lock();
        data.series.iter().any(|(known, series)| known == name && !series.points().is_empty())
    }

    /// Changes with each new point.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Why points of the last request could not be kept.
    pub fn problem(&self) -> Option<String> {
        self.data.lock().problem.clone()
    }

    /// The series with their points since `from`, and the one before, in the order in which they came.
    pub fn since(&self, from: i64) -> Vec<Latest> {
        let data = self.data.lock();
        let each = data.series.iter().map(|(name, series)| {
            let points = series.points();
            let first = points.partition_point(|point| point.at < from).saturating_sub(1);
            Latest { name: name.clone(), points: points.range(first..).copied().collect() }
        });
        each.collect()
    }

    fn restore(&self, records: disk::Records) {
        let mut data = self.data.lock();
        for (name, points) in records.series {
            if let Ok(index) = data.index(&name, self.settings.series)
                && let Some((_, series)) = data.series.get_mut(index)
            {
                series.add(points);
                series.thin(i64::MAX, self.settings.points);
            }
        }
        // The numbers of the series in the file can be others.
        data.journal.begin_anew();
        self.count_anew(&mut data);
        self.stay_within_memory(&mut data);
    }

    fn count_anew(&self, data: &mut Data) {
        let count = data.series.iter().map(|(_, series)| series.points().len()).sum();
        if count >= data.count {
            self.all.fetch_add(count - data.count, Relaxed);
        } else {
            self.all.fetch_sub(data.count - count, Relaxed);
        }
        data.count = count;
    }

    /// When the memory of all streams is full, the stream that gets points loses its oldest ones.
    fn stay_within_memory(&self, data: &mut Data) {
        let most = self.settings.memory.bytes() / size_of::<Point>();
        let surplus = self.all.load(Relaxed).saturating_sub(most);
        if surplus == 0 {
            return;
        }
        let each = data.count.saturating_sub(surplus) / data.series.len().max(1);
        for (_, series) in &mut data.series {
            series.truncate(each.max(1));
        }
        self.count_anew(data);
    }

    fn journal(&self) -> Option<disk::Work> {
        let mut data = self.data.lock();
        let Data { journal, series, .. } = &mut *data;
        journal.work(|| {
            let all = series.iter().map(|(name, series)| (name.to_string(), series.points().iter().copied().collect()));
            all.collect()
        })
    }

    fn written(&self, name: &StreamName, done: crate::error::Result<u64>) {
        let mut data = self.data.lock();
        let count = data.count;
        match done {
            Ok(bytes) => {
                if data.journal.succeeded(bytes, count) {
                    tracing::info!(stream = %name, "the points of the graph are kept now");
                }
            }
            Err(e) => {
                if data.journal.failed() {
                    tracing::error!(stream = %name, "{}; it is tried again until it succeeds", e.chain());
                }
            }
        }
    }
}

impl Data {
    /// The number of a series, which is made if there is none.
    fn index(&mut self, series: &str, most: usize) -> Result<usize, NotKept> {
        if let Some(index) = self.names.get(series) {
            return Ok(*index);
        }
        let name: SeriesName = series.parse().map_err(|why| NotKept { why, is_fault: true })?;
        if !is_selected(self.rules.as_ref(), &name) {
            let why = format!("no entry of `series` selects {}", super::read::shortened(series));
            return Err(NotKept { why, is_fault: false });
        }
        if self.series.len() >= most {
            let why = format!("the stream has {most} series already (graphs.series)");
            return Err(NotKept { why, is_fault: true });
        }
        let index = self.series.len();
        self.journal.name(index, series);
        self.series.push((name, Series::default()));
        self.names.insert(series.to_owned(), index);
        Ok(index)
    }
}

fn is_selected(rules: Option<&Rules>, name: &SeriesName) -> bool {
    let selectors = rules.and_then(|rules| rules.selectors.as_ref());
    selectors.is_none_or(|selectors| selectors.iter().any(|selector| selector.selects(name)))
}

impl Taken {
    fn skip(&mut self, why: impl FnOnce() -> String) {
        self.skipped += 1;
        self.reason.get_or_insert_with(why);
    }
}

#[cfg(test)]
mod tests;
