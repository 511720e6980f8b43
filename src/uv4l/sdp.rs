//! Rewriting the SDP of a UV4L camera (libwebrtc of 2018) for another reader, and the answer back. Pure; unknown lines stay as they
//! are.
//!
//! MediaMTX's WHIP refuses media sections other than one video and one audio, answers VP8 if it is offered, waits two seconds for
//! an audio section that never sends, and needs numbers as mids for candidates that are sent later (internal/servers/webrtc,
//! internal/protocols/webrtc). UV4L has the mids `audio`, `video` and `data`. A section that is left out of the offer is rejected
//! in the answer (RFC 9429, section 5.3.1), so that the camera finds as many sections as it has offered.

use super::message::Candidate;

/// Most media sections of an offer. UV4L has three.
const MAX_SECTIONS: usize = 16;

/// What the reader of the offer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Whether mids become numbers, and all sections one group (BUNDLE).
    pub numbered: bool,
    /// Whether of video the codec H.264 stays alone.
    pub h264_only: bool,
    /// Whether sections of audio stay.
    pub audio: bool,
    /// Whether sections in which the camera sends nothing, and a second section of the same medium, are left out.
    pub sending_only: bool,
    /// Whether data channels stay.
    pub data: bool,
}

impl Wish {
    /// The offer for a browser.
    pub fn for_viewer(audio: bool, data: bool) -> Self {
        Wish { numbered: false, h264_only: false, audio, sending_only: false, data }
    }

    /// The offer for MediaMTX.
    pub fn for_mediamtx(audio: bool, h264_only: bool) -> Self {
        Wish { numbered: true, h264_only, audio, sending_only: true, data: false }
    }
}

/// A rewritten offer, and what the way back needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The offer for the reader.
    pub sdp: String,
    sections: Vec<Origin>,
    has_bundle: bool,
}

/// A section of the original offer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    /// The words of its first line.
    media: String,
    mid: Option<String>,
    /// Its index and mid in the rewritten offer; none if it was left out.
    kept: Option<(usize, String)>,
}

/// A session description in its parts, without line ends.
struct Parts<'a> {
    session: Vec<&'a str>,
    sections: Vec<Vec<&'a str>>,
}

fn parse(sdp: &str) -> Result<Parts<'_>, String> {
    let mut parts = Parts { session: vec![], sections: vec![] };
    for line in sdp.split('\n').map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty()) {
        if line.starts_with("m=") {
            if parts.sections.len() == MAX_SECTIONS {
                return Err(format!("the SDP has more than {MAX_SECTIONS} media sections"));
            }
            parts.sections.push(vec![line]);
        } else {
            parts.sections.last_mut().unwrap_or(&mut parts.session).push(line);
        }
    }
    if parts.sections.is_empty() {
        return Err("the SDP has no media section".into());
    }
    Ok(parts)
}

fn attribute<'a>(lines: &[&'a str], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn is_mid(line: &str) -> bool {
    line.starts_with("a=mid:")
}

/// Whether the line agrees on a header extension of RTP with the mid (RFC 9143, section 15).
fn is_mid_extension(line: &str) -> bool {
    line.starts_with("a=extmap:") && line.contains("urn:ietf:params:rtp-hdrext:sdes:mid")
}

fn is_bundle(line: &str) -> bool {
    line.strip_prefix("a=group:").is_some_and(|group| group.split(' ').next() == Some("BUNDLE"))
}

fn first_line<'a>(section: &[&'a str]) -> &'a str {
    section.first().copied().unwrap_or_default()
}

/// `video` of `m=video 9 UDP/TLS/RTP/SAVPF 96`.
fn medium<'a>(section: &[&'a str]) -> &'a str {
    first_line(section).strip_prefix("m=").and_then(|line| line.split(' ').next()).unwrap_or_default()
}

/// Whether the camera sends in the section. Without an attribute it does (RFC 8866, section 6.7).
fn sends(section: &[&str]) -> bool {
    !section.iter().any(|line| matches!(*line, "a=recvonly" | "a=inactive"))
}

fn joined(lines: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    lines.into_iter().fold(String::new(), |mut text, line| {
        text.push_str(line.as_ref());
        text.push_str("\r\n");
        text
    })
}

