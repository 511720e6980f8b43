//! HTTPS with curl, and certificates that are replaced while the program runs.

use std::{path::Path, process::Stdio};

use tokio::{io::AsyncReadExt, time::timeout};

use crate::support::{PATIENCE, Program, TestApp, eventually, picture};

/// A self-signed certificate for localhost with this common name.
pub async fn certificate(folder: &Path, name: &str) {
    let (key, cert) = (folder.join("new-key.pem"), folder.join("new-cert.pem"));
    let subject = format!("/CN={name}");
    let args = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        &subject,
    ];
    let (key_text, cert_text) = (key.to_string_lossy(), cert.to_string_lossy());
    // The certificate of an authority is not accepted for a host (RFC 5280, section 4.2.1.9).
    let no_authority = ["-addext", "basicConstraints=critical,CA:FALSE"];
    let files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", &key_text, "-out", &cert_text];
    Program::output("openssl", &[&args[..], &no_authority[..], &files[..]].concat()).await;
    std::fs::rename(key, folder.join("key.pem")).expect("replaces");
    std::fs::rename(cert, folder.join("cert.pem")).expect("replaces");
}

#[tokio::test]
async fn https_serves_the_same_and_loads_a_replaced_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path(), "first").await;
    let at = folder.path().display();
    let app = TestApp::with(&format!(
        "http: {{listen: 127.0.0.1:0, tls: {{listen: '127.0.0.1:0', certificate: '{at}/cert.pem', key: '{at}/key.pem'}}}}"
    ));
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    let port = app.tls.expect("HTTPS").port();
    let url = format!("https://localhost:{port}");
    let authority = folder.path().join("cert.pem");
    let authority = authority.to_string_lossy();
    // Only the output is compared: while the certificate is replaced, curl fails.
    let curl = async |args: &[&str]| {
        let mut command = tokio::process::Command::new("curl");
        command.args(["-s", "--cacert", &authority]).args(args).kill_on_drop(true);
        command.output().await.expect("curl is there").stdout
    };
    assert_eq!(curl(&[&format!("{url}/snapshot/door.jpg")]).await, picture(1));
    // An endless response, whose connection is taken over: read until there are three pictures.
    let mut endless = tokio::process::Command::new("curl");
    endless.args(["-sN", "--cacert", &authority, &format!("{url}/stream/door.mjpeg?interval=200")]);
    let mut endless = Program(endless.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("curl starts"));
    let (mut out, mut parts) = (endless.0.stdout.take().expect("a pipe"), vec![]);
    while parts.windows(4).filter(|w| *w == [0xFF, 0xD8, 0xFF, 0xE0]).count() < 3 {
        let read = timeout(PATIENCE, out.read_buf(&mut parts)).await.expect("in time").expect("reads");
        assert!(read > 0, "it has ended after {} bytes", parts.len());
    }
    drop(endless);
    let body = r#"{"user":"alice","password":"x"}"#;
    let refused = curl(&["-d", body, &format!("{url}/api/v1/login")]).await;
    assert!(String::from_utf8_lossy(&refused).contains("unauthenticated"), "{refused:?}");

    certificate(folder.path(), "second").await;
    eventually("the new certificate is used", async || {
        // Fails while the server uses the old certificate, which the new file does not verify.
        curl(&[&format!("{url}/healthz")]).await.starts_with(b"ok")
    })
    .await;
    // A key that does not fit the certificate changes nothing.
    std::fs::write(folder.path().join("key.pem"), "nonsense").expect("writes");
    assert!(curl(&[&format!("{url}/healthz")]).await.starts_with(b"ok"));
}
