//! [`Connections`]: the open connections of one listener, with a bound that addresses share.
//!
//! A connection is either *served*, while the server works for it, or *waits* for its peer: for a head, for a body, or
//! for a full socket to drain. Each wait has an end. When all places are taken, connections that wait make room: first
//! those of the address that has the most, and of these the ones that have waited longest. So an attacker with many
//! idle connections displaces itself, and a client with few is served.
//!
//! Time is counted in ticks of one second, by one task for all connections: a timer for each connection would be reset
//! with every request.

use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::{Duration, MissedTickBehavior, interval, sleep};

use crate::units::host_network;

/// The unit of all deadlines here.
pub const TICK: Duration = Duration::from_secs(1);

/// When all places are taken, one in this many makes room at once, so that a flood does not search the table for each
/// of its connections.
const ROOM: usize = 64;

/// Connections that one pass ends at most. To close a thousand at once would hold up all others of their thread.
const AT_ONCE: usize = 64;

/// Pause between two passes while there are more.
const PAUSE: Duration = Duration::from_millis(20);

/// One in this many places is kept for the addresses in [`Connections::new`]'s `kept_for`.
const KEPT: usize = 16;

/// The connections of one listener. Cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    max: usize,
    most_of_one: usize,
    exempt: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    ticks: AtomicU32,
    next: AtomicU64,
    table: Mutex<Table>,
    ended: [AtomicU64; Cause::ALL.len()],
}

#[derive(Default)]
struct Table {
    open: HashMap<u64, Arc<Entry>>,
    by_address: HashMap<IpAddr, usize>,
}

/// A place that is taken. Dropping it frees the place.
pub struct Place {
    id: u64,
    entry: Arc<Entry>,
    all: Connections,
}

struct Entry {
    address: IpAddr,
    /// The tick at which the connection ends if its peer does not move; [`SERVED`] while the server works for it.
    due: AtomicU32,
    /// The tick since which it waits.
    since: AtomicU32,
    ended: AtomicBool,
    waker: AtomicWaker,
}

/// [`Entry::due`] of a connection that the server works for.
const SERVED: u32 = u32::MAX;

/// The tick that is `ticks` whole ticks from now.
fn due(now: u32, ticks: u32) -> u32 {
    now.saturating_add(ticks).saturating_add(1).min(SERVED - 1)
}

/// Why the server ended or refused a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its peer did not move in time.
    Late,
    /// It waited, and made room for another.
    Displaced,
    /// All places were taken, and no connection waited.
    Full,
    /// Its address has its share of the places.
    AddressFull,
}

impl Cause {
    /// All causes.
    pub const ALL: [Cause; 4] = [Cause::Late, Cause::Displaced, Cause::Full, Cause::AddressFull];

    /// The label in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Late => "late",
            Cause::Displaced => "displaced",
            Cause::Full => "full",
            Cause::AddressFull => "address_full",
        }
    }
}

impl Connections {
    /// At most `max` connections, and at most `most_of_one` of one address. The limit for one address does not apply to
    /// `exempt` addresses, and the last sixteenth of the places is kept for them: this machine, MediaMTX, and reverse
    /// proxies, behind which all clients are.
    pub fn new(max: usize, most_of_one: usize, exempt: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Connections(Arc::new(Inner {
            max: max.max(1),
            most_of_one: most_of_one.max(1),
            exempt: Box::new(exempt),
            ticks: AtomicU32::new(0),
            next: AtomicU64::new(0),
            table: Mutex::default(),
            ended: Default::default(),
        }))
    }

