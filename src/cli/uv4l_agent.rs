//! `mtx-sidecar uv4l-agent`: carries the calls of a UV4L camera that the sidecar cannot reach.

use std::path::PathBuf;

use super::Outcome;
use crate::{
    error::Error,
    fetch::{Fetch, FetchSettings, Target},
    secret::Secret,
    settings::{LogFormat, LogSettings},
    stream::StreamName,
    telemetry,
    units::Network,
    uv4l::{Camera, Dialler},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the camera at the sidecar, which has a definition without url there.
    name: String,
    /// Base URL of the sidecar, http:// or https://.
    #[arg(long, default_value = "http://127.0.0.1:9995", env = "SIDECAR_URL")]
    url: String,
    /// URL of UV4L's signalling beside this agent.
    #[arg(long, default_value = "ws://127.0.0.1:8080/stream/webrtc", env = "UV4L_URL")]
    uv4l: String,
    /// File with a token of the sidecar that permits to publish to the camera; otherwise SIDECAR_TOKEN.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file of certificate authorities that are trusted, besides the well-known ones.
    #[arg(long, value_name = "FILE", env = "SIDECAR__FETCH__CA_FILE")]
    ca_file: Option<PathBuf>,
    /// SHA-256 of the sidecar's certificate, if it is self-signed.
    #[arg(long, default_value = "")]
    fingerprint: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    telemetry::start(&LogSettings { level: "info".into(), format: LogFormat::Text });
    let dialler = dialler(args)?;
    super::runtime()?.block_on(async {
        tokio::select! {
            () = dialler.run() => {}
            () = crate::shutdown::signalled() => {}
        }
    });
    Ok(())
}

fn dialler(args: &Args) -> Result<Dialler, String> {
    let name = StreamName::parse(&args.name).map_err(|e| e.to_string())?;
    let token = match &args.token_file {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
            text.trim().to_owned()
        }
        None => std::env::var("SIDECAR_TOKEN").unwrap_or_default(),
    };
    if !token.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~+/=".contains(c)) {
        return Err("the token has characters that no token has".into());
    }
    let camera = Camera { url: args.uv4l.clone(), ..Camera::default() };
    camera.check().map_err(|e| format!("--uv4l: {e}"))?;
    if args.uv4l.is_empty() {
        return Err("--uv4l: must not be empty".into());
    }
    let url = format!("{}/uv4l/{name}?agent=1", args.url.trim_end_matches('/'));
    let sidecar = Target::new(&url, "", &Secret::default(), &args.fingerprint).map_err(|e: Error| e.to_string())?;
    // The person who starts the agent names both hosts, wherever they are.
    let anywhere = ["0.0.0.0/0", "::/0"].map(str::parse::<Network>).into_iter().flatten().collect();
    let ca_file = args.ca_file.clone().unwrap_or_default();
    let fetch = Fetch::new(&FetchSettings { networks: anywhere, ca_file, ..FetchSettings::default() });
    Ok(Dialler { fetch: fetch.map_err(|e| e.chain())?, sidecar, token: Secret::new(token), camera })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Args {
        Args {
            name: "door".into(),
            url: "https://home.example/base/".into(),
            uv4l: "ws://127.0.0.1:8080/stream/webrtc".into(),
            token_file: None,
            ca_file: None,
            fingerprint: String::new(),
        }
    }

    #[test]
    fn the_address_of_the_camera_is_below_the_base_url() {
        let dialler = dialler(&args()).expect("right");
        assert_eq!(dialler.sidecar.url.as_str(), "https://home.example/base/uv4l/door?agent=1");
    }

    #[test]
    fn wrong_arguments_are_named() {
        let of = |change: fn(&mut Args)| {
            let mut args = args();
            change(&mut args);
            dialler(&args).map(drop).expect_err("wrong")
        };
        assert!(of(|args| args.uv4l = "http://x".into()).starts_with("--uv4l: url:"));
        assert!(of(|args| args.uv4l = String::new()).starts_with("--uv4l:"));
        assert!(of(|args| args.name = "/".into()).starts_with("name:"));
        assert!(of(|args| args.url = "ftp://x".into()).starts_with("url:"));
        assert!(of(|args| args.token_file = Some("/none/x".into())).contains("/none/x cannot be read"));
    }
}
