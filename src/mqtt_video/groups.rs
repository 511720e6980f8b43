//! [`Groups`]: a video in messages as the seed's page takes them.
//!
//! The page appends each message to a `SourceBuffer`. It has two faults that a server must respect. A message that comes while the
//! `MediaSource` is not open yet ends its connection, so that the first one waits. And a message that comes while another is being
//! appended can be appended in the wrong place, so that messages keep a distance, and each is one or more whole groups, a group
//! being a keyframe and what follows it: a group in the wrong place is shown late, and not as garbage.

use bytes::{Bytes, BytesMut};
use tokio::time::{Duration, Instant, sleep_until};

use crate::{output::fmp4::Feed, stream::Ended};

/// The first message comes no earlier after the request: the page opens its `MediaSource` meanwhile.
pub(super) const FIRST: Duration = Duration::from_millis(700);

/// Groups that are shorter share a message, besides the first. Cameras have keyframes each second or more rarely.
const SHORTEST: Duration = Duration::from_millis(900);

/// The distance of two messages: to append one takes a few milliseconds.
const DISTANCE: Duration = Duration::from_millis(150);

/// A frame that no message has room for.
const TOO_LARGE: Ended = Ended("a frame of the video is larger than a message can be");

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Fragments, with the init segment before the first one.
    pub(super) data: Bytes,
    /// Whether it begins with a keyframe. The rest of a group that is larger than a message does not.
    pub(super) is_begin: bool,
}

/// The messages of one client.
pub(super) struct Groups {
    feed: Feed,
    /// Most bytes of a message.
    limit: usize,
    /// Whether the client has the init segment.
    has_init: bool,
    /// What will be the next message, whether it begins with a keyframe, and when it began.
    gathered: (BytesMut, bool, Instant),
    /// A message that waits for its time.
    ready: Option<Group>,
    not_before: Instant,
    ended: Option<Ended>,
}

impl Groups {
    /// Messages of at most `limit` bytes, the first one not before this time.
    pub(super) fn new(feed: Feed, limit: usize, not_before: Instant) -> Self {
        Groups {
            feed,
            limit,
            has_init: false,
            gathered: (BytesMut::new(), false, Instant::now()),
            ready: None,
            not_before,
            ended: None,
        }
    }

    /// The next message; or why there is none any longer. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Group, Ended> {
        loop {
            if let Some(group) = &self.ready {
                sleep_until(self.not_before).await;
                let group = group.clone();
                self.ready = None;
                if let Some(group) = self.with_init(group) {
                    self.not_before = Instant::now() + DISTANCE;
                    return Ok(group);
                }
            }
            if let Some(why) = &self.ended {
                return Err(why.clone());
            }
            self.gather().await;
        }
    }

    /// Takes the next fragment.
    async fn gather(&mut self) {
        let piece = match self.feed.next().await {
            Ok(piece) => piece,
            Err(why) => {
                self.ended = Some(why);
                self.cut(false);
                return;
            }
        };
        if piece.size() + self.feed.init().len() > self.limit {
            self.ended = Some(TOO_LARGE);
            return;
        }
        let (gathered, is_begin, since) = &self.gathered;
        // The rest of a group goes alone, so that the next message is a begin.
        let is_long = !self.has_init || !is_begin || since.elapsed() >= SHORTEST;
        // A message has room for the init segment in any case: the client may not have got the first one.
        let is_full = gathered.len() + piece.size() + self.feed.init().len() > self.limit;
        if piece.is_keyframe && is_long || is_full {
            self.cut(piece.is_keyframe);
        } else if gathered.is_empty() {
            self.gathered = (BytesMut::new(), piece.is_keyframe, Instant::now());
        }
        self.gathered.0.extend_from_slice(&piece.head);
        self.gathered.0.extend_from_slice(&piece.data);
    }

    /// Makes a message of what was gathered, and begins the next one.
    fn cut(&mut self, next_is_begin: bool) {
        let next = (BytesMut::new(), next_is_begin, Instant::now());
        let (data, is_begin, _) = std::mem::replace(&mut self.gathered, next);
        if !data.is_empty() {
            self.ready = Some(Group { data: data.freeze(), is_begin });
        }
    }

    /// The message with the init segment, if the client has none. The rest of a group is of no use to it then.
    fn with_init(&mut self, group: Group) -> Option<Group> {
        if self.has_init {
            return Some(group);
        }
        self.has_init = group.is_begin;
        let data = [self.feed.init(), group.data].concat().into();
        group.is_begin.then_some(Group { data, is_begin: true })
    }

    /// The client did not get the last message: it begins anew with the next group.
    pub(super) fn was_lost(&mut self) {
        self.has_init = false;
    }

    /// Frames that were left out because the client is slow.
    pub(super) fn dropped(&self) -> u64 {
        self.feed.dropped()
    }
}

