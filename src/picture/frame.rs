//! [`Frame`]: a picture in a stream, laid out once for everybody who will send it.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::Instant;

use super::Picture;
use crate::error::{Code, Error, Result};

/// The multipart boundary of mjpg-streamer and ustreamer; some computer-vision code looks for it
/// literally.
pub const BOUNDARY: &str = "boundarydonotcross";

/// What a multipart body begins with, before its first [`Frame::part`].
pub const PREAMBLE: &[u8] = b"--boundarydonotcross\r\n";

/// What a multipart body begins with, before its first [`Frame::part_with_next_head`].
pub const PREAMBLE_WITH_HEAD: &[u8] = b"--boundarydonotcross\r\nContent-Type: image/jpeg\r\n\r\n";

/// A frame that everybody shares and nobody copies.
pub type SharedFrame = Arc<Frame>;

/// One picture with its place in a stream. Immutable; dropped with its last holder, which also
/// gives its bytes back to [`FrameMemory`].
pub struct Frame {
    /// Position in the stream, from 1; 0 for a generated "waiting" picture.
    pub seq: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// When it was taken or received.
    pub captured_at: SystemTime,
    /// When it came to us, whatever the camera's clock says.
    pub received_at: Instant,
    /// Set on a picture that we drew because there is none yet.
    pub placeholder: bool,
    /// `HEAD JPEG BOUNDARY NEXT-HEAD`, of which each form of part is a slice.
    laid_out: Bytes,
    jpeg: Range<usize>,
    /// Where the boundary line ends.
    part_end: usize,
    digest: OnceLock<u64>,
    _reserved: Reserved,
}

impl Frame {
    /// Lays the picture out between the lines that `multipart/x-mixed-replace` wants around it.
    pub fn new(picture: &Picture, seq: u64, placeholder: bool, reserved: Reserved) -> Self {
        let since_epoch = picture.captured_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let head = format!(
            "Content-Type: image/jpeg\r\nContent-Length: {}\r\nX-Timestamp: {}.{:06}\r\n{}\r\n",
            picture.jpeg.len(),
            since_epoch.as_secs(),
            since_epoch.subsec_micros(),
            if placeholder { "X-Mtx-Placeholder: waiting\r\n" } else { "" },
        );
        // The boundary of the next part follows at once: readers that look for it to know where a
        // part ends would otherwise be one picture late, which for a still is for ever.
        let boundary = b"\r\n--boundarydonotcross\r\n";
        let next_head = b"Content-Type: image/jpeg\r\n\r\n";
        let jpeg = head.len()..head.len() + picture.jpeg.len();
        let part_end = jpeg.end + boundary.len();
        let mut laid_out = BytesMut::with_capacity(part_end + next_head.len());
        laid_out.put_slice(head.as_bytes());
        laid_out.put_slice(&picture.jpeg);
        laid_out.put_slice(boundary);
        laid_out.put_slice(next_head);
        Frame {
            seq,
            width: picture.width,
            height: picture.height,
            captured_at: picture.captured_at,
            received_at: Instant::now(),
            placeholder,
            jpeg,
            part_end,
            laid_out: laid_out.freeze(),
            digest: OnceLock::new(),
            _reserved: reserved,
        }
    }

    /// When it was taken or received, in seconds since 1970 with six decimals, as `X-Timestamp` has it.
    pub fn timestamp(&self) -> String {
        let since_epoch = self.captured_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{}.{:06}", since_epoch.as_secs(), since_epoch.subsec_micros())
    }

    /// The encoded picture. Shares the frame's memory.
    pub fn jpeg(&self) -> Bytes {
        self.laid_out.slice(self.jpeg.clone())
    }

    /// Bytes of the encoded picture.
    pub fn size(&self) -> usize {
        self.jpeg.len()
    }

    /// The whole multipart part: headers, picture, and the boundary line that ends it. Shares the
    /// frame's memory.
    pub fn part(&self) -> Bytes {
        self.laid_out.slice(..self.part_end)
    }

