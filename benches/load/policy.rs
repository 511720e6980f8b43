//! The decision: tokens, many users, and wrong passwords beside valid ones.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mtx_sidecar::{
    identity::{Identity, UserChange},
    policy::{Action, AuthSettings, Caller, Credentials, Policy},
    secret::Secret,
    store::{Store, identity::UserRow},
};
use serde_json::json;

use crate::{
    Result,
    auth::{call, question, settings},
    process::{Server, ms, percentile},
};

const SECONDS: u64 = 8;

fn by(user: &str, password: &str) -> Caller {
    let credentials = Credentials { user: user.into(), password: Secret::new(password) };
    Caller { ip: Some([198, 51, 100, 7].into()), credentials, ..Caller::default() }
}

/// The mean time of a decision in this process.
async fn time_of(policy: &Policy, caller: &Caller, path: &str, times: u32) -> Result<Duration> {
    if !policy.decide(caller, Action::Read, path).await.decision.is_allowed() {
        return Err("a valid caller was refused".into());
    }
    let began = Instant::now();
    for _ in 0..times {
        std::hint::black_box(policy.decide(caller, Action::Read, path).await);
    }
    Ok(began.elapsed() / times)
}

async fn identity(store: &Store) -> Result<(Identity, Policy)> {
    let settings = AuthSettings::default();
    let policy = Policy::new(&settings)?;
    let (identity, _) = Identity::open(settings, store.clone(), policy.clone()).await?;
    let alice: UserChange = serde_json::from_value(json!({"password": "long enough", "role": "user"}))?;
    identity.put_user("alice", alice).await?;
    Ok((identity, policy))
}

/// The time of a decision in this process, without a network.
pub fn run() -> Result {
    const TOKENS: usize = 1000;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let store = Store::in_memory()?;
        let (few, policy) = identity(&store).await?;
        let alice = by("alice", "long enough");
        let password = time_of(&policy, &alice, "hall/500", 200_000).await?;
        let mut tokens = vec![];
        for n in 0..TOKENS {
            let wanted = json!({"name": format!("t{n}"), "permissions": [{"action": "read", "path": "~^hall/"}], "expires": "1h"});
            tokens.push(by("", &few.make_token(serde_json::from_value(wanted)?, "bench").await?.0));
        }
        let began = Instant::now();
        for token in &tokens {
            if !policy.decide(token, Action::Read, "hall/1").await.decision.is_allowed() {
                return Err("a token was refused".into());
            }
        }
        let cold = began.elapsed() / TOKENS as u32;
        let warm = time_of(&policy, &tokens[0], "hall/1", 200_000).await?;

        let users: Vec<UserRow> = store.users()?;
        for n in 0..10_000 {
            store.put_user(&UserRow { name: format!("user{n}"), ..users[0].clone() })?;
        }
        let many: Vec<_> = (0..1000).map(|n| json!({"action": "read", "path": format!("~^(hall|yard)/{n}(/.*)?$")})).collect();
        let many: UserChange = serde_json::from_value(json!({"password": "long enough", "permissions": many}))?;
        few.put_user("regexps", many).await?;
        let began = Instant::now();
        few.reload().await?;
        let reload = began.elapsed();
        let among = time_of(&policy, &alice, "hall/500", 200_000).await?;
        let regexps = time_of(&policy, &by("regexps", "long enough"), "hall/500", 200_000).await?;
        let us = |d: Duration| format!("{:.2} µs", d.as_secs_f64() * 1e6);
        println!("| answer | time |\n|---|---|");
        println!("| a password that was right before | {} |", us(password));
        println!("| the same among 10 000 users | {} |", us(among));
        println!("| a user with 1000 regular expressions, among 10 000 users | {} |", us(regexps));
        println!("| a token seen for the first time (Ed25519) | {} |", us(cold));
        println!("| a token seen before | {} |", us(warm));
        println!("\nMaking a change known among 10 000 users: {}.", ms(reload));
        Ok(())
    })
}

/// With HTTP: valid passwords beside wrong ones.
pub fn flood() -> Result {
    let server = Arc::new(Server::sidecar(&settings()?)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let right: Arc<str> = question("secret").into();
        call(server.addr, &right).await?;
        println!("| beside 200 right calls a second | their p50 · p99 · worst | resident |\n|---|---|---|");
        for (name, a_second, addresses) in [
            ("nothing", 0, 1),
            ("5000 guesses a second from one address", 5000, 1),
            ("5000 guesses a second from 60 000 addresses", 5000, 60_000),
        ] {
            let addr = server.addr;
            let until = Instant::now() + Duration::from_secs(SECONDS);
            let guessing = tokio::spawn(async move {
                let mut sent = 0_u64;
                let mut ticks = tokio::time::interval(Duration::from_millis(10));
                while a_second > 0 && Instant::now() < until {
                    ticks.tick().await;
                    for _ in 0..a_second / 100 {
                        sent += 1;
                        let from = sent % addresses;
                        let ip = format!("10.{}.{}.{}", from >> 16, from >> 8 & 255, from & 255);
                        let guess: Arc<str> = question(&format!("guess{sent}")).replace("198.51.100.7", &ip).into();
                        // The length of the body depends on the address.
                        let body = guess.split_once("\r\n\r\n").map_or("", |(_, body)| body).len();
                        let guess = guess
                            .lines()
                            .map(|line| {
                                if line.starts_with("Content-Length") {
                                    format!("Content-Length: {body}")
                                } else {
                                    line.to_owned()
                                }
                            })
                            .collect::<Vec<_>>()
                            .join("\r\n");
                        tokio::spawn(async move { drop(call(addr, &guess).await) });
                    }
                }
                sent
            });
            let mut times = vec![];
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            while Instant::now() < until {
                ticks.tick().await;
                let right = right.clone();
                times.push(tokio::spawn(async move { call(addr, &right).await }));
            }
            let mut took = vec![];
            for time in times {
                let (time, yes) = time.await??;
                if !yes {
                    return Err("a valid password was refused".into());
                }
                took.push(time);
            }
            took.sort();
            let sent = guessing.await?;
            println!(
                "| {name} ({sent} in all) | {} · {} · {} | {} MiB |",
                ms(percentile(&took, 50)),
                ms(percentile(&took, 99)),
                ms(took[took.len() - 1]),
                server.rss_kib() / 1024
            );
        }
        Ok(())
    })
}
