//! `mtx-sidecar user`: changes the users of the database, or those of the cluster. A running sidecar applies the changes within a second.

use std::{path::Path, sync::Arc, time::Duration};

use clap::{Args, Subcommand};

use super::{Outcome, load, password};
use crate::{
    cluster::Cluster,
    data_folder::DataFolder,
    error::Result,
    identity::{Role, UserChange, first_admin, read_users, write_user},
    policy::{Action, Permission, Policy},
    secret::Secret,
    settings::Settings,
    store::{Store, shared::OnConflict},
    units::Network,
};

/// How long a command waits for the cluster's NATS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("the runtime cannot be started: {e}"))?;
    // Without its lock, because a running server applies the changes of this command.
    let folder = DataFolder::open(&settings.data_dir).map_err(cannot)?;
    let store = match settings.cluster.is_on() {
        true => runtime.block_on(of_cluster(&settings)).map_err(cannot)?,
        false => {
            let store = Store::open(&folder.database()).map_err(cannot)?;
            first_admin::adopt(&settings.auth, &store).map_err(cannot)?;
            store
        }
    };
    let file = Policy::new(&settings.auth)?;
    let write = |name: &str, change: UserChange| {
        if file.is_in_file(name) {
            return Err(format!("user {name} is defined in sidecar.yml; change it there"));
        }
        let name = name.to_owned();
        let write = store.change(OnConflict::Refuse, move |store| write_user(store, &name, &change));
        runtime.block_on(write).map_err(cannot)
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
            let key = name.clone();
            let delete = store.change(OnConflict::Refuse, move |store| store.delete_user(&key));
            runtime.block_on(delete).map_err(cannot)?;
            println!("user {name} was removed");
            Ok(())
        }
    }
}

/// The state of the cluster in a database of its own. That of this node is written by its server.
async fn of_cluster(settings: &Settings) -> Result<Store> {
    let store = Store::in_memory()?;
    let cluster = Cluster::open(&settings.cluster, &settings.data_dir, &store).await?;
    if let Some(cluster) = cluster {
        cluster.connection().wait(CONNECT_TIMEOUT).await?;
        cluster.mirror().synchronize().await?;
        store.share(Arc::new(cluster.mirror().clone()))?;
    }
    Ok(store)
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
