//! Numbers of a page of metrics, as Prometheus reads them.

use http::header::{ACCEPT, HeaderValue};
use tokio::time::{Duration, MissedTickBehavior, interval};

use super::{Problem, Settings, refuse};
use crate::{
    error::{Code, Error, Result},
    fetch::{Fetch, Request, Target},
    foreign,
    numbers::{Numbers, Selector, exposition, time},
};

/// Time for the answer, and for each part of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The forms that are read, the plain one first.
const FORMATS: HeaderValue =
    HeaderValue::from_static("text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5, */*;q=0.1");

/// The address of a page, and the metrics that are wanted.
pub(super) struct Page {
    fetch: Fetch,
    target: Target,
    interval: Duration,
    selectors: Vec<Selector>,
}

impl Page {
    /// The page of a definition; none if it has none.
    pub(super) fn of(settings: &Settings, fetch: &Fetch) -> Result<Option<Self>> {
        if settings.url.is_empty() {
            return Ok(None);
        }
        let target = Target::new(&settings.url, &settings.user, &settings.pass, &settings.fingerprint);
        let target = target.map_err(|e| match e.field() {
            Some(field) => Error::new(Code::InvalidDefinition, e.to_string()).in_field(field.to_owned()),
            None => e,
        })?;
        let of_page = settings.series.iter().filter(|entry| entry.topic.is_empty());
        let selectors: Vec<_> = of_page.map(|entry| entry.name.clone()).collect();
        if selectors.is_empty() {
            return Err(refuse("series", "needs the names of metrics of the page, such as node_load1"));
        }
        Ok(Some(Page { fetch: fetch.clone(), target, interval: *settings.interval, selectors }))
    }

    /// Reads the page at each interval until the task is ended.
    pub(super) async fn read_forever(&self, numbers: &Numbers, problem: &Problem) {
        let mut session = self.fetch.session(self.target.clone());
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let mut request = Request::get(PATIENCE);
            request.headers.insert(ACCEPT, FORMATS);
            let read = async {
                let response = session.send(request).await?;
                let status = response.status;
                if !status.is_success() {
                    return Err(Error::new(Code::Upstream, format!("the page of metrics answers with {status}")));
                }
                let page = response.bytes(exposition::MAX_PAGE, PATIENCE).await?;
                Ok(exposition::page(&String::from_utf8_lossy(&page), &self.selectors))
            };
            problem.set(match read.await {
                Ok(samples) if samples.is_empty() => Some(format!(
                    "the page of metrics has none of {}",
                    self.selectors.first().map_or_else(String::new, ToString::to_string)
                )),
                Ok(samples) => {
                    numbers.take(samples, time::now());
                    None
                }
                Err(e) => Some(foreign::shown(&e.to_string()).into_owned()),
            });
        }
    }
}
