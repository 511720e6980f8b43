//! Definitions of streams: from `sidecar.yml`, from the API, and implied by uploads.

use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use super::{Catalog, parents::circle_in};
use crate::{
    error::{Code, Error, Result},
    producer::{Definition, StreamDefinition},
    secret,
    store::{Store, shared::OnConflict},
    stream::{Origin, Stream, StreamName},
};

/// The members of a definition as JSON.
pub type Members = Map<String, Value>;

impl Catalog {
    /// Makes the streams of `sidecar.yml`, of the database, and of the pictures that were uploaded before the restart. Fails
    /// on the first error of the file. A damaged row of the database is logged and left there, so that it can be repaired.
    pub fn restore(&self) -> Result<()> {
        let super::Inner { registry, context, store, file, .. } = &*self.0;
        if let Some(circle) = circle_in(file) {
            return Err(Error::new(Code::InvalidDefinition, format!("streams: {circle}")));
        }
        for (name, definition) in file {
            let producer = definition
                .producer(name, context)
                .map_err(|e| Error::new(Code::InvalidDefinition, format!("streams.{name}: {e}")))?;
            registry.define(name, Origin::File, producer)?;
            self.0.titles.set(name, definition.title());
        }
        for (name, text) in store.streams()? {
            let restored = StreamName::parse(&name).and_then(|name| {
                if registry.get(&name).is_some() {
                    // sidecar.yml defines the name now, and has precedence.
                    return Ok(());
                }
                let definition = parse(&text)?;
                registry.define(&name, Origin::Api, definition.producer(&name, context)?)?;
                self.0.titles.set(&name, definition.title());
                Ok(())
            });
            if let Err(e) = restored {
                tracing::error!(stream = name, "the stream cannot be restored: {}", e.chain());
            }
        }
        for name in context.uploads.names() {
            let producer = || Definition::upload().producer(&name, context);
            if let Err(e) = registry.get_or_create(&name, Origin::Upload, producer) {
                tracing::error!(stream = %name, "the uploaded picture cannot be restored: {}", e.chain());
            }
        }
        for name in context.numbers.names() {
            if registry.get(&name).is_some_and(|stream| stream.kind() != Definition::graph().kind()) {
                context.numbers.forget(&name);
                continue;
            }
            let producer = || Definition::graph().producer(&name, context);
            if let Err(e) = registry.get_or_create(&name, Origin::Upload, producer) {
                tracing::error!(stream = %name, "the graph cannot be restored: {}", e.chain());
            }
        }
        Ok(())
    }

    /// The definition of a stream. A stream that an upload made has one, too. Fails if the stored definition is damaged.
    pub async fn definition(&self, name: &StreamName) -> Result<Option<StreamDefinition>> {
        if let Some(definition) = self.0.file.get(name) {
            return Ok(Some(definition.clone()));
        }
        if let Some(text) = self.stored(name).await? {
            return parse(&text).map(Some).map_err(|e| {
                Error::new(Code::Internal, format!("the stored definition of {name} is damaged; put or delete it"))
                    .caused_by(e.to_string())
            });
        }
        let stream = self.0.registry.get(name);
        let made = |made: &Definition| stream.as_ref().is_some_and(|stream| stream.kind() == made.kind());
        Ok([Definition::upload(), Definition::graph()].into_iter().find(made).map(Into::into))
    }

    async fn stored(&self, name: &StreamName) -> Result<Option<String>> {
        let key = name.to_string();
        self.0.store.run(move |store| store.stream(&key)).await
    }

    /// Defines a stream, or redefines it while its watchers stay, and stores the definition. Members that are `***` keep
    /// their stored value. With `only_new` a stream that exists is refused. `check` can refuse the definition for its caller. Returns
    /// whether the stream is new.
    pub async fn put(
        &self,
        name: &StreamName,
        members: Members,
        only_new: bool,
        check: impl AsyncFnOnce(&StreamDefinition) -> Result<()>,
    ) -> Result<(bool, Arc<Stream>, StreamDefinition)> {
        let present = match self.stored(name).await? {
            // A damaged definition is replaced; its secrets are lost.
            Some(text) => parse(&text).ok(),
            None => self.definition(name).await?,
        };
        let definition = with_hidden(members, present.as_ref())?;
        check(&definition).await?;
        let (is_new, stream) = self.define_if(name, &definition, only_new).await?;
        Ok((is_new, stream, definition))
    }

