use std::time::{Duration, SystemTime};

use super::*;
use crate::picture::text::Face;

const GROUND: [u8; 3] = [100, 110, 140];

fn moment(seconds: u64) -> Moment<'static> {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
    Moment {
        name: "front/door",
        now: at,
        captured_at: at,
        has_own_time: true,
        seq: seconds,
        size: (320, 180),
        fps: 1.0,
        value: &|_| None,
    }
}

fn overlay(json: serde_json::Value) -> crate::error::Result<Overlay> {
    let layers: Vec<Layer> = serde_json::from_value(json).expect("layers");
    Overlay::new(&layers)
}

fn composer(json: serde_json::Value) -> Composer {
    Composer::new(Arc::new(overlay(json).expect("valid")), Fonts::bundled(), |_| None)
}

fn drawn(json: serde_json::Value) -> Raster {
    let mut on = Raster::filled(320, 180, GROUND);
    composer(json).draw(&mut on, &moment(0));
    on
}

/// Columns and rows of the smallest rectangle around the pixels that are not the ground's.
fn changed(on: &Raster) -> Option<[u32; 4]> {
    let pixels = (0..on.height()).flat_map(|y| (0..on.width()).map(move |x| (x, y)));
    let mut found: Option<[u32; 4]> = None;
    for (x, y) in pixels.filter(|(x, y)| on.at(*x, *y)[0] != GROUND[0]) {
        let [x0, y0, x1, y1] = found.unwrap_or([x, y, x, y]);
        found = Some([x0.min(x), y0.min(y), x1.max(x), y1.max(y)]);
    }
    found
}

#[test]
fn a_text_is_where_its_place_says_in_its_colours() {
    for (at, left, top) in [
        ("top-left", true, true),
        ("top-right", false, true),
        ("bottom-left", true, false),
        ("bottom-right", false, false),
    ] {
        let on = drawn(serde_json::json!([{"text": "Hi", "at": at, "size": 10, "colour": "white", "outline": "none"}]));
        let [x0, y0, x1, y1] = changed(&on).expect("text");
        assert!((x1 < 60) == left && (x0 > 260) != left, "{at}: {x0} to {x1}");
        assert!((y1 < 30) == top && (y0 > 150) != top, "{at}: {y0} to {y1}");
    }
    // The glyph mask is found where the text begins.
    let on = drawn(serde_json::json!([{"text": "H", "at": [25, 50], "size": 20, "outline": "none"}]));
    let line = Fonts::bundled().line(Face::Sans, 36.0, "H");
    let (mask, baseline) = (line.mask(), 90 + line.ascent.round() as i32);
    for row in 0..mask.height {
        for column in 0..mask.width {
            let (x, y) = (80 + mask.left + column as i32, baseline + mask.top + row as i32);
            let expected = f64::from(mask.alpha[row * mask.width + column]) / 255.0 * 155.0 + 100.0;
            let found = f64::from(on.at(x as u32, y as u32)[0]);
            assert!((found - expected).abs() <= 1.0, "{x},{y}: {found} instead of {expected}");
        }
    }
    let outlined = drawn(serde_json::json!([{"text": "Hi", "size": 20}]));
    let has = |on: &Raster, range: std::ops::RangeInclusive<u8>| {
        (0..180).any(|y| (0..320).any(|x| range.contains(&on.at(x, y)[0])))
    };
    assert!(has(&outlined, 0..=45) && has(&outlined, 250..=255), "dark around light letters");
    let boxed = drawn(serde_json::json!([{"text": "Hi", "size": 20, "background": "#f00", "at": [0, 0]}]));
    assert_eq!(boxed.at(1, 1), [76, 85, 255]);
}

#[test]
fn a_long_text_is_made_smaller_and_several_lines_stand_below_each_other() {
    let long = "a long text ".repeat(10);
    let [x0, _, x1, _] =
        changed(&drawn(serde_json::json!([{"text": long, "size": 30, "at": "center"}]))).expect("text");
    assert!(x1 - x0 > 200 && x1 < 319, "{x0} to {x1}");
    let height = |text: &str| {
        let [_, y0, _, y1] = changed(&drawn(serde_json::json!([{"text": text, "size": 10}]))).expect("text");
        y1 - y0
    };
    assert!(height("H\nH\nH") > height("H") + 30);
    for empty in ["", " ", "\n"] {
        assert_eq!(changed(&drawn(serde_json::json!([{"text": empty, "background": "red"}]))), None);
    }
}

