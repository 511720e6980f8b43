//! MJPEG for HTTP: the parameters and headers of a request, and the headers of the response.

use tokio::time::Duration;
use utoipa::IntoParams;

use super::{Form, Options, check_interval, serve};
use crate::{
    error::{Error, Result},
    output::{
        http::{EndlessOutput, Joining, Opened, OutputKind, Request, Serve, TransformQuery},
        readers,
    },
    picture::{BOUNDARY, transform::Transform},
    query,
};

/// `/stream/{name}.mjpeg`.
pub static OUTPUT: EndlessOutput = EndlessOutput {
    kind: OutputKind {
        word: "mjpeg",
        path: "/stream/{name}.mjpeg",
        content_type: "multipart/x-mixed-replace",
        about: "MJPEG of a stream: for `<img>`, ffmpeg, Home Assistant, OctoPrint.",
    },
    parameters: || [MjpegQuery::into_params(|| None), TransformQuery::into_params(|| None)].concat(),
    open: |request| {
        let mut options = Options::new(request, interval_in(request)?);
        query::once(request.query, "advance_headers")?;
        options.form.set_flags(request.query)?;
        Ok(opened(options, Transform::from_query(request.query)?))
    },
};

/// Parameters of an MJPEG stream.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "for the documentation; each parameter is read by itself")]
struct MjpegQuery {
    /// How often an unchanged picture is repeated, in milliseconds (40 to 3600000). Without it, decoders (ffmpeg, GStreamer, VLC,
    /// OpenCV, Frigate) get it at least each second.
    interval: Option<String>,
    /// `1` sends the head of the next part along with each picture, which then has no Content-Length; `0` does not. The
    /// default is 1 for the `<img>` of browsers, which need it, and 0 for their `fetch`.
    advance_headers: Option<String>,
}

impl Options {
    /// The options for the client that made the request.
    pub fn new(request: &Request<'_>, interval: Duration) -> Self {
        let is_decoder = readers::is_decoder(request.user_agent);
        let has_interval = query::first(request.query, "interval").is_some();
        let advance_heads = !is_decoder && shows_images(request);
        let dual_final_frames = readers::shows_a_part_late(request.user_agent);
        Options {
            interval,
            for_decoder: is_decoder,
            keeps_fresh: is_decoder && !has_interval,
            reads_at_once: readers::reads_at_once(request.user_agent),
            form: Form { advance_heads, dual_final_frames, ..Form::default() },
            placeholder_after: request.placeholder_after,
            stall_timeout: *request.settings.stall_timeout,
        }
    }
}

/// Whether a browser asks for an `<img>`, or opens the address itself: then it names types of images. Its `fetch` accepts
/// `*/*`, and scripts that read the parts (the workers of Mainsail and Fluidd) need their lengths.
fn shows_images(request: &Request<'_>) -> bool {
    match request.accept {
        Some(accept) => accept.to_ascii_lowercase().contains("image/"),
        None => request.user_agent.starts_with("Mozilla/"),
    }
}

/// How often an unchanged picture is repeated: the parameter `interval`, or the setting.
pub fn interval_in(request: &Request<'_>) -> Result<Duration> {
    let Some(text) = query::once(request.query, "interval")? else { return Ok(*request.settings.interval) };
    let millis: u64 = text.parse().map_err(|_| {
        Error::parameter("interval", format!("must be a whole number of milliseconds from 40 to 3600000, not {text:?}"))
    })?;
    let interval = Duration::from_millis(millis);
    check_interval(interval)?;
    Ok(interval)
}

/// The response for these options.
pub fn opened(options: Options, transform: Transform) -> Opened {
    let join = move |Joining { watch, variants, caller, .. }: Joining<'_>| {
        let watching = variants.join(watch, transform, caller)?;
        let serve: Serve = Box::new(move |connection, stop| {
            Box::pin(async move {
                let report = serve(connection, watching.watch, options, stop).await;
                drop(watching.held);
                report
            })
        });
        Ok(serve)
    };
    Opened { headers: headers(), join: Box::new(join) }
}

fn headers() -> Vec<(&'static str, String)> {
    let headers = [
        // mjpg-streamer's and ustreamer's own words, which all of their clients accept.
        ("Content-Type", format!("multipart/x-mixed-replace;boundary={BOUNDARY}")),
        (
            "Cache-Control",
            "no-store, no-cache, must-revalidate, proxy-revalidate, pre-check=0, post-check=0, max-age=0".into(),
        ),
        ("Pragma", "no-cache".into()),
        ("Expires", "Mon, 3 Jan 2000 12:34:56 GMT".into()),
        // nginx buffers otherwise, and a still picture would never get through.
        ("X-Accel-Buffering", "no".into()),
    ];
    headers.into()
}
