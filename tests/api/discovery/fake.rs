//! Cameras that can be found: UDP and HTTP on loopback. Their answers, in the folders beside this file, are modelled on the
//! published answers of each maker, with its prefixes and its quirks.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};

/// The user and password of all fake cameras.
pub const LOGIN: (&str, &str) = ("admin", "s3cret-pa&ss");

/// How a camera authenticates its clients.
#[derive(Clone, Copy, PartialEq)]
pub enum Auth {
    None,
    /// By a token with the time of the camera's clock, like Hikvision's cameras.
    Token,
    /// By HTTP Digest, with a nonce for each request if `once`.
    Digest {
        once: bool,
    },
    /// By HTTP Basic, which ONVIF does not permit.
    Basic,
}

/// What a camera tells of its clock.
#[derive(Clone, Copy, PartialEq)]
pub enum Told {
    Right,
    /// The right time, as `LocalDateTime` only.
    AsLocal,
    /// A time that is so many seconds fast.
    Wrong(i64),
    Nothing,
}

/// The behaviour of a camera.
#[derive(Clone)]
pub struct Behaviour {
    /// The folder of its answers.
    pub maker: &'static str,
    pub auth: Auth,
    /// The seconds by which its clock is ahead.
    pub clock: i64,
    /// What its answer tells of the clock.
    pub told: Told,
    /// The host that it names in its answers; none for its own.
    pub elsewhere: Option<String>,
    /// Answers each HTTP request with this body.
    pub answers_with: Option<Arc<Vec<u8>>>,
    /// Never answers an HTTP request.
    pub is_silent: bool,
    /// Answers probes for any type only.
    pub ignores_typed: bool,
    /// The answer to probes; `{RELATES}`, `{XADDR}` and `{ID}` are filled in.
    pub probe_match: String,
    /// The location of its description in answers to SSDP searches; none for no answer.
    pub location: Option<String>,
}

pub const MATCH: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" xmlns:wsadis="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><env:Header><wsadis:MessageID>urn:uuid:1</wsadis:MessageID><wsadis:RelatesTo>{RELATES}</wsadis:RelatesTo><wsadis:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsadis:To></env:Header>
<env:Body><d:ProbeMatches><d:ProbeMatch><wsadis:EndpointReference><wsadis:Address>urn:uuid:{ID}</wsadis:Address></wsadis:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/Profile/Streaming onvif://www.onvif.org/hardware/HW%2F1 onvif://www.onvif.org/name/{MAKER}%20Front%20Door onvif://www.onvif.org/location/city/hangzhou</d:Scopes><d:XAddrs>{XADDR}</d:XAddrs><d:MetadataVersion>10</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></env:Body></env:Envelope>"#;

impl Behaviour {
    pub fn of(maker: &'static str) -> Self {
        Behaviour {
            maker,
            auth: Auth::None,
            clock: 0,
            told: Told::Right,
            elsewhere: None,
            answers_with: None,
            is_silent: false,
            ignores_typed: false,
            probe_match: MATCH.into(),
            location: None,
        }
    }
}

/// A request that a camera has received: the operation, and the whole text.
#[derive(Clone, Debug)]
pub struct Seen {
    pub operation: String,
    pub text: String,
}

/// A camera; ended on drop.
pub struct Camera {
    pub http: SocketAddr,
    pub udp: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    tasks: JoinSet<()>,
}

impl Camera {
    pub async fn start(behaviour: Behaviour) -> Self {
        Camera::start_at([127, 0, 0, 1], behaviour).await
    }

    pub async fn start_at(ip: [u8; 4], behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(SocketAddr::from((ip, 0))).await.expect("binds");
        Camera::on(listener, ip, behaviour).await
    }

    /// Starts on this listener.
    pub async fn on(listener: TcpListener, ip: [u8; 4], behaviour: Behaviour) -> Self {
        let socket = UdpSocket::bind(SocketAddr::from((ip, 0))).await.expect("binds");
        let (http, udp) = (listener.local_addr().expect("bound"), socket.local_addr().expect("bound"));
        let seen = Arc::new(Mutex::new(vec![]));
        let mut tasks = JoinSet::new();
        tasks.spawn(answer_probes(socket, http, behaviour.clone()));
        tasks.spawn(serve(listener, http, behaviour, seen.clone()));
        Camera { http, udp, seen, tasks }
    }

    /// Joins the multicast group on loopback, which not every machine permits.
    pub fn join_group(&mut self, behaviour: &Behaviour) -> std::io::Result<()> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from(([239, 255, 255, 250], 3702)).into())?;
        socket.join_multicast_v4(&Ipv4Addr::new(239, 255, 255, 250), &Ipv4Addr::LOCALHOST)?;
        socket.set_nonblocking(true)?;
        self.tasks.spawn(answer_probes(UdpSocket::from_std(socket.into())?, self.http, behaviour.clone()));
        Ok(())
    }

    /// The number of requests for the operation.
    pub fn count(&self, operation: &str) -> usize {
        self.seen.lock().iter().filter(|seen| seen.operation == operation).count()
    }

    pub fn all_text(&self) -> String {
        self.seen.lock().iter().map(|seen| seen.text.as_str()).collect()
    }
}

