//! [`Clocks`]: the RTP times of a session's tracks on the clock of this machine, so that picture and sound of one moment have one time.
//!
//! The RTP times of a track begin anywhere and wrap after 32 bits (RFC 3550, section 5.1). The first one is taken for the time of its
//! arrival. What two tracks have in common only their sender reports say (section 6.4.1): the same wall clock for both. Until there are
//! reports, or if they contradict the arrivals by far, sound is placed by its arrival.

use tokio::time::{Duration, Instant};

/// How far the RTP times of a track can lead away from the times of arrival before they are not believed. Servers send the pictures
/// since the last keyframe at once.
const MOST_OFF: Duration = Duration::from_secs(10);

/// How far sender reports can move the sound. Encoders of picture and sound differ by less; firmware has other clocks for both.
const MOST_MOVED: Duration = Duration::from_secs(2);

/// How far sound can be off its arrival, without reports, before it is moved; and how long is watched for it. Pictures arrive up to
/// some frames late, because they refer to each other.
const TOLERATED: Duration = Duration::from_millis(250);
const WATCHED: Duration = Duration::from_secs(5);

/// What a sender report says (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SenderReport {
    /// The sender's wall clock, in units of 2^-32 s.
    pub(super) wall: u64,
    /// The RTP time of the same moment.
    pub(super) timestamp: u32,
}

impl SenderReport {
    /// Reads a sender report out of a compound RTCP packet. None if there is none.
    pub(super) fn read(mut data: &[u8]) -> Option<Self> {
        loop {
            let head = data.get(..4)?;
            if head[0] >> 6 != 2 {
                return None;
            }
            let length = 4 * (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1);
            if head[1] == 200 {
                let number = |at: usize| Some(u32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?));
                let wall = u64::from(number(8)?) << 32 | u64::from(number(12)?);
                // Senders without a wall clock report 0.
                return (wall > 0).then_some(SenderReport { wall, timestamp: number(16)? });
            }
            data = data.get(length..)?;
        }
    }
}

/// One track.
#[derive(Debug)]
struct Clock {
    /// Ticks a second.
    rate: u32,
    /// The time of tick 0, and the number and RTP time of the last tick.
    base: Option<(Instant, i64, u32)>,
    report: Option<SenderReport>,
    /// By how much units were at least later than their time, in the watch that began then; negative if they came earlier.
    late: Option<(Instant, i128)>,
}

impl Clock {
    fn new(rate: u32) -> Self {
        Clock { rate: rate.max(1), base: None, report: None, late: None }
    }

    /// The time of a unit that arrived at `now`. True if the track begins anew.
    fn place(&mut self, timestamp: u32, now: Instant) -> (Instant, bool) {
        if let Some((base, ticks, last)) = self.base {
            let ticks = ticks + i64::from(timestamp.wrapping_sub(last).cast_signed());
            let at = moved(base, self.nanos(ticks));
            let off = since(now, at);
            if off.unsigned_abs() <= MOST_OFF.as_nanos() {
                self.base = Some((base, ticks, timestamp));
                let (begin, least) = self.late.unwrap_or((now, off));
                self.late = Some((begin, least.min(off)));
                return (at, false);
            }
        }
        (self.base, self.report, self.late) = (Some((now, 0, timestamp)), None, None);
        (now, true)
    }

    fn nanos(&self, ticks: i64) -> i128 {
        let (scaled, rate) = (i128::from(ticks) * 1_000_000_000, i128::from(self.rate));
        (scaled + rate / 2).div_euclid(rate)
    }

    /// The time of the last report.
    fn reported(&self) -> Option<(Instant, SenderReport)> {
        let ((base, ticks, last), report) = (self.base?, self.report?);
        let ticks = ticks + i64::from(report.timestamp.wrapping_sub(last).cast_signed());
        Some((moved(base, self.nanos(ticks)), report))
    }

    fn shift(&mut self, by: i128) {
        if let Some((base, ..)) = &mut self.base {
            *base = moved(*base, by);
        }
        self.late = None;
    }
}

