use super::*;
use crate::{policy::Credentials, secret::Secret};

fn caller(sender: Sender, ip: Option<&str>, user: &str) -> Caller {
    let ip = ip.map(|ip| ip.parse().expect("an address"));
    Caller { sender, ip, credentials: Credentials { user: user.into(), password: Secret::new("guess") } }
}

fn client(ip: &str, user: &str) -> Caller {
    caller(Sender::Client, Some(ip), user)
}

/// A question about a client, from MediaMTX at 127.0.0.1.
fn asked(ip: &str, user: &str) -> Caller {
    caller(Sender::MediaMtx(Some([127, 0, 0, 1].into())), Some(ip), user)
}

/// Makes wrong guesses as fast as possible; returns the number that was admitted without a wait.
fn guess(throttle: &Throttle, callers: impl Iterator<Item = Caller>) -> usize {
    let now = Instant::now();
    let admitted = callers.filter(|caller| {
        let guess = throttle.take(caller);
        if guess.is_some() {
            throttle.record_wrong(caller, rand());
        }
        guess.is_some_and(|guess| guess.at <= now)
    });
    admitted.count()
}

/// Another digest each time.
fn rand() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("random numbers");
    bytes
}

fn invented(n: u32) -> String {
    std::net::Ipv4Addr::from(0x0b00_0000 + n * 257).to_string()
}

#[tokio::test(start_paused = true)]
async fn each_pair_of_address_and_user_has_its_own_allowance() {
    let throttle = Throttle::new(3);
    assert_eq!(guess(&throttle, (0..10).map(|_| client("192.0.2.1", "alice"))), 3);
    assert!(throttle.take(&client("192.0.2.1", "bob")).is_some(), "another user behind the same address");
    assert!(throttle.take(&client("192.0.2.2", "alice")).is_some(), "the same user elsewhere");
    assert!(throttle.take(&asked("192.0.2.1", "alice")).is_some(), "the same address, claimed at MediaMTX's question");
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(guess(&throttle, (0..10).map(|_| client("192.0.2.1", "alice"))), 1);
}

#[tokio::test(start_paused = true)]
async fn an_address_with_many_user_names_has_an_allowance_too() {
    let throttle = Throttle::new(10);
    assert_eq!(guess(&throttle, (0..500).map(|n| client("192.0.2.1", &format!("user{n}")))), 30);
}

#[tokio::test(start_paused = true)]
async fn addresses_of_one_ipv6_network_count_as_one() {
    let throttle = Throttle::new(10);
    assert_eq!(guess(&throttle, (0..60).map(|n| client(&format!("2001:db8:1:2::{n:x}"), "alice"))), 10);
    assert!(throttle.take(&client("2001:db8:1:3::1", "alice")).is_some(), "another network");
    assert_eq!(guess(&throttle, (0..60).map(|n| client(&format!("::ffff:192.0.2.{n}"), "bob"))), 60, "IPv4 in IPv6");
    assert!(throttle.take(&client("192.0.2.1", "carol")).is_some());
}

