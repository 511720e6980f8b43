use super::*;
use crate::settings::{MEDIAMTX_YML, parse_yaml};

fn findings(yaml: &str) -> Vec<String> {
    let mut settings = Settings::default();
    let card = serde_json::from_str(r#"{"kind":"test-card"}"#).expect("a definition");
    settings.streams.insert(StreamName::parse("card").expect("a name"), card);
    examine(&parse_yaml(yaml).expect("YAML"), &settings).iter().map(Finding::to_string).collect()
}

#[test]
fn the_shipped_files_have_nothing_to_complain_about() {
    assert_eq!(findings(MEDIAMTX_YML), [""; 0]);
    assert_eq!(findings(include_str!("../../examples/mediamtx/ffmpeg.yml")), [""; 0]);
    assert_eq!(findings(include_str!("../../mediamtx.jwt.yml")), [""; 0]);
}

#[test]
fn mediamtx_s_own_default_is_told_to_ask_us() {
    assert!(findings("paths: {}")[0].starts_with("error: authMethod: is internal, so MediaMTX never asks us"));
}

#[test]
fn what_hurts_is_found_and_named() {
    let auth = "authMethod: http\nauthHTTPAddress: http://127.0.0.1:9995/mediamtx-auth\n";
    for (yaml, expected) in [
        ("authHTTPAddress: http://127.0.0.1:40080/mediamtx-auth", "error: authHTTPAddress: asks port 40080"),
        (
            "authHTTPAddress: http://127.0.0.1:9995/auth",
            "error: authHTTPAddress: asks /auth; we answer at /mediamtx-auth",
        ),
        ("authHTTPAddress: http://localhost:9995/mediamtx-auth", "warning: authHTTPAddress: localhost may mean ::1"),
        ("authHTTPAddress: 127.0.0.1:9995", "error: authHTTPAddress: \"127.0.0.1:9995\" is not an http address"),
        ("authHTTPExclude: [{action: api}]", "error: authHTTPExclude: lets everybody"),
        ("authInternalUsers: [{user: any}]", "warning: authInternalUsers: is not looked at"),
        ("rtspAddress: :9995", "error: rtspAddress: tcp port 9995 is ours (http.listen in sidecar.yml)"),
        ("rtpAddress: :1234", "error: rtpAddress: udp port 1234 is ours (udp.listen"),
        ("metricsAddress: :9995", ""),
        ("metrics: yes\nmetricsAddress: :9995", "error: metricsAddress: tcp port 9995"),
        ("api: yes", "warning: apiAddress: :9997 is reachable from elsewhere"),
        ("api: no", "warning: api: is off"),
        ("api: yes\napiAddress: 127.0.0.1:9997", ""),
        ("paths: {x: {runOnDemand: '  '}}", "error: paths.x.runOnDemand: is nothing but white space"),
        ("pathDefaults: {runOnRead: \"echo 'x\"}", "error: pathDefaults.runOnRead: has a quotation mark without"),
        ("paths: {x: {runOnDemand: cmd}}", "warning: paths.x.runOnDemandRestart: is off"),
        ("paths: {x: {runOnDemand: cmd, runOnDemandRestart: yes}}", ""),
        ("pathDefaults: {runOnDemandRestart: yes}\npaths: {x: {runOnDemand: cmd}}", ""),
        ("paths: {'~^x$': {runOnDemand: cmd}}", ""),
        ("paths: {'~^x$': {source: 'rtsp://c/x'}}", "error: paths.~^x$.sourceOnDemand: has to be yes"),
        ("paths: {x: {source: 'http://c/video.mjpg'}}", "error: paths.x.source: http sources are HLS playlists"),
        ("rtspAddress: :9554", "error: rtspAddress: tcp port 9554 is ours (rtsp.listen"),
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
            "warning: paths.x.source: localhost may mean ::1",
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
            "warning: paths.~x.runOnDemand: gives every picture 40 ms",
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
fn deciding_from_our_tokens_is_looked_over() {
    let jwks = "authJWTJWKS: http://127.0.0.1:9995/.well-known/jwks.json\n";
    for (yaml, expected) in [
        (jwks, ""),
        ("", "error: authJWTJWKS: is not where our keys are"),
        ("authJWTJWKS: http://127.0.0.1:9996/.well-known/jwks.json", "error: authJWTJWKS: asks port 9996"),
        (
            &format!("{jwks}authJWTClaimKey: permissions"),
            "error: authJWTClaimKey: our tokens have mediamtx_permissions",
        ),
        (&format!("{jwks}authJWTIssuer: somebody"), "error: authJWTIssuer: our tokens have mtx-sidecar"),
        (&format!("{jwks}authJWTAudience: somebody"), "error: authJWTAudience: our tokens have none"),
    ] {
        let found = findings(&format!("authMethod: jwt\napi: yes\napiAddress: 127.0.0.1:9997\n{yaml}"));
        assert_eq!(found.len(), usize::from(!expected.is_empty()), "{yaml}: {found:?}");
        assert!(found.iter().all(|f| f.starts_with(expected)), "{yaml}: {found:?}");
    }
}

#[test]
fn a_missing_secret_is_found() {
    let settings = |secret: &str| {
        let mut settings = Settings::default();
        settings.auth.webhook_secret = crate::secret::Secret::new(secret);
        settings
    };
    let found = |address: &str, secret: &str| {
        let yaml = format!("authMethod: http\nauthHTTPAddress: {address}\napi: yes\napiAddress: 127.0.0.1:9997");
        examine(&parse_yaml(&yaml).expect("YAML"), &settings(secret)).len()
    };
    let address = "http://127.0.0.1:9995/mediamtx-auth";
    assert_eq!(found(address, ""), 0);
    assert_eq!(found(address, "s3cret"), 1);
    assert_eq!(found(&format!("{address}?secret=s3cret"), "s3cret"), 0);
    assert_eq!(found("http://mediamtx:s3cret@127.0.0.1:9995/mediamtx-auth", "s3cret"), 0);
}

#[test]
fn what_is_to_be_written_is_there_to_be_copied() {
    let settings = Settings::default();
    let fixes = |yaml: &str| -> Vec<_> {
        examine(&parse_yaml(yaml).expect("YAML"), &settings).into_iter().filter_map(|finding| finding.fix).collect()
    };
    let source = "source: 'rtsp://127.0.0.1:9554/x', rtspTransport: udp";
    let mut text = format!("paths: {{'a.b': {{{source}}}}}\n");
    let found = fixes(&text);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.contains(&"paths:\n  \"a.b\":\n    rtspTransport: tcp".to_owned()), "{found:?}");
    // Written down, and looked over again, nothing is left.
    text = "authMethod: http\nauthHTTPAddress: http://127.0.0.1:9995/mediamtx-auth\napi: yes\napiAddress: 127.0.0.1:9997\n\
            paths: {'a.b': {source: 'rtsp://127.0.0.1:9554/x', rtspTransport: tcp, sourceOnDemand: yes}}"
        .into();
    assert!(found.iter().flat_map(|fix| fix.lines()).all(|line| {
        let value = line.trim().trim_end_matches(':').trim_matches('"');
        text.contains(value) || value == "paths"
    }));
    assert_eq!(examine(&parse_yaml(&text).expect("YAML"), &settings), []);
}
