use super::*;
use crate::{
    numbers::{Point, time::SECOND},
    picture::testing,
};

/// 2023-11-14 22:13:20 UTC.
const NOW: i64 = 1_700_000_000 * SECOND;

fn settings(json: serde_json::Value) -> Settings {
    let settings: Settings = serde_json::from_value(json).expect("settings");
    settings.check().expect("valid");
    settings
}

/// A series of a point a second for the ten minutes before now, each with this value.
fn series(name: &str, value: impl Fn(i64) -> f64) -> Latest {
    let points = (0..=600).map(|i| Point { at: NOW - (600 - i) * SECOND, value: value(i) });
    Latest { name: name.parse().expect("a name"), points: points.collect() }
}

/// The decoded picture.
struct Seen {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Seen {
    fn of(settings: &Settings, series: &[Latest]) -> Self {
        let picture = draw(settings, series, &Fonts::bundled(), NOW).expect("draws");
        assert_eq!((picture.width, picture.height), (settings.width, settings.height));
        let (width, height, rgb) = testing::pixels(&picture.jpeg);
        Seen { width, height, rgb }
    }

    fn at(&self, x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * self.width + x);
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    fn is_near(&self, x: usize, y: usize, colour: Colour) -> bool {
        self.at(x, y).iter().zip(colour.0).all(|(seen, meant)| seen.abs_diff(meant) < 40)
    }

    /// Pixels of about this colour.
    fn count(&self, colour: Colour) -> usize {
        let all = (0..self.height).flat_map(|y| (0..self.width).map(move |x| (x, y)));
        all.filter(|(x, y)| self.is_near(*x, *y, colour)).count()
    }

    /// Pixels with clearly more green than red, such as those of thin lines, whose colour JPEG mixes with that of their neighbours.
    fn greenish(&self) -> usize {
        self.rgb.chunks_exact(3).filter(|pixel| i32::from(pixel[1]) - i32::from(pixel[0]) > 60).count()
    }

