//! [`Frame`]: a picture in a stream, encoded and laid out once for all outputs.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::Instant;

use super::{Picture, Raster, in_pool};
use crate::error::{Code, Error, Result};

/// The multipart boundary of mjpg-streamer and ustreamer. Some computer-vision programs search for this very text.
pub const BOUNDARY: &str = "boundarydonotcross";

/// The beginning of a multipart body, before its first [`Frame::part`].
pub const PREAMBLE: &[u8] = b"--boundarydonotcross\r\n";

/// The beginning of a multipart body, before its first [`Frame::part_with_next_head`].
pub const PREAMBLE_WITH_HEAD: &[u8] = b"--boundarydonotcross\r\nContent-Type: image/jpeg\r\n\r\n";

/// The end of the year 9999, as time since 1970. RFC 3339 and HTTP dates cannot express a later time, and the
/// latter none before 1970; cameras and file systems have such times.
const LATEST_TIME: Duration = Duration::from_secs(253_402_300_799);

/// A frame that many holders share without copying it.
pub type SharedFrame = Arc<Frame>;

/// A decoded picture that becomes a JPEG when an output needs one: other sizes are made of its planes.
#[derive(Clone, Debug)]
pub struct RasterPicture {
    /// The planes.
    pub raster: Arc<Raster>,
    /// The JPEG, if it was made already.
    pub jpeg: Option<Bytes>,
    /// Quality of the JPEG, 1 to 100.
    pub quality: u8,
    /// When the picture was taken or, if that is unknown, received.
    pub captured_at: SystemTime,
}

/// A picture with its position in a stream. Immutable. Dropping the last reference returns its bytes to
/// [`FrameMemory`].
///
/// A frame of decoded video has planes, and no JPEG until an output needs it. Encoding takes milliseconds, so an async task calls
/// [`Frame::encode`] first; [`Watch::next`](crate::stream::Watch::next) does it for each watcher of JPEGs.
pub struct Frame {
    /// Position in the stream, from 1; 0 for a generated "waiting" picture.
    pub seq: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// When the picture was taken or received: a time from 1970 to 9999.
    pub captured_at: SystemTime,
    /// When the picture arrived, by the clock of this machine.
    pub received_at: Instant,
    /// Whether this is a generated "waiting" picture.
    pub placeholder: bool,
    raster: Option<Arc<Raster>>,
    quality: u8,
    laid_out: OnceLock<LaidOut>,
    digest: OnceLock<u64>,
    _reserved: Reserved,
}

/// A JPEG with the lines of `multipart/x-mixed-replace` before and after it.
struct LaidOut {
    /// `HEAD JPEG BOUNDARY NEXT-HEAD`, of which each form of part is a slice.
    bytes: Bytes,
    jpeg: Range<usize>,
    /// End of the boundary line.
    part_end: usize,
}

impl Frame {
    /// Lays the picture out with the lines of `multipart/x-mixed-replace` before and after it.
    pub fn new(picture: &Picture, seq: u64, placeholder: bool, reserved: Reserved) -> Self {
        let captured_at = within_dates(picture.captured_at);
        Frame {
            seq,
            width: picture.width,
            height: picture.height,
            captured_at,
            received_at: Instant::now(),
            placeholder,
            raster: None,
            quality: 0,
            laid_out: LaidOut::new(&picture.jpeg, captured_at, placeholder).into(),
            digest: OnceLock::new(),
            _reserved: reserved,
        }
    }

    /// A frame of a decoded picture.
    pub fn of_raster(picture: &RasterPicture, seq: u64, reserved: Reserved) -> Self {
        let captured_at = within_dates(picture.captured_at);
        let laid_out = picture.jpeg.as_ref().map(|jpeg| LaidOut::new(jpeg, captured_at, false));
        Frame {
            seq,
            width: picture.raster.width(),
            height: picture.raster.height(),
            captured_at,
            received_at: Instant::now(),
            placeholder: false,
            raster: Some(picture.raster.clone()),
            quality: picture.quality,
            laid_out: laid_out.map_or_else(OnceLock::new, OnceLock::from),
            digest: OnceLock::new(),
            _reserved: reserved,
        }
    }

