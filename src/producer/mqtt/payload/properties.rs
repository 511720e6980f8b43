//! Properties of the messages that devices and strangers send.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;

/// The picture that is found is no larger than the message, the same for each way to name the encoding, and each form of a
/// picture is recognised. An error is a short text.
pub(crate) fn hold(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    let found = |encoding, pointer| picture(&message, encoding, pointer);
    for pointer in [None, Some("/image"), Some("/0/~1/~0"), Some("/")] {
        for encoding in [Encoding::Auto, Encoding::Raw, Encoding::Base64, Encoding::Json] {
            match found(encoding, pointer) {
                Ok(data) => assert!(data.len() <= message.len(), "{} bytes of {}", data.len(), message.len()),
                Err(e) => assert!(e.to_string().len() <= 400, "{e}"),
            }
        }
    }
    let (automatic, named) = (found(Encoding::Auto, None), [Encoding::Raw, Encoding::Base64, Encoding::Json]);
    if let Ok(data) = automatic {
        let same = |encoding: &Encoding| found(*encoding, None).is_ok_and(|other| other == data);
        assert!(named.iter().any(same), "no named encoding finds what auto finds");
    }

    // Each form of a picture with these bytes behind its first ones.
    let picture_of = [b"\xff\xd8\xff", data].concat();
    let (standard, url_safe) = (BASE64_STANDARD.encode(&picture_of), BASE64_URL_SAFE_NO_PAD.encode(&picture_of));
    let text = String::from_utf8_lossy(data);
    for form in [
        standard.clone(),
        url_safe.clone(),
        format!("data:image/jpeg;base64,{standard}"),
        json!({ "text": text.clone(), "image": url_safe }).to_string(),
        json!({ (text.clone()): 1, "image": standard.clone() }).to_string(),
    ] {
        let found = picture(&form.clone().into(), Encoding::Auto, None);
        assert_eq!(found.as_deref().ok(), Some(picture_of.as_slice()), "{form}");
    }
    let pointer = format!("/{}", text.replace('~', "~0").replace('/', "~1"));
    let nested = json!({ (text): standard }).to_string();
    let found = picture(&nested.into(), Encoding::Json, Some(&pointer));
    assert_eq!(found.as_deref().ok(), Some(picture_of.as_slice()), "{pointer}");
}
