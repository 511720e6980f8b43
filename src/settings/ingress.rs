//! Settings of ingress: a proxy that has signed its users in, as Home Assistant's Supervisor has.

use serde::{Deserialize, Serialize};

use crate::{
    policy::{Action, Permission, Rule, User},
    units::Network,
};

/// Stands for every user in `admins`.
const EVERY: &str = "*";

/// A proxy that has signed its users in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngressSettings {
    /// Addresses of the proxy, whose `X-Remote-User-…` headers count; empty: none.
    pub from: Vec<Network>,
    /// Names or ids of its users who are administrators; `*`: all of them.
    pub admins: Vec<String>,
    /// The permissions of its other users.
    pub permissions: Vec<Permission>,
}

impl Default for IngressSettings {
    fn default() -> Self {
        IngressSettings { from: vec![], admins: vec![], permissions: vec![Permission::everywhere(Action::Read)] }
    }
}

impl IngressSettings {
    /// The permissions of a user with one of these names.
    pub fn permissions_of(&self, names: &[&str]) -> Vec<Permission> {
        let is_admin = |admin: &String| admin == EVERY || names.contains(&admin.as_str());
        if self.admins.iter().any(is_admin) { Permission::all() } else { self.permissions.clone() }
    }

    /// The error of `permissions`, if one of them cannot be used.
    pub(super) fn problem(&self) -> Option<String> {
        let user = User {
            user: Default::default(),
            pass: Default::default(),
            ips: vec![],
            permissions: self.permissions.clone(),
        };
        Rule::compile(&user).err()
    }
}