    /// Takes a place for a connection from `ip`, which waits for its peer for `ticks` from now. The error says why there is
    /// none.
    pub fn take(&self, ip: IpAddr, ticks: u32) -> Result<Place, Cause> {
        let inner = &self.0;
        let (address, is_exempt) = (host_network(ip), (inner.exempt)(ip));
        let max = if is_exempt { inner.max } else { inner.max - inner.max / KEPT };
        let now = inner.ticks.load(Relaxed);
        let entry = Arc::new(Entry {
            address,
            due: AtomicU32::new(due(now, ticks)),
            since: AtomicU32::new(now),
            ended: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        let mut table = inner.table.lock();
        let of_address = table.by_address.get(&address).copied().unwrap_or_default();
        if of_address >= inner.most_of_one && !is_exempt {
            let displaced = table.displace((inner.most_of_one / ROOM).max(1), |entry| entry.address == address);
            self.count(Cause::Displaced, displaced);
            if displaced == 0 {
                return Err(self.count(Cause::AddressFull, 1));
            }
        }
        if table.open.len() >= max {
            let displaced = table.displace((inner.max / ROOM).max(1), |_| true);
            self.count(Cause::Displaced, displaced);
            // A displaced connection keeps its descriptor until its task has run, which it does next. Half of the spare
            // descriptors of the process are for these.
            if displaced == 0 {
                return Err(self.count(Cause::Full, 1));
            }
        }
        let id = inner.next.fetch_add(1, Relaxed);
        table.open.insert(id, entry.clone());
        *table.by_address.entry(address).or_default() += 1;
        drop(table);
        Ok(Place { id, entry, all: self.clone() })
    }

    /// Open connections.
    pub fn open(&self) -> usize {
        self.0.table.lock().open.len()
    }

    /// Connections that were ended or refused, by cause.
    pub fn ended(&self, cause: Cause) -> u64 {
        self.0.ended[cause as usize].load(Relaxed)
    }

    /// Counts time, and ends connections whose wait has lasted too long. Runs until the program ends; it can be started
    /// again after a panic.
    pub async fn run(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.0.ticks.fetch_add(1, Relaxed);
            while self.end_late() {
                sleep(PAUSE).await;
            }
        }
    }

    /// Ends connections whose wait has lasted too long. True if there can be more of them.
    fn end_late(&self) -> bool {
        let now = self.0.ticks.load(Relaxed);
        let mut table = self.0.table.lock();
        let late = table.open.iter().filter(|(_, entry)| entry.due.load(Relaxed) <= now).map(|(id, _)| *id);
        let late: Vec<u64> = late.take(AT_ONCE).collect();
        for id in &late {
            table.end(*id);
        }
        drop(table);
        self.count(Cause::Late, late.len());
        late.len() == AT_ONCE
    }

    fn count(&self, cause: Cause, times: usize) -> Cause {
        self.0.ended[cause as usize].fetch_add(times as u64, Relaxed);
        cause
    }
}

impl Table {
    /// Ends up to `most` connections that wait and that `may` names: those of the address with the most connections first,
    /// of these the ones that have waited longest. Returns how many.
    fn displace(&mut self, most: usize, may: impl Fn(&Entry) -> bool) -> usize {
        let waiting = self.open.iter().filter(|(_, entry)| entry.due.load(Relaxed) != SERVED && may(entry));
        let of_address = |entry: &Entry| self.by_address.get(&entry.address).copied().unwrap_or_default();
        let mut waiting: Vec<_> =
            waiting.map(|(id, entry)| (std::cmp::Reverse(of_address(entry)), entry.since.load(Relaxed), *id)).collect();
        let most = most.min(waiting.len());
        if most == 0 {
            return 0;
        }
        waiting.select_nth_unstable(most - 1);
        for (_, _, id) in &waiting[..most] {
            self.end(*id);
        }
        most
    }

    /// Ends a connection. Its place is free at once.
    fn end(&mut self, id: u64) {
        if let Some(entry) = self.open.get(&id).cloned() {
            self.forget(id);
            entry.ended.store(true, Relaxed);
            entry.waker.wake();
        }
    }

    fn forget(&mut self, id: u64) {
        let Some(entry) = self.open.remove(&id) else { return };
        if let Some(count) = self.by_address.get_mut(&entry.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&entry.address);
            }
        }
    }
}

impl Place {
    /// The server works for the connection: it has no deadline, and is not displaced.
    pub fn serve(&self) {
        self.entry.due.store(SERVED, Relaxed);
    }

    /// The connection waits for its peer, for `ticks` from now at most.
    pub fn wait(&self, ticks: u32) {
        let now = self.all.0.ticks.load(Relaxed);
        self.entry.since.store(now, Relaxed);
        self.entry.due.store(due(now, ticks), Relaxed);
    }

    /// Ends the connection and wakes its task.
    pub fn end(&self) {
        self.entry.ended.store(true, Relaxed);
        self.entry.waker.wake();
    }

    /// Whether the connection was ended. If not, the task is woken when it is.
    pub fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.entry.waker.register(cx.waker());
        if self.entry.ended.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until the connection is ended. One task at a time can wait.
    pub async fn ended(&self) {
        poll_fn(|cx| self.poll_ended(cx)).await;
    }

