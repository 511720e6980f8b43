//! Finding one's way on the wall and the stage: keys, focus, search, addresses, wall displays.

use serde_json::json;

use crate::{
    browser::Browser,
    support::{TestApp, eventually, flat_picture},
};

async fn open(browser: &Browser, app: &TestApp, at: &str) {
    browser.client.goto("about:blank").await.expect("loads");
    browser.client.goto(&format!("http://{}/viewer/{at}", app.addr)).await.expect("loads");
}

async fn app_with(count: u32) -> TestApp {
    let app = TestApp::spawn();
    for n in 0..count {
        let picture = flat_picture(320, 180, [20, 90, 160]);
        app.put(&format!("/api/v1/streams/cam{n:02}/frame"), &picture).await;
    }
    app
}

async fn press(browser: &Browser, key: &str) {
    let press = format!(
        "(document.activeElement ?? document.body).dispatchEvent(new KeyboardEvent('keydown', {{ key: {key:?}, bubbles: true, cancelable: true }}))"
    );
    browser.run(&press).await;
}

/// The key of the tile that has the focus.
async fn focused(browser: &Browser) -> serde_json::Value {
    browser.run("return document.activeElement?.closest('.tile')?.dataset.key ?? null").await
}

#[tokio::test]
async fn keys_lead_from_tile_to_tile_and_stream_to_stream_and_the_focus_comes_back() {
    let app = app_with(4).await;
    let browser = Browser::start().await;
    open(&browser, &app, "").await;
    browser.find(".tile.has-picture[data-key=cam03]").await;
    for expected in ["cam00", "cam01"] {
        press(&browser, "ArrowRight").await;
        assert_eq!(focused(&browser).await, expected);
    }
    browser.run("document.activeElement.click()").await;
    browser.says(".stage-head h1", "cam01").await;
    press(&browser, "ArrowRight").await;
    browser.says(".stage-head h1", "cam02").await;
    press(&browser, "ArrowLeft").await;
    browser.says(".stage-head h1", "cam01").await;
    press(&browser, "ArrowLeft").await;
    browser.says(".stage-head h1", "cam00").await;
    // There is nothing before the first.
    press(&browser, "ArrowLeft").await;
    assert_eq!(browser.run("return location.hash").await, "#/watch/cam00");
    press(&browser, "+").await;
    browser.find(".screen.is-zoomed").await;
    browser.says(".do-zoom", "1.3×").await;
    press(&browser, "0").await;
    browser.find(".screen:not(.is-zoomed)").await;
    press(&browser, "Escape").await;
    browser.find(".wall-page:not([hidden])").await;
    eventually("the tile has the focus", async || focused(&browser).await == "cam00").await;
    press(&browser, "?").await;
    browser.says("dialog[open]", "Previous and next stream").await;
    browser.keep_screenshot("keys-desktop").await;
    browser.assert_quiet("keys").await;
    browser.close().await;
}

#[tokio::test]
async fn addresses_that_lead_nowhere_and_searches_that_find_nothing_say_so() {
    let app = app_with(10).await;
    let browser = Browser::start().await;
    for (at, says) in [
        ("#/watch/no/such", "There is no stream no/such"),
        ("#/watch/%E0%A4%A", "This address leads to no page"),
        ("#/elsewhere", "This address leads to no page"),
    ] {
        open(&browser, &app, at).await;
        browser.says("main > .notice", says).await;
        browser.find(".tile[data-key=cam00]").await;
    }
    browser.find(".search").await.send_keys("yard").await.expect("types");
    browser.says(".empty", "No name contains “yard”").await;
    browser.keep_screenshot("search-none-desktop").await;
    browser.click(".empty button").await;
    browser.find(".tile[data-key=cam09]").await;
    // A favourite comes first.
    browser.run("document.querySelector('.tile[data-key=cam07] .tile-star').click()").await;
    let first = "return document.querySelector('.tile').dataset.key";
    eventually("it comes first", async || browser.run(first).await == "cam07").await;
    browser.client.refresh().await.expect("loads");
    browser.find(".tile[data-key=cam09]").await;
    assert_eq!(browser.run(first).await, "cam07");
    let by_name = "const sort = document.querySelector('select.sort'); sort.value = 'name';
        sort.dispatchEvent(new Event('change'))";
    browser.run(by_name).await;
    assert_eq!(browser.run(first).await, "cam00");
    browser.assert_quiet("addresses").await;
    browser.close().await;
}

