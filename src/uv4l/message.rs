//! The messages of UV4L's signalling: JSON objects with `what`, and with `data` as a JSON text within the JSON ("encoded"), or as a
//! plain value, which clients and other servers use. Both are read; what is sent has the known members only.

use serde_json::{Map, Value, json};

/// Most bytes of one message.
pub const MAX_MESSAGE: usize = 64 << 10;

/// Most candidates of one message, and most bytes of one candidate. A host with many interfaces has some dozens.
const MAX_CANDIDATES: usize = 64;
const MAX_CANDIDATE: usize = 1 << 10;

/// Most characters of a text for people, and of a foreign word that an error repeats.
const MAX_TEXT: usize = 1000;
const LONGEST_WORD: usize = 40;

/// The form of `data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A text that has JSON, as UV4L sends it.
    #[default]
    Encoded,
    /// The value itself.
    Plain,
}

/// The options of a call. What is not set is left to UV4L's own settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// Whether the camera must use its hardware encoder, which gives H.264.
    pub force_hw_vcodec: Option<bool>,
    /// The size and rate, as a number of UV4L: 60 is 1280x720 at 30 pictures a second.
    pub vformat: Option<u16>,
    /// Whether candidates are sent one by one.
    pub trickle_ice: Option<bool>,
}

/// An ICE candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The attribute of SDP without `a=`.
    pub candidate: String,
    /// The mid of its section.
    pub mid: Option<String>,
    /// The index of its section.
    pub line: Option<u16>,
}

/// A message of a viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewerMessage {
    /// Begins a call.
    Call(CallOptions),
    /// SDP that answers the offer.
    Answer(String),
    /// A candidate; none for the end of candidates.
    Candidate(Option<Candidate>),
    /// Asks an old camera for its candidates.
    Generate,
    /// Ends the call.
    Hangup,
}

/// A message of a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CameraMessage {
    /// SDP.
    Offer(String),
    /// A candidate; none for the end of candidates.
    Candidate(Option<Candidate>),
    /// All candidates.
    Candidates(Vec<Candidate>),
    /// A text for people, mostly an error.
    Text(String),
    /// Ends the call.
    Hangup,
}

/// Why a message is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be read; the reason in words.
    Malformed(String),
    /// It is none of the known ones: the beginning of its `what`.
    Unknown(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Malformed(why) => f.write_str(why),
            Fault::Unknown(what) => write!(f, "what: {what:?} is not a message of UV4L that is known here"),
        }
    }
}

/// The members of a message that are read.
struct Raw {
    data: Value,
    options: Value,
}

fn malformed(why: impl Into<String>) -> Fault {
    Fault::Malformed(why.into())
}

fn read(text: &str) -> Result<(String, Raw), Fault> {
    let mut members: Map<String, Value> =
        serde_json::from_str(text).map_err(|e| malformed(format!("not a JSON object with `what`: {e}")))?;
    let mut take = |name: &str| members.remove(name).unwrap_or_default();
    match (take("what"), take("command_id")) {
        (Value::String(what), _) => Ok((what, Raw { data: take("data"), options: take("options") })),
        (_, Value::Null) => Err(malformed("what: is missing, or not a text")),
        _ => Err(malformed("command_id: this oldest dialect of UV4L is not supported; `what` is expected")),
    }
}

/// The value of `data`, and its form. An empty or missing one is null.
fn data_of(raw: Value) -> Result<(Value, Form), Fault> {
    match raw {
        Value::String(text) if text.trim().is_empty() => Ok((Value::Null, Form::Encoded)),
        Value::String(text) => {
            let value = serde_json::from_str(&text).map_err(|e| malformed(format!("data: is not JSON: {e}")))?;
            Ok((value, Form::Encoded))
        }
        value => Ok((value, Form::Plain)),
    }
}

fn sdp_of(value: &Value, kind: &str) -> Result<String, Fault> {
    let named = &value["type"];
    if !named.is_null() && named != kind {
        return Err(malformed(format!("data.type: must be {kind}")));
    }
    match value["sdp"].as_str() {
        Some(sdp) if sdp.starts_with("v=0") => Ok(sdp.to_owned()),
        Some(_) => Err(malformed("data.sdp: does not begin with v=0")),
        None => Err(malformed("data.sdp: is missing, or not a text")),
    }
}

/// A candidate without the `a=` of a line of SDP.
fn bare(text: &str) -> &str {
    let mut text = text.trim();
    while let Some(rest) = text.strip_prefix("a=") {
        text = rest.trim();
    }
    text
}

fn candidate_of(value: &Value) -> Result<Option<Candidate>, Fault> {
    if value.is_null() {
        return Ok(None);
    }
    let candidate = match &value["candidate"] {
        Value::Null => return Ok(None),
        Value::String(text) => bare(text).to_owned(),
        _ => return Err(malformed("data.candidate: is not a text")),
    };
    if candidate.is_empty() {
        return Ok(None);
    }
    if candidate.len() > MAX_CANDIDATE || candidate.chars().any(char::is_control) {
        return Err(malformed(format!("data.candidate: must be one line of at most {MAX_CANDIDATE} bytes")));
    }
    let mid = match &value["sdpMid"] {
        Value::String(mid) if mid.len() <= LONGEST_WORD && !mid.chars().any(char::is_control) => Some(mid.clone()),
        Value::Null => None,
        _ => return Err(malformed(format!("data.sdpMid: must be a text of at most {LONGEST_WORD} bytes"))),
    };
    let line = match &value["sdpMLineIndex"] {
        Value::Null => None,
        line => {
            let line = line.as_u64().and_then(|line| u16::try_from(line).ok());
            Some(line.ok_or_else(|| malformed("data.sdpMLineIndex: must be a whole number"))?)
        }
    };
    Ok(Some(Candidate { candidate, mid, line }))
}

