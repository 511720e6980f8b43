use std::net::IpAddr;

use base64::Engine;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use crate::{
    policy::{Action, Caller, Credentials, Decision, Permission},
    secret::Secret,
};

struct Fixture {
    identity: Identity,
    policy: Policy,
    store: Store,
    revoked: mpsc::Receiver<Vec<Revoked>>,
}

async fn fixture() -> Fixture {
    fixture_on(Store::in_memory().expect("opens")).await
}

async fn fixture_on(store: Store) -> Fixture {
    let rules = json!([{"user": "filer", "pass": "from-file", "permissions": [{"action": "read", "path": "file"}]}]);
    let users = serde_json::from_value(rules).expect("rules");
    let settings = AuthSettings { users, ..AuthSettings::default() };
    let policy = Policy::new(&settings).expect("compiles");
    let (identity, revoked) = Identity::open(settings, store.clone(), policy.clone()).await.expect("opens");
    Fixture { identity, policy, store, revoked }
}

fn by_password(user: &str, password: &str) -> Caller {
    let credentials = Credentials { user: user.into(), password: Secret::new(password) };
    Caller { ip: Some(IpAddr::from([198, 51, 100, 7])), credentials, ..Caller::default() }
}

fn by_token(token: &str) -> Caller {
    Caller { credentials: Credentials::from_token(token), ..by_password("", "") }
}

fn change(value: Value) -> UserChange {
    serde_json::from_value(value).expect("a change")
}

impl Fixture {
    async fn ask(&self, caller: &Caller, action: Action, path: &str) -> Decision {
        self.policy.decide(caller, action, path).await.decision
    }

    async fn why(&self, token: &str) -> &'static str {
        self.policy.decide(&by_token(token), Action::Read, "door").await.reason
    }

    async fn alice(&self) {
        let alice = json!({"pass": "correct horse", "permissions": [{"action": "read", "path": "door"}]});
        assert!(self.identity.put_user("alice", change(alice)).await.expect("made"));
    }

    /// Principals whose permissions were reduced since the last call.
    fn reduced(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.revoked.try_recv().ok()).flatten().map(|who| who.to_string()).collect()
    }

    /// A token with these changes to its claims, signed by the current key.
    fn sign(&self, changes: Value) -> String {
        let mut claims = json!({
            "iss": crate::policy::ISSUER, "sub": "robot", "jti": "1", "iat": now(), "exp": now() + 60, "kind": "machine",
            "mediamtx_permissions": [{"action": "read", "path": ""}],
        });
        for (key, value) in changes.as_object().expect("members") {
            claims[key] = value.clone();
        }
        let claims = serde_json::from_value(claims).expect("claims");
        self.identity.sign(&claims).expect("signs").0
    }
}

mod damaged;

#[tokio::test]
async fn users_are_created_changed_disabled_and_removed_with_immediate_effect() {
    let mut fixture = fixture().await;
    fixture.alice().await;
    let alice = by_password("alice", "correct horse");
    assert_eq!(fixture.ask(&alice, Action::Read, "door").await, Decision::Allowed);
    assert_eq!(fixture.ask(&alice, Action::Read, "gate").await, Decision::NotPermitted);
    assert!(fixture.reduced().is_empty(), "a new user loses nothing");

    let put = |value: Value| fixture.identity.put_user("alice", change(value));
    assert!(!put(json!({"role": "user"})).await.expect("changed"), "not a new one");
    assert_eq!(fixture.ask(&alice, Action::Read, "gate").await, Decision::Allowed);
    assert_eq!(fixture.ask(&alice, Action::Publish, "gate").await, Decision::NotPermitted);
    put(json!({"disabled": true})).await.expect("changed");
    assert_eq!(fixture.ask(&alice, Action::Read, "door").await, Decision::WrongCredentials);
    put(json!({"disabled": false, "pass": "battery staple"})).await.expect("changed");
    assert_eq!(fixture.ask(&alice, Action::Read, "door").await, Decision::WrongCredentials);
    let alice = by_password("alice", "battery staple");
    assert_eq!(fixture.ask(&alice, Action::Read, "door").await, Decision::Allowed);
    put(json!({"ips": ["192.168.0.0/16"]})).await.expect("changed");
    assert_eq!(fixture.ask(&alice, Action::Read, "door").await, Decision::WrongCredentials);
    fixture.identity.remove_user("alice").await.expect("removed");
    assert!(fixture.identity.user("alice").await.is_err());
    assert_eq!(fixture.reduced(), ["user alice"; 4], "each change but the one while disabled");
}

