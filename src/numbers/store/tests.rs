use super::*;
use crate::{
    numbers::{Rules, Sample, time},
    units::Size,
};

const SECOND: i64 = time::SECOND;
const NOW: i64 = 1_700_000_000 * SECOND;

fn name(text: &str) -> StreamName {
    StreamName::parse(text).expect("a name")
}

fn sample(series: &str, seconds_ago: i64, value: f64) -> Sample {
    Sample { series: series.into(), at: Some(NOW - seconds_ago * SECOND), value }
}

fn rules(window: i64, selectors: Option<&[&str]>) -> Rules {
    let selectors = selectors.map(|texts| texts.iter().map(|text| text.parse().expect("a selector")).collect());
    Rules { window: window * SECOND, selectors }
}

fn values(numbers: &Numbers) -> Vec<(String, Vec<f64>)> {
    let all = numbers.since(i64::MIN).into_iter();
    all.map(|series| (series.name.to_string(), series.points.iter().map(|point| point.value).collect())).collect()
}

#[test]
fn points_are_within_the_window_and_before_the_next_minute() {
    let store = Store::none(&GraphSettings::default());
    let numbers = store.numbers(&name("a"));
    numbers.rule(rules(600, None));
    let future = Sample { series: "x".into(), at: Some(NOW + 3600 * SECOND), value: 4.0 };
    let soon = Sample { series: "x".into(), at: Some(NOW + 30 * SECOND), value: 5.0 };
    let untimed = Sample { series: "y".into(), at: None, value: f64::NAN };
    let taken =
        numbers.take([sample("x", 601, 1.0), sample("x", 10, 3.0), sample("x", 20, 2.0), future, soon, untimed], NOW);
    assert_eq!((taken.points, taken.skipped), (5, 1));
    assert!(taken.reason.as_deref().is_some_and(|reason| reason.contains("older than the window")));
    let series = numbers.since(NOW - 600 * SECOND);
    assert_eq!(series[0].points.iter().map(|point| (point.at - NOW) / SECOND).collect::<Vec<_>>(), [-20, -10, 0, 30]);
    assert!(series[1].points[0].at == NOW && series[1].points[0].value.is_nan());
    assert_eq!(store.last(&name("a"), &"x".parse().expect("a name")), Some(5.0));
    assert_eq!(store.last(&name("a"), &"y".parse().expect("a name")), None, "a gap is no number");
}

#[test]
fn a_problem_is_a_change_when_it_begins_and_when_it_ends() {
    let store = Store::none(&GraphSettings { series: 1, ..GraphSettings::default() });
    let numbers = store.numbers(&name("a"));
    numbers.take([sample("a", 2, 1.0)], NOW);
    let mut changes = numbers.changes();
    numbers.take([sample("b", 1, 2.0)], NOW);
    assert!(changes.has_changed().expect("open") && numbers.problem().is_some());
    changes.borrow_and_update();
    numbers.take([sample("b", 1, 2.0)], NOW);
    assert!(!changes.has_changed().expect("open"), "the same problem is no news");
    numbers.take([], NOW);
    assert!(changes.has_changed().expect("open") && numbers.problem().is_none());
}

#[test]
fn only_selected_series_are_kept_and_their_number_has_a_limit() {
    let store = Store::none(&GraphSettings { series: 2, ..GraphSettings::default() });
    let numbers = store.numbers(&name("a"));
    let taken = numbers.take([sample("a", 1, 1.0), sample("b{c=d}", 1, 2.0), sample("e", 1, 3.0)], NOW);
    assert!(
        taken.skipped == 1 && taken.reason.is_some_and(|reason| reason.contains("2 series already (graphs.series)"))
    );
    numbers.rule(rules(600, Some(&["b", "f"])));
    assert_eq!(values(&numbers), [("b{c=d}".into(), vec![2.0])]);
    let taken = numbers.take([sample("a", 1, 1.0), sample("b{c=d}", 0, 4.0), sample("f", 0, 5.0)], NOW);
    assert_eq!((taken.points, taken.skipped), (2, 1));
    assert!(taken.reason.is_some_and(|reason| reason.contains("no entry of `series` selects a")));
    assert_eq!(values(&numbers), [("b{c=d}".into(), vec![2.0, 4.0]), ("f".into(), vec![5.0])]);
}

