//! Properties of reading requests.

use super::*;
use crate::portions;

/// Messages and the fault that ends them do not depend on how the bytes arrive, the parser leaves at most one request unread, and a
/// request that is written is read as the same.
pub(crate) fn hold(data: &[u8]) {
    let (messages, fault) = read(&[data]);
    for arrival in portions::ways(data) {
        let (others, other) = read(&arrival);
        assert_eq!(messages, others, "the messages depend on the portions");
        assert_eq!(fault, other, "the fault depends on the portions");
    }
    for message in messages {
        let Incoming::Request(request) = message else { continue };
        let Some(written) = written(&request) else { continue };
        let same = |other: &Request<Vec<u8>>| {
            (request.method(), request.request_uri(), request.body())
                == (other.method(), other.request_uri(), other.body())
        };
        assert!(same(&written), "{request:?} is written as {written:?}");
        // Writing trims the values of headers, which joining the values of equal headers does not.
        let Some(again) = self::written(&written) else { continue };
        assert_eq!(written, again, "a request changes whenever it is written");
    }
}

/// The request, written and read. None if it is longer than a request may be when it is written.
fn written(request: &Request<Vec<u8>>) -> Option<Box<Request<Vec<u8>>>> {
    let mut data = vec![];
    request.write(&mut data).expect("writes to memory");
    if data.len() > MAX_REQUEST {
        return None;
    }
    let (mut messages, fault) = read(&[&data]);
    match (messages.pop(), messages.is_empty(), fault) {
        (Some(Incoming::Request(request)), true, None) => Some(request),
        other => panic!("{request:?} is written as {other:?}"),
    }
}

fn read(portions: &[&[u8]]) -> (Vec<Incoming>, Option<Fault>) {
    let (mut parser, mut buffer, mut messages) = (Parser::default(), BytesMut::new(), vec![]);
    for portion in portions {
        buffer.extend_from_slice(portion);
        loop {
            match parser.next(&mut buffer) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(fault) => return (messages, Some(fault)),
            }
        }
        assert!(buffer.len() <= MAX_REQUEST, "{} bytes are held", buffer.len());
    }
    (messages, None)
}
