//! SOAP 1.2 as ONVIF uses it: envelopes, credentials, faults. Pure.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::xml::{self, Element, shorten};
use crate::secret::Secret;

/// Longest fault text, in characters.
const MAX_FAULT: usize = 160;

/// The credentials for a device.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// An operation of a service.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operation {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its arguments as XML. The prefix `x` is its namespace, `tt` is ONVIF's schema.
    pub arguments: String,
}

impl Operation {
    pub(super) fn new(namespace: &'static str, name: &'static str) -> Self {
        Operation { namespace, name, arguments: String::new() }
    }

    pub(super) fn with(self, arguments: impl Into<String>) -> Self {
        Operation { arguments: arguments.into(), ..self }
    }

    /// The `action` of its content type (RFC 3902). Some cameras read only this.
    pub(super) fn action(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The message.
    pub(super) fn envelope(&self, security: Option<&str>) -> String {
        let header = security.map(|security| format!("<s:Header>{security}</s:Header>")).unwrap_or_default();
        let Operation { namespace, name, arguments } = self;
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:x="{namespace}" xmlns:tt="http://www.onvif.org/ver10/schema">{header}<s:Body><x:{name}>{arguments}</x:{name}></s:Body></s:Envelope>"#
        )
    }
}

/// A UsernameToken with a digest (OASIS Web Services Security UsernameToken Profile 1.0). `nonce` must be new for each request, and
/// `created` must be the time on the device's clock.
pub(super) fn security(login: &Login, nonce: [u8; 16], created: &str) -> String {
    let mut sum = nonce.to_vec();
    sum.extend_from_slice(created.as_bytes());
    sum.extend_from_slice(login.password.expose().as_bytes());
    // The profile has no other hash.
    let password = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &sum));
    let (user, nonce) = (xml::escape(&login.username), STANDARD.encode(nonce));
    format!(
        r##"<wsse:Security s:mustUnderstand="1" xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd" xmlns:wsu="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"><wsse:UsernameToken><wsse:Username>{user}</wsse:Username><wsse:Password Type="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest">{password}</wsse:Password><wsse:Nonce EncodingType="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary">{nonce}</wsse:Nonce><wsu:Created>{created}</wsu:Created></wsse:UsernameToken></wsse:Security>"##
    )
}

/// The time on a clock that is `offset` seconds ahead of `now`, in the form of the token.
pub(super) fn created(now: SystemTime, offset: i64) -> String {
    let by = Duration::from_secs(offset.unsigned_abs());
    let there = if offset < 0 { now.checked_sub(by) } else { now.checked_add(by) };
    // The library cannot write times from the year 10000 on.
    let most = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let there = there.filter(|t| (SystemTime::UNIX_EPOCH..=most).contains(t)).unwrap_or(now);
    humantime::format_rfc3339_millis(there).to_string()
}

/// The reason for which a device refuses a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// Credentials are missing or wrong.
    NotAuthorized,
    /// Another reason, in the device's words.
    Fault(String),
    /// Its answer is not SOAP.
    Unreadable(String),
}

/// Reads the answer to the operation `name`: the element in the body.
pub(super) fn read(status: u16, body: &[u8], name: &str) -> Result<Element, Refusal> {
    let unreadable = |why: String| match status {
        401 => Refusal::NotAuthorized,
        200 => Refusal::Unreadable(why),
        _ => Refusal::Unreadable(format!("HTTP status {status}")),
    };
    let mut envelope = xml::parse(body).map_err(unreadable)?;
    let Some(body) = envelope.children.iter_mut().find(|child| child.name == "Body") else {
        return Err(unreadable("it is not a SOAP envelope".into()));
    };
    if let Some(fault) = body.child("Fault") {
        return Err(if status == 401 { Refusal::NotAuthorized } else { refusal(fault) });
    }
    let wanted = format!("{name}Response");
    match body.children.iter().position(|child| child.name == wanted) {
        Some(at) => Ok(body.children.swap_remove(at)),
        None if status == 401 => Err(Refusal::NotAuthorized),
        None => Err(Refusal::Unreadable(format!("it has no {wanted}"))),
    }
}

/// A fault of SOAP 1.2 or 1.1: its text, and whether it is about credentials (ONVIF Core, table of faults: `ter:NotAuthorized`;
/// WS-Security, section 12: `wsse:FailedAuthentication`…).
fn refusal(fault: &Element) -> Refusal {
    const ABOUT_CREDENTIALS: [&str; 6] = [
        "NotAuthorized",
        "FailedAuthentication",
        "InvalidSecurity",
        "InvalidSecurityToken",
        "SecurityTokenUnavailable",
        "FailedCheck",
    ];
    let mut codes = vec![];
    collect(fault, &mut codes);
    let local = |code: &str| code.rsplit(':').next().unwrap_or_default().to_owned();
    let text = fault.text_of("Text").or(fault.text_of("faultstring")).unwrap_or_default();
    let says = text.to_ascii_lowercase();
    let is_about_credentials = codes.iter().any(|code| ABOUT_CREDENTIALS.contains(&local(code).as_str()))
        || says.contains("not authorized")
        || says.contains("unauthorized")
        || says.contains("authority failure");
    if is_about_credentials {
        return Refusal::NotAuthorized;
    }
    let code = codes.last().map(|code| local(code)).unwrap_or_default();
    let text = if text.is_empty() { code } else { shorten(text) };
    Refusal::Fault(text.chars().take(MAX_FAULT).collect())
}