    /// Changes members of a definition (JSON merge patch, RFC 7396): null restores a default. `check` as in [`Catalog::put`].
    pub async fn patch(
        &self,
        name: &StreamName,
        changes: Members,
        check: impl AsyncFnOnce(&StreamDefinition) -> Result<()>,
    ) -> Result<(Arc<Stream>, StreamDefinition)> {
        let present = self.definition(name).await?;
        let present = present.ok_or_else(|| Error::new(Code::UnknownStream, format!("no stream {name} is defined")))?;
        let mut merged = members(&present)?;
        for (key, value) in changes {
            // Stored definitions have `interval`; `every` is its alias and would otherwise stand beside it.
            let key = if key == "every" { "interval".to_owned() } else { key };
            if value.is_null() { drop(merged.remove(&key)) } else { drop(merged.insert(key, value)) }
        }
        let definition = with_hidden(merged, Some(&present))?;
        check(&definition).await?;
        let (_, stream) = self.define(name, &definition).await?;
        Ok((stream, definition))
    }

    /// Stores a definition and then defines the stream, so that no stream runs which the next start does not know. Returns
    /// whether the stream is new.
    pub async fn define(&self, name: &StreamName, definition: &StreamDefinition) -> Result<(bool, Arc<Stream>)> {
        self.define_if(name, definition, false).await
    }

    async fn define_if(
        &self,
        name: &StreamName,
        definition: &StreamDefinition,
        only_new: bool,
    ) -> Result<(bool, Arc<Stream>)> {
        self.refuse_if_from_file(name)?;
        let producer = definition.producer(name, &self.0.context)?;
        let text = Value::Object(members(definition)?).to_string();
        // One at a time: of two definitions of a name, the stored one is the one that runs.
        let _turn = self.0.defining.lock().await;
        self.refuse_circle(name, definition).await?;
        let is_new = self.0.registry.get(name).is_none();
        if only_new && !is_new {
            let message = format!("name: a stream {name} exists already");
            return Err(Error::new(Code::PreconditionFailed, message).in_field("name"));
        }
        let key = name.to_string();
        let store = &self.0.store;
        let before = store.change(OnConflict::Refuse, move |store| replace(store, &key, Some(&text))).await?;
        let present = self.0.registry.get(name).filter(|_| {
            // A camera is not asked anew for a title. That of a graph is drawn, and in its settings.
            let old = before.as_deref().and_then(|text| parse(text).ok());
            old.is_some_and(|old| old.title != definition.title && old.with_title(&definition.title) == *definition)
        });
        let defined = match present {
            Some(stream) => Ok(stream),
            None => self.0.registry.define(name, Origin::Api, producer),
        };
        if defined.is_err() {
            // `limits.streams`, or the end of the program.
            let key = name.to_string();
            store.change(OnConflict::Refuse, move |store| replace(store, &key, before.as_deref())).await?;
        }
        let stream = defined?;
        self.0.titles.set(name, definition.title());
        if stream.kind() != Definition::graph().kind() {
            self.0.context.numbers.forget(name);
        }
        Ok((is_new, stream))
    }

    /// Removes a stream, its definition and its stored picture. Watchers are disconnected. A stream of `sidecar.yml` is
    /// refused.
    pub async fn remove(&self, name: &StreamName) -> Result<()> {
        self.0.registry.find(name)?;
        self.refuse_if_from_file(name)?;
        let _turn = self.0.defining.lock().await;
        let key = name.to_string();
        self.0.store.change(OnConflict::Refuse, move |store| store.delete_stream(&key)).await?;
        self.forget(name);
        Ok(())
    }

