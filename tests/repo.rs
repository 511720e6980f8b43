//! Linters of this repository, as tests: facts that are written twice are equal, links have a target, and shipped files can
//! be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use mtx_sidecar::{
    error::{Cause, Code},
    events::{Audience, Kind as EventKind},
    producer::Definition,
    settings, yaml,
};
use regex::Regex;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Files below the folders, with these endings; never an empty list.
fn files(folders: &[&str], endings: &[&str]) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("lists").flatten() {
            let path = entry.path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = vec![];
    for folder in folders {
        walk(&root().join(folder), &mut found);
    }
    found.retain(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)));
    assert!(!found.is_empty(), "no {endings:?} in {folders:?}");
    found
}

fn documents() -> Vec<PathBuf> {
    let mut all = files(&["docs", "examples", "deploy", "tests/arduino"], &[".md"]);
    all.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    all
}

#[test]
fn links_in_documents_have_a_target() {
    let mut links = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("reads");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            links += 1;
            let there = document.parent().expect("a folder").join(path);
            assert!(there.exists(), "{} links to {target}, which is not there", document.display());
        }
    }
    assert!(links > 10, "only {links} links were recognised");
}

#[test]
fn every_error_code_is_described() {
    let text = read("docs/errors.md");
    let (text, causes) = text.split_once("## Causes").expect("a table of causes");
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), Code::ALL.len(), "one row for each code");
    for (code, row) in Code::ALL.iter().zip(rows) {
        let begin = format!("| `{}` | {} | ", code.as_str(), code.status());
        assert!(row.starts_with(&begin) && row.len() > begin.len() + 10, "{row:?} should begin with {begin:?}");
    }
    let rows: Vec<_> = causes.lines().filter(|line| line.starts_with("| `")).collect();
    let words: Vec<_> = rows.iter().filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(words, Cause::ALL.iter().map(|cause| cause.as_str()).collect::<Vec<_>>());
    for language in ["en", "ja", "zh"] {
        let texts = read(&format!("static/locales/{language}/common.json"));
        for cause in Cause::ALL {
            let key = format!("\"cause_{}\"", cause.as_str());
            assert!(texts.contains(&key), "{language} has no text {key}");
        }
    }
}

/// The table of docs/mediamtx.md: one or more words in a row, and who hears of them.
#[test]
fn every_event_is_described() {
    let text = read("docs/mediamtx.md");
    let rows = text.split("| type | when |").nth(1).expect("a table of events").lines().skip(2);
    let rows = rows.map_while(|row| row.strip_prefix("| ")?.split_once(" | "));
    let mut described = BTreeMap::new();
    for (words, when) in rows {
        let for_administrators = when.contains("for administrators");
        described.extend(words.split(" · ").map(|word| (word.trim_matches('`').to_owned(), for_administrators)));
    }
    let published =
        EventKind::ALL.iter().map(|kind| (kind.as_str().to_owned(), kind.audience() == Audience::Administrators));
    assert_eq!(described, published.collect());
}

