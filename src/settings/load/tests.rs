use super::*;
use crate::{policy::Action, settings::SIDECAR_YML, units::HumanDuration, yaml};

fn env(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn read(text: &str) -> Result<Settings, String> {
    parse(text, &HashMap::new()).map(|l| l.settings).map_err(|e| e.to_string())
}

#[test]
fn the_shipped_file_is_equal_to_the_defaults() {
    let shipped = read(SIDECAR_YML).expect("no errors");
    assert_eq!(shipped, Settings::default());
}

#[test]
fn the_shipped_file_lists_every_key_with_a_comment() {
    let tree = Json::Object(yaml::parse(SIDECAR_YML).expect("YAML"));
    let schema = serde_json::to_value(Settings::default()).expect("json");
    fn visit(schema: &Json, tree: &Json, path: &str, missing: &mut Vec<String>) {
        let (Some(keys), Json::Object(table)) = (schema.as_object(), tree) else { return };
        for (key, below) in keys {
            match table.get(key) {
                Some(inner) => visit(below, inner, &format!("{path}{key}."), missing),
                None => missing.push(format!("{path}{key}")),
            }
        }
    }
    let mut missing = vec![];
    visit(&schema, &tree, "", &mut missing);
    assert!(missing.is_empty(), "not in sidecar.yml: {missing:?}");

    let lines: Vec<_> = SIDECAR_YML.lines().collect();
    let mut keys = 0;
    for (i, line) in lines.iter().enumerate() {
        let is_key = line
            .trim_start()
            .split_once(':')
            .is_some_and(|(k, _)| k.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        let is_inside_a_list = line.starts_with("      ");
        if is_key && !is_inside_a_list && !line.trim_start().starts_with('#') {
            keys += 1;
            assert!(
                i > 0 && lines[i - 1].trim_start().starts_with('#'),
                "line {}: {line:?} has no comment above",
                i + 1
            );
        }
    }
    assert!(keys > 30, "only {keys} keys were recognised");
}

/// The exact words: users meet this part of the program first.
#[test]
fn errors_have_these_words() {
    let mut wrong = vec![];
    let kinds = Definition::KINDS.join(", ");
    let (unknown_kind, similar_kind, no_kind) = (
        format!("streams.cam.kind: \"webcam\" is none of {kinds}"),
        format!("streams.cam.kind: \"fil\" is none of {kinds}; did you mean file?"),
        format!("streams.cam: needs a kind: one of {kinds}"),
    );
    for (text, expected) in [
        ("http:\n  lisen: 127.0.0.1:1", "http.lisen: is not a known key; did you mean listen?"),
        ("nonsense: 1", "nonsense: is not a known key"),
        ("http:\n  listen: 80", "http.listen: invalid socket address syntax"),
        ("http: 80", "http: is a section; write its keys below it, indented"),
        ("http:\n  workers: many", "http.workers: must be a whole number, not \"many\""),
        (
            "limits:\n  frame_size: 8X",
            "limits.frame_size: \"8X\" is not a size; write a number of bytes, or one with K, M or G, such as 16M",
        ),
        (
            "stream_defaults:\n  linger: 10",
            "stream_defaults.linger: \"10\" is not a duration; write a number and a unit, such as 500ms, 10s, 1m30s or 1h",
        ),
        ("auth:\n  generate_admin: maybe", "auth.generate_admin: must be yes or no, not \"maybe\""),
        ("auth:\n  users: all", "auth.users: is a list; begin each entry with a dash"),
        (
            "auth:\n  users:\n  - user: a\n    permisions: []",
            "auth.users[0]: unknown field `permisions`, expected one of `user`, `pass`, `ips`, `permissions`",
        ),
        (
            "auth:\n  users:\n  - user: a\n    permissions: [{action: look}]",
            "auth.users[0]: permissions[0].action: \"look\" is not one of publish, read, playback, api, metrics, pprof",
        ),
        (
            "auth:\n  users:\n  - user: a\n    permissions: [{action: read, path: '~('}]",
            "auth.users[0]: path: \"~(\" is not a valid regular expression: unclosed group",
        ),
        (
            "auth:\n  users:\n  - user: a\n    pass: 'sha256:x'",
            "auth.users[0]: pass: sha256: must be followed by the base64 of a SHA-256 digest (44 characters)",
        ),
        ("streams:\n  a b: {kind: upload}", "streams.a b: name: can contain letters, digits and _ - . / only, not ' '"),
        ("streams:\n  cam: {kind: webcam}", &unknown_kind),
        ("streams:\n  cam: {kind: fil}", &similar_kind),
        ("streams:\n  cam: {}", &no_kind),
        (
            "streams:\n  cam: {kind: file, path: x, evry: 5s}",
            "streams.cam: unknown field `evry`, expected one of `path`, `every`, `interval`, `order`",
        ),
        ("log:\n  level: loud,=", "log.level: \"loud,=\" is none of error, warn, info, debug, trace"),
        ("udp:\n  advertise: here", "udp.advertise: \"here\" is not an address; write 192.168.1.2 or 192.168.1.2:1234"),
        ("a: [", "is not valid YAML: "),
    ] {
        let error = read(text).expect_err(text);
        if !error.starts_with(expected) {
            wrong.push(format!("{text:?}\n  says   {error}\n  should {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_list_in_the_environment_is_written_with_commas_or_as_in_yaml() {
    for text in ["10.0.0.0/8,192.168.1.7", "[10.0.0.0/8, '192.168.1.7']", " [ \"10.0.0.0/8\" , 192.168.1.7, ] "] {
        let environment = HashMap::from([("SIDECAR__HTTP__TRUSTED_PROXIES".to_owned(), text.to_owned())]);
        let read = parse("", &environment).expect(text).settings.http.trusted_proxies;
        assert_eq!(read, ["10.0.0.0/8", "192.168.1.7"].map(|network| network.parse().expect("a network")), "{text}");
    }
    let none = HashMap::from([("SIDECAR__HTTP__CORS_ORIGINS".to_owned(), "[]".to_owned())]);
    assert!(parse("", &none).expect("empty").settings.http.cors_origins.is_empty());
}

#[test]
fn all_errors_are_reported_together() {
    let text = "
htp: {}
http:
  listen: nowhere
  workers: -1
limits: {frame_size: 1}
auth: {users: [{user: a, x: 1}, {user: b, pass: 'argon2:x'}]}
streams: {a: {kind: file}, b: {kind: test-card, width: wide}, 'c?': {kind: upload}}
";
    let errors = parse(text, &HashMap::new()).expect_err("many errors").0;
    let keys: Vec<_> = errors.iter().map(|p| p.key.as_str()).collect();
    for key in [
        "htp",
        "http.listen",
        "http.workers",
        "limits.frame_size",
        "auth.users[0]",
        "auth.users[1]",
        "streams.a",
        "streams.b",
        "streams.c?",
    ] {
        assert!(keys.contains(&key), "{key} is missing in {keys:?}");
    }
    assert_eq!(keys.len(), 9, "{keys:?}");
}

#[test]
fn the_environment_overrides_the_file() {
    let text = "http: {workers: 3}\nstreams:\n  FrontDoor: {kind: file, path: a.jpg}\n";
    let variables = env(&[
        ("SIDECAR__HTTP__WORKERS", "7"),
        ("SIDECAR__STREAM_DEFAULTS__LINGER", "90s"),
        ("SIDECAR__MEDIA__ROOTS", "/srv/a, /srv/b"),
        ("SIDECAR__AUTH__GENERATE_ADMIN", "no"),
        ("SIDECAR__STREAMS__FRONTDOOR__INTERVAL", "9s"),
        ("SIDECAR__STREAMS__CARD__KIND", "test-card"),
        ("SIDECAR__STREAMS__CARD__FPS", "2.5"),
        ("MTX_PATHS_X_SOURCE", "of MediaMTX"),
        ("SIDECARS", "of another program"),
    ]);
    let loaded = parse(text, &variables).expect("no errors");
    let settings = loaded.settings;
    assert_eq!(settings.http.workers, 7);
    assert_eq!(settings.stream_defaults.linger, HumanDuration::secs(90));
    assert_eq!(settings.media.roots, [PathBuf::from("/srv/a"), PathBuf::from("/srv/b")]);
    assert!(!settings.auth.generate_admin);
    let name = |text: &str| StreamName::parse(text).expect("a name");
    let Definition::File(file) = &settings.streams[&name("FrontDoor")].source else { panic!("a file") };
    assert_eq!(
        (file.path.as_str(), file.interval),
        ("a.jpg", HumanDuration::secs(9)),
        "the name has the case of the file"
    );
    let Definition::TestCard(card) = &settings.streams[&name("card")].source else { panic!("a test card") };
    assert_eq!(card.fps, 2.5);
    assert_eq!(loaded.origins["http.workers"], Origin::Environment);
    assert_eq!(loaded.origins["streams.FrontDoor.path"], Origin::File);

    let typo = parse("", &env(&[("SIDECAR__HTTP__LISTN", "x")])).expect_err("unknown").to_string();
    assert_eq!(typo, "http.listn: is not a known key; did you mean listen?");
}

#[test]
fn yaml_forms_that_mediamtx_accepts_are_accepted() {
    let settings = read(
        "
auth:
  generate_admin: no
  users:
  - user: any
    pass:
    ips: []
    permissions:
    - action: read
      path:
http:
",
    )
    .expect("no errors");
    assert!(!settings.auth.generate_admin && settings.auth.users.len() == 1);
    assert!(settings.auth.users[0].pass.is_empty());
    assert_eq!(settings.http, Settings::default().http, "an empty section has its defaults");
}

#[test]
fn secrets_can_come_from_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    std::fs::write(&path, "hunter2\n").expect("writes");
    let text = |extra: &str| {
        format!("auth:\n  users:\n  - user: a\n    pass_file: {}\n{extra}    permissions: []\n", path.display())
    };
    let settings = read(&text("")).expect("no errors");
    assert_eq!(settings.auth.users[0].pass, Credential::plain("hunter2"));
    assert_eq!(
        read(&text("    pass: x\n")).expect_err("both"),
        "auth.users[0].pass_file: pass is set, too; remove one of the two"
    );
    let missing = read("auth:\n  users:\n  - user: a\n    pass_file: /nonexistent\n").expect_err("missing");
    assert!(missing.starts_with("auth.users[0].pass_file: /nonexistent cannot be read"), "{missing}");
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(!serde_json::to_string(&settings).expect("json").contains("hunter2"));
}

#[test]
fn the_original_variables_keep_their_meaning() {
    let can = |user: &User, action| user.permissions.iter().any(|p| p.action == action);
    let loaded = parse(
        "",
        &env(&[
            ("MEDIAMTX_ADMIN_USER", "root"),
            ("MEDIAMTX_ADMIN_PASSWORD", "toor"),
            ("MEDIAMTX_USER_USER", "joe"),
            ("MEDIAMTX_USER_PASSWORD", "eoj"),
        ]),
    )
    .expect("no errors");
    let [.., admin, user] = &loaded.settings.auth.users[..] else { panic!("two more users") };
    assert!(can(admin, Action::Api) && can(admin, Action::Read));
    assert!(!can(user, Action::Api) && can(user, Action::Publish) && can(user, Action::Metrics));
    let error = parse("", &env(&[("MEDIAMTX_ADMIN_USER", "root")])).expect_err("no password").to_string();
    assert_eq!(error, "MEDIAMTX_ADMIN_PASSWORD: is required when MEDIAMTX_ADMIN_USER is set");
}

#[test]
fn overlays_of_streams_and_presets_are_read_and_their_errors_named() {
    let text = "
        streams:
          yard: {kind: test-card, overlay: [{mask: [60, 10.5, 25, 30], as: blur}, {mask: [[0, 0], [20, 0], [0, 40]]}, {text: '{name}', at: [1, 2]}]}
          part: {kind: derived, of: yard, w: 64}
        overlays:
          clock: [{text: '{time:%F %T}', at: top-right, size: 4, zone: Europe/Berlin}]";
    let settings = read(text).expect("no errors");
    let name = StreamName::parse("yard").expect("a name");
    assert_eq!(settings.streams[&name].overlay.len(), 3);
    assert_eq!(settings.overlays["clock"].len(), 1);
    for (text, says) in [
        ("streams: {a: {kind: upload, overlay: [{txt: x}]}}", "streams.a.overlay: [0]: unknown field `txt`"),
        ("overlays: {clock: [{text: '{tim}'}]}", "overlays.clock: overlay: layer 1: text: {tim} is none of"),
        ("overlays: {'A b': []}", "must be the name of a preset"),
        ("overlays: {logo: [{image: a.png}]}", "a preset cannot have an image"),
        ("overlays: 5", "overlays: is a section"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(says), "{text}: {error}");
    }
}
