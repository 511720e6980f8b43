//! [`Placed`]: a producer that runs on one node of the cluster. The others follow its pictures.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{
    select,
    task::JoinHandle,
    time::{Duration, Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Fleet,
    ask::{Told, Wish},
    follow::{Follow, News, Whom, news_of},
};
use crate::{
    cluster::{OnPartition, chunks::Head, lease::Role},
    error::{Code, Error, Result},
    picture::Picture,
    stream::{FetchFuture, Form, Mode, Producer, ProducerFuture, Run, Stream, StreamName, Watch},
};

/// How long a node that has handed a stream over goes on, at most, until the other node has a picture: less than a service manager waits
/// for the end of a program.
const HAND_OVER: Duration = Duration::from_secs(6);

/// How long a holder whose record was lost goes on, until it has a new one.
const RECORD_LOST: Duration = Duration::from_secs(3);

/// How long a stopped producer can take to end.
const STOP_GRACE: Duration = Duration::from_millis(1500);

/// How long a node that has just been started, or connected again, can take to become a member, before its watchers are told.
const MEMBER_AFTER: Duration = Duration::from_secs(3);

/// A producer, and the nodes that can run it.
pub(super) struct Placed {
    pub(super) inner: Arc<dyn Producer>,
    /// Empty: each node can.
    pub(super) nodes: Vec<String>,
    pub(super) name: StreamName,
    pub(super) fleet: Fleet,
}

impl Producer for Placed {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn mode(&self) -> Mode {
        self.inner.mode()
    }

    fn reloads(&self) -> bool {
        self.inner.reloads()
    }

    fn ages(&self) -> bool {
        self.inner.ages()
    }

    /// Coded video does not travel between nodes.
    fn passes_video(&self) -> bool {
        self.inner.passes_video() && !self.fleet.is_elsewhere(&self.name)
    }

    fn is_steady(&self) -> bool {
        self.inner.is_steady()
    }

    fn moves(&self) -> bool {
        self.inner.moves()
    }

    fn parents(&self) -> Vec<StreamName> {
        self.inner.parents()
    }

    fn hidden(&self) -> Option<Arc<Stream>> {
        self.inner.hidden()
    }

    fn fetch(&self, max_age: Option<Duration>) -> Option<FetchFuture> {
        let node = self.fleet.has_snapshots(&self.name, &self.nodes)?;
        let (fleet, name) = (self.fleet.clone(), self.name.clone());
        Some(Box::pin(async move { fleet.snapshot(&node, &name, max_age).await }))
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let (inner, nodes, fleet) = (self.inner.clone(), self.nodes.clone(), self.fleet.clone());
        Box::pin(async move { Stay::new(inner, nodes, fleet, run).last().await })
    }
}

/// The producer while it runs here.
struct Local {
    task: JoinHandle<Result<()>>,
    stop: CancellationToken,
    epoch: u64,
    /// Whether its pictures are told from those of another node by now.
    is_shown: bool,
    /// When it is stopped because another node has taken over.
    until: Option<Instant>,
}

impl Drop for Local {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

/// One run, in whatever role.
struct Stay {
    inner: Arc<dyn Producer>,
    nodes: Vec<String>,
    fleet: Fleet,
    run: Run,
    can_run: bool,
    /// All pictures of the stream, this node's and those of others.
    seen: Watch,
    local: Option<Local>,
    follow: Option<Follow>,
    /// The number of the last picture of another node.
    followed_seq: u64,
    /// The epoch of the pictures that are shown, if they are of another node.
    shown_epoch: Option<u64>,
    had_picture: bool,
}

impl Stay {
    fn new(inner: Arc<dyn Producer>, nodes: Vec<String>, fleet: Fleet, run: Run) -> Self {
        let can_run = nodes.is_empty() || nodes.contains(&fleet.node());
        let mut seen = run.sink.follow();
        seen.set_form(Form::Raster);
        seen.skip_held();
        Stay {
            inner,
            nodes,
            fleet,
            run,
            can_run,
            seen,
            local: None,
            follow: None,
            followed_seq: 0,
            shown_epoch: None,
            had_picture: false,
        }
    }

