//! nginx and Caddy, started with the configuration that docs/proxies.md shows, and a client that speaks TLS to them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::{
    documents::{blocks, read},
    support::{PATIENCE, Program, eventually, free_port, skip::skip},
};

/// The host of the configuration in the document.
pub const HOST: &str = "cameras.example";

/// The address of a client that is not this machine for any rule.
pub const AFAR: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Caddy,
}

use Kind::{Caddy, Nginx};

impl Kind {
    /// The program; none, and a skipped test, where it is not installed.
    fn program(self) -> Option<PathBuf> {
        let (name, version) = match self {
            Nginx => ("nginx", "-v"),
            Caddy => ("caddy", "version"),
        };
        // Debian installs nginx outside of the PATH of users.
        let mut places = [PathBuf::from(name), Path::new("/usr/sbin").join(name)].into_iter();
        let works = |program: &PathBuf| {
            let mut command = std::process::Command::new(program);
            command.arg(version).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let program = places.find(works);
        if program.is_none() {
            skip(&format!("there is no {name} (make test-deps installs it)"));
        }
        program
    }

    /// The configurations in the document: at a host of its own, and below a path.
    fn documented(self) -> [String; 2] {
        let language = match self {
            Nginx => "nginx",
            Caddy => "caddyfile",
        };
        let found = blocks(&read(Path::new("docs/proxies.md"))).into_iter().filter(|block| block.language == language);
        let found: Vec<_> = found.map(|block| block.text).collect();
        found.try_into().unwrap_or_else(|found: Vec<_>| panic!("{} blocks of {language}", found.len()))
    }

    /// The documented configuration at a host of its own.
    pub fn at_a_host(self) -> String {
        let [whole, _] = self.documented();
        whole
    }

    /// The documented configuration below the path `/cameras`. For nginx the document shows the changed `location` only.
    pub fn below_a_path(self) -> String {
        let [whole, below] = self.documented();
        if self == Caddy {
            return below;
        }
        let (before, location) = whole.split_once("    location / {").expect("a location for all paths");
        let (_, after) = location.split_once("    }\n").expect("the location ends");
        format!("{before}{below}{after}")
    }
}

/// A proxy in front of the application; ended on drop.
pub struct Proxy {
    addr: SocketAddr,
    connector: TlsConnector,
    clients: JoinSet<()>,
    _program: Program,
    folder: tempfile::TempDir,
}

impl Proxy {
    /// Starts the program with this configuration of the document, whose addresses and files are replaced. None, and a
    /// skipped test, where the program is not installed.
    pub async fn start(kind: Kind, configuration: &str, application: SocketAddr) -> Option<Self> {
        let program = kind.program()?;
        let folder = tempfile::tempdir().expect("a folder");
        certificate(folder.path()).await;
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let configuration = with_addresses(kind, configuration, application, addr, folder.path());
        let file = folder.path().join(if kind == Nginx { "nginx.conf" } else { "Caddyfile" });
        std::fs::write(&file, configuration).expect("writes");
        let (file, program) = (file.to_string_lossy(), program.to_string_lossy());
        // Caddy stores the configuration that it runs with in its user's folder.
        let home = format!("XDG_CONFIG_HOME={}", folder.path().display());
        let args = match kind {
            Nginx => vec![&*program, "-c", &file],
            Caddy => vec![&*home, &program, "run", "--adapter", "caddyfile", "--config", &file],
        };
        let mut program = Program::start("env", &args);
        eventually(&format!("{kind:?} listens"), async || {
            let ended = program.0.try_wait().expect("can be asked");
            assert_eq!(ended, None, "{kind:?} has ended; TEST_LOG=1 shows why");
            TcpStream::connect(addr).await.is_ok()
        })
        .await;
        let connector = connector(folder.path());
        Some(Proxy { addr, connector, clients: JoinSet::new(), _program: program, folder })
    }

    /// The origin at which curl reaches the proxy.
    pub fn origin(&self) -> String {
        format!("https://{HOST}:{}", self.addr.port())
    }

