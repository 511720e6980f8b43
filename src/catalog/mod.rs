//! The catalog: which stream a name means, and which producer makes its pictures.
//!
//! A name is, in this order: a stream that exists (defined in `sidecar.yml`, by the API or by an upload), a stream of ours
//! that a path of MediaMTX leads back to, or a path of MediaMTX that is read while it is watched. The catalog does not ask
//! the policy: a caller is authorized before it comes here.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod definitions;
mod parents;
mod points;
mod relay;
mod renaming;
mod snapshots;
mod titles;
mod topics;
mod trial;
mod uploads;

use std::{collections::BTreeMap, sync::Arc};

pub use self::{
    definitions::{Members, invalid},
    relay::mediamtx_reader,
    uploads::Upload,
};
use self::{relay::Relay, titles::Titles};
use crate::{
    error::{Code, Error, Result},
    mediamtx::{Client, PathCache},
    producer::{Definition, ProducerContext, StreamDefinition},
    store::Store,
    stream::{Demand, Origin, Registry, Stream, StreamName, Watch},
};

/// Finds, makes, defines and removes streams. Cheap to clone.
#[derive(Clone)]
pub struct Catalog(Arc<Inner>);

struct Inner {
    registry: Registry,
    context: ProducerContext,
    store: Store,
    /// The definitions of `sidecar.yml`, which the API cannot change.
    file: BTreeMap<StreamName, StreamDefinition>,
    relay: Relay,
    titles: Titles,
    /// Held while a definition is changed.
    defining: tokio::sync::Mutex<()>,
}

/// A caller whose request can make a stream: by a recipe, or because a path of MediaMTX leads to one.
#[derive(Clone, Debug)]
pub struct Requester {
    /// The holder of the quota ([`Caller::quota_holder`](crate::policy::Caller::quota_holder)).
    pub share: String,
    /// False for a request that a page of another web site caused: it watches what exists, and makes nothing.
    pub may_make: bool,
}

/// What a catalog is built from.
pub struct CatalogParts {
    /// The streams.
    pub registry: Registry,
    /// What producers share.
    pub context: ProducerContext,
    /// The database of definitions.
    pub store: Store,
    /// The definitions of `sidecar.yml`.
    pub file: BTreeMap<StreamName, StreamDefinition>,
    /// MediaMTX's control API.
    pub mediamtx: Client,
    /// MediaMTX's paths.
    pub path_cache: PathCache,
    /// `limits.pulled_paths`: paths of MediaMTX that are read at a time.
    pub relayed_paths: usize,
    /// The base URLs at which MediaMTX reaches us by RTSP and by HTTP.
    pub advertised: [String; 2],
}

impl Catalog {
    /// An empty catalog; [`Catalog::restore`] fills it.
    pub fn new(parts: CatalogParts) -> Self {
        let CatalogParts { registry, context, store, file, mediamtx, path_cache, relayed_paths, advertised } = parts;
        let relay = Relay::new(mediamtx, path_cache, relayed_paths, advertised);
        let inner = Arc::new(Inner {
            registry,
            context,
            store,
            file,
            relay,
            titles: Titles::default(),
            defining: tokio::sync::Mutex::default(),
        });
        // Weak: the catalog owns the context.
        let weak = Arc::downgrade(&inner);
        inner.context.rtsp.set_own_stream(Box::new(move |path| {
            let catalog = weak.upgrade().map(Catalog);
            Box::pin(async move { catalog?.own_stream_at(&path).await })
        }));
        let weak = Arc::downgrade(&inner);
        inner.context.parents.set_matching(Box::new(move |pattern| {
            let catalog = weak.upgrade().map(Catalog);
            Box::pin(async move {
                match catalog {
                    Some(catalog) => catalog.matching(&pattern).await,
                    None => vec![],
                }
            })
        }));
        let weak = Arc::downgrade(&inner);
        inner.context.parents.set_find(Box::new(move |name, child| {
            let catalog = weak.upgrade().map(Catalog);
            Box::pin(async move {
                let ending = || Error::new(Code::Unavailable, "the server is shutting down");
                catalog.ok_or_else(ending)?.parent(&name, &child).await
            })
        }));
        Catalog(inner)
    }

