//! [`Demand`]: what watchers need, so that a producer can skip work.

use tokio::sync::watch;

/// How many pictures a watcher needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A picture now and then, as snapshots do. A producer can skip expensive work in between.
    Single,
    /// Every picture, as it arrives.
    Continuous,
}

/// The combined demand of all watchers.
#[derive(Debug)]
pub(super) struct Demands {
    continuous: usize,
    combined: watch::Sender<Demand>,
}

impl Demands {
    pub(super) fn new() -> Self {
        Demands { continuous: 0, combined: watch::Sender::new(Demand::Single) }
    }

    pub(super) fn add(&mut self, demand: Demand) {
        self.continuous += usize::from(demand == Demand::Continuous);
        self.update();
    }

    pub(super) fn remove(&mut self, demand: Demand) {
        self.continuous -= usize::from(demand == Demand::Continuous);
        self.update();
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Demand> {
        self.combined.subscribe()
    }

    fn update(&self) {
        let demand = if self.continuous > 0 { Demand::Continuous } else { Demand::Single };
        self.combined.send_if_modified(|combined| std::mem::replace(combined, demand) != demand);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_continuous_watcher_makes_the_demand_continuous() {
        let mut demands = Demands::new();
        let mut combined = demands.subscribe();
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
            assert_eq!(combined.has_changed().expect("there"), is_news);
            assert_eq!(*combined.borrow_and_update(), expected);
        }
    }
}
