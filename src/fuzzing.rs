//! The properties that the fuzz targets in `fuzz/` check, by the names of the targets. Each stands beside the code that it is about, in a
//! file `properties.rs`; a test here checks all of them over the seeds of the targets.
//!
//! Compiled for tests and for cargo-fuzz, which sets `cfg(fuzzing)`.

use crate::{
    discovery, fetch, h264, mqtt, mqtt_video, multipart, numbers, picture, policy, producer, rtsp, rtsp_client, uv4l,
    websocket,
};

/// Panics if the property does not hold for these bytes.
pub type Property = fn(&[u8]);

/// All properties.
pub const PROPERTIES: [(&str, Property); 18] = [
    ("discovery_soap", discovery::properties::soap),
    ("discovery_xml", discovery::properties::xml),
    ("h264", h264::properties::hold),
    ("http_head", fetch::properties::hold),
    ("jpeg", picture::jpeg::properties::hold),
    ("jpeg_reduced", picture::reduced::properties::hold),
    ("mediamtx_question", policy::webhook::properties::hold),
    ("mqtt_packet", mqtt_video::properties::hold),
    ("mqtt_packets", mqtt::properties::hold),
    ("mqtt_payload", producer::mqtt::properties::hold),
    ("multipart", multipart::properties::hold),
    ("picture_upload", picture::properties::hold),
    ("points", numbers::properties::hold),
    ("rtsp_answer", rtsp_client::properties::hold),
    ("rtsp_request", rtsp::properties::hold),
    ("udp_assembly", producer::udp_camera::properties::hold),
    ("uv4l", uv4l::properties::hold),
    ("websocket", websocket::properties::hold),
];

/// Checks the property of a fuzz target.
///
/// # Panics
///
/// If it does not hold, or if there is no property of that name.
pub fn check(name: &str, data: &[u8]) {
    let (_, property) = PROPERTIES.iter().find(|(known, _)| *known == name).expect("a fuzz target names its property");
    property(data);
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    fn entries(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let read = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        read.map(|entry| entry.expect("lists").path()).collect()
    }

    fn names(folder: &str) -> BTreeSet<String> {
        let stem = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
        entries(folder).iter().map(stem).collect()
    }

    #[test]
    fn every_property_has_a_fuzz_target_and_seeds() {
        let known: BTreeSet<_> = PROPERTIES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names("fuzz/fuzz_targets"), known);
        assert_eq!(names("fuzz/seeds"), known);
        let manifest = include_str!("../fuzz/Cargo.toml");
        let targets: BTreeSet<_> =
            manifest.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
        for name in &known {
            let code = format!("fuzz_target!(|data: &[u8]| mtx_sidecar::fuzzing::check(\"{name}\", data));");
            let target = format!("fuzz/fuzz_targets/{name}.rs");
            let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&target)).expect("reads");
            assert!(text.contains(&code), "{target} checks the property of its name");
            assert!(targets.contains(name.as_str()), "fuzz/Cargo.toml lists {name}");
        }
    }

    /// Random numbers that are the same in each run (xorshift64).
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self, below: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % below.max(1) as u64) as usize
        }
    }

    /// Changes up to eight places: bytes, lengths, digits, parts that are missing, twice, or of another seed.
    fn mutate(data: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
        const TELLING: [&[u8]; 12] = [
            b"\0",
            b"\xFF",
            b"\x7F",
            b"\x80",
            b"\xFF\xFF\xFF\xFF",
            b"\r\n",
            b"\"",
            b"{",
            b"99999999999999999999",
            b"-1",
            b"\xE2\x80",
            b",",
        ];
        for _ in 0..=numbers.next(8) {
            let at = numbers.next(data.len() + 1);
            let end = (at + 1 + numbers.next(16)).min(data.len());
            match numbers.next(7) {
                0 if at < data.len() => data[at] ^= 1 << numbers.next(8),
                1 if at < data.len() => data[at] = numbers.next(256) as u8,
                2 => drop(data.splice(at..at, TELLING[numbers.next(TELLING.len())].iter().copied())),
                3 if at < end => drop(data.drain(at..end)),
                4 if at < end => {
                    let part = data[at..end].to_vec();
                    drop(data.splice(at..at, part));
                }
                5 => {
                    let from = numbers.next(other.len() + 1);
                    let to = (from + numbers.next(64)).min(other.len());
                    drop(data.splice(at..at, other[from..to].iter().copied()));
                }
                6 if numbers.next(4) == 0 => data.truncate(at),
                _ => {}
            }
        }
    }

    /// A little of what `make fuzz` does, without its toolchain. MUTATIONS=100000 ONLY=points runs longer for one target.
    #[test]
    fn every_property_holds_for_changed_seeds() {
        let variable = |name: &str| std::env::var(name).ok();
        let rounds: u64 = variable("MUTATIONS").and_then(|text| text.parse().ok()).unwrap_or(60);
        let only = variable("ONLY");
        for (name, property) in
            PROPERTIES.into_iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name))
        {
            let mut files = entries(&format!("fuzz/seeds/{name}"));
            files.sort();
            let seeds: Vec<_> = files.iter().map(|file| fs::read(file).expect("reads")).collect();
            for round in 1..=rounds {
                let mut numbers = Numbers(round.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                let (mut data, other) = (seeds[numbers.next(seeds.len())].clone(), numbers.next(seeds.len()));
                mutate(&mut data, &seeds[other], &mut numbers);
                let held = std::panic::catch_unwind(|| property(&data));
                assert!(held.is_ok(), "{name} does not hold for round {round}: {}", data.escape_ascii());
            }
        }
    }

    /// A property holds for any bytes, those of other targets included.
    #[test]
    fn every_property_holds_for_all_seeds() {
        let mut seeds = vec![];
        for (name, _) in PROPERTIES {
            let own = entries(&format!("fuzz/seeds/{name}"));
            assert!(own.len() >= 3, "{name} has {} seeds", own.len());
            seeds.extend(own);
        }
        for device in ["axis", "hikvision", "tapo", "xm"] {
            seeds.extend(entries(&format!("tests/api/discovery/{device}")));
        }
        for seed in seeds {
            let data = fs::read(&seed).expect("reads");
            for (name, property) in PROPERTIES {
                let held = std::panic::catch_unwind(|| property(&data));
                assert!(held.is_ok(), "{name} does not hold for {}", seed.display());
            }
        }
    }
}