#[test]
fn a_billion_points_would_take_no_more_memory_than_a_million() {
    let settings = GraphSettings { points: 1000, ..GraphSettings::default() };
    let store = Store::none(&settings);
    let numbers = store.numbers(&name("a"));
    numbers.rule(rules(100, None));
    let (mut now, mut most) = (NOW, 0);
    for batch in 0..1000 {
        let sample = |i: i64| Sample { series: "x".into(), at: Some(now + i * 1000), value: (batch * i) as f64 };
        let samples: Vec<_> = (0..1000).map(sample).collect();
        now += SECOND;
        numbers.take(samples, now);
        most = most.max(store.count());
    }
    assert!(most <= 1000 && store.count() > 100, "{most} {}", store.count());
    let first = numbers.since(i64::MIN)[0].points[0].at;
    assert!(
        now - first <= 102 * SECOND && now - first > 95 * SECOND,
        "the whole window is there: {}",
        (now - first) / SECOND
    );
}

#[test]
fn all_graphs_share_the_memory() {
    let settings = GraphSettings { memory: Size(16 * 100), ..GraphSettings::default() };
    let store = Store::none(&settings);
    for i in 0..5 {
        let numbers = store.numbers(&name(&format!("g{i}")));
        numbers.take((0..60).map(|at| sample("x", 60 - at, 1.0)), NOW);
        assert!(store.count() <= 100 + i, "{}", store.count());
    }
    for i in 0..5 {
        store.forget(&name(&format!("g{i}")));
    }
    assert_eq!((store.count(), store.names().len()), (0, 0));
}

#[tokio::test]
async fn points_survive_a_restart_and_deleted_ones_do_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = GraphSettings { points: 1000, ..GraphSettings::default() };
    let open = || Store::open(folder.path(), &settings).expect("opens");
    let file = folder.path().join("a,b.points");
    let store = open();
    store.numbers(&name("a/b")).take([sample("x", 3, 1.0), sample("y{z=1}", 3, 2.0)], NOW);
    store.numbers(&name("gone")).take([sample("x", 3, 1.0)], NOW);
    store.write_waiting().await;
    store.forget(&name("gone"));
    store.numbers(&name("a/b")).take([sample("x", 2, f64::NAN), sample("x", 1, 4.0), sample("w", 1, 5.0)], NOW);
    let before = std::fs::metadata(&file).expect("written").len();
    store.write_waiting().await;
    let appended = std::fs::metadata(&file).expect("written").len();
    assert_eq!(appended - before, 3 * 19 + 6, "new points are appended");
    assert!(!folder.path().join("gone.points").exists());

    let store = open();
    assert_eq!(store.names(), [name("a/b")]);
    let restored = values(&store.numbers(&name("a/b")));
    assert_eq!(format!("{restored:?}"), r#"[("x", [1.0, NaN, 4.0]), ("y{z=1}", [2.0]), ("w", [5.0])]"#);

    // A record that a power cut has cut off is left out, and the file is written anew.
    let data = std::fs::read(&file).expect("reads");
    std::fs::write(&file, &data[..data.len() - 5]).expect("writes");
    let store = open();
    assert_eq!(values(&store.numbers(&name("a/b")))[2].1, Vec::<f64>::new());
    store.finish().await;
    assert!(std::fs::metadata(&file).expect("there").len() < data.len() as u64);
    for bad in [
        &b""[..],
        b"other",
        b"mtx-sidecar points 1\nP\xff\xff12345678abcdefghN",
        b"mtx-sidecar points 1\nN\0\0\xff\xff",
    ] {
        std::fs::write(&file, bad).expect("writes");
        assert!(values(&open().numbers(&name("a/b"))).is_empty());
    }
}

#[tokio::test]
async fn the_file_of_a_graph_does_not_grow_without_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), &GraphSettings { points: 600, ..GraphSettings::default() }).expect("opens");
    let numbers = store.numbers(&name("a"));
    numbers.rule(rules(600, None));
    let (mut largest, mut now) = (0, NOW);
    for _ in 0..100 {
        numbers.take(
            (0..600).map(|i| Sample { series: "x".into(), at: Some(now + i * SECOND), value: 1.0 }),
            now + 600 * SECOND,
        );
        now += 600 * SECOND;
        store.write_waiting().await;
        largest = largest.max(std::fs::metadata(folder.path().join("a.points")).expect("written").len());
    }
    assert!(largest < 100_000, "{largest} bytes for 600 points");
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("points");
    let store = Store::open(&inner, &GraphSettings::default()).expect("opens");
    std::fs::remove_dir(&inner).expect("removes");
    store.numbers(&name("a")).take([sample("x", 3, 1.0)], NOW);
    store.write_waiting().await;
    std::fs::create_dir(&inner).expect("makes");
    store.numbers(&name("a")).take([sample("x", 2, 2.0)], NOW);
    store.write_waiting().await;
    let again = Store::open(&inner, &GraphSettings::default()).expect("opens");
    assert_eq!(values(&again.numbers(&name("a"))), [("x".into(), vec![1.0, 2.0])]);
}
