//! Rows of `identity`: users, signing keys, tokens, shares and sign-ins. Times are seconds of the Unix epoch; lists are
//! JSON, which this module does not read.

use rusqlite::{OptionalExtension, Row, params};

use super::Store;
use crate::error::Result;

pub(super) const TABLES: &str = "
    CREATE TABLE users (
        name TEXT PRIMARY KEY, pass TEXT NOT NULL, role TEXT NOT NULL, permissions TEXT NOT NULL, ips TEXT NOT NULL,
        disabled INTEGER NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE keys (kid TEXT PRIMARY KEY, pkcs8 BLOB NOT NULL, active_from INTEGER NOT NULL) STRICT;
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, permissions TEXT NOT NULL, kid TEXT NOT NULL, created INTEGER NOT NULL,
        expires INTEGER NOT NULL, created_by TEXT NOT NULL, revoked INTEGER
    ) STRICT;
    CREATE TABLE shares (
        id TEXT PRIMARY KEY, code BLOB NOT NULL, label TEXT NOT NULL, permissions TEXT NOT NULL, created INTEGER NOT NULL,
        expires INTEGER NOT NULL, created_by TEXT NOT NULL, max_uses INTEGER, uses INTEGER NOT NULL, revoked INTEGER
    ) STRICT;
    CREATE TABLE sign_ins (
        id TEXT PRIMARY KEY, user TEXT, share TEXT, secret BLOB NOT NULL, previous BLOB, rotated INTEGER NOT NULL,
        password_stamp TEXT NOT NULL, expires INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE revoked (id TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT;
";

/// Whether a user has to choose a password at the next sign-in.
pub(super) const MUST_CHANGE: &str = "ALTER TABLE users ADD COLUMN must_change INTEGER NOT NULL DEFAULT 0;";

/// A user of the database.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRow {
    /// The name.
    pub name: String,
    /// `argon2:` and a PHC string.
    pub pass: String,
    /// `admin`, `user` or empty.
    pub role: String,
    /// The permissions, as JSON.
    pub permissions: String,
    /// Addresses and networks, as JSON.
    pub ips: String,
    /// Whether the user is disabled.
    pub disabled: bool,
    /// When the user was created.
    pub created: u64,
    /// When the user was last changed.
    pub changed: u64,
    /// Whether pages ask for a new password at the next sign-in.
    pub must_change: bool,
}

/// A signing key.
#[derive(Clone)]
pub struct KeyRow {
    /// The key's name in tokens.
    pub kid: String,
    /// The private key (RFC 8410).
    pub pkcs8: Vec<u8>,
    /// The time from which it signs.
    pub active_from: u64,
}

/// A token of a program or camera. The token itself is not stored.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// The token's `jti`.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The permissions, as JSON.
    pub permissions: String,
    /// The `kid` of the key that signed it.
    pub kid: String,
    /// When it was created.
    pub created: u64,
    /// When it expires.
    pub expires: u64,
    /// The principal that created it.
    pub created_by: String,
    /// When it was revoked; none if it was not.
    pub revoked: Option<u64>,
}

/// A share.
#[derive(Clone, Debug)]
pub struct ShareRow {
    /// The id; unlike the code, it opens nothing.
    pub id: String,
    /// The digest of the code in the link.
    pub code: [u8; 32],
    /// The label for people.
    pub label: String,
    /// The permissions, as JSON.
    pub permissions: String,
    /// When it was created.
    pub created: u64,
    /// When it expires.
    pub expires: u64,
    /// The principal that created it.
    pub created_by: String,
    /// How often it can be opened; none without a limit.
    pub max_uses: Option<u64>,
    /// How often it was opened.
    pub uses: u64,
    /// When it was revoked; none if it was not.
    pub revoked: Option<u64>,
}

/// A sign-in of a user, or of a visitor who opened a share.
#[derive(Clone, Debug)]
pub struct SignInRow {
    /// The id.
    pub id: String,
    /// The user, unless it is a visitor's.
    pub user: Option<String>,
    /// The id of the share, if it is a visitor's.
    pub share: Option<String>,
    /// The digest of the refresh token.
    pub secret: Vec<u8>,
    /// The digest of the previous refresh token.
    pub previous: Option<Vec<u8>>,
    /// When the refresh token was last replaced.
    pub rotated: u64,
    /// The stamp of the user's password at the time of the sign-in.
    pub password_stamp: String,
    /// When it expires.
    pub expires: u64,
}

