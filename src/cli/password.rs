//! `mtx-sidecar hash-password`, and the input of passwords.

use std::io::{self, BufRead, IsTerminal};

use super::Outcome;
use crate::policy::hash_password;

pub(super) fn hash() -> Outcome {
    let password = read_new()?;
    println!("{}", hash_password(&password)?);
    Ok(())
}

/// Reads a new password: twice from a terminal, or the first line of standard input.
pub(super) fn read_new() -> Result<String, String> {
    let password = if io::stdin().is_terminal() {
        let password = prompt("Password: ")?;
        if prompt("Repeat: ")? != password {
            return Err("the two passwords differ".into());
        }
        password
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(|e| format!("standard input cannot be read: {e}"))?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() { Err("the password must not be empty".into()) } else { Ok(password) }
}

/// Reads a password from the terminal, without echo.
pub(super) fn prompt(question: &str) -> Result<String, String> {
    rpassword::prompt_password(question).map_err(|e| format!("the password cannot be read: {e}"))
}