/// `at`, moved by nanoseconds.
fn moved(at: Instant, by: i128) -> Instant {
    let span = Duration::from_nanos(u64::try_from(by.unsigned_abs()).unwrap_or(u64::MAX));
    if by < 0 { at.checked_sub(span) } else { at.checked_add(span) }.unwrap_or(at)
}

/// Nanoseconds from `then` to `now`; negative if `then` is later.
fn since(now: Instant, then: Instant) -> i128 {
    let nanos = |span: Duration| span.as_nanos().cast_signed();
    nanos(now.saturating_duration_since(then)) - nanos(then.saturating_duration_since(now))
}

/// The clocks of a session with video, and perhaps sound.
#[derive(Debug)]
pub(super) struct Clocks {
    video: Clock,
    sound: Option<Clock>,
}

impl Clocks {
    /// For tracks of these ticks a second.
    pub(super) fn new(video: u32, sound: Option<u32>) -> Self {
        Clocks { video: Clock::new(video), sound: sound.map(Clock::new) }
    }

    /// The time of a unit of video.
    pub(super) fn video(&mut self, timestamp: u32, now: Instant) -> Instant {
        let (at, is_new) = self.video.place(timestamp, now);
        if let (true, Some(sound)) = (is_new, &mut self.sound) {
            // Both begin anew, or the sound would stay where it was.
            *sound = Clock::new(sound.rate);
        }
        at
    }

    /// The time of a unit of sound.
    pub(super) fn sound(&mut self, timestamp: u32, now: Instant) -> Instant {
        let Some(sound) = &mut self.sound else { return now };
        let (at, _) = sound.place(timestamp, now);
        if !self.align() {
            self.compare(now);
        }
        at
    }

    /// Takes a report of the video, or of the sound.
    pub(super) fn report(&mut self, is_video: bool, report: SenderReport) {
        match &mut self.sound {
            _ if is_video => self.video.report = Some(report),
            Some(sound) => sound.report = Some(report),
            None => {}
        }
        self.align();
    }

    /// Moves the sound to where the reports have it; false if they do not say.
    fn align(&mut self) -> bool {
        let Some(sound) = &mut self.sound else { return false };
        let (Some((video_at, video)), Some((sound_at, sounds))) = (self.video.reported(), sound.reported()) else {
            return false;
        };
        let units = i128::from(sounds.wall) - i128::from(video.wall);
        let expected = moved(video_at, (units * 1_000_000_000) >> 32);
        let by = since(expected, sound_at);
        if by.unsigned_abs() > MOST_MOVED.as_nanos() {
            return false;
        }
        sound.shift(by);
        true
    }

