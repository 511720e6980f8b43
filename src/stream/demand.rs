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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_watches_continuously_decides_for_all() {
        let mut demands = Demands::new();
        let mut told = demands.subscribe();
        for (add, demand, expected, is_news) in [
            (true, Demand::Single, Demand::Single, false),
            (true, Demand::Continuous, Demand::Continuous, true),
            (true, Demand::Continuous, Demand::Continuous, false),
            (false, Demand::Single, Demand::Continuous, false),
            (false, Demand::Continuous, Demand::Continuous, false),
            (false, Demand::Continuous, Demand::Single, true),
        ] {
            if add {
                demands.add(demand)
            } else {
                demands.remove(demand)
            }
            assert_eq!(told.has_changed().expect("there"), is_news);
            assert_eq!(*told.borrow_and_update(), expected);
        }
    }
}
