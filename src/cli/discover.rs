//! `mtx-sidecar discover`: searches for cameras on the network of this machine, with or without a running sidecar.

use std::{io::IsTerminal, path::Path};

use super::{Outcome, load, password, runtime};
use crate::{
    discovery::{DiscoveredDevice, Discovery, Event, Login, Profile, Query},
    secret::Secret,
    web::offers::event_json,
};

/// The environment variable of the password, for programs.
const PASSWORD: &str = "SIDECAR_CAMERA_PASSWORD";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Interface to search on, by name or address; by default all. Can be repeated.
    #[arg(long = "interface", value_name = "NAME")]
    interfaces: Vec<String>,
    /// Device to ask directly, behind a router for example; no other devices are asked then. Can be repeated.
    #[arg(long = "address", value_name = "IP[:PORT]")]
    addresses: Vec<String>,
    /// User of the devices of --address. The password comes from SIDECAR_CAMERA_PASSWORD or from a prompt.
    #[arg(long, value_name = "NAME", requires = "addresses")]
    user: Option<String>,
    /// Address that can be asked although another device has named it as its own. Can be repeated.
    #[arg(long, value_name = "IP")]
    consent: Vec<String>,
    /// Print each device as one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: Option<&Path>, args: &Args) -> Outcome {
    let settings = load(config)?.settings;
    let mut query = Query::parse(&args.interfaces, &args.addresses, &args.consent).map_err(|e| e.to_string())?;
    if let Some(username) = &args.user {
        query.login = Some(Login { username: username.clone(), password: Secret::new(read_password(username)?) });
    }
    let discovery = Discovery::new(&settings.discovery, &settings.fetch).map_err(|e| e.chain())?;
    runtime()?.block_on(async {
        let mut events = discovery.search(query).map_err(|e| e.to_string())?.begin();
        while let Some(event) = events.recv().await {
            match &event {
                Event::Found(device) => eprintln!("{} answers", device.address),
                Event::Detail(_) if args.json => println!("{}", event_json(&event)),
                Event::Detail(device) => print(device),
                Event::Problem(problem) => match problem.address {
                    Some(address) => eprintln!("{address}: {}", problem.message),
                    None => eprintln!("{}", problem.message),
                },
                Event::Done(summary) => {
                    let (found, others) = (summary.found, summary.others);
                    eprintln!("{found} cameras in {} s; {others} other devices", summary.seconds);
                    return Ok(());
                }
            }
        }
        Err("the search ended early".into())
    })
}

fn read_password(user: &str) -> Result<String, String> {
    if let Ok(password) = std::env::var(PASSWORD) {
        return Ok(password);
    }
    if std::io::stdin().is_terminal() {
        return password::prompt(&format!("Password of {user}: "));
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|e| format!("standard input cannot be read: {e}"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn print(device: &DiscoveredDevice) {
    let product: Vec<_> = [&device.manufacturer, &device.model].into_iter().flatten().map(String::as_str).collect();
    let name = device.name.as_deref().or(device.hardware.as_deref()).unwrap_or("a camera");
    match product.as_slice() {
        [] => println!("{}  {name}", device.address),
        product => println!("{}  {name} ({})", device.address, product.join(" ")),
    }
    for (label, url) in [("ONVIF", &device.device_service), ("page", &device.page)] {
        if let Some(url) = url {
            println!("    {label:<7} {url}");
        }
    }
    for profile in &device.profiles {
        print_profile(profile);
    }
    for host in &device.elsewhere {
        println!("    ! it names {host}, which was not asked (--consent)");
    }
    for problem in &device.problems {
        println!("    ! {problem}");
    }
}

fn print_profile(profile: &Profile) {
    println!("    {}  {}", profile.summary(), profile.stream_uri.as_deref().unwrap_or("(no RTSP)"));
    if let Some(uri) = &profile.snapshot_uri {
        println!("    still   {uri}");
    }
}