#[tokio::test]
async fn a_fixed_layout_fits_the_window_and_names_its_tiles() {
    let app = app_with(10).await;
    let browser = Browser::start().await;
    open(&browser, &app, "").await;
    for (layout, pages) in
        [("16", None), ("9", Some("Page 1 of 2")), ("4", Some("Page 1 of 3")), ("1", Some("Page 1 of 10"))]
    {
        browser.click(&format!("button[data-layout='{layout}']")).await;
        browser.find(&format!(".wall[data-layout='{layout}'] .tile")).await;
        if let Some(pages) = pages {
            browser.says(".pager", pages).await;
        }
        let beyond = "const { bottom } = (document.querySelector('.pager:not([hidden])') ?? document.querySelector('.wall')).getBoundingClientRect();
            return { beyond: document.documentElement.scrollHeight > innerHeight, bottom: bottom <= innerHeight }";
        assert_eq!(browser.run(beyond).await, json!({"beyond": false, "bottom": true}), "{layout}");
        let named = "return [...document.querySelectorAll('.tile-line')].every((line) => line.checkVisibility({ opacityProperty: true }))";
        assert_eq!(browser.run(named).await, true, "{layout}: names are visible");
        browser.keep_screenshot(&format!("layout-{layout}-desktop")).await;
    }
    browser.assert_quiet("layouts").await;
    browser.close().await;
}

#[tokio::test]
async fn a_wall_display_has_an_address_of_its_own_and_turns_its_pages() {
    let app = app_with(5).await;
    let browser = Browser::start().await;
    open(&browser, &app, "").await;
    browser.click("#account").await;
    browser.sign_in("admin", app.password.as_deref().expect("made on the first start")).await;
    browser.find("header a[href*=console]").await;
    browser.click(".do-kiosk").await;
    browser.find("dialog select[name=layout]").await;
    browser.run("document.querySelector('dialog select[name=layout]').value = '4'").await;
    browser.click("dialog button.primary").await;
    let link = browser.text("dialog .snippet code").await;
    assert!(link.contains("/viewer/?layout=4&cycle=20s#share="), "{link}");
    browser.find("dialog img.qr").await;
    browser.keep_screenshot("kiosk-link-desktop").await;

    let display = Browser::start().await;
    display.client.goto(&link.replace("cycle=20s", "cycle=3s")).await.expect("loads");
    display.find("body.is-kiosk .wall[data-layout='4'] .tile[data-key=cam00]").await;
    assert_eq!(display.run("return document.querySelector('body > header').checkVisibility()").await, false);
    assert_eq!(display.run("return location.hash + location.search").await, "?layout=4&cycle=3s");
    display.keep_screenshot("kiosk-desktop").await;
    display.find(".tile[data-key=cam04]").await;
    display.find(".tile[data-key=cam00]").await;
    display.close().await;
    browser.close().await;
}

/// A share shows its label, what it opens, and nothing that does not work.
#[tokio::test]
async fn a_visitor_sees_what_the_link_is_called_and_only_what_works() {
    let app = app_with(2).await;
    let body = json!({"path": "~^cam0[01]$", "expires": "1h", "label": "for the neighbours"}).to_string();
    let made = app.admin("POST", "/api/v1/shares", &body).await.json();
    let browser = Browser::start().await;
    browser.client.goto(made["url"].as_str().expect("a link")).await.expect("loads");
    browser.says("main h1.guest-label", "for the neighbours").await;
    browser.click(".tile[data-key=cam01] .tile-open").await;
    browser.says(".stage-how", "Playing").await;
    for css in [".stage-head a[href*=recordings]", ".stage-head button", "nav.tabs"] {
        let shown = format!("return document.querySelector({css:?})?.checkVisibility() ?? false");
        assert_eq!(browser.run(&shown).await, false, "{css}");
    }
    assert_eq!(browser.text(".stage > p.dim").await, "", "how the stream is made is not for visitors");
    browser.keep_screenshot("visitor-desktop").await;
    browser.assert_quiet("a visitor").await;
    browser.close().await;
}
