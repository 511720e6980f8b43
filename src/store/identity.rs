//! Users, keys, tokens, shares and sign-ins as rows. What they mean is `identity`'s to know. Times are seconds of the
//! Unix epoch; lists are JSON.

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

/// A user of the database.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRow {
    /// The name.
    pub name: String,
    /// `argon2:` and a PHC string.
    pub pass: String,
    /// `admin`, `user` or empty.
    pub role: String,
    /// JSON.
    pub permissions: String,
    /// JSON.
    pub ips: String,
    /// Whether the user counts for nothing at the moment.
    pub disabled: bool,
    /// When the user was made.
    pub created: u64,
    /// When the user was changed last.
    pub changed: u64,
}

/// A signing key.
#[derive(Clone)]
pub struct KeyRow {
    /// Its name in tokens.
    pub kid: String,
    /// The private key (RFC 8410).
    pub pkcs8: Vec<u8>,
    /// From when on it signs.
    pub active_from: u64,
}

/// A machine's token; not the token itself, which is nowhere kept.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// Its `jti`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// JSON.
    pub permissions: String,
    /// The key that signed it.
    pub kid: String,
    /// When it was made.
    pub created: u64,
    /// When it ends.
    pub expires: u64,
    /// Who made it.
    pub created_by: String,
    /// When it was revoked, if it was.
    pub revoked: Option<u64>,
}

/// A share.
#[derive(Clone, Debug)]
pub struct ShareRow {
    /// Its id, which opens nothing.
    pub id: String,
    /// The digest of its code.
    pub code: [u8; 32],
    /// What people call it.
    pub label: String,
    /// JSON.
    pub permissions: String,
    /// When it was made.
    pub created: u64,
    /// When it ends.
    pub expires: u64,
    /// Who made it.
    pub created_by: String,
    /// How often it may be opened.
    pub max_uses: Option<u64>,
    /// How often it was opened.
    pub uses: u64,
    /// When it was revoked, if it was.
    pub revoked: Option<u64>,
}

/// A browser that has signed in, or opened a share.
#[derive(Clone, Debug)]
pub struct SignInRow {
    /// Its id.
    pub id: String,
    /// Whose.
    pub user: Option<String>,
    /// Or which share's.
    pub share: Option<String>,
    /// The digest of the refresh token.
    pub secret: Vec<u8>,
    /// The digest of the one before.
    pub previous: Option<Vec<u8>>,
    /// When the token was replaced last.
    pub rotated: u64,
    /// The state of the user's password at the time.
    pub password_stamp: String,
    /// When it ends.
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

    /// Keeps a user in place of an earlier one of that name.
    pub fn put_user(&self, row: &UserRow) -> Result<()> {
        self.with(|c| {
            let UserRow { name, pass, role, permissions, ips, disabled, created, changed } = row;
            let sql = "INSERT OR REPLACE INTO users VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            c.execute(sql, params![name, pass, role, permissions, ips, disabled, created, changed]).map(drop)
        })
    }

    /// Removes a user; says whether there was one.
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

    /// Keeps a key, or changes when it signs.
    pub fn put_key(&self, key: &KeyRow) -> Result<()> {
        self.with(|c| {
            let sql = "INSERT OR REPLACE INTO keys VALUES (?1, ?2, ?3)";
            c.execute(sql, params![key.kid, key.pkcs8, key.active_from]).map(drop)
        })
    }

    /// Forgets a key.
    pub fn delete_key(&self, kid: &str) -> Result<()> {
        self.with(|c| c.execute("DELETE FROM keys WHERE kid = ?1", [kid]).map(drop))
    }

    /// Machines' tokens, newest first.
    pub fn tokens(&self) -> Result<Vec<TokenRow>> {
        self.with(|c| c.prepare("SELECT * FROM tokens ORDER BY created DESC, id")?.query_map([], token)?.collect())
    }

    /// Notes a new token.
    pub fn add_token(&self, row: &TokenRow) -> Result<()> {
        self.with(|c| {
            let TokenRow { id, name, permissions, kid, created, expires, created_by, revoked } = row;
            let sql = "INSERT INTO tokens VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            c.execute(sql, params![id, name, permissions, kid, created, expires, created_by, revoked]).map(drop)
        })
    }

