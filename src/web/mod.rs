//! Our addresses: every request's journey begins in the table below.
//!
//! A handler decodes, asks the policy, and calls the stream or the output that does the work.

mod addresses;
mod aliases;
mod auth_webhook;
mod caller;
mod discovery;
mod endless;
mod events;
mod guard;
mod health;
mod identity;
mod media;
mod mediamtx;
pub(crate) mod offers;
mod openapi;
mod origin;
mod overview;
mod pages;
mod paths;
mod problem;
mod recordings;
mod sessions;
mod sign_in;
mod still;
mod streams;
mod upload;
mod wall;
mod watch;
mod watch_params;
mod ws;

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    guard::{GuardContext, fn_guard},
    middleware::{Condition, from_fn},
    web,
};

pub use self::problem::Problem;
use crate::{
    error::{Code, Error as OurError},
    state::State,
};

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
        .wrap(from_fn(guard::secure))
        .wrap(from_fn(guard::log_and_count))
        .wrap(from_fn(guard::strip_base_path))
        .configure(|routes| table(routes, &pages))
}

/// The route table.
#[rustfmt::skip]
fn table(routes: &mut web::ServiceConfig, pages: &str) {
    routes
        // MediaMTX asks.
        .service(at("/mediamtx-auth")                     .post(auth_webhook::answer))
        // The original program's addresses.
        .service(at("/mediamtx-get-path")                 .post(mediamtx::paths))
        .service(at("/mjpeg-upload")                      .put(upload::recipe).post(upload::recipe))
        .service(at("/mjpeg-get")                         .get(watch::recipe).head(watch::recipe_head))
        // Pictures in.
        .service(at("/api/v1/streams/{name:.+}/frame")    .put(upload::frame).post(upload::frame))
        .service(at("/api/v1/streams/{name:.+}/frames")   .put(upload::frames).post(upload::frames))
        // Streams.
        .service(at("/api/v1/streams")                    .get(streams::list))
        .service(at("/api/v1/streams/{name:.+}")          .get(streams::get).put(streams::put).patch(streams::patch).delete(streams::delete))
        // Pictures out.
        .service(at("/stream/{name:.+}.mjpeg")            .get(watch::mjpeg).head(watch::mjpeg))
        .service(at("/snapshot/{name:.+}.jpg")            .get(watch::snapshot).head(watch::snapshot))
        .service(at("/ws/{name:.+}")                      .get(ws::connect))
        // The same at addresses that other programs expect.
        .service(at("/").when(aliases::has_action)        .get(aliases::root).head(aliases::root))
        .service(at("/webcam{n:[0-9]?}")                  .get(aliases::webcam).head(aliases::webcam))
        .service(at("/webcam{n:[0-9]?}/")                 .get(aliases::webcam).head(aliases::webcam))
        .service(at("/webcam{n:[0-9]?}/{what:stream|snapshot|state}").get(aliases::webcam_part).head(aliases::webcam_part))
        .service(at("/stream")                            .get(aliases::stream).head(aliases::stream))
        .service(at("/snapshot")                          .get(aliases::snapshot).head(aliases::snapshot))
        .service(at("/capture")                           .get(aliases::capture).head(aliases::capture))
        .service(at("/state")                             .get(aliases::state))
        .service(at("/ustreamer/{name:.+}/{what:stream|snapshot|state}").get(aliases::ustreamer).head(aliases::ustreamer))
        .service(at("/api/stream.mjpeg")                  .get(aliases::go2rtc_stream).head(aliases::go2rtc_stream).post(aliases::go2rtc_push))
        .service(at("/api/frame.jpeg")                    .get(aliases::go2rtc_frame).head(aliases::go2rtc_frame))
        .service(at("/api/ws")                            .get(ws::go2rtc))
        .service(at("/api/{camera}/latest.{kind:jpg|jpeg}").get(aliases::frigate_latest).head(aliases::frigate_latest))
        .service(at("/api/{camera}")                      .get(aliases::frigate_stream).head(aliases::frigate_stream))
        // Who may what.
        .service(at("/api/v1/login")                      .post(sign_in::sign_in))
        .service(at("/api/v1/login/refresh")              .post(sign_in::refresh))
        .service(at("/api/v1/logout")                     .post(sign_in::sign_out))
        .service(at("/api/v1/me")                         .get(sign_in::me))
        .service(at("/api/v1/me/password")                .post(sign_in::change_password))
        .service(at("/api/v1/users")                      .get(identity::users))
        .service(at("/api/v1/users/{name}")               .get(identity::user).put(identity::put_user).patch(identity::patch_user).delete(identity::delete_user))
        .service(at("/api/v1/tokens")                     .get(identity::tokens).post(identity::make_token))
        .service(at("/api/v1/tokens/{id}")                .delete(identity::revoke_token))
        .service(at("/api/v1/shares")                     .get(identity::shares).post(identity::make_share))
        .service(at("/api/v1/shares/open")                .post(sign_in::open_share))
        .service(at("/api/v1/shares/{id}")                .delete(identity::revoke_share))
        .service(at("/api/v1/keys/rotate")                .post(identity::rotate_keys))
        .service(at("/api/v1/audit")                      .get(identity::audit))
        .service(at("/.well-known/jwks.json")             .get(sign_in::jwks))
        // Media folders.
        .service(at("/mediamtx-get-media")                .post(media::original_list))
        .service(at("/mediamtx-add-media")                .post(media::original_add))
        .service(at("/mediamtx-delete-media")             .post(media::original_delete))
        .service(at("/api/v1/media")                      .get(media::list))
        .service(at("/api/v1/media/info")                 .get(media::info))
        .service(at("/api/v1/media/thumbnail")            .get(media::thumbnail))
        .service(at("/api/v1/media/content/{id}")         .get(media::content).head(media::content))
        .service(at("/api/v1/media/playlist/{id}")        .get(media::playlist))
        .service(at("/api/v1/media/file")                 .put(media::upload).delete(media::delete))
        .service(at("/api/v1/media/channel")              .post(media::channel))
        // Recordings.
        .service(at("/mediamtx-get-recording")            .post(recordings::original))
        .service(at("/api/v1/recordings")                 .get(recordings::list))
        .service(at("/api/v1/recordings/{path:.+}/timeline").get(recordings::timeline))
        .service(at("/api/v1/recordings/{path:.+}")       .get(recordings::get).delete(recordings::delete))
        // What happens.
        .service(at("/api/v1/events")                     .get(events::listen))
        .service(at("/api/v1/events/dead-letters")                .get(events::dead))
        .service(at("/api/v1/hooks/{event}")              .post(events::hook))
        // MediaMTX's paths.
        .service(at("/api/v1/paths")                      .get(paths::list).put(paths::replace))
        .service(at("/api/v1/paths/import")               .post(paths::import))
        .service(at("/api/v1/paths/{name:.+}")            .get(paths::get).put(paths::put).patch(paths::patch).delete(paths::delete))
        // Cameras on the network.
        .service(at("/api/v1/discover")                   .get(discovery::search))
        .service(at("/api/v1/discover/onvif")             .post(discovery::inquire))
        // What pages need to know.
        .service(at("/api/v1/wall")                       .get(wall::get))
        .service(at("/api/v1/mediamtx")                   .get(mediamtx::get))
        .service(at("/api/v1/mediamtx/check")             .get(overview::check_live).post(mediamtx::check))
        .service(at("/api/v1/addresses")                  .get(addresses::get))
        // The console.
        .service(at("/api/v1/overview")                   .get(overview::overview))
        .service(at("/api/v1/settings")                   .get(overview::settings))
        .service(at("/api/v1/sessions")                   .get(sessions::list))
        .service(at("/api/v1/sessions/{protocol}/{id}")   .delete(sessions::kick))
        // Operations.
        .service(at("/healthz")                           .get(health::live).head(health::live))
        .service(at("/readyz")                            .get(health::ready).head(health::ready))
        .service(at("/metrics")                           .get(health::metrics))
        .service(at("/api/v1/openapi.json")               .get(openapi::document));
    pages::configure(routes, pages);
}

