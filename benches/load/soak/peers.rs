//! What runs beside the server in a soak: a UDP camera, a MediaMTX that is restarted, and a broker, where there are such programs.

use std::{net::SocketAddr, process::Command, time::Duration};

use mtx_sidecar::cli::fake_camera::{Behaviour, FakeCamera};

use crate::{
    Result,
    mqtt::{Broker, Program, Publisher},
    process::{Server, free_port},
    variants::photo,
    whep::{Ended, start},
};

/// Pause between two restarts of MediaMTX.
const RESTARTED_AFTER: Duration = Duration::from_secs(30);

/// Pause between two messages.
const MESSAGE_EVERY: Duration = Duration::from_millis(200);

pub struct Peers {
    camera: SocketAddr,
    api: u16,
    rtsp: u16,
    mediamtx: Option<String>,
    broker: Option<(Broker, Program)>,
    folder: tempfile::TempDir,
}

impl Peers {
    /// Opens the camera, and starts the broker.
    pub async fn new() -> Result<Self> {
        let camera = FakeCamera::bind(&Behaviour::default(), ([127, 0, 0, 1], 0).into()).await?;
        let addr = camera.addr();
        tokio::spawn(camera.run());
        let mediamtx = std::env::var("MEDIAMTX_BIN").unwrap_or_else(|_| "mediamtx".into());
        let mediamtx = Command::new(&mediamtx).arg("--version").output().is_ok().then_some(mediamtx);
        let broker = Broker::new()?;
        let broker = broker.run().ok().map(|program| (broker, program));
        for (name, is_there) in [("mediamtx", mediamtx.is_some()), ("mosquitto", broker.is_some())] {
            if !is_there {
                println!("WITHOUT {name}, which is not installed");
            }
        }
        Ok(Peers {
            camera: addr,
            api: free_port()?,
            rtsp: free_port()?,
            mediamtx,
            broker,
            folder: tempfile::tempdir()?,
        })
    }

    /// The part of sidecar.yml about them.
    pub fn settings(&self) -> String {
        let (api, rtsp, camera) = (self.api, self.rtsp, self.camera);
        let mut text = format!(
            "mediamtx: {{api: 'http://127.0.0.1:{api}', rtsp: 'rtsp://127.0.0.1:{rtsp}'}}\nudp: {{listen: '127.0.0.1:0'}}\n"
        );
        let mut streams = format!("  udp: {{kind: udp-camera, address: '{camera}', interval: 200ms}}\n");
        if let Some((broker, _)) = &self.broker {
            text +=
                &format!("mqtt: {{url: 'mqtt://127.0.0.1:{}', publish: {{card: {{interval: 1s}}}}}}\n", broker.port);
            streams += "  topic: {kind: mqtt, topic: soak/cam}\n";
        }
        format!("{text}streams:\n{streams}")
    }

    /// The RTSP server of MediaMTX, if there is one.
    pub fn host(&self) -> Option<SocketAddr> {
        self.mediamtx.as_ref().map(|_| ([127, 0, 0, 1], self.rtsp).into())
    }

    pub fn has_broker(&self) -> bool {
        self.broker.is_some()
    }

    /// Runs MediaMTX, and restarts it again and again.
    pub fn restart_forever(&self, server: &Server) -> Result {
        let Some(mediamtx) = self.mediamtx.clone() else { return Ok(()) };
        let config = self.folder.path().join("mediamtx.yml");
        let (http, rtsp) = (server.addr, server.rtsp);
        std::fs::write(
            &config,
            format!(
                "authMethod: http\nauthHTTPAddress: http://{http}/mediamtx-auth\napi: yes\napiAddress: 127.0.0.1:{}\n\
                 rtspAddress: 127.0.0.1:{}\nrtspTransports: [tcp]\nrtmp: no\nsrt: no\nmoq: no\nhls: no\nwebrtc: no\nlogLevel: error\n\
                 paths:\n  '~^pictures/(.+)$': {{source: 'rtsp://{rtsp}/$G1', rtspTransport: tcp, sourceOnDemand: yes}}\n  \
                 copy: {{source: 'rtsp://{rtsp}/lens', rtspTransport: tcp, sourceOnDemand: yes}}\n",
                self.api, self.rtsp
            ),
        )?;
        let config = config.to_string_lossy().into_owned();
        let run = move || -> Result<Ended> { start(&mediamtx, &[&config], &[]) };
        let mut running = run()?;
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RESTARTED_AFTER).await;
                drop(running);
                running = match run() {
                    Ok(running) => running,
                    Err(e) => panic!("MediaMTX cannot be started again: {e}"),
                };
            }
        });
        Ok(())
    }

    /// Publishes pictures to the topic, on a thread that ends with the program.
    pub fn publish_forever(&self) -> Result {
        let Some((broker, _)) = &self.broker else { return Ok(()) };
        let (mut publisher, picture) = (Publisher::connect(broker)?, photo(320, 240, 3)?);
        std::thread::spawn(move || {
            while publisher.publish("soak/cam", &picture).is_ok() {
                std::thread::sleep(MESSAGE_EVERY);
            }
        });
        Ok(())
    }
}
