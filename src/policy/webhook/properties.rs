//! Properties of reading MediaMTX's question.

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::{Map, Value, json};

use super::*;

/// A question is read as any reader of JSON reads it; keys that a later MediaMTX adds change nothing; and a token is found in the query
/// whatever its bytes are.
pub(crate) fn hold(data: &[u8]) {
    if let Ok(question) = Question::parse(data) {
        let read = fields(&question);
        // Text of an unknown key is skipped unread, and can hold bytes that another reader refuses.
        if let Ok(Value::Object(object)) = serde_json::from_slice(data) {
            for (key, text) in &read {
                let sent = object.get(key).and_then(Value::as_str).unwrap_or_default();
                assert_eq!(text.as_str().unwrap_or_default(), sent, "{key}");
            }
        }
        let mut later = read.clone();
        later.insert("sessionAge".into(), json!({ "seconds": [1, 2.5, null] }));
        let later = Value::Object(later).to_string();
        assert_eq!(fields(&Question::parse(later.as_bytes()).expect("a later question")), read);
        let shown = question.caller().credentials;
        let given = [&question.user, &question.password, &question.token, &question.query];
        assert!(shown.is_empty() || given.iter().any(|text| !text.is_empty()), "credentials come from somewhere");
    }
    if !data.is_empty() {
        let encoded = percent_encode(data, NON_ALPHANUMERIC);
        for query in [format!("token={encoded}"), format!("a=1&jwt={encoded}&b=2"), format!("jwt=x&token={encoded}")] {
            assert_eq!(token_in_query(&query).as_deref(), Some(&*String::from_utf8_lossy(data)), "{query}");
        }
        let twice = format!("token={encoded}&token={encoded}");
        assert_eq!(token_in_query(&twice), None, "MediaMTX takes exactly one");
    }
}

/// All ten keys, as MediaMTX sends them.
fn fields(question: &Question<'_>) -> Map<String, Value> {
    let Question { ip, user, password, token, action, path, protocol, id, query, user_agent } = question;
    let fields = json!({
        "ip": ip, "user": user, "password": password, "token": token, "action": action, "path": path,
        "protocol": protocol, "id": id, "query": query, "userAgent": user_agent,
    });
    let Value::Object(fields) = fields else { unreachable!("it is written as an object") };
    fields
}
