//! Forms with a picture (`multipart/form-data`, or any other multipart type).
//!
//! Senders are as inexact as cameras: alarm servers send XML first, `curl -F 'image=<x.jpg'` sends no file name, and small
//! firmware leaves out headers, carriage returns or the last delimiter. So a form is read by the [`Splitter`] of the cameras.

use bytes::Bytes;

use crate::{
    error::{Code, Error, Result},
    multipart::{Fault, Part, Splitter},
    picture::{Picture, PictureLimits},
};

/// Most parts of a form up to its picture. Alarm servers send two or three.
const MAX_PARTS: usize = 64;

/// Most bytes of a form up to its picture, as a multiple of `limits.frame_size`.
const MAX_FRAMES: usize = 4;

/// Whether a `Content-Type` announces a form.
pub(super) fn is_announced(content_type: &str) -> bool {
    content_type.trim_start().get(..10).is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/"))
}

/// Reads a form up to its first picture.
pub(super) struct Form<'a> {
    splitter: Splitter,
    limits: &'a PictureLimits,
    parts: usize,
    bytes: usize,
    /// Why the first part that could be a picture is none.
    refusal: Option<Error>,
}

impl<'a> Form<'a> {
    /// A form with this `Content-Type`, which is a hint.
    pub(super) fn new(content_type: &str, limits: &'a PictureLimits) -> Self {
        let splitter = Splitter::new(Some(content_type), limits.frame_size.bytes());
        Form { splitter, limits, parts: 0, bytes: 0, refusal: None }
    }

    /// The first part that is a picture, whatever its name and its type are; none if it has not arrived yet.
    ///
    /// # Errors
    ///
    /// [`Code::FrameTooLarge`] or [`Code::InvalidBody`] for a form with too many bytes or parts before a picture.
    pub(super) async fn feed(&mut self, chunk: &[u8]) -> Result<Option<Picture>> {
        self.bytes += chunk.len();
        let most = self.limits.frame_size.bytes().saturating_mul(MAX_FRAMES);
        if self.bytes > most {
            let text =
                format!("the form has more than {most} bytes before a picture, {MAX_FRAMES} times limits.frame_size");
            return Err(Error::new(Code::FrameTooLarge, text).in_field("file"));
        }
        self.splitter.feed(chunk);
        self.next(false).await
    }

    /// The picture that the end of the body completes.
    ///
    /// # Errors
    ///
    /// Why the form has no picture: what is wrong with its first file, or that it has none.
    pub(super) async fn finish(mut self) -> Result<Picture> {
        if let Some(picture) = self.next(true).await? {
            return Ok(picture);
        }
        let none = || Error::new(Code::EmptyBody, "the form holds no picture").in_field("file");
        Err(self.refusal.unwrap_or_else(none))
    }

    async fn next(&mut self, has_ended: bool) -> Result<Option<Picture>> {
        loop {
            let part = match self.splitter.next_part() {
                Ok(None) if has_ended => self.splitter.finish(),
                Ok(part) => part,
                Err(fault) => {
                    self.refuse(error_of(fault));
                    continue;
                }
            };
            let Some(part) = part else { return Ok(None) };
            self.parts += 1;
            if self.parts > MAX_PARTS {
                let text = format!("the form has more than {MAX_PARTS} parts before a picture");
                return Err(Error::new(Code::InvalidBody, text).in_field("file"));
            }
            // A field of text has no type.
            let is_file = part.content_type.is_some() || part.is_jpeg();
            match Picture::from_whole(data_of(part), self.limits).await {
                Ok(picture) => return Ok(Some(picture)),
                Err(error) if is_file => self.refuse(error),
                Err(_) => {}
            }
        }
    }

    fn refuse(&mut self, error: Error) {
        self.refusal.get_or_insert(error);
    }
}

/// The data as it was sent, so that an error names what is wrong with that.
fn data_of(part: Part) -> Bytes {
    let added = if part.has_added_end { 2 } else { 0 };
    part.data.slice(..part.data.len() - added)
}

