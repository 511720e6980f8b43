//! The page of all parts, `/console/#/parts`, which is served from a checkout only: no part overflows or is inaccessible, in any language
//! and theme. Its photographs are for people.

use serde_json::json;

use crate::{
    accessibility::{axe, violations},
    browser::Browser,
    console::enter,
    support::{TestApp, skip},
};

/// Exports of console/parts.js that show nothing by themselves, or cover the page.
const UNSEEN: &[&str] = &["agoText", "loader", "poller", "refill", "keepFocus", "matches", "KEEP_OPEN", "formDialog"];

#[tokio::test]
async fn every_part_fits_and_is_accessible_in_each_language_and_theme() {
    let axe = axe().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/static");
    let app = TestApp::with(&format!("http: {{static_dir: '{folder}'}}"));
    // The rules of accessibility do not depend on the width.
    for (device, browser, axe) in
        [("desktop", Browser::start().await, axe.as_deref()), ("phone", Browser::phone().await, None)]
    {
        enter(&browser, &app, "#/parts").await;
        for language in ["en", "ja"] {
            browser.run(&format!("localStorage.setItem('language', '{language}')")).await;
            browser.client.refresh().await.expect("loads");
            // The last part: all others are there before it.
            browser.find(&format!("html[lang={language}] [data-part=tiles] .timeline")).await;
            for theme in ["light", "dark"] {
                browser.run(&format!("document.documentElement.dataset.theme = '{theme}'")).await;
                look(&browser, &format!("parts-{language}-{theme}-{device}"), axe).await;
            }
        }
        browser.close().await;
    }
}

async fn look(browser: &Browser, name: &str, axe: Option<&str>) {
    browser.keep_whole_page(name).await;
    let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.run(wide).await, 0, "{name} scrolls sideways");
    let wrong = "return [...document.querySelectorAll('.gallery-part')]
        .filter((part) => part.childElementCount < 2 || part.scrollWidth > part.clientWidth).map((part) => part.dataset.part)";
    assert_eq!(browser.run(wrong).await, json!([]), "{name}: parts without content, or that overflow");
    browser.assert_quiet(name).await;
    if let Some(axe) = axe {
        assert_eq!(violations(browser, axe).await, Vec::<String>::new(), "{name}");
        // axe tries styles of its own, of which the browser complains.
        browser.complaints().await;
    }
}

/// The page is a part of the checkout, not of the program.
#[tokio::test]
async fn the_program_itself_has_no_page_of_parts() {
    if std::env::var_os("TEST_PAGES").is_some() {
        return skip::skip("the pages are those of the checkout (TEST_PAGES)");
    }
    let app = TestApp::spawn();
    assert_eq!(app.get("/static/any/console/parts.js").await.status, 200);
    assert_eq!(app.get("/static/any/development/gallery.js").await.status, 404);
    let browser = Browser::start().await;
    enter(&browser, &app, "#/parts").await;
    browser.find(".section-overview h1").await;
    browser.close().await;
}

#[test]
fn the_page_of_parts_has_every_part_that_sections_share() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).expect("reads");
    let gallery = read("development/gallery.js");
    let exported = regex::Regex::new(r"(?m)^export (?:async )?(?:function|const) (\w+)").expect("one");
    let shared = read("console/parts.js");
    let missing: Vec<_> = exported
        .captures_iter(&shared)
        .map(|found| found[1].to_owned())
        .filter(|name| !UNSEEN.contains(&name.as_str()) && !gallery.contains(&format!("parts.{name}(")))
        .collect();
    assert_eq!(missing, Vec::<String>::new(), "not on the page of parts");
}