fn collect<'a>(element: &'a Element, codes: &mut Vec<&'a str>) {
    for child in &element.children {
        if matches!(child.name.as_str(), "Value" | "faultcode") {
            codes.push(&child.text);
        }
        collect(child, codes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::discovery::properties;

    /// The example of the ONVIF Application Programmer's Guide 1.0, section 6.1.1.3.
    #[test]
    fn the_digest_is_that_of_onvif_s_example() {
        let login = Login { username: "user<1>".into(), password: Secret::new("userpassword") };
        let nonce = STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").expect("base64").try_into().expect("16 bytes");
        let text = security(&login, nonce, "2010-09-16T07:50:45Z");
        assert!(text.contains(">tuOSpGlFlIXsozq4HFNeeGeFLEI=<"), "{text}");
        assert!(text.contains(">LKqI6G/AikKCQrN0zqZFlg==<") && text.contains(">user&lt;1&gt;<"), "{text}");
        assert!(!text.contains("userpassword"), "{text}");
        let whole =
            Operation::new("http://www.onvif.org/ver10/device/wsdl", "GetDeviceInformation").envelope(Some(&text));
        let envelope = xml::parse(whole.as_bytes()).expect("well-formed");
        assert!(envelope.at(&["Header", "Security", "UsernameToken", "Nonce"]).is_some());
        assert!(envelope.at(&["Body", "GetDeviceInformation"]).is_some());
    }

    #[test]
    fn the_time_is_that_of_the_device_s_clock() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(created(now, 0), "2023-11-14T22:13:20.000Z");
        assert_eq!(created(now, -3600), "2023-11-14T21:13:20.000Z");
        assert_eq!(created(now, 86_400), "2023-11-15T22:13:20.000Z");
        for wrong in [i64::MIN, i64::MAX, -1_700_000_001] {
            assert!(created(now, wrong).starts_with("20"), "{wrong}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn faults_about_credentials_are_distinguished() {
        let fault = |inner: &str| format!("<E><Body><Fault>{inner}</Fault></Body></E>");
        let code = |sub: &str| fault(&format!("<Code><Value>env:Sender</Value><Subcode><Value>ter:{sub}</Value></Subcode></Code><Reason><Text>why</Text></Reason>"));
        for (status, body, expected) in [
            (400, code("NotAuthorized"), Refusal::NotAuthorized),
            (500, fault("<Code><Value>s:Sender</Value><Subcode><Value>wsse:FailedAuthentication</Value></Subcode></Code>"), Refusal::NotAuthorized),
            (500, fault("<faultcode>SOAP-ENV:Client</faultcode><faultstring>Sender not Authorized</faultstring>"), Refusal::NotAuthorized),
            (401, "<html>".into(), Refusal::NotAuthorized),
            (401, code("ActionNotSupported"), Refusal::NotAuthorized),
            (500, code("ActionNotSupported"), Refusal::Fault("why".into())),
            (500, fault("<Code><Value>s:Receiver</Value></Code>"), Refusal::Fault("Receiver".into())),
            (404, "not here".into(), Refusal::Unreadable("HTTP status 404".into())),
            (200, "<E><Body><OtherResponse/></Body></E>".into(), Refusal::Unreadable("it has no XResponse".into())),
            (200, "<E/>".into(), Refusal::Unreadable("it is not a SOAP envelope".into())),
        ] {
            assert_eq!(read(status, body.as_bytes(), "X").expect_err(&body), expected, "{status} {body}");
        }
        let answer = read(200, b"<E><Body><q:XResponse><a>1</a></q:XResponse></Body></E>", "X").expect("an answer");
        assert_eq!(answer.text_of("a"), Some("1"));
    }

    proptest! {
        #[test]
        fn an_answer_is_read_as_it_was_written(status in 200_u16..600, text in "\\PC{0,100}", before in 0..3_usize) {
            let others = "<a:Other/>".repeat(before);
            let text = text.trim();
            let body = format!("<e:Envelope><e:Header/><e:Body>{others}<a:XResponse><b>{}</b></a:XResponse></e:Body></e:Envelope>", xml::escape(text));
            let answer = read(status, body.as_bytes(), "X").expect("an answer");
            prop_assert_eq!((answer.name.as_str(), answer.children.len()), ("XResponse", 1));
            prop_assert_eq!(&answer.children[0].text, text);
            let refusal = read(status, body.as_bytes(), "Y").expect_err("no answer to Y");
            let expected = if status == 401 { Refusal::NotAuthorized } else { Refusal::Unreadable("it has no YResponse".into()) };
            prop_assert_eq!(refusal, expected);
        }

        #[test]
        fn the_text_of_a_fault_is_shortened(status in 402_u16..600, text in "[a-z ]{1,400}") {
            let body = format!("<E><Body><Fault><Reason><Text>{text}</Text></Reason></Fault></Body></E>");
            let expected: String = text.trim().chars().take(MAX_FAULT).collect();
            prop_assert_eq!(read(status, body.as_bytes(), "X"), Err(Refusal::Fault(expected)));
        }

        #[test]
        fn any_bytes_are_an_answer_or_a_short_refusal(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            properties::soap(&data);
        }

        #[test]
        fn the_time_is_read_as_it_was_written(seconds in 0..4_000_000_000_u64, offset in -4_000_000_000..4_000_000_000_i64) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let there = SystemTime::from(crate::units::timestamp(&created(now, offset)).expect("a time"));
            let expected = u64::try_from(seconds as i64 + offset).unwrap_or(seconds);
            prop_assert_eq!(there, SystemTime::UNIX_EPOCH + Duration::from_secs(expected));
        }
    }
}