    /// Runs or follows until the stream is not watched, or the producer fails.
    async fn last(mut self) -> Result<()> {
        let wanted = self.fleet.leases().want(&self.run.name, self.can_run);
        let (mut role, mut demand, stop) = (wanted.role(), self.run.demand.clone(), self.run.stop.clone());
        let mut alive = self.fleet.alive();
        let end = loop {
            let now = role.borrow_and_update().clone();
            let patience = match self.take_role(&now) {
                Ok(patience) => patience,
                Err(e) => break Err(e),
            };
            // What happens within a role.
            let end = loop {
                let until = self.local.as_ref().and_then(|local| local.until);
                let is_unshown = self.local.as_ref().is_some_and(|local| !local.is_shown);
                select! {
                    () = stop.cancelled() => break Some(Ok(())),
                    changed = role.changed() => break changed.err().map(|_| Ok(())),
                    end = end_of(&mut self.local) => break Some(end),
                    news = news_of(&mut self.follow) => match news {
                        News::Picture(head, jpeg) => self.show(&now, head, jpeg),
                        News::Told(told) => self.report(&told),
                        News::Fault(fault) => self.run.sink.damaged(fault),
                    },
                    frame = self.seen.next(), if is_unshown => match frame {
                        Ok(frame) if frame.seq > self.followed_seq => self.local_shows(frame.seq),
                        Ok(_) => {}
                        Err(_) => break Some(Ok(())),
                    },
                    () = at(until) => self.stop_local(),
                    // One of the nodes that can fetch the pictures may be there now.
                    Ok(()) = alive.changed(), if now == Role::Waiting && !self.can_run => break None,
                    () = at(patience) => break Some(Err(cut_off())),
                    Ok(()) = demand.changed() => {
                        if let Some(follow) = &self.follow {
                            follow.wish(Wish::from(*demand.borrow_and_update()));
                        }
                    }
                }
            };
            if let Some(end) = end {
                break end;
            }
        };
        self.fleet.locals().clear(&self.run.name);
        if let Some(mut local) = self.local.take() {
            local.stop.cancel();
            let _ = timeout(STOP_GRACE, &mut local.task).await;
        }
        // A picture in place of the frozen one says why.
        if let Err(e) = &end
            && e.code() == Code::ClusterUnavailable
            && self.had_picture
        {
            let drawn = self.run.sink.waiting(&e.to_string());
            let _ = drawn.and_then(|picture| self.run.sink.publish(&picture));
        }
        end
    }

    /// Begins what the role asks for. Returns when the node counts as cut off.
    fn take_role(&mut self, role: &Role) -> Result<Option<Instant>> {
        match role {
            Role::Holder { epoch } => self.hold(*epoch),
            Role::Follower { node, handed_over, .. } => {
                match &mut self.local {
                    Some(local) if *handed_over => {
                        local.until.get_or_insert_with(|| Instant::now() + HAND_OVER);
                    }
                    Some(_) => self.stop_local(),
                    None => {}
                }
                self.ask(Some(node.clone()));
            }
            Role::Waiting if self.can_run => {
                if let Some(local) = &mut self.local {
                    local.until.get_or_insert_with(|| Instant::now() + RECORD_LOST);
                    return Ok(None);
                }
                self.run
                    .sink
                    .report_problem("the nodes of the cluster agree on which one of them fetches the pictures");
            }
            Role::Waiting => {
                self.stop_local();
                let node = self.nodes.iter().find(|node| self.fleet.is_alive(node)).cloned();
                if node.is_none() {
                    let reason =
                        format!("none of the nodes that can fetch the pictures is there: {}", self.nodes.join(", "));
                    self.run.sink.report_problem(reason);
                }
                self.ask(node);
            }
            Role::CutOff => return self.cut_off(),
        }
        Ok(None)
    }

    /// No record of a lease can be trusted now.
    fn cut_off(&mut self) -> Result<Option<Instant>> {
        let keeps = self.fleet.on_partition() == OnPartition::Keep && self.can_run;
        let is_others = self.fleet.is_elsewhere(&self.run.name);
        match &self.local {
            Some(_) if keeps => Ok(None),
            Some(_) => {
                self.had_picture = true;
                self.stop_local();
                Err(cut_off())
            }
            None if keeps && !is_others && !self.fleet.has_been_member() => {
                self.hold(0);
                Ok(None)
            }
            None => Ok(Some(Instant::now() + MEMBER_AFTER)),
        }
    }