fn error_of(fault: Fault) -> Error {
    let code = match fault {
        Fault::TooLarge => Code::FrameTooLarge,
        Fault::Damaged => Code::BrokenPicture,
        Fault::EndlessHeaders => Code::InvalidBody,
    };
    Error::new(code, format!("the form cannot be read: {fault}")).in_field("file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{picture::testing::photo, units::Size};

    async fn read(content_type: &str, body: &[u8]) -> Result<Picture> {
        let limits = PictureLimits::default();
        // A portion at a time, as a network brings them.
        let mut form = Form::new(content_type, &limits);
        for chunk in body.chunks(700) {
            if let Some(picture) = form.feed(chunk).await? {
                return Ok(picture);
            }
        }
        form.finish().await
    }

    fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = vec![];
        for (head, data) in parts {
            body.extend_from_slice(format!("--b\r\n{head}\r\n\r\n").as_bytes());
            body.extend_from_slice(data);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--b--\r\n");
        body
    }

    const FILE: &str = "Content-Disposition: form-data; name=\"f\"; filename=\"x.jpg\"";

    #[tokio::test]
    async fn forms_of_inexact_senders_are_read() {
        let photo = photo(64, 48);
        let typed = format!("{FILE}\r\nContent-Type: image/jpeg");
        let whole = form(&[(&typed, &photo)]);
        let without_end = whole[..whole.len() - 7].to_vec();
        let only_line_feeds = [format!("--b\n{FILE}\n\n").as_bytes(), &photo, b"\n--b--\n"].concat();
        let forms = [
            whole.clone(),
            without_end,
            only_line_feeds,
            [b"a preamble\r\n", &whole[..]].concat(),
            form(&[("Content-Type: image/jpeg", &photo)]),
            form(&[("Content-Disposition: form-data; name=\"image\"", &photo)]),
            form(&[("Content-Type: application/xml", b"<a/>"), (FILE, &photo)]),
            form(&[(&typed, &photo[..500]), (FILE, &photo)]),
            form(&[("Content-Disposition: form-data; name=\"e\"; filename=\"\"", b""), (FILE, &photo)]),
            form(&[("Content-Disposition: form-data; name=\"t\"", &[b'x'; 300_000]), (FILE, &photo)]),
            form(&[(&format!("{FILE}\r\nContent-Length: {}", photo.len()), &photo)]),
            form(&[("Content-Type: video/mp4", b"\0\0\0\x18ftypmp42"), (FILE, &photo[..photo.len() - 2])]),
        ];
        for content_type in
            ["multipart/form-data; boundary=b", "multipart/related;Boundary=\"b\"", "multipart/form-data", ""]
        {
            for (number, body) in forms.iter().enumerate() {
                let picture = read(content_type, body).await.unwrap_or_else(|e| panic!("{content_type} {number}: {e}"));
                assert_eq!(picture.jpeg, photo, "{content_type} {number}");
            }
        }
    }

    #[tokio::test]
    async fn a_form_without_a_picture_says_what_its_file_is() {
        let many: Vec<_> = (0..65).map(|_| ("Content-Disposition: form-data; name=\"t\"", &b"v"[..])).collect();
        for (parts, code, text) in [
            (&[("Content-Disposition: form-data; name=\"t\"", &b"v"[..])][..], Code::EmptyBody, "no picture"),
            (&[(FILE, &b"v"[..]), ("Content-Type: application/xml", b"<a/>")], Code::NotAPicture, "markup"),
            (&[(FILE, &photo(64, 48)[..500])], Code::BrokenPicture, "end-of-image"),
            (&many, Code::InvalidBody, "64 parts"),
            (&[], Code::EmptyBody, "no picture"),
        ] {
            let error = read("multipart/form-data; boundary=b", &form(parts)).await.expect_err("no picture");
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[tokio::test]
    async fn a_form_has_a_bounded_length() {
        let limits = PictureLimits { frame_size: Size(1024), ..PictureLimits::default() };
        let mut form = Form::new("multipart/form-data; boundary=b", &limits);
        let endless = async {
            loop {
                if let Err(error) = form.feed(&[b'x'; 100]).await {
                    return error;
                }
            }
        };
        assert_eq!(endless.await.code(), Code::FrameTooLarge);
    }

    #[test]
    fn forms_are_announced_by_their_type() {
        for (kind, expected) in [
            ("multipart/form-data", true),
            (" Multipart/related; a", true),
            ("image/jpeg", false),
            ("é", false),
            ("", false),
        ] {
            assert_eq!(is_announced(kind), expected, "{kind}");
        }
    }
}