#[tokio::test(start_paused = true)]
async fn invented_addresses_give_no_further_guesses() {
    let throttle = Throttle::new(10);
    let mut admitted = 0;
    for second in 0..60 {
        admitted += guess(&throttle, (0..1000).map(|n| asked(&invented(second * 1000 + n), "alice")));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    // A burst of 30, 20 in the minute, and one each 6 seconds while that is used up.
    assert!((55..=65).contains(&admitted), "{admitted} of 60000");
}

/// A flood at MediaMTX's question, with another name in each guess.
#[tokio::test(start_paused = true)]
async fn invented_names_are_bounded_by_their_sender() {
    let throttle = Throttle::new(10);
    let mut admitted = 0;
    for second in 0..60 {
        admitted += guess(&throttle, (0..1000).map(|n| asked(&invented(second * 1000 + n), &format!("{second}-{n}"))));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!((350..=380).contains(&admitted), "{admitted} of 60000");
    assert!(throttle.state.lock().allowances.len() < 5000);
}

#[tokio::test(start_paused = true)]
async fn a_flood_locks_neither_a_known_address_nor_another_sender_out() {
    let throttle = Throttle::new(10);
    throttle.record_right(&asked("198.51.100.7", "alice"));
    guess(&throttle, (0..5000).map(|n| asked(&invented(n), "alice")));
    let now = Instant::now();
    let at = |caller: &Caller| throttle.take(caller).map(|guess| guess.at);
    assert_eq!(at(&asked("198.51.100.7", "alice")), Some(now), "from this address the right password came before");
    assert_eq!(at(&client("192.0.2.1", "alice")), Some(now), "not by MediaMTX");
    let many = (0..5000).map(|n| Caller {
        sender: Sender::MediaMtx(Some(std::net::Ipv4Addr::from(0x7f00_0002 + n).into())),
        ..asked(&invented(n), "alice")
    });
    guess(&throttle, many);
    assert_eq!(at(&client("192.0.2.2", "alice")), Some(now), "not by MediaMTX, while many senders guess");
    let elsewhere = Sender::MediaMtx(Some([10, 0, 0, 9].into()));
    assert_eq!(at(&caller(elsewhere, Some("192.0.2.1"), "bob")), Some(now), "by another MediaMTX");
    assert_eq!(at(&asked("192.0.2.1", "bob")), Some(now), "another user");
}

/// The user's own allowance is used up by many real addresses: a first password from a new address waits for its turn.
#[tokio::test(start_paused = true)]
async fn guesses_beyond_the_allowance_of_a_user_take_turns_and_addresses_with_failures_take_none() {
    let throttle = Throttle::new(10);
    guess(&throttle, (0..200).map(|n| client(&invented(n), "alice")));
    let now = Instant::now();
    let waits: Vec<_> = (1..=4)
        .map(|n| throttle.take(&client(&format!("192.0.2.{n}"), "alice")).map(|guess| (guess.at - now).as_secs()))
        .collect();
    let (turns, refused) = (waits.iter().flatten().count(), waits.iter().filter(|wait| wait.is_none()).count());
    assert!(turns <= 2 && turns + refused == 4 && waits.iter().flatten().all(|wait| *wait <= 10), "{waits:?}");
    assert!(throttle.take(&client(&invented(0), "alice")).is_none(), "it has failed before");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(throttle.take(&client("192.0.2.9", "alice")).is_some(), "a new address");
}

#[tokio::test(start_paused = true)]
async fn callers_of_unknown_address_do_not_share_one_small_allowance() {
    let throttle = Throttle::new(10);
    let behind = |user: &str| caller(Sender::Proxy([10, 0, 0, 1].into()), None, user);
    assert_eq!(guess(&throttle, (0..12).map(|_| behind("alice"))), 12);
    let now = Instant::now();
    assert_eq!(throttle.take(&behind("alice")).map(|guess| guess.at), Some(now), "after twelve wrong ones");
    guess(&throttle, (0..30).map(|_| behind("alice")));
    tokio::time::advance(Duration::from_secs(12)).await;
    assert!(throttle.take(&behind("alice")).is_some(), "it waits at most");
    assert!(throttle.take(&behind("bob")).is_some(), "another user");
}

#[tokio::test(start_paused = true)]
async fn a_question_of_mediamtx_never_waits() {
    let throttle = Throttle::new(10);
    for n in 0..500 {
        let now = Instant::now();
        assert!(throttle.take(&asked(&invented(n), "alice")).is_none_or(|guess| guess.at == now));
    }
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_for_any_number_of_names() {
    let throttle = Throttle::new(1);
    for n in 0..40_000u32 {
        let caller = client(&invented(n), &n.to_string());
        throttle.take(&caller);
        throttle.record_wrong(&caller, rand());
        throttle.record_right(&caller);
    }
    let state = throttle.state.lock();
    assert!(state.allowances.len() <= allowances::MAX + usize::try_from(allowances::SHARED).expect("small"));
    assert!(state.wrong.0.len() <= MAX_WRONG);
    assert!(state.failed.0.len() <= MAX_ADDRESSES && state.known.0.len() <= MAX_ADDRESSES);
}
