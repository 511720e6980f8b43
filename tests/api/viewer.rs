//! The viewer in a browser, without MediaMTX: the wall, one stream, links, the layout on a phone.

use serde_json::json;

use crate::{
    browser::Browser,
    support::{FAR, TestApp, eventually, flat_picture},
};

/// Most bytes that the wall loads before its thumbnails, compressed.
const BUDGET_BYTES: u64 = 100_000;

const STREAMS: &str = "streams: {Yard/Card: {kind: test-card, width: 320, height: 180}}";

async fn open(browser: &Browser, app: &TestApp, at: &str) {
    browser.client.goto(&format!("http://{}/viewer/{at}", app.addr)).await.expect("loads");
}

#[tokio::test]
async fn the_wall_shows_all_streams_and_remembers_their_order_and_layout() {
    let app = TestApp::with(STREAMS);
    for name in ["door", "hall", "shop"] {
        app.put(&format!("/api/v1/streams/{name}/frame"), &flat_picture(640, 360, [20, 90, 160])).await;
    }
    let browser = Browser::start().await;
    open(&browser, &app, "").await;
    for name in ["Yard/Card", "door", "hall", "shop"] {
        browser.find(&format!(".tile.has-picture[data-key='{name}']")).await;
    }
    browser.says(".wall-bar", "4 streams").await;
    browser.keep_screenshot("wall-desktop").await;
    let names = "return [...document.querySelectorAll('.tile')].map((tile) => tile.dataset.key)";
    assert_eq!(browser.run(names).await, json!(["Yard/Card", "door", "hall", "shop"]));
    // With the keyboard: the first tile moves to the right.
    browser.click(".wall-bar button[aria-pressed=false].icon-button").await;
    let right = "const handle = document.querySelector('.tile-handle'); handle.focus();
        handle.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }))";
    browser.run(right).await;
    assert_eq!(browser.run(names).await, json!(["door", "Yard/Card", "hall", "shop"]));
    assert_eq!(
        browser.run("return document.activeElement.closest('.tile').dataset.key").await,
        "Yard/Card",
        "the tile keeps the focus"
    );
    // With the pointer: the last tile moves to the front.
    let drag = "const tiles = [...document.querySelectorAll('.tile')]; const handle = tiles[3].querySelector('.tile-handle');
        const middle = (e) => { const r = e.getBoundingClientRect(); return { clientX: r.x + r.width / 2, clientY: r.y + r.height / 2 }; };
        handle.setPointerCapture = () => {};
        const send = (type, at) => handle.dispatchEvent(new PointerEvent(type, { bubbles: true, button: 0, pointerId: 1, ...at }));
        const to = middle(tiles[0]); send('pointerdown', middle(tiles[3])); send('pointermove', to); send('pointerup', to)";
    browser.run(drag).await;
    assert_eq!(browser.run(names).await, json!(["shop", "door", "Yard/Card", "hall"]));
    browser.click("[data-layout='4']").await;
    browser.client.refresh().await.expect("loads");
    browser.find(".wall[data-layout='4'] .tile.has-picture[data-key=shop]").await;
    assert_eq!(browser.run(names).await, json!(["shop", "door", "Yard/Card", "hall"]));
    browser.click("button[data-layout='1']").await;
    browser.says(".pager", "Page 1 of 4").await;
    browser.click(".pager button:last-child").await;
    eventually("the next page is shown", async || browser.run(names).await == json!(["door"])).await;
    browser.assert_quiet("the wall").await;
    browser.close().await;
}

