//! A [`watch`] channel for many receivers on few threads.
//!
//! When another thread wakes a task of a [`LocalSet`](tokio::task::LocalSet), it writes to an eventfd. The thread of the `LocalSet` mostly
//! runs that task and sleeps again before the next task is woken, so that a hundred viewers of a camera cost a hundred writes and changes of
//! context for each frame. Receivers on a thread that [shares wake-ups](share_wakeups) have one task in common, the relay: it alone is woken
//! by the other thread, and wakes the receivers from their own thread. While none of them waits, it is not woken either: a client that takes
//! no bytes costs its thread nothing.

use std::{
    cell::RefCell,
    collections::HashMap,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    sync::{
        Notify,
        watch::{self, Ref, error::RecvError},
    },
    task::{spawn_local, yield_now},
};

/// The next number of a channel or a thread.
static NEXT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What receivers on this thread share; none if they are woken by themselves.
    static THREAD: RefCell<Option<Thread>> = const { RefCell::new(None) };
}

/// A thread whose receivers share wake-ups.
struct Thread {
    number: u64,
    /// The relays that run, by the number of their channel.
    relays: HashMap<u64, Wakeups>,
}

/// The end of a relay that wakes its receivers.
#[derive(Clone)]
struct Wakeups {
    sender: watch::Sender<()>,
    waiting: Arc<Waiting>,
}

/// The receivers of a relay that wait.
#[derive(Debug, Default)]
struct Waiting {
    number: AtomicUsize,
    /// The first one has begun.
    begun: Notify,
}

/// A receiver that waits, until it is dropped.
struct Waits<'a>(&'a Waiting);

impl Waiting {
    fn begin(&self) -> Waits<'_> {
        if self.number.fetch_add(1, Ordering::Relaxed) == 0 {
            self.begun.notify_one();
        }
        Waits(self)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.number.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Makes receivers that wait on this thread share a relay for each channel. The thread must run a [`LocalSet`](tokio::task::LocalSet), and
/// they wait within it.
pub fn share_wakeups() {
    THREAD.with_borrow_mut(|thread| {
        thread.get_or_insert_with(|| Thread { number: next_number(), relays: HashMap::new() });
    });
}

fn next_number() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The sending half: a [`watch::Sender`] whose receivers can share wake-ups.
#[derive(Debug)]
pub struct Sender<T> {
    number: u64,
    values: watch::Sender<T>,
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Sender { number: next_number(), values: watch::Sender::default() }
    }
}

impl<T> Deref for Sender<T> {
    type Target = watch::Sender<T>;

    fn deref(&self) -> &Self::Target {
        &self.values
    }
}

impl<T> Sender<T> {
    /// A receiver, which has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { channel: self.number, values: self.values.subscribe(), relay: None }
    }
}

/// The relay of one thread. It ends with its last receiver, or with the channel.
async fn run<T>(_running: Running, mut values: watch::Receiver<T>, wakeups: Wakeups) {
    let Wakeups { sender, waiting } = wakeups;
    loop {
        if waiting.number.load(Ordering::Relaxed) == 0 {
            tokio::select! {
                () = waiting.begun.notified() => continue,
                () = sender.closed() => return,
            }
        }
        tokio::select! {
            changed = values.changed() => if changed.is_err() { return },
            () = sender.closed() => return,
        }
        sender.send_replace(());
        // The receivers run first; those that have to send something do not wait afterwards.
        yield_now().await;
    }
}

/// The entry of a relay that runs. Without it, receivers learn that the channel is closed.
struct Running(u64);

impl Drop for Running {
    fn drop(&mut self) {
        // At the end of the thread there are no entries.
        let _ = THREAD.try_with(|thread| {
            let mut thread = thread.try_borrow_mut().ok()?;
            thread.as_mut()?.relays.remove(&self.0)
        });
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct Receiver<T> {
    channel: u64,
    values: watch::Receiver<T>,
    relay: Option<Relay>,
}

/// What a receiver waits for instead of its channel.
#[derive(Debug)]
struct Relay {
    /// The thread on which it runs.
    thread: u64,
    wakeups: watch::Receiver<()>,
    waiting: Arc<Waiting>,
}

impl<T: 'static> Receiver<T> {
    /// The present value.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.values.borrow()
    }

