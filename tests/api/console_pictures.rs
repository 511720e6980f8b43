//! Pictures that the console helps to make: graphs with a preview, and mosaics of tiles that are clicked. And the wall as a mosaic.

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    console::{choose, count, enter, press, submit, type_into},
    support::{TestApp, eventually, flat_picture},
};

async fn definition(app: &TestApp, name: &str) -> Value {
    app.admin("GET", &format!("/api/v1/streams/{name}"), "").await.json()["definition"].clone()
}

/// Opens the form of a new stream of this kind.
async fn begin(browser: &Browser, name: &str, kind: &str) {
    browser.click("#new-stream").await;
    type_into(browser, "dialog [name=name]", name).await;
    choose(browser, "dialog [name=kind]", kind).await;
}

/// The address of the shown preview, which changes with each picture; empty without one.
async fn preview(browser: &Browser) -> String {
    let script = "const i = document.querySelector('dialog .graph-preview'); return i?.naturalWidth ? i.src : ''";
    browser.run(script).await.as_str().unwrap_or_default().to_owned()
}

async fn another_preview(browser: &Browser, before: &str) -> String {
    eventually("there is another preview", async || {
        let now = preview(browser).await;
        !now.is_empty() && now != before
    })
    .await;
    preview(browser).await
}

#[tokio::test]
async fn a_graph_is_seen_while_its_form_is_filled_in() {
    let app = TestApp::spawn();
    let browser = Browser::start().await;
    enter(&browser, &app, "#/streams").await;
    begin(&browser, "kitchen", "graph").await;
    let first = another_preview(&browser, "").await;
    type_into(&browser, "dialog [name=title]", "Kitchen").await;
    another_preview(&browser, &first).await;
    press(&browser, "dialog [data-list=series] + div button").await;
    type_into(&browser, "dialog [name='series.0.name']", "temperature").await;
    choose(&browser, "dialog [name='series.0.style']", "area").await;
    press(&browser, "dialog details:has([name='left.unit']) > summary").await;
    choose(&browser, "dialog [name='left.scale']", "log").await;
    type_into(&browser, "dialog [name=height]", "7").await;
    browser.says("dialog figure .hint", "an even number from 36 to 2160, not 7").await;
    let before = preview(&browser).await;
    type_into(&browser, "dialog [name=height]", "360").await;
    another_preview(&browser, &before).await;
    eventually("the reason is gone", async || browser.text("dialog figure .hint").await.is_empty()).await;
    browser.keep_screenshot("graph-form").await;
    submit(&browser).await;
    let made = definition(&app, "kitchen").await;
    assert_eq!(
        (&made["title"], &made["left"]["scale"], &made["height"]),
        (&json!("Kitchen"), &json!("log"), &json!(360))
    );
    assert_eq!((&made["series"][0]["name"], &made["series"][0]["style"]), (&json!("temperature"), &json!("area")));

    // The snippets send numbers of this graph.
    press(&browser, ".stream[data-name=kitchen] button[aria-label^=Use]").await;
    browser.find("dialog .row[role=group] button").await;
    for program in ["curl", "Python", "Telegraf", "ESPHome", "Node-RED"] {
        let script = format!(
            "[...document.querySelectorAll('dialog [role=group] button')].find((b) => b.textContent === '{program}').click()"
        );
        browser.run(&script).await;
        let has = if program == "Telegraf" { "bucket = \"kitchen\"" } else { "/api/v1/streams/kitchen/points" };
        browser.says("dialog pre", has).await;
        browser.says("dialog pre", "TOKEN").await;
    }
    browser.close().await;
}

const TILES: &str = "return [...document.querySelectorAll('dialog .mosaic-tile')].map((tile) => tile.dataset.key)";

#[tokio::test]
async fn a_mosaic_is_made_of_clicked_tiles_in_their_order() {
    let app = TestApp::spawn();
    for (name, colour) in [("door", [200, 30, 30]), ("yard", [30, 30, 200]), ("hall", [30, 200, 30])] {
        app.put(&format!("/api/v1/streams/{name}/frame"), &flat_picture(320, 180, colour)).await;
    }
    let browser = Browser::start().await;
    enter(&browser, &app, "#/streams").await;
    begin(&browser, "wall", "mosaic").await;
    for name in ["yard", "hall", "door"] {
        browser.click(&format!("dialog .mosaic-choice [data-name={name}]")).await;
    }
    assert_eq!(browser.run(TILES).await, json!(["yard", "hall", "door"]));
    eventually("the tiles have pictures", async || count(&browser, "dialog .mosaic-tile img:not([hidden])").await == 3)
        .await;
    // The third one moves to the front, the second one is removed, and a pattern is typed.
    let to_the_front = "const handle = document.querySelector('dialog .mosaic-tile[data-key=door] .tile-handle'); handle.focus();
        for (let i = 0; i < 2; i++) handle.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft', bubbles: true }))";
    browser.run(to_the_front).await;
    assert_eq!(browser.run(TILES).await, json!(["door", "yard", "hall"]));
    browser.click("dialog .mosaic-choice [data-name=hall]").await;
    browser.find("#mosaic-add").await.send_keys("~^cams/\u{E007}").await.expect("types");
    assert_eq!(browser.run(TILES).await, json!(["door", "yard", "~^cams/"]));
    type_into(&browser, "dialog [name=layout]", "focus").await;
    browser.run("document.querySelector('dialog .mosaic-preview').scrollIntoView({ block: 'center' })").await;
    browser.keep_screenshot("mosaic-form").await;
    submit(&browser).await;
    let made = definition(&app, "wall").await;
    assert_eq!((&made["tiles"], &made["layout"]), (&json!(["door", "yard", "~^cams/"]), &json!("focus")));
    assert_eq!(made["labels"], true, "a box is checked by default if its field is true by default");
    // The form of a mosaic that exists has its tiles, and does not offer the mosaic itself.
    press(&browser, ".stream[data-name=wall] button[aria-label^=Edit]").await;
    browser.find("dialog .mosaic-choice [data-name=door][aria-pressed=true]").await;
    assert_eq!(browser.run(TILES).await, json!(["door", "yard", "~^cams/"]));
    assert_eq!(count(&browser, "dialog .mosaic-choice [data-name=wall]").await, 0);
    browser.assert_quiet("the form of a mosaic").await;
    browser.close().await;
}