/// Rewrites an offer. The error is for people.
pub fn rewrite(offer: &str, wish: &Wish) -> Result<Rewritten, String> {
    let parts = parse(offer)?;
    let has_bundle = parts.session.iter().any(|line| is_bundle(line));
    let (mut sections, mut body): (Vec<Origin>, Vec<Vec<String>>) = (vec![], vec![]);
    for section in &parts.sections {
        let medium = medium(section);
        let is_second =
            body.iter().any(|kept| kept.first().is_some_and(|line| line.starts_with(&format!("m={medium} "))));
        let stays = match medium {
            "video" => true,
            "audio" => wish.audio,
            "application" => wish.data,
            _ => !wish.sending_only,
        } && !(wish.sending_only && (is_second || !sends(section)));
        let mid = attribute(section, "mid").map(str::to_owned);
        let kept = stays.then(|| {
            let new = match (&mid, wish.numbered) {
                (Some(mid), false) => mid.clone(),
                _ => body.len().to_string(),
            };
            (body.len(), new)
        });
        if let Some((_, new)) = &kept {
            let lines = match wish.h264_only && medium == "video" {
                true => only_h264(section)?,
                false => section.iter().map(|line| (*line).to_owned()).collect(),
            };
            // With this extension, the camera would name its own mid in each packet, which the reader does not know.
            let lines = lines.into_iter().filter(|line| !(wish.numbered && is_mid_extension(line))).collect();
            body.push(with_mid(lines, new, wish.numbered || mid.is_some()));
        }
        sections.push(Origin { media: first_line(section).to_owned(), mid, kept });
    }
    if !sections.iter().any(|section| section.media.starts_with("m=video ") && section.kept.is_some()) {
        return Err("the camera offers no video".into());
    }
    let bundle = sections.iter().filter_map(|section| section.kept.as_ref()).map(|(_, mid)| mid.as_str());
    let bundle = format!("a=group:BUNDLE {}", bundle.collect::<Vec<_>>().join(" "));
    let mut session: Vec<&str> = parts.session.iter().copied().filter(|line| !line.starts_with("a=group:")).collect();
    // Without the group, MediaMTX answers with port 0, which libwebrtc takes for a rejection.
    if has_bundle || wish.numbered {
        session.push(&bundle);
    }
    let sdp = joined(session) + &body.into_iter().map(joined).collect::<String>();
    Ok(Rewritten { sdp, sections, has_bundle })
}

/// The section with this mid, which it gets if it had none and needs one.
fn with_mid(lines: Vec<String>, mid: &str, needs_one: bool) -> Vec<String> {
    let mut lines: Vec<_> = lines.into_iter().filter(|line| !is_mid(line)).collect();
    if needs_one {
        lines.insert(
            lines.iter().position(|line| line.starts_with("a=")).unwrap_or(lines.len()),
            format!("a=mid:{mid}"),
        );
    }
    lines
}

/// A section of video with H.264 and its retransmissions alone.
fn only_h264(section: &[&str]) -> Result<Vec<String>, String> {
    let maps = section.iter().filter_map(|line| {
        let (format, codec) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        Some((format, codec.split('/').next().unwrap_or_default()))
    });
    let maps: Vec<_> = maps.collect();
    let h264: Vec<_> = maps.iter().filter(|(_, codec)| codec.eq_ignore_ascii_case("H264")).map(|(f, _)| *f).collect();
    if h264.is_empty() {
        let mut offered: Vec<_> = maps.iter().map(|(_, codec)| *codec).filter(|codec| is_codec(codec)).collect();
        offered.dedup();
        return Err(format!(
            "the camera offers no H.264, but {}; set force_hw_vcodec: yes, or h264_only: no",
            if offered.is_empty() { "nothing known".to_owned() } else { offered.join(", ") }
        ));
    }
    let repeats = |format: &str| {
        let parameters =
            section.iter().find_map(|line| line.strip_prefix("a=fmtp:")?.strip_prefix(format)?.strip_prefix(' '));
        let of = parameters.and_then(|all| all.split(';').find_map(|one| one.trim().strip_prefix("apt=")));
        of.is_some_and(|of| h264.contains(&of))
    };
    let stays = |format: &str| {
        let codec = maps.iter().find(|(known, _)| *known == format).map(|(_, codec)| *codec);
        h264.contains(&format) || codec.is_some_and(|codec| codec.eq_ignore_ascii_case("rtx")) && repeats(format)
    };
    let lines = section.iter().enumerate().filter_map(|(i, line)| {
        if i == 0 {
            let mut words: Vec<_> = line.split(' ').take(3).collect();
            words.extend(line.split(' ').skip(3).filter(|format| stays(format)));
            return Some(words.join(" "));
        }
        let of_format = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"].iter().find_map(|name| line.strip_prefix(name));
        let format = of_format.and_then(|rest| rest.split(' ').next());
        format.is_none_or(|format| format == "*" || stays(format)).then(|| (*line).to_owned())
    });
    Ok(lines.collect())
}

/// Whether the word is a codec, and no help for one.
fn is_codec(word: &str) -> bool {
    !["rtx", "red", "ulpfec", "flexfec-03"].iter().any(|help| help.eq_ignore_ascii_case(word)) && word.len() <= 20
}

