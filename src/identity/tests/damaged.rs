//! Rows of the database that cannot be used: another program wrote them, or a disk did.

use super::*;
use crate::store::identity::{ShareRow, TokenRow, UserRow};

fn share(id: &str, permissions: &str) -> ShareRow {
    ShareRow {
        id: id.into(),
        code: crate::policy::code_digest(&format!("mtxs_{id}")),
        label: id.into(),
        permissions: permissions.into(),
        created: now(),
        expires: now() + 3600,
        created_by: "user admin".into(),
        max_uses: None,
        uses: 0,
        revoked: None,
    }
}

const READ: &str = r#"[{"action":"read","path":"door"}]"#;

/// A regular expression that does not compile.
const INVALID: &str = r#"[{"action":"read","path":"~("}]"#;

#[test]
fn a_damaged_share_is_reported_once_with_its_id() {
    let rows = || vec![share("good", READ), share("torn", "[{"), share("odd", INVALID)];
    let before = shares::Compiled::default();
    let first = shares::compile(rows(), &before, now());
    assert_eq!(first.valid.keys().collect::<Vec<_>>(), ["good"]);
    let mut reported: Vec<_> = first.newly_damaged(&before).collect();
    reported.sort_unstable();
    assert!(matches!(reported[..], [("odd", odd), ("torn", torn)] if odd.contains("regular") && torn.contains("EOF")));
    let second = shares::compile(rows(), &first, now());
    assert_eq!((second.damaged.len(), second.newly_damaged(&first).count()), (2, 0));
}

#[tokio::test]
async fn a_damaged_share_is_listed_as_damaged_and_opens_nothing() {
    let fixture = fixture().await;
    fixture.store.add_share(&share("good", READ)).expect("writes");
    fixture.store.add_share(&share("torn", "[{")).expect("writes");
    fixture.store.add_share(&share("odd", INVALID)).expect("writes");
    fixture.identity.reload().await.expect("reloads");
    let shares = fixture.identity.shares().await.expect("lists");
    for (id, reason) in [("torn", "permissions: "), ("odd", "not a valid regular expression")] {
        let share = shares.iter().find(|share| share.id == id).expect("it is listed");
        assert!(share.damaged.as_ref().is_some_and(|damaged| damaged.contains(reason)), "{share:?}");
        let error = fixture.identity.open_share(&format!("mtxs_{id}")).await.expect_err("refused").into_error();
        assert!(error.to_string().contains(id) && error.to_string().contains("damaged"), "{error}");
        let caller = by_token(&format!("mtxs_{id}"));
        assert_eq!(fixture.ask(&caller, Action::Read, "door").await, Decision::WrongCredentials);
        // It can be revoked like any other, and is not listed as damaged then.
        fixture.identity.revoke_share(id).await.expect("revoked");
    }
    assert_eq!(shares.iter().filter(|share| share.damaged.is_none()).map(|s| &*s.id).collect::<Vec<_>>(), ["good"]);
    assert!(fixture.identity.open_share("mtxs_good").await.is_ok());
}

fn user(name: &str, change: impl FnOnce(&mut UserRow)) -> UserRow {
    let mut row = UserRow {
        name: name.into(),
        pass: crate::policy::hash_password("correct horse").expect("hashes"),
        role: "user".into(),
        permissions: "[]".into(),
        ips: "[]".into(),
        disabled: false,
        created: 1_700_000_000,
        changed: 1_700_000_000,
        must_change: false,
    };
    change(&mut row);
    row
}

#[tokio::test]
async fn a_damaged_user_cannot_sign_in_and_is_listed_with_the_field() {
    let fixture = fixture().await;
    let rows = [
        user("role", |row| row.role = "king".into()),
        user("permissions", |row| row.permissions = "[".into()),
        user("ips", |row| row.ips = r#"["home"]"#.into()),
        user("pass", |row| row.pass = String::new()),
        user("good", |_| {}),
    ];
    for row in &rows {
        fixture.store.put_user(row).expect("writes");
    }
    fixture.identity.reload().await.expect("reloads");
    let (listed, read) = (fixture.identity.users().await.expect("lists"), read_users(&fixture.store).expect("reads"));
    for field in ["role", "permissions", "ips", "pass"] {
        for users in [&listed, &read] {
            let user = users.iter().find(|user| user.name == field).expect("it is listed");
            assert!(user.damaged.as_ref().is_some_and(|damaged| damaged.starts_with(field)), "{user:?}");
        }
        for password in ["correct horse", "another", ""] {
            assert!(fixture.identity.sign_in(&by_password(field, password)).await.is_err(), "{field} {password:?}");
        }
        // A change of another field is refused, because the row could still not be used.
        let error = fixture.identity.put_user(field, change(json!({"disabled": false}))).await.expect_err("refused");
        assert_eq!(error.field(), Some(field));
    }
    let good = listed.iter().find(|user| user.name == "good").expect("it is listed");
    assert_eq!(good.damaged, None);
    assert!(fixture.identity.sign_in(&by_password("good", "correct horse")).await.is_ok());

    let repaired = change(json!({"ips": []}));
    fixture.identity.put_user("ips", repaired).await.expect("repaired");
    assert_eq!(fixture.identity.user("ips").await.expect("a user").damaged, None);
    assert!(fixture.identity.sign_in(&by_password("ips", "correct horse")).await.is_ok());
}

#[test]
fn a_damaged_user_is_reported_once_for_each_reason() {
    let rows = |role: &str| vec![user("eve", |row| (row.role, row.pass) = (role.into(), "argon2:".into()))];
    let none = users::Compiled::new();
    let first = users::compile(rows("king"), &none);
    let reported: Vec<_> = users::newly_damaged(&none, &first).collect();
    assert!(matches!(reported[..], [("eve", reason)] if reason.starts_with("role: ")), "{reported:?}");
    let second = users::compile(rows("king"), &first);
    assert_eq!(users::newly_damaged(&first, &second).count(), 0);
    let third = users::compile(rows("user"), &second);
    let reported: Vec<_> = users::newly_damaged(&second, &third).collect();
    assert!(matches!(reported[..], [("eve", reason)] if reason.starts_with("pass: ")), "{reported:?}");
}

#[tokio::test]
async fn a_token_whose_permissions_cannot_be_read_is_listed_as_damaged() {
    let fixture = fixture().await;
    let row = TokenRow {
        id: "1".into(),
        name: "robot".into(),
        permissions: "{".into(),
        kid: "x".into(),
        created: now(),
        expires: now() + 60,
        created_by: "user admin".into(),
        revoked: None,
    };
    fixture.store.add_token(&row).expect("writes");
    let listed = fixture.identity.tokens().await.expect("lists");
    assert!(listed[0].damaged.as_ref().is_some_and(|damaged| damaged.contains("permissions")), "{listed:?}");
}

#[tokio::test]
async fn a_damaged_stamp_key_is_replaced_and_its_sign_ins_end() {
    let first = fixture().await;
    first.alice().await;
    let alice = by_password("alice", "correct horse");
    let refresh = first.identity.sign_in(&alice).await.expect("signed in").grant.refresh.expect("a token").0;
    let key = stamp_key(&first.store).expect("a key");
    first.store.put_fact(STAMP_KEY, "torn").expect("writes");
    let second = fixture_on(first.store.clone()).await;
    let replaced = stamp_key(&second.store).expect("a key");
    assert!(replaced != key && replaced == second.identity.0.stamp_key, "the new key is stored");
    assert!(second.identity.refresh(&alice, refresh.expose()).await.is_err());
    assert!(second.identity.sign_in(&alice).await.is_ok());
}
