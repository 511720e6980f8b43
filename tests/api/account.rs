//! The account of a user: the generated administrator, the first sign-in, and the own password.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    console::{count, press, type_into},
    support::{FAR, Response, TestApp, basic, bearer, eventually},
};

/// The header line that sends back the cookie of an answer.
fn cookie(response: &Response) -> String {
    let cookie = response.header("set-cookie").unwrap_or_default();
    format!("Cookie: {}", cookie.split(';').next().unwrap_or_default())
}

async fn sign_in(app: &TestApp, pass: &str) -> Response {
    let body = json!({"user": "admin", "pass": pass}).to_string();
    app.request("POST", "/api/v1/login", &[FAR], body.as_bytes()).await
}

async fn user(app: &TestApp, header: &str, command: &[&str], password: &str) -> String {
    use tokio::io::AsyncWriteExt;
    let config = app.folder().join("cli.yml");
    std::fs::write(&config, format!("data_dir: '{}'", app.folder().join("data").display())).expect("writes");
    let mut run = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    run.arg("--config").arg(&config).arg("user").args(command);
    run.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = run.kill_on_drop(true).spawn().expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A command that asks for none has ended already.
    let _ = stdin.write_all(format!("{password}\n").as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.expect("ends");
    assert!(output.status.success(), "{header}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn the_generated_administrator_is_an_account_like_any() {
    let app = TestApp::spawn();
    app.ask_for_new_password().await;
    let generated = app.password.clone().expect("made");
    let listed = app.admin("GET", "/api/v1/users", "").await.json();
    let admin = &listed["users"][0];
    assert_eq!(
        (&admin["name"], &admin["role"], &admin["origin"]),
        (&json!("admin"), &json!("admin"), &json!("database"))
    );
    assert_eq!(admin["must_change_password"], true, "{listed}");
    assert!(user(&app, "list", &["list"], "").await.contains("admin\tenabled\tadmin\tmust set a password"));

    let signed_in = sign_in(&app, &generated).await;
    assert_eq!(signed_in.json()["must_change_password"], true, "{signed_in:?}");
    let token = signed_in.json()["access_token"].as_str().expect("a token").to_owned();
    let change = |present: &str, new: &str| json!({"present": present, "new": new}).to_string();
    let change = async |present: &str, new: &str| {
        let headers = [FAR, &bearer(&token), &cookie(&signed_in)];
        app.request("POST", "/api/v1/me/password", &headers, change(present, new).as_bytes()).await
    };
    for (new, says) in [("short", "at least 8"), (&*generated, "must not be the present password")] {
        let refused = change(&generated, new).await;
        assert_eq!((refused.status, refused.json()["field"].as_str()), (422, Some("new")), "{refused:?}");
        assert!(refused.detail().contains(says), "{refused:?}");
    }
    assert_eq!(change("wrong horse", "battery staple").await.status, 401);
    let other = sign_in(&app, &generated).await;
    let changed = change(&generated, "battery staple").await;
    assert_eq!(changed.status, 204, "{changed:?}");
    // This browser goes on with another sign-in; the other one has ended.
    assert_eq!(app.far("POST", "/api/v1/login/refresh", &cookie(&other), "").await.status, 401);
    let refreshed = app.far("POST", "/api/v1/login/refresh", &cookie(&changed), "").await;
    assert_eq!((refreshed.status, &refreshed.json()["must_change_password"]), (200, &json!(false)), "{refreshed:?}");
    assert_eq!((sign_in(&app, &generated).await.status, sign_in(&app, "battery staple").await.status), (401, 200));
    let me = app.far("GET", "/api/v1/me", &basic("admin", "battery staple"), "").await.json();
    assert_eq!((&me["origin"], &me["must_change_password"]), (&json!("database"), &json!(false)), "{me}");

    user(&app, "set-password", &["set-password", "admin"], "correct horse").await;
    eventually("the password of the command line is good", async || sign_in(&app, "correct horse").await.status == 200)
        .await;
    let app = TestApp::in_folder(app.stop(), "");
    assert_eq!(app.password, None, "a second start generates none");
    assert_eq!(sign_in(&app, "correct horse").await.status, 200);
}

#[tokio::test]
async fn a_user_of_the_file_is_told_where_the_password_is() {
    let app = TestApp::with("auth: {users: [{user: boss, pass: s3cret horse, permissions: [{action: api}]}]}");
    let me = app.far("GET", "/api/v1/me", &basic("boss", "s3cret horse"), "").await.json();
    assert_eq!((&me["origin"], &me["must_change_password"]), (&json!("file"), &json!(false)), "{me}");
    let body = json!({"present": "s3cret horse", "new": "battery staple"}).to_string();
    let refused = app.far("POST", "/api/v1/me/password", &basic("boss", "s3cret horse"), &body).await;
    assert_eq!((refused.status, refused.problem().as_str()), (409, "fixed_by_file"), "{refused:?}");
}

/// The tables of version 3 of the database, which had the generated administrator in a fact.
const VERSION_3: &str = "
    CREATE TABLE streams (name TEXT PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE users (
        name TEXT PRIMARY KEY, pass TEXT NOT NULL, role TEXT NOT NULL, permissions TEXT NOT NULL, ips TEXT NOT NULL,
        disabled INTEGER NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE keys (kid TEXT PRIMARY KEY, pkcs8 BLOB NOT NULL, active_from INTEGER NOT NULL) STRICT;
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, permissions TEXT NOT NULL, kid TEXT NOT NULL, created INTEGER NOT NULL,
        expires INTEGER NOT NULL, created_by TEXT NOT NULL, revoked INTEGER
    ) STRICT;
    CREATE TABLE shares (
        id TEXT PRIMARY KEY, code BLOB NOT NULL, label TEXT NOT NULL, permissions TEXT NOT NULL, created INTEGER NOT NULL,
        expires INTEGER NOT NULL, created_by TEXT NOT NULL, max_uses INTEGER, uses INTEGER NOT NULL, revoked INTEGER
    ) STRICT;
    CREATE TABLE sign_ins (
        id TEXT PRIMARY KEY, user TEXT, share TEXT, secret BLOB NOT NULL, previous BLOB, rotated INTEGER NOT NULL,
        password_stamp TEXT NOT NULL, expires INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE revoked (id TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT;
    CREATE TABLE paths (name TEXT PRIMARY KEY, definition TEXT NOT NULL) STRICT;
    CREATE TABLE applied_paths (name TEXT PRIMARY KEY, started TEXT NOT NULL, fields TEXT NOT NULL) STRICT;
    PRAGMA user_version = 3;
";

#[tokio::test]
async fn a_data_folder_of_the_previous_version_keeps_its_users_and_the_administrator_s_password() {
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    let hash = |password: &str| mtx_sidecar::policy::hash_password(password).expect("hashes");
    let old = rusqlite::Connection::open(data.join("sidecar.db")).expect("makes");
    old.execute_batch(VERSION_3).expect("makes");
    old.execute("INSERT INTO facts VALUES ('admin_password_hash', ?1)", [hash("generated then")]).expect("writes");
    let alice = "INSERT INTO users VALUES ('alice', ?1, 'user', '[]', '[]', 0, 1700000000, 1700000000)";
    old.execute(alice, [hash("correct horse")]).expect("writes");
    old.execute("INSERT INTO streams VALUES ('card', '{\"kind\": \"test-card\"}')", []).expect("writes");
    drop(old);

    let app = TestApp::in_folder(folder, "");
    assert_eq!(app.password, None, "none is generated");
    let admin = basic("admin", "generated then");
    let listed = app.far("GET", "/api/v1/users", &admin, "").await.json();
    let users = listed["users"].as_array().expect("users");
    let found: Vec<_> = users.iter().map(|user| (&user["name"], &user["must_change_password"])).collect();
    assert_eq!(found, [(&json!("admin"), &json!(true)), (&json!("alice"), &json!(false))]);
    assert_eq!(app.far("GET", "/snapshot/card.jpg", &basic("alice", "correct horse"), "").await.status, 200);
    assert!(app.folder().join("data/sidecar.db.v3.backup").is_file());
}

#[tokio::test]
async fn pages_ask_for_a_password_at_the_first_sign_in_and_everyone_can_change_it() {
    let app = TestApp::spawn();
    app.ask_for_new_password().await;
    let generated = app.password.clone().expect("made");
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/console/#/users", app.addr)).await.expect("loads");
    browser.click("main .empty button.primary").await;
    browser.find("dialog.sign-in[open] form").await;
    let said = browser.text("dialog.sign-in").await;
    assert!(!said.contains("admin"), "a visitor is told no name: {said}");
    // What is typed can be seen.
    let kind = "return document.querySelector('dialog.sign-in [name=password]').type";
    assert_eq!(browser.run(kind).await, "password");
    browser.click("dialog.sign-in .password button").await;
    assert_eq!(browser.run(kind).await, "text");
    browser.keep_screenshot("sign-in-shown-desktop").await;
    browser.sign_in("admin", &generated).await;

    browser.says("dialog.password-change", "Choose a password").await;
    browser.keep_screenshot("first-password-desktop").await;
    assert_eq!(count(&browser, "dialog.password-change [name=present]").await, 0, "it was typed a moment ago");
    type_into(&browser, "dialog.password-change [name=new]", "short").await;
    browser.click("dialog.password-change button.primary").await;
    assert_eq!(count(&browser, "dialog.password-change [name=new][aria-invalid=true]").await, 1);
    type_into(&browser, "dialog.password-change [name=new]", "battery staple").await;
    browser.click("dialog.password-change button.primary").await;
    eventually("the dialog is closed", async || count(&browser, "dialog[open]").await == 0).await;
    browser.says(".section-users tbody", "admin").await;
    // After a reload the page is still signed in, and does not ask again.
    browser.client.refresh().await.expect("loads");
    browser.says("#account", "admin").await;
    browser.says(".section-users tbody", "admin").await;
    assert_eq!(count(&browser, "dialog[open]").await, 0);

    browser.click("#account").await;
    browser.says("dialog.account", "This account can change everything.").await;
    browser.keep_screenshot("account-desktop").await;
    press(&browser, "dialog.account .change-password").await;
    type_into(&browser, "dialog.password-change [name=present]", "wrong horse").await;
    type_into(&browser, "dialog.password-change [name=new]", "correct horse").await;
    browser.click("dialog.password-change button.primary").await;
    browser.says("dialog.password-change .field:has([name=present]) .field-error", "not the present password").await;
    type_into(&browser, "dialog.password-change [name=present]", "battery staple").await;
    browser.click("dialog.password-change button.primary").await;
    eventually("the dialog is closed", async || count(&browser, "dialog[open]").await == 0).await;
    assert_eq!(sign_in(&app, "correct horse").await.status, 200);
    let name: Value = browser.run("return document.querySelector('#account').title").await;
    assert!(name.as_str().is_some_and(|name| name.contains("admin")), "{name}");
    browser.close().await;
}
