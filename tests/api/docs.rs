//! The commands of the documents, run against the application, and the addresses that the documents name.

use std::{collections::BTreeSet, fmt::Write as _, path::Path, process::Stdio};

use regex::Regex;

use crate::{
    documents::{blocks, documents, files, read},
    support::{PATIENCE, Program, TestApp, eventually, free_port, sized_picture},
};

/// How the test treats a command.
#[derive(Clone, Copy, Debug)]
enum How {
    /// Runs it; it must succeed.
    Run,
    /// Runs it until this stream has a picture; the command itself is endless.
    RunUntil(&'static str),
    /// Does not run it, for this reason.
    Skip(#[allow(dead_code, reason = "documents the table, and is in its failures")] &'static str),
}

use How::{Run, RunUntil, Skip};

/// Beginnings of commands; the first that fits decides. A command without an entry, and an entry without a command, are errors.
const COMMANDS: &[(&str, How)] = &[
    ("make ", Skip("builds or tests the tree that this test belongs to")),
    ("cargo ", Skip("builds or tests the tree that this test belongs to")),
    ("TEST_LOG=1 cargo ", Skip("builds or tests the tree that this test belongs to")),
    ("git ", Skip("needs a fork on a forge")),
    ("docker ", Skip("needs Docker")),
    ("kubectl ", Skip("needs Kubernetes")),
    ("sudo ", Skip("changes this machine; make package-test installs the package elsewhere")),
    ("ffplay ", Skip("opens a window and is endless")),
    ("cd /srv/original/public", Skip("needs the files of the original program")),
    ("sed -i -E ", Skip("needs the files of the original program")),
    ("rm index.html", Skip("needs the files of the original program")),
    ("mtx-sidecar serve", Skip("is endless; the application under test is the same program")),
    ("SIDECAR_TOKEN=… mtx-sidecar uv4l-agent", Skip("is endless; tests/api/uv4l.rs has an agent")),
    ("mkdir -p debian", Skip("unpacks a compiler for another processor, for make cross-test")),
    ("apt-get download ", Skip("unpacks a compiler for another processor, for make cross-test")),
    ("for package in ", Skip("unpacks a compiler for another processor, for make cross-test")),
    ("printf '#!/bin/sh", Skip("unpacks a compiler for another processor, for make cross-test")),
    ("chmod +x rustc", Skip("unpacks a compiler for another processor, for make cross-test")),
    ("RUSTC=", Skip("unpacks a compiler for another processor, for make cross-test")),
    ("mkdir -p pages", Skip("copies the page that tests/api/uv4l_browser.rs opens")),
    ("SIDECAR__HTTP__STATIC_DIR=pages mtx-sidecar", Skip("is endless; the application under test is the same program")),
    ("mtx-sidecar discover", Skip("searches the networks of this machine; tests/api/discovery runs it")),
    ("curl -u admin localhost:9995/api/v1/discover/onvif", Skip("needs a camera; tests/api/discovery has one")),
    ("curl -u admin localhost:9995/api/v1/streams/yard/mediamtx-path", Skip("needs a camera; camera_paths.rs has one")),
    ("curl -o now.jpg http://localhost:9995/snapshot/cameras", Skip("needs a path of MediaMTX; see mediamtx_pull.rs")),
    ("mtx-sidecar support ", Skip("asks the server at port 9995; tests/api/backups.rs runs it")),
    ("mtx-sidecar push shop ", RunUntil("shop")),
    ("mtx-sidecar push lab ", RunUntil("lab")),
    ("mtx-sidecar ", Run),
    ("curl ", Run),
    ("ffmpeg ", Run),
    // mediamtx.md calls curl by a variable.
    ("A=", Run),
    ("$A ", Run),
];

/// Programs that are recognised in comments of YAML files.
const PROGRAMS: &[&str] = &["curl", "docker", "ffmpeg", "make", "mtx-sidecar"];

/// Shell functions in front of each script: curl fails at an HTTP error, and passwords that a command prompts for come from a
/// pipe.
const PRELUDE: &str = r#"set -eu
curl() { command curl -sS --fail-with-body --max-time 60 "$@"; }
mtx-sidecar() {
    case $1 in
    user) printf 'correct horse\n' | command mtx-sidecar "$@" ;;
    *) command mtx-sidecar "$@" ;;
    esac
}
"#;

struct Command {
    place: String,
    text: String,
}

