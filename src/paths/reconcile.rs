//! Doing what the plan says, and noticing what has happened to MediaMTX in the meantime.

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
    error::{Code, Error, Result},
    events::Kind,
    mediamtx::{Client, Fields, Info},
    store::paths::AppliedRow,
};

/// How often MediaMTX is looked at: a reload of its file shows in nothing else.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How soon what was written is looked at: it is in effect a moment after it was answered.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// Writes at a time. MediaMTX does one after the other, but asks us about each of them.
const AT_A_TIME: usize = 4;

/// What was refused is tried again after this, and twice as long each time.
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A path that is set right so often in a row and never stays so is somebody else's as well.
const MAX_CORRECTIONS: u32 = 3;

impl Paths {
    /// Keeps MediaMTX at what is wanted, until the program ends.
    pub async fn keep(&self) {
        let mut was_away = false;
        loop {
            let pause = match self.pass().await {
                Ok(done) => {
                    if std::mem::take(&mut was_away) {
                        tracing::info!("MediaMTX answers again");
                    }
                    if done { LOOK_AGAIN } else { LOOK_EVERY }
                }
                Err(e) => {
                    self.0.seen.lock().error = Some(e.to_string());
                    // Where nobody wants a path, nobody needs to know.
                    if !std::mem::replace(&mut was_away, true) && !self.wanted().is_empty() {
                        tracing::warn!("paths cannot be seen to: {}", e.chain());
                    }
                    LOOK_EVERY
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// Compares once, and does what is missing. Says whether something was done.
    pub async fn pass(&self) -> Result<bool> {
        let info = self.0.mediamtx.info().await?;
        {
            let mut seen = self.0.seen.lock();
            *seen = super::Seen { info: Some(info.clone()), error: None };
        }
        let definitions = self.wanted();
        let rows = self.0.store.run(|store| store.applied_paths()).await?;
        if definitions.is_empty() && rows.is_empty() {
            return Ok(false);
        }
        let actual = self.0.mediamtx.configured_paths().await?;
        let actual: HashMap<_, _> =
            actual.into_iter().filter_map(|path| Some((path.get("name")?.as_str()?.to_owned(), path))).collect();
        // Another MediaMTX has nothing from us, and one that has read its file again has forgotten it.
        let (ours, forgotten): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.started == info.started && actual.contains_key(&row.name));
        let forgotten: Vec<_> = forgotten.into_iter().map(|row| row.name).collect();
        let ours: HashMap<_, Fields> =
            ours.into_iter().filter_map(|row| Some((row.name, serde_json::from_str(&row.fields).ok()?))).collect();
        let wanted = definitions.iter().filter(|(_, wanted)| wanted.enabled);
        let wanted = wanted.map(|(name, wanted)| (name.clone(), wanted.fields(&self.0.advertise_rtsp))).collect();
        let findings = plan(&wanted, &actual, &ours);
        let steps = self.note(findings);
        let (has, has_not) = self.carry_out(steps, &wanted, &info).await?;
        let done = !has.is_empty() || !has_not.is_empty();
        let has_not: Vec<_> =
            has_not.into_iter().chain(forgotten).filter(|name| !has.iter().any(|row| row.name == *name)).collect();
        if !has.is_empty() || !has_not.is_empty() {
            self.0.store.run(move |store| store.note_applied_paths(&has, &has_not)).await?;
        }
        Ok(done)
    }

    /// Notes where paths stand, and returns what is to be done now.
    fn note(&self, findings: std::collections::BTreeMap<String, Finding>) -> Vec<(String, Step)> {
        let mut progress = self.0.progress.lock();
        let mut steps = vec![];
        for (name, finding) in findings {
            let path = progress.entry(name.clone()).or_default();
            let before = path.condition;
            match finding {
                Finding::Same => *path = Progress { condition: Condition::Applied, ..Progress::default() },
                Finding::Conflict(differs) => {
                    let error = "MediaMTX has a path of that name from elsewhere (mediamtx.yml?), and it is different";
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
                        path.error = Some("somebody else changes it back each time".into());
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
                self.tell(&name, path);
            }
        }
        steps
    }

    fn tell(&self, name: &str, path: &Progress) {
        let data = serde_json::json!({"state": path.condition, "error": path.error, "differs": path.differs});
        self.0.events.tell(Kind::PathDrift, name, data);
    }

    /// Does it. Returns what MediaMTX has from us now, and what it has no more.
    async fn carry_out(
        &self,
        steps: Vec<(String, Step)>,
        wanted: &std::collections::BTreeMap<String, Fields>,
        info: &Info,
    ) -> Result<(Vec<AppliedRow>, Vec<String>)> {
        let turns = Arc::new(Semaphore::new(AT_A_TIME));
        let mut writes = JoinSet::new();
        for (name, step) in steps {
            let (turns, mediamtx) = (turns.clone(), self.0.mediamtx.clone());
            writes.spawn(async move {
                let _turn = turns.acquire_owned().await;
                let done = write(&mediamtx, &name, &step).await;
                (name, step, done)
            });
        }
        let (mut has, mut has_not, mut away) = (vec![], vec![], None);
        while let Some(written) = writes.join_next().await {
            let Ok((name, step, done)) = written else { continue };
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
                        if matches!(step, Step::Add(_)) { "added to" } else { "set right at" }
                    );
                    let fields = wanted.get(&name).map(|fields| serde_json::Value::Object(fields.clone()).to_string());
                    has.push(AppliedRow { name, started: info.started.clone(), fields: fields.unwrap_or_default() });
                }
                Err(e) if e.code() == Code::MediaMtxRefuses => {
                    let path = progress.entry(name.clone()).or_default();
                    if path.error.as_deref() != Some(&e.to_string()) {
                        tracing::warn!(path = name, "{e}");
                    }
                    let before = std::mem::replace(&mut path.condition, Condition::Refused);
                    path.error = Some(e.to_string());
                    if before != Condition::Refused {
                        self.tell(&name, path);
                    }
                    let pause = SHORTEST_PAUSE * 2_u32.saturating_pow(path.refusals.min(10));
                    path.refusals += 1;
                    path.next_try = Instant::now() + pause.min(LONGEST_PAUSE);
                }
                // Nothing about this path; what was done until now is noted, and the rest is for the next time.
                Err(e) => away = Some(e),
            }
        }
        match away {
            Some(e) if has.is_empty() && has_not.is_empty() => Err(e),
            _ => Ok((has, has_not)),
        }
    }
}

async fn write(mediamtx: &Client, name: &str, step: &Step) -> Result<()> {
    let gone = || Error::new(Code::MediaMtxAway, "the path has gone in the same moment");
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