    /// The planes, if the picture was decoded here.
    pub fn raster(&self) -> Option<&Arc<Raster>> {
        self.raster.as_ref()
    }

    /// Whether the JPEG exists.
    pub fn is_encoded(&self) -> bool {
        self.laid_out.get().is_some()
    }

    /// Makes the JPEG in the pool for pictures, if there is none. Cancel-safe.
    pub async fn encode(self: &Arc<Self>) {
        if !self.is_encoded() {
            let frame = self.clone();
            // A failure of the pool leaves the work to the first reader of the JPEG.
            let _ = in_pool(move || {
                frame.laid_out();
                Ok(())
            })
            .await;
        }
    }

    #[expect(clippy::expect_used, reason = "a frame has a JPEG or planes, and planes of a valid size can be encoded")]
    fn laid_out(&self) -> &LaidOut {
        self.laid_out.get_or_init(|| {
            let raster = self.raster.as_ref().expect("a frame without planes has a JPEG");
            let jpeg = raster.to_jpeg(self.quality).expect("planes can be encoded");
            LaidOut::new(&jpeg, self.captured_at, self.placeholder)
        })
    }

    /// The time of capture in seconds since 1970 with six decimals, as in `X-Timestamp`.
    pub fn timestamp(&self) -> String {
        let since_epoch = self.captured_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{}.{:06}", since_epoch.as_secs(), since_epoch.subsec_micros())
    }

    /// The encoded picture. Shares the frame's memory.
    pub fn jpeg(&self) -> Bytes {
        let laid_out = self.laid_out();
        laid_out.bytes.slice(laid_out.jpeg.clone())
    }

    /// Bytes of the encoded picture.
    pub fn size(&self) -> usize {
        self.laid_out().jpeg.len()
    }

    /// Bytes of the encoded picture; 0 if it is not encoded yet.
    pub fn encoded_size(&self) -> usize {
        self.laid_out.get().map_or(0, |laid_out| laid_out.jpeg.len())
    }

    /// Bytes that the picture takes in memory.
    pub fn held_bytes(&self) -> usize {
        self.encoded_size() + self.raster.as_ref().map_or(0, |raster| raster.bytes())
    }

    /// The multipart part: headers, picture, and the boundary line that ends the part. Shares the frame's memory.
    pub fn part(&self) -> Bytes {
        let laid_out = self.laid_out();
        laid_out.bytes.slice(..laid_out.part_end)
    }

    /// The picture, the boundary line and the head of the next part, which cannot contain a length yet. Chromium
    /// shows a picture only after it has read the head of the next part (crbug.com/527446). ustreamer calls this
    /// form `advance_headers`. Shares the frame's memory.
    pub fn part_with_next_head(&self) -> Bytes {
        let laid_out = self.laid_out();
        laid_out.bytes.slice(laid_out.jpeg.start..)
    }

    /// A hash of the picture (XXH3, 64 bits): of its planes if it has any, or of the JPEG. Computed at the first call. For
    /// entity tags and for detecting identical pictures. An attacker can make two pictures with the same hash, so nothing
    /// that matters for security uses it.
    pub fn digest(&self) -> u64 {
        *self.digest.get_or_init(|| match &self.raster {
            Some(raster) => raster.digest(),
            None => xxhash_rust::xxh3::xxh3_64(&self.jpeg()),
        })
    }
}

/// Moves a time into the range of dates.
fn within_dates(at: SystemTime) -> SystemTime {
    at.clamp(UNIX_EPOCH, UNIX_EPOCH + LATEST_TIME)
}