fn user(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    Ok(UserRow {
        name: row.get(0)?,
        pass: row.get(1)?,
        role: row.get(2)?,
        permissions: row.get(3)?,
        ips: row.get(4)?,
        disabled: row.get(5)?,
        created: row.get(6)?,
        changed: row.get(7)?,
        must_change: row.get(8)?,
    })
}

fn token(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        id: row.get(0)?,
        name: row.get(1)?,
        permissions: row.get(2)?,
        kid: row.get(3)?,
        created: row.get(4)?,
        expires: row.get(5)?,
        created_by: row.get(6)?,
        revoked: row.get(7)?,
    })
}

fn share(row: &Row<'_>) -> rusqlite::Result<ShareRow> {
    Ok(ShareRow {
        id: row.get(0)?,
        code: row.get(1)?,
        label: row.get(2)?,
        permissions: row.get(3)?,
        created: row.get(4)?,
        expires: row.get(5)?,
        created_by: row.get(6)?,
        max_uses: row.get(7)?,
        uses: row.get(8)?,
        revoked: row.get(9)?,
    })
}

fn sign_in(row: &Row<'_>) -> rusqlite::Result<SignInRow> {
    Ok(SignInRow {
        id: row.get(0)?,
        user: row.get(1)?,
        share: row.get(2)?,
        secret: row.get(3)?,
        previous: row.get(4)?,
        rotated: row.get(5)?,
        password_stamp: row.get(6)?,
        expires: row.get(7)?,
    })
}

impl Store {
    /// All users, by name.
    pub fn users(&self) -> Result<Vec<UserRow>> {
        self.with(|c| c.prepare("SELECT * FROM users ORDER BY name")?.query_map([], user)?.collect())
    }

    /// A user by name.
    pub fn user(&self, name: &str) -> Result<Option<UserRow>> {
        self.with(|c| c.query_row("SELECT * FROM users WHERE name = ?1", [name], user).optional())
    }

    /// Stores a user; replaces one of the same name.
    pub fn put_user(&self, row: &UserRow) -> Result<()> {
        self.with(|c| {
            let UserRow { name, pass, role, permissions, ips, disabled, created, changed, must_change } = row;
            let sql = "INSERT OR REPLACE INTO users VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            let values = params![name, pass, role, permissions, ips, disabled, created, changed, must_change];
            c.execute(sql, values).map(drop)
        })
    }

    /// Deletes a user; returns whether it existed.
    pub fn delete_user(&self, name: &str) -> Result<bool> {
        self.with(|c| c.execute("DELETE FROM users WHERE name = ?1", [name]).map(|n| n > 0))
    }

    /// Signing keys, in the order in which they sign.
    pub fn keys(&self) -> Result<Vec<KeyRow>> {
        self.with(|c| {
            let row = |row: &Row<'_>| Ok(KeyRow { kid: row.get(0)?, pkcs8: row.get(1)?, active_from: row.get(2)? });
            c.prepare("SELECT kid, pkcs8, active_from FROM keys ORDER BY active_from, rowid")?
                .query_map([], row)?
                .collect()
        })
    }

    /// Stores a key; replaces one with the same `kid`.
    pub fn put_key(&self, key: &KeyRow) -> Result<()> {
        self.with(|c| {
            let sql = "INSERT OR REPLACE INTO keys VALUES (?1, ?2, ?3)";
            c.execute(sql, params![key.kid, key.pkcs8, key.active_from]).map(drop)
        })
    }

    /// Deletes a key.
    pub fn delete_key(&self, kid: &str) -> Result<()> {
        self.with(|c| c.execute("DELETE FROM keys WHERE kid = ?1", [kid]).map(drop))
    }

    /// All tokens, newest first.
    pub fn tokens(&self) -> Result<Vec<TokenRow>> {
        self.with(|c| c.prepare("SELECT * FROM tokens ORDER BY created DESC, id")?.query_map([], token)?.collect())
    }

    /// Stores a new token.
    pub fn add_token(&self, row: &TokenRow) -> Result<()> {
        self.with(|c| {
            let TokenRow { id, name, permissions, kid, created, expires, created_by, revoked } = row;
            let sql = "INSERT INTO tokens VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            c.execute(sql, params![id, name, permissions, kid, created, expires, created_by, revoked]).map(drop)
        })
    }

