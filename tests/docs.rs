//! Documents are true: their YAML and JSON can be loaded, the settings that they name exist, and their words are plain.
//! `tests/api/docs.rs` runs their commands.

mod documents;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use documents::{blocks, documents, files, read, root};
use mtx_sidecar::settings::{self, Settings};
use regex::Regex;

/// The sections of sidecar.yml.
fn sections() -> BTreeSet<String> {
    let settings = serde_json::to_value(Settings::default()).expect("JSON");
    settings.as_object().expect("sections").keys().cloned().collect()
}

/// Which program reads a YAML text.
#[derive(Debug, PartialEq)]
enum Reader {
    Sidecar,
    MediaMtx,
    /// Another program; the text is only parsed.
    Other,
}

/// A first key that tells another program's file, and the program.
const OTHER_READERS: &[(&str, &str)] =
    &[("services", "Docker Compose"), ("go2rtc", "Frigate"), ("http_request", "ESPHome")];

/// Decides by the top-level keys. A misspelt section belongs to no reader, which is an error.
fn reader_of(yaml: &str) -> Result<Reader, String> {
    let keys: Vec<_> =
        yaml.lines().filter(|line| line.starts_with(char::is_alphabetic)).filter_map(|l| l.split(':').next()).collect();
    let sections = sections();
    if keys.is_empty() {
        return Err("has no top-level key".into());
    }
    if keys.iter().any(|key| ["paths", "pathDefaults", "authMethod"].contains(key)) {
        return Ok(Reader::MediaMtx);
    }
    if OTHER_READERS.iter().any(|(key, _)| keys[0] == *key) {
        return Ok(Reader::Other);
    }
    match keys.iter().find(|key| !sections.contains(**key)) {
        None => Ok(Reader::Sidecar),
        Some(unknown) => Err(format!("{unknown} is neither a section of sidecar.yml nor a key of another known file")),
    }
}

/// Secret files and the folder of pages of the examples exist while the test runs.
fn with_files(yaml: &str, folder: &Path) -> String {
    let secret = Regex::new(r"/run/secrets/(\w+)").expect("a pattern");
    for name in secret.captures_iter(yaml) {
        std::fs::write(folder.join(&name[1]), "secret").expect("writes");
    }
    let yaml = secret.replace_all(yaml, format!("{}/$1", folder.display()));
    let pages = Regex::new(r"static_dir: /\S+").expect("a pattern");
    pages.replace_all(&yaml, format!("static_dir: {}", folder.display())).into_owned()
}

/// Loads the text as its reader does; the error says why that fails.
fn load(yaml: &str) -> Result<Reader, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file.yml");
    let reader = reader_of(yaml)?;
    match reader {
        Reader::Sidecar => {
            std::fs::write(&path, with_files(yaml, folder.path())).expect("writes");
            settings::load(Some(&path), &Default::default()).map_err(|problems| problems.to_string())?;
        }
        Reader::MediaMtx => {
            // A fragment has no authentication; the check would complain about that alone.
            let whole = match yaml.contains("authMethod:") {
                true => yaml.to_owned(),
                false => format!(
                    "authMethod: http\nauthHTTPAddress: http://127.0.0.1:9995/mediamtx-auth\napi: yes\n\
                     apiAddress: 127.0.0.1:9997\n{yaml}"
                ),
            };
            std::fs::write(&path, whole).expect("writes");
            let mut check = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
            check.arg("--config").arg(root().join("sidecar.yml")).arg("check").arg(&path);
            let output = check.output().expect("runs");
            let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            // Warnings count: an example has none.
            if !output.status.success() || !text.contains("file.yml: no findings") {
                return Err(text.into_owned());
            }
        }
        Reader::Other => {
            mtx_sidecar::yaml::parse(yaml)?;
        }
    }
    Ok(reader)
}

