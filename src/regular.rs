//! Opening files that others can replace: only regular files are read.
//!
//! A media folder can hold a FIFO, whose opening waits for a writer without end, a device, whose opening can have effects,
//! or a socket. Their kind is looked at before the file is opened, so that nothing happens to them, and again on the open
//! file, because another program can replace the file in between.

use std::{
    fs::{File, FileType},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use cap_std::fs::{Dir, FileTypeExt as _, OpenOptionsExt as _};
use rustix::fs::OFlags;

/// Does not wait for the writer of a FIFO, and does not make a terminal that of this program. The standard library and
/// cap-std add O_CLOEXEC.
const FLAGS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

/// Opens a regular file below a folder. Fails for every other kind of file with an error that names the kind.
pub fn open_below(folder: &Dir, path: impl AsRef<Path>) -> io::Result<File> {
    let before = folder.metadata(&path)?.file_type();
    if !before.is_file() {
        let (fifo, socket) = (before.is_fifo(), before.is_socket());
        return Err(refused(name(before.is_dir(), fifo, socket, before.is_block_device() || before.is_char_device())));
    }
    let mut options = cap_std::fs::OpenOptions::new();
    options.read(true).custom_flags(FLAGS.bits() as i32);
    checked(folder.open_with(&path, &options)?.into_std())
}

/// As [`open_below`], for a path that was chosen by the administrator or by this program.
pub fn open(path: &Path) -> io::Result<File> {
    let before = std::fs::metadata(path)?.file_type();
    if !before.is_file() {
        return Err(refused(kind(before)));
    }
    checked(File::options().read(true).custom_flags(FLAGS.bits() as i32).open(path)?)
}

/// The content of a regular file, at most one byte more than `most`: enough to see that it is too large.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut data = vec![];
    open(path)?.take(most.saturating_add(1)).read_to_end(&mut data)?;
    Ok(data)
}

fn checked(file: File) -> io::Result<File> {
    match file.metadata()?.file_type() {
        now if now.is_file() => Ok(file),
        now => Err(refused(kind(now))),
    }
}

fn kind(of: FileType) -> &'static str {
    name(of.is_dir(), of.is_fifo(), of.is_socket(), of.is_block_device() || of.is_char_device())
}

fn name(folder: bool, fifo: bool, socket: bool, device: bool) -> &'static str {
    match (folder, fifo, socket, device) {
        (true, ..) => "a folder",
        (_, true, ..) => "a FIFO",
        (_, _, true, _) => "a socket",
        (.., true) => "a device",
        _ => "no regular file",
    }
}

fn refused(kind: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("it is {kind}, and only regular files are read"))
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use rustix::fs::{CWD, FileType as Node, Mode, mknodat};

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_the_error_names_the_kind() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "text").expect("writes");
        std::fs::create_dir(at("folder")).expect("makes");
        mknodat(CWD, at("fifo"), Node::Fifo, Mode::RUSR, 0).expect("makes a FIFO");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("binds");
        std::os::unix::fs::symlink("fifo", at("link to a fifo")).expect("links");
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).expect("opens");
        for (file, says) in
            [("folder", "a folder"), ("fifo", "a FIFO"), ("link to a fifo", "a FIFO"), ("socket", "a socket")]
        {
            for result in [open_below(&dir, file), open(&at(file))] {
                let error = result.expect_err(file).to_string();
                assert_eq!(error, format!("it is {says}, and only regular files are read"), "{file}");
            }
        }
        let device = open(Path::new("/dev/zero")).expect_err("a device").to_string();
        assert!(device.contains("a device"), "{device}");
        assert_eq!(open_below(&dir, "none").expect_err("missing").kind(), io::ErrorKind::NotFound);
        let mut text = String::new();
        open_below(&dir, "file").expect("opens").read_to_string(&mut text).expect("reads");
        assert_eq!(text, "text");
        assert_eq!(read(&at("file"), 2).expect("reads"), b"tex");
    }

    /// Between the look at the name and the opening, another program can put a FIFO in the place of the file.
    #[test]
    fn a_file_that_is_replaced_in_between_is_refused_without_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fifo");
        mknodat(CWD, &path, Node::Fifo, Mode::RUSR, 0).expect("makes a FIFO");
        let opened = File::options().read(true).custom_flags(FLAGS.bits() as i32).open(&path).expect("does not wait");
        assert!(checked(opened).expect_err("refused").to_string().contains("a FIFO"));
    }
}