#[cfg(test)]
pub(super) use tests::Script;

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::{
        fmp4::{Track, Tracks, Video},
        output::fmp4::{Coded, Frame},
        stream::framed,
    };

    /// A source of frames: the milliseconds before each, whether it is a keyframe, and its bytes.
    pub(in crate::mqtt_video) struct Script(pub Vec<(u64, bool, usize)>, Tracks, u64);

    impl Script {
        pub(in crate::mqtt_video) fn feed(frames: &[(u64, bool, usize)]) -> Feed {
            // Of x264's baseline profile, 320 x 180 pixels.
            let sps = b"\x67\x42\xc0\x0b\xd9\x01\x41\x9f\x9f\x01\x10\0\0\x03\0\x10\0\0\x03\x01\x40\xf1\x42\xa4\x80";
            let (sps, pps) = (Bytes::from_static(sps), Bytes::from_static(b"\x68\xcb\x83\xcb\x20"));
            let video = Video::h264(&sps, &pps).expect("parameter sets");
            let frames = frames.iter().rev().copied().collect();
            Feed::new(Box::new(Script(frames, Tracks { video, audio: None }, 0)))
        }
    }

    impl Coded for Script {
        fn tracks(&self) -> &Tracks {
            &self.1
        }

        fn next(&mut self) -> BoxFuture<'_, Result<Frame, Ended>> {
            Box::pin(async {
                let (pause, is_sync, size) = *self.0.last().ok_or(Ended("the script is over"))?;
                tokio::time::sleep(Duration::from_millis(pause)).await;
                self.0.pop();
                self.2 += pause * 90;
                let data = framed(&[Bytes::from(vec![0x65; size])]);
                Ok(Frame { track: Track::Video, is_sync, is_repeated: false, at: self.2, offset: None, data })
            })
        }

        fn dropped(&self) -> u64 {
            0
        }
    }

    /// A group of this many frames, `pause` milliseconds apart.
    fn group(frames: usize, pause: u64) -> Vec<(u64, bool, usize)> {
        (0..frames).map(|n| (pause, n == 0, 100)).collect()
    }

    /// The messages: when each came, how many fragments it has, whether it has an init segment, and whether it is a begin.
    async fn messages(frames: &[(u64, bool, usize)], limit: usize) -> (Vec<(u64, usize, bool, bool)>, Ended) {
        let began = Instant::now();
        let mut groups = Groups::new(Script::feed(frames), limit, began + FIRST);
        let mut out = vec![];
        loop {
            match groups.next().await {
                Ok(Group { data, is_begin }) => {
                    let count = |what: &[u8]| memchr::memmem::find_iter(&data, what).count();
                    let at = u64::try_from(began.elapsed().as_millis()).expect("short");
                    assert!(data.len() <= limit);
                    out.push((at, count(b"moof"), count(b"ftyp") == 1, is_begin));
                }
                Err(why) => return (out, why),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_message_is_a_whole_group_and_the_first_has_the_init_segment() {
        let frames = [group(10, 100), group(10, 100), group(10, 100)].concat();
        let (messages, why) = messages(&frames, 1 << 20).await;
        assert_eq!(messages, [(1100, 10, true, true), (2100, 10, false, true), (3000, 10, false, true)]);
        assert_eq!(why, Ended("the script is over"), "what was gathered is sent before the end");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_message_waits_for_the_page_and_short_groups_share_a_message() {
        // A camera whose first group is known already; then stills with a keyframe each 300 ms.
        let frames = [group(20, 0), group(3, 100), group(3, 100), group(3, 100), group(3, 100), group(1, 100)].concat();
        let (messages, _) = messages(&frames, 1 << 20).await;
        assert_eq!(messages[0], (700, 20, true, true), "{messages:?}");
        // The second one was gathered from 100 ms on, the last one is what was left.
        assert_eq!(messages[1..], [(1000, 3, false, true), (1900, 9, false, true), (2050, 1, false, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_is_larger_than_a_message_is_sent_in_parts() {
        let frames = [group(20, 100), group(20, 100)].concat();
        let (messages, _) = messages(&frames, 2500).await;
        assert!(messages.len() > 2 && messages.iter().filter(|message| message.3).count() == 2, "{messages:?}");
        assert_eq!(messages.iter().filter(|message| message.2).count(), 1);
        assert_eq!(messages.iter().map(|message| message.1).sum::<usize>(), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_is_larger_than_a_message_ends_the_video() {
        let (messages, why) = messages(&[(0, true, 100), (100, false, 5000)], 3000).await;
        assert_eq!((messages.len(), why), (0, TOO_LARGE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_lost_a_message_begins_anew_with_a_group() {
        let frames = [group(20, 100), group(20, 100), group(20, 100)].concat();
        let mut groups = Groups::new(Script::feed(&frames), 2500, Instant::now());
        assert!(groups.next().await.expect("goes on").is_begin);
        groups.was_lost();
        let next = groups.next().await.expect("goes on");
        assert!(next.is_begin && next.data.windows(4).any(|word| word == b"ftyp"), "the rest of the group is left out");
    }
}