/// Metrics that the dashboard and the alert rules name, with the endings that the text format adds.
#[test]
fn metrics_that_shipped_files_name_exist() {
    let source: String =
        files(&["src/metrics"], &[".rs"]).iter().map(|file| std::fs::read_to_string(file).expect("reads")).collect();
    let named = Regex::new(r"mtx_sidecar_([a-z0-9_]+)").expect("one");
    let mut found = BTreeSet::new();
    for file in ["deploy/monitoring/grafana.json", "deploy/monitoring/alerts.yml", "deploy/monitoring/README.md"] {
        for name in named.captures_iter(&read(file)).map(|found| found[1].to_owned()) {
            let name = ["_total", "_bucket"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
            assert!(source.contains(&format!("\"{name}\"")), "{file} names mtx_sidecar_{name}, which is no metric");
            found.insert(name.to_owned());
        }
    }
    assert!(found.len() > 25, "{found:?}");
}

#[test]
fn every_kind_is_in_the_readme_and_in_the_shipped_settings() {
    let (readme, shipped) = (read("README.md"), settings::SIDECAR_YML);
    for kind in Definition::KINDS {
        assert!(readme.contains(&format!("| `{kind}` |")), "{kind} is not in the table of README.md");
        assert!(shipped.contains(&format!("kind: {kind}")), "{kind} has no example in sidecar.yml");
    }
}

/// The examples in the comments of sidecar.yml, taken out of their comments.
#[test]
fn the_examples_in_the_shipped_settings_can_be_used() {
    let examples: Vec<_> = settings::SIDECAR_YML.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
    assert!(examples.len() >= Definition::KINDS.len(), "{examples:?}");
    let text = format!("streams:\n  {}\n", examples.join("\n  "));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sidecar.yml");
    std::fs::write(&path, text).expect("writes");
    let loaded = settings::load(Some(&path), &Default::default()).expect("the examples are right");
    assert_eq!(loaded.settings.streams.len(), examples.len());
}

/// No test starts these files: they need Docker and Kubernetes.
#[test]
fn variables_of_the_files_for_clusters_are_settings() {
    let known = settings::describe(&settings::Settings::default(), &settings::Sources::default());
    let known: BTreeSet<_> = known.into_iter().map(|setting| setting.variable).collect();
    let variable = Regex::new(r"SIDECAR__[A-Z0-9_]+").expect("a pattern");
    for file in ["deploy/compose.cluster.yml", "deploy/kubernetes/sidecar.yaml"] {
        let text = read(file);
        let used: BTreeSet<_> = variable.find_iter(&text).map(|found| found.as_str().to_owned()).collect();
        assert!(used.contains("SIDECAR__CLUSTER__NATS") && used.contains("SIDECAR__CLUSTER__SECRET"), "{file}");
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} sets {unknown:?}");
        if file.ends_with(".yml") {
            assert!(yaml::parse(&text).is_ok(), "{file} is YAML");
        }
    }
}

#[test]
fn shipped_files_can_be_read_and_name_existing_files() {
    let compose = yaml::parse(&read("docker-compose.yml")).expect("YAML");
    let services = compose["services"].as_object().expect("services");
    assert_eq!(services.len(), 2);
    for (name, service) in services {
        for key in ["restart", "volumes", "network_mode"] {
            assert!(service.get(key).is_some(), "service {name} has no {key}");
        }
        for volume in service["volumes"].as_array().expect("a list") {
            let volume = volume.as_str().expect("text");
            if let Some(path) = volume.strip_prefix("./").and_then(|v| v.split(':').next()).filter(|p| *p != "media") {
                assert!(root().join(path).exists(), "docker-compose.yml mounts {path}");
            }
        }
    }
    let healthcheck = serde_json::json!(["CMD", "mtx-sidecar", "health"]);
    let has_check = services.values().any(|service| service["healthcheck"]["test"] == healthcheck);
    assert!(has_check, "the sidecar has a healthcheck");
    let dockerfile = read("Dockerfile");
    // The base image has some of the folders, such as /media.
    assert!(!dockerfile.contains("mkdir /"), "mkdir fails for a folder that exists; use mkdir -p");
    for line in dockerfile.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        let words: Vec<_> = line.split_whitespace().collect();
        for source in &words[1..words.len() - 1] {
            assert!(root().join(source).exists(), "Dockerfile copies {source}");
        }
    }
    assert!(dockerfile.contains("USER sidecar") && dockerfile.contains("HEALTHCHECK"));
    for file in ["deploy/docker/Dockerfile", "deploy/docker/Dockerfile.ffmpeg"] {
        let dockerfile = read(file);
        for needed in
            ["USER 10001:10001", "HEALTHCHECK", "WORKDIR /config", "org.opencontainers.image.licenses", "VOLUME /data"]
        {
            assert!(dockerfile.contains(needed), "{file} has no {needed}");
        }
    }
    // What the package puts in place of the settings' working directory is there.
    let settings = read("sidecar.yml");
    assert!(settings.contains("\ndata_dir: data\n") && settings.contains("\n  roots: [media]\n"), "scripts/build-deb");
}