#[tokio::test]
async fn invalid_users_are_refused_by_field_and_the_file_wins() {
    let fixture = fixture().await;
    for (name, value, field) in [
        ("", json!({"pass": "long enough"}), Some("name")),
        ("any", json!({"pass": "long enough"}), Some("name")),
        ("a:b", json!({"pass": "long enough"}), Some("name")),
        ("bob", json!({}), Some("pass")),
        ("bob", json!({"pass": "short"}), Some("pass")),
        ("bob", json!({"pass": "long enough", "permissions": [{"action": "read", "path": "~("}]}), Some("permissions")),
        ("filer", json!({"pass": "long enough"}), None),
    ] {
        let error = fixture.identity.put_user(name, change(value.clone())).await.expect_err("refused");
        assert_eq!(error.field(), field, "{name} {value}");
    }
    // Written past the API; the file still wins.
    write_user(&fixture.store, "filer", &change(json!({"pass": "from-database", "role": "admin"}))).expect("written");
    fixture.identity.reload().await.expect("reloads");
    assert_eq!(fixture.ask(&by_password("filer", "from-database"), Action::Api, "").await, Decision::WrongCredentials);
    assert_eq!(fixture.ask(&by_password("filer", "from-file"), Action::Read, "file").await, Decision::Allowed);
}

#[tokio::test]
async fn an_access_token_is_valid_until_it_expires_or_its_user_is_changed() {
    let mut fixture = fixture().await;
    fixture.alice().await;
    let alice = by_password("alice", "correct horse");
    assert!(fixture.identity.sign_in(&by_password("alice", "wrong")).await.is_err());
    assert!(fixture.identity.sign_in(&by_password("", "")).await.is_err());
    let token = fixture.identity.sign_in(&alice).await.expect("signed in").grant.access;
    let token = token.expose();
    assert_eq!(fixture.ask(&by_token(token), Action::Read, "door").await, Decision::Allowed);
    assert_eq!(fixture.ask(&by_token(token), Action::Read, "gate").await, Decision::NotPermitted);
    // The same as a password, with any user name.
    assert_eq!(fixture.ask(&by_password("any name", token), Action::Read, "door").await, Decision::Allowed);
    assert!(fixture.identity.sign_in(&by_token(token)).await.is_err(), "a token is no sign-in");

    fixture.identity.put_user("alice", change(json!({"role": "user"}))).await.expect("changed");
    assert_eq!(fixture.why(token).await, "the token's user was changed or removed");
    assert_eq!(fixture.reduced(), ["user alice"]);

    let signed_in = fixture.identity.sign_in(&alice).await.expect("signed in").grant;
    let (refresh, _) = signed_in.refresh.expect("a refresh token");
    fixture.identity.sign_out(refresh.expose()).await.expect("signed out");
    assert_eq!(fixture.why(signed_in.access.expose()).await, "the token was revoked");
    assert!(fixture.identity.refresh(&alice, refresh.expose()).await.is_err());
}

