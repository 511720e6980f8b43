//! The OpenAPI document, made of the handlers' own annotations.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use utoipa::OpenApi;

use super::{
    addresses, aliases, auth_webhook, discovery, events, health, identity, media, mediamtx, overview, paths,
    recordings, sessions, sign_in, streams, upload, wall, watch, ws,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "mtx-sidecar",
        description = "Pictures in and out of MediaMTX. Errors are application/problem+json (RFC 9457) with a stable `code`.",
    ),
    paths(
        auth_webhook::answer,
        upload::recipe,
        upload::frame,
        upload::frames,
        streams::list,
        streams::get,
        streams::put,
        streams::patch,
        streams::delete,
        watch::mjpeg,
        watch::recipe,
        watch::snapshot,
        ws::connect,
        ws::go2rtc,
        aliases::root,
        aliases::webcam,
        aliases::webcam_part,
        aliases::stream,
        aliases::snapshot,
        aliases::capture,
        aliases::state,
        aliases::ustreamer,
        aliases::go2rtc_stream,
        aliases::go2rtc_push,
        aliases::go2rtc_frame,
        aliases::frigate_latest,
        aliases::frigate_stream,
        mediamtx::paths,
        sign_in::sign_in,
        sign_in::refresh,
        sign_in::sign_out,
        sign_in::me,
        sign_in::change_password,
        sign_in::open_share,
        sign_in::jwks,
        identity::users,
        identity::user,
        identity::put_user,
        identity::patch_user,
        identity::delete_user,
        identity::tokens,
        identity::make_token,
        identity::revoke_token,
        identity::shares,
        identity::make_share,
        identity::revoke_share,
        identity::rotate_keys,
        identity::audit,
        events::listen,
        events::dead,
        events::hook,
        media::list,
        media::info,
        media::thumbnail,
        media::content,
        media::playlist,
        media::upload,
        media::delete,
        media::channel,
        media::original_list,
        media::original_add,
        media::original_delete,
        recordings::list,
        recordings::get,
        recordings::timeline,
        recordings::delete,
        recordings::original,
        paths::list,
        paths::replace,
        paths::import,
        paths::get,
        paths::put,
        paths::patch,
        paths::delete,
        discovery::search,
        discovery::inquire,
        addresses::get,
        wall::get,
        mediamtx::get,
        mediamtx::check,
        overview::overview,
        overview::check_live,
        overview::settings,
        sessions::list,
        sessions::kick,
        health::live,
        health::ready,
        health::metrics,
        document,
    ),
    modifiers(&Schemes),
)]
struct Document;

/// Everything may need credentials, Basic or a token; the rule for 127.0.0.1 does without.
struct Schemes;

impl utoipa::Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
        let components = document.components.get_or_insert_default();
        let mut security = vec![SecurityRequirement::default()];
        for (name, scheme) in [("basic", HttpAuthScheme::Basic), ("bearer", HttpAuthScheme::Bearer)] {
            components.add_security_scheme(name, SecurityScheme::Http(HttpBuilder::new().scheme(scheme).build()));
            security.push(SecurityRequirement::new(name, [""; 0]));
        }
        document.security = Some(security);
    }
}

/// The document as JSON.
pub fn json() -> &'static str {
    static JSON: LazyLock<String> =
        LazyLock::new(|| Document::openapi().to_pretty_json().expect("the document is plain data"));
    &JSON
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "operations", responses((status = 200, content_type = "application/json")))]
pub(super) async fn document() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(json())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::producer::Definition;

    /// The console makes its forms of this.
    #[test]
    fn every_kind_of_stream_has_a_schema_of_its_own() {
        let document: Value = serde_json::from_str(json()).expect("JSON");
        let kinds = document["components"]["schemas"]["Definition"]["oneOf"].as_array().expect("alternatives");
        let described: Vec<_> = kinds
            .iter()
            .map(|kind| {
                let parts = kind["allOf"].as_array().expect("settings, and the kind");
                let word = parts.iter().find_map(|part| part["properties"]["kind"]["enum"][0].as_str());
                let settings = parts.iter().find_map(|part| part["$ref"].as_str());
                (word.expect("a word"), settings.expect("settings"))
            })
            .collect();
        assert_eq!(described.iter().map(|(word, _)| *word).collect::<Vec<_>>(), Definition::KINDS);
        for (i, (word, settings)) in described.iter().enumerate() {
            let others = described[..i].iter().filter(|(_, other)| other == settings);
            assert_eq!(others.count(), 0, "{word} shares {settings}; its Settings need #[schema(as = …)]");
            let name = settings.rsplit('/').next().unwrap_or_default();
            assert!(document["components"]["schemas"][name].is_object(), "{word}: there is no {name}");
        }
    }
}