/// A resource under construction, so that the table above can be read across.
struct At {
    resource: actix_web::Resource,
}

fn at(path: &str) -> At {
    At { resource: web::resource(path).default_service(web::to(method_not_allowed)) }
}

impl At {
    /// Only for requests of which this is true; others go on down the table.
    fn when(self, is_so: fn(&GuardContext<'_>) -> bool) -> Self {
        At { resource: self.resource.guard(fn_guard(is_so)) }
    }
}

/// Makes `At` methods for HTTP methods.
macro_rules! methods {
    ($($name:ident = $make:path),+) => {
        impl At {
            $(
                fn $name<H, A>(self, handler: H) -> Self
                where
                    H: actix_web::Handler<A>,
                    A: actix_web::FromRequest + 'static,
                    H::Output: actix_web::Responder + 'static,
                {
                    At { resource: self.resource.route($make().to(handler)) }
                }
            )+
        }
    };
}

methods!(get = web::get, head = web::head, put = web::put, post = web::post, patch = web::patch, delete = web::delete);

impl actix_web::dev::HttpServiceFactory for At {
    fn register(self, config: &mut actix_web::dev::AppService) {
        self.resource.register(config);
    }
}

async fn method_not_allowed(request: actix_web::HttpRequest) -> Result<HttpResponse, Problem> {
    let message = format!("{} does not take {}", request.path(), request.method());
    Err(OurError::new(Code::MethodNotAllowed, message).into())
}

/// A JSON body; the error says what is wrong with it, and where.
fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, OurError> {
    serde_json::from_slice(body).map_err(|e| OurError::new(Code::InvalidIdentity, e.to_string()))
}