/// The app of Home Assistant: the keys that the Supervisor needs, and the options that the program reads.
#[test]
fn the_app_of_home_assistant_is_described_as_it_is() {
    let folder = "deploy/home-assistant/mtx_sidecar";
    let config = yaml::parse(&read(&format!("{folder}/config.yaml"))).expect("YAML");
    for key in ["name", "version", "slug", "description", "arch"] {
        assert!(config.contains_key(key), "config.yaml has no {key}");
    }
    assert_eq!(config["version"], env!("CARGO_PKG_VERSION"), "docs/releasing.md: the version of the app");
    assert_eq!(config["arch"], serde_json::json!(["aarch64", "amd64"]));
    assert_eq!(config["ingress_port"], 9995);
    let source = read("src/cli/home_assistant.rs");
    let texts = yaml::parse(&read(&format!("{folder}/translations/en.yaml"))).expect("YAML");
    let schema = config["schema"].as_object().expect("options");
    for option in schema.keys() {
        let is_read = source.contains(&format!("    {option}: "));
        assert!(is_read, "src/cli/home_assistant.rs does not read {option}");
        assert!(texts["configuration"][option]["description"].is_string(), "en.yaml does not explain {option}");
    }
    for (option, _) in config["options"].as_object().expect("defaults") {
        assert!(schema.contains_key(option), "{option}");
    }
    for port in config["ports"].as_object().expect("ports").keys() {
        assert!(texts["network"][port].is_string(), "en.yaml does not explain {port}");
    }
    assert!(yaml::parse(&read("deploy/home-assistant/repository.yaml")).expect("YAML").contains_key("name"));
    for image in ["icon.png", "logo.png"] {
        let data = std::fs::read(root().join(folder).join(image)).expect("reads");
        assert!(data.starts_with(b"\x89PNG"), "{image}");
    }
}

#[test]
fn ci_calls_the_readme_s_command_and_the_readme_has_both() {
    assert!(read(".ci/run").contains("make test"));
    let (makefile, readme) = (read("Makefile"), read("README.md"));
    for target in ["run", "test", "bench", "check", "fmt"] {
        assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "the Makefile has no {target}");
    }
    assert!(readme.contains("\nmake run ") && readme.contains("\nmake test "));
}

#[test]
fn pages_keep_to_the_content_security_policy() {
    for page in files(&["static"], &[".html"]) {
        let text = std::fs::read_to_string(&page).expect("reads");
        let page = page.display();
        for forbidden in ["<style", " style=", " onclick=", " onload=", "javascript:", "http://", "https://"] {
            assert!(!text.contains(forbidden), "{page} has {forbidden:?}");
        }
        for script in text.split("<script").skip(1) {
            assert!(script.contains(" src=") && script.contains("></script>"), "{page} has a script of its own");
        }
    }
    for script in scripts() {
        let text = std::fs::read_to_string(&script).expect("reads");
        for forbidden in ["innerHTML", "outerHTML", "document.write", "eval(", "insertAdjacentHTML"] {
            assert!(!text.contains(forbidden), "{} has {forbidden}", script.display());
        }
    }
}

/// Our own scripts of pages, not those of others in static/vendor.
fn scripts() -> Vec<PathBuf> {
    let mut all = files(&["static"], &[".js"]);
    all.retain(|path| !path.starts_with(root().join("static/vendor")));
    all
}

/// A catalogue of words as key and text, `section.key`.
fn catalogue(language: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for file in files(&[&format!("static/locales/{language}")], &[".json"]) {
        let section = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("reads");
        let words: BTreeMap<String, String> =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        all.extend(words.into_iter().map(|(key, text)| (format!("{section}.{key}"), text)));
    }
    all
}

