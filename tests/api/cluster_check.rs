//! `mtx-sidecar check` tries the NATS servers of a cluster, and `mtx-sidecar user` changes the cluster's users.

use serde_json::json;

use crate::support::{
    PATIENCE, eventually,
    nats::{Fleet, NatsServer, SECRET, section},
    tls::Authority,
};

/// Runs a command with these settings; gives whether it succeeds, and what it prints.
async fn run(settings: &str, arguments: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sidecar.yml");
    let data = folder.path().join("data");
    std::fs::write(&file, format!("data_dir: {}\n{settings}", data.display())).expect("writes");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.arg("--config").arg(&file).args(arguments).kill_on_drop(true);
    command.stdin(std::process::Stdio::null());
    let output = tokio::time::timeout(2 * PATIENCE, command.output()).await.expect("ends").expect("runs");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
}

/// A seed and its public key, of the examples in NATS' documentation.
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_the_documented_rights_is_enough_and_a_missing_one_is_named() {
    let rights = r#"[{user: enough, password: p, permissions: {publish: ["mtx.>", "$JS.API.>", "$JS.ACK.>", "$KV.*.>"], subscribe: ["mtx.>"]}},
        {user: silent, password: p, permissions: {publish: ["$JS.API.>"], subscribe: ["mtx.>"]}},
        {user: forgetful, password: p, permissions: {publish: ["mtx.>"], subscribe: ["mtx.>"]}}]"#;
    let Some(nats) = NatsServer::with(&format!("authorization: {{users: {rights}}}")).await else { return };
    let account = |user: &str| section(nats.port, "a", &format!("  user: {user}\n  pass: p\n"));
    let (fine, printed) = run(&account("enough"), &["check"]).await;
    assert!(fine && printed.contains("cluster: connected to the NATS server"), "{printed}");
    assert!(printed.contains("cluster: records in buckets mtx_… are written"), "{printed}");
    for (user, says) in
        [("silent", "mtx.v1.check"), ("forgetful", "Permissions Violation"), ("stranger", "uthorization")]
    {
        let (fine, printed) = run(&account(user), &["check"]).await;
        assert!(!fine && printed.contains("cluster: ") && printed.contains(says), "{user}: {printed}");
    }
    // The bucket of the check is gone again.
    let (fine, printed) = run(&account("enough"), &["check"]).await;
    assert!(fine, "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nkeys_and_tls_are_used() {
    let authority = Authority::new().await;
    let certificate = authority.sign("localhost").await;
    let config = format!(
        "authorization: {{users: [{{nkey: {PUBLIC}}}]}}\ntls: {{cert_file: \"{}\", key_file: \"{}\"}}",
        certificate.certificate.display(),
        certificate.key.display()
    );
    let Some(nats) = NatsServer::with_files(&config, &[("seed", SEED)]).await else { return };
    let seed = nats.path("seed");
    let settings = |ca: &str| {
        format!(
            "cluster:\n  nats: ['tls://localhost:{}']\n  secret: '{SECRET}'\n  nkey: {}\n{ca}",
            nats.port,
            seed.display()
        )
    };
    let (fine, printed) = run(&settings(&format!("  ca_file: {}\n", authority.file())), &["check"]).await;
    assert!(fine && printed.contains(", TLS"), "{printed}");
    let (fine, printed) = run(&settings(""), &["check"]).await;
    assert!(!fine && printed.contains("cluster.ca_file"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_jetstream_is_refused_in_words() {
    let Some(nats) = NatsServer::with("# no jetstream").await else { return };
    let (fine, printed) = run(&nats.settings("a"), &["check"]).await;
    assert!(!fine && printed.contains("JetStream must be on"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_changes_the_users_of_the_cluster() {
    let Some(fleet) = Fleet::start(1).await else { return };
    let a = &fleet.nodes[0];
    a.user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    // A command of another machine, with a data folder of its own.
    let settings = fleet.nats.settings("elsewhere");
    let (fine, printed) = run(&settings, &["user", "list"]).await;
    assert!(fine && printed.contains("admin\tenabled\tadmin") && printed.contains("alice\tenabled"), "{printed}");
    let (fine, printed) = run(&settings, &["user", "disable", "alice"]).await;
    assert!(fine && printed.contains("alice was disabled"), "{printed}");
    eventually("a has the change", async || a.admin("GET", "/api/v1/users/alice", "").await.json()["disabled"] == true)
        .await;
}
