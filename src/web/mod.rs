//! HTTP. Each request begins in the list of routes below.
//!
//! A handler decodes the request, asks [`Access`](crate::access::Access), and calls the module that does the work.

mod addresses;
mod aliases;
mod audit;
mod auth_webhook;
mod caller;
mod cluster;
mod condition;
mod crash;
mod discovery;
mod endless;
mod events;
mod extract;
mod form;
mod go2rtc;
mod guard;
mod health;
mod identity;
mod ingress;
mod log;
mod media;
mod media_file;
mod mediamtx;
mod mediamtx_paths;
mod mqtt;
mod mqtt_video;
mod nodes;
pub(crate) mod offers;
mod openapi;
mod origin;
mod overview;
mod pages;
mod paths;
mod points;
mod problem;
mod recordings;
mod renaming;
mod routes;
mod sessions;
mod sign_in;
mod signal;
mod still;
mod streams;
mod trial;
mod turn;
mod upload;
mod uptime;
mod uv4l;
mod values;
mod video;
mod wall;
mod watch;
mod watch_params;
mod ws;

use std::sync::LazyLock;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::{Condition, from_fn},
    web,
};

use self::routes::{Route, routes};
pub use self::{problem::Problem, routes::Address};
use crate::{output::OUTPUTS, state::State};

/// Answers the questions of other nodes of a cluster, until the program ends.
pub(crate) async fn answer_nodes(state: &State) {
    if let Some(cluster) = &state.cluster {
        tokio::join!(
            sessions::answer(state, cluster),
            recordings::answer(state, cluster),
            events::answer(state, cluster)
        );
    }
}

/// The whole application on its state: one for each worker thread.
pub fn application(
    state: web::Data<State>,
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let pages = state.settings.http.static_dir.clone();
    let origins = &state.settings.http.cors_origins;
    let (has_other_origins, cors) = (!origins.is_empty(), guard::cors(origins));
    actix_web::App::new()
        .app_data(state)
        .wrap(from_fn(guard::refuse_other_sites))
        .wrap(Condition::new(has_other_origins, cors))
        .wrap(from_fn(problem::explain))
        .wrap(from_fn(guard::secure))
        .wrap(from_fn(guard::log_and_count))
        .wrap(from_fn(guard::strip_base_path))
        .wrap(from_fn(turn::take_turns))
        .configure(|config| configure(config, &pages))
}

/// All routes, in the order in which they are tried. Each handler's attribute has its address and methods.
const ROUTES: &[Route] = routes![
    // MediaMTX's question.
    auth_webhook::answer,
    // The original program's addresses.
    mediamtx::paths,
    upload::recipe,
    watch::recipe,
    // Pictures in.
    upload::frame,
    upload::frames,
    // Numbers in.
    points::add,
    points::influx1,
    points::influx2,
    points::ping,
    points::statement,
    points::preview,
    points::transparent,
    // Streams.
    streams::list,
    streams::mediamtx_path,
    streams::get,
    streams::put,
    streams::patch,
    streams::delete,
    trial::try_out,
    renaming::rename,
    uptime::get,
    values::list,
    values::put,
    values::delete,
    // Pictures out.
    watch::snapshot,
    video::stream,
    video::frame,
    ws::connect,
    mqtt_video::connect,
    // WebRTC's signalling.
    uv4l::connect,
    uv4l::list,
    signal::join,
    // The same at addresses that other programs expect.
    aliases::root when aliases::has_action,
    aliases::webcam,
    aliases::webcam at "/webcam{n:[0-9]?}/",
    aliases::webcam_part,
    aliases::stream,
    aliases::snapshot,
    aliases::capture,
    aliases::state,
    aliases::ustreamer,
    go2rtc::go2rtc_stream,
    go2rtc::go2rtc_push,
    go2rtc::go2rtc_frame,
    go2rtc::go2rtc_video,
    go2rtc::go2rtc_video_frame,
    ws::go2rtc,
    aliases::frigate_latest,
    aliases::frigate_stream,
    // Identity.
    sign_in::sign_in,
    sign_in::refresh,
    sign_in::sign_out,
    sign_in::me,
    sign_in::change_password,
    identity::users,
    identity::user,
    identity::put_user,
    identity::patch_user,
    identity::delete_user,
    identity::tokens,
    identity::make_token,
    identity::token,
    identity::revoke_token,
    identity::shares,
    identity::make_share,
    sign_in::open_share,
    identity::revoke_share,
    identity::qr_code,
    identity::rotate_keys,
    audit::audit,
    sign_in::jwks,
    // Media folders.
    media::original_list,
    media::original_add,
    media::original_delete,
    media::list,
    media::info,
    media::thumbnail,
    media::content,
    media::playlist,
    media::upload,
    media::delete,
    media::channel,
    // Recordings.
    recordings::original,
    recordings::list,
    recordings::timeline,
    recordings::download,
    recordings::get,
    recordings::delete,
    // Events.
    events::listen,
    events::dead,
    // Before the hooks of any name.
    uv4l::demand,
    events::hook,
    // MediaMTX's paths.
    paths::list,
    paths::replace,
    paths::import,
    paths::get,
    paths::put,
    paths::patch,
    paths::delete,
    // Cameras on the network.
    discovery::search,
    discovery::inquire,
    // Facts for pages.
    wall::get,
    mediamtx::get,
    overview::check_live,
    mediamtx::check,
    mediamtx_paths::list,
    mediamtx_paths::patch,
    cluster::get,
    mqtt::get,
    mqtt::put,
    mqtt::delete,
    addresses::get,
    // The console.
    overview::overview,
    overview::settings,
    sessions::list,
    sessions::kick,
    log::get,
    log::put,
    // Addresses of the original program's pages.
    pages::viewer,
    pages::viewer at "/mediamtx_viewer/",
    pages::console,
    pages::console at "/mediamtx_console/",
    // Operations.
    health::live,
    health::ready,
    health::metrics,
    openapi::document,
];

/// The addresses of all routes, for the server and for tests that walk them.
pub fn addresses() -> &'static [Address] {
    static ADDRESSES: LazyLock<Vec<Address>> = LazyLock::new(|| Address::all(ROUTES, OUTPUTS, false));
    &ADDRESSES
}

/// The same with their documentation.
fn documented_addresses() -> Vec<Address> {
    Address::all(ROUTES, OUTPUTS, true)
}

/// The state in the data of a request.
#[expect(clippy::expect_used, reason = "`application` adds it, and nothing else makes requests for these handlers")]
fn state_in(data: Option<&web::Data<State>>) -> &web::Data<State> {
    data.expect("the application has its state")
}

fn configure(config: &mut web::ServiceConfig, pages: &str) {
    extract::configure(config);
    for address in addresses() {
        config.service(address.resource());
    }
    pages::configure(config, pages);
}
