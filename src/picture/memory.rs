//! The memory of conversions: the bytes that a conversion needs are estimated before it begins, and all conversions
//! together stay below `limits.conversion_memory`.
//!
//! A file of half a megabyte can be a picture whose pixels take half a gigabyte. A bound on the number of conversions is no
//! bound on their memory.

use std::sync::LazyLock;

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Duration, timeout},
};

use turbojpeg::Subsamp;

use super::{
    PictureLimits, in_pool,
    jpeg::{Coding, Header},
};
use crate::{
    error::{Code, Error, Result},
    units::Size,
};

/// How long a conversion waits for memory. A client gives up at about this time.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The memory that conversions hold at the moment.
#[derive(Debug, Default)]
struct Memory {
    /// Those who wait, in order: a large conversion is not overtaken for ever by small ones.
    queue: tokio::sync::Mutex<()>,
    used: Mutex<u64>,
    freed: Notify,
}

static MEMORY: LazyLock<Memory> = LazyLock::new(Memory::default);

/// Memory that is held until this value is dropped.
#[derive(Debug)]
pub struct Held<'a> {
    memory: &'a Memory,
    bytes: u64,
}

impl Memory {
    /// Waits until `bytes` more fit below `limit`.
    async fn hold(&self, bytes: u64, limit: Size) -> Result<Held<'_>> {
        if bytes > limit.0 {
            let needed = bytes.div_ceil(1 << 20);
            let message = format!(
                "working on the picture needs some {needed} MiB of memory, more than {limit} (limits.conversion_memory)"
            );
            return Err(Error::new(Code::FrameTooLarge, message));
        }
        if bytes == 0 {
            return Ok(Held { memory: self, bytes });
        }
        let wait = async {
            let _turn = self.queue.lock().await;
            loop {
                let freed = self.freed.notified();
                {
                    let mut used = self.used.lock();
                    if *used + bytes <= limit.0 {
                        *used += bytes;
                        return;
                    }
                }
                freed.await;
            }
        };
        let busy = |_| {
            let message = "other pictures fill the memory for conversions (limits.conversion_memory); retry later";
            Error::new(Code::Unavailable, message)
        };
        timeout(LONGEST_WAIT, wait).await.map_err(busy)?;
        Ok(Held { memory: self, bytes })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.memory.used.lock() -= self.bytes;
        // One waiter at most holds the turn. A permit for none is kept for the next one, which looks first.
        self.memory.freed.notify_one();
    }
}

/// Waits for the memory of work on a picture. The result is held until the work ends. Cancel-safe.
pub async fn hold_memory(bytes: u64, limits: &PictureLimits) -> Result<Held<'static>> {
    MEMORY.hold(bytes, limits.conversion_memory).await
}

/// As [`in_pool`], for work that needs about `bytes` of memory. Work that needs more than `limits.conversion_memory` is
/// refused; other work waits until the memory is free. Cancel-safe.
pub async fn in_pool_with<T: Send + 'static>(
    bytes: u64,
    limits: &PictureLimits,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let held = hold_memory(bytes, limits).await?;
    in_pool(move || {
        let _held = held;
        work()
    })
    .await
}

/// The memory for turning, scaling or decoding a JPEG, at most. libjpeg-turbo holds all coefficients, two bytes each, of a
/// picture of several scans, and those of source and result when it moves blocks. Pixels take three bytes, and three more
/// while they are turned.
pub(super) fn of_jpeg(data: &[u8], header: &Header) -> u64 {
    let pixels = u64::from(header.width) * u64::from(header.height);
    let coefficients = 2 * pixels * halves(data, header) / 2;
    // The length of the marker segment and then the number of components (T.81, B.2.3).
    let in_first_scan = data.get(header.scan_at.saturating_add(4)).copied();
    let is_one_scan = header.coding == Coding::Sequential && in_first_scan == Some(header.components);
    let decoding = if is_one_scan { 0 } else { coefficients };
    (2 * coefficients).max(decoding + 6 * pixels)
}

/// Samples for each two pixels.
fn halves(data: &[u8], header: &Header) -> u64 {
    match turbojpeg::read_header(data).map(|header| header.subsamp) {
        Ok(Subsamp::Gray) => 2,
        Ok(Subsamp::Sub2x2 | Subsamp::Sub4x1 | Subsamp::Sub1x4) => 3,
        Ok(Subsamp::Sub2x1 | Subsamp::Sub1x2) => 4,
        _ => 2 * u64::from(header.components.max(3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Size = Size(100);

    #[tokio::test]
    async fn conversions_wait_in_order_until_their_memory_is_free() {
        let memory = Memory::default();
        let first = memory.hold(60, LIMIT).await.expect("fits");
        let second = memory.hold(40, LIMIT).await.expect("fits beside it");
        let mut large = Box::pin(memory.hold(100, LIMIT));
        let mut small = Box::pin(memory.hold(1, LIMIT));
        for waiting in [&mut large, &mut small] {
            assert!(futures_util::poll!(waiting).is_pending(), "all memory is in use");
        }
        drop(first);
        for waiting in [&mut large, &mut small] {
            assert!(futures_util::poll!(waiting).is_pending(), "the small one does not overtake the large one");
        }
        drop(second);
        let large = large.await.expect("fits now");
        assert!(futures_util::poll!(&mut small).is_pending());
        drop(large);
        drop(small.await.expect("its turn comes"));
        assert_eq!(*memory.used.lock(), 0);
    }

    #[tokio::test]
    async fn what_never_fits_is_refused_and_a_caller_that_leaves_frees_its_turn() {
        let memory = Memory::default();
        let error = memory.hold(101, LIMIT).await.expect_err("refused");
        assert_eq!(error.code(), Code::FrameTooLarge);
        assert!(error.to_string().contains("limits.conversion_memory"), "{error}");
        let held = memory.hold(100, LIMIT).await.expect("fits");
        let mut leaves = Box::pin(memory.hold(50, LIMIT));
        assert!(futures_util::poll!(&mut leaves).is_pending());
        drop(leaves);
        drop(held);
        memory.hold(100, LIMIT).await.expect("the queue is free");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_memory_has_an_end() {
        let memory = Memory::default();
        let _held = memory.hold(100, LIMIT).await.expect("fits");
        assert_eq!(memory.hold(1, LIMIT).await.expect_err("too late").code(), Code::Unavailable);
    }
}
