//! Decoded video in other sizes, a clock on it, and many streams as one, beside ffmpeg with the same task.

use std::{
    hint::black_box,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mtx_sidecar::picture::{
    Raster,
    compose::{Composer, Layer, Moment, Overlay},
    text::Fonts,
};

use crate::{
    Result,
    camera::Scene,
    process::{Server, cpu_of, ms, percentile},
    variants::{photo, photo_of},
};

/// How long each is measured, after a time to settle.
const SECONDS: u64 = 15;
const SETTLE: Duration = Duration::from_secs(6);

/// A watcher of MJPEG that counts bytes and pictures, until it is dropped.
struct Watcher {
    ended: Arc<AtomicBool>,
    pictures: Arc<AtomicU64>,
}

impl Watcher {
    fn of(addr: SocketAddr, path: &str) -> Result<Self> {
        let mut socket = TcpStream::connect(addr)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(socket, "GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n")?;
        let (ended, pictures) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let watcher = Watcher { ended: ended.clone(), pictures: pictures.clone() };
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 18];
            while !ended.load(Ordering::Relaxed) {
                let Ok(n) = socket.read(&mut buffer) else { continue };
                if n == 0 {
                    return;
                }
                // A head that is cut by the end of the buffer is not counted.
                let heads = memchr::memmem::find_iter(&buffer[..n], b"Content-Length").count();
                pictures.fetch_add(heads as u64, Ordering::Relaxed);
            }
        });
        Ok(watcher)
    }

    fn pictures(&self) -> u64 {
        self.pictures.load(Ordering::Relaxed)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// The shares of a core of a server with its children, and its pictures a second, while these addresses are watched.
fn share_of(server: &Server, paths: &[&str]) -> Result<(f64, f64)> {
    let watchers: Vec<_> = paths.iter().map(|path| Watcher::of(server.addr, path)).collect::<Result<_>>()?;
    std::thread::sleep(SETTLE);
    let pictures = || watchers.iter().map(Watcher::pictures).sum::<u64>();
    let (cpu, before, began) = (server.cpu_of_all(), pictures(), Instant::now());
    std::thread::sleep(Duration::from_secs(SECONDS));
    let seconds = began.elapsed().as_secs_f64();
    let share = (server.cpu_of_all() - cpu).as_secs_f64() / seconds;
    let rate = (pictures() - before) as f64 / seconds;
    drop(watchers);
    std::thread::sleep(Duration::from_secs(3));
    Ok((100.0 * share, rate))
}

/// ffmpeg on the core of the servers.
fn ffmpeg(arguments: &[&str]) -> Result<Child> {
    let child = Command::new("taskset")
        .args(["-c", "0", "ffmpeg", "-nostdin", "-v", "error", "-y"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child.map_err(|e| format!("ffmpeg cannot be started: {e}").into())
}

/// The share of a core of several ffmpegs together.
fn share_of_ffmpegs(tasks: &[Vec<&str>]) -> Result<f64> {
    let mut running: Vec<_> = tasks.iter().map(|task| ffmpeg(task)).collect::<Result<_>>()?;
    std::thread::sleep(SETTLE);
    let used = |running: &[Child]| running.iter().map(|child| cpu_of(child.id())).sum::<Duration>();
    let (before, began) = (used(&running), Instant::now());
    std::thread::sleep(Duration::from_secs(SECONDS));
    let share = (used(&running) - before).as_secs_f64() / began.elapsed().as_secs_f64();
    for child in &mut running {
        if child.try_wait()?.is_some() {
            return Err("ffmpeg ended".into());
        }
        child.kill()?;
        child.wait()?;
    }
    Ok(100.0 * share)
}

/// A path of MediaMTX (1080p, 30 pictures a second, 4 Mbit/s) as MJPEG, ten pictures a second.
pub fn decoding() -> Result {
    const SIZES: [&str; 4] = ["w=320&fps=10", "w=640&fps=10", "w=960&fps=10", "w=1280&fps=10"];
    println!("| decoder | w=640&fps=10 | full size | four sizes (320, 640, 960, 1280) |");
    println!("|---|---|---|---|");
    let mut rtsp = None;
    for decoder in ["auto", "openh264"] {
        let settings = format!("rtsp_cameras: {{decoder: {decoder}}}\n");
        let Some(scene) = crate::runtime()?.block_on(Scene::with_settings("", &settings))? else { return Ok(()) };
        let path = |query: &str| format!("/stream/cam.mjpeg?{query}");
        let one = share_of(&scene.server, &[&path(SIZES[1])])?;
        let full = share_of(&scene.server, &["/stream/cam.mjpeg"])?;
        let paths = SIZES.map(path);
        let four = share_of(&scene.server, &paths.each_ref().map(String::as_str))?;
        println!(
            "| **mtx-sidecar**, {decoder} | {:.1} % ({:.1}/s) | {:.1} % ({:.1}/s) | {:.1} % ({:.1}/s) |",
            one.0, one.1, full.0, full.1, four.0, four.1
        );
        rtsp = Some(scene);
    }
    let Some(scene) = rtsp else { return Ok(()) };
    let url = format!("rtsp://{}/cam", scene.rtsp);
    let task = |filter: &'static str| -> Vec<&str> {
        vec!["-rtsp_transport", "tcp", "-i", &url, "-vf", filter, "-c:v", "mjpeg", "-f", "mjpeg", "pipe:1"]
    };
    let one = share_of_ffmpegs(&[task("fps=10,scale=640:-2")])?;
    let full = share_of_ffmpegs(&[task("fps=10")])?;
    let four = share_of_ffmpegs(&[
        task("fps=10,scale=320:-2"),
        task("fps=10,scale=640:-2"),
        task("fps=10,scale=960:-2"),
        task("fps=10,scale=1280:-2"),
    ])?;
    println!("| ffmpeg | {one:.1} % | {full:.1} % | {four:.1} %, four processes |");
    Ok(())
}

/// A clock on decoded video, and a mosaic.
pub fn composing() -> Result {
    clock()?;
    // As the cameras of labs send them, and as usual ones do.
    mosaic(85)?;
    mosaic(40)
}

fn clock() -> Result {
    // Alone, in this process.
    let raster = Raster::from_jpeg(&photo(1920, 1080, 1)?)?;
    let layers: Vec<Layer> = serde_json::from_value(serde_json::json!([{"text": "{time:%Y-%m-%d %H:%M:%S}"}]))?;
    let mut composer = Composer::new(Arc::new(Overlay::new(&layers)?), Fonts::bundled(), |_| None);
    let median = |work: &mut dyn FnMut(u64)| {
        let mut times: Vec<_> = (0..60)
            .map(|n| {
                let began = Instant::now();
                work(n);
                began.elapsed()
            })
            .collect();
        times.sort();
        percentile(&times, 50)
    };
    let encode = median(&mut |_| drop(black_box(raster.to_jpeg(80))));
    let both = median(&mut |n| {
        let now = std::time::SystemTime::now() + Duration::from_secs(n);
        let mut on = raster.clone();
        composer.draw(
            &mut on,
            &Moment {
                name: "cam",
                now,
                captured_at: now,
                has_own_time: true,
                seq: n,
                size: (1920, 1080),
                fps: 5.0,
                value: &|_| None,
            },
        );
        drop(black_box(on.to_jpeg(80)));
    });
    println!(
        "1080p: encoding as JPEG takes {}; a copy of the planes with a new clock and its JPEG {}: {:.2} times as much.\n",
        ms(encode),
        ms(both),
        both.as_secs_f64() / encode.as_secs_f64()
    );
    let settings = "streams:\n  plain: {kind: rtsp, path: cam, fps: 5}\n  \
         clock: {kind: derived, of: plain, overlay: [{text: '{time:%Y-%m-%d %H:%M:%S}'}]}\n";
    let Some(scene) = crate::runtime()?.block_on(Scene::with_settings("", settings))? else { return Ok(()) };
    let plain = share_of(&scene.server, &["/stream/plain.mjpeg"])?;
    let with = share_of(&scene.server, &["/stream/clock.mjpeg"])?;
    let url = format!("rtsp://{}/cam", scene.rtsp);
    let task = |filter: &'static str| -> Vec<&str> {
        vec!["-rtsp_transport", "tcp", "-i", &url, "-vf", filter, "-c:v", "mjpeg", "-f", "mjpeg", "pipe:1"]
    };
    let their_plain = share_of_ffmpegs(&[task("fps=5")])?;
    let theirs = share_of_ffmpegs(&[task("fps=5,drawtext=text='%{localtime}':fontsize=54:fontcolor=white:x=20:y=20")])?;
    println!("| 1080p path, 5 pictures a second | without a clock | with a clock |\n|---|---|---|");
    println!("| **mtx-sidecar** | {:.1} % ({:.1}/s) | {:.1} % ({:.1}/s) |", plain.0, plain.1, with.0, with.1);
    println!("| ffmpeg, drawtext | {their_plain:.1} % | {theirs:.1} % |");
    Ok(())
}

fn put(socket: &mut TcpStream, stream: &str, picture: &[u8]) -> Result {
    let (host, length) = (socket.peer_addr()?, picture.len());
    let head =
        format!("PUT /api/v1/streams/{stream}/frame HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes())?;
    socket.write_all(picture)?;
    let mut answer = [0; 2048];
    let n = socket.read(&mut answer)?;
    if !answer[..n].starts_with(b"HTTP/1.1 2") {
        return Err(String::from_utf8_lossy(&answer[..n]).into());
    }
    Ok(())
}

/// Pictures a second in the last ten seconds of what ffmpeg's `-progress` has written each second.
fn rate_of(progress: &str) -> f64 {
    let frames: Vec<f64> =
        progress.lines().filter_map(|line| line.strip_prefix("frame=")?.trim().parse().ok()).collect();
    match (frames.len().checked_sub(11).and_then(|at| frames.get(at)), frames.last()) {
        (Some(before), Some(last)) => (last - before) / 10.0,
        _ => 0.0,
    }
}

/// Nine 720p streams at five pictures a second to one of 1080p.
fn mosaic(quality: i32) -> Result {
    const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let server = Server::sidecar(
        "auth: {users: [{user: any, ips: [127.0.0.1], permissions: [{action: read}, {action: publish}, {action: api}]}]}\n\
         streams: {wall: {kind: mosaic, tiles: [a, b, c, d, e, f, g, h, i], layout: 3x3, w: 1920, h: 1080, fps: 5}}\n",
    )?;
    let pictures: Vec<_> = (0..5).map(|n| photo_of(1280, 720, n, quality)).collect::<Result<_>>()?;
    println!("\nNine 720p streams of {} KB at five pictures a second, as one of 1080p:\n", pictures[0].len() / 1000);
    let (addr, ended) = (server.addr, Arc::<AtomicBool>::default());
    let stop = ended.clone();
    let uploading = std::thread::spawn(move || {
        let mut sockets: Vec<_> = NAMES.iter().filter_map(|_| TcpStream::connect(addr).ok()).collect();
        let began = Instant::now();
        for round in 0_u32.. {
            for (n, (name, socket)) in NAMES.iter().zip(&mut sockets).enumerate() {
                if let Err(e) = put(socket, name, &pictures[(round as usize + n) % pictures.len()]) {
                    println!("upload: {e}");
                    return;
                }
            }
            if stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep((Duration::from_millis(200) * (round + 1)).saturating_sub(began.elapsed()));
        }
    });
    std::thread::sleep(Duration::from_secs(1));
    let uploads = share_of(&server, &[])?;
    let with = share_of(&server, &["/stream/wall.mjpeg"])?;
    let urls = NAMES.map(|name| format!("http://{addr}/stream/{name}.mjpeg"));
    let mut task = vec![];
    for url in &urls {
        // Without it a picture is a 25th of a second for ffmpeg, and it makes one picture of five.
        task.extend(["-use_wallclock_as_timestamps", "1", "-f", "mpjpeg", "-i", url]);
    }
    let scaled: String = (0..9).map(|n| format!("[{n}:v]fps=5,scale=640:360[s{n}];")).collect();
    let inputs: String = (0..9).map(|n| format!("[s{n}]")).collect();
    let layout: Vec<_> = (0..9).map(|n| format!("{}_{}", 640 * (n % 3), 360 * (n / 3))).collect();
    let filter = format!("{scaled}{inputs}xstack=inputs=9:layout={}", layout.join("|"));
    let progress = tempfile::NamedTempFile::new()?;
    let path = progress.path().to_string_lossy().into_owned();
    task.extend(["-stats_period", "1", "-progress", &path]);
    task.extend(["-filter_complex", &filter, "-r", "5", "-c:v", "mjpeg", "-f", "mjpeg", "pipe:1"]);
    let theirs = share_of_ffmpegs(&[task])?;
    let rate = rate_of(&std::fs::read_to_string(&path)?);
    ended.store(true, Ordering::Relaxed);
    let _ = uploading.join();
    println!(
        "uploads alone {:.1} % of a core, with the mosaic {:.1} % ({:.1}/s): the mosaic takes **{:.1} %**; ffmpeg with xstack {theirs:.1} % ({rate:.1}/s)",
        uploads.0,
        with.0,
        with.1,
        with.0 - uploads.0
    );
    Ok(())
}