    /// The rows of the pixels of this colour in a column.
    fn rows(&self, x: usize, colour: Colour) -> Vec<usize> {
        (0..self.height).filter(|y| self.is_near(x, *y, colour)).collect()
    }
}

const RED: Colour = Colour([255, 0, 0]);
const GREEN: Colour = Colour([0, 200, 0]);

fn one(extra: serde_json::Value) -> Settings {
    let mut json = serde_json::json!({
        "width": 640, "height": 360, "zone": "UTC", "legend": [],
        "left": {"min": 0.0, "max": 100.0},
        "series": [{"name": "a", "colour": "#ff0000", "line_width": 8.0}],
    });
    for (key, value) in extra.as_object().cloned().unwrap_or_default() {
        json[key] = value;
    }
    settings(json)
}

#[test]
fn a_line_is_where_its_numbers_are() {
    let seen = Seen::of(&one(serde_json::json!({})), &[series("a", |_| 50.0)]);
    let rows = seen.rows(320, RED);
    let middle = rows.iter().sum::<usize>() as f64 / rows.len() as f64;
    let [top, bottom] = [100.0, 0.0].map(|value| {
        let rows = Seen::of(&one(serde_json::json!({})), &[series("a", |_| value)]).rows(320, RED);
        rows.iter().sum::<usize>() as f64 / rows.len() as f64
    });
    assert!((6..=9).contains(&rows.len()), "as thick as its width: {rows:?}");
    assert!((middle - (top + bottom) / 2.0).abs() <= 1.0, "{top} {middle} {bottom}");
    assert!(top < 40.0 && bottom > 300.0, "the axis fills the picture: {top} {bottom}");
}

#[test]
fn a_spike_of_one_point_among_ten_thousand_is_visible() {
    for points in [600_i64, 10_000] {
        let all = (0..points).map(|i| Point {
            at: NOW - 600 * SECOND + i * 600 * SECOND / points,
            value: if i == points / 2 { 95.0 } else { 10.0 },
        });
        let spiked = Latest { name: "a".parse().expect("a name"), points: all.collect() };
        let seen = Seen::of(&one(serde_json::json!({"series": [{"name": "a", "colour": "#ff0000"}]})), &[spiked]);
        let flat = Seen::of(
            &one(serde_json::json!({"series": [{"name": "a", "colour": "#ff0000"}]})),
            &[series("a", |_| 10.0)],
        );
        // A line of 1.5 pixels is not of the full colour in every row, but its redness is there.
        let highest = |seen: &Seen| {
            (0..seen.height).find(|y| {
                (0..seen.width).any(|x| {
                    let [r, g, _] = seen.at(x, *y);
                    i32::from(r) - i32::from(g) > 60
                })
            })
        };
        let (spike, line) = (highest(&seen).expect("drawn"), highest(&flat).expect("drawn"));
        assert!(spike < 60 && line > 200, "{points} points: {spike} {line}");
    }
}

#[test]
fn gaps_are_gaps() {
    let settings = one(serde_json::json!({}));
    let with_gap = series("a", |i| if (250..350).contains(&i) { f64::NAN } else { 50.0 });
    let seen = Seen::of(&settings, std::slice::from_ref(&with_gap));
    assert!(seen.rows(335, RED).is_empty() && !seen.rows(150, RED).is_empty() && !seen.rows(550, RED).is_empty());
    let paused =
        Latest { points: with_gap.points.into_iter().filter(|point| !point.value.is_nan()).collect(), ..with_gap };
    let drawn = |gap: Option<&str>| {
        let settings = one(gap.map_or(serde_json::json!({}), |gap| serde_json::json!({"gap": gap})));
        !Seen::of(&settings, std::slice::from_ref(&paused)).rows(335, RED).is_empty()
    };
    assert_eq!((drawn(None), drawn(Some("30s")), drawn(Some("5m"))), (true, false, true));
}

#[test]
fn areas_bars_and_stacks_are_filled() {
    let styled = |style: &str, stack: bool| {
        let settings = one(serde_json::json!({"series": [
            {"name": "a", "colour": "#ff0000", "style": style, "stack": stack, "line_width": 8.0},
            {"name": "b", "colour": "#00c800", "style": style, "stack": stack, "line_width": 8.0},
        ]}));
        Seen::of(&settings, &[series("a", |_| 30.0), series("b", |_| 30.0)])
    };
    let line = styled("line", false);
    let bars = styled("bars", false);
    assert!(bars.greenish() > 5 * line.greenish(), "{} {}", bars.greenish(), line.greenish());
    // Stacked, the green line is at 60, and unstacked it covers the red one at 30.
    let row = |seen: &Seen| seen.rows(320, GREEN).first().copied().expect("a green line");
    let stacked = styled("line", true);
    assert!(row(&stacked) + 50 < row(&styled("line", false)), "{} {}", row(&stacked), row(&line));
    let step = Latest {
        name: "a".parse().expect("a name"),
        points: vec![Point { at: NOW - 600 * SECOND, value: 20.0 }, Point { at: NOW - 100 * SECOND, value: 80.0 }],
    };
    let seen = Seen::of(
        &one(serde_json::json!({"series": [{"name": "a", "colour": "#ff0000", "style": "step", "line_width": 8.0}]})),
        &[step],
    );
    assert_eq!(seen.rows(200, RED), seen.rows(400, RED), "a step holds its number");
    assert!(seen.rows(620, RED).first() < seen.rows(400, RED).first(), "and the last one until now");
}

#[test]
fn thresholds_are_lines_and_bands() {
    let plain = Seen::of(&one(serde_json::json!({})), &[series("a", |_| 10.0)]);
    let marked = one(serde_json::json!({"thresholds": [
        {"value": 50.0, "colour": "#00c800", "label": "warm"},
        {"from": 80.0, "colour": "#00c800"},
    ]}));
    let marked = Seen::of(&marked, &[series("a", |_| 10.0)]);
    assert!(marked.greenish() > 40 && plain.greenish() == 0, "{}", marked.greenish());
    // Between two lines of the grid in the band.
    let green = |seen: &Seen, y: usize| i32::from(seen.at(323, y)[1]) - i32::from(seen.at(323, y)[0]);
    assert!(green(&marked, 40) > green(&plain, 40) + 15, "{} {}", green(&marked, 40), green(&plain, 40));
    assert!(green(&marked, 250) < green(&plain, 250) + 10);
}

#[test]
fn the_right_axis_has_a_scale_of_its_own() {
    let settings = one(serde_json::json!({
        "right": {"min": 0.0, "max": 1000.0, "unit": "W"},
        "series": [{"name": "a", "colour": "#ff0000", "line_width": 8.0}, {"name": "b", "colour": "#00c800", "line_width": 8.0, "axis": "right"}],
    }));
    let seen = Seen::of(&settings, &[series("a", |_| 25.0), series("b", |_| 750.0)]);
    let (red, green) = (seen.rows(320, RED)[0], seen.rows(320, GREEN)[0]);
    assert!(green + 100 < red, "{green} {red}");
}

/// From 1 to 10 000, a hundred is in the middle; what is not above 0 is a gap.
#[test]
fn a_logarithmic_axis_spreads_equal_factors() {
    let settings = |style: &str, thresholds: serde_json::Value| {
        one(serde_json::json!({
            "left": {"min": 1.0, "max": 10_000.0, "scale": "log"}, "thresholds": thresholds,
            "series": [{"name": "a", "colour": "#ff0000", "style": style, "line_width": 8.0}],
        }))
    };
    let line = settings("line", serde_json::json!([]));
    let middle = |value: f64| {
        let rows = Seen::of(&line, &[series("a", |_| value)]).rows(320, RED);
        rows.iter().sum::<usize>() as f64 / rows.len() as f64
    };
    let [one, hundred, most] = [1.0, 100.0, 10_000.0].map(middle);
    assert!((hundred - (one + most) / 2.0).abs() <= 1.0 && one - most > 200.0, "{one} {hundred} {most}");
    // A line from 1 to 10 000 is straight: 10 is at a quarter of its way.
    let grows = series("a", |i| 10_f64.powf(4.0 * i as f64 / 600.0));
    let seen = Seen::of(&line, &[grows]);
    let at = |x: usize| seen.rows(x, RED)[0] as f64;
    assert!((at(320) - (at(200) + at(440)) / 2.0).abs() <= 2.0, "{} {} {}", at(200), at(320), at(440));
    let gap = Seen::of(&line, &[series("a", |i| if (250..350).contains(&i) { 0.0 } else { 100.0 })]);
    assert!(gap.rows(335, RED).is_empty() && !gap.rows(150, RED).is_empty());
    // An area and bars stand on the low end, and a threshold is at its number.
    for style in ["area", "bars"] {
        let seen = Seen::of(&settings(style, serde_json::json!([])), &[series("a", |_| 100.0)]);
        let red = |y: usize| i32::from(seen.at(323, y)[0]) - i32::from(seen.at(323, y)[2]);
        assert!(red(280) > 15 && red(60) < 10, "{style}: {} {}", red(280), red(60));
    }
    let marked = settings(
        "line",
        serde_json::json!([{"value": 1000.0, "colour": "#00c800"}, {"value": -5.0, "colour": "#00c800"}]),
    );
    let seen = Seen::of(&marked, &[series("a", |_| 1.0)]);
    let is_green = |x: usize, y: usize| i32::from(seen.at(x, y)[1]) - i32::from(seen.at(x, y)[0]) > 60;
    let rows: Vec<_> = (0..360).filter(|y| (300..340).any(|x| is_green(x, *y))).collect();
    assert!(rows.len() <= 4 && !rows.is_empty(), "{rows:?}");
    let expected = one - (one - most) * 0.75;
    assert!((rows[0] as f64 - expected).abs() <= 4.0, "{rows:?} {expected}");
    // The stat view has the same axis.
    let stat = Settings { view: View::Stat, ..settings("line", serde_json::json!([])) };
    assert!(Seen::of(&stat, &[series("a", |i| i as f64 - 10.0)]).count(RED) > 3000);
}

#[test]
fn a_legend_has_swatches_and_the_stat_view_large_digits() {
    let settings = |view: &str, legend: &[&str]| one(serde_json::json!({"view": view, "legend": legend}));
    let numbers = [series("a", |i| 50.0 + i as f64 / 100.0)];
    let without = Seen::of(&settings("graph", &[]), &numbers).count(RED);
    let with = Seen::of(&settings("graph", &["last", "min", "max", "mean"]), &numbers);
    let below: usize =
        (300..360).flat_map(|y| (0..640).map(move |x| (x, y))).filter(|(x, y)| with.is_near(*x, *y, RED)).count();
    assert!(below > 15 && without > 0, "{below}");
    let stat = Seen::of(&settings("stat", &[]), &numbers);
    assert!(stat.count(RED) > 3000, "digits of the colour of the series: {}", stat.count(RED));
    let mut warned = settings("stat", &[]);
    warned.thresholds = vec![Threshold {
        value: Some(50.0),
        from: None,
        to: None,
        colour: GREEN,
        label: String::new(),
        axis: Side::Left,
    }];
    let warned = Seen::of(&warned, &numbers);
    assert!(warned.count(GREEN) > 3000 && warned.count(RED) == 0, "the colour of the threshold that is reached");
}

#[test]
fn every_theme_and_size_is_drawn() {
    for theme in ["dark", "light", "transparent"] {
        for (width, height) in [(64, 36), (64, 2160), (3840, 36), (320, 240)] {
            for view in ["graph", "stat"] {
                let settings = settings(
                    serde_json::json!({"theme": theme, "width": width, "height": height, "view": view, "title": "標題 Überschrift ".repeat(20)}),
                );
                let many: Vec<_> =
                    (0..40).map(|i| series(&format!("s{i}{{host=a,path=/x/y}}"), |j| (i * j) as f64)).collect();
                for numbers in [&many[..], &many[..1], &[]] {
                    Seen::of(&settings, numbers);
                }
            }
        }
    }
    let grounds = ["dark", "light"].map(|theme| Seen::of(&one(serde_json::json!({"theme": theme})), &[]).at(2, 2));
    assert!(grounds[0][0] < 60 && grounds[1][0] > 240, "{grounds:?}");
}

#[test]
fn a_graph_without_a_ground_is_transparent_where_nothing_is_drawn() {
    let settings = one(serde_json::json!({}));
    let png = draw_transparent(&settings, &[series("a", |_| 50.0)], &Fonts::bundled(), NOW).expect("draws");
    let picture = image::load_from_memory(&png).expect("a PNG").to_rgba8();
    assert_eq!(picture.dimensions(), (640, 360));
    assert_eq!(picture.get_pixel(2, 2).0[3], 0, "the corner");
    let row = (0..360).find(|y| picture.get_pixel(325, *y).0[3] == 255).expect("the line covers");
    let [r, g, b, _] = picture.get_pixel(325, row + 1).0;
    assert!(r > 220 && g < 50 && b < 50, "{r} {g} {b}");
}

#[test]
fn extreme_numbers_draw_nothing_outside_and_end() {
    for value in [0.0, -0.0, f64::MIN, f64::MAX, f64::MIN_POSITIVE, 1e-300, 1e15 + 0.5] {
        for style in ["line", "area", "step", "bars", "points"] {
            let settings = settings(
                serde_json::json!({"width": 320, "height": 180, "series": [{"name": "a", "style": style, "stack": true}, {"name": "b", "rate": true, "factor": -8.0}]}),
            );
            Seen::of(&settings, &[series("a", |i| if i % 2 == 0 { value } else { -value }), series("b", |_| value)]);
        }
    }
    let times = [i64::MIN, NOW - 1, NOW - 1, NOW, i64::MAX];
    let odd = Latest { name: "a".parse().expect("a name"), points: times.map(|at| Point { at, value: 1.0 }).into() };
    Seen::of(&settings(serde_json::json!({})), &[odd]);
}

#[test]
fn a_sample_shows_every_series() {
    let settings = settings(
        serde_json::json!({"width": 640, "height": 360, "series": [{"name": "a", "colour": "#ff0000", "line_width": 8.0}, {"name": "b", "colour": "#00c800", "line_width": 8.0, "rate": true, "axis": "right"}]}),
    );
    let seen = Seen::of(&settings, &sample(&settings, NOW));
    assert!(seen.count(RED) > 50 && seen.count(GREEN) > 50);
    assert_eq!(sample(&Settings::default(), NOW).len(), 2);
}

#[test]
fn an_invalid_setting_is_named() {
    for (json, field, says) in [
        (serde_json::json!({"width": 641}), "width", "an even number from 64 to 3840"),
        (serde_json::json!({"height": 20}), "height", "36 to 2160"),
        (serde_json::json!({"window": "1s"}), "window", "from 10s to 400days, or today"),
        (serde_json::json!({"fps": 0}), "fps", "from 0.1 to 30"),
        (serde_json::json!({"text_size": 0.5}), "text_size", "percent"),
        (serde_json::json!({"interval": "0s"}), "interval", "from 1s to 1h"),
        (serde_json::json!({"left": {"min": 5, "max": 5}}), "left", "min must be less than max"),
        (serde_json::json!({"right": {"scale": "log", "soft_min": 0}}), "right", "above 0 on a logarithmic axis"),
        (
            serde_json::json!({"left": {"scale": "log"}, "series": [{"name": "a", "stack": true}]}),
            "series",
            "entry 0: stack needs a linear axis",
        ),
        (serde_json::json!({"thresholds": [{}]}), "thresholds", "entry 0: needs either value"),
        (serde_json::json!({"thresholds": [{"value": 1, "from": 2}]}), "thresholds", "either"),
        (serde_json::json!({"thresholds": [{"from": 2, "to": 1}]}), "thresholds", "from must be less than to"),
        (serde_json::json!({"series": [{"name": "a", "line_width": 0}]}), "series", "entry 0: line_width"),
        (serde_json::json!({"series": [{"name": "a", "factor": 0}]}), "series", "entry 0: factor"),
        (serde_json::json!({"series": [{"name": "a", "pointer": "/a"}]}), "series", "needs a topic"),
    ] {
        let settings: Settings = serde_json::from_value(json.clone()).expect("its form is right");
        let (named, rule) = settings.check().expect_err("invalid");
        assert!(named == field && rule.contains(says), "{json}: {named}: {rule}");
    }
    for (json, says) in [
        (serde_json::json!({"zone": "Berlin"}), "no time zone"),
        (serde_json::json!({"window": "600"}), "not a duration"),
        (serde_json::json!({"series": [{"name": "a{b}"}]}), "tag without a value"),
        (serde_json::json!({"series": [{"name": "a", "colour": "mauve"}]}), "not a colour"),
        (serde_json::json!({"series": [{"name": "a", "style": "pie"}]}), "unknown variant `pie`"),
        (serde_json::json!({"serie": []}), "unknown field `serie`"),
    ] {
        let error = serde_json::from_value::<Settings>(json.clone()).expect_err("refused").to_string();
        assert!(error.contains(says), "{json}: {error}");
    }
    let written = serde_json::to_value(Settings::default()).expect("JSON");
    assert_eq!(serde_json::from_value::<Settings>(written).expect("read back"), Settings::default());
}