#[tokio::test]
async fn without_mediamtx_a_stream_is_watched_by_mse_or_by_mjpeg() {
    let app = TestApp::with(STREAMS);
    let browser = Browser::start().await;
    open(&browser, &app, "").await;
    browser.click(".tile[data-key='Yard/Card'] .tile-open").await;
    browser.says(".stage-how", "Playing over MSE.").await;
    let choose = "const ways = document.querySelector('.stage-foot select'); ways.value = 'mjpeg';
        ways.dispatchEvent(new Event('change', { bubbles: true }))";
    browser.run(choose).await;
    browser.says(".stage-how", "Playing over MJPEG.").await;
    assert_eq!(browser.run("return location.hash").await, "#/watch/Yard/Card");
    browser.click(".do-stats").await;
    browser.says(".stage-stats", "320 × 180").await;
    browser.says(".stage-stats", "kbit/s").await;
    browser.keep_screenshot("stream-desktop").await;
    assert_eq!(browser.run("return document.querySelector('.stage-sound').hidden").await, true, "there is no sound");
    let note = "window.saved = []; HTMLAnchorElement.prototype.click = function () { saved.push(this.download) }";
    browser.run(note).await;
    browser.click(".do-snapshot").await;
    eventually("the picture is saved", async || {
        browser.run("return saved[0] ?? ''").await.as_str().is_some_and(|name| name.starts_with("Yard-Card-20"))
    })
    .await;
    browser.client.back().await.expect("goes back");
    browser.find(".wall-page:not([hidden])").await;
    browser.assert_quiet("MJPEG").await;
    open(&browser, &app, "#/recordings").await;
    browser.client.refresh().await.expect("loads");
    browser.says("main", "MediaMTX does not answer").await;
    browser.client.goto("about:blank").await.expect("loads");
    eventually("the stream has no watcher", async || app.stats("Yard/Card").await["watchers"] == 0).await;
    browser.close().await;
}

#[tokio::test]
async fn links_contain_a_token_of_their_own_and_never_the_password() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [20, 90, 160])).await;
    app.put("/api/v1/streams/secret/frame", &flat_picture(320, 180, [160, 9, 20])).await;
    let browser = Browser::start().await;
    open(&browser, &app, "").await;
    browser.click("#account").await;
    let password = app.password.clone().expect("made on the first start");
    browser.sign_in("admin", &password).await;
    browser.find("header a[href*=console]").await;
    open(&browser, &app, "#/watch/door").await;
    for (kind, path) in [("mjpeg", "/stream/"), ("snapshot", "/snapshot/"), ("page", "/viewer/#share=")] {
        browser.client.refresh().await.expect("loads");
        browser.click(".stage-head button").await;
        let choose = format!("document.querySelector('dialog select[name=kind]').value = '{kind}'");
        browser.find("dialog select[name=kind]").await;
        browser.run(&choose).await;
        browser.click("dialog button.primary").await;
        let link = browser.text("dialog .snippet code").await;
        let own = browser.run("return performance.getEntriesByType('resource').length").await;
        assert!(own.as_u64().is_some() && link.contains(path) && !link.contains(&password), "{link}");
        if kind == "snapshot" {
            browser.keep_screenshot("link-desktop").await;
            let target = link.split_once(&app.addr.to_string()).expect("ours").1;
            assert_eq!(
                app.request("GET", target, &[FAR], b"").await.status,
                200,
                "the link is valid on another machine"
            );
            let other = target.replace("/door.jpg", "/secret.jpg");
            assert_eq!(
                app.request("GET", &other, &[FAR], b"").await.status,
                403,
                "the link is not valid for another stream"
            );
        }
    }
    browser.close().await;
}

#[tokio::test]
async fn a_user_sees_no_console_and_a_phone_needs_no_horizontal_scrolling() {
    let app = TestApp::with(STREAMS);
    app.user("alice", json!({"password": "correct horse", "role": "user"})).await;
    let browser = Browser::phone().await;
    let pages = [("", "first-page"), ("viewer/", "wall"), ("viewer/#/watch/Yard/Card", "stream")];
    for (page, name) in pages {
        browser.client.goto("about:blank").await.expect("loads");
        browser.client.goto(&format!("http://{}/{page}", app.addr)).await.expect("loads");
        browser.says("header", "Viewer").await;
        if name == "wall" {
            browser.find(".tile.has-picture").await;
        } else if name == "stream" {
            browser.says(".stage-how", "Playing").await;
        }
        let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.run(wide).await, 0, "{name} scrolls sideways");
        browser.keep_screenshot(&format!("{name}-phone")).await;
    }
    browser.click("#account").await;
    browser.sign_in("alice", "correct horse").await;
    eventually("alice has signed in", async || {
        browser
            .run("return document.querySelector('#account').title")
            .await
            .as_str()
            .is_some_and(|t| t.contains("alice"))
    })
    .await;
    assert_eq!(browser.run("return document.querySelector('header a[href*=console]')").await, json!(null));
    browser.assert_quiet("a phone").await;
    browser.close().await;
}

