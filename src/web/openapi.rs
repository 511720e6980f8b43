//! The OpenAPI document, made of the handlers' own annotations.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use utoipa::OpenApi;

use super::{auth_webhook, health, streams, upload, watch};

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
        health::live,
        health::ready,
        health::metrics,
        document,
    ),
    modifiers(&Basic),
)]
struct Document;

/// Everything may need HTTP Basic credentials; the rule for 127.0.0.1 does without.
struct Basic;

impl utoipa::Modify for Basic {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Basic).build());
        document.components.get_or_insert_default().add_security_scheme("basic", scheme);
        document.security = Some(vec![SecurityRequirement::default(), SecurityRequirement::new("basic", [""; 0])]);
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
