//! Carries out the plan, and detects restarts and reloads of MediaMTX.

use std::{collections::HashMap, sync::Arc};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Duration, Instant, sleep},
};

use super::{
    Condition, Paths, Progress,
    plan::{Finding, Step, plan},
};
use crate::{
    backoff::Backoff,
    error::{Code, Error, Result},
    events::Kind,
    mediamtx::{Client, Fields, Info},
    secret,
    store::paths::AppliedRow,
};

/// Interval of the comparison: a reload of MediaMTX's file shows only in its list of paths.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Interval after a change: MediaMTX answers a change before it is in effect.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// Changes at a time. MediaMTX applies one after the other, but sends an auth request for each.
const CONCURRENT: usize = 4;

/// Pauses after a refusal.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
const RETRY: Backoff = Backoff::new(Duration::from_secs(5), LONGEST_PAUSE);

/// Corrections in a row after which a path counts as changed by another program, and is left alone for [`LONGEST_PAUSE`].
const MAX_CORRECTIONS: u32 = 3;

impl Paths {
    /// Compares and corrects until the program ends.
    pub async fn run(&self) {
        // Whether the log has a line that MediaMTX does not answer.
        let mut is_told = false;
        loop {
            let pause = match self.pass().await {
                Ok(done) => {
                    if std::mem::take(&mut is_told) {
                        tracing::info!("MediaMTX answers again");
                    }
                    if done { LOOK_AGAIN } else { LOOK_EVERY }
                }
                Err(e) => {
                    self.0.host.lock().error = Some(e.chain());
                    // Without any definition, MediaMTX is not needed.
                    if !is_told && !self.wanted().is_empty() {
                        is_told = true;
                        tracing::warn!("paths cannot be compared with MediaMTX: {}", e.chain());
                    }
                    LOOK_EVERY
                }
            };
            self.0.compared.send_modify(|count| *count += 1);
            tokio::select! {
                () = sleep(pause) => {}
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// Compares and corrects once. Returns whether something was changed.
    pub async fn pass(&self) -> Result<bool> {
        let info = self.0.mediamtx.info().await?;
        {
            let mut last = self.0.host.lock();
            *last = super::LastAnswer { info: Some(info.clone()), error: None };
        }
        let definitions = self.wanted();
        let rows = self.0.store.run(|store| store.applied_paths()).await?;
        let pull = self.0.pull.get();
        if definitions.is_empty() && rows.is_empty() && pull.is_none() {
            return Ok(false);
        }
        let actual = self.0.mediamtx.configured_paths().await?;
        let actual: HashMap<_, _> =
            actual.into_iter().filter_map(|path| Some((path.get("name")?.as_str()?.to_owned(), path))).collect();
        // A MediaMTX that was started again, or has reloaded its file, has lost the paths of the API.
        let (present, lost): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.started == info.started && actual.contains_key(&row.name));
        let lost: Vec<_> = lost.into_iter().map(|row| row.name).collect();
        let applied: HashMap<_, Fields> = present.into_iter().map(applied_fields).collect();
        let wanted = definitions.iter().filter(|(name, wanted)| wanted.enabled && self.is_here(name, wanted));
        let wanted = wanted.map(|(name, wanted)| (name.clone(), wanted.fields(&self.0.advertise_rtsp)));
        let pull = pull.map(|(name, fields)| ((*name).to_owned(), fields.clone()));
        // A definition of this name counts instead.
        let wanted = pull.into_iter().chain(wanted).collect();
        let findings = plan(&wanted, &actual, &applied);
        let steps = self.note(findings);
        let (has, has_not) = self.carry_out(steps, &wanted, &info).await?;
        let done = !has.is_empty() || !has_not.is_empty();
        let has_not: Vec<_> =
            has_not.into_iter().chain(lost).filter(|name| !has.iter().any(|row| row.name == *name)).collect();
        if !has.is_empty() || !has_not.is_empty() {
            self.0.store.run(move |store| store.note_applied_paths(&has, &has_not)).await?;
        }
        Ok(done)
    }

    /// Stores the state of each path, and returns the changes that are due.
    fn note(&self, findings: std::collections::BTreeMap<String, Finding>) -> Vec<(String, Step)> {
        let mut progress = self.0.progress.lock();
        let mut steps = vec![];
        for (name, finding) in findings {
            let path = progress.entry(name.clone()).or_default();
            let before = path.condition;
            match finding {
                Finding::Same => *path = Progress { condition: Condition::Applied, ..Progress::default() },
                Finding::Conflict(differs) => {
                    let error = "MediaMTX has another path of this name (in mediamtx.yml?) with other settings";
                    *path = Progress {
                        condition: Condition::Conflict,
                        error: Some(error.into()),
                        differs,
                        ..Progress::default()
                    };
                }
                Finding::Differs(step) => {
                    if let Step::Patch(fields) = &step {
                        path.differs = fields.keys().cloned().collect();
                    }
                    if path.corrections >= MAX_CORRECTIONS {
                        path.condition = Condition::Conflict;
                        path.error = Some("another program changes the path back each time".into());
                        path.next_try = path.next_try.max(Instant::now() + LONGEST_PAUSE);
                        path.corrections = 0;
                    }
                    if Instant::now() >= path.next_try {
                        if path.condition == Condition::Applied {
                            path.condition = Condition::Pending;
                        }
                        steps.push((name.clone(), step));
                    }
                }
            }
            if path.condition != before {
                self.report(&name, path);
            }
        }
        steps
    }

    fn report(&self, name: &str, path: &Progress) {
        let data = serde_json::json!({"state": path.condition, "error": path.error, "differs": path.differs});
        self.0.events.tell(Kind::PathDrift, name, data);
    }

    /// Makes the changes. Returns the paths that MediaMTX now has from the sidecar, and the names of removed ones.
    async fn carry_out(
        &self,
        steps: Vec<(String, Step)>,
        wanted: &std::collections::BTreeMap<String, Fields>,
        info: &Info,
    ) -> Result<(Vec<AppliedRow>, Vec<String>)> {
        let permits = Arc::new(Semaphore::new(CONCURRENT));
        let mut writes = JoinSet::new();
        for (name, step) in steps {
            let (permits, mediamtx) = (permits.clone(), self.0.mediamtx.clone());
            writes.spawn(async move {
                let _permit = permits.acquire_owned().await;
                let done = write(&mediamtx, &name, &step).await;
                (name, step, done)
            });
        }
        let (mut has, mut has_not, mut away) = (vec![], vec![], None);
        while let Some(written) = writes.join_next().await {
            let (name, step, done) = match written {
                Ok(written) => written,
                Err(e) => {
                    tracing::error!("a change at MediaMTX was cut off: {e}");
                    continue;
                }
            };
            let mut progress = self.0.progress.lock();
            match done {
                Ok(()) if step == Step::Delete => {
                    progress.remove(&name);
                    tracing::info!(path = name, "removed from MediaMTX");
                    has_not.push(name);
                }
                Ok(()) => {
                    let path = progress.entry(name.clone()).or_default();
                    path.error = None;
                    path.refusals = 0;
                    path.corrections += u32::from(matches!(step, Step::Patch(_)));
                    tracing::info!(
                        path = name,
                        "{} MediaMTX",
                        if matches!(step, Step::Add(_)) { "added to" } else { "corrected at" }
                    );
                    let fields = wanted.get(&name).map(|fields| serde_json::Value::Object(fields.clone()).to_string());
                    has.push(AppliedRow { name, started: info.started.clone(), fields: fields.unwrap_or_default() });
                }
                Err(e) if e.code() == Code::MediaMtxRefuses => {
                    let path = progress.entry(name.clone()).or_default();
                    // MediaMTX repeats the source with its password.
                    let refusal = secret::shown_text(&e.to_string());
                    if path.error.as_deref() != Some(&refusal) {
                        tracing::warn!(path = name, "{refusal}");
                    }
                    let before = std::mem::replace(&mut path.condition, Condition::Refused);
                    path.error = Some(refusal);
                    if before != Condition::Refused {
                        self.report(&name, path);
                    }
                    path.refusals = path.refusals.saturating_add(1);
                    path.next_try = Instant::now() + RETRY.pause_after(path.refusals);
                }
                // The error is not about this path. The changes until now are stored; the next comparison makes the others.
                Err(e) => away = Some(e),
            }
        }
        match away {
            Some(e) if has.is_empty() && has_not.is_empty() => Err(e),
            _ => Ok((has, has_not)),
        }
    }
}

/// The settings that the sidecar has set for a path. Without readable settings, the path still is one of the sidecar, and differs.
fn applied_fields(row: AppliedRow) -> (String, Fields) {
    let fields = serde_json::from_str(&row.fields).unwrap_or_else(|e| {
        tracing::error!(path = row.name, "the stored settings of the path at MediaMTX are damaged: {e}");
        Fields::new()
    });
    (row.name, fields)
}

async fn write(mediamtx: &Client, name: &str, step: &Step) -> Result<()> {
    let gone = || Error::new(Code::MediaMtxAway, "the path was removed at the same time");
    match step {
        Step::Add(fields) => mediamtx.add_path(name, fields).await,
        Step::Patch(fields) => match mediamtx.patch_path(name, fields).await? {
            true => Ok(()),
            false => Err(gone()),
        },
        Step::Replace(fields) => mediamtx.replace_path(name, fields).await,
        Step::Delete => mediamtx.delete_path(name).await.map(drop),
    }
}
