//! Properties of the reader of what a broker sends.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock},
};

use parking_lot::Mutex;
use tokio::io::AsyncReadExt;

use super::{
    super::{connection::payloads, topic as topics},
    *,
};
use crate::portions;

/// Small enough for inputs of a few hundred bytes to reach it.
const LIMIT: usize = 60;

/// A socket from which these portions arrive.
struct Arriving(VecDeque<Vec<u8>>);

impl AsyncRead for Arriving {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while let Some(mut portion) = self.0.pop_front() {
            let later = portion.split_off(portion.len().min(to.remaining()));
            to.put_slice(&portion);
            if !later.is_empty() {
                self.0.push_front(later);
            }
            if !portion.is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Arriving {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What comes through these portions, and the topics and sizes of the messages that are left out.
async fn through(portions: Vec<&[u8]>) -> (Vec<u8>, Vec<(String, usize)>) {
    let left_out = Arc::<Mutex<Vec<_>>>::default();
    let report = left_out.clone();
    let report = Box::new(move |topic: &str, bytes| report.lock().push((topic.to_owned(), bytes)));
    let socket = Arriving(portions.into_iter().map(<[u8]>::to_vec).collect());
    let mut passed = vec![];
    Sieve::new(Box::new(socket), LIMIT, report).read_to_end(&mut passed).await.expect("reads");
    let left_out = left_out.lock().clone();
    (passed, left_out)
}

/// A message of this topic and payload.
fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(topic.len()).expect("short").to_be_bytes();
    let rest = [&length[..], topic.as_bytes(), payload].concat();
    // A length in four bytes, of which the last ones can be zero (MQTT 3.1.1, section 2.2.3).
    let digit = |n: usize| u8::try_from((rest.len() >> (7 * n)) & 0x7f).expect("7 bits") | if n < 3 { 0x80 } else { 0 };
    [&[PUBLISH << 4, digit(0), digit(1), digit(2), digit(3)][..], &rest].concat()
}

/// What comes through does not depend on the portions of the bytes, is a part of them, and is read by the library; a message is left out exactly if it is
/// above the limit. Topics and filters of any text are compared.
pub(crate) fn hold(data: &[u8]) {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().expect("a runtime"));
    RUNTIME.block_on(async {
        let whole = through(vec![data]).await;
        for arrival in portions::ways(data) {
            assert_eq!(through(arrival).await, whole, "what comes through depends on the portions");
        }
        let (passed, left_out) = whole;
        assert!(passed.len() <= data.len(), "{} bytes of {}", passed.len(), data.len());
        assert!(left_out.iter().all(|(topic, bytes)| *bytes > LIMIT && topic.len() <= 3 * MAX_TOPIC), "{left_out:?}");
        // The library reads what comes through, and its own limit is never reached by a message.
        assert!(payloads(&passed, LIMIT).iter().all(|bytes| *bytes <= LIMIT));

        let (message, other) = (publish("cam/a", data), publish("cam/b", b"x"));
        let size = 2 + "cam/a".len() + data.len();
        let (passed, left_out) = through(vec![&[message.as_slice(), &other].concat()]).await;
        if size > LIMIT {
            assert_eq!((passed, left_out), (other, vec![("cam/a".to_owned(), size)]));
        } else {
            assert_eq!((passed, left_out), ([message, other].concat(), vec![]));
        }
    });
    let text = String::from_utf8_lossy(data);
    let (filter, topic) = text.split_once(' ').unwrap_or((&text, &text));
    let wild = topics::wild_levels(filter, topic);
    assert!(wild.iter().map(|level| level.len()).sum::<usize>() <= topic.len());
    if topics::check_name(filter).is_ok() {
        assert_eq!(topics::matches(filter, topic), filter == topic);
        assert!(topics::covers("#", filter) != filter.starts_with('$'));
    }
}
