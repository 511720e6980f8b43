use super::*;
use crate::{policy::hash_password, secret::Secret};

fn policy(yaml: &str) -> Policy {
    let users: Vec<User> = serde_json::from_str(yaml).expect("rules");
    Policy::new(&AuthSettings { users, failures_per_minute: 5, ..Default::default() }).expect("compiles")
}

fn caller(ip: &str, user: &str, password: &str) -> Caller {
    let credentials = Credentials { user: user.into(), password: Secret::new(password) };
    Caller { ip: ip.parse().ok(), credentials, ..Caller::default() }
}

/// Rules × (address, user, password, action, path) -> decision.
#[tokio::test]
#[rustfmt::skip]
async fn the_table_of_decisions() {
    use super::super::Action::{Api, Metrics, Playback, Publish, Read};
    use Decision::{Allowed, AskCredentials, NotPermitted, WrongCredentials};
    let argon2 = hash_password("hash").expect("hashes");
    let policy = policy(&format!(r#"[
        {{"user": "any", "ips": ["127.0.0.1", "::1"], "permissions": [{{"action": "read"}}, {{"action": "publish"}}]}},
        {{"user": "any", "permissions": [{{"action": "read", "path": "lobby"}}]}},
        {{"user": "admin", "pass": "root", "permissions": [{{"action": "api"}}, {{"action": "read"}}, {{"action": "metrics", "path": "ignored"}}]}},
        {{"user": "cam", "pass": "cam", "ips": ["192.168.0.0/16"], "permissions": [{{"action": "publish", "path": "~^cam/[0-9]+$"}}]}},
        {{"user": "free", "permissions": [{{"action": "playback", "path": "~day"}}]}},
        {{"user": "bob", "pass": "{argon2}", "permissions": [{{"action": "read", "path": "door"}}]}},
        {{"user": "bob", "pass": "second", "permissions": [{{"action": "read", "path": "gate"}}]}},
        {{"user": "literal", "pass": "l", "permissions": [{{"action": "read", "path": "all_others"}}, {{"action": "read", "path": "~^~\\^cam"}}]}}
    ]"#));
    let far = "198.51.100.7";
    for (ip, user, password, action, path, expected) in [
        // Loopback can read and publish without credentials, and nothing else.
        ("127.0.0.1", "", "", Read, "x", Allowed),
        ("::1", "", "", Publish, "x", Allowed),
        ("::ffff:127.0.0.1", "", "", Publish, "x", Allowed),
        ("127.0.0.1", "", "", Api, "", AskCredentials),
        ("127.0.0.1", "unknown", "x", Read, "x", Allowed),
        ("127.0.0.2", "", "", Read, "x", AskCredentials),
        // An unknown address is not loopback.
        ("<nil>", "", "", Read, "x", AskCredentials),
        ("", "", "", Read, "x", AskCredentials),
        ("<nil>", "admin", "root", Read, "x", Allowed),
        (far, "", "", Read, "lobby", Allowed),
        (far, "", "", Publish, "lobby", AskCredentials),
        (far, "admin", "root", Api, "", Allowed),
        (far, "admin", "root", Metrics, "", Allowed),
        (far, "admin", "root", Publish, "x", NotPermitted),
        (far, "admin", "toor", Api, "", WrongCredentials),
        (far, "admin", "", Api, "", WrongCredentials),
        (far, "Admin", "root", Api, "", WrongCredentials),
        // A client that sends the user name "any" does not match the entries for `any`.
        (far, "any", "", Read, "x", WrongCredentials),
        ("192.168.3.4", "cam", "cam", Publish, "cam/12", Allowed),
        ("192.168.3.4", "cam", "cam", Publish, "cam/12/x", NotPermitted),
        ("192.168.3.4", "cam", "cam", Read, "cam/12", NotPermitted),
        (far, "cam", "cam", Publish, "cam/12", WrongCredentials),
        // An entry without a password accepts any, as in MediaMTX. Regular expressions are not anchored.
        (far, "free", "anything", Playback, "holiday/1", Allowed),
        (far, "bob", "hash", Read, "door", Allowed),
        (far, "bob", "hash", Read, "gate", NotPermitted),
        (far, "bob", "second", Read, "gate", Allowed),
        (far, "bob", "second", Read, "door", NotPermitted),
        (far, "bob", "wrong", Read, "door", WrongCredentials),
        // Path names that are configuration keys of MediaMTX are compared literally.
        (far, "literal", "l", Read, "all_others", Allowed),
        (far, "literal", "l", Read, "~^cam(.+)$", Allowed),
        (far, "literal", "l", Read, "cam1", NotPermitted),
    ] {
        let decision = policy.decide(&caller(ip, user, password), action, path).await.decision;
        assert_eq!(decision, expected, "{user}:{password}@{ip} {action:?} {path}");
    }
}

#[tokio::test]
async fn a_verified_argon2_password_is_remembered() {
    let argon2 = hash_password("hash").expect("hashes");
    let policy = policy(&format!(r#"[{{"user": "bob", "pass": "{argon2}", "permissions": [{{"action": "read"}}]}}]"#));
    let bob = caller("198.51.100.7", "bob", "hash");
    assert!(policy.decide_now(&bob, Request::To(Action::Read, "x")).is_err(), "not verified yet");
    assert_eq!(policy.decide(&bob, Action::Read, "x").await.decision, Decision::Allowed);
    let now = |request| policy.decide_now(&bob, request).expect("from memory").0.decision;
    assert_eq!(now(Request::To(Action::Read, "x")), Decision::Allowed);
    assert_eq!(now(Request::To(Action::Publish, "x")), Decision::NotPermitted);
    let mallory = caller("198.51.100.7", "bob", "hash2");
    assert!(policy.decide_now(&mallory, Request::To(Action::Read, "x")).is_err(), "another password");
}

#[tokio::test]
async fn guesses_are_throttled_and_the_right_password_is_not() {
    let argon2 = hash_password("right").expect("hashes");
    let policy = policy(&format!(
        r#"[
        {{"user": "bob", "pass": "{argon2}", "permissions": [{{"action": "read"}}]}},
        {{"user": "eve", "pass": "plain", "permissions": [{{"action": "read"}}]}}
    ]"#
    ));
    let nat = "198.51.100.7";
    assert!(policy.decide(&caller(nat, "bob", "right"), Action::Read, "x").await.decision.is_allowed());
    let mut refused = 0;
    for n in 0..20 {
        match policy.decide(&caller(nat, "bob", &format!("guess{n}")), Action::Read, "x").await.decision {
            Decision::TooManyFailures => refused += 1,
            other => assert_eq!(other, Decision::WrongCredentials),
        }
    }
    assert!(refused >= 15, "{refused} of 20 were throttled");
    assert!(
        policy.decide(&caller(nat, "bob", "right"), Action::Read, "x").await.decision.is_allowed(),
        "the right one"
    );
    assert!(
        policy.decide(&caller(nat, "eve", "plain"), Action::Read, "x").await.decision.is_allowed(),
        "another user behind the same address"
    );
    for _ in 0..50 {
        let again = policy.decide(&caller(nat, "eve", "old"), Action::Read, "x").await.decision;
        assert_eq!(again, Decision::WrongCredentials, "a repeated wrong password is one guess");
    }
}

#[test]
fn an_invalid_expression_is_named() {
    let users: Vec<User> =
        serde_json::from_str(r#"[{"user": "a", "permissions": [{"action": "read", "path": "~("}]}]"#).expect("rules");
    let error = Policy::new(&AuthSettings { users, ..Default::default() }).err().expect("refused");
    assert!(error.starts_with("auth.users[0]: path: \"~(\" is not a valid regular expression"), "{error}");
}

#[tokio::test]
async fn a_password_that_cannot_be_verified_is_neither_right_nor_wrong() {
    let argon2 = hash_password("right").expect("hashes");
    let rule = format!(r#"[{{"user": "bob", "pass": "{argon2}", "permissions": [{{"action": "read"}}]}}]"#);
    let users = serde_json::from_str(&rule).expect("rules");
    let settings = AuthSettings { users, ..Default::default() };
    let no_thread = |_| Err(std::io::Error::other("no more threads"));
    let verifier = Verifier::with([0; 32], settings.failures_per_minute, no_thread, Credential::matches);
    let policy = Policy::with(&settings, verifier).expect("compiles");
    for _ in 0..3 * settings.failures_per_minute {
        let verdict = policy.decide(&caller("198.51.100.7", "bob", "right"), Action::Read, "x").await;
        assert_eq!(verdict, Decision::NotVerified.of(Principal::Anonymous), "and it does not count as a guess");
        assert_eq!(verdict.refusal(Action::Read, "x").code(), crate::error::Code::Unavailable);
    }
    let verdict = policy.authenticate(&caller("198.51.100.7", "bob", "right")).await.expect_err("not verified");
    assert_eq!(verdict.sign_in_refusal().code(), crate::error::Code::Unavailable);
}

/// The time of the answer must not tell whether a user exists.
#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_cost_one_verification_each() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static SLOW: AtomicUsize = AtomicUsize::new(0);
    let counted = |hash: &Credential, password: &str| {
        SLOW.fetch_add(usize::from(hash.is_slow()), Ordering::SeqCst);
        hash.matches(password)
    };
    let start = |work: Box<dyn FnOnce() + Send>| std::thread::Builder::new().spawn(work).map(drop);
    let argon2 = hash_password("right").expect("hashes");
    let rules = format!(
        r#"[{{"user": "bob", "pass": "{argon2}", "permissions": [{{"action": "read"}}]}},
            {{"user": "eve", "pass": "plain", "permissions": [{{"action": "read"}}]}},
            {{"user": "near", "pass": "plain", "ips": ["10.0.0.0/8"], "permissions": [{{"action": "read"}}]}}]"#
    );
    let settings = AuthSettings { users: serde_json::from_str(&rules).expect("rules"), ..Default::default() };
    let policy = Policy::with(&settings, Verifier::with([0; 32], 10, start, counted)).expect("compiles");
    for user in ["bob", "eve", "near", "mallory", ""] {
        for (attempt, expected) in [("first", 1), ("again", 0)] {
            let before = SLOW.load(Ordering::SeqCst);
            let verdict = policy.decide(&caller("198.51.100.7", user, "wrong"), Action::Read, "x").await;
            assert_eq!(verdict.decision, Decision::WrongCredentials, "{user}");
            assert_eq!(SLOW.load(Ordering::SeqCst) - before, expected, "{user:?} {attempt}");
        }
    }
}
