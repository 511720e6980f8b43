//! `mtx-sidecar serve`.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Outcome, arenas, clock_warning, fake_camera, load};
use crate::{
    app::App,
    producer::{Definition, test_card, udp_camera},
    settings::{Loaded, Settings},
    shutdown::signalled,
    stream::StreamName,
    systemd::Notifier,
    telemetry,
};

#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Add two streams to look at: a test card, and a camera that this program simulates.
    #[arg(long)]
    demo: bool,
    /// Print no addresses to open: the caller prints them (scripts/run-demo).
    #[arg(long, hide = true)]
    no_addresses: bool,
}

/// The streams of --demo.
const TEST_CARD: &str = "demo/test-card";
const CAMERA: &str = "demo/camera";

pub(super) fn run(config: &Option<PathBuf>, args: &Args) -> Outcome {
    run_with(load(config.as_deref())?, args, None)
}

/// Serves with these settings. `fault` is a warning for the log.
pub(super) fn run_with(loaded: Loaded, args: &Args, fault: Option<&str>) -> Outcome {
    arenas::limit();
    telemetry::start(&loaded.settings.log);
    if let Some(fault) = fault {
        tracing::warn!("{fault}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("the runtime cannot be started: {e}"))?;
    let done = runtime.block_on(serve(loaded, args));
    // A call to a disk that hangs cannot be ended. It must not keep the program from ending.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn serve(loaded: Loaded, args: &Args) -> Outcome {
    let Loaded { mut settings, file, origins } = loaded;
    if args.demo {
        let camera =
            fake_camera::FakeCamera::bind(&fake_camera::Behaviour::default(), ([127, 0, 0, 1], 0).into()).await;
        let camera = camera.map_err(|e| format!("the simulated camera cannot be started: {e}"))?;
        add_demo(&mut settings, camera.addr());
        tokio::spawn(camera.run());
    }
    let app = App::build(Loaded { settings, file: file.clone(), origins }).await.map_err(|e| e.chain())?;
    let addr = app.addr();
    let settings = &app.state().settings;
    tracing::info!(
        "mtx-sidecar {} listens on http://{addr}, settings from {}, data in {}",
        env!("CARGO_PKG_VERSION"),
        file.map_or("the built-in defaults".into(), |f| f.display().to_string()),
        settings.data_dir.display(),
    );
    tracing::info!("{} streams; UDP cameras send to {}", app.state().catalog.registry().len(), settings.udp.listen);
    for warning in clock_warning(SystemTime::now()).into_iter().chain(settings.warnings()) {
        tracing::warn!("{warning}");
    }
    welcome(addr, app.generated_password(), (app.is_first_start() || args.demo) && !args.no_addresses);

    let notifier = Notifier::from_environment().map(Arc::new);
    if let Some(notifier) = notifier.clone() {
        notifier.ready(&format!("http://{addr}"));
        tokio::spawn(async move { notifier.watch(addr).await });
    }
    let shutdown = app.state().shutdown.clone();
    tokio::spawn(async move {
        signalled().await;
        if let Some(notifier) = notifier {
            notifier.stopping();
        }
        tracing::info!("shutting down after the requests in progress; a second signal ends the program at once");
        shutdown.ask();
    });
    app.run_until_stopped().await.map_err(|e| e.to_string())?;
    tracing::info!("the program has ended");
    Ok(())
}

#[expect(clippy::expect_used, reason = "the names are literals")]
fn add_demo(settings: &mut Settings, camera: SocketAddr) {
    let mut add = |name: &str, definition: Definition| {
        let name = StreamName::parse(name).expect("a literal name");
        settings.streams.entry(name).or_insert(definition.into());
    };
    add(TEST_CARD, Definition::TestCard(test_card::Settings::default()));
    let camera = udp_camera::Settings {
        address: Some(camera.to_string()),
        interval: Some(crate::units::HumanDuration::secs(1)),
    };
    add(CAMERA, Definition::UdpCamera(camera));
}

/// The first information for a new user, on standard output. The password is not shown anywhere else, and not again.
fn welcome(addr: SocketAddr, password: Option<&str>, long: bool) {
    let host = if addr.ip().is_unspecified() { format!("localhost:{}", addr.port()) } else { addr.to_string() };
    if let Some(password) = password {
        println!();
        println!("  No administrator was configured. A new one was made:");
        println!();
        println!("      user      admin");
        println!("      password  {password}");
        println!();
        println!(
            "  The password is shown only now, and pages ask for your own at the first sign-in. Programs on this machine can"
        );
        println!("  watch and upload without it.");
    }
    if long {
        println!();
        println!("  See it:     http://{host}/");
        println!("  Upload:     curl -T picture.jpg http://{host}/api/v1/streams/hello/frame");
        println!("  Embed:      <img src=\"http://{host}/stream/hello.mjpeg\">");
        println!("  MediaMTX:   mtx-sidecar init && mediamtx mediamtx.yml");
        println!();
    }
}
