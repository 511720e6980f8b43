//! Pictures from topics of a real broker, pictures to it, and a broker that is away.

use std::{
    io::Write,
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    Result,
    process::{Server, cpu_of, free_port},
    variants::photo,
};

const TOPICS: u32 = 50;
const PER_SECOND: u32 = 5;
const PUBLISHED: u32 = 200;

/// All permissions for this machine.
const OPEN: &str = "auth: {users: [{user: any, ips: [127.0.0.1], permissions: [{action: read}, {action: publish}, {action: api}, {action: metrics}]}]}";

/// A program of Mosquitto on the core of the load, ended on drop.
pub struct Program(Child);

impl Program {
    fn start(name: &str, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(name);
        Ok(Program(command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }

    fn cpu(&self) -> Duration {
        cpu_of(self.0.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Broker {
    pub port: u16,
    folder: tempfile::TempDir,
}

impl Broker {
    pub fn new() -> Result<Self> {
        let (port, folder) = (free_port()?, tempfile::tempdir()?);
        let config = format!("listener {port} 127.0.0.1\nuser root\nallow_anonymous true\npersistence false\n");
        std::fs::write(folder.path().join("mosquitto.conf"), config)?;
        Ok(Broker { port, folder })
    }

    /// Starts it. Debian has the program in a folder that is not on every user's path.
    pub fn run(&self) -> Result<Program> {
        let at = "/usr/sbin/mosquitto";
        let name = if std::path::Path::new(at).exists() { at } else { "mosquitto" };
        let program = Program::start(name, &["-c", &self.folder.path().join("mosquitto.conf").to_string_lossy()])?;
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if began.elapsed() > Duration::from_secs(10) {
                return Err("mosquitto does not open its port".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(program)
    }
}

/// A client that publishes: CONNECT and PUBLISH with QoS 0 are all that it knows.
pub struct Publisher(TcpStream);

impl Publisher {
    pub fn connect(broker: &Broker) -> Result<Self> {
        let mut socket = TcpStream::connect(("127.0.0.1", broker.port))?;
        socket.set_nodelay(true)?;
        // MQTT 3.1.1, a clean session, no keep-alive, an empty client identifier.
        socket.write_all(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00")?;
        Ok(Publisher(socket))
    }

    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> Result {
        let mut length = 2 + topic.len() + payload.len();
        let mut packet = vec![0x30];
        while length > 0x7f {
            packet.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        packet.push(length as u8);
        packet.extend((topic.len() as u16).to_be_bytes());
        packet.extend(topic.as_bytes());
        packet.extend(payload);
        Ok(self.0.write_all(&packet)?)
    }
}

/// Publishes to all topics for so long, evenly.
fn publish(publisher: &mut Publisher, pictures: &[Vec<u8>], seconds: u32) -> Result {
    let began = Instant::now();
    for n in 0..seconds * PER_SECOND * TOPICS {
        let due = Duration::from_secs(1) * n / (PER_SECOND * TOPICS);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let picture = &pictures[(n / TOPICS) as usize % pictures.len()];
        publisher.publish(&format!("bench/{}", n % TOPICS), picture)?;
    }
    Ok(())
}

/// Pictures of some 30 KB.
fn pictures() -> Result<Vec<Vec<u8>>> {
    let mut width = 160;
    while photo(width, width * 3 / 4, 0)?.len() < 30_000 {
        width += 16;
    }
    (0..10).map(|n| photo(width, width * 3 / 4, n)).collect()
}

fn percent(cpu: Duration, seconds: u32) -> String {
    format!("{:.1} %", 100.0 * cpu.as_secs_f64() / f64::from(seconds))
}

pub fn run() -> Result {
    if Command::new("mosquitto_sub").arg("--help").output().is_err() {
        println!("SKIPPED: there is no mosquitto_sub on PATH");
        return Ok(());
    }
    let (broker, pictures) = (Broker::new()?, pictures()?);
    receive(&broker, &pictures)?;
    send(&broker, &pictures)
}

/// Fifty topics of one definition.
fn receive(broker: &Broker, pictures: &[Vec<u8>]) -> Result {
    const SECONDS: u32 = 15;
    let program = broker.run()?;
    let url = format!("mqtt: {{url: 'mqtt://127.0.0.1:{}'}}", broker.port);
    let server = Server::sidecar(&format!("{OPEN}\n{url}\nstreams: {{cam: {{kind: mqtt, topic: bench/+}}}}"))?;
    let port = broker.port.to_string();
    let peer = Program::start("mosquitto_sub", &["-p", &port, "-t", "bench/+", "-N"])?;
    let mut publisher = Publisher::connect(broker)?;
    publish(&mut publisher, pictures, 4)?;
    let size = pictures.iter().map(Vec::len).sum::<usize>() / pictures.len() / 1000;
    println!("{TOPICS} topics, {PER_SECOND} pictures a second each, {size} KB; CPU of one core:\n");
    println!("| watched streams | mtx-sidecar | mosquitto_sub | the broker | resident |");
    println!("|---|---|---|---|---|");
    for watched in [0, TOPICS] {
        let watchers: Vec<_> = (0..watched)
            .map(|n| {
                let mut socket = TcpStream::connect(server.addr)?;
                let head = format!("GET /stream/cam/{n}.mjpeg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
                socket.write_all(head.as_bytes())?;
                // Ends with the server.
                Ok(std::thread::spawn(move || std::io::copy(&mut socket, &mut std::io::sink())))
            })
            .collect::<Result<_>>()?;
        publish(&mut publisher, pictures, 2)?;
        let before = [server.cpu(), peer.cpu(), program.cpu()];
        publish(&mut publisher, pictures, SECONDS)?;
        let after = [server.cpu(), peer.cpu(), program.cpu()];
        let used: Vec<_> = after.iter().zip(before).map(|(after, before)| percent(*after - before, SECONDS)).collect();
        println!("| {} | {} | {} MiB |", watchers.len(), used.join(" | "), server.rss_kib() / 1024);
    }
    Ok(())
}

/// Two hundred uploads, published every ten seconds; the broker is away for a minute.
fn send(broker: &Broker, pictures: &[Vec<u8>]) -> Result {
    const SECONDS: u32 = 30;
    let mut program = Some(broker.run()?);
    let url = format!("url: 'mqtt://127.0.0.1:{}'", broker.port);
    let server = Server::sidecar(&format!("{OPEN}\nmqtt: {{{url}, publish: {{'~^cam/': {{interval: 10s}}}}}}"))?;
    let put = |n: u32| -> Result {
        let picture = &pictures[n as usize % pictures.len()];
        let mut socket = TcpStream::connect(server.addr)?;
        let head = format!(
            "PUT /api/v1/streams/cam/{n}/frame HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            picture.len()
        );
        socket.write_all(&[head.as_bytes(), picture].concat())?;
        std::io::copy(&mut socket, &mut std::io::sink())?;
        Ok(())
    };
    (0..PUBLISHED).try_for_each(put)?;
    std::thread::sleep(Duration::from_secs(15));
    println!("\n{PUBLISHED} streams, published every 10 s; CPU of one core:\n");
    println!("| | mtx-sidecar | the broker | messages | resident |");
    println!("|---|---|---|---|---|");
    for (what, seconds) in [("connected", SECONDS), ("the broker is away", 60), ("connected again", SECONDS)] {
        match what {
            "the broker is away" => program = None,
            "connected again" => {
                program = Some(broker.run()?);
                let began = Instant::now();
                let sent = figure(&server, "sent_messages_total")?;
                while figure(&server, "sent_messages_total")? < sent + f64::from(PUBLISHED) {
                    if began.elapsed() > Duration::from_secs(80) {
                        return Err("the sidecar does not publish again".into());
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
                println!("| all pictures again after | {:.0} s | | | |", began.elapsed().as_secs_f64());
            }
            _ => {}
        }
        let of_broker = || program.as_ref().map_or(Duration::ZERO, Program::cpu);
        let (cpu, theirs, sent) = (server.cpu_exact(), of_broker(), figure(&server, "sent_messages_total")?);
        std::thread::sleep(Duration::from_secs(seconds.into()));
        println!(
            "| {what}, {seconds} s | {} | {} | {} | {} MiB |",
            percent(server.cpu_exact() - cpu, seconds),
            percent(of_broker() - theirs, seconds),
            figure(&server, "sent_messages_total")? - sent,
            server.rss_kib() / 1024
        );
    }
    Ok(())
}

/// A figure of the metrics about MQTT.
fn figure(server: &Server, name: &str) -> Result<f64> {
    metric(server, &format!("mqtt_{name}"))
}

/// A figure of the metrics, without labels. The settings of the server permit them.
pub fn metric(server: &Server, name: &str) -> Result<f64> {
    let mut socket = TcpStream::connect(server.addr)?;
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = vec![];
    std::io::copy(&mut socket, &mut answer)?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let begin = format!("mtx_sidecar_{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&begin)).ok_or_else(|| format!("no {name}: {text}"))?;
    Ok(value.trim().parse()?)
}
