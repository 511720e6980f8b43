//! Files of media folders in a browser: a file is a file, and never a page of this server.
//!
//! A media folder is often writable by others (a share, a camera's FTP). A script in one of its files would otherwise run with
//! the cookies of the administrator who opens the file.

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderMap, HeaderValue},
};

/// No script runs, no form is sent, and the document has an origin of its own. Browsers show pictures and play videos in a
/// document that they make, whose style is inline.
const SANDBOX: &str = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'";

/// How a browser may treat a media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    /// Pictures, videos and sound: shown where they are.
    Show,
    /// Markup and scripts: sent as plain text.
    Text,
    /// Everything else: saved.
    Save,
}

/// Adds the headers that make the response of a media file harmless.
pub(super) fn as_file(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    let treatment = treatment(headers);
    if treatment == Treatment::Text {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    if treatment != Treatment::Show {
        headers.insert(header::CONTENT_DISPOSITION, attachment(headers));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn treatment(headers: &HeaderMap) -> Treatment {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_markup = kind.ends_with("xml") || kind.starts_with("text/") || kind.ends_with("script");
    let is_media = ["image/", "video/", "audio/"].iter().any(|class| kind.starts_with(class));
    match (is_markup, is_media) {
        (true, _) => Treatment::Text,
        (false, true) => Treatment::Show,
        (false, false) => Treatment::Save,
    }
}

/// The file's `Content-Disposition` with its name, as an attachment.
fn attachment(headers: &HeaderMap) -> HeaderValue {
    let present = headers.get(header::CONTENT_DISPOSITION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = present.split_once(';').map(|(_, name)| format!("attachment;{name}"));
    name.and_then(|value| HeaderValue::try_from(value).ok()).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_videos_and_sound_are_shown() {
        for (kind, expected) in [
            ("image/jpeg", Treatment::Show),
            ("video/mp4", Treatment::Show),
            ("AUDIO/ogg", Treatment::Show),
            ("image/svg+xml", Treatment::Text),
            ("text/html; charset=utf-8", Treatment::Text),
            ("application/xhtml+xml", Treatment::Text),
            ("text/xml", Treatment::Text),
            ("application/xml", Treatment::Text),
            ("text/javascript", Treatment::Text),
            ("application/javascript", Treatment::Text),
            ("application/pdf", Treatment::Save),
            ("application/octet-stream", Treatment::Save),
            ("", Treatment::Save),
        ] {
            let response = HttpResponse::Ok()
                .insert_header(("Content-Type", kind))
                .insert_header(("Content-Disposition", "inline; filename=\"a b.x\""))
                .finish();
            assert_eq!(treatment(response.headers()), expected, "{kind}");
            let response = as_file(response);
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            let disposition = if expected == Treatment::Show { "inline" } else { "attachment" };
            assert_eq!(header("content-disposition"), Some(&*format!("{disposition}; filename=\"a b.x\"")), "{kind}");
            assert_eq!(header("x-content-type-options"), Some("nosniff"));
            assert!(header("content-security-policy").is_some_and(|policy| policy.starts_with("sandbox;")));
            if expected == Treatment::Text {
                assert_eq!(header("content-type"), Some("text/plain; charset=utf-8"), "{kind}");
            }
        }
    }
}