    /// Runs the definition that another node of a cluster has stored, or removes the stream whose definition it has deleted.
    pub async fn follow(&self, name: &str) -> Result<()> {
        let name = StreamName::parse(name)?;
        if self.0.file.contains_key(&name) {
            return Ok(());
        }
        let _turn = self.0.defining.lock().await;
        let Some(text) = self.stored(&name).await? else {
            if self.0.registry.get(&name).is_some_and(|stream| stream.origin() == Origin::Api) {
                self.forget(&name);
            }
            return Ok(());
        };
        let definition = parse(&text)?;
        self.0.registry.define(&name, Origin::Api, definition.producer(&name, &self.0.context)?)?;
        self.0.titles.set(&name, definition.title());
        Ok(())
    }

    fn forget(&self, name: &StreamName) {
        self.0.registry.remove(name, "it was deleted");
        self.0.titles.set(name, "");
        self.0.context.uploads.forget(name);
        self.0.context.numbers.forget(name);
    }

    fn refuse_if_from_file(&self, name: &StreamName) -> Result<()> {
        if self.0.file.contains_key(name) {
            let message = format!("stream {name} is defined in sidecar.yml; change it there");
            return Err(Error::new(Code::FixedByFile, message));
        }
        Ok(())
    }
}

/// Stores a definition, or deletes it, and returns the one before.
fn replace(store: &Store, name: &str, definition: Option<&str>) -> Result<Option<String>> {
    let before = store.stream(name)?;
    match definition {
        Some(text) => store.put_stream(name, text)?,
        None => store.delete_stream(name)?,
    }
    Ok(before)
}

fn parse(text: &str) -> Result<StreamDefinition> {
    serde_json::from_str(text).map_err(invalid)
}

/// The members of a definition, with secrets as they are.
fn members(definition: &StreamDefinition) -> Result<Members> {
    match secret::to_stored_json(definition) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Error::new(Code::Internal, "a definition is not an object")),
        Err(e) => Err(Error::internal("the definition cannot be written", e)),
    }
}

/// Replaces each `***`, also those in the parameters of a URL, with the stored value, so that a definition that was shown can be sent back.
pub(super) fn with_hidden(mut wanted: Members, present: Option<&StreamDefinition>) -> Result<StreamDefinition> {
    let stored = present.map(members).transpose()?.unwrap_or_default();
    for (key, value) in wanted.iter_mut().filter(|(_, value)| *value == secret::HIDDEN) {
        *value = stored.get(key).cloned().ok_or_else(|| {
            Error::new(Code::InvalidDefinition, format!("{key}: *** stands for a stored secret, and none is stored"))
        })?;
    }
    if let Some(Value::String(url)) = wanted.get_mut("url")
        && secret::has_hidden(url)
    {
        let before = stored.get("url").and_then(Value::as_str).unwrap_or_default();
        *url = secret::restored_url(url, before).ok_or_else(|| {
            let message = "url: *** stands for a stored secret of the same host, and none is stored; write the secret";
            Error::new(Code::InvalidDefinition, message).in_field("url")
        })?;
    }
    // A caller that sends the secret to another host must know it.
    let host = |members: &Members| {
        let url = members.get("url").and_then(Value::as_str).and_then(|url| Url::parse(url).ok());
        url.map(|url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port()))
    };
    let pass = stored.get("pass").filter(|pass| *pass != "");
    if pass.is_some() && wanted.get("pass") == pass && host(&stored) != host(&wanted) {
        let message = "pass: must be written out when url leads to another host";
        return Err(Error::new(Code::InvalidDefinition, message).in_field("pass"));
    }
    serde_json::from_value(Value::Object(wanted)).map_err(invalid)
}

/// The error of a definition that serde refuses.
pub fn invalid(e: serde_json::Error) -> Error {
    let message = match e.classify() {
        serde_json::error::Category::Data => e.to_string(),
        _ => format!("the body is not JSON: {e}"),
    };
    Error::new(Code::InvalidDefinition, message)
}