    /// A request of curl, which speaks HTTP/2 with the proxy, from an address that is not this machine.
    pub fn curl(&self, path: &str, args: &[&str]) -> tokio::process::Command {
        let (port, certificate) = (self.addr.port(), self.folder.path().join("cert.pem"));
        let mut command = tokio::process::Command::new("curl");
        command.args(["-sN", "--interface", &AFAR.to_string(), "--resolve", &format!("{HOST}:{port}:127.0.0.1")]);
        command.arg("--cacert").arg(certificate).args(args).arg(self.origin() + path);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Opens an address at which a client without TLS reaches the proxy, which sees it come from `source`. So every client
    /// of the tests can be used.
    pub async fn client(&mut self, source: IpAddr) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let here = listener.local_addr().expect("bound");
        let (connector, proxy) = (self.connector.clone(), self.addr);
        self.clients.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(relay(client, source, proxy, connector.clone()));
            }
        });
        here
    }
}

/// Encrypts one connection. Errors end it, as the peers do.
async fn relay(mut client: TcpStream, source: IpAddr, proxy: SocketAddr, connector: TlsConnector) {
    let relayed = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let socket = socket.connect(proxy).await?;
        let mut encrypted = connector.connect(ServerName::try_from(HOST).expect("a name"), socket).await?;
        copy_bidirectional(&mut client, &mut encrypted).await
    };
    if let Err(e) = relayed.await
        && std::env::var_os("TEST_LOG").is_some()
    {
        eprintln!("a connection to the proxy: {e}");
    }
}

fn with_addresses(
    kind: Kind,
    configuration: &str,
    application: SocketAddr,
    proxy: SocketAddr,
    folder: &Path,
) -> String {
    let at = folder.display();
    let replaced = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "docs/proxies.md has no {from:?} for {kind:?}");
        text.replace(from, to)
    };
    let text = replaced(configuration.to_owned(), "127.0.0.1:9995", &application.to_string());
    match kind {
        Nginx => {
            let text = replaced(text, "listen 443 ssl http2;", &format!("listen {proxy} ssl http2;"));
            let text = replaced(text, "/etc/ssl/cameras.example.pem", &format!("{at}/cert.pem"));
            let text = replaced(text, "/etc/ssl/cameras.example.key", &format!("{at}/key.pem"));
            let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|name| format!("{name}_temp_path {at}/{name};\n"))
                .collect();
            // One process, so that it ends with the test, and does not need the permissions of root.
            format!(
                "daemon off;\nmaster_process off;\npid {at}/nginx.pid;\nerror_log stderr warn;\nevents {{}}\n\
                 http {{\naccess_log off;\n{folders}{text}}}\n"
            )
        }
        Caddy => {
            let port = proxy.port();
            let begin = format!("https://{HOST}:{port} {{\n\tbind 127.0.0.1\n\ttls {at}/cert.pem {at}/key.pem\n");
            let text = replaced(text, &format!("{HOST} {{\n"), &begin);
            // No port for administration and none for redirects; nothing is written outside of the folder.
            format!(
                "{{\nadmin off\nauto_https disable_redirects\nskip_install_trust\nstorage file_system {at}/caddy\n}}\n{text}"
            )
        }
    }
}

/// A self-signed certificate for the host.
async fn certificate(folder: &Path) {
    let (key, cert) = (folder.join("key.pem"), folder.join("cert.pem"));
    let (key, cert, name) = (key.to_string_lossy(), cert.to_string_lossy(), format!("subjectAltName=DNS:{HOST}"));
    let kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    // A certificate of an authority is none for a host (RFC 5280, section 4.2.1.9).
    let host = ["-subj", "/CN=proxy", "-addext", "basicConstraints=critical,CA:FALSE", "-addext", &name];
    Program::output("openssl", &[&kind[..], &host, &["-keyout", &key, "-out", &cert]].concat()).await;
}

fn connector(folder: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("cert.pem")).expect("a certificate")).expect("is added");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions");
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// An address of this machine that is no loopback address, if it has one. Nothing is sent: the system says from where it would send.
pub fn own_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // TEST-NET-3 (RFC 5737) is on no network.
    socket.connect("203.0.113.1:9").ok()?;
    socket.local_addr().ok().map(|addr| addr.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// Reads lines that the program writes to standard error until one contains the text; fails after [`PATIENCE`].
pub async fn stderr_says(program: &mut Program, text: &str) -> String {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut lines = BufReader::new(program.0.stderr.take().expect("piped")).lines();
    let mut seen = vec![];
    let search = async {
        while let Some(line) = lines.next_line().await.expect("text") {
            if line.contains(text) {
                return Some(line);
            }
            seen.push(line);
        }
        None
    };
    let found = tokio::time::timeout(PATIENCE, search).await.ok().flatten();
    found.unwrap_or_else(|| panic!("no line has {text:?}:\n{}", seen.join("\n")))
}