/// A port to which the sidecar must not connect.
pub struct Bait(StdListener);

impl Bait {
    pub fn at(addr: SocketAddr) -> Self {
        let listener = StdListener::bind(addr).expect("every 127.x.y.z is ours on Linux");
        listener.set_nonblocking(true).expect("can");
        Bait(listener)
    }

    pub fn addr(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }

    /// Whether there was a connection.
    pub fn is_taken(&self) -> bool {
        self.0.accept().is_ok()
    }
}

fn id(http: SocketAddr) -> String {
    format!("00000000-0000-4000-8000-0000{:08x}", u32::from(http.port()) | 0xAB00_0000)
}

/// The id of the camera in reports.
pub fn card_id(camera: &Camera) -> String {
    id(camera.http)
}

async fn answer_probes(socket: UdpSocket, http: SocketAddr, behaviour: Behaviour) {
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { return };
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.starts_with("M-SEARCH * HTTP/1.1\r\n") {
            let Some(location) = &behaviour.location else { continue };
            let location = location.replace("{HOST}", &http.to_string());
            let target = text.split("ST: ").nth(1).and_then(|rest| rest.lines().next()).expect("a target");
            let answer = format!(
                "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nLOCATION: {location}\r\n\
                 SERVER: Linux/4.9, UPnP/1.0, Portable SDK/1.4\r\nST: {target}\r\nUSN: uuid:Upnp-BasicDevice-1_0-AC::{target}\r\n\r\n"
            );
            socket.send_to(answer.as_bytes(), from).await.expect("sends");
            continue;
        }
        let is_typed = text.contains("NetworkVideoTransmitter<");
        if behaviour.probe_match.is_empty() || is_typed && behaviour.ignores_typed {
            continue;
        }
        let relates = between(&text, "MessageID>", "<").expect("an id");
        let host = behaviour.elsewhere.clone().unwrap_or_else(|| http.to_string());
        let answer = behaviour
            .probe_match
            .replace("{RELATES}", relates)
            .replace("{ID}", &id(http))
            .replace("{MAKER}", behaviour.maker)
            .replace("{XADDR}", &format!("http://{host}/onvif/device_service"));
        socket.send_to(answer.as_bytes(), from).await.expect("sends");
    }
}

async fn serve(listener: TcpListener, at: SocketAddr, behaviour: Behaviour, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut connections = JoinSet::new();
    let nonces = Arc::new(Mutex::new(0));
    loop {
        let Ok((socket, _)) = listener.accept().await else { return };
        connections.spawn(connection(socket, at, behaviour.clone(), seen.clone(), nonces.clone()));
    }
}

