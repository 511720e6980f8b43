//! Connections from chosen addresses of this machine, and requests on them.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::Result;

/// The address that counts as this machine.
pub const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The address of the ordinary client.
pub const USER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 200);

/// `alice:secret`.
pub const ALICE: &str = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";

/// `camera:s3cret`.
pub const CAMERA: &str = "Authorization: Basic Y2FtZXJhOnMzY3JldA==\r\n";

/// The addresses of the attacker: each connection has the next one.
const ATTACKERS: u8 = 5;

/// A connection that is not made, or an answer that has not begun, after this time counts as refused.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The address of the attacker's connection with this number.
pub fn attacker(number: u64) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 11 + (number % u64::from(ATTACKERS)) as u8)
}

pub async fn connect(addr: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    open(TcpSocket::new_v4()?, addr, from).await
}

/// The same with a receive buffer of a few kilobytes, so that the system holds little of what the client does not read.
pub async fn connect_narrow(addr: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    open(socket, addr, from).await
}

async fn open(socket: TcpSocket, addr: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    socket.bind((from, 0).into())?;
    timeout(PATIENCE, socket.connect(addr)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// The head of a request; `headers` are whole lines.
pub fn head(method: &str, path: &str, headers: &str, length: usize) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {length}\r\n\r\n")
}

/// One request on a connection of its own; returns the status and the body.
pub async fn ask(
    addr: SocketAddr,
    from: Ipv4Addr,
    (method, path): (&str, &str),
    headers: &str,
    body: &[u8],
) -> Result<(u16, Vec<u8>)> {
    let exchange = async {
        let mut socket = connect(addr, from).await?;
        let head = head(method, path, &format!("{headers}Connection: close\r\n"), body.len());
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(body).await?;
        let mut answer = vec![];
        socket.read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(PATIENCE, exchange).await.map_err(|_| format!("no answer to {method} {path}"))??;
    let end = memchr::memmem::find(&answer, b"\r\n\r\n").ok_or_else(|| format!("no head from {method} {path}"))?;
    Ok((status(&answer).ok_or("no status")?, answer[end + 4..].to_vec()))
}

/// The same with JSON in the answer.
pub async fn ask_json(addr: SocketAddr, method: &str, path: &str, body: &[u8]) -> Result<Value> {
    let (status, body) = ask(addr, USER, (method, path), ALICE, body).await?;
    // Of a chunked answer the JSON is the part with braces.
    let (from, to) = (body.iter().position(|b| *b == b'{'), body.iter().rposition(|b| *b == b'}'));
    let json = from.zip(to).and_then(|(from, to)| serde_json::from_slice(body.get(from..=to)?).ok());
    json.filter(|_| status / 100 == 2).ok_or_else(|| format!("{method} {path}: {status}").into())
}

/// The status of a request whose answer may be missing, for notes.
pub async fn outcome(addr: SocketAddr, from: Ipv4Addr, request: (&str, &str), headers: &str, body: &[u8]) -> String {
    match ask(addr, from, request, headers, body).await {
        Ok((status, _)) => status.to_string(),
        Err(e) => e.to_string(),
    }
}

/// The status in the first bytes of an answer.
pub fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?).ok()?.parse().ok()
}

/// Reads what has arrived; true if the server has closed the connection.
pub fn has_closed(socket: &TcpStream) -> bool {
    let mut data = [0; 1 << 14];
    loop {
        match socket.try_read(&mut data) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) => return e.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

/// Closes without TIME_WAIT: a run leaves no hundred thousand ports behind.
pub fn close_hard(socket: &TcpStream) {
    let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