#[test]
fn a_text_is_drawn_anew_when_it_changes_and_not_before() {
    let mut clock = composer(serde_json::json!([{"text": "{time:%T} {name}", "size": 20}]));
    let mut drawn_at = |seconds: u64| {
        let mut on = Raster::filled(320, 180, GROUND);
        clock.draw(&mut on, &moment(seconds));
        (on, clock.texts(&moment(seconds)))
    };
    let [first, same, later] = [0, 0, 1].map(&mut drawn_at);
    assert!(first == same && first.0 != later.0 && first.1 != later.1);
    let (mut small, mut large) = (Raster::filled(32, 18, GROUND), Raster::filled(320, 180, GROUND));
    clock.draw(&mut small, &moment(0));
    clock.draw(&mut large, &moment(0));
    assert!(large == first.0, "another size in between changes nothing");
}

#[test]
fn a_mask_is_below_the_other_layers_and_a_box_has_its_line() {
    let on = drawn(serde_json::json!([
        {"box": [10, 10, 50, 50], "colour": "white"},
        {"mask": [0, 0, 100, 100]},
        {"box": [70, 70, 20, 20], "colour": "#f00", "line": 2},
    ]));
    assert_eq!(on.at(2, 2), [0, 128, 128]);
    assert_eq!(on.at(32, 18)[0], 255, "drawn behind the mask, whatever their order");
    assert_eq!((on.at(224, 126), on.at(226, 140), on.at(256, 144)), ([76, 85, 255], [76, 85, 255], [0, 128, 128]));
}

#[test]
fn an_image_is_scaled_and_its_transparent_pixels_stay_transparent() {
    let mut pixels = ::image::RgbaImage::from_pixel(40, 20, ::image::Rgba([255, 0, 0, 255]));
    (0..20).for_each(|y| (20..40).for_each(|x| pixels.put_pixel(x, y, ::image::Rgba([0, 255, 0, 0]))));
    let mut png = std::io::Cursor::new(vec![]);
    pixels.write_to(&mut png, ::image::ImageFormat::Png).expect("writes");
    let png = Bytes::from(png.into_inner());
    let layers = serde_json::json!([{"image": "logo.png", "at": [50, 50], "width": 25}]);
    let overlay = Arc::new(overlay(layers).expect("valid"));
    let mut asked = vec![];
    let mut composer = Composer::new(overlay.clone(), Fonts::bundled(), |path| {
        asked.push(path.to_owned());
        Some(png.clone())
    });
    let mut on = Raster::filled(320, 180, GROUND);
    composer.draw(&mut on, &moment(0));
    assert_eq!(asked, ["logo.png"]);
    assert_eq!((on.at(170, 100), on.at(230, 100), on.at(158, 100)), ([76, 85, 255], GROUND, GROUND));
    assert_eq!((on.at(170, 128)[0], on.at(170, 131)[0]), (76, 100), "80 × 40 pixels");
    let mut broken = Composer::new(overlay, Fonts::bundled(), |_| Some(Bytes::from_static(b"no picture")));
    let mut on = Raster::filled(320, 180, GROUND);
    broken.draw(&mut on, &moment(0));
    assert_eq!(changed(&on), None);
}

#[test]
fn an_invalid_layer_is_named_with_its_member_and_rule() {
    for (layer, says) in [
        (serde_json::json!({}), "layer 2: text: a layer needs exactly one of text, image, box and mask"),
        (serde_json::json!({"text": "x", "mask": [0, 0, 1, 1]}), "exactly one of"),
        (serde_json::json!({"text": "{nme}"}), "layer 2: text: {nme} is none of"),
        (serde_json::json!({"text": "x", "size": 0}), "size: must be from 0.5 to 50"),
        (serde_json::json!({"text": "x", "colour": "mauve"}), "colour: must be #RGB"),
        (serde_json::json!({"text": "x", "zone": "Mars/Base"}), "zone: \"Mars/Base\" is no time zone"),
        (serde_json::json!({"text": "x", "as": "blur"}), "as: is for a mask only"),
        (serde_json::json!({"mask": [0, 0, 1, 1], "size": 3}), "size: is for a text only"),
        (serde_json::json!({"mask": [0, 0, 0, 1]}), "mask: must be from 0.01"),
        (serde_json::json!({"mask": [[0, 0], [1, 1]]}), "a polygon has 3 to 100 points"),
        (serde_json::json!({"image": ""}), "image: must be the path"),
        (serde_json::json!({"box": [0, 0, 1e9, 1]}), "box: must be from"),
    ] {
        let error = overlay(serde_json::json!([{"text": "fine"}, layer.clone()])).expect_err(&layer.to_string());
        assert!(error.to_string().contains(says), "{layer}: {error}");
    }
    assert!(serde_json::from_value::<Layer>(serde_json::json!({"txt": "x"})).is_err());
    let many = vec![serde_json::json!({"text": "x"}); 33];
    assert!(overlay(many.into()).expect_err("too many").to_string().contains("at most 32 layers"));
    assert!(overlay(serde_json::json!([{"text": "{time}"}])).expect("valid").moves());
    assert!(!overlay(serde_json::json!([{"text": "{name}"}, {"mask": [0, 0, 1, 1]}])).expect("valid").moves());
}
