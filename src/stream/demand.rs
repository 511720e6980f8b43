//! [`Demand`]: what watchers need, so that a producer can skip work.

use tokio::sync::watch;

/// How many pictures a watcher needs, in the order of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// None but for lists: the watcher reads the coded video. A picture in ten seconds is enough.
    Rare,
    /// A picture now and then, as snapshots do. A producer can skip expensive work in between.
    Single,
    /// Every picture, as it arrives.
    Continuous,
}

/// The form in which a watcher needs pictures, so that a producer that decodes video makes no JPEG that no watcher reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JPEG.
    Jpeg,
    /// Planes where the producer has them, to make another picture of; otherwise JPEG.
    Raster,
}

/// The forms that the watchers need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forms {
    /// Whether a watcher needs JPEG.
    pub jpeg: bool,
    /// Whether a watcher needs planes.
    pub raster: bool,
}

/// The combined demand of all watchers.
#[derive(Debug)]
pub(super) struct Demands {
    /// Watchers of each demand.
    watchers: [usize; 3],
    /// Watchers that need JPEG, and planes.
    forms: [usize; 2],
    combined: watch::Sender<Demand>,
}

impl Demands {
    pub(super) fn new() -> Self {
        Demands { watchers: [0; 3], forms: [0; 2], combined: watch::Sender::new(Demand::Single) }
    }

    pub(super) fn forms(&self) -> Forms {
        Forms { jpeg: self.forms[Form::Jpeg as usize] > 0, raster: self.forms[Form::Raster as usize] > 0 }
    }

    pub(super) fn add_form(&mut self, form: Form) {
        self.forms[form as usize] += 1;
    }

    pub(super) fn remove_form(&mut self, form: Form) {
        self.forms[form as usize] -= 1;
    }

    pub(super) fn add(&mut self, demand: Demand) {
        self.watchers[demand as usize] += 1;
        self.update();
    }

    pub(super) fn remove(&mut self, demand: Demand) {
        self.watchers[demand as usize] -= 1;
        self.update();
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Demand> {
        self.combined.subscribe()
    }

    fn update(&self) {
        let [rare, single, continuous] = self.watchers;
        let demand = match continuous > 0 {
            true => Demand::Continuous,
            false if rare > 0 && single == 0 => Demand::Rare,
            false => Demand::Single,
        };
        self.combined.send_if_modified(|combined| std::mem::replace(combined, demand) != demand);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watcher_that_needs_most_makes_the_demand() {
        let mut demands = Demands::new();
        let mut combined = demands.subscribe();
        for (add, demand, expected, is_news) in [
            (true, Demand::Single, Demand::Single, false),
            (true, Demand::Continuous, Demand::Continuous, true),
            (true, Demand::Continuous, Demand::Continuous, false),
            (false, Demand::Single, Demand::Continuous, false),
            (false, Demand::Continuous, Demand::Continuous, false),
            (false, Demand::Continuous, Demand::Single, true),
            (true, Demand::Rare, Demand::Rare, true),
            (true, Demand::Single, Demand::Single, true),
            (true, Demand::Continuous, Demand::Continuous, true),
            (false, Demand::Single, Demand::Continuous, false),
            (false, Demand::Continuous, Demand::Rare, true),
            (false, Demand::Rare, Demand::Single, true),
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