#[tokio::test]
async fn foreign_and_forged_tokens_are_refused_with_the_reason() {
    let fixture = fixture().await;
    let good = fixture.sign(json!({}));
    assert_eq!(fixture.why(&good).await, "allowed");
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let b64 = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let kid = jsonwebtoken::decode_header(&good).expect("a header").kid;
    let public = fixture.identity.jwks().keys[0].clone();
    let public_text = serde_json::to_vec(&public).expect("plain");
    let foreign_key =
        aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8v1(&aws_lc_rs::rand::SystemRandom::new()).expect("made");
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).expect("base64")).expect("claims");
    let signed = |algorithm, kid: Option<String>, key: &EncodingKey| {
        let mut header = Header::new(algorithm);
        header.kid = kid;
        jsonwebtoken::encode(&header, &claims, key).expect("signs")
    };
    let foreign = EncodingKey::from_ed_der(foreign_key.as_ref());
    // RFC 8725: no algorithm, the public key taken for a shared secret, another key under our key's name, and so on.
    for (case, token, reason) in [
        (
            "none",
            format!("{}.{body}.", b64(json!({"alg": "none", "kid": kid}))),
            "the token was not issued by mtx-sidecar",
        ),
        (
            "None",
            format!("{}.{body}.", b64(json!({"alg": "None", "kid": kid}))),
            "the token was not issued by mtx-sidecar",
        ),
        (
            "confusion",
            signed(Algorithm::HS256, kid.clone(), &EncodingKey::from_secret(&public_text)),
            "the token was not issued by mtx-sidecar",
        ),
        ("foreign key", signed(Algorithm::EdDSA, kid.clone(), &foreign), "the token's signature is wrong"),
        ("no kid", signed(Algorithm::EdDSA, None, &foreign), "the token was not issued by mtx-sidecar"),
        ("wrong kid", signed(Algorithm::EdDSA, Some("x".into()), &foreign), "the token was not issued by mtx-sidecar"),
        (
            "other claims",
            format!("{head}.{}.{signature}", b64(json!({"exp": now() + 1000}))),
            "the token's signature is wrong",
        ),
        ("cut off", good[..good.len() - 5].to_owned(), "the token was not issued by mtx-sidecar"),
        ("expired", fixture.sign(json!({"exp": now()})), "the token has expired"),
        ("expired long ago", fixture.sign(json!({"exp": 1})), "the token has expired"),
        ("issuer", fixture.sign(json!({"iss": "another"})), "the token was not issued by mtx-sidecar"),
        ("too long", format!("eyJ{}.e.e", "a".repeat(20_000)), "the token was not issued by mtx-sidecar"),
        (
            "unknown user",
            fixture.sign(json!({"kind": "access", "ver": "x"})),
            "the token's user was changed or removed",
        ),
    ] {
        assert_eq!(fixture.why(&token).await, reason, "{case}");
    }
    assert_eq!(fixture.why(&fixture.sign(json!({"exp": now() + 2}))).await, "allowed");
}

#[tokio::test]
async fn a_refresh_token_is_valid_once_and_a_stolen_one_ends_the_sign_in() {
    let fixture = fixture().await;
    fixture.alice().await;
    let alice = by_password("alice", "correct horse");
    let first = fixture.identity.sign_in(&alice).await.expect("signed in").grant.refresh.expect("a token").0;
    let second =
        fixture.identity.refresh(&alice, first.expose()).await.expect("refreshed").grant.refresh.expect("a token").0;
    // Another tab at the same time: an access token, and the cookie stays.
    let tab = fixture.identity.refresh(&alice, first.expose()).await.expect("refreshed");
    assert!(tab.grant.refresh.is_none());
    let third = fixture.identity.refresh(&alice, second.expose()).await.expect("refreshed").grant;
    assert!(fixture.identity.refresh(&alice, first.expose()).await.is_err(), "two rotations old");
    let (refresh, _) = third.refresh.expect("a token");
    assert!(fixture.identity.refresh(&alice, refresh.expose()).await.is_err(), "the second use has ended the sign-in");
    assert_eq!(fixture.why(third.access.expose()).await, "the token was revoked");
    for nonsense in ["", ".", "a.b", "no-dot", &format!("{}x", refresh.expose())] {
        assert!(fixture.identity.refresh(&alice, nonsense).await.is_err(), "{nonsense}");
    }
}

#[tokio::test]
async fn a_new_password_ends_sign_ins_and_new_permissions_do_not() {
    let fixture = fixture().await;
    fixture.alice().await;
    let alice = by_password("alice", "correct horse");
    let refresh = fixture.identity.sign_in(&alice).await.expect("signed in").grant.refresh.expect("a token").0;
    fixture.identity.put_user("alice", change(json!({"role": "user"}))).await.expect("changed");
    let next = fixture.identity.refresh(&alice, refresh.expose()).await.expect("refreshed").grant;
    assert!(next.permissions.contains(&Permission::everywhere(Action::Read)), "the new ones");
    fixture.identity.put_user("alice", change(json!({"pass": "battery staple"}))).await.expect("changed");
    let (refresh, _) = next.refresh.expect("a token");
    assert!(fixture.identity.refresh(&alice, refresh.expose()).await.is_err());
}