#[tokio::test]
async fn an_administrator_shows_the_wall_on_one_screen() {
    let app = TestApp::spawn();
    for name in ["door", "yard"] {
        app.put(&format!("/api/v1/streams/{name}/frame"), &flat_picture(320, 180, [200, 30, 30])).await;
    }
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/viewer/", app.addr)).await.expect("loads");
    browser.find(".tile[data-key=door]").await;
    assert_eq!(browser.run("return document.getElementById('cast').hidden").await, true, "not for visitors");
    browser.click("#account").await;
    browser.sign_in("admin", app.password.as_deref().expect("made on the first start")).await;
    browser.click("#cast:not([hidden])").await;
    browser.says("dialog", "/stream/cast.mjpeg").await;
    let made = definition(&app, "cast").await;
    assert_eq!((&made["kind"], &made["tiles"]), (&json!("mosaic"), &json!(["door", "yard"])));
    browser.keep_screenshot("cast").await;
    press(&browser, "dialog .dialog-head button").await;
    // The same wall is found again, and the mosaic is no tile of it.
    browser.find(".tile[data-key=cast]").await;
    browser.click("#cast").await;
    browser.says("dialog", "/stream/cast.mjpeg").await;
    let streams = app.admin("GET", "/api/v1/streams", "").await.json()["streams"].clone();
    assert_eq!(streams.as_array().map(Vec::len), Some(3), "{streams}");
    browser.assert_quiet("the wall").await;
    browser.close().await;
}

/// A picture of the list is requested when it can be seen, again when the server has refused it, and again when there is a newer one
/// than the one that is on its way. An upload is otherwise requested once an hour only.
#[tokio::test]
async fn uploads_of_the_list_are_shown_also_after_a_hidden_page_a_refusal_and_a_newer_picture() {
    let app = TestApp::with("");
    let upload = async |width| app.put("/api/v1/streams/hall/frame", &flat_picture(width, 90, [120, 60, 20])).await;
    upload(320).await;
    let browser = Browser::start().await;
    enter(&browser, &app, "#/users").await;
    let shown = "return document.querySelector('.stream[data-name=hall] img')?.naturalWidth ?? 0";
    let shows =
        async |width: u32| eventually(&format!("{width} pixels"), async || browser.run(shown).await == width).await;
    let script = "window.asked = window.refused = 0;
        window.arrived = Promise.resolve();
        const { fetch } = window;
        window.fetch = async (...request) => {
            if (!request[0].includes('snapshot/hall.jpg')) return fetch(...request);
            window.asked += 1;
            if (window.refused-- > 0) return new Response('{}', { status: 503 });
            const response = await fetch(...request);
            await window.arrived;
            return response;
        };
        window.hide = (value) => {
            Object.defineProperty(document, 'hidden', { value, configurable: true });
            document.dispatchEvent(new Event('visibilitychange'));
        };
        hide(true);
        location.hash = '#/streams'";
    browser.run(script).await;
    browser.says(".stream[data-name=hall]", "320 × 90").await;
    browser.run("hide(false)").await;
    shows(320).await;
    // The answer has the second picture, and arrives when the page knows of the third one.
    browser.run("asked = 0; window.arrived = new Promise((done) => (window.arrive = done))").await;
    upload(240).await;
    eventually("it is requested", async || browser.run("return asked").await == 1).await;
    upload(200).await;
    browser.says(".stream[data-name=hall]", "200 × 90").await;
    browser.run("arrive()").await;
    shows(200).await;
    // The pause after a refusal, on a clock that is a hundred times as fast.
    let fast = "asked = 0; refused = 1;
        const [later, now] = [window.setTimeout, performance.now.bind(performance)];
        window.setTimeout = (call, pause) => later(call, pause / 100);
        performance.now = () => 100 * now()";
    browser.run(fast).await;
    upload(160).await;
    shows(160).await;
    assert_eq!(browser.run("return asked").await, 2);
    browser.close().await;
}
