//! `mtx-sidecar home-assistant`: serves as an app of Home Assistant (deploy/home-assistant). The options of the app and the
//! Supervisor's broker become settings; `/config/sidecar.yml` and the environment have precedence over them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{Authorities, Outcome, config_file, load_with, serve};
use crate::{hosts, regular, secret::Secret};

/// Timeout of the question to the Supervisor.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of the options, and of the Supervisor's answer.
const MAX_BYTES: u64 = 64 << 10;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File with the options of the app.
    #[arg(long, default_value = "/data/options.json", value_name = "FILE")]
    options: PathBuf,
    /// Base URL of the Supervisor, which is asked with the token in SUPERVISOR_TOKEN.
    #[arg(long, default_value = "http://supervisor", value_name = "URL")]
    supervisor: String,
    /// Print the settings that follow from options and Supervisor, without secrets, and end.
    #[arg(long)]
    print: bool,
}

/// The options of the app, as config.yaml describes them. All can be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    log_level: Option<String>,
    /// Names of Home Assistant's users who administer the sidecar.
    admins: Vec<String>,
    /// Whether to use the broker of the Supervisor.
    mqtt: bool,
    mediamtx_api: Option<String>,
    mediamtx_rtsp: Option<String>,
    webhook_secret: Option<Secret>,
}

/// The Supervisor's broker.
#[derive(Debug, Deserialize)]
struct Broker {
    host: String,
    port: u16,
    #[serde(default)]
    ssl: bool,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    data: Broker,
}

/// The address of the Supervisor in the network of the apps. Its requests to an app come from there.
const SUPERVISOR: &str = "172.30.32.2";

pub(super) fn run(config: Option<&Path>, args: &Args) -> Outcome {
    let options = read(&args.options)?;
    let ours: HashMap<String, String> = std::env::vars().collect();
    let broker = if options.mqtt { ask(&args.supervisor, ours.get("SUPERVISOR_TOKEN")) } else { Ok(None) };
    let (broker, fault) = match broker {
        Ok(broker) => (broker, None),
        // Pictures go on without MQTT.
        Err(fault) => (None, Some(fault)),
    };
    let in_app = Path::new("/config/sidecar.yml");
    let file = config_file(config).or_else(|| in_app.is_file().then(|| in_app.to_owned()));
    let mut environment = settings_of(options, broker);
    // What the file sets is left to it.
    let set_by_file = load_with(file.as_deref(), &HashMap::new())?.origins;
    environment.retain(|name, _| !set_by_file.contains_key(&key_of(name)));
    if args.print {
        return print(environment);
    }
    environment.extend(ours);
    serve::run_with(load_with(file.as_deref(), &environment)?, &serve::Args::default(), fault.as_deref())
}

/// `SIDECAR__HTTP__LISTEN` is `http.listen`.
fn key_of(variable: &str) -> String {
    variable.trim_start_matches("SIDECAR__").replace("__", ".").to_ascii_lowercase()
}

fn print(environment: HashMap<String, String>) -> Outcome {
    let mut lines: Vec<_> = environment
        .into_iter()
        .map(|(name, value)| {
            let is_secret = name.ends_with("__PASS") || name.ends_with("_SECRET");
            (key_of(&name), if is_secret { "***".to_owned() } else { value })
        })
        .collect();
    lines.sort();
    for (key, value) in lines {
        println!("{key}: {value}");
    }
    Ok(())
}

/// Without a file there are no options: the program then runs with its defaults, as outside of Home Assistant.
fn read(path: &Path) -> Result<Options, String> {
    let text = match regular::read(path, MAX_BYTES) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Options::default()),
        Err(e) => return Err(format!("{} cannot be read: {e}", path.display())),
    };
    serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The broker that the Supervisor knows; none if there is none.