#[tokio::test]
async fn machine_tokens_are_scoped_and_revocable() {
    let mut fixture = fixture().await;
    let make =
        |value: Value| fixture.identity.make_token(serde_json::from_value(value).expect("a token"), "user admin");
    let (camera, description) =
        make(json!({"name": "cam 1", "publish_to": "front/door", "expires": "365days"})).await.expect("made");
    assert_eq!(fixture.ask(&by_token(&camera), Action::Publish, "front/door").await, Decision::Allowed);
    for (action, path) in [(Action::Publish, "front/door2"), (Action::Read, "front/door"), (Action::Api, "")] {
        assert_eq!(fixture.ask(&by_token(&camera), action, path).await, Decision::NotPermitted, "{action:?} {path}");
    }
    assert_eq!(fixture.identity.tokens().await.expect("lists").len(), 1);
    fixture.identity.revoke_token(&description.id).await.expect("revoked");
    assert!(fixture.identity.revoke_token(&description.id).await.is_err(), "once");
    assert_eq!(fixture.why(&camera).await, "the token was revoked");
    assert_eq!(fixture.reduced(), [format!("token or sign-in {}", description.id)]);
    for (value, field) in [
        (json!({"name": "", "publish_to": "x", "expires": "1h"}), "name"),
        (json!({"name": "x", "expires": "1h"}), "permissions"),
        (json!({"name": "x", "publish_to": "x", "permissions": [{"action": "read"}], "expires": "1h"}), "publish_to"),
        (json!({"name": "x", "publish_to": "x", "expires": "0s"}), "expires"),
        (json!({"name": "x", "publish_to": "x", "expires": "2001-01-01T00:00:00Z"}), "expires"),
        (json!({"name": "x", "publish_to": "x", "expires": "100years"}), "expires"),
        (json!({"name": "x", "permissions": [{"action": "read", "path": "~["}], "expires": "1h"}), "permissions"),
    ] {
        let fixture = &fixture;
        let wanted = serde_json::from_value(value.clone()).expect("a token");
        let error = fixture.identity.make_token(wanted, "user admin").await.expect_err("refused");
        assert_eq!(error.field(), Some(field), "{value}");
    }
}

#[tokio::test]
async fn shares_open_their_paths_until_they_are_revoked() {
    let mut fixture = fixture().await;
    let make =
        |value: Value| fixture.identity.make_share(serde_json::from_value(value).expect("a share"), "user admin");
    let (code, share) = make(json!({"path": "door", "expires": "1h"})).await.expect("made");
    let (counted, _) =
        make(json!({"path": "~^hall/", "expires": "1h", "max_uses": 2, "actions": ["read", "playback"]}))
            .await
            .expect("made");
    assert_eq!(fixture.ask(&by_token(&code), Action::Read, "door").await, Decision::Allowed);
    assert_eq!(fixture.ask(&by_token(&code), Action::Read, "door2").await, Decision::NotPermitted);
    assert_eq!(fixture.ask(&by_token(&code), Action::Publish, "door").await, Decision::NotPermitted);
    assert_eq!(fixture.ask(&by_token("mtxs_nonsense"), Action::Read, "door").await, Decision::WrongCredentials);
    // A share with counted uses must be opened.
    assert_eq!(fixture.ask(&by_token(&counted), Action::Read, "hall/1").await, Decision::WrongCredentials);
    for _ in 0..2 {
        let opened = fixture.identity.open_share(&counted).await.expect("opened");
        assert_eq!(
            fixture.ask(&by_token(opened.grant.access.expose()), Action::Playback, "hall/1").await,
            Decision::Allowed
        );
    }
    assert!(fixture.identity.open_share(&counted).await.is_err(), "a third time");

    let opened = fixture.identity.open_share(&code).await.expect("opened").grant;
    let (refresh, _) = opened.refresh.expect("a refresh token");
    let anonymous = by_password("", "");
    let next = fixture.identity.refresh(&anonymous, refresh.expose()).await.expect("refreshed");
    assert_eq!(next.who, Principal::Share(share.id.as_str().into()));
    fixture.identity.revoke_share(&share.id).await.expect("revoked");
    assert_eq!(fixture.why(opened.access.expose()).await, "the token was revoked");
    assert_eq!(fixture.why(&code).await, "the share link is unknown, or was revoked");
    assert!(fixture.identity.refresh(&anonymous, next.grant.refresh.expect("a token").0.expose()).await.is_err());
    assert!(fixture.reduced().contains(&format!("share {}", share.id)));
    assert_eq!(fixture.identity.shares().await.expect("lists").len(), 2);
}

