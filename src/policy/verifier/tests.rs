use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::FutureExt;

use super::*;
use crate::{policy::hash_password, secret::Secret};

const KEY: [u8; 32] = [7; 32];

fn sent(password: &str) -> Caller {
    let credentials = Credentials { user: "bob".into(), password: Secret::new(password) };
    Caller { ip: Some([198, 51, 100, 7].into()), credentials, ..Caller::default() }
}

impl Verifier {
    async fn verify_one(&self, caller: &Caller, hash: &Credential) -> Verification {
        self.verify(caller, hash, &mut false).await
    }
}

fn right() -> Credential {
    Credential::parse(&hash_password("right").expect("hashes")).expect("a hash")
}

/// Refuses the first two threads, and starts the later ones.
fn refuse_two_threads(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    match CALLS.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Err(io::Error::other("no more threads")),
        _ => start_thread(work),
    }
}

#[tokio::test]
async fn verification_goes_on_when_a_thread_can_be_started_again() {
    let (verifier, hash) = (Verifier::with(KEY, 10, refuse_two_threads, Credential::matches), right());
    for _ in 0..2 {
        assert_eq!(verifier.verify_one(&sent("right"), &hash).await, Verification::NotNow);
        assert!(verifier.0.in_flight.lock().is_empty());
    }
    assert_eq!(verifier.verify_one(&sent("right"), &hash).await, Verification::Right);
    assert_eq!(verifier.verify_one(&sent("wrong"), &hash).await, Verification::Wrong);
}

#[tokio::test]
async fn one_thread_is_enough_if_the_others_cannot_be_started() {
    fn only_one(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        match CALLS.fetch_add(1, Ordering::SeqCst) {
            0 => start_thread(work),
            _ => Err(io::Error::other("no more threads")),
        }
    }
    let (mut verifier, hash) = (Verifier::with(KEY, 10, only_one, Credential::matches), right());
    Arc::get_mut(&mut verifier.0).expect("not shared").pool = Pool::of(3, only_one);
    for _ in 0..3 {
        assert_eq!(verifier.verify_one(&sent("right"), &hash).await, Verification::Right);
    }
    assert_eq!(verifier.0.pool.missing(), 2);
}

#[tokio::test]
async fn a_panic_ends_one_verification_and_all_who_wait_for_it_are_answered() {
    let panics_on_demand = |hash: &Credential, password: &str| match password {
        "panic" => panic!("on purpose"),
        password => hash.matches(password),
    };
    let (verifier, hash) = (Verifier::with(KEY, 1000, start_thread, panics_on_demand), right());
    // More panics than there are threads: each thread survives its panic.
    for _ in 0..verifier.0.pool.size() + 1 {
        let bad = sent("panic");
        let both = tokio::join!(verifier.verify_one(&bad, &hash), verifier.verify_one(&bad, &hash));
        assert_eq!(both, (Verification::NotNow, Verification::NotNow));
        assert!(verifier.0.in_flight.lock().is_empty());
    }
    assert_eq!(verifier.verify_one(&sent("right"), &hash).await, Verification::Right);
}

#[tokio::test]
async fn the_same_password_is_verified_once_for_all_who_send_it() {
    static GATE: Mutex<usize> = Mutex::new(0);
    let counted = |hash: &Credential, password: &str| {
        *GATE.lock() += 1;
        hash.matches(password)
    };
    let (verifier, hash, sent) = (Verifier::with(KEY, 10, start_thread, counted), right(), sent("right"));
    let mut all: Vec<_> = (0..50).map(|_| Box::pin(verifier.verify_one(&sent, &hash))).collect();
    let closed = GATE.lock();
    for one in &mut all {
        assert_eq!(one.now_or_never(), None);
    }
    drop(closed);
    for one in all {
        assert_eq!(one.await, Verification::Right);
    }
    assert_eq!(*GATE.lock(), 1);
}

#[tokio::test]
async fn a_verification_goes_on_when_its_client_disconnects() {
    static GATE: Mutex<()> = Mutex::new(());
    let gated = |hash: &Credential, password: &str| {
        drop(GATE.lock());
        hash.matches(password)
    };
    let (verifier, hash, sent) = (Verifier::with(KEY, 10, start_thread, gated), right(), sent("right"));
    let closed = GATE.lock();
    assert_eq!(Box::pin(verifier.verify_one(&sent, &hash)).now_or_never(), None, "and the client is gone");
    let mut result = verifier.0.in_flight.lock().values().next().cloned().expect("it is in flight");
    drop(closed);
    let outcome = *result.wait_for(Option::is_some).await.expect("answered");
    assert_eq!(outcome, Some(Verification::Right));
    assert!(verifier.is_verified(&hash, &sent.credentials, Duration::from_secs(60)));
}

/// A queue that is full answers at once, and takes nothing from the allowance. Users at addresses that are known have places
/// that guesses of others do not take.
#[tokio::test]
async fn passwords_beyond_the_queue_are_not_verified_now() {
    let never = |_| Ok(());
    let (verifier, hash) = (Verifier::with(KEY, 1000, never, Credential::matches), right());
    let all: Vec<_> = (0..MAX_VERIFYING - RESERVED).map(|n| sent(&format!("guess {n}"))).collect();
    let mut waiting: Vec<_> = all.iter().map(|sent| Box::pin(verifier.verify_one(sent, &hash))).collect();
    for one in &mut waiting {
        assert_eq!(one.now_or_never(), None);
    }
    assert_eq!(verifier.verify_one(&sent("right"), &hash).await, Verification::NotNow);
    assert_eq!(verifier.0.in_flight.lock().len(), MAX_VERIFYING - RESERVED);
    let home = Caller { ip: Some([192, 0, 2, 1].into()), ..sent("another") };
    verifier.0.throttle.record_right(&home);
    assert_eq!(Box::pin(verifier.verify_one(&home, &hash)).now_or_never(), None, "it waits for its verification");
}

#[tokio::test]
async fn a_right_password_gives_its_guess_back_and_a_wrong_one_does_not() {
    let (verifier, hash) = (Verifier::with(KEY, 1, start_thread, Credential::matches), right());
    for _ in 0..3 {
        assert_eq!(verifier.verify_one(&sent("right"), &hash).await, Verification::Right);
    }
    assert_eq!(verifier.verify_one(&sent("wrong"), &hash).await, Verification::Wrong);
    assert_eq!(verifier.verify_one(&sent("other"), &hash).await, Verification::Throttled);
    assert_eq!(verifier.verify_one(&sent("right"), &hash).await, Verification::Right, "it was right before");
}