    /// The present value, which then counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.values.borrow_and_update()
    }

    /// Waits until there can be a value that was not seen yet; fails when the channel is closed. Cancel-safe.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        self.find_relay();
        let Some(Relay { wakeups, waiting, .. }) = &mut self.relay else { return self.values.changed().await };
        let _waits = waiting.begin();
        // In this order: a change after the look is announced after the mark.
        wakeups.mark_unchanged();
        if self.values.has_changed().unwrap_or(true) {
            return self.values.changed().await;
        }
        wakeups.changed().await
    }

    /// Waits until the value passes the test; fails when the channel is closed. Cancel-safe.
    pub async fn wait_for(&self, test: impl FnMut(&T) -> bool) -> Result<(), RecvError> {
        self.values.clone().wait_for(test).await.map(|_| ())
    }

    /// Takes the relay of the present thread. A receiver can wait on another thread than it was made on: a request makes the first watch
    /// of an encoder, which runs elsewhere.
    fn find_relay(&mut self) {
        THREAD.with_borrow_mut(|thread| {
            let Some(Thread { number, relays }) = thread else {
                self.relay = None;
                return;
            };
            if self.relay.as_ref().is_some_and(|relay| relay.thread == *number) {
                return;
            }
            let (wakeups, waiting) = match relays.get(&self.channel) {
                Some(relay) => (relay.sender.subscribe(), relay.waiting.clone()),
                None => {
                    let ((sender, wakeups), waiting) = (watch::channel(()), Arc::<Waiting>::default());
                    let relay = Wakeups { sender, waiting: waiting.clone() };
                    relays.insert(self.channel, relay.clone());
                    spawn_local(run(Running(self.channel), self.values.clone(), relay));
                    (wakeups, waiting)
                }
            };
            self.relay = Some(Relay { thread: *number, wakeups, waiting });
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll, thread};

    use tokio::{
        task::LocalSet,
        time::{Duration, timeout},
    };

    use super::*;

    /// Runs a test on a thread of its own with a `LocalSet` that shares wake-ups.
    fn on_a_server_s_thread<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
        let thread = thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                share_wakeups();
                test().await;
            });
        });
        thread.join().unwrap();
    }

    fn relays() -> usize {
        THREAD.with_borrow(|thread| thread.as_ref().map_or(0, |thread| thread.relays.len()))
    }

    #[test]
    fn each_receiver_sees_the_last_value_that_another_thread_sends() {
        on_a_server_s_thread(|| async {
            let sender = Arc::new(Sender::<u32>::default());
            let readers: Vec<_> = (0..50)
                .map(|_| {
                    let mut receiver = sender.subscribe();
                    spawn_local(async move {
                        let mut last = 0;
                        loop {
                            let value = *receiver.borrow_and_update();
                            assert!(value >= last, "{value} after {last}");
                            last = value;
                            if value == 5000 {
                                return;
                            }
                            receiver.changed().await.unwrap();
                        }
                    })
                })
                .collect();
            yield_now().await;
            assert_eq!(relays(), 1, "all have the same");
            let sending = thread::spawn({
                let sender = sender.clone();
                move || {
                    for value in 1..=5000 {
                        sender.send_replace(value);
                    }
                }
            });
            for reader in readers {
                timeout(Duration::from_secs(60), reader).await.expect("no wake-up is lost").unwrap();
            }
            sending.join().unwrap();
        });
    }

    /// Waits for a value that does not come.
    async fn wait(receiver: &mut Receiver<u32>) {
        let mut changed = pin!(receiver.changed());
        assert!(poll_fn(|context| Poll::Ready(changed.as_mut().poll(context))).await.is_pending());
    }

    #[test]
    fn the_relay_ends_with_its_last_receiver() {
        on_a_server_s_thread(|| async {
            let (one, other) = (Sender::<u32>::default(), Sender::<u32>::default());
            let (mut first, mut second, mut third) = (one.subscribe(), one.subscribe(), other.subscribe());
            assert_eq!(relays(), 0, "before they wait");
            wait(&mut first).await;
            wait(&mut second).await;
            wait(&mut third).await;
            assert_eq!(relays(), 2);
            drop((first, third));
            while relays() > 1 {
                yield_now().await;
            }
            drop(second);
            while relays() > 0 {
                yield_now().await;
            }
            // And one that waits before the relay has noticed keeps it.
            let (mut last, mut next) = (one.subscribe(), one.subscribe());
            wait(&mut last).await;
            yield_now().await;
            drop(last);
            wait(&mut next).await;
            one.send_replace(1);
            next.changed().await.unwrap();
            assert_eq!(*next.borrow_and_update(), 1);
        });
    }

    #[test]
    fn a_relay_sleeps_while_no_receiver_waits() {
        on_a_server_s_thread(|| async {
            let sender = Sender::<u32>::default();
            let mut receiver = sender.subscribe();
            wait(&mut receiver).await;
            let mut wakeups = receiver.relay.as_ref().expect("it has waited").wakeups.clone();
            let passes = async |wakeups: &mut watch::Receiver<()>| {
                for _ in 0..100 {
                    yield_now().await;
                }
                let is_woken = wakeups.has_changed().expect("the relay runs");
                wakeups.mark_unchanged();
                is_woken
            };
            passes(&mut wakeups).await;
            for value in 1..=3 {
                sender.send_replace(value);
                assert!(!passes(&mut wakeups).await, "none waits for {value}");
            }
            receiver.changed().await.unwrap();
            assert_eq!(*receiver.borrow_and_update(), 3);
            passes(&mut wakeups).await;
            let waiting = spawn_local(async move {
                // The relay first announces what it has slept through.
                while *receiver.borrow_and_update() < 4 {
                    receiver.changed().await.unwrap();
                }
            });
            passes(&mut wakeups).await;
            sender.send_replace(4);
            assert!(passes(&mut wakeups).await);
            waiting.await.unwrap();
        });
    }

    #[test]
    fn a_receiver_can_wait_on_any_thread() {
        on_a_server_s_thread(|| async {
            let sender = Sender::<u32>::default();
            let mut receiver = sender.subscribe();
            wait(&mut receiver).await;
            assert!(receiver.relay.is_some());
            let elsewhere = thread::spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(wait(&mut receiver));
                assert!(receiver.relay.is_none(), "a thread of its own kind");
                receiver
            });
            let mut receiver = elsewhere.join().unwrap();
            sender.send_replace(1);
            receiver.changed().await.unwrap();
            assert_eq!(*receiver.borrow_and_update(), 1);
            wait(&mut receiver).await;
            assert!(receiver.relay.is_some());
        });
    }

    #[test]
    fn receivers_learn_that_the_channel_is_closed() {
        on_a_server_s_thread(|| async {
            let sender = Sender::<u32>::default();
            let mut receiver = sender.subscribe();
            sender.send_replace(1);
            drop(sender);
            // The last value can be announced before.
            while receiver.changed().await.is_ok() {
                assert_eq!(*receiver.borrow_and_update(), 1);
            }
        });
    }

    #[tokio::test]
    async fn elsewhere_a_receiver_is_woken_by_itself() {
        let sender = Sender::<u32>::default();
        let mut receiver = sender.subscribe();
        wait(&mut receiver).await;
        assert!(receiver.relay.is_none());
        sender.send_replace(1);
        receiver.changed().await.unwrap();
        assert_eq!(*receiver.borrow_and_update(), 1);
        receiver.wait_for(|value| *value == 1).await.unwrap();
    }
}
