//! `mtx-sidecar user`: changes the users of the database. A running sidecar applies the changes within a second.

use std::path::Path;

use clap::{Args, Subcommand};

use super::{Outcome, load, password};
use crate::{
    data_folder::DataFolder,
    identity::{Role, UserChange, first_admin, read_users, write_user},
    policy::{Action, Permission, Policy},
    secret::Secret,
    store::Store,
    units::Network,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a user. The password comes from a prompt, or from standard input.
    Add(Add),
    /// List the users of the database.
    List,
    /// Change the password of a user. It comes from a prompt, or from standard input.
    SetPassword(Name),
    /// Disable a user.
    Disable(Name),
    /// Enable a disabled user.
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
    /// admin (all permissions) or user (watch all streams).
    #[arg(long)]
    role: Option<Role>,
    /// Permission: ACTION, ACTION:PATH or ACTION:~REGEXP, such as publish:front/door. Can be repeated.
    #[arg(long = "allow", value_name = "ACTION[:PATH]", value_parser = permission)]
    permissions: Vec<Permission>,
    /// Address or network from which the user can sign in; by default all. Can be repeated.
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
    // Without its lock, because a running server applies the changes of this command.
    let folder = DataFolder::open(&settings.data_dir).map_err(cannot)?;
    let store = Store::open(&folder.database()).map_err(cannot)?;
    first_admin::adopt(&settings.auth, &store).map_err(cannot)?;
    let file = Policy::new(&settings.auth)?;
    let write = |name: &str, change: UserChange| {
        if file.is_in_file(name) {
            return Err(format!("user {name} is defined in sidecar.yml; change it there"));
        }
        write_user(&store, name, &change).map_err(cannot)
    };
    let require = |name: &str| match store.user(name).map_err(cannot)? {
        Some(_) => Ok(()),
        None if file.is_in_file(name) => Err(format!("user {name} is defined in sidecar.yml; change it there")),
        None => Err(format!("there is no user {name} in the database")),
    };
    match command {
        Command::List => list(&store),
        Command::Add(Add { name, role, permissions, ips }) => {
            if store.user(&name).map_err(cannot)?.is_some() {
                return Err(format!("user {name} exists already"));
            }
            if role.is_none() && permissions.is_empty() {
                return Err("--role or --allow is required: without them the user has no permissions".into());
            }
            let password = Some(Secret::new(password::read_new()?));
            let (permissions, ips) = (Some(permissions), Some(ips));
            write(&name, UserChange { pass: password, role, permissions, ips, ..UserChange::default() })?;
            println!("user {name} was made");
            Ok(())
        }
        Command::SetPassword(Name { name }) => {
            require(&name)?;
            let password = Some(Secret::new(password::read_new()?));
            write(&name, UserChange { pass: password, ..UserChange::default() })?;
            println!("the password of {name} was changed");
            Ok(())
        }
        Command::Disable(Name { name }) => {
            require(&name)?;
            write(&name, UserChange { disabled: Some(true), ..UserChange::default() })?;
            println!("user {name} was disabled");
            Ok(())
        }
        Command::Enable(Name { name }) => {
            require(&name)?;
            write(&name, UserChange { disabled: Some(false), ..UserChange::default() })?;
            println!("user {name} was enabled");
            Ok(())
        }
        Command::Remove(Name { name }) => {
            require(&name)?;
            store.delete_user(&name).map_err(cannot)?;
            println!("user {name} was removed");
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
        if user.must_change_password {
            line.push_str("\tmust set a password");
        }
        if let Some(reason) = &user.damaged {
            line.push_str(&format!("\tdamaged: {reason}"));
        }
        println!("{line}");
    }
    Ok(())
}
