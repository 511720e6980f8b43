//! The parameters of a request for MP4.

use tokio::time::Duration;
use utoipa::IntoParams;

use super::Accepts;
use crate::{
    error::{Error, Result},
    output::h264::Want,
    query,
    units::HumanDuration,
};

/// The longest video that a request can ask for.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The longest name of a file, in characters.
const LONGEST_NAME: usize = 200;

/// Parameters of a video's size; for the documentation, as the query is read as a whole.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "for the documentation; each parameter is read by itself")]
pub struct SizeQuery {
    /// Width in pixels, an even number from 32 to 3840. Alone it keeps the proportions.
    w: Option<u32>,
    /// Height in pixels, an even number from 32 to 3840. Alone it keeps the proportions.
    h: Option<u32>,
    /// Pictures a second, 0.2 to 30: how often an unchanged picture is repeated, and the most that are sent.
    fps: Option<f64>,
}

/// Parameters of a video of a limited length.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "for the documentation; each parameter is read by itself")]
pub struct Mp4Query {
    /// The length of the video, after which the response ends: seconds, or a duration such as `10s`, at most 24h. Without it the
    /// response has no end.
    duration: Option<String>,
    /// The name of the file in which a browser saves the video.
    filename: Option<String>,
    /// The codecs that the client plays, such as `avc1.640029,mp4a.40.2,opus`; only the names before the dots count. Sound that is not
    /// among them is left out. Default: all.
    codecs: Option<String>,
}

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The size and the rate.
    pub want: Want,
    /// The length of the video.
    pub duration: Option<Duration>,
    /// The name of the file.
    pub filename: Option<String>,
    /// The codecs that the client plays.
    pub accepts: Accepts,
}

impl Options {
    /// Reads a query.
    pub fn parse(text: &str) -> Result<Self> {
        let [w, h, fps] = [query::once(text, "w")?, query::once(text, "h")?, query::once(text, "fps")?];
        let duration = query::once(text, "duration")?.map(|text| duration(&text)).transpose()?;
        let filename = query::once(text, "filename")?.map(|text| filename(&text)).transpose()?;
        let accepts = query::once(text, "codecs")?.map(|list| Accepts::parse(&list)).unwrap_or_default();
        Ok(Options { want: Want::parse(w.as_deref(), h.as_deref(), fps.as_deref())?, duration, filename, accepts })
    }

    /// The header that gives the file its name, if the request names one (RFC 6266).
    pub fn disposition(&self) -> Option<String> {
        let name = self.filename.as_ref()?;
        let plain: String = name.chars().map(|c| if c.is_ascii() && !"\"\\%".contains(c) { c } else { '_' }).collect();
        let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        Some(format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"))
    }
}

fn duration(text: &str) -> Result<Duration> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let given = seconds.or_else(|| text.parse::<HumanDuration>().ok().map(|span| *span));
    given.filter(|given| *given <= LONGEST && !given.is_zero()).ok_or_else(|| {
        Error::parameter("duration", format!("must be seconds, or a duration such as 10s, at most 24h, not {text:?}"))
    })
}

fn filename(text: &str) -> Result<String> {
    let is_name = !text.is_empty()
        && text.chars().count() <= LONGEST_NAME
        && !text.contains(|c: char| c.is_control() || matches!(c, '/' | '\\' | '\u{fffd}'));
    let rule = || format!("must be the name of a file of at most {LONGEST_NAME} characters, without a folder");
    is_name.then(|| text.to_owned()).ok_or_else(|| Error::parameter("filename", rule()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_refused_with_their_name() {
        let options = Options::parse("w=640&duration=1.5&filename=a+b%C3%A9%22.mp4").expect("valid");
        assert_eq!(options.duration, Some(Duration::from_millis(1500)));
        let disposition = options.disposition().expect("named");
        assert_eq!(disposition, "attachment; filename=\"a b__.mp4\"; filename*=UTF-8''a%20b%C3%A9%22%2Emp4");
        assert_eq!(Options::parse("duration=2m").expect("valid").duration, Some(Duration::from_secs(120)));
        assert_eq!(Options::parse("src=x&mp4=all").expect("parameters of go2rtc"), Options::default());
        for (query, field) in [
            ("duration=0", "duration"),
            ("duration=-1", "duration"),
            ("duration=NaN", "duration"),
            ("duration=25h", "duration"),
            ("duration=1s&duration=2s", "duration"),
            ("filename=", "filename"),
            ("filename=../x.mp4", "filename"),
            ("filename=a%0D%0AX:1", "filename"),
            ("w=31", "w"),
            ("fps=99", "fps"),
        ] {
            let refused = Options::parse(query).expect_err("refused");
            assert_eq!(refused.field(), Some(field), "{query}");
        }
    }
}
