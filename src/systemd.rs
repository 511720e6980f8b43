//! The protocol of systemd's services of type `notify` (sd_notify(3)): the program says when it is ready, when it ends, and at
//! intervals that it works. Without systemd nothing is sent.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::{
        linux::net::SocketAddrExt,
        unix::{ffi::OsStrExt, net},
    },
    path::Path,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, Instant, MissedTickBehavior, interval_at, timeout},
};

/// Most bytes of the head of the answer that are read: its status is in the first line.
const HEAD: usize = 64;

/// The socket of systemd, and what it expects.
#[derive(Debug)]
pub struct Notifier {
    socket: net::UnixDatagram,
    address: net::SocketAddr,
    /// systemd ends the program if it does not report for this time.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// What the environment says; none if systemd does not wait for messages.
    pub fn from_environment() -> Option<Self> {
        let path = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty())?;
        let variable = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_for_us = variable("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = variable("WATCHDOG_USEC").filter(|usec| is_for_us && *usec > 0).map(Duration::from_micros);
        match Notifier::open(path.as_bytes(), watchdog) {
            Ok(notifier) => Some(notifier),
            Err(e) => {
                tracing::warn!("systemd cannot be notified: {e}");
                None
            }
        }
    }

    /// `path` is a file, or a name in the abstract namespace after `@`.
    fn open(path: &[u8], watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match path.strip_prefix(b"@") {
            Some(name) => net::SocketAddr::from_abstract_name(name)?,
            None => net::SocketAddr::from_pathname(Path::new(std::ffi::OsStr::from_bytes(path)))?,
        };
        let socket = net::UnixDatagram::unbound()?;
        // systemd may be busy; the program does not wait for it.
        socket.set_nonblocking(true)?;
        Ok(Notifier { socket, address, watchdog })
    }

    /// The listeners are open.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", status.replace('\n', " ")));
    }

    /// The program is about to end, and takes its time for it.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, message: &str) {
        if let Err(e) = self.socket.send_to_addr(message.as_bytes(), &self.address) {
            tracing::warn!("systemd cannot be notified: {e}");
        }
    }

    /// Reports at intervals that the HTTP server at this address answers, if systemd watches the program. Does not return then.
    pub async fn watch(&self, http: SocketAddr) {
        let Some(watchdog) = self.watchdog else { return };
        // Three of four reports can be late.
        let pause = watchdog / 4;
        let mut ticks = interval_at(Instant::now() + pause, pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match timeout(pause, answers(http)).await {
                Ok(Ok(())) => self.send("WATCHDOG=1"),
                Ok(Err(e)) => tracing::warn!("the HTTP server does not answer itself: {e}"),
                Err(_) => tracing::warn!("the HTTP server does not answer itself in {pause:?}"),
            }
        }
    }
}

/// Asks `/healthz`, which touches neither disk nor database: a start anew repairs neither.
async fn answers(http: SocketAddr) -> io::Result<()> {
    let ip = match http.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let mut socket = TcpStream::connect((ip, http.port())).await?;
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut head = vec![];
    socket.take(HEAD as u64).read_to_end(&mut head).await?;
    match head.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&head).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn received(socket: &net::UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn messages_arrive_at_a_file_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let name = format!("mtx-sidecar-test-{}", std::process::id());
        let abstract_name = net::SocketAddr::from_abstract_name(&name).expect("a name");
        for (systemd, address) in [
            (net::UnixDatagram::bind(&path).expect("binds"), path.to_string_lossy().into_owned()),
            (net::UnixDatagram::bind_addr(&abstract_name).expect("binds"), format!("@{name}")),
        ] {
            let notifier = Notifier::open(address.as_bytes(), None).expect("opens");
            notifier.ready("http://[::]:9995,\nno more");
            assert_eq!(received(&systemd), "READY=1\nSTATUS=http://[::]:9995, no more");
            notifier.stopping();
            assert_eq!(received(&systemd), "STOPPING=1");
        }
    }

    /// With the clock of the system: both ends are sockets.
    #[tokio::test]
    async fn the_watchdog_is_told_only_while_the_server_answers() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let systemd = tokio::net::UnixDatagram::bind(&path).expect("binds");
        let notifier = Notifier::open(path.as_os_str().as_bytes(), Some(Duration::from_millis(200))).expect("opens");
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let http = server.local_addr().expect("an address");
        let is_refusing = std::sync::Arc::new(AtomicBool::new(true));
        let refused = is_refusing.clone();
        let answering = tokio::spawn(async move {
            // The first requests are refused, the later ones answered.
            for n in 0.. {
                let (mut client, _) = server.accept().await.expect("a connection");
                refused.store(n < 2, Ordering::Relaxed);
                let status = if n < 2 { "503 Unavailable" } else { "200 OK" };
                let mut request = [0; 512];
                // A client that waits no longer has closed the connection.
                let _ = client.read(&mut request).await;
                let _ = client.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
            }
        });
        let mut buffer = [0; 64];
        let watching = notifier.watch(http);
        let told = async {
            let length = systemd.recv(&mut buffer).await.expect("a message");
            buffer[..length].to_vec()
        };
        let told = tokio::select! {
            () = watching => panic!("it watches without end"),
            told = told => told,
        };
        assert_eq!(told, b"WATCHDOG=1");
        assert!(!is_refusing.load(Ordering::Relaxed), "told after a refused request");
        answering.abort();
        let idle = Notifier::open(path.as_os_str().as_bytes(), None).expect("opens");
        idle.watch(http).await;
    }
}
