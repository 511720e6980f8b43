//! `mtx-sidecar user`: the database's users, on the database itself. A sidecar that runs notices within a second.

use std::path::Path;

use clap::{Args, Subcommand};

use super::{Outcome, load, password};
use crate::{
    identity::{Role, UserChange, read_users, write_user},
    policy::{Action, Permission, Policy},
    secret::Secret,
    store::Store,
    units::Network,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a user; the password is asked for, or read from standard input.
    Add(Add),
    /// List the users of the database.
    List,
    /// Change a user's password; it is asked for, or read from standard input.
    SetPassword(Name),
    /// Let a user count for nothing for now.
    Disable(Name),
    /// Let a user count again.
    Enable(Name),
    /// Remove a user.
    Remove(Name),
}

#[derive(Debug, Args)]
pub(super) struct Name {
    /// The name.
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The name.
    name: String,
    /// admin (everything) or user (watch everything).
    #[arg(long)]
    role: Option<Role>,
    /// Something that is allowed: ACTION, ACTION:PATH or ACTION:~REGEXP, such as publish:front/door. May be repeated.
    #[arg(long = "allow", value_name = "ACTION[:PATH]", value_parser = permission)]
    permissions: Vec<Permission>,
    /// An address or network from which the user may come; everywhere without. May be repeated.
    #[arg(long = "from", value_name = "NETWORK")]
    ips: Vec<Network>,
}

fn permission(text: &str) -> Result<Permission, String> {
    let (action, path) = text.split_once(':').unwrap_or((text, ""));
    let action: Action = action.parse()?;
    Ok(Permission { action, path: (!path.is_empty()).then(|| path.to_owned()) })
}

pub(super) fn run(config: Option<&Path>, command: Command) -> Outcome {
    let settings = load(config)?.settings;
    let cannot = |e: crate::error::Error| e.chain();
    std::fs::create_dir_all(&settings.data_dir)
        .map_err(|e| format!("the data folder {} cannot be made: {e}", settings.data_dir.display()))?;
    let store = Store::open(&settings.data_dir.join("sidecar.db")).map_err(cannot)?;
    let file = Policy::new(&settings.auth)?;
    let write = |name: &str, change: UserChange| {
        if file.is_in_file(name) {
            return Err(format!("user {name} is defined in sidecar.yml; change it there"));
        }
        write_user(&store, name, &change).map_err(cannot)
    };
    let is_there = |name: &str| match store.user(name).map_err(cannot)? {
        Some(_) => Ok(()),
        None => Err(format!("there is no user {name} in the database")),
    };
    match command {
        Command::List => list(&store),
        Command::Add(Add { name, role, permissions, ips }) => {
            if store.user(&name).map_err(cannot)?.is_some() {
                return Err(format!("there is a user {name} already"));
            }
            if role.is_none() && permissions.is_empty() {
                return Err("--role or --allow is needed: the user could do nothing".into());
            }
            let password = Some(Secret::new(password::read_new()?));
            let (permissions, ips) = (Some(permissions), Some(ips));
            write(&name, UserChange { pass: password, role, permissions, ips, disabled: None })?;
            println!("user {name} is made");
            Ok(())
        }
        Command::SetPassword(Name { name }) => {
            is_there(&name)?;
            let password = Some(Secret::new(password::read_new()?));
            write(&name, UserChange { pass: password, ..UserChange::default() })?;
            println!("the password of {name} is changed");
            Ok(())
        }
        Command::Disable(Name { name }) => {
            is_there(&name)?;
            write(&name, UserChange { disabled: Some(true), ..UserChange::default() })?;
            println!("user {name} is disabled");
            Ok(())
        }
        Command::Enable(Name { name }) => {
            is_there(&name)?;
            write(&name, UserChange { disabled: Some(false), ..UserChange::default() })?;
            println!("user {name} is enabled");
            Ok(())
        }
        Command::Remove(Name { name }) => {
            is_there(&name)?;
            store.delete_user(&name).map_err(cannot)?;
            println!("user {name} is removed");
            Ok(())
        }
    }
}

fn list(store: &Store) -> Outcome {
    for user in read_users(store).map_err(|e| e.chain())? {
        let mut line = format!("{}\t{}", user.name, if user.disabled { "disabled" } else { "enabled" });
        if user.role != Role::None {
            line.push_str(&format!("\t{}", user.role.as_str()));
        }
        for Permission { action, path } in &user.permissions {
            line.push_str(&format!("\t{}:{}", action.as_str(), path.as_deref().unwrap_or_default()));
        }
        if let Some(reason) = &user.damaged {
            line.push_str(&format!("\tdamaged: {reason}"));
        }
        println!("{line}");
    }
    Ok(())
}