    /// The streams themselves.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// What producers share.
    pub fn context(&self) -> &ProducerContext {
        &self.0.context
    }

    /// Checks a name against the grammar of MediaMTX's path names and `limits.name_length`.
    pub fn name(&self, text: &str) -> Result<StreamName> {
        self.0.registry.name(text)
    }

    /// Watches a stream, or MediaMTX's path of that name. The policy's answer for the name is also what MediaMTX would be
    /// told, so the caller needs no second permission.
    pub async fn watch(&self, name: &StreamName, demand: Demand, by: &Requester) -> Result<Watch> {
        self.0.registry.traces().cause_by_request(name);
        for _ in 0..ATTEMPTS {
            if let Ok(watch) = self.find_or_relay(name, by).await?.watch_for(demand) {
                return Ok(watch);
            }
        }
        Err(being_removed())
    }

    /// Watches a stream of ours. `recipe` makes the stream if there is none, as the original program's addresses do;
    /// without it an unknown name is an error. Paths of MediaMTX are left out: MediaMTX itself asks here, by RTSP.
    pub fn watch_own(&self, name: &StreamName, recipe: Option<&Definition>, by: &Requester) -> Result<Watch> {
        self.0.registry.traces().cause_by_request(name);
        self.0.registry.watch(|| match recipe {
            Some(definition) => self.requested(name, definition, by),
            None => self.0.registry.find(name),
        })
    }

    /// Checks that a recipe could make this stream, without making or starting anything.
    pub fn check_recipe(&self, name: &StreamName, recipe: &Definition) -> Result<()> {
        match self.0.registry.get(name) {
            Some(stream) => of_kind(stream, recipe).map(drop),
            None => recipe.producer(name, &self.0.context).map(drop),
        }
    }

    /// The stream, made of the definition for a publisher if there is none of that name. A stream of another kind is a
    /// conflict.
    fn stream_of_kind(&self, name: &StreamName, definition: &Definition, origin: Origin) -> Result<Arc<Stream>> {
        let Inner { registry, context, .. } = &*self.0;
        let mut stream = registry.get_or_create(name, origin, || definition.producer(name, context))?;
        if stream.origin() == Origin::MediaMtx {
            // A definition replaces a path of MediaMTX that is only read while it is watched.
            stream = registry.define(name, origin, definition.producer(name, context)?)?;
        }
        of_kind(stream, definition)
    }

    /// The same for a watcher, whose request makes the stream if there is none of that name.
    fn requested(&self, name: &StreamName, definition: &Definition, by: &Requester) -> Result<Arc<Stream>> {
        let Inner { registry, context, .. } = &*self.0;
        let present = registry.get(name).filter(|stream| stream.origin() != Origin::MediaMtx);
        if present.is_none() && !by.may_make {
            let message = format!(
                "a page of another web site cannot make the stream {name}, which does not exist; define it, or open this \
                 address directly"
            );
            return Err(Error::new(Code::CrossSite, message));
        }
        let mut stream = registry.get_or_request(name, &by.share, || definition.producer(name, context))?;
        if stream.origin() == Origin::MediaMtx {
            stream = registry.define(name, Origin::Pull, definition.producer(name, context)?)?;
        }
        of_kind(stream, definition)
    }
}

/// The stream, if it has the kind of the definition.
fn of_kind(stream: Arc<Stream>, definition: &Definition) -> Result<Arc<Stream>> {
    let kind = stream.kind();
    if kind != definition.kind() {
        let (name, needed) = (stream.name(), definition.kind());
        let message = format!("stream {name} is of kind {kind}, and this needs one of kind {needed}");
        return Err(Error::new(Code::KindConflict, message));
    }
    Ok(stream)
}

/// A stream that expires between look-up and use is looked up again, this many times in all.
const ATTEMPTS: usize = 3;

fn being_removed() -> Error {
    Error::new(Code::Unavailable, "the stream is being removed; try again")
}
