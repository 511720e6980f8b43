//! `mtx-sidecar fake-camera`: the camera's side of the UDP protocol of the ESP32 sketches. A demonstration, a peer for tests, and
//! documentation for authors of firmware.
//!
//! The camera waits for a datagram with `{"ipaddress":"…","port":…}` and sends one JPEG to that address: as base64 in datagrams of 512
//! characters, followed by a datagram with a line feed, or raw in datagrams of 1400 bytes.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use tokio::{net::UdpSocket, time::Duration};

use super::{Outcome, runtime};
use crate::picture::{draw, text::Fonts};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address and port for requests.
    #[arg(long, default_value = "0.0.0.0:1234")]
    listen: SocketAddr,
    /// Send raw JPEG instead of base64 text.
    #[arg(long)]
    raw: bool,
    /// Datagrams that are lost on purpose, in percent.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    loss: u8,
    /// Width and height of the test card.
    #[arg(long, default_value = "640x480", value_parser = parse_size)]
    size: (u32, u32),
    /// Pictures to send in turn; by default a test card.
    pictures: Vec<PathBuf>,
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let parse = |side: &str| side.parse().ok().filter(|n| (16..=4096).contains(n));
    let sides = text.split_once('x').and_then(|(w, h)| Some((parse(w)?, parse(h)?)));
    sides.ok_or_else(|| "write WIDTHxHEIGHT, each from 16 to 4096".into())
}

/// The behaviour of a fake camera.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Raw JPEG instead of base64 text.
    pub raw: bool,
    /// Datagrams that are lost on purpose, in percent.
    pub loss: u8,
    /// Width and height of the test card.
    pub size: (u32, u32),
    /// JPEGs to send in turn; empty: a test card.
    pub pictures: Vec<Vec<u8>>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour { raw: false, loss: 0, size: (640, 480), pictures: vec![] }
    }
}

/// A camera with an open socket.
pub struct FakeCamera {
    socket: UdpSocket,
    addr: SocketAddr,
    behaviour: Behaviour,
    sent: u64,
}

#[derive(Deserialize)]
struct Request {
    ipaddress: IpAddr,
    port: u16,
}

impl FakeCamera {
    /// Opens the socket. Port 0 is any free port.
    pub async fn bind(behaviour: &Behaviour, listen: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(listen).await?;
        Ok(FakeCamera { addr: socket.local_addr()?, socket, behaviour: behaviour.clone(), sent: 0 })
    }

    /// The address and port for requests.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers requests without end.
    pub async fn run(mut self) {
        let mut buffer = [0; 512];
        loop {
            let Ok((length, from)) = self.socket.recv_from(&mut buffer).await else { continue };
            let Ok(request) = serde_json::from_slice::<Request>(&buffer[..length]) else {
                tracing::warn!("a datagram from {from} is not a request");
                continue;
            };
            let to = SocketAddr::new(request.ipaddress, request.port);
            match self.send(to).await {
                // Not at info: with --demo there is one each second in the log of the sidecar.
                Ok(bytes) => tracing::debug!("request from {from}: sent picture {} ({bytes} bytes) to {to}", self.sent),
                Err(e) => tracing::warn!("request from {from}: cannot send to {to}: {e}"),
            }
        }
    }

    async fn send(&mut self, to: SocketAddr) -> io::Result<usize> {
        self.sent += 1;
        let pictures = &self.behaviour.pictures;
        let jpeg = match pictures.get((self.sent as usize - 1) % pictures.len().max(1)) {
            Some(jpeg) => jpeg.clone(),
            None => {
                let (width, height) = self.behaviour.size;
                let name = format!("camera {}", self.addr);
                draw::test_card(&Fonts::bundled(), &name, (width, height), self.sent, SystemTime::now())
                    .map_err(io::Error::other)?
                    .jpeg
                    .into()
            }
        };
        let datagrams: Vec<Vec<u8>> = if self.behaviour.raw {
            jpeg.chunks(1400).map(<[u8]>::to_vec).collect()
        } else {
            let text = STANDARD.encode(&jpeg);
            text.as_bytes().chunks(512).map(<[u8]>::to_vec).chain([b"\n".to_vec()]).collect()
        };
        for (i, datagram) in datagrams.iter().enumerate() {
            if getrandom::u32().unwrap_or(0) % 100 >= u32::from(self.behaviour.loss) {
                self.socket.send_to(datagram, to).await?;
            }
            // About the 2 MB/s of an ESP32. A much faster sender overflows the receiver's socket.
            if i % 32 == 31 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(jpeg.len())
    }
}

pub(super) fn run(args: Args) -> Outcome {
    let log = crate::settings::LogSettings { level: "debug".into(), ..Default::default() };
    crate::telemetry::start(&log);
    let mut pictures = vec![];
    for path in &args.pictures {
        pictures.push(std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?);
    }
    let behaviour = Behaviour { raw: args.raw, loss: args.loss, size: args.size, pictures };
    runtime()?.block_on(async {
        let camera = FakeCamera::bind(&behaviour, args.listen).await;
        let camera = camera.map_err(|e| format!("{} cannot be opened: {e}", args.listen))?;
        println!(
            "camera on udp {}; watch it at http://localhost:9995/mjpeg-get?type=udp&name=<this machine's address>",
            camera.addr()
        );
        tokio::select! {
            () = camera.run() => {}
            () = crate::shutdown::signalled() => {}
        }
        Ok(())
    })
}
