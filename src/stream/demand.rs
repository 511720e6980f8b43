//! What those who watch need, for producers that can save themselves work.

use tokio::sync::watch;

/// How much of a stream somebody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A picture, and perhaps another one later: snapshots. A producer may leave out whatever costs much.
    Single,
    /// Every picture, as it comes.
    Continuous,
}

/// The demand of all watchers together.
#[derive(Debug)]
pub(super) struct Demands {
    continuous: usize,
    told: watch::Sender<Demand>,
}

impl Demands {
    pub(super) fn new() -> Self {
        Demands { continuous: 0, told: watch::Sender::new(Demand::Single) }
    }

    pub(super) fn add(&mut self, demand: Demand) {
        self.continuous += usize::from(demand == Demand::Continuous);
        self.tell();
    }

    pub(super) fn remove(&mut self, demand: Demand) {
        self.continuous -= usize::from(demand == Demand::Continuous);
        self.tell();
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Demand> {
        self.told.subscribe()
    }

    fn tell(&self) {
        let demand = if self.continuous > 0 { Demand::Continuous } else { Demand::Single };
        self.told.send_if_modified(|told| std::mem::replace(told, demand) != demand);
    }
}
