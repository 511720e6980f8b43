//! `mtx-sidecar discover`: cameras on the network of this machine, whether the sidecar runs or not.

use std::{io::IsTerminal, path::Path};

use super::{Outcome, load, password, runtime};
use crate::{
    discovery::{DiscoveredDevice, Discovery, Event, Login, Profile, Query},
    secret::Secret,
};

/// Where the password may be, for programs.
const PASSWORD: &str = "SIDECAR_CAMERA_PASSWORD";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An interface to search on, by name or address; all without. May be repeated.
    #[arg(long = "interface", value_name = "NAME")]
    interfaces: Vec<String>,
    /// A device to ask directly, behind a router for example; nobody else is asked then. May be repeated.
    #[arg(long = "address", value_name = "IP[:PORT]")]
    addresses: Vec<String>,
    /// A user of the devices that --address names. The password is asked for, or in SIDECAR_CAMERA_PASSWORD.
    #[arg(long, value_name = "NAME", requires = "addresses")]
    user: Option<String>,
    /// An address that may be asked although a device has named it as its own. May be repeated.
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
        let mut told = discovery.search(query).map_err(|e| e.to_string())?.begin();
        while let Some(event) = told.recv().await {
            match event {
                Event::Found(card) => eprintln!("{} answers", card.address),
                // What is printed ends up in files; the password does not.
                Event::Detail(mut card) => {
                    card.make_offers(None, "");
                    if args.json { println!("{}", Event::Detail(card).json()) } else { print(&card) }
                }
                Event::Problem(report_problem) => match report_problem.address {
                    Some(address) => eprintln!("{address}: {}", report_problem.message),
                    None => eprintln!("{}", report_problem.message),
                },
                Event::Done(summary) => {
                    let (found, others) = (summary.found, summary.others);
                    eprintln!("{found} cameras in {} s; {others} other devices", summary.seconds);
                    return Ok(());
                }
            }
        }
        Err("the search has ended early".into())
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

fn print(card: &DiscoveredDevice) {
    let made: Vec<_> = [&card.manufacturer, &card.model].into_iter().flatten().map(String::as_str).collect();
    let name = card.name.as_deref().or(card.hardware.as_deref()).unwrap_or("a camera");
    match made.as_slice() {
        [] => println!("{}  {name}", card.address),
        made => println!("{}  {name} ({})", card.address, made.join(" ")),
    }
    for (what, text) in [("ONVIF", &card.device_service), ("page", &card.page)] {
        if let Some(text) = text {
            println!("    {what:<7} {text}");
        }
    }
    for profile in &card.profiles {
        print_profile(profile);
    }
    for host in &card.elsewhere {
        println!("    ! it names {host}, which was not asked (--consent)");
    }
    for problem in &card.problems {
        println!("    ! {problem}");
    }
}

fn print_profile(profile: &Profile) {
    println!("    {}  {}", profile.in_words(), profile.stream_uri.as_deref().unwrap_or("(no RTSP)"));
    if let Some(uri) = &profile.snapshot_uri {
        println!("    still   {uri}");
    }
}