impl Rewritten {
    /// The answer for the camera: with its own mids, and with the sections that were left out as rejected ones.
    pub fn answer(&self, answer: &str) -> Result<String, String> {
        let parts = parse(answer)?;
        let kept = self.sections.iter().filter(|section| section.kept.is_some()).count();
        if parts.sections.len() != kept {
            return Err(format!("the answer has {} media sections, and the offer had {kept}", parts.sections.len()));
        }
        let accepted = |section: &[&str]| first_line(section).split(' ').nth(1) != Some("0");
        // A rejected section needs none of these lines. aiortc refuses an answer in which a section lacks them.
        let transport = ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:"];
        let of_transport: Vec<&str> = parts
            .sections
            .first()
            .into_iter()
            .flatten()
            .copied()
            .filter(|line| transport.iter().any(|name| line.starts_with(name)))
            .collect();
        let (mut body, mut bundle) = (String::new(), vec![]);
        for section in &self.sections {
            let mid = section.mid.as_deref();
            let own = section.kept.as_ref().and_then(|(at, _)| parts.sections.get(*at));
            let lines = match own {
                Some(lines) => {
                    bundle.extend(mid.filter(|_| accepted(lines)));
                    lines.iter().map(|line| (*line).to_owned()).collect()
                }
                None => {
                    let mut words: Vec<_> = section.media.split(' ').collect();
                    if let Some(port) = words.get_mut(1) {
                        *port = "0";
                    }
                    let fixed = [words.join(" "), "c=IN IP4 0.0.0.0".into(), "a=inactive".into()];
                    fixed.into_iter().chain(of_transport.iter().map(|line| (*line).to_owned())).collect()
                }
            };
            body.push_str(&joined(with_mid(lines, mid.unwrap_or_default(), mid.is_some())));
        }
        let bundle = format!("a=group:BUNDLE {}", bundle.join(" "));
        let mut session: Vec<&str> =
            parts.session.iter().copied().filter(|line| !line.starts_with("a=group:")).collect();
        if self.has_bundle {
            session.push(&bundle);
        }
        Ok(joined(session) + &body)
    }

    /// Whether the offer itself has candidates.
    pub fn has_candidates(&self) -> bool {
        self.sdp.lines().any(|line| line.starts_with("a=candidate:"))
    }

    /// Candidates of the camera as a fragment for the reader (RFC 8840), with the mids of the rewritten offer; none if all of them
    /// are about sections that were left out.
    pub fn fragment(&self, candidates: &[Candidate]) -> Option<String> {
        let parts = parse(&self.sdp).ok()?;
        let find =
            |name| attribute(&parts.session, name).or_else(|| parts.sections.iter().find_map(|s| attribute(s, name)));
        let mut lines = vec![format!("a=ice-ufrag:{}", find("ice-ufrag")?), format!("a=ice-pwd:{}", find("ice-pwd")?)];
        let mut any = false;
        for section in &self.sections {
            let Some((at, mid)) = &section.kept else { continue };
            let index = self.sections.iter().position(|other| std::ptr::eq(other, section));
            let is_own = |candidate: &&Candidate| match (&candidate.mid, &section.mid) {
                (Some(of), Some(own)) => of == own,
                _ => candidate.line.map(usize::from) == index,
            };
            let own: Vec<_> = candidates.iter().filter(is_own).collect();
            if own.is_empty() {
                continue;
            }
            any = true;
            lines.push(first_line(parts.sections.get(*at)?).to_owned());
            lines.push(format!("a=mid:{mid}"));
            lines.extend(own.into_iter().map(|candidate| format!("a={}", candidate.candidate)));
        }
        any.then(|| joined(lines))
    }
}

/// An answer in which the viewer sends no sound and no video: for viewers without the permission to publish.
pub fn receive_only(answer: &str) -> Result<String, String> {
    let parts = parse(answer)?;
    let session = parts.session.iter().copied().filter(|line| !is_direction(line));
    let of_session = parts.session.iter().copied().find(|line| is_direction(line));
    let mut text = joined(session);
    for section in &parts.sections {
        if !matches!(medium(section), "audio" | "video") {
            text.push_str(&joined(section));
            continue;
        }
        let direction = section.iter().copied().find(|line| is_direction(line)).or(of_session);
        let direction =
            if matches!(direction, Some("a=sendonly" | "a=inactive")) { "a=inactive" } else { "a=recvonly" };
        let lines = section.iter().copied().filter(|line| !is_direction(line));
        text.push_str(&joined(lines.chain([direction])));
    }
    Ok(text)
}

fn is_direction(line: &str) -> bool {
    matches!(line, "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive")
}

#[cfg(test)]
mod tests;