    /// The picture, the boundary line, and already the head of the next part, which therefore cannot
    /// tell its length. Chromium shows a picture only when it has read the next part's head
    /// (crbug.com/527446); ustreamer calls this form `advance_headers`. Shares the frame's memory.
    pub fn part_with_next_head(&self) -> Bytes {
        self.laid_out.slice(self.jpeg.start..)
    }

    /// A hash of the encoded picture (XXH3, 64 bits), computed when first asked for. For entity tags
    /// and for noticing that nothing changed; not for anything an attacker gains by colliding.
    pub fn digest(&self) -> u64 {
        *self.digest.get_or_init(|| xxhash_rust::xxh3::xxh3_64(&self.laid_out[self.jpeg.clone()]))
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame #{} {}×{} {} bytes", self.seq, self.width, self.height, self.size())
    }
}

/// The memory that all frames together may take, whoever still holds them: the streams' latest
/// pictures and the older ones that slow watchers are still sending.
#[derive(Debug)]
pub struct FrameMemory {
    limit: usize,
    used: AtomicUsize,
}

/// A share of [`FrameMemory`], given back on drop.
#[derive(Debug, Default)]
pub struct Reserved {
    bytes: usize,
    memory: Option<Arc<FrameMemory>>,
}

impl FrameMemory {
    /// Memory for so many bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(FrameMemory { limit, used: AtomicUsize::new(0) })
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be in use.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a share, or says that there is no room for it.
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Reserved> {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.limit)
            })
            .map(|_| Reserved { bytes, memory: Some(self.clone()) })
            .map_err(|used| {
                Error::new(
                    Code::FrameMemory,
                    format!(
                        "held pictures take {used} bytes and this one {bytes} more, beyond {} (limits.frame_memory)",
                        self.limit
                    ),
                )
            })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::picture::testing;

    #[test]
    fn a_part_is_complete_and_closed_by_the_next_boundary() {
        let jpeg = Bytes::from(testing::photo(16, 16));
        let at = UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_250);
        let picture = Picture { jpeg: jpeg.clone(), width: 16, height: 16, captured_at: at };
        let frame = Frame::new(&picture, 7, false, Reserved::default());
        let expected = [
            format!(
                "Content-Type: image/jpeg\r\nContent-Length: {}\r\nX-Timestamp: 1700000000.000250\r\n\r\n",
                jpeg.len()
            )
            .as_bytes(),
            &jpeg,
            format!("\r\n--{BOUNDARY}\r\n").as_bytes(),
        ]
        .concat();
        assert_eq!(frame.part(), expected);
        assert_eq!(frame.jpeg(), jpeg);
        assert_eq!(PREAMBLE, format!("--{BOUNDARY}\r\n").as_bytes());
        let next_head = b"Content-Type: image/jpeg\r\n\r\n";
        let advanced = [&jpeg[..], b"\r\n", PREAMBLE, next_head].concat();
        assert_eq!(frame.part_with_next_head(), advanced);
        assert_eq!(PREAMBLE_WITH_HEAD, [PREAMBLE, next_head].concat());
        let marked = Frame::new(&picture, 0, true, Reserved::default());
        assert!(String::from_utf8_lossy(&marked.part()).contains("X-Mtx-Placeholder: waiting\r\n\r\n"));
        assert_eq!(marked.digest(), frame.digest());
    }

    #[test]
    fn memory_is_given_back_with_the_last_holder() {
        let memory = FrameMemory::new(100);
        let first = memory.reserve(60).expect("room");
        assert_eq!(memory.reserve(41).expect_err("full").code(), Code::FrameMemory);
        let second = memory.reserve(40).expect("exactly full");
        drop(first);
        assert_eq!(memory.used(), 40);
        drop(second);
        assert_eq!(memory.used(), 0);
    }
}