#[tokio::test]
async fn a_wall_of_a_hundred_streams_loads_only_visible_thumbnails() {
    let app = TestApp::spawn();
    let picture = flat_picture(320, 180, [20, 90, 160]);
    for n in 0..100 {
        app.put(&format!("/api/v1/streams/camera{n:03}/frame"), &picture).await;
    }
    let browser = Browser::start().await;
    open(&browser, &app, "").await;
    browser.find(".tile.has-picture[data-key=camera000]").await;
    assert_eq!(browser.run("return document.querySelectorAll('.tile').length").await, 100);
    // What begins after the first picture (the last day of each stream) is not a part of the first paint.
    let bytes = "const all = performance.getEntries();
        const first = Math.min(...all.filter((e) => e.name.includes('/snapshot/')).map((e) => e.responseEnd).filter(Boolean));
        return all.filter((e) => e.transferSize && e.startTime < first && !e.name.includes('/snapshot/'))
            .reduce((sum, e) => sum + e.transferSize, 0)";
    let bytes = browser.run(bytes).await.as_u64().expect("a sum");
    assert!(bytes > 10_000 && bytes < BUDGET_BYTES, "{bytes} bytes for the wall");
    let asked = "return new Set(performance.getEntriesByType('resource').map((e) => e.name).filter((n) => n.includes('/snapshot/'))).size";
    let asked = browser.run(asked).await.as_u64().expect("a number");
    assert!(asked < 50, "{asked} pictures were asked for, and the window shows 16");
    browser.run("scrollTo(0, document.body.scrollHeight)").await;
    browser.find(".tile.has-picture[data-key=camera099]").await;
    browser.find(".search").await.send_keys("camera07").await.expect("types");
    eventually("the other tiles are hidden", async || {
        browser.run("return document.querySelectorAll('.tile').length").await == 10
    })
    .await;
    browser.assert_quiet("a hundred").await;
    browser.close().await;
}

#[tokio::test]
async fn a_tile_has_the_last_day_of_its_stream() {
    let app = TestApp::with(STREAMS);
    eventually("the stream was seen", async || {
        assert_eq!(app.get("/snapshot/Yard/Card.jpg").await.status, 200);
        app.get("/api/v1/uptime").await.json()["streams"]["Yard/Card"][0]["live"].as_u64() > Some(0)
    })
    .await;
    let browser = Browser::start().await;
    open(&browser, &app, "").await;
    let bar = browser.find(".tile[data-key='Yard/Card'] .beats-bars").await;
    let label = bar.attr("aria-label").await.expect("asks").expect("a label");
    assert!(label.contains("Last 24 hours"), "{label}");
    // A tile that comes back has it, too.
    app.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [20, 90, 160])).await;
    browser.find(".tile[data-key=door]").await;
    browser.click("button[data-layout='1']").await;
    browser.find(".tile[data-key='Yard/Card'] .beats-bars").await;
    browser.keep_screenshot("wall-uptime-desktop").await;
    browser.assert_quiet("the last day").await;
    browser.close().await;
}

/// Browsers have six connections to a server by HTTP/1.1, for all tabs together.
#[tokio::test]
async fn any_number_of_tabs_can_be_open_and_each_shows_changes() {
    let app = TestApp::with(STREAMS);
    let browser = Browser::start().await;
    let mut tabs = vec![];
    for _ in 0..8 {
        let tab = browser.client.new_window(true).await.expect("opens").handle;
        browser.client.switch_to_window(tab.clone()).await.expect("is there");
        open(&browser, &app, "").await;
        browser.find(".tile.has-picture[data-key='Yard/Card']").await;
        tabs.push(tab);
    }
    app.put("/api/v1/streams/door/frame", &flat_picture(640, 360, [20, 90, 160])).await;
    for tab in [tabs.pop(), tabs.into_iter().next()].into_iter().flatten() {
        browser.client.switch_to_window(tab).await.expect("is there");
        browser.find(".tile[data-key=door]").await;
    }
}
