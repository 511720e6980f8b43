//! Renaming a stream, and all that refers to it by its name: other streams, kept paths, publications by MQTT, permissions of users.

use regex::Regex;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalog::Catalog,
    error::Result,
    identity::{Identity, UserChange},
    mqtt::Subject,
    mqtt_publish::Publisher,
    paths::{self, Paths},
    policy::Permission,
    stream::StreamName,
};

/// What a reference is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Referrer {
    /// The definition of another stream.
    Stream,
    /// A kept path of MediaMTX.
    Path,
    /// A publication by MQTT.
    Publication,
    /// The permissions of a user.
    User,
    /// A token, which cannot be changed: what it contains is signed.
    Token,
    /// A share link, which cannot be changed.
    Share,
}

/// Something that refers to the stream by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reference {
    /// What it is part of.
    pub kind: Referrer,
    /// The name of the stream, path, user, token or share.
    pub name: String,
}

/// What a new name means for what refers to the stream.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Renamed {
    /// What follows.
    pub changed: Vec<Reference>,
    /// What cannot be changed here, and names a stream that no longer exists: sidecar.yml, tokens, share links, regular expressions.
    pub left: Vec<Reference>,
}

impl Renamed {
    fn note(&mut self, can_change: bool, kind: Referrer, name: impl ToString) {
        let list = if can_change { &mut self.changed } else { &mut self.left };
        list.push(Reference { kind, name: name.to_string() });
    }
}

/// The parts that can refer to a stream.
pub struct Renaming<'a> {
    /// Streams.
    pub catalog: &'a Catalog,
    /// Kept paths.
    pub paths: &'a Paths,
    /// Publications by MQTT.
    pub publisher: &'a Publisher,
    /// Users, tokens and shares.
    pub identity: &'a Identity,
    /// `mediamtx.path_prefix`: permissions can name the stream's path at MediaMTX, too.
    pub path_prefix: &'a str,
}

impl Renaming<'_> {
    /// Gives a stream another name. Its watchers are disconnected. With `dry_run` nothing is changed.
    pub async fn rename(&self, from: &StreamName, to: &StreamName, dry_run: bool) -> Result<Renamed> {
        self.catalog.check_renaming(from, to).await?;
        let mut renamed = Renamed::default();
        if !dry_run {
            self.catalog.copy_as(from, to).await?;
        }
        for referring in self.catalog.referring(from, to).await? {
            renamed.note(!referring.is_fixed, Referrer::Stream, &referring.name);
            if !dry_run && !referring.is_fixed {
                self.catalog.define(&referring.name, &referring.definition).await?;
            }
        }
        self.paths(from, to, dry_run, &mut renamed).await?;
        self.publications(from, to, dry_run, &mut renamed).await?;
        self.permissions(from, to, dry_run, &mut renamed).await?;
        if !dry_run {
            self.catalog.remove(from).await?;
        }
        Ok(renamed)
    }

    async fn paths(&self, from: &StreamName, to: &StreamName, dry_run: bool, renamed: &mut Renamed) -> Result<()> {
        for path in self.paths.list().await {
            if !matches!(&path.wanted.kind, paths::Kind::Stream { stream } if stream == from) {
                continue;
            }
            renamed.note(true, Referrer::Path, &path.name);
            if !dry_run {
                let changes = [("stream".to_owned(), to.to_string().into())];
                self.paths.patch(&path.name, changes.into_iter().collect()).await?;
            }
        }
        Ok(())
    }

    async fn publications(
        &self,
        from: &StreamName,
        to: &StreamName,
        dry_run: bool,
        renamed: &mut Renamed,
    ) -> Result<()> {
        let named = self.publisher.list().into_iter();
        for publication in named.filter(|one| one.pattern.is_none() && one.name == **from) {
            renamed.note(!publication.is_from_file, Referrer::Publication, &publication.name);
            if !dry_run && !publication.is_from_file {
                self.publisher.put(&Subject::Name(to.clone()), publication.publication).await?;
                self.publisher.remove(&Subject::Name(from.clone())).await?;
            }
        }
        Ok(())
    }

    async fn permissions(
        &self,
        from: &StreamName,
        to: &StreamName,
        dry_run: bool,
        renamed: &mut Renamed,
    ) -> Result<()> {
        let names = Names { from, to, prefix: self.path_prefix };
        for user in self.identity.users().await? {
            if !names.concern(&user.permissions) {
                continue;
            }
            let after = names.exchanged(&user.permissions);
            let can_change = user.origin != "file" && !names.concern(&after);
            renamed.note(can_change, Referrer::User, &user.name);
            if !dry_run && after != user.permissions && user.origin != "file" {
                let change = UserChange { permissions: Some(after), ..UserChange::default() };
                self.identity.put_user(&user.name, change).await?;
            }
        }
        for token in self.identity.tokens().await?.into_iter().filter(|token| !token.revoked) {
            if names.concern(&token.permissions) {
                renamed.note(false, Referrer::Token, &token.name);
            }
        }
        for share in self.identity.shares().await?.into_iter().filter(|share| !share.revoked) {
            if names.concern(&share.permissions) {
                renamed.note(false, Referrer::Share, &share.label);
            }
        }
        Ok(())
    }
}