    /// Without reports: moves the sound if it is later or earlier than the pictures that arrive with it.
    fn compare(&mut self, now: Instant) {
        let Some(sound) = &mut self.sound else { return };
        let (Some((video_since, video)), Some((sound_since, late))) = (self.video.late, sound.late) else { return };
        let is_due = |begin: Instant| now.saturating_duration_since(begin) >= WATCHED;
        if is_due(video_since) && is_due(sound_since) {
            self.video.late = None;
            let by = late - video;
            if by.unsigned_abs() > TOLERATED.as_nanos() {
                sound.shift(by);
            }
            sound.late = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn ms(from: Instant, at: Instant) -> i128 {
        (since(at, from) + 500_000).div_euclid(1_000_000)
    }

    fn report(wall_ms: u64, timestamp: u32) -> SenderReport {
        // A time of this century, and a fraction of a second.
        SenderReport { wall: (3_900_000_000_u64 << 32) + (wall_ms << 32) / 1000, timestamp }
    }

    #[test]
    fn a_sender_report_is_found_in_a_compound_packet() {
        let sender =
            [&[0x80, 200, 0, 6, 0, 0, 0, 9][..], &[0, 0, 1, 0, 0x80, 0, 0, 0], &[0, 0, 0, 7], &[0; 8]].concat();
        let expected = Some(SenderReport { wall: 0x100_8000_0000, timestamp: 7 });
        assert_eq!(SenderReport::read(&sender), expected);
        let receiver = [0x80, 201, 0, 1, 0, 0, 0, 0];
        assert_eq!(SenderReport::read(&[&receiver[..], &sender].concat()), expected);
        for other in [&receiver[..], &sender[..19], &[0x80, 202, 0xFF, 0xFF], &[0x40, 200, 0, 6], &[0x80, 200], &[]] {
            assert_eq!(SenderReport::read(other), None, "{other:x?}");
        }
        let mut without_clock = sender;
        without_clock[8..16].fill(0);
        assert_eq!(SenderReport::read(&without_clock), None);
    }

    #[test]
    fn times_go_on_where_the_numbers_wrap_and_the_clock_is_taken_where_they_jump() {
        let (mut clocks, begin) = (Clocks::new(90_000, None), Instant::now());
        let mut place = |timestamp: u32, after: u32| ms(begin, clocks.video(timestamp, begin + after * MS));
        assert_eq!(place(u32::MAX - 1799, 50), 50);
        assert_eq!(place(1800, 99), 90, "40 ms later by its numbers");
        assert_eq!(place(900, 130), 80, "a picture that is shown before the last one");
        assert_eq!(place(90_000 * 3, 200), 3070, "a burst");
        assert_eq!(place(2_000_000_000, 5000), 5000, "another beginning");
        assert_eq!(place(2_000_003_600, 5010), 5040);
    }

    #[test]
    fn reports_say_which_sound_belongs_to_which_picture() {
        let (mut clocks, begin) = (Clocks::new(90_000, Some(48_000)), Instant::now());
        clocks.video(1000, begin);
        // The sound of the same moment arrives 400 ms later.
        assert_eq!(ms(begin, clocks.sound(500, begin + 400 * MS)), 400);
        clocks.report(true, report(5000, 1000 + 90_000));
        clocks.report(false, report(5500, 500 + 48_000 + 24_000));
        assert_eq!(ms(begin, clocks.sound(500 + 48_000, begin + 1400 * MS)), 1000);
        // Its clock is slow by 100 ms after a minute.
        clocks.report(true, report(65_000, 1000 + 90_000 * 61));
        clocks.report(false, report(65_100, 500 + 48_000 * 61));
        clocks.video(1000 + 90_000 * 61, begin + 61_000 * MS);
        assert_eq!(ms(begin, clocks.sound(500 + 48_000 * 61, begin + 61_500 * MS)), 61_100);
        assert_eq!(ms(begin, clocks.sound(500 + 48_000 * 62, begin + 62_500 * MS)), 62_100);
        // Reports of two clocks that have nothing to do with each other.
        clocks.report(false, report(900_000, 500 + 48_000 * 62));
        assert_eq!(ms(begin, clocks.sound(500 + 48_000 * 63, begin + 63_500 * MS)), 63_100);
    }

    #[test]
    fn without_reports_sound_stays_with_the_pictures_that_arrive_with_it() {
        let (mut clocks, begin) = (Clocks::new(90_000, Some(8000)), Instant::now());
        // The pictures of two seconds come at once, the sound does not.
        for n in 0..250_u32 {
            clocks.video(n * 3600, begin + n.saturating_sub(50) * 40 * MS);
            clocks.sound(n * 320, begin + n * 40 * MS);
        }
        let now = begin + 10_000 * MS;
        assert_eq!(ms(begin, clocks.video(300 * 3600, now)), 12_000);
        assert_eq!(ms(begin, clocks.sound(250 * 320, now)), 12_000);
    }

    proptest! {
        /// Numbers and arrivals of any kind: the time is that of the numbers, or that of the arrival.
        #[test]
        fn a_time_is_never_far_from_the_arrival(units in prop::collection::vec((any::<u32>(), 0_u64..20_000, any::<bool>()), 1..60)) {
            let (mut clocks, mut now) = (Clocks::new(90_000, Some(44_100)), Instant::now() + Duration::from_secs(3600));
            for (timestamp, pause, is_video) in units {
                now += Duration::from_millis(pause);
                clocks.report(!is_video, report(pause, timestamp));
                let at = if is_video { clocks.video(timestamp, now) } else { clocks.sound(timestamp, now) };
                let off = since(now, at).unsigned_abs();
                prop_assert!(off <= (MOST_OFF + MOST_MOVED).as_nanos(), "{}", off);
            }
        }
    }
}