#[test]
fn yaml_of_documents_and_examples_can_be_loaded() {
    let mut texts: Vec<(String, String)> = vec![];
    for document in documents() {
        for block in blocks(&read(&document)).into_iter().filter(|block| block.language == "yaml") {
            texts.push((format!("{}:{}", document.display(), block.line), block.text));
        }
    }
    let in_blocks = texts.len();
    let shipped = ["sidecar.yml", "mediamtx.yml", "mediamtx.jwt.yml", "docker-compose.yml", "examples"];
    for file in files(&shipped, &[".yml", ".yaml"]) {
        texts.push((file.display().to_string(), read(&file)));
    }
    let (mut readers, mut wrong) = (vec![], vec![]);
    for (place, text) in &texts {
        match load(text) {
            Ok(reader) => readers.push(reader),
            Err(e) => wrong.push(format!("{place}: {e}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(in_blocks >= 5 && readers.contains(&Reader::Sidecar) && readers.contains(&Reader::MediaMtx), "{readers:?}");
}

#[test]
fn a_wrong_example_would_be_found() {
    for (wrong, why) in [
        ("streams:\n  yard: {kind: rtsp, url: rtsp://a/b, usr: viewer}\n", "usr"),
        ("stream:\n  yard: {kind: upload}\n", "stream is neither"),
        ("mediamtx: {pull_from: ''}\n", "pull_from"),
        ("paths:\n  x: {source: 'rtsp://127.0.0.1:9554/x', sourceOnDemand: yes}\n", "rtspTransport"),
        ("go2rtc: [\n", "line"),
    ] {
        let error = load(wrong).expect_err(wrong);
        assert!(error.contains(why), "{wrong}: {error}");
    }
}

#[test]
fn json_of_documents_can_be_parsed() {
    let mut found = 0;
    for document in documents() {
        for block in blocks(&read(&document)).into_iter().filter(|block| block.language == "json") {
            found += 1;
            let parsed = serde_json::from_str::<serde_json::Value>(&block.text);
            assert!(parsed.is_ok(), "{}:{}: {parsed:?}", document.display(), block.line);
        }
    }
    assert!(found >= 2, "only {found} blocks were recognised");
}

/// Settings that documents, sidecar.yml and the other shipped files name, such as `limits.watchers`, exist.
#[test]
fn settings_that_documents_name_exist() {
    let settings = serde_json::to_value(Settings::default()).expect("JSON");
    let sections = sections().into_iter().collect::<Vec<_>>().join("|");
    // In code, or in a comment of a YAML file; mediamtx.yml is a file and no setting.
    let named = Regex::new(&format!(r"(?m)(?:`|^\s*#.*?[ (])((?:{sections})(?:\.[a-z_0-9]+)+)")).expect("a pattern");
    let shipped = ["sidecar.yml", "mediamtx.yml", "mediamtx.jwt.yml", "docker-compose.yml", "examples"];
    let mut found = BTreeSet::new();
    for file in documents().into_iter().chain(files(&shipped, &[".yml"])) {
        for name in named.captures_iter(&read(&file)).map(|found| found[1].to_owned()) {
            if name.ends_with(".yml") || name.contains(".yml.") || name == "mediamtx.jwt" {
                continue;
            }
            let pointer = format!("/{}", name.replace('.', "/"));
            assert!(settings.pointer(&pointer).is_some(), "{} names {name}, which is no setting", file.display());
            found.insert(name);
        }
    }
    assert!(found.len() > 30, "only {found:?} were recognised");
}

/// Words that make a sentence hard to read for a stranger, and the better ones. The patterns do not match themselves.
const BANNED: &[(&str, &str)] = &[
    ("who[e]ver", "name the subject: the client, the caller, each program that …"),
    ("some[b]ody", "name the subject: a client, a user, another program"),
    ("no[b]ody", "name the subject: no client, no user; or say: while it is not watched"),
    ("sh[a]ll", "must, or the present tense"),
    (r"any[\s/#*!_]+mo[r]e", "no longer, or the new state itself"),
    (r"may[\s/#*!_]+ever[y]thing", "can do everything"),
];

/// Texts in which a banned word is right: file, text, reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Says where banned words are, in files with these endings.
fn banned_words(places: &[&str], endings: &[&str]) -> Vec<String> {
    let banned: Vec<_> = BANNED
        .iter()
        // An underscore ends a word, too: names of tests are sentences.
        .map(|(word, better)| {
            (Regex::new(&format!("(?i)(?:^|[^a-z])({word})(?:[^a-z]|$)")).expect("a pattern"), better)
        })
        .collect();
    let not_ours = ["static/vendor", "static/locales/ja", "static/locales/zh"];
    let is_ours = |file: &PathBuf| !not_ours.iter().any(|folder| file.starts_with(folder));
    let mut found = vec![];
    for file in files(places, endings).into_iter().filter(is_ours) {
        let mut text = read(&file);
        for (_, phrase, reason) in EXCEPTIONS.iter().filter(|(path, ..)| Path::new(path) == file) {
            assert!(text.contains(phrase), "{} has no {phrase:?} ({reason}); remove the exception", file.display());
            text = text.replace(phrase, &"-".repeat(phrase.len()));
        }
        for (word, better) in &banned {
            for hit in word.captures_iter(&text).filter_map(|hit| hit.get(1)) {
                let line = text[..hit.start()].matches('\n').count() + 1;
                found.push(format!("{}:{line}: {:?}; {better}", file.display(), hit.as_str()));
            }
        }
    }
    found
}

fn assert_plain(places: &[&str], endings: &[&str]) {
    let found = banned_words(places, endings);
    let first: Vec<_> = found.iter().take(40).map(String::as_str).collect();
    assert!(found.is_empty(), "{} words are hard to read, such as\n{}", found.len(), first.join("\n"));
}

#[test]
fn words_of_documents_are_plain() {
    let places =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "examples", "deploy", "tests/arduino"];
    assert_plain(&places, &[".md", ".yml", ".py", ".sh", ".ino"]);
}

#[test]
fn words_of_shipped_files_are_plain() {
    let places =
        ["sidecar.yml", "mediamtx.yml", "mediamtx.jwt.yml", "docker-compose.yml", "Dockerfile", "Makefile", "scripts"];
    assert_plain(&places, &[""]);
}

#[test]
fn words_of_the_source_are_plain() {
    assert_plain(&["src", "build.rs", "Cargo.toml"], &[".rs", ".toml"]);
}

#[test]
fn words_of_tests_and_benches_are_plain() {
    assert_plain(&["tests", "benches"], &[".rs", ".md", ".cpp", ".h"]);
}

#[test]
fn words_of_pages_are_plain() {
    assert_plain(&["static"], &[".js", ".html", ".css", ".json"]);
}

#[test]
fn exceptions_name_files_that_exist() {
    for (path, ..) in EXCEPTIONS {
        assert!(root().join(path).is_file(), "{path} does not exist");
    }
}
