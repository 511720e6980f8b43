//! Answers of QNAP's File Station (File Station Web API v4.1 and v5): XML to a sign-in, JSON to all other requests. Older firmware has numbers as
//! text.

use quick_xml::{Reader, events::Event};
use serde::{Deserialize, Deserializer};

use super::Item;

/// Most XML events of an answer to a sign-in. QNAP sends about sixty elements.
const MAX_EVENTS: usize = 2000;

/// The result of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// A session id.
    In(String),
    /// User or password is wrong, or the NAS blocks this machine.
    Refused,
    /// The user has 2-step verification (`need_2sv`), which a program cannot pass.
    SecondStep,
    /// The answer is not that of a QNAP.
    Unknown,
}

/// Reads the answer of `authLogin.cgi`. Its HTTP status is always 200.
pub(super) fn login(xml: &[u8]) -> Login {
    let (mut reader, mut name) = (Reader::from_reader(xml), String::new());
    let (mut passed, mut sid, mut second, mut known) = (false, None, false, false);
    let mut buffer = Vec::new();
    for _ in 0..MAX_EVENTS {
        buffer.clear();
        let text = match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(element)) => {
                name = element.local_name().as_ref().to_owned();
                continue;
            }
            Ok(Event::CData(text)) => text.into_inner().into_owned(),
            Ok(Event::Text(text)) => text.into_inner().into_owned(),
            Ok(Event::Eof) | Err(_) => break,
            Ok(Event::DocType(_)) => return Login::Unknown,
            Ok(_) => continue,
        };
        let text = text.trim().to_owned();
        if text.is_empty() {
            continue;
        }
        match name.as_str() {
            "authPassed" => (known, passed) = (true, text == "1"),
            "authSid" => sid = Some(text),
            "need_2sv" => second = text == "1",
            _ => {}
        }
    }
    match sid {
        _ if second => Login::SecondStep,
        Some(sid) if passed => Login::In(sid),
        _ if known => Login::Refused,
        _ => Login::Unknown,
    }
}

/// A list, or the status of an error in its place.
#[derive(Debug, Deserialize)]
pub(super) struct List {
    #[serde(default, deserialize_with = "number")]
    pub(super) status: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub(super) total: Option<u64>,
    pub(super) datas: Option<Vec<Entry>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    filename: String,
    #[serde(default, deserialize_with = "number")]
    isfolder: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    filesize: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    epochmt: Option<u64>,
}

impl Entry {
    /// The entry; none for `.` and `..`, and for names that a request cannot contain.
    pub(super) fn into_item(self) -> Option<Item> {
        let is_folder = self.isfolder == Some(1);
        let is_entry = !matches!(self.filename.as_str(), "" | "." | "..") && !self.filename.contains(['/', '\0']);
        is_entry.then_some(Item {
            is_folder,
            size: self.filesize.filter(|_| !is_folder).unwrap_or_default(),
            modified: self.epochmt.unwrap_or_default(),
            name: self.filename,
        })
    }
}

/// A number, or a number as text; none for other values, which some firmware sends.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
        Flag(bool),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Either::deserialize(from)? {
        Either::Number(number) => Some(number),
        Either::Text(text) => text.trim().parse().ok(),
        Either::Flag(flag) => Some(flag.into()),
        Either::Other(_) => None,
    })
}

/// The meaning of a status other than 1.
pub(super) fn meaning(status: u64) -> &'static str {
    match status {
        2 => "the file exists already",
        3 => "the session has ended, or the user cannot sign in",
        4 => "the user does not have this permission",
        5 => "there is no such file or folder",
        7 => "the file cannot be opened",
        8 => "File Station is switched off",
        9 => "the quota is used up",
        10 | 11 => "the user cannot read or write this folder",
        12 => "the name is not permitted",
        15 => "the file is in use",
        19 => "its database is busy",
        20 => "a parameter is wrong",
        25 => "the folder does not exist",
        27 => "the folder is encrypted and locked",
        29 => "the medium is not supported",
        _ => "the request failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_has_four_results() {
        let document = |inner: &str| {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<QDocRoot version=\"1.0\"><doQuick><![CDATA[]]></doQuick>{inner}</QDocRoot>"
            )
        };
        for (inner, login_is) in [
            (
                "<authPassed><![CDATA[1]]></authPassed><authSid><![CDATA[abc123]]></authSid><isAdmin><![CDATA[0]]></isAdmin>",
                Login::In("abc123".into()),
            ),
            ("<authPassed>1</authPassed>\n<authSid> abc </authSid>", Login::In("abc".into())),
            ("<authPassed><![CDATA[0]]></authPassed><errorValue><![CDATA[-1]]></errorValue>", Login::Refused),
            ("<authPassed><![CDATA[0]]></authPassed><authSid><![CDATA[x]]></authSid>", Login::Refused),
            (
                "<authPassed><![CDATA[0]]></authPassed><need_2sv><![CDATA[1]]></need_2sv><lost_phone><![CDATA[1]]></lost_phone>",
                Login::SecondStep,
            ),
            ("<html>It works</html>", Login::Unknown),
        ] {
            assert_eq!(login(document(inner).as_bytes()), login_is, "{inner}");
        }
        let entities =
            "<!DOCTYPE x [<!ENTITY a \"1\">]><QDocRoot><authPassed>&a;</authPassed><authSid>x</authSid></QDocRoot>";
        assert_eq!(login(entities.as_bytes()), Login::Unknown);
        assert_eq!(login(&[0xFF; 100]), Login::Unknown);
    }

    #[test]
    fn numbers_can_be_text() {
        let old = r#"{"total":3,"acl":7,"datas":[{"filename":".","isfolder":1},
            {"filename":"a.jpg","isfolder":0,"filesize":"137595818","filetype":3,"mt":"2011/05/06 14:35:20\n","epochmt":1336632210},
            {"filename":"sub","isfolder":"1","filesize":"4096","epochmt":"1336632210"}]}"#;
        let list: List = serde_json::from_str(old).expect("reads");
        let items: Vec<_> = list.datas.expect("entries").into_iter().filter_map(Entry::into_item).collect();
        let item = |name: &str, is_folder, size| Item { name: name.into(), is_folder, size, modified: 1_336_632_210 };
        assert_eq!((list.total, items), (Some(3), vec![item("a.jpg", false, 137_595_818), item("sub", true, 0)]));
        let refused: List = serde_json::from_str(r#"{"status":"3","success":"true"}"#).expect("reads");
        assert_eq!((refused.status, refused.datas.is_none()), (Some(3), true));
    }
}
