//! Requests to any address, of which nothing is known but its pattern.

use tokio::io::AsyncReadExt;

use super::{PATIENCE, Response, TestApp};

impl TestApp {
    /// Sends a request and reads the answer: all of an error, and only the head of a success, which can have no end.
    pub async fn outcome(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Response {
        let mut socket = self.send(method, path, headers, body).await;
        let mut data = vec![];
        let read = async {
            loop {
                let is_whole = data.windows(4).any(|w| w == b"\r\n\r\n");
                let is_success = data.get(9).is_some_and(|digit| *digit < b'4');
                if is_whole && is_success || socket.read_buf(&mut data).await.unwrap_or_default() == 0 {
                    return;
                }
            }
        };
        let answered = tokio::time::timeout(PATIENCE, read).await;
        assert!(answered.is_ok() && !data.is_empty(), "no answer to {method} {path}");
        Response::parse(&data)
    }
}

/// An address of the pattern: `value` stands for each variable that can be anything, the first word for one of several.
pub fn example(pattern: &str, value: &str) -> String {
    let mut parts = pattern.split('{');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (variable, rest) = part.split_once('}').expect("a variable ends");
        path.push_str(match variable.split_once(':').map(|(_, rule)| rule) {
            None | Some(".+") => value,
            Some("[0-9]?") => "1",
            Some(words) => words.split('|').next().expect("a word"),
        });
        path.push_str(rest);
    }
    // This address is the first page without an action.
    if path == "/" { "/?action=stream".into() } else { path }
}