fn ask(supervisor: &str, token: Option<&String>) -> Result<Option<Broker>, String> {
    let token = token.ok_or("SUPERVISOR_TOKEN is not set, so the Supervisor is not asked for its MQTT broker")?;
    let url = format!("{}/services/mqtt", supervisor.trim_end_matches('/'));
    let cannot = |why: String| format!("the Supervisor does not tell its MQTT broker ({url}): {why}");
    Authorities { ca_file: None }.hosts()?.run(TIMEOUT, async |client| {
        let answer = client.get(&url).bearer_auth(token).send().await;
        let mut response = answer.map_err(|e| cannot(hosts::explain(&e)))?;
        let body = response.body().limit(MAX_BYTES as usize).await.map_err(|e| cannot(e.to_string()))?;
        match response.status().as_u16() {
            200 => {
                let answer: Answer = serde_json::from_slice(&body).map_err(|e| cannot(e.to_string()))?;
                Ok(Some(answer.data))
            }
            // No app provides the service.
            400 | 404 => Ok(None),
            status => Err(cannot(format!("it answers {status}"))),
        }
    })
}

fn settings_of(options: Options, broker: Option<Broker>) -> HashMap<String, String> {
    let mut settings = HashMap::new();
    let mut set = |key: &str, value: String| {
        settings.insert(format!("SIDECAR__{}", key.replace('.', "__").to_ascii_uppercase()), value);
    };
    set("data_dir", "/data".into());
    set("media.roots", "/media,/share".into());
    set("http.ingress.from", SUPERVISOR.into());
    if !options.admins.is_empty() {
        set("http.ingress.admins", options.admins.join(","));
    }
    let texts = [
        ("log.level", options.log_level),
        ("mediamtx.api", options.mediamtx_api),
        ("mediamtx.rtsp", options.mediamtx_rtsp),
        ("auth.webhook_secret", options.webhook_secret.map(|secret| secret.expose().to_owned())),
    ];
    for (key, value) in texts {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            set(key, value);
        }
    }
    if let Some(Broker { host, port, ssl, username, password }) = broker {
        let scheme = if ssl { "mqtts" } else { "mqtt" };
        set("mqtt.url", format!("{scheme}://{host}:{port}"));
        set("mqtt.homeassistant.enabled", "yes".into());
        if let Some(user) = username.filter(|user| !user.is_empty()) {
            set("mqtt.user", user);
            set("mqtt.pass", password.map(|password| password.expose().to_owned()).unwrap_or_default());
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_the_broker_become_settings() {
        let options: Options = serde_json::from_str(
            r#"{"log_level": "debug", "admins": ["Paula", "o'neil"], "mqtt": true, "mediamtx_api": "http://a0d7b954-mediamtx:9997",
                "webhook_secret": "hush", "unknown": 1}"#,
        )
        .expect("options");
        let answer: Answer = serde_json::from_str(
            r#"{"result": "ok", "data": {"host": "core-mosquitto", "port": 1883, "ssl": false, "username": "addons",
                "password": "s3cret", "protocol": "3.1.1"}}"#,
        )
        .expect("an answer");
        let settings = settings_of(options, Some(answer.data));
        let set = |key: &str| settings.get(&format!("SIDECAR__{key}")).map(String::as_str);
        for (key, value) in [
            ("DATA_DIR", "/data"),
            ("LOG__LEVEL", "debug"),
            ("HTTP__INGRESS__FROM", SUPERVISOR),
            ("HTTP__INGRESS__ADMINS", "Paula,o'neil"),
            ("MEDIAMTX__API", "http://a0d7b954-mediamtx:9997"),
            ("AUTH__WEBHOOK_SECRET", "hush"),
            ("MQTT__URL", "mqtt://core-mosquitto:1883"),
            ("MQTT__USER", "addons"),
            ("MQTT__PASS", "s3cret"),
        ] {
            assert_eq!(set(key), Some(value), "{key}");
        }
        assert_eq!(set("MEDIAMTX__RTSP"), None);
        let loaded = load_with(None, &settings).expect("they can be used");
        assert_eq!(loaded.settings.http.ingress.admins, ["Paula", "o'neil"]);
        assert!(loaded.settings.mqtt.homeassistant.enabled);
        assert_eq!(key_of("SIDECAR__MQTT__URL"), "mqtt.url");
    }
}
