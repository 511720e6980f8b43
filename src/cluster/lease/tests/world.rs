//! Three nodes and a store of records, with a network between them that delays and loses messages.

use std::collections::BTreeMap;

use tokio::time::Duration;

use super::super::*;

pub const NODES: usize = 3;
pub const STREAMS: [&str; 2] = ["yard", "door"];
const STEP: Duration = Duration::from_millis(100);

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What happens to a node from a second on.
#[derive(Clone, Debug)]
pub enum Blow {
    Kill(usize),
    Restart(usize),
    CutOff(usize),
    Heal(usize),
    Unwant(usize),
    Want(usize),
    Drain(usize),
    /// JetStream has no leader: writes fail.
    NoLeader(u64),
    /// Watches deliver late.
    Lag(usize, u64),
    LoseStorage,
}

/// A message on its way.
struct Mail {
    at: Instant,
    to: usize,
    life: u64,
    event: Event,
}

pub struct Node {
    pub table: Table,
    is_alive: bool,
    is_cut_off: bool,
    lag: Duration,
    life: u64,
    /// The clock of this node is this much ahead of that of the server.
    pub ahead: Duration,
    pub is_draining: bool,
    pub roles: BTreeMap<String, Role>,
    last_sign: Instant,
    /// By its own clock.
    next_tick: Instant,
}

pub struct World {
    pub now: Instant,
    pub nodes: Vec<Node>,
    records: BTreeMap<Key, (u64, Option<Value>)>,
    revision: u64,
    mail: Vec<Mail>,
    pub no_leader_until: Instant,
    /// A small generator of delays: proptest gives the seed, so that a failing case is repeated.
    dice: u64,
    /// Whether gone nodes are told.
    pub tells_gone: bool,
    /// Whether nothing is lost or late.
    pub is_calm: bool,
}

impl World {
    pub fn new(seed: u64, ahead: &[u64], tells_gone: bool) -> Self {
        let now = Instant::now();
        let node = |(n, ahead): (usize, &u64)| Node {
            table: Table::new(format!("n{n}"), 1000 * (n as u64 + 1), Times::default()),
            is_alive: true,
            is_cut_off: false,
            lag: Duration::ZERO,
            life: 0,
            ahead: secs(*ahead),
            is_draining: false,
            roles: BTreeMap::new(),
            last_sign: now,
            next_tick: now,
        };
        let nodes = ahead.iter().enumerate().map(node).collect();
        let mut world = World {
            now,
            nodes,
            records: BTreeMap::new(),
            revision: 0,
            mail: vec![],
            no_leader_until: now,
            dice: seed | 1,
            tells_gone,
            is_calm: false,
        };
        for n in 0..NODES {
            world.begin(n);
        }
        world
    }

    fn roll(&mut self, below: u64) -> u64 {
        if self.is_calm {
            return below - 1;
        }
        // xorshift64
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % below
    }

    /// The time at which a message arrives.
    fn delay(&mut self, n: usize) -> Instant {
        let most = if self.roll(20) == 0 { 2500 } else { 60 };
        let lag = self.nodes[n].lag;
        self.now + lag + Duration::from_millis(self.roll(most))
    }

    fn begin(&mut self, n: usize) {
        for stream in STREAMS {
            self.feed(n, Event::Want { stream: stream.into(), can_run: true });
        }
        self.sync(n);
    }

    /// Delivers all records, as a watch does when it begins.
    fn sync(&mut self, n: usize) {
        self.feed(n, Event::Anew);
        for (key, (revision, value)) in self.records.clone() {
            self.feed(n, Event::Seen { key, revision, value, is_read: false });
        }
        self.feed(n, Event::Synced);
    }

    fn post(&mut self, n: usize, event: Event) {
        let at = self.delay(n);
        // What a watch delivers stays in order.
        let after = self.mail.iter().filter(|mail| mail.to == n && is_watch(&mail.event) && is_watch(&event));
        let at = after.map(|mail| mail.at).fold(at, Instant::max);
        let life = self.nodes[n].life;
        self.mail.push(Mail { at, to: n, life, event });
    }

    fn feed(&mut self, n: usize, event: Event) {
        let now = self.now + self.nodes[n].ahead;
        let actions = self.nodes[n].table.on(event, now);
        // As the fleet does it.
        self.nodes[n].next_tick = self.nodes[n].table.next_tick(now).min(now + secs(1));
        for action in actions {
            match action {
                Action::Role { stream, role } => drop(self.nodes[n].roles.insert(stream, role)),
                Action::Read(key) if !self.nodes[n].is_cut_off => {
                    let (revision, value) = self.records.get(&key).cloned().unwrap_or_default();
                    self.post(n, Event::Seen { key, revision, value, is_read: true });
                }
                Action::Read(_) => {}
                Action::Write(write) => self.write(n, write),
            }
        }
    }

