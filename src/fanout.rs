//! A [`watch`] channel for many receivers on few threads.
//!
//! When another thread wakes a task of a [`LocalSet`](tokio::task::LocalSet), it writes to an eventfd. The thread of the `LocalSet` mostly
//! runs that task and sleeps again before the next task is woken, so that a hundred viewers of a camera cost a hundred writes and changes of
//! context for each frame. Receivers on a thread that [shares wake-ups](share_wakeups) have one task in common, the relay: it alone is woken
//! by the other thread, and wakes the receivers from their own thread.

use std::{
    cell::RefCell,
    collections::HashMap,
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::{
    sync::watch::{self, Ref, error::RecvError},
    task::spawn_local,
};

/// Numbers of channels, so that a thread finds the relay of one.
static NEXT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The relays that run on this thread, by the number of their channel; none if the thread shares no wake-ups.
    static RELAYS: RefCell<Option<HashMap<u64, watch::Sender<()>>>> = const { RefCell::new(None) };
}

/// Makes the receivers that subscribe on this thread from now on share a relay for each channel. The thread must run a
/// [`LocalSet`](tokio::task::LocalSet), and subscribe within it.
pub fn share_wakeups() {
    RELAYS.with_borrow_mut(|relays| {
        relays.get_or_insert_default();
    });
}

/// The sending half: a [`watch::Sender`] whose receivers can share wake-ups.
#[derive(Debug)]
pub struct Sender<T> {
    number: u64,
    values: watch::Sender<T>,
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Sender { number: NEXT.fetch_add(1, Ordering::Relaxed), values: watch::Sender::default() }
    }
}

impl<T> Deref for Sender<T> {
    type Target = watch::Sender<T>;

    fn deref(&self) -> &Self::Target {
        &self.values
    }
}

impl<T: 'static> Sender<T> {
    /// A receiver, which has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        let values = self.values.subscribe();
        let wakeups = RELAYS.with_borrow_mut(|relays| {
            let relays = relays.as_mut()?;
            if let Some(relay) = relays.get(&self.number) {
                return Some(relay.subscribe());
            }
            let (relay, wakeups) = watch::channel(());
            relays.insert(self.number, relay.clone());
            spawn_local(run(Running(self.number), values.clone(), relay));
            Some(wakeups)
        });
        Receiver { values, wakeups }
    }
}

/// The relay of one thread. It ends with its last receiver, or with the channel.
async fn run<T>(_running: Running, mut values: watch::Receiver<T>, wakeups: watch::Sender<()>) {
    loop {
        tokio::select! {
            changed = values.changed() => match changed {
                Ok(()) => wakeups.send_replace(()),
                Err(_) => return,
            },
            () = wakeups.closed() => return,
        }
    }
}

/// The entry of a relay that runs. Without it, receivers learn that the channel is closed.
struct Running(u64);

impl Drop for Running {
    fn drop(&mut self) {
        // At the end of the thread there are no entries.
        let _ = RELAYS.try_with(|relays| {
            let mut relays = relays.try_borrow_mut().ok()?;
            relays.as_mut()?.remove(&self.0)
        });
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct Receiver<T> {
    values: watch::Receiver<T>,
    /// The relay's notice of each change; none if this receiver is woken by itself.
    wakeups: Option<watch::Receiver<()>>,
}

impl<T> Receiver<T> {
    /// The present value.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.values.borrow()
    }

    /// The present value, which then counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        // Before the value is read: a change after it is announced later.
        if let Some(wakeups) = &mut self.wakeups {
            wakeups.mark_unchanged();
        }
        self.values.borrow_and_update()
    }

    /// Waits until there can be a value that was not seen yet; fails when the channel is closed. Cancel-safe.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        match &mut self.wakeups {
            Some(wakeups) => wakeups.changed().await,
            None => self.values.changed().await,
        }
    }

    /// Waits until the value passes the test; fails when the channel is closed. Cancel-safe.
    pub async fn wait_for(&self, test: impl FnMut(&T) -> bool) -> Result<(), RecvError> {
        self.values.clone().wait_for(test).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use tokio::{
        task::{LocalSet, yield_now},
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
        RELAYS.with_borrow(|relays| relays.as_ref().map_or(0, HashMap::len))
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

    #[test]
    fn the_relay_ends_with_its_last_receiver() {
        on_a_server_s_thread(|| async {
            let (one, other) = (Sender::<u32>::default(), Sender::<u32>::default());
            let (first, second, third) = (one.subscribe(), one.subscribe(), other.subscribe());
            assert_eq!(relays(), 2);
            drop((first, third));
            while relays() > 1 {
                yield_now().await;
            }
            drop(second);
            while relays() > 0 {
                yield_now().await;
            }
            // And one that comes before the relay has noticed keeps it.
            let last = one.subscribe();
            yield_now().await;
            drop(last);
            let mut next = one.subscribe();
            one.send_replace(1);
            next.changed().await.unwrap();
            assert_eq!(*next.borrow_and_update(), 1);
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
        assert!(receiver.wakeups.is_none());
        sender.send_replace(1);
        receiver.changed().await.unwrap();
        assert_eq!(*receiver.borrow_and_update(), 1);
        receiver.wait_for(|value| *value == 1).await.unwrap();
    }
}