    /// Notes that a token does not count any more; says whether one did.
    pub fn revoke_token(&self, id: &str, now: u64) -> Result<bool> {
        self.with(|c| {
            let sql = "UPDATE tokens SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL";
            let found = c.execute(sql, params![id, now])? > 0;
            c.execute("INSERT OR IGNORE INTO revoked SELECT id, expires FROM tokens WHERE id = ?1", [id])?;
            Ok(found)
        })
    }

    /// Shares, newest first.
    pub fn shares(&self) -> Result<Vec<ShareRow>> {
        self.with(|c| c.prepare("SELECT * FROM shares ORDER BY created DESC, id")?.query_map([], share)?.collect())
    }

    /// Notes a new share.
    pub fn add_share(&self, row: &ShareRow) -> Result<()> {
        self.with(|c| {
            let ShareRow { id, code, label, permissions, created, expires, created_by, max_uses, uses, revoked } = row;
            let sql = "INSERT INTO shares VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
            let values = params![id, code, label, permissions, created, expires, created_by, max_uses, uses, revoked];
            c.execute(sql, values).map(drop)
        })
    }

    /// Counts an opening of a share that may still be opened, and returns it.
    pub fn open_share(&self, code: &[u8; 32], now: u64) -> Result<Option<ShareRow>> {
        self.with(|c| {
            let sql = "UPDATE shares SET uses = uses + 1 WHERE code = ?1 AND revoked IS NULL AND expires > ?2
                       AND (max_uses IS NULL OR uses < max_uses) RETURNING *";
            c.query_row(sql, params![code, now], share).optional()
        })
    }

    /// Notes that a share does not count any more, nor what was opened with it until then; says whether it did.
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

    /// A sign-in.
    pub fn sign_in(&self, id: &str) -> Result<Option<SignInRow>> {
        self.with(|c| c.query_row("SELECT * FROM sign_ins WHERE id = ?1", [id], sign_in).optional())
    }

    /// Puts a secret in place of that one; says whether it was still there.
    pub fn rotate_sign_in(&self, id: &str, old: &[u8], new: &[u8], now: u64) -> Result<bool> {
        self.with(|c| {
            let sql = "UPDATE sign_ins SET secret = ?3, previous = ?2, rotated = ?4 WHERE id = ?1 AND secret = ?2";
            c.execute(sql, params![id, old, new, now]).map(|n| n > 0)
        })
    }

    /// Keeps a new sign-in.
    pub fn add_sign_in(&self, row: &SignInRow) -> Result<()> {
        self.with(|c| {
            let SignInRow { id, user, share, secret, previous, rotated, password_stamp, expires } = row;
            let sql = "INSERT INTO sign_ins VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            c.execute(sql, params![id, user, share, secret, previous, rotated, password_stamp, expires]).map(drop)
        })
    }

    /// Ends a sign-in, and what was given to it until then.
    pub fn end_sign_in(&self, id: &str, until: u64) -> Result<()> {
        self.with(|c| {
            c.execute("DELETE FROM sign_ins WHERE id = ?1", [id])?;
            c.execute("INSERT OR REPLACE INTO revoked VALUES (?1, ?2)", params![id, until]).map(drop)
        })
    }

    /// Ids of what was revoked and would count otherwise.
    pub fn revoked(&self) -> Result<Vec<String>> {
        self.with(|c| c.prepare("SELECT id FROM revoked")?.query_map([], |row| row.get(0))?.collect())
    }

    /// Forgets what has ended by itself before that time.
    pub fn forget_ended(&self, before: u64) -> Result<()> {
        self.with(|c| {
            c.execute("DELETE FROM sign_ins WHERE expires <= ?1", [before])?;
            c.execute("DELETE FROM revoked WHERE until <= ?1", [before])?;
            c.execute("DELETE FROM tokens WHERE expires <= ?1", [before])?;
            c.execute("DELETE FROM shares WHERE expires <= ?1", [before]).map(drop)
        })
    }
}
