//! The audit on the disk: who deleted that, and who tried to get in.

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    console::{choose, enter},
    support::{FAR, TestApp, basic, eventually, picture},
};

async fn audit(app: &TestApp, query: &str) -> Value {
    app.admin("GET", &format!("/api/v1/audit?{query}"), "").await.json()
}

/// What the entries say, newest first.
fn said(found: &Value) -> Vec<String> {
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let entries = found["entries"].as_array().expect("entries");
    entries.iter().map(|entry| format!("{} {}", text(entry, "who"), text(entry, "request"))).collect()
}

#[tokio::test]
async fn changes_and_refusals_survive_a_restart_and_are_found_by_name_action_stream_and_time() {
    let app = TestApp::spawn();
    for name in ["house/rtsp", "gate"] {
        app.admin("PUT", &format!("/api/v1/streams/{name}"), r#"{"kind": "test-card"}"#).await;
    }
    app.admin("DELETE", "/api/v1/streams/house/rtsp", "").await;
    // What did not succeed is no deletion.
    assert_eq!(app.admin("DELETE", "/api/v1/streams/nothing", "").await.status, 404);
    app.far("GET", "/snapshot/gate.jpg", &basic("mallory", "guess"), "").await;
    eventually("all are on the disk", async || audit(&app, "").await["entries"].as_array().map(Vec::len) == Some(5))
        .await;
    let refused = audit(&app, "path=nothing").await;
    assert_eq!(refused["entries"][0]["reason"], "the request was refused", "{refused}");
    let password = app.password.clone().expect("made");
    let mut app = TestApp::in_folder(app.stop(), "");
    app.password = Some(password);
    let found = audit(&app, "path=house/rtsp").await;
    assert_eq!(said(&found), ["user admin DELETE streams/house/rtsp", "user admin PUT streams/house/rtsp"], "{found}");
    assert_eq!(said(&audit(&app, "action=DELETE&path=house/rtsp").await).len(), 1);
    assert_eq!(said(&audit(&app, "action=PUT&path=gate").await), ["user admin PUT streams/gate"]);
    let denied = audit(&app, "decision=denied&who=mallory").await;
    let entry = &denied["entries"][0];
    assert_eq!((&entry["decision"], &entry["user"]), (&json!("wrong_credentials"), &json!("mallory")), "{denied}");
    assert!(!denied.to_string().contains("guess"));

    // By time, and page by page.
    let at = found["entries"][0]["at"].as_str().expect("a time").to_owned();
    assert!(said(&audit(&app, &format!("until={at}&path=house/rtsp")).await).len() <= 1);
    assert_eq!(said(&audit(&app, "until=2020-01-01T00:00:00Z").await).len(), 0);
    assert_eq!(said(&audit(&app, "since=2020-01-01T00:00:00Z&path=gate&action=PUT").await).len(), 1);
    let first = audit(&app, "limit=3").await;
    let rest = audit(&app, &format!("limit=3&before={}", first["next"])).await;
    let seqs = |page: &Value| -> Vec<u64> {
        page["entries"].as_array().expect("entries").iter().filter_map(|entry| entry["seq"].as_u64()).collect()
    };
    assert!(seqs(&first).last() > seqs(&rest).first() && rest["next"].is_null(), "{first} {rest}");
    for (query, field) in
        [("since=yesterday", "since"), ("before=x", "before"), ("format=pdf", "format"), ("limit=99999", "limit")]
    {
        let refused = app.admin("GET", &format!("/api/v1/audit?{query}"), "").await;
        assert_eq!((refused.status, refused.json()["field"].as_str()), (400, Some(field)), "{query}");
    }
    let table = app.admin("GET", "/api/v1/audit?format=csv&path=house/rtsp", "").await;
    assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(table.header("content-disposition").is_some_and(|name| name.contains("audit.csv")), "{table:?}");
    let text = String::from_utf8_lossy(&table.body).into_owned();
    assert!(text.lines().count() == 3 && text.contains("\"DELETE streams/house/rtsp\""), "{text}");
}

#[tokio::test]
async fn what_is_read_is_counted_and_not_listed_and_a_stranger_does_not_fill_the_list() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    for _ in 0..20 {
        assert_eq!(app.get("/snapshot/door.jpg").await.status, 200);
    }
    for n in 0..80 {
        app.request("GET", "/snapshot/door.jpg", &[FAR, &basic(&format!("=guess{n}"), "x")], b"").await;
    }
    for _ in 0..40 {
        app.request("GET", "/snapshot/door.jpg", &[FAR], b"").await;
    }
    app.admin("DELETE", "/api/v1/streams/door", "").await;
    let mut found = Value::Null;
    eventually("the deletion is found", async || {
        found = audit(&app, "limit=1000").await;
        said(&found).contains(&"user admin DELETE streams/door".to_owned())
    })
    .await;
    let entries = found["entries"].as_array().expect("entries");
    let refused = entries.iter().filter(|entry| entry["decision"] != "allowed").count();
    // Ten causes of one address, five rows of each; others are counted.
    assert!((10..=50).contains(&refused), "{refused} of 120");
    assert!(!entries.iter().any(|entry| entry["decision"] == "allowed" && entry["action"] == "read"), "{found}");
    assert!(found["counted"]["read"].as_u64() >= Some(20), "{}", found["counted"]);
    let recent = audit(&app, "recent=1&decision=allowed&path=door&limit=100").await;
    assert!(recent["entries"].as_array().is_some_and(|entries| entries.len() >= 20), "one by one, in memory");
}

#[tokio::test]
async fn the_console_answers_who_deleted_that_and_who_tried_to_get_in() {
    let app = TestApp::spawn();
    app.admin("PUT", "/api/v1/streams/house/rtsp", r#"{"kind": "test-card"}"#).await;
    app.admin("DELETE", "/api/v1/streams/house/rtsp", "").await;
    app.far("GET", "/snapshot/door.jpg", &basic("mallory", "guess"), "").await;
    eventually("it is on the disk", async || {
        audit(&app, "who=mallory").await["entries"].as_array().is_some_and(|entries| !entries.is_empty())
    })
    .await;
    let browser = Browser::start().await;
    enter(&browser, &app, "#/audit").await;
    browser.says(".section-audit tbody", "Stream house/rtsp deleted").await;
    browser.says(".section-audit tbody", "mallory").await;
    browser.keep_screenshot("console-audit-filled-desktop").await;
    choose(&browser, ".audit-filter [name=action]", "DELETE").await;
    eventually("only deletions are shown", async || {
        let rows =
            "return [...document.querySelectorAll('.section-audit tbody tr')].map((row) => row.cells[1].innerText)";
        browser.run(rows).await == json!(["Stream house/rtsp deleted"])
    })
    .await;
    choose(&browser, ".audit-filter [name=action]", "").await;
    choose(&browser, ".audit-filter [name=decision]", "denied").await;
    browser.says(".section-audit tbody", "wrong user name or password").await;
    choose(&browser, "#language", "ja").await;
    browser.says(".section-audit tbody", "ストリーム house/rtsp を削除").await;
    browser.assert_quiet("the audit").await;
    browser.close().await;
}