    /// Revokes a token; returns whether it was valid before.
    pub fn revoke_token(&self, id: &str, now: u64) -> Result<bool> {
        self.with(|c| {
            let sql = "UPDATE tokens SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL";
            let found = c.execute(sql, params![id, now])? > 0;
            c.execute("INSERT OR IGNORE INTO revoked SELECT id, expires FROM tokens WHERE id = ?1", [id])?;
            Ok(found)
        })
    }

    /// All shares, newest first.
    pub fn shares(&self) -> Result<Vec<ShareRow>> {
        self.with(|c| c.prepare("SELECT * FROM shares ORDER BY created DESC, id")?.query_map([], share)?.collect())
    }

    /// Stores a new share.
    pub fn add_share(&self, row: &ShareRow) -> Result<()> {
        self.with(|c| {
            let ShareRow { id, code, label, permissions, created, expires, created_by, max_uses, uses, revoked } = row;
            let sql = "INSERT INTO shares VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
            let values = params![id, code, label, permissions, created, expires, created_by, max_uses, uses, revoked];
            c.execute(sql, values).map(drop)
        })
    }

    /// Counts a use of a share that can still be opened, and returns the share.
    pub fn open_share(&self, code: &[u8; 32], now: u64) -> Result<Option<ShareRow>> {
        self.with(|c| {
            let sql = "UPDATE shares SET uses = uses + 1 WHERE code = ?1 AND revoked IS NULL AND expires > ?2
                       AND (max_uses IS NULL OR uses < max_uses) RETURNING *";
            c.query_row(sql, params![code, now], share).optional()
        })
    }

    /// Revokes a share and its sign-ins, and until `until` the access tokens made with it; returns whether it was valid
    /// before.
    pub fn revoke_share(&self, id: &str, now: u64, until: u64) -> Result<bool> {
        self.with(|c| {
            let sql = "UPDATE shares SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL";
            let found = c.execute(sql, params![id, now])? > 0;
            if found {
                c.execute("INSERT OR REPLACE INTO revoked VALUES (?1, ?2)", params![id, until])?;
                c.execute("DELETE FROM sign_ins WHERE share = ?1", [id])?;
            }
            Ok(found)
        })
    }

    /// A sign-in by its id.
    pub fn sign_in(&self, id: &str) -> Result<Option<SignInRow>> {
        self.with(|c| c.query_row("SELECT * FROM sign_ins WHERE id = ?1", [id], sign_in).optional())
    }

    /// Replaces the refresh token's digest `old` by `new`; returns whether `old` was still stored.
    pub fn rotate_sign_in(&self, id: &str, old: &[u8], new: &[u8], now: u64) -> Result<bool> {
        self.with(|c| {
            let sql = "UPDATE sign_ins SET secret = ?3, previous = ?2, rotated = ?4 WHERE id = ?1 AND secret = ?2";
            c.execute(sql, params![id, old, new, now]).map(|n| n > 0)
        })
    }

    /// Stores a new sign-in.
    pub fn add_sign_in(&self, row: &SignInRow) -> Result<()> {
        self.with(|c| {
            let SignInRow { id, user, share, secret, previous, rotated, password_stamp, expires } = row;
            let sql = "INSERT INTO sign_ins VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            c.execute(sql, params![id, user, share, secret, previous, rotated, password_stamp, expires]).map(drop)
        })
    }

    /// Deletes a sign-in, and revokes its access tokens until `until`.
    pub fn end_sign_in(&self, id: &str, until: u64) -> Result<()> {
        self.with(|c| {
            c.execute("DELETE FROM sign_ins WHERE id = ?1", [id])?;
            c.execute("INSERT OR REPLACE INTO revoked VALUES (?1, ?2)", params![id, until]).map(drop)
        })
    }

    /// Ids of tokens, shares and sign-ins that were revoked and have not expired.
    pub fn revoked(&self) -> Result<Vec<String>> {
        self.with(|c| c.prepare("SELECT id FROM revoked")?.query_map([], |row| row.get(0))?.collect())
    }

    /// Deletes rows that have expired at this time.
    pub fn delete_expired(&self, now: u64) -> Result<()> {
        self.with(|c| {
            c.execute("DELETE FROM sign_ins WHERE expires <= ?1", [now])?;
            c.execute("DELETE FROM revoked WHERE until <= ?1", [now])?;
            c.execute("DELETE FROM tokens WHERE expires <= ?1", [now])?;
            c.execute("DELETE FROM shares WHERE expires <= ?1", [now]).map(drop)
        })
    }
}