impl LaidOut {
    fn new(picture: &Bytes, captured_at: SystemTime, placeholder: bool) -> Self {
        let since_epoch = captured_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let head = format!(
            "Content-Type: image/jpeg\r\nContent-Length: {}\r\nX-Timestamp: {}.{:06}\r\n{}\r\n",
            picture.len(),
            since_epoch.as_secs(),
            since_epoch.subsec_micros(),
            if placeholder { "X-Mtx-Placeholder: waiting\r\n" } else { "" },
        );
        // The boundary of the next part follows at once. A reader that takes it as the end of the part would
        // otherwise be one picture late, and would wait for ever for the end of a still.
        let boundary = b"\r\n--boundarydonotcross\r\n";
        let next_head = b"Content-Type: image/jpeg\r\n\r\n";
        let jpeg = head.len()..head.len() + picture.len();
        let part_end = jpeg.end + boundary.len();
        let mut laid_out = BytesMut::with_capacity(part_end + next_head.len());
        laid_out.put_slice(head.as_bytes());
        laid_out.put_slice(picture);
        laid_out.put_slice(boundary);
        laid_out.put_slice(next_head);
        LaidOut { bytes: laid_out.freeze(), jpeg, part_end }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame #{} {}×{} {} bytes", self.seq, self.width, self.height, self.encoded_size())
    }
}

/// A limit on the memory of all frames together: the latest pictures of the streams, and older ones that slow
/// watchers still send. An atomic counter and not a semaphore, because it counts bytes on each frame's way: tokio's
/// `Semaphore` takes at most 2³² permits at once and takes a lock when permits are returned.
#[derive(Debug)]
pub struct FrameMemory {
    limit: usize,
    used: AtomicUsize,
}

/// Bytes of [`FrameMemory`], returned on drop.
#[derive(Debug, Default)]
pub struct Reserved {
    bytes: usize,
    memory: Option<Arc<FrameMemory>>,
}

impl FrameMemory {
    /// A limit of this many bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(FrameMemory { limit, used: AtomicUsize::new(0) })
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Most bytes in use.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Reserves bytes. Fails if the limit does not allow them.
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

    #[tokio::test]
    async fn planes_become_a_jpeg_when_it_is_needed() {
        let raster = Arc::new(Raster::filled(33, 17, [81, 90, 240]));
        let picture = RasterPicture { raster, jpeg: None, quality: 90, captured_at: UNIX_EPOCH };
        let frame = Arc::new(Frame::of_raster(&picture, 3, Reserved::default()));
        let digest = frame.digest();
        assert_eq!((frame.encoded_size(), frame.is_encoded()), (0, false), "neither a size nor a digest needs a JPEG");
        frame.encode().await;
        assert!(frame.is_encoded() && frame.encoded_size() == frame.jpeg().len());
        let (width, height, _) = testing::pixels(&frame.jpeg());
        assert_eq!((width, height, frame.width, frame.height), (33, 17, 33, 17));
        assert!(frame.part().ends_with(b"--boundarydonotcross\r\n"));
        assert_eq!((frame.digest(), frame.held_bytes()), (digest, frame.encoded_size() + 34 * 18 * 3 / 2));
    }

    #[test]
    fn a_time_that_no_date_format_has_is_moved_into_the_range_of_dates() {
        for (at, text) in [
            (UNIX_EPOCH - Duration::from_secs(1), "0.000000"),
            (UNIX_EPOCH + Duration::from_secs(999_999_999_999), "253402300799.000000"),
        ] {
            let picture = Picture { jpeg: Bytes::new(), width: 1, height: 1, captured_at: at };
            let frame = Frame::new(&picture, 1, false, Reserved::default());
            assert_eq!(frame.timestamp(), text);
            // Both panic for a time outside their range.
            assert!(!humantime::format_rfc3339_millis(frame.captured_at).to_string().is_empty());
            assert!(!actix_web::http::header::HttpDate::from(frame.captured_at).to_string().is_empty());
        }
    }

    #[test]
    fn dropped_reservations_free_their_memory() {
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
