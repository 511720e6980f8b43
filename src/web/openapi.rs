//! The OpenAPI document. It follows from the list of routes.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use utoipa::OpenApi;

use super::documented_addresses;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "mtx-sidecar",
        description = "Pictures in and out of MediaMTX. Errors are application/problem+json (RFC 9457) with a stable `code`.",
    ),
    modifiers(&Schemes),
)]
struct Document;

/// Each operation can need credentials: Basic or a token. The rule for 127.0.0.1 needs none.
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
#[expect(clippy::expect_used, reason = "the document is plain data, which tests read")]
pub fn json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| {
        let mut document = Document::openapi();
        let components = document.components.get_or_insert_default();
        for address in documented_addresses() {
            address.document(&mut document.paths, components);
        }
        document.to_pretty_json().expect("the document is plain data")
    });
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