async fn connection(
    mut socket: TcpStream,
    at: SocketAddr,
    behaviour: Behaviour,
    seen: Arc<Mutex<Vec<Seen>>>,
    nonces: Arc<Mutex<u32>>,
) {
    let mut data = vec![];
    let (head, body) = loop {
        if socket.read_buf(&mut data).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&data).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = header(head, "content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let operation = match between(&body, "<s:Body><x:", ">") {
        Some(name) => name.trim_end_matches('/').to_owned(),
        None => head.lines().next().unwrap_or_default().to_owned(),
    };
    seen.lock().push(Seen { operation: operation.clone(), text: format!("{head}\n{body}\n") });
    if behaviour.is_silent {
        std::future::pending::<()>().await;
    }
    if let Some(answer) = &behaviour.answers_with {
        return reply(&mut socket, 200, "", answer).await;
    }
    if let Some(place) = operation.strip_prefix("GET /to/") {
        let place = place.split(' ').next().unwrap_or_default();
        return reply(&mut socket, 302, &format!("Location: http://{place}/rootdesc1.xml\r\n"), b"").await;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/discovery").join(behaviour.maker);
    let is_open = operation.starts_with("GET ")
        || matches!(operation.as_str(), "GetSystemDateAndTime" | "GetServices" | "GetCapabilities");
    let now = shifted(behaviour.clock);
    if !is_open && let Err((status, headers, file)) = admit(&behaviour, &head, &body, now, &nonces).await {
        let body = std::fs::read(folder.join(file)).unwrap_or_default();
        return reply(&mut socket, status, &headers, &body).await;
    }
    let file = match operation.starts_with("GET ") {
        true => "description".to_owned(),
        false => operation.clone(),
    };
    let Ok(text) = std::fs::read_to_string(folder.join(format!("{file}.xml"))) else {
        let fault = "<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body><s:Fault><s:Code><s:Value>s:Receiver</s:Value>\
            <s:Subcode><s:Value>ter:ActionNotSupported</s:Value></s:Subcode></s:Code><s:Reason><s:Text>Optional Action Not Implemented</s:Text>\
            </s:Reason></s:Fault></s:Body></s:Envelope>";
        return reply(&mut socket, 500, "", fault.as_bytes()).await;
    };
    let (text, now) = match behaviour.told {
        _ if operation != "GetSystemDateAndTime" => (text, now),
        Told::Right => (text, now),
        Told::Wrong(seconds) => (text, shifted(behaviour.clock + seconds)),
        Told::AsLocal => {
            let own = between(&text, "<tt:LocalDateTime>", "</tt:LocalDateTime>").unwrap_or_default().to_owned();
            let own = format!("<tt:LocalDateTime>{own}</tt:LocalDateTime>");
            (text.replace(&own, "").replace("UTCDateTime", "LocalDateTime"), now)
        }
        Told::Nothing => (text.replace("UTCDateTime", "tt:None").replace("LocalDateTime", "None"), now),
    };
    let time = humantime::format_rfc3339_seconds(now).to_string();
    let (host, elsewhere) = (at.to_string(), behaviour.elsewhere.clone().unwrap_or_else(|| at.to_string()));
    let filled = text
        .replace("{HOST}", &host)
        .replace("{NAME}", &at.ip().to_string())
        .replace("{ELSEWHERE}", &elsewhere)
        .replace("{TOKEN}", between(&body, "ProfileToken>", "<").unwrap_or_default())
        .replace("{YEAR}", &time[..4])
        .replace("{MONTH}", time[5..7].trim_start_matches('0'))
        .replace("{DAY}", time[8..10].trim_start_matches('0'))
        .replace("{HOUR}", &time[11..13])
        .replace("{MINUTE}", &time[14..16])
        .replace("{SECOND}", &time[17..19]);
    reply(&mut socket, 200, "", filled.as_bytes()).await;
}

async fn reply(socket: &mut TcpStream, status: u16, headers: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/soap+xml; charset=utf-8\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = socket.write_all(&[head.as_bytes(), body].concat()).await;
}

/// Accepts a request with the right credentials; the error is the status, the headers and the file of the body.
async fn admit(
    behaviour: &Behaviour,
    head: &str,
    body: &str,
    now: SystemTime,
    nonces: &Mutex<u32>,
) -> Result<(), (u16, String, &'static str)> {
    match behaviour.auth {
        Auth::None => Ok(()),
        Auth::Basic => Err((401, "WWW-Authenticate: Basic realm=\"x\"\r\n".into(), "NotAuthorized.xml")),
        Auth::Token => {
            let refused = Err((400, String::new(), "NotAuthorized.xml"));
            let field = |name: &str| body.split(name).nth(1).and_then(|rest| between(rest, ">", "<"));
            let (Some(user), Some(password), Some(nonce), Some(created)) = (
                field("<wsse:UsernameToken><wsse:Username"),
                field("<wsse:Password "),
                field("<wsse:Nonce"),
                field("<wsu:Created"),
            ) else {
                return refused;
            };
            let mut sum = STANDARD.decode(nonce).expect("base64");
            sum.extend_from_slice(created.as_bytes());
            sum.extend_from_slice(LOGIN.1.as_bytes());
            let is_right = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &sum)) == password;
            let created = humantime::parse_rfc3339(created).expect("a time");
            let apart = now.duration_since(created).or_else(|_| created.duration_since(now)).expect("some");
            if is_right && user == LOGIN.0 && apart < Duration::from_secs(60) { Ok(()) } else { refused }
        }
        Auth::Digest { once } => {
            let current = *nonces.lock();
            let said = header(head, "authorization").unwrap_or_default();
            let field = |name: &str| between(&said, &format!("{name}=\""), "\"").unwrap_or_default().to_owned();
            let bare = |name: &str| between(&said, &format!("{name}="), ",").unwrap_or_default().to_owned();
            let is_right = field("nonce") == format!("n{current}") && {
                let one = md5(&format!("{}:AXIS:{}", LOGIN.0, LOGIN.1)).await;
                let two = md5(&format!("POST:{}", field("uri"))).await;
                let all = format!("{one}:n{current}:{}:{}:auth:{two}", bare("nc"), field("cnonce"));
                field("response") == md5(&all).await
            };
            if is_right {
                *nonces.lock() += u32::from(once);
                return Ok(());
            }
            let basic = "WWW-Authenticate: Basic realm=\"AXIS\"\r\n";
            Err((
                401,
                format!(
                    "{basic}WWW-Authenticate: Digest realm=\"AXIS\", nonce=\"n{current}\", algorithm=MD5, qop=\"auth\"\r\n"
                ),
                "",
            ))
        }
    }
}

/// With md5sum: the library under test must not be its own reference.
async fn md5(text: &str) -> String {
    let mut command = tokio::process::Command::new("md5sum");
    let mut child =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().expect("coreutils");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).await.expect("writes");
    let output = child.wait_with_output().await.expect("ends").stdout;
    String::from_utf8_lossy(&output[..32]).into_owned()
}

fn shifted(seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    text.split_once(begin)?.1.split(end).next()
}