/// The two names, as permissions have them.
struct Names<'a> {
    from: &'a str,
    to: &'a str,
    prefix: &'a str,
}

impl Names<'_> {
    /// The forms of a name: itself, its path at MediaMTX, and the regular expression for both, as pages write it.
    fn forms(&self, name: &str) -> [String; 3] {
        let (prefix, literal) = (regex::escape(self.prefix), regex::escape(name));
        [name.to_owned(), format!("{}/{name}", self.prefix), format!("~^({prefix}/)?{literal}$")]
    }

    /// The permissions with the new name.
    fn exchanged(&self, permissions: &[Permission]) -> Vec<Permission> {
        let (before, after) = (self.forms(self.from), self.forms(self.to));
        let exchange = |permission: &Permission| {
            let found = before.iter().position(|form| Some(form) == permission.path.as_ref());
            let path = found.and_then(|i| after.get(i)).cloned().or_else(|| permission.path.clone());
            Permission { path, ..permission.clone() }
        };
        permissions.iter().map(exchange).collect()
    }

    /// Whether one of the permissions is for the old name and not for the new one.
    fn concern(&self, permissions: &[Permission]) -> bool {
        permissions.iter().filter_map(|permission| permission.path.as_deref()).any(|path| {
            let matches = |name: &str| match path.strip_prefix('~') {
                Some(pattern) => Regex::new(pattern).is_ok_and(|regex| regex.is_match(name)),
                None => path == name,
            };
            let of = |name: &str| matches(name) || matches(&format!("{}/{name}", self.prefix));
            of(self.from) && !of(self.to)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Action;

    #[test]
    fn permissions_follow_the_name_and_its_path_and_leave_other_patterns() {
        let names = Names { from: "front/door.1", to: "porch", prefix: "pictures" };
        let of = |path: &str| [Permission::on(Action::Read, path)];
        for (before, after) in [
            ("front/door.1", "porch"),
            ("pictures/front/door.1", "pictures/porch"),
            (r"~^(pictures/)?front/door\.1$", "~^(pictures/)?porch$"),
        ] {
            assert!(names.concern(&of(before)), "{before}");
            assert_eq!(names.exchanged(&of(before)), of(after), "{before}");
            assert!(!names.concern(&of(after)), "{after}");
        }
        assert!(names.concern(&of("~^front/")), "a pattern for several streams cannot follow");
        assert_eq!(names.exchanged(&of("~^front/")), of("~^front/"));
        for path in ["~.", "front/door", "yard"] {
            assert!(!names.concern(&of(path)), "{path}");
        }
        assert!(!names.concern(&[Permission::everywhere(Action::Read)]));
    }
}