    /// Whether the connection was ended.
    pub fn is_ended(&self) -> bool {
        self.entry.ended.load(Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.0.table.lock().forget(self.id);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({} of {})", self.id, self.entry.address)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connections({} of {})", self.open(), self.0.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Connections {
        fn tick(&self) {
            self.0.ticks.fetch_add(1, Relaxed);
            while self.end_late() {}
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn connections(max: usize, most_of_one: usize) -> Connections {
        Connections::new(max, most_of_one, |ip| ip.is_loopback())
    }

    #[test]
    fn a_wait_ends_at_its_tick_and_a_served_connection_has_no_deadline() {
        let all = connections(10, 10);
        let places: Vec<_> = (0..3).map(|_| all.take(ip("192.0.2.1"), 2).expect("free")).collect();
        places[1].serve();
        all.tick();
        places[2].wait(2);
        all.tick();
        assert!(places.iter().all(|place| !place.is_ended()));
        all.tick();
        assert_eq!(places.iter().map(Place::is_ended).collect::<Vec<_>>(), [true, false, false]);
        all.tick();
        assert_eq!(places.iter().map(Place::is_ended).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!((all.open(), all.ended(Cause::Late)), (1, 2));
        drop(places);
        assert_eq!(all.open(), 0);
    }

    #[test]
    fn the_address_with_the_most_connections_makes_room_and_begins_with_the_oldest() {
        let all = connections(16, 16);
        let few: Vec<_> = (0..5).map(|_| all.take(ip("192.0.2.1"), 90).expect("free")).collect();
        all.tick();
        let many: Vec<_> = (0..10).map(|_| all.take(ip("192.0.2.2"), 90).expect("free")).collect();
        many[0].serve();
        many[1].wait(90);
        all.tick();
        many[2].wait(90);
        let newcomer = all.take(ip("192.0.2.3"), 90).expect("room is made");
        assert!(few.iter().all(|place| !place.is_ended()) && !newcomer.is_ended());
        let ended: Vec<_> = many.iter().enumerate().filter(|(_, place)| place.is_ended()).map(|(n, _)| n).collect();
        assert_eq!((ended.len(), all.open(), all.ended(Cause::Displaced)), (1, 15, 1));
        assert!(ended[0] != 0 && ended[0] != 2, "the first is served, and the third moved last: {ended:?}");
    }

    #[test]
    fn without_a_waiting_connection_a_newcomer_is_refused_and_this_machine_has_places_left() {
        let all = connections(16, 100);
        let served = |place: Place| {
            place.serve();
            place
        };
        let held: Vec<_> = (0..15).map(|_| served(all.take(ip("192.0.2.1"), 9).expect("free"))).collect();
        assert_eq!(all.take(ip("192.0.2.3"), 9).err(), Some(Cause::Full));
        let local = all.take(ip("127.0.0.1"), 9).expect("this machine has a place");
        assert_eq!((all.open(), all.ended(Cause::Full)), (16, 1));
        drop((held, local));
    }

    #[test]
    fn one_address_gets_its_share_and_replaces_its_own() {
        let all = connections(100, 2);
        let first = all.take(ip("2001:db8::1"), 9).expect("free");
        let second = all.take(ip("2001:db8::2"), 9).expect("free");
        let third = all.take(ip("2001:db8::3"), 9).expect("one of the same /64 makes room");
        assert_eq!([&first, &second, &third].iter().filter(|place| place.is_ended()).count(), 1);
        second.serve();
        first.serve();
        third.serve();
        assert_eq!(all.take(ip("2001:db8::4"), 9).err(), Some(Cause::AddressFull));
        assert!(all.take(ip("2001:db8:0:1::4"), 9).is_ok(), "another /64");
        let local: Vec<_> = (0..5).map(|_| all.take(ip("127.0.0.1"), 9)).collect();
        assert!(local.iter().all(Result::is_ok), "the limit of one address does not apply to this machine");
    }

    #[tokio::test]
    async fn the_task_of_an_ended_connection_is_woken() {
        let all = connections(1, 1);
        let place = all.take(ip("127.0.0.1"), 1).expect("free");
        let waiting = tokio::spawn(async move { place.ended().await });
        tokio::task::yield_now().await;
        all.tick();
        all.tick();
        all.tick();
        waiting.await.expect("it is woken");
    }
}