    fn hold(&mut self, epoch: u64) {
        if let Some(local) = &mut self.local {
            (local.epoch, local.until) = (epoch, None);
            self.fleet.locals().renew(&self.run.name, epoch);
            return;
        }
        let stop = CancellationToken::new();
        let run = Run {
            name: self.run.name.clone(),
            sink: self.run.sink.clone(),
            stop: stop.clone(),
            demand: self.run.demand.clone(),
        };
        let task = tokio::spawn(self.inner.run(run));
        // While pictures of another node arrive, the first one of this node ends them.
        let is_shown = self.follow.is_none();
        if is_shown {
            // The held picture of a camera is of an earlier run; that of a file is the present one.
            let held = self.run.sink.latest().map_or(0, |frame| frame.seq);
            self.fleet.locals().set(
                &self.run.name,
                &self.nodes,
                epoch,
                if self.inner.ages() { held + 1 } else { held },
            );
        }
        self.local = Some(Local { task, stop, epoch, is_shown, until: None });
        if let Some(follow) = &self.follow {
            follow.ask(Whom::NoNode);
        }
    }

    /// The first picture of this node is there.
    fn local_shows(&mut self, seq: u64) {
        if let Some(local) = &mut self.local {
            local.is_shown = true;
            // None while another node takes over already.
            if local.until.is_none() {
                self.follow = None;
                self.shown_epoch = None;
            }
            self.fleet.locals().set(&self.run.name, &self.nodes, local.epoch, seq);
            self.fleet.send_again(&self.run.name);
        }
    }

    fn stop_local(&mut self) {
        let Some(local) = self.local.take() else { return };
        self.fleet.locals().clear(&self.run.name);
        self.had_picture = true;
        tokio::spawn(async move {
            let mut local = local;
            local.stop.cancel();
            let _ = timeout(STOP_GRACE, &mut local.task).await;
        });
    }

    fn ask(&mut self, node: Option<String>) {
        let wish = Wish::from(*self.run.demand.borrow());
        let whom = node.map_or(Whom::NoNode, |node| Whom::Node(node, wish));
        match &self.follow {
            Some(follow) => follow.ask(whom),
            None => {
                let leases = self.fleet.leases().clone();
                let gone = move |node: &str| leases.gone(node);
                let limit = self.fleet.limits().frame_size.bytes();
                self.follow = Some(Follow::start(self.fleet.cluster(), &self.run.name, limit, whom, gone));
            }
        }
    }

    /// Shows a picture of another node.
    fn show(&mut self, role: &Role, head: Head, jpeg: Bytes) {
        let expected = match role {
            Role::Follower { epoch, .. } => Some(*epoch),
            _ => None,
        };
        let is_expected = expected == Some(head.from);
        // The holder before goes on until the next one has a picture.
        let is_handed_over = self.local.as_ref().is_some_and(|local| local.until.is_some());
        let is_shown_one = !is_handed_over && self.shown_epoch.is_none_or(|shown| shown == head.from);
        if !is_expected && !is_shown_one {
            return;
        }
        if is_expected {
            self.stop_local();
        }
        self.shown_epoch = Some(head.from);
        let received_at = Instant::now();
        let picture =
            Picture::from_plain_jpeg(jpeg, self.fleet.limits()).map(|picture| picture.captured_at(head.time()));
        let shown = picture.and_then(|picture| self.run.sink.publish_derived(&picture, received_at));
        match shown {
            Ok(Some(frame)) => (self.followed_seq, self.had_picture) = (frame.seq, true),
            Ok(None) => {}
            Err(e) => self.run.sink.damaged(e.code().as_str()),
        }
    }

    /// Shows what the asked node says of its stream, as long as it sends no pictures.
    fn report(&self, told: &Told) {
        if told.state != "live" && self.local.is_none() && !told.reason.is_empty() {
            self.run.sink.report_problem(told.reason.clone());
        }
    }
}

fn cut_off() -> Error {
    let message = "paused: this node is cut off from its cluster, and another node may fetch the pictures now; it goes on when NATS is back";
    Error::new(Code::ClusterUnavailable, message)
}

/// The end of the producer; waits for ever if none runs here.
async fn end_of(local: &mut Option<Local>) -> Result<()> {
    let Some(running) = local else { return std::future::pending().await };
    let end = (&mut running.task).await;
    *local = None;
    match end {
        Ok(Ok(())) => Err(Error::new(Code::Unavailable, "the producer ended")),
        Ok(Err(e)) => Err(e),
        Err(_) => Err(Error::new(Code::Internal, "the producer crashed (see the log)")),
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}