/// The commands of a shell block: one for each line, with its continuations.
fn commands_of(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// All commands, by file.
fn all_commands() -> Vec<(String, Vec<Command>)> {
    let mut all = vec![];
    for document in documents() {
        let mut found = vec![];
        for block in blocks(&read(&document)).into_iter().filter(|block| block.language == "sh") {
            let place = format!("{}:{}", document.display(), block.line);
            found.extend(commands_of(&block.text).into_iter().map(|text| Command { place: place.clone(), text }));
        }
        all.push((document.display().to_string(), found));
    }
    let shipped = ["sidecar.yml", "mediamtx.yml", "mediamtx.jwt.yml", "docker-compose.yml", "examples"];
    for file in files(&shipped, &[".yml"]) {
        let text = read(&file);
        let comments = text.lines().filter_map(|line| line.trim_start().strip_prefix("#   "));
        let commands = comments.filter(|line| PROGRAMS.contains(&line.split(' ').next().unwrap_or_default()));
        let place = file.display().to_string();
        let command = |text: &str| Command { place: place.clone(), text: text.to_owned() };
        all.push((place.clone(), commands.map(command).collect()));
    }
    all.retain(|(_, commands)| !commands.is_empty());
    all
}

fn how(command: &str) -> Option<usize> {
    COMMANDS.iter().position(|(begin, _)| command.starts_with(begin))
}

#[test]
fn every_command_of_the_documents_is_classified() {
    let (mut unknown, mut used) = (vec![], BTreeSet::new());
    for Command { place, text } in all_commands().into_iter().flat_map(|(_, commands)| commands) {
        match how(&text) {
            Some(entry) => drop(used.insert(entry)),
            None => unknown.push(format!("{place}: {text}")),
        }
    }
    assert!(unknown.is_empty(), "tests/api/docs.rs must say how these commands are tested:\n{}", unknown.join("\n"));
    let unused: Vec<_> = (0..COMMANDS.len()).filter(|entry| !used.contains(entry)).map(|i| COMMANDS[i].0).collect();
    assert!(unused.is_empty(), "no document has these commands any longer: {unused:?}");
}

/// The files that the commands name.
async fn make_files(work: &Path, media: &Path) {
    for folder in [&work.join("photos"), &work.join("shots"), &media.join("holiday")] {
        std::fs::create_dir_all(folder).expect("makes the folder");
    }
    for picture in [work.join("picture.jpg"), work.join("photos/one.jpg"), media.join("door.jpg")] {
        std::fs::write(picture, sized_picture(160, 120, 1)).expect("writes");
    }
    let clip = work.join("clip.mp4");
    let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=1", "-pix_fmt", "yuv420p"];
    Program::output("ffmpeg", &[&source[..], &[&clip.to_string_lossy()]].concat()).await;
    std::fs::copy(&clip, media.join("holiday/clip.mp4")).expect("copies");
}

/// An application, and a folder with the files that the commands name.
struct World {
    app: TestApp,
    work: std::path::PathBuf,
}

impl World {
    async fn new() -> Self {
        // No MediaMTX: one that happens to run on this machine must not be changed.
        let (api, playback) = (free_port(), free_port());
        let app = TestApp::with(&format!(
            "mediamtx: {{api: 'http://127.0.0.1:{api}', playback: 'http://127.0.0.1:{playback}'}}"
        ));
        let work = app.folder().join("work");
        make_files(&work, &app.folder().join("media")).await;
        World { app, work }
    }

    /// bash in the folder, with this build's program first on PATH.
    fn bash(&self, script: &str) -> tokio::process::Command {
        let program = Path::new(env!("CARGO_BIN_EXE_mtx-sidecar")).parent().expect("a folder");
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
        let mut bash = tokio::process::Command::new("bash");
        bash.args(["-c", script])
            .current_dir(&self.work)
            .env("PATH", path)
            .env("SIDECAR_URL", format!("http://{}", self.app.addr))
            .env("SIDECAR__DATA_DIR", self.app.folder().join("data"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        bash
    }

    /// The command with this application's address and the administrator's password.
    fn localized(&self, command: &str) -> String {
        let password = self.app.password.as_deref().expect("the first start makes an administrator");
        let addr = self.app.addr.to_string();
        let command = command.replace("localhost:9995", &addr).replace("127.0.0.1:9995", &addr);
        command.replace("curl -u admin", &format!("curl -u admin:{password}")).replace("-i INPUT", "-i clip.mp4")
    }

    /// Runs the commands in one shell, so that variables stay.
    async fn run(&self, commands: &[&Command]) {
        let mut script = PRELUDE.to_owned();
        for command in commands {
            let shown = format!("{}: {}", command.place, command.text).replace('\'', "'\\''");
            let _ = writeln!(script, "echo '+ {shown}' >&2\n{}", self.localized(&command.text));
        }
        let mut bash = self.bash(&script);
        let output = tokio::time::timeout(4 * PATIENCE, bash.output()).await.expect("ends in time").expect("bash runs");
        let told = String::from_utf8_lossy(&output.stderr);
        let answers = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "a command fails, the last one after a +:\n{told}\n{answers}");
    }

    /// Runs an endless command until the stream has a picture. New files appear in a folder meanwhile.
    async fn run_until(&self, command: &Command, stream: &str) {
        let mut bash = self.bash(&format!("exec {}", self.localized(&command.text)));
        let mut process = bash.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("bash starts");
        let mut number = 0;
        eventually(&format!("{} brings a picture", command.place), async || {
            assert_eq!(process.try_wait().expect("can be asked"), None, "{}: {} ended", command.place, command.text);
            number += 1;
            std::fs::write(self.work.join(format!("shots/{number}.jpg")), sized_picture(64, 48, 1)).expect("writes");
            self.app.get(&format!("/snapshot/{stream}.jpg")).await.status == 200
        })
        .await;
    }
}

#[tokio::test]
async fn the_commands_of_the_documents_work() {
    let mut ran = 0;
    for (_, commands) in all_commands() {
        let world = World::new().await;
        let runs = |command: &&Command| matches!(how(&command.text).map(|entry| COMMANDS[entry].1), Some(Run));
        let to_run: Vec<_> = commands.iter().filter(runs).collect();
        ran += to_run.len();
        world.run(&to_run).await;
        for command in &commands {
            if let Some(RunUntil(stream)) = how(&command.text).map(|entry| COMMANDS[entry].1) {
                ran += 1;
                world.run_until(command, stream).await;
            }
        }
    }
    assert!(ran > 20, "only {ran} commands were run");
}

/// The templates of the OpenAPI document as patterns, with their methods.
async fn known_addresses(app: &TestApp) -> Vec<(Regex, Vec<String>)> {
    let document = app.get("/api/v1/openapi.json").await.json();
    let parameter = Regex::new(r"\\\{\w+\\\}").expect("a pattern");
    let known = |(template, methods): (&String, &serde_json::Value)| {
        let pattern = parameter.replace_all(&regex::escape(template), "[^?]+").into_owned();
        let methods = methods.as_object().expect("methods").keys().map(|method| method.to_ascii_uppercase()).collect();
        (Regex::new(&format!("^{pattern}$")).expect("a pattern"), methods)
    };
    document["paths"].as_object().expect("paths").iter().map(known).collect()
}

/// Each `METHOD /address` in code of a document is in the OpenAPI document. Words in capitals stand for a name there.
#[tokio::test]
async fn addresses_that_documents_name_exist() {
    let known = known_addresses(&TestApp::spawn()).await;
    let named = Regex::new(r"`((?:GET|PUT|POST|PATCH|DELETE)(?:\\?\|[A-Z]+)*)\s+(/[^`?\s]+)").expect("a pattern");
    let (mut found, mut wrong) = (0, vec![]);
    for file in documents() {
        for names in named.captures_iter(&read(&file)) {
            for method in names[1].replace('\\', "").split('|') {
                found += 1;
                let fits = |(pattern, methods): &(Regex, Vec<String>)| {
                    pattern.is_match(&names[2]) && methods.iter().any(|known| known == method)
                };
                if !known.iter().any(fits) {
                    wrong.push(format!("{}: {method} {}", file.display(), &names[2]));
                }
            }
        }
    }
    assert!(found > 50, "only {found} addresses were recognised");
    assert!(wrong.is_empty(), "the OpenAPI document does not have these:\n{}", wrong.join("\n"));
}

/// Each URL of the sidecar in documents and examples is an address of the OpenAPI document, or a page.
#[tokio::test]
async fn urls_in_documents_and_examples_exist() {
    let app = TestApp::spawn();
    let known = known_addresses(&app).await;
    let url = Regex::new(r#"https?://(?:localhost|sidecar|127\.0\.0\.1):9995(/[^\s`"'<>)|?#,]*)"#).expect("a pattern");
    let shipped = ["sidecar.yml", "mediamtx.yml", "mediamtx.jwt.yml", "docker-compose.yml", "examples"];
    let examples = files(&shipped, &[".yml", ".py", ".sh", ".ino"]);
    let mut found = 0;
    for file in documents().into_iter().chain(examples) {
        for path in url.captures_iter(&read(&file)).map(|found| found[1].trim_end_matches('.').to_owned()) {
            found += 1;
            let exists = known.iter().any(|(pattern, _)| pattern.is_match(&path)) || app.get(&path).await.status == 200;
            assert!(exists, "{}: there is nothing at {path}", file.display());
        }
    }
    assert!(found > 20, "only {found} URLs were recognised");
}
