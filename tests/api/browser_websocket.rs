//! static/players/websocket.js in Chromium.

use crate::{
    browser::Browser,
    support::{TestApp, close_to, eventually, flat_picture, middle_colour},
};

/// A folder with a page that has only the player, and with the player's file.
fn page(element: &str) -> tempfile::TempDir {
    let pages = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(pages.path().join("players")).expect("a folder");
    let player = concat!(env!("CARGO_MANIFEST_DIR"), "/static/players/websocket.js");
    std::fs::copy(player, pages.path().join("players/websocket.js")).expect("copies");
    let html = format!("<!doctype html><{element} id=view></{element}><script type=module src=page.js></script>");
    std::fs::write(pages.path().join("index.html"), html).expect("writes");
    let script = "
        import { WebSocketPlayer } from './players/websocket.js';
        window.events = [];
        const player = new WebSocketPlayer(document.getElementById('view'), 'Front/Flat', { query: { quality: 90 } });
        for (const type of ['state', 'picture', 'dropped', 'connected', 'disconnected'])
          player.addEventListener(type, ({ detail }) => window.events.push({ type, ...detail }));
        player.start();
        window.player = player;
    ";
    std::fs::write(pages.path().join("page.js"), script).expect("writes");
    pages
}

#[tokio::test]
async fn the_player_shows_each_picture_and_reconnects() {
    let browser = Browser::start().await;
    for element in ["canvas", "img"] {
        let pages = page(element);
        let app = TestApp::with(&format!("http: {{static_dir: '{}'}}", pages.path().display()));
        let colours = [[200, 20, 20], [20, 160, 20], [20, 20, 200]];
        app.put("/api/v1/streams/Front/Flat/frame", &flat_picture(1200, 800, colours[0])).await;
        browser.client.goto(&format!("http://{}/", app.addr)).await.expect("loads");
        let shows = async |colour: [u8; 3]| close_to(middle_colour(&browser.screenshot().await).await, colour);
        for colour in colours {
            app.put("/api/v1/streams/Front/Flat/frame", &flat_picture(1200, 800, colour)).await;
            eventually("the picture is shown", async || shows(colour).await).await;
        }
        let events = browser.client.execute("return window.events", vec![]).await.expect("runs").to_string();
        for word in ["\"connected\"", "\"state\"", "\"live\"", "\"picture\"", "\"width\":1200"] {
            assert!(events.contains(word), "{element}: {word} in {events}");
        }
        let stats = app.stats("Front/Flat").await;
        assert_eq!((&stats["watchers"], &stats["variants"][0]["query"]), (&1.into(), &"quality=90".into()), "{stats}");

        // The stream is removed and created again.
        app.admin("DELETE", "/api/v1/streams/Front/Flat", "").await;
        eventually("the player is disconnected", async || {
            let events = browser.client.execute("return window.events", vec![]).await.expect("runs").to_string();
            events.contains("\"disconnected\"") && events.contains("1001")
        })
        .await;
        app.put("/api/v1/streams/Front/Flat/frame", &flat_picture(1200, 800, [220, 200, 20])).await;
        eventually("the player is connected again", async || shows([220, 200, 20]).await).await;
        browser.client.execute("window.player.stop()", vec![]).await.expect("runs");
        eventually("the stream has no watcher", async || app.stats("Front/Flat").await["watchers"] == 0).await;
    }
    browser.close().await;
}
