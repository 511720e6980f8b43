use super::*;
use crate::yaml;

/// The defaults of the sidecar.
fn sidecar(streams: &BTreeMap<StreamName, StreamDefinition>) -> Sidecar<'_> {
    Sidecar {
        http_port: 9995,
        rtsp_enabled: true,
        rtsp_port: 9554,
        default_rtsp_port: 9554,
        udp_port: 1234,
        has_webhook_secret: false,
        webhook_is_local: true,
        lets_this_machine_read: true,
        streams,
    }
}

/// Settings beside `paths` without findings.
const SHIPPED: &str =
    "authMethod: http\nauthHTTPAddress: http://127.0.0.1:9995/mediamtx-auth\napi: yes\napiAddress: 127.0.0.1:9997\n";

fn check(yaml: &str) -> Vec<Finding> {
    let card = serde_json::from_str(r#"{"kind":"test-card"}"#).expect("a definition");
    let streams = BTreeMap::from([(StreamName::parse("card").expect("a name"), card)]);
    examine(&yaml::parse(yaml).expect("YAML"), &sidecar(&streams))
}

fn findings(yaml: &str) -> Vec<String> {
    check(yaml).iter().map(Finding::to_string).collect()
}

#[test]
fn the_shipped_files_have_no_findings() {
    assert_eq!(findings(include_str!("../../../mediamtx.yml")), [""; 0]);
    assert_eq!(findings(include_str!("../../../examples/mediamtx/ffmpeg.yml")), [""; 0]);
    assert_eq!(findings(include_str!("../../../mediamtx.jwt.yml")), [""; 0]);
}

#[test]
fn the_default_auth_method_of_mediamtx_is_an_error() {
    let first = &findings("paths: {}")[0];
    assert!(first.starts_with("error: authMethod: is internal: MediaMTX does not ask the sidecar"), "{first}");
}

#[test]
fn each_fault_is_named_by_its_key() {
    let auth = "authMethod: http\nauthHTTPAddress: http://127.0.0.1:9995/mediamtx-auth\n";
    for (yaml, expected) in [
        ("authHTTPAddress: http://127.0.0.1:40080/mediamtx-auth", "error: authHTTPAddress: asks port 40080"),
        (
            "authHTTPAddress: http://127.0.0.1:9995/auth",
            "error: authHTTPAddress: asks /auth; the sidecar answers at /mediamtx-auth",
        ),
        ("authHTTPAddress: http://localhost:9995/mediamtx-auth", "warning: authHTTPAddress: localhost can be ::1"),
        ("authHTTPAddress: 127.0.0.1:9995", "error: authHTTPAddress: \"127.0.0.1:9995\" is not an http URL"),
        ("authHTTPExclude: [{action: api}]", "error: authHTTPExclude: lets each client"),
        ("authInternalUsers: [{user: any}]", "warning: authInternalUsers: has no effect"),
        ("rtspAddress: :9995", "error: rtspAddress: the sidecar uses tcp port 9995 (http.listen in sidecar.yml)"),
        ("rtpAddress: :1234", "error: rtpAddress: the sidecar uses udp port 1234 (udp.listen"),
        ("metricsAddress: :9995", ""),
        ("metrics: yes\nmetricsAddress: :9995", "error: metricsAddress: the sidecar uses tcp port 9995"),
        ("api: yes", "warning: apiAddress: other machines can reach :9997"),
        ("api: no", "warning: api: is off"),
        ("api: yes\napiAddress: 127.0.0.1:9997", ""),
        ("paths: {x: {runOnDemand: '  '}}", "error: paths.x.runOnDemand: is white space only"),
        ("pathDefaults: {runOnRead: \"echo 'x\"}", "error: pathDefaults.runOnRead: has an unpaired quotation mark"),
        ("paths: {x: {runOnDemand: cmd}}", "warning: paths.x.runOnDemandRestart: is off"),
        ("paths: {x: {runOnDemand: cmd, runOnDemandRestart: yes}}", ""),
        ("pathDefaults: {runOnDemandRestart: yes}\npaths: {x: {runOnDemand: cmd}}", ""),
        ("paths: {'~^x$': {runOnDemand: cmd}}", ""),
        ("paths: {'~^x$': {source: 'rtsp://c/x'}}", "error: paths.~^x$.sourceOnDemand: must be yes"),
        (
            "paths: {x: {source: 'http://c/video.mjpg'}}",
            "error: paths.x.source: MediaMTX reads an http source as an HLS playlist",
        ),
        ("rtspAddress: :9554", "error: rtspAddress: the sidecar uses tcp port 9554 (rtsp.listen"),
        ("paths: {'~^p/(.+)$': {source: 'rtsp://127.0.0.1:9554/$G1', rtspTransport: tcp, sourceOnDemand: yes}}", ""),
        ("paths: {x: {source: 'rtsp://127.0.0.1:8555/x'}}", ""),
        (
            "paths: {x: {source: 'rtsp://127.0.0.1:9995/x', rtspTransport: tcp, sourceOnDemand: yes}}",
            "error: paths.x.source: pulls from port 9995; rtsp.listen in sidecar.yml has 9554",
        ),
        (
            "paths: {x: {source: 'rtsp://127.0.0.1:9554/x', sourceOnDemand: yes}}",
            "warning: paths.x.rtspTransport: is automatic",
        ),
        (
            "paths: {x: {source: 'rtsp://127.0.0.1:9554/x', rtspTransport: udp, sourceOnDemand: yes}}",
            "error: paths.x.rtspTransport: is udp",
        ),
        (
            "paths: {x: {source: 'rtsp://127.0.0.1:9554/x', rtspTransport: tcp}}",
            "warning: paths.x.sourceOnDemand: is off",
        ),
        (
            "paths: {x: {source: 'rtsp://localhost:9554/x', rtspTransport: tcp, sourceOnDemand: yes}}",
            "warning: paths.x.source: localhost can be ::1",
        ),
        (
            "paths: {x: {source: 'rtsp://127.0.0.1:9554/card?type=udp', rtspTransport: tcp, sourceOnDemand: yes}}",
            "error: paths.x.source: asks for card as udp-camera",
        ),
        (
            "paths: {x: {source: 'rtsp://127.0.0.1:9554/x?type=tape', rtspTransport: tcp, sourceOnDemand: yes}}",
            "error: paths.x.source: type=tape in the URL must be",
        ),
        (
            "paths: {'~x': {runOnDemand: 'ffmpeg -re -i http://127.0.0.1:9995/mjpeg-get?name=$MTX_PATH -f rtsp rtsp://127.0.0.1:$RTSP_PORT/$MTX_PATH'}}",
            "warning: paths.~x.runOnDemand: gives each picture a duration of 40 ms",
        ),
        (
            "paths: {'~x': {runOnDemand: 'ffmpeg -use_wallclock_as_timestamps 1 -i http://127.0.0.1:80/stream/$MTX_PATH.mjpeg x'}}",
            "error: paths.~x.runOnDemand: pulls from port 80",
        ),
        (
            "paths: {'~x': {runOnDemand: 'curl http://127.0.0.1:9995/mjpeg-get?name=card&type=udp'}}",
            "error: paths.~x.runOnDemand: asks for card as udp-camera, and sidecar.yml defines it as test-card",
        ),
        (
            "paths: {'~x': {runOnDemand: 'curl http://127.0.0.1:9995/mjpeg-get?name=card&type=webcam'}}",
            "error: paths.~x.runOnDemand: type=webcam in the URL must be file or udp",
        ),
        (
            "paths: {'~x': {runOnDemand: 'ffmpeg -i x -f rtsp rtsp://me:secret@127.0.0.1:$RTSP_PORT/$MTX_PATH'}}",
            "warning: paths.~x.runOnDemand: shows a password",
        ),
    ] {
        let yaml = if yaml.starts_with("authHTTPAddress") {
            format!("authMethod: http\n{yaml}")
        } else {
            format!("{auth}{yaml}")
        };
        let api = if yaml.contains("\napi:") { "" } else { "\napi: yes\napiAddress: 127.0.0.1:9997" };
        let found = findings(&format!("{yaml}{api}"));
        match expected {
            "" => assert_eq!(found, [""; 0], "{yaml}"),
            _ => assert!(
                found.len() == 1 && found[0].starts_with(expected),
                "{yaml}\n  says   {found:?}\n  should {expected}"
            ),
        }
    }
}

#[test]
fn settings_for_tokens_are_checked() {
    let jwks = "authJWTJWKS: http://127.0.0.1:9995/.well-known/jwks.json\n";
    for (yaml, expected) in [
        (jwks, ""),
        ("", "error: authJWTJWKS: is not the URL of the sidecar's keys"),
        ("authJWTJWKS: http://127.0.0.1:9996/.well-known/jwks.json", "error: authJWTJWKS: asks port 9996"),
        (
            &format!("{jwks}authJWTClaimKey: permissions"),
            "error: authJWTClaimKey: the sidecar's tokens have their permissions in mediamtx_permissions",
        ),
        (
            &format!("{jwks}authJWTIssuer: another"),
            "error: authJWTIssuer: the issuer of the sidecar's tokens is mtx-sidecar",
        ),
        (&format!("{jwks}authJWTAudience: another"), "error: authJWTAudience: the sidecar's tokens have no audience"),
    ] {
        let found = findings(&format!("authMethod: jwt\napi: yes\napiAddress: 127.0.0.1:9997\n{yaml}"));
        assert_eq!(found.len(), usize::from(!expected.is_empty()), "{yaml}: {found:?}");
        assert!(found.iter().all(|f| f.starts_with(expected)), "{yaml}: {found:?}");
    }
}

#[test]
fn a_missing_secret_is_found() {
    let streams = BTreeMap::new();
    let found = |address: &str, has_webhook_secret| {
        let yaml = format!("authMethod: http\nauthHTTPAddress: {address}\napi: yes\napiAddress: 127.0.0.1:9997");
        let sidecar = Sidecar { has_webhook_secret, webhook_is_local: !has_webhook_secret, ..sidecar(&streams) };
        examine(&yaml::parse(&yaml).expect("YAML"), &sidecar).len()
    };
    let address = "http://127.0.0.1:9995/mediamtx-auth";
    assert_eq!(found(address, false), 0);
    assert_eq!(found(address, true), 1);
    assert_eq!(found(&format!("{address}?secret=s3cret"), true), 0);
    assert_eq!(found("http://mediamtx:s3cret@127.0.0.1:9995/mediamtx-auth", true), 0);
}

#[test]
fn a_question_from_another_container_needs_a_secret_or_the_network() {
    let streams = BTreeMap::new();
    let yaml =
        "authMethod: http\nauthHTTPAddress: http://sidecar:9995/mediamtx-auth\napi: yes\napiAddress: 127.0.0.1:9997";
    let found = |webhook_is_local| {
        let sidecar = Sidecar { webhook_is_local, ..sidecar(&streams) };
        let findings = examine(&yaml::parse(yaml).expect("YAML"), &sidecar);
        findings.iter().map(Finding::to_string).collect::<Vec<_>>()
    };
    let local = found(true);
    assert!(local[0].contains("asks sidecar") && local[0].contains("auth.webhook_secret"), "{local:?}");
    assert_eq!(found(false), [""; 0]);
}

#[test]
fn a_source_without_a_password_needs_a_rule_for_this_machine() {
    let streams = BTreeMap::new();
    let found = |source: &str, lets_this_machine_read| -> Vec<String> {
        let sidecar = Sidecar { lets_this_machine_read, ..sidecar(&streams) };
        let yaml = format!("{SHIPPED}paths: {{x: {{{source}}}}}");
        examine(&yaml::parse(&yaml).expect("YAML"), &sidecar).iter().map(Finding::to_string).collect()
    };
    let pulled =
        |user: &str| format!("source: 'rtsp://{user}127.0.0.1:9554/x', rtspTransport: tcp, sourceOnDemand: yes");
    let recipe = |at: &str| {
        format!(
            "runOnDemand: 'ffmpeg -use_wallclock_as_timestamps 1 -i http://{at} -f rtsp rtsp://127.0.0.1:8554/x', \
             runOnDemandRestart: yes"
        )
    };
    for (source, key) in
        [(pulled(""), "paths.x.source"), (recipe("127.0.0.1:9995/mjpeg-get?name=x"), "paths.x.runOnDemand")]
    {
        let refused = found(&source, false);
        assert!(
            matches!(&refused[..], [one] if one.starts_with(&format!("warning: {key}: gets 401"))),
            "{source}: {refused:?}"
        );
        assert_eq!(found(&source, true), [""; 0], "{source}");
    }
    for source in [
        pulled("user:pass@"),
        recipe("user:pass@127.0.0.1:9995/mjpeg-get?name=x"),
        recipe("127.0.0.1:9995/stream/x.mjpeg?token=abc"),
        "source: 'rtsp://127.0.0.1:554/x', rtspTransport: tcp, sourceOnDemand: yes".into(),
    ] {
        assert_eq!(found(&source, false), [""; 0], "{source}");
    }
}

#[test]
fn the_lines_of_all_fixes_together_mend_all_faults() {
    let fixes = |yaml: &str| -> Vec<_> { check(yaml).into_iter().filter_map(|finding| finding.fix).collect() };
    let source = "source: 'rtsp://127.0.0.1:9554/x', rtspTransport: udp";
    let mut text = format!("paths: {{'a.b': {{{source}}}}}\n");
    let found = fixes(&text);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.contains(&"paths:\n  \"a.b\":\n    rtspTransport: tcp".to_owned()), "{found:?}");
    // A file with all of these lines has no findings.
    text = "authMethod: http\nauthHTTPAddress: http://127.0.0.1:9995/mediamtx-auth\napi: yes\napiAddress: 127.0.0.1:9997\n\
            paths: {'a.b': {source: 'rtsp://127.0.0.1:9554/x', rtspTransport: tcp, sourceOnDemand: yes}}"
        .into();
    assert!(found.iter().flat_map(|fix| fix.lines()).all(|line| {
        let value = line.trim().trim_end_matches(':').trim_matches('"');
        text.contains(value) || value == "paths"
    }));
    assert_eq!(check(&text), []);
}
