//! [`Accepts`]: the codecs that a client plays.

/// Most codecs of a list, which a client sends.
const MOST: usize = 64;

/// The codecs that a client plays; all of them if it names none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepts(Vec<String>);

impl Accepts {
    /// Reads a list with commas, such as `avc1.640029,mp4a.40.2,opus`.
    pub fn parse(list: &str) -> Self {
        let names = list.split(',').map(name).filter(|name| !name.is_empty());
        Accepts(names.take(MOST).collect())
    }

    /// Whether the client plays a codec. Clients name one profile of each codec (go2rtc's player three of H.264), and browsers play all
    /// profiles that cameras have, so that only the name before the dot counts.
    pub fn plays(&self, codec: &str) -> bool {
        self.0.is_empty() || self.0.contains(&name(codec))
    }

    /// Whether the client plays any sound that a source can have.
    pub fn listens(&self) -> bool {
        self.plays("mp4a") || self.plays("opus")
    }
}

fn name(codec: &str) -> String {
    codec.trim().split('.').next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_plays_what_it_names_in_any_profile() {
        let player = Accepts::parse("avc1.640029,avc1.64002A, hvc1.1.6.L153.B0,mp4a.40.2,flac,");
        for (codec, expected) in
            [("avc1.42C01F", true), ("hvc1.2.4.L120", true), ("mp4a.40.5", true), ("opus", false), ("av01.0", false)]
        {
            assert_eq!(player.plays(codec), expected, "{codec}");
        }
        assert!(player.listens() && Accepts::parse("avc1.640029,Opus").listens());
        assert!(!Accepts::parse("avc1.640029,flac").listens());
        let any = Accepts::parse(" , ");
        assert!(any.plays("opus") && any.plays("hvc1.1") && any.listens());
    }
}
