//! Graphs: the time of a drawing, a thousand graphs that take a point a second, and one that is watched beside the same with
//! matplotlib (examples/push/graph.py).

use std::{
    hint::black_box,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use mtx_sidecar::{
    graph::{self, Settings},
    numbers::{Latest, Point},
    picture::text::Fonts,
};

use crate::{
    Result,
    process::{Server, cpu_exact_of, ms, percentile},
};

/// How long each server is measured.
const MEASURED: Duration = Duration::from_secs(15);

pub fn run() -> Result {
    let _ = rlimit::increase_nofile_limit(20_000);
    drawings();
    thousand()?;
    thousand_by_websocket()?;
    beside_matplotlib()
}

/// Noisy numbers: every column of pixels is a line from the smallest to the largest.
fn series(name: &str, points: i64, now: i64) -> Latest {
    let mut state = 88_172_645_463_325_252_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    let length = 600_000_000;
    let mut point = |i: i64| Point {
        at: now - length + i * length / points,
        value: 50.0 + 30.0 * (i as f64 * 12.0 / points as f64).sin() + 10.0 * noise(),
    };
    Latest {
        name: name.parse().unwrap_or_else(|_| unreachable!("a name")),
        points: (0..=points).map(&mut point).collect(),
    }
}

fn drawings() {
    let (now, fonts, settings) = (1_700_000_000_000_000, Fonts::bundled(), Settings::default());
    println!("| 1280x720 | planes, median | with the JPEG, median | p95 |\n|---|---|---|---|");
    for (count, points) in [(1, 600), (4, 600), (4, 10_000), (8, 10_000)] {
        let all: Vec<_> = (0..count).map(|i| series(&format!("series{i}"), points, now)).collect();
        let measure = |draw: &dyn Fn(i64)| {
            let mut times: Vec<_> = (0..60)
                .map(|i| {
                    let began = Instant::now();
                    draw(now + i * 500_000);
                    began.elapsed()
                })
                .collect();
            times.sort();
            times
        };
        let planes = measure(&|now| {
            black_box(graph::render(&settings, &all, &fonts, now, "black".parse().unwrap_or(graph::Colour([0; 3]))));
        });
        let whole = measure(&|now| drop(black_box(graph::draw(&settings, &all, &fonts, now))));
        println!(
            "| {count} series of {points} points | {} | {} | {} |",
            ms(percentile(&planes, 50)),
            ms(percentile(&whole, 50)),
            ms(percentile(&whole, 95))
        );
    }
}

/// One request on a kept connection; the answer has no body.
fn write(socket: &mut BufReader<TcpStream>, stream: &str, body: &str) -> Result {
    let head =
        format!("POST /write?db={stream} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    socket.get_mut().write_all(head.as_bytes())?;
    answered(socket, " 204 ")
}

/// Reads an answer without a body, which must have this status.
fn answered(socket: &mut BufReader<TcpStream>, status: &str) -> Result {
    let mut line = String::new();
    socket.read_line(&mut line)?;
    if !line.contains(status) {
        return Err(line.into());
    }
    while !line.trim().is_empty() {
        line.clear();
        socket.read_line(&mut line)?;
    }
    Ok(())
}

fn thousand_graphs() -> Result<Server> {
    let mut settings = String::from("streams:\n");
    for n in 0..1000 {
        settings.push_str(&format!("  g{n}: {{kind: graph}}\n"));
    }
    Server::sidecar(&settings)
}

/// The share of a core, while this is done once a second.
fn share_of(server: &Server, second: &mut dyn FnMut(u32) -> Result) -> Result<f64> {
    let (mut before, mut began) = (server.cpu_exact(), Instant::now());
    for i in 0..=MEASURED.as_secs() as u32 {
        let this = Instant::now();
        second(i)?;
        std::thread::sleep(Duration::from_secs(1).saturating_sub(this.elapsed()));
        if i == 0 {
            // The first points make the series.
            (before, began) = (server.cpu_exact(), Instant::now());
        }
    }
    Ok((server.cpu_exact() - before).as_secs_f64() / began.elapsed().as_secs_f64())
}

fn thousand() -> Result {
    let server = thousand_graphs()?;
    let mut socket = BufReader::new(TcpStream::connect(server.addr)?);
    let mut second = |i: u32| -> Result {
        for n in 0..1000 {
            write(&mut socket, &format!("g{n}"), &format!("m f={i}"))?;
        }
        Ok(())
    };
    let share = share_of(&server, &mut second)?;
    println!(
        "\n1000 graphs, each with one request with one point a second, unwatched: {:.1} % of a core.",
        100.0 * share
    );
    Ok(())
}

/// A message as a client sends it (RFC 6455, section 5.2), with a mask of zeros.
fn message(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// A thousand sensors with a connection each.
fn thousand_by_websocket() -> Result {
    let server = thousand_graphs()?;
    let mut sockets = vec![];
    for n in 0..1000 {
        let mut socket = TcpStream::connect(server.addr)?;
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
        write!(socket, "GET /ws/g{n}?push=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}\r\n\r\n")?;
        let mut reader = BufReader::new(socket);
        answered(&mut reader, " 101 ")?;
        sockets.push(reader);
    }
    let mut second = |i: u32| -> Result {
        for socket in &mut sockets {
            socket.get_mut().write_all(&message(&format!("{{\"f\":{i}}}")))?;
        }
        // The answers, so that no connection is full.
        let mut answer = [0; 256];
        for socket in &mut sockets {
            if socket.read(&mut answer)? == 0 {
                return Err("a connection has ended".into());
            }
        }
        Ok(())
    };
    let share = share_of(&server, &mut second)?;
    println!(
        "1000 graphs, each with one message a second by a WebSocket of its own: {:.1} % of a core.",
        100.0 * share
    );
    Ok(())
}

/// Reads MJPEG and throws it away.
fn watch(server: &Server, stream: &str) -> Result {
    let mut socket = TcpStream::connect(server.addr)?;
    write!(socket, "GET /stream/{stream}.mjpeg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while socket.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    Ok(())
}

fn beside_matplotlib() -> Result {
    let server = Server::sidecar("streams: {own: {kind: graph, width: 800, height: 450, window: 1m, fps: 1}}")?;
    let before = server.cpu_exact();
    std::thread::sleep(MEASURED);
    let idle = server.cpu_exact() - before;
    watch(&server, "own")?;
    let mut socket = BufReader::new(TcpStream::connect(server.addr)?);
    let mut point = |i: u32| write(&mut socket, "own", &format!("m f={}", (f64::from(i) / 5.0).sin()));
    for i in 0..60 {
        point(i)?;
    }
    let before = server.cpu_exact();
    for i in 0..MEASURED.as_secs() as u32 {
        point(i)?;
        std::thread::sleep(Duration::from_secs(1));
    }
    let own = server.cpu_exact() - before;

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/push/graph.py");
    let mut python = Command::new("python3")
        .args([script, "theirs", &format!("http://{}", server.addr)])
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| format!("python3 cannot be started: {e}"))?;
    // Its imports take some seconds.
    std::thread::sleep(Duration::from_secs(8));
    let (before, of_server) = (cpu_exact_of(python.id()), server.cpu_exact());
    std::thread::sleep(MEASURED);
    let theirs = cpu_exact_of(python.id()) - before;
    let of_server = server.cpu_exact() - of_server;
    python.kill()?;
    python.wait()?;
    let seconds = MEASURED.as_secs_f64();
    let each = |cpu: Duration| cpu.as_secs_f64() * 1000.0 / seconds;
    println!(
        "\nA picture a second, 800x450, 60 points: the sidecar {:.1} ms of CPU for each (requests and watcher included), of which {:.1} ms are \
         the idle program's; matplotlib {:.1} ms (examples/push/graph.py alone; the server, which draws its own graph meanwhile, {:.1} ms): \
         {:.0} times as much, {:.0} times without the idle program.",
        each(own),
        each(idle),
        each(theirs),
        each(of_server),
        theirs.as_secs_f64() / own.as_secs_f64(),
        theirs.as_secs_f64() / own.saturating_sub(idle).as_secs_f64().max(1e-9)
    );
    Ok(())
}