#[test]
fn every_text_of_the_pages_exists_in_every_language() {
    let placeholders = |text: &str| {
        let found: BTreeSet<_> =
            Regex::new(r"\{\w+\}").expect("one").find_iter(text).map(|m| m.as_str().to_owned()).collect();
        found
    };
    let english = catalogue("en");
    for language in ["ja", "zh"] {
        let other = catalogue(language);
        assert_eq!(english.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "keys of en and {language}");
        for (key, text) in &english {
            assert_eq!(placeholders(text), placeholders(&other[key]), "{language} {key}");
            assert!(!text.is_empty() && !other[key].is_empty(), "{language} {key} is empty");
        }
    }
    let sections: BTreeSet<_> = english.keys().filter_map(|key| key.split('.').next()).collect();
    let any = sections.iter().copied().collect::<Vec<_>>().join("|");
    // 'section.key', wherever it stands; `section.beginning_${…}`; data-i18n="section.key".
    let literal = Regex::new(&format!(r#"['"]((?:{any})\.\w+)['"]"#)).expect("one");
    let begun = Regex::new(&format!(r"`((?:{any})\.\w*)\$\{{")).expect("one");
    let called = Regex::new(r"\bt\('([^']+)'").expect("one");
    let (mut used, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
    for file in scripts().into_iter().chain(files(&["static"], &[".html"])) {
        let text = std::fs::read_to_string(&file).expect("reads");
        for key in literal.captures_iter(&text).chain(called.captures_iter(&text)) {
            // Events of the server have dots in their names, too.
            let is_file = key[1].ends_with(".js") || key[1].ends_with(".json");
            assert!(is_file || english.contains_key(&key[1]), "{}: no text for {}", file.display(), &key[1]);
            used.insert(key[1].to_owned());
        }
        prefixes.extend(begun.captures_iter(&text).map(|m| m[1].to_owned()));
    }
    for prefix in &prefixes {
        assert!(english.keys().any(|key| key.starts_with(prefix.as_str())), "no text begins with {prefix}");
    }
    let unused: Vec<_> = english
        .keys()
        .filter(|key| !used.contains(*key) && !prefixes.iter().any(|prefix| key.starts_with(prefix.as_str())))
        .collect();
    assert_eq!(unused, Vec::<&String>::new(), "texts that no page shows");
}

#[test]
fn no_source_file_is_too_long() {
    let mut styles = files(&["static"], &[".css"]);
    styles.retain(|path| !path.starts_with(root().join("static/vendor")));
    for source in files(&["src", "tests", "benches"], &[".rs"]).into_iter().chain(scripts()).chain(styles) {
        let lines = std::fs::read_to_string(&source).expect("reads").lines().count();
        assert!(lines <= 450, "{} has {lines} lines", source.display());
    }
}

/// A failure of CI can be repeated anywhere, because CI knows no other commands than `make TARGET`.
#[test]
fn workflows_run_targets_of_the_makefile_and_nothing_else() {
    let makefile = read("Makefile");
    let command = Regex::new(r"^make ([a-z-]+)( [A-Z]+=([0-9a-z]+|\$\{\{ matrix\.[a-z]+ \}\}))*$").expect("one");
    let mut targets = BTreeSet::new();
    for workflow in files(&[".github/workflows"], &[".yml"]) {
        let text = std::fs::read_to_string(&workflow).expect("reads");
        yaml::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", workflow.display()));
        for line in text.lines() {
            let Some((_, run)) = line.split_once("run:") else { continue };
            let Some(found) = command.captures(run.trim()) else { panic!("{}: {line:?}", workflow.display()) };
            let target = found[1].to_owned();
            let is_there = makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
            assert!(is_there, "{} runs make {target}, which the Makefile does not have", workflow.display());
            targets.insert(target);
        }
    }
    for needed in ["test", "msrv", "deny", "docs", "fuzz", "soak"] {
        assert!(targets.contains(needed), "no workflow runs make {needed}");
    }
}

#[test]
fn every_target_of_the_makefile_is_explained_at_its_top() {
    let makefile = read("Makefile");
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).expect("a list of targets");
    let mut explained = 0;
    for target in phony.split_whitespace().filter(|target| !target.ends_with("-deps")) {
        let is_explained = makefile.lines().any(|line| line.starts_with(&format!("# make {target} ")));
        assert!(is_explained, "the Makefile's head does not explain {target}");
        explained += 1;
    }
    assert!(explained >= 10, "{phony}");
}

/// GitHub shows a form only if it is YAML with these keys, and silently shows none otherwise.
#[test]
fn issue_forms_can_be_read() {
    let mut forms = 0;
    for form in files(&[".github/ISSUE_TEMPLATE"], &[".yml"]) {
        let text = std::fs::read_to_string(&form).expect("reads");
        let form = form.display();
        let parsed = yaml::parse(&text).unwrap_or_else(|e| panic!("{form}: {e}"));
        if parsed.contains_key("contact_links") {
            continue;
        }
        forms += 1;
        for key in ["name", "description"] {
            assert!(parsed.contains_key(key), "{form} has no {key}");
        }
        let mut ids = BTreeSet::new();
        for element in parsed["body"].as_array().expect("a list") {
            if element["type"] != "markdown" {
                assert!(ids.insert(element["id"].to_string()), "{form} has two elements {}", element["id"]);
                assert!(element["attributes"]["label"].is_string(), "{form}");
            }
        }
        assert!(ids.len() >= 3, "{form} asks for {ids:?}");
    }
    assert_eq!(forms, 3);
}