fn options_of(options: &Value) -> Result<CallOptions, Fault> {
    let flag = |key: &str| match &options[key] {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        Value::String(text) if text == "true" || text == "false" => Ok(Some(text == "true")),
        _ => Err(malformed(format!("options.{key}: must be true or false"))),
    };
    let vformat = match &options["vformat"] {
        Value::Null => None,
        value => {
            let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
            let number = number.and_then(|number| u16::try_from(number).ok());
            Some(number.ok_or_else(|| malformed("options.vformat: must be a number of UV4L, such as 60"))?)
        }
    };
    Ok(CallOptions { force_hw_vcodec: flag("force_hw_vcodec")?, vformat, trickle_ice: flag("trickle_ice")? })
}

impl ViewerMessage {
    /// Reads a message, and the form of its `data`.
    pub fn read(text: &str) -> Result<(Self, Form), Fault> {
        let (what, raw) = read(text)?;
        Ok(match what.as_str() {
            "call" => (ViewerMessage::Call(options_of(&raw.options)?), Form::Encoded),
            "answer" => {
                let (data, form) = data_of(raw.data)?;
                (ViewerMessage::Answer(sdp_of(&data, "answer")?), form)
            }
            "addIceCandidate" => {
                let (data, form) = data_of(raw.data)?;
                (ViewerMessage::Candidate(candidate_of(&data)?), form)
            }
            "generateIceCandidates" => (ViewerMessage::Generate, Form::Encoded),
            "hangup" => (ViewerMessage::Hangup, Form::Encoded),
            what => return Err(Fault::Unknown(beginning(what, LONGEST_WORD))),
        })
    }

    /// The message for the camera.
    pub fn text(&self, form: Form) -> String {
        let message = match self {
            ViewerMessage::Call(options) => {
                let mut members = Map::new();
                members.extend(options.force_hw_vcodec.map(|flag| ("force_hw_vcodec".to_owned(), json!(flag))));
                members.extend(options.vformat.map(|number| ("vformat".to_owned(), json!(number))));
                members.extend(options.trickle_ice.map(|flag| ("trickle_ice".to_owned(), json!(flag))));
                json!({"what": "call", "options": members})
            }
            ViewerMessage::Answer(sdp) => wrapped("answer", json!({"type": "answer", "sdp": sdp}), form),
            ViewerMessage::Candidate(candidate) => candidate_message("addIceCandidate", candidate.as_ref(), form),
            ViewerMessage::Generate => json!({"what": "generateIceCandidates"}),
            ViewerMessage::Hangup => json!({"what": "hangup"}),
        };
        message.to_string()
    }
}

impl CameraMessage {
    /// Reads a message, and the form of its `data`.
    pub fn read(text: &str) -> Result<(Self, Form), Fault> {
        let (what, raw) = read(text)?;
        Ok(match what.as_str() {
            "offer" => {
                let (data, form) = data_of(raw.data)?;
                (CameraMessage::Offer(sdp_of(&data, "offer")?), form)
            }
            "iceCandidate" => {
                let (data, form) = data_of(raw.data)?;
                (CameraMessage::Candidate(candidate_of(&data)?), form)
            }
            "iceCandidates" => {
                let (data, form) = data_of(raw.data)?;
                let items = match &data {
                    Value::Null => &[][..],
                    Value::Array(items) if items.len() <= MAX_CANDIDATES => items,
                    _ => return Err(malformed(format!("data: must be a list of at most {MAX_CANDIDATES} candidates"))),
                };
                let candidates: Vec<_> = items.iter().map(candidate_of).collect::<Result<_, _>>()?;
                (CameraMessage::Candidates(candidates.into_iter().flatten().collect()), form)
            }
            "message" => {
                let text = match raw.data {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                (CameraMessage::Text(beginning(&text, MAX_TEXT)), Form::Encoded)
            }
            "hangup" => (CameraMessage::Hangup, Form::Encoded),
            what => return Err(Fault::Unknown(beginning(what, LONGEST_WORD))),
        })
    }

    /// The message for the viewer.
    pub fn text(&self, form: Form) -> String {
        let message = match self {
            CameraMessage::Offer(sdp) => wrapped("offer", json!({"type": "offer", "sdp": sdp}), form),
            CameraMessage::Candidate(candidate) => candidate_message("iceCandidate", candidate.as_ref(), form),
            CameraMessage::Candidates(all) => {
                wrapped("iceCandidates", all.iter().map(candidate_value).collect::<Value>(), form)
            }
            CameraMessage::Text(text) => json!({"what": "message", "data": text}),
            CameraMessage::Hangup => json!({"what": "hangup"}),
        };
        message.to_string()
    }
}

/// The beginning of a foreign text, without control characters.
fn beginning(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').take(most).collect()
}

fn wrapped(what: &str, value: Value, form: Form) -> Value {
    match form {
        Form::Encoded => json!({"what": what, "data": value.to_string()}),
        Form::Plain => json!({"what": what, "data": value}),
    }
}

fn candidate_value(candidate: &Candidate) -> Value {
    let mut members = Map::new();
    members.extend(candidate.line.map(|line| ("sdpMLineIndex".to_owned(), json!(line))));
    members.extend(candidate.mid.as_ref().map(|mid| ("sdpMid".to_owned(), json!(mid))));
    members.insert("candidate".into(), json!(candidate.candidate));
    Value::Object(members)
}

fn candidate_message(what: &str, candidate: Option<&Candidate>, form: Form) -> Value {
    match candidate {
        Some(candidate) => wrapped(what, candidate_value(candidate), form),
        // The end of candidates is an empty text, also for clients that expect plain values.
        None => json!({"what": what, "data": ""}),
    }
}

#[cfg(test)]
mod tests;
