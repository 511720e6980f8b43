//! [`Numbers`]: the points of one stream in memory: which are kept, how many, and what of them is not on the disk yet.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    Sample,
    disk::{self, Journal},
    selector::{Selector, SeriesName},
    series::{Point, Series},
    settings::GraphSettings,
    time,
};
use crate::stream::StreamName;

/// A point later than this beyond the clock of this machine was made by a clock that is wrong.
const FUTURE: i64 = 60 * time::SECOND;

/// Which points a stream keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Microseconds; older points are dropped.
    pub window: i64,
    /// The series that are kept; none: all.
    pub selectors: Option<Vec<Selector>>,
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

impl Numbers {
    /// `all` counts the points of all streams, and `any_changed` changes with each new point of any stream.
    pub(super) fn new(settings: GraphSettings, all: Arc<AtomicUsize>, any_changed: watch::Sender<u64>) -> Self {
        Numbers { settings, data: Mutex::default(), all, changed: watch::Sender::new(0), any_changed }
    }

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
        let is_news = taken.points > 0 || data.problem != problem;
        data.problem = problem;
        drop(data);
        if is_news {
            self.changed.send_modify(|version| *version += 1);
        }
        if taken.points > 0 {
            self.any_changed.send_modify(|version| *version += 1);
        }
        taken
    }

    /// Whether there is a point of this series.
    pub fn is_known(&self, name: &SeriesName) -> bool {
        let data = self.data.lock();
        data.series.iter().any(|(known, series)| known == name && !series.points().is_empty())
    }

    /// Changes with each new point, and with [`problem`](Self::problem).
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

    /// Takes the points of a file.
    pub(super) fn restore(&self, records: disk::Records) {
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

    /// Drops all points, of a stream that was removed.
    pub(super) fn forget(&self) {
        let mut data = self.data.lock();
        self.all.fetch_sub(data.count, Relaxed);
        *data = Data::default();
    }

    /// A write that was ended in its middle counts as not done.
    pub(super) fn forget_unfinished(&self) {
        self.data.lock().journal.forget_unfinished();
    }

    /// The last number of the first series that is selected.
    pub(super) fn last(&self, selector: &Selector) -> Option<f64> {
        let data = self.data.lock();
        let (_, series) = data.series.iter().find(|(series, _)| selector.selects(series))?;
        series.points().iter().rev().map(|point| point.value).find(|value| !value.is_nan())
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

    /// What has to be written; none if everything is on the disk.
    pub(super) fn journal(&self) -> Option<disk::Work> {
        let mut data = self.data.lock();
        let Data { journal, series, .. } = &mut *data;
        journal.work(|| {
            let all = series.iter().map(|(name, series)| (name.to_string(), series.points().iter().copied().collect()));
            all.collect()
        })
    }

    /// Takes the outcome of a write.
    pub(super) fn written(&self, name: &StreamName, done: crate::error::Result<u64>) {
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
