//! Properties of reading requests.

use super::*;
use crate::portions;

/// Messages and the fault that ends them do not depend on how the bytes arrive, the parser leaves at most one request unread, and a
/// request that is written again is read as the same.
pub(crate) fn hold(data: &[u8]) {
    let (messages, fault) = read(&[data]);
    for arrival in portions::ways(data) {
        let (others, other) = read(&arrival);
        assert_eq!(messages, others, "the messages depend on the portions");
        assert_eq!(fault, other, "the fault depends on the portions");
    }
    for message in messages {
        let Incoming::Request(request) = message else { continue };
        let mut again = vec![];
        request.write(&mut again).expect("writes to memory");
        if again.len() <= MAX_REQUEST {
            assert_eq!(
                read(&[&again]),
                (vec![Incoming::Request(request)], None),
                "a request changes when it is written"
            );
        }
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