#[tokio::test]
async fn keys_are_published_before_they_sign_and_kept_while_tokens_need_them() {
    let fixture = fixture().await;
    let kids = || fixture.identity.jwks().keys.into_iter().filter_map(|key| key.common.key_id).collect::<Vec<_>>();
    let first = kids();
    assert_eq!(first.len(), 2, "the signing key and the next");
    let wanted = serde_json::from_value(json!({"name": "x", "publish_to": "x", "expires": "1h"})).expect("a token");
    let (old, _) = fixture.identity.make_token(wanted, "user admin").await.expect("made");
    let kid = |token: &str| jsonwebtoken::decode_header(token).expect("a header").kid.expect("a kid");
    assert_eq!(kid(&old), first[0]);

    fixture.identity.rotate_keys(false).await.expect("rotated");
    let new = fixture.sign(json!({}));
    assert_eq!(kid(&new), first[1], "it was published before it signed");
    assert_eq!(kids().len(), 3);
    assert_eq!(fixture.ask(&by_token(&old), Action::Publish, "x").await, Decision::Allowed, "overlap");
    fixture.identity.rotate_due_keys().await.expect("rotated");
    assert!(kids().contains(&first[0]), "a machine token needs it");

    fixture.identity.rotate_keys(true).await.expect("rotated");
    assert_eq!(fixture.why(&old).await, "the token was not issued by mtx-sidecar");
    assert_eq!(fixture.why(&new).await, "the token was not issued by mtx-sidecar");
    assert_eq!(fixture.why(&fixture.sign(json!({}))).await, "allowed");
    let set = serde_json::to_value(fixture.identity.jwks()).expect("plain");
    for key in set["keys"].as_array().expect("keys") {
        assert_eq!(
            (key["kty"].as_str(), key["crv"].as_str(), key["alg"].as_str()),
            (Some("OKP"), Some("Ed25519"), Some("EdDSA"))
        );
        assert!(key.get("d").is_none(), "the private part");
    }
}

#[tokio::test]
async fn tokens_and_links_are_valid_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sidecar.db");
    let first = fixture_on(Store::open(&path).expect("opens")).await;
    first.alice().await;
    let alice = by_password("alice", "correct horse");
    let grant = first.identity.sign_in(&alice).await.expect("signed in").grant;
    let (code, _) = first
        .identity
        .make_share(serde_json::from_value(json!({"path": "door", "expires": "1h"})).expect("a share"), "x")
        .await
        .expect("made");
    drop(first);
    let second = fixture_on(Store::open(&path).expect("opens")).await;
    for token in [grant.access.expose(), &code] {
        assert_eq!(second.ask(&by_token(token), Action::Read, "door").await, Decision::Allowed);
    }
    assert!(second.identity.refresh(&alice, grant.refresh.expect("a token").0.expose()).await.is_ok());
}

#[tokio::test]
async fn a_change_by_another_process_takes_effect() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sidecar.db");
    let mut fixture = fixture_on(Store::open(&path).expect("opens")).await;
    fixture.alice().await;
    let identity = fixture.identity.clone();
    let looking = tokio::spawn(async move { identity.run().await });
    let other = Store::open(&path).expect("opens");
    write_user(&other, "alice", &change(json!({"disabled": true}))).expect("written");
    let reduced = tokio::time::timeout(Duration::from_secs(10), fixture.revoked.recv()).await.expect("in time");
    assert_eq!(reduced, Some(vec![Revoked::Principal(Principal::User("alice".into()))]));
    looking.abort();
}