    fn write(&mut self, n: usize, Write { key, value, expected, attempt }: Write) {
        let is_lost = self.nodes[n].is_cut_off || self.now < self.no_leader_until || self.roll(40) == 0;
        if is_lost {
            if self.roll(2) == 0 {
                self.post(n, Event::Answer { key, attempt, answer: Answer::Failed });
            }
            return;
        }
        let present = self.records.get(&key).map_or(0, |(revision, _)| *revision);
        let answer = if present == expected {
            self.revision += 1;
            self.records.insert(key.clone(), (self.revision, Some(value.clone())));
            for to in 0..NODES {
                let event = Event::Seen {
                    key: key.clone(),
                    revision: self.revision,
                    value: Some(value.clone()),
                    is_read: false,
                };
                if self.nodes[to].is_alive && !self.nodes[to].is_cut_off {
                    self.post(to, event);
                }
            }
            Answer::Written(self.revision)
        } else {
            Answer::Refused
        };
        // An answer can be lost though the write was accepted.
        if self.roll(40) != 0 {
            self.post(n, Event::Answer { key, attempt, answer });
        }
    }

    pub fn strike(&mut self, blow: &Blow) {
        match *blow {
            Blow::Kill(n) => {
                let node = &mut self.nodes[n];
                (node.is_alive, node.life) = (false, node.life + 1);
                node.roles.clear();
            }
            Blow::Restart(n) if !self.nodes[n].is_alive => {
                let run = 1000 * (n as u64 + 1) + 100 * self.nodes[n].life;
                let node = &mut self.nodes[n];
                node.table = Table::new(format!("n{n}"), run, Times::default());
                node.next_tick = self.now + node.ahead;
                (node.is_alive, node.is_cut_off, node.is_draining) = (true, false, false);
                self.begin(n);
            }
            Blow::CutOff(n) => self.nodes[n].is_cut_off = true,
            Blow::Heal(n) => {
                self.nodes[n].is_cut_off = false;
                if self.nodes[n].is_alive {
                    self.sync(n);
                }
            }
            Blow::Unwant(n) if self.nodes[n].is_alive => {
                // Its producer has ended.
                self.nodes[n].roles.remove(STREAMS[0]);
                self.feed(n, Event::Unwant(STREAMS[0].into()));
            }
            Blow::Want(n) if self.nodes[n].is_alive => {
                self.feed(n, Event::Want { stream: STREAMS[0].into(), can_run: true });
            }
            Blow::Drain(n) if self.nodes[n].is_alive => {
                self.nodes[n].is_draining = true;
                self.feed(n, Event::Drain);
            }
            Blow::NoLeader(seconds) => self.no_leader_until = self.now + secs(seconds),
            Blow::Lag(n, seconds) => self.nodes[n].lag = secs(seconds),
            Blow::LoseStorage => {
                self.records.clear();
                self.revision = 0;
                self.mail.retain(|mail| !is_watch(&mail.event));
                for n in 0..NODES {
                    if self.nodes[n].is_alive && !self.nodes[n].is_cut_off {
                        self.sync(n);
                    }
                }
            }
            _ => {}
        }
    }

    /// Goes on for this long.
    pub fn pass(&mut self, duration: Duration, check: &mut dyn FnMut(&World)) {
        let end = self.now + duration;
        while self.now < end {
            self.now += STEP;
            let (due, later): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.mail).into_iter().partition(|mail| mail.at <= self.now);
            self.mail = later;
            for Mail { to, life, event, .. } in due {
                let node = &self.nodes[to];
                if node.is_alive && node.life == life && !node.is_cut_off {
                    self.feed(to, event);
                }
            }
            for n in 0..NODES {
                if !self.nodes[n].is_alive {
                    continue;
                }
                if !self.nodes[n].is_cut_off {
                    self.nodes[n].last_sign = self.now;
                }
                let gone = (0..NODES).filter(|other| self.now > self.nodes[*other].last_sign + secs(3));
                for other in gone.collect::<Vec<_>>() {
                    if self.tells_gone && !self.nodes[n].is_cut_off {
                        self.feed(n, Event::Gone(format!("n{other}")));
                    }
                }
                self.tick(n);
            }
            check(self);
        }
    }

    /// Tells the node the time if it wants to know it.
    fn tick(&mut self, n: usize) {
        let now = self.now + self.nodes[n].ahead;
        if now >= self.nodes[n].next_tick {
            self.feed(n, Event::Tick);
            assert!(self.nodes[n].next_tick > now, "a tick is not due again at once");
        }
    }

    pub fn believers(&self, stream: &str) -> Vec<usize> {
        let believes = |n: &usize| {
            let node = &self.nodes[*n];
            node.is_alive && node.table.holds(stream, self.now + node.ahead)
        };
        (0..NODES).filter(believes).collect()
    }

    pub fn runners(&self, stream: &str) -> usize {
        // A node that drains runs its producer until the next one has a picture.
        let runs = |node: &&Node| {
            node.is_alive && !node.is_draining && matches!(node.roles.get(stream), Some(Role::Holder { .. }))
        };
        self.nodes.iter().filter(runs).count()
    }
}

fn is_watch(event: &Event) -> bool {
    matches!(event, Event::Seen { is_read: false, .. })
}
