//! Which module of `src` uses which, read from the source. Arrows point one way: no cycle between the modules of the crate,
//! none between the modules of one folder, and only the modules at the top know `State`.
//!
//! A module uses another one where a path begins with `crate`, `super` or `self` and leads there, in a `use` or in an
//! expression. Tests are left out. A name that a `mod.rs` re-exports counts as a name of the module that defines it, and
//! what a `mod.rs` defines itself is of the folder and not of a module in it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The modules that may use `state`: protocols, and what builds and starts the program.
const MAY_USE_STATE: [&str; 4] = ["app", "cli", "rtsp", "web"];

/// Modules of one folder that are one type in several files, and why: the folder, and the modules that may use each other.
const ONE_TYPE: [(&str, &[&str]); 1] = [
    // A stream runs its producer, whose sink publishes into the stream; a watch, a supervisor and the figures have one.
    ("stream", &["producer", "stats", "stream", "supervisor", "watch"]),
];

/// A module as a path from the root of the crate: `["output", "h264"]`.
type Module = Vec<String>;

/// A path of the source, and where it stands.
#[derive(Clone, Debug)]
struct Use {
    from: Module,
    /// As it is written, without the braces around it.
    path: Vec<String>,
    file: String,
    is_public: bool,
}

/// What is read from `src`.
#[derive(Default)]
struct Sources {
    /// All modules that are files.
    modules: BTreeSet<Module>,
    uses: Vec<Use>,
}

impl Sources {
    fn read(folder: &Path) -> Self {
        let (mut sources, mut files, mut tests) = (Sources::default(), vec![], BTreeSet::new());
        walk(folder, &mut files);
        let mut parsed = vec![];
        for file in files {
            let text = std::fs::read_to_string(&file).expect("reads");
            let tokens: TokenStream = text.parse().unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let name = file.strip_prefix(folder).expect("in it").to_string_lossy().into_owned();
            parsed.push((module_of(&name), name, tokens));
        }
        for (module, _, tokens) in &parsed {
            test_modules(module, tokens.clone(), &mut tests);
        }
        let is_test = |module: &[String]| (1..=module.len()).any(|n| tests.contains(&module[..n]));
        parsed.retain(|(module, ..)| !is_test(module));
        sources.modules.extend(parsed.iter().map(|(module, ..)| module.clone()));
        for (module, file, tokens) in parsed {
            let mut reader = Reader { file, uses: &mut sources.uses };
            reader.read(&module, tokens);
        }
        sources
    }

    /// The module to which a path leads.
    fn target(&self, from: &[String], path: &[String]) -> Module {
        let mut at = from.to_vec();
        let mut rest = path;
        while let Some((first, behind)) = rest.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                name => {
                    let below = [at.as_slice(), &[name.to_owned()]].concat();
                    if !self.modules.contains(&below) {
                        return self.definer(at, name, 0);
                    }
                    at = below;
                }
            }
            rest = behind;
        }
        at
    }

    /// The module that defines a name which this one may only re-export.
    fn definer(&self, module: Module, name: &str, depth: usize) -> Module {
        // Inline modules are a part of their file.
        let module = (0..=module.len()).rev().map(|n| module[..n].to_vec()).find(|m| self.modules.contains(m));
        let module = module.unwrap_or_default();
        let exports = |u: &&Use| u.is_public && u.from == module && u.path.last().is_some_and(|last| last == name);
        match self.uses.iter().find(exports) {
            Some(found) if depth < 5 && found.path.len() > 1 => {
                let (last, before) = found.path.split_last().expect("not empty");
                let defined_in = self.target(&found.from, before);
                if defined_in == module { module } else { self.definer(defined_in, last, depth + 1) }
            }
            _ => module,
        }
    }

    /// The graph of the modules directly in this one: who uses whom, with one example.
    fn graph(&self, room: &[String]) -> Graph {
        let mut graph = Graph::default();
        for found in &self.uses {
            let target = self.target(&found.from, &found.path);
            let below = |module: &[String]| module.strip_prefix(room).and_then(|rest| rest.first()).cloned();
            if let (Some(from), Some(to)) = (below(&found.from), below(&target))
                && from != to
            {
                let example = format!("src/{}: {}", found.file, found.path.join("::"));
                graph.edges.entry(from).or_default().entry(to).or_insert(example);
            }
        }
        graph
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).expect("lists").flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// `output/h264/mod.rs` and `output/h264.rs` are `output::h264`.
fn module_of(file: &str) -> Module {
    let name = file.trim_end_matches(".rs");
    let name = name.strip_suffix("/mod").unwrap_or(name);
    if matches!(name, "lib" | "main") { vec![] } else { name.split('/').map(str::to_owned).collect() }
}

/// Whether these are the tokens in `#[…]` of something that only tests have.
fn is_for_tests(attribute: &TokenStream) -> bool {
    let text = attribute.to_string().replace(' ', "");
    text.starts_with("cfg(") && text.contains("test") && !text.contains("not(test")
}

/// The item from here on that an attribute is about: up to its block or semicolon.
fn skip_item(tokens: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    };
    tokens.iter().position(ends).map_or(tokens.len(), |at| at + 1)
}

/// Modules declared with `#[cfg(test)] mod name;`.
fn test_modules(module: &[String], tokens: TokenStream, found: &mut BTreeSet<Module>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    for (i, token) in tokens.iter().enumerate() {
        let TokenTree::Group(attribute) = token else { continue };
        if attribute.delimiter() != Delimiter::Bracket || !is_for_tests(&attribute.stream()) {
            continue;
        }
        let item = &tokens[i + 1..][..skip_item(&tokens[i + 1..])];
        let names: Vec<_> = item.iter().map(TokenTree::to_string).collect();
        if let Some(at) = names.iter().position(|name| name == "mod")
            && let Some(name) = names.get(at + 1)
        {
            found.insert([module, std::slice::from_ref(name)].concat());
        }
    }
}

/// Finds paths in the tokens of one file.
struct Reader<'a> {
    file: String,
    uses: &'a mut Vec<Use>,
}

impl Reader<'_> {
    fn read(&mut self, module: &[String], tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut i = 0;
        while i < tokens.len() {
            match &tokens[i] {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if let Some(TokenTree::Group(attribute)) = tokens.get(i + 1)
                        && is_for_tests(&attribute.stream())
                    {
                        i += 2 + skip_item(&tokens[i + 2..]);
                        continue;
                    }
                }
                TokenTree::Ident(word) if word == "mod" => {
                    if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                        (tokens.get(i + 1), tokens.get(i + 2))
                    {
                        self.read(&[module, &[name.to_string()]].concat(), body.stream());
                        i += 3;
                        continue;
                    }
                }
                TokenTree::Ident(word) if word == "use" => {
                    let end = skip_to_semicolon(&tokens[i..]);
                    let is_public = (i >= 1 && is_pub(&tokens[i - 1])) || (i >= 2 && is_pub(&tokens[i - 2]));
                    self.tree(module, &[], &tokens[i + 1..i + end], is_public);
                    i += end;
                    continue;
                }
                TokenTree::Ident(word) if matches!(word.to_string().as_str(), "crate" | "super" | "self") => {
                    let length = path_length(&tokens[i..]);
                    // `self` alone is a value, and `pub(crate)` a visibility.
                    if length > 1 {
                        self.tree(module, &[], &tokens[i..i + length], false);
                        i += length;
                        continue;
                    }
                }
                TokenTree::Group(group) => self.read(module, group.stream()),
                _ => {}
            }
            i += 1;
        }
    }

    /// Notes all paths of a tree such as `a::{b, c::d as e}`.
    fn tree(&mut self, module: &[String], before: &[String], tokens: &[TokenTree], is_public: bool) {
        let mut path = before.to_vec();
        for token in tokens {
            match token {
                TokenTree::Ident(word) if word == "as" => break,
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
                    for part in inner.split(is_comma).filter(|part| !part.is_empty()) {
                        self.tree(module, &path, part, is_public);
                    }
                    return;
                }
                _ => {}
            }
        }
        // `use name` and `use name::…` begin with a crate or with a module in this one.
        self.uses.push(Use { from: module.to_vec(), path, file: self.file.clone(), is_public });
    }
}

fn is_pub(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(word) if word == "pub")
}

fn skip_to_semicolon(tokens: &[TokenTree]) -> usize {
    let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
    tokens.iter().position(is_end).unwrap_or(tokens.len())
}

/// How many tokens belong to the path `a::b::c` at the beginning.
fn path_length(tokens: &[TokenTree]) -> usize {
    let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    let mut length = 1;
    while is_colon(tokens.get(length))
        && is_colon(tokens.get(length + 1))
        && matches!(tokens.get(length + 2), Some(TokenTree::Ident(_)))
    {
        length += 3;
    }
    length
}

/// Who uses whom, each with one example.
#[derive(Default)]
struct Graph {
    edges: BTreeMap<String, BTreeMap<String, String>>,
}

impl Graph {
    /// The shortest way from one node to another.
    fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut before: BTreeMap<&str, &str> = BTreeMap::new();
        let mut next = VecDeque::from([from]);
        while let Some(node) = next.pop_front() {
            for target in self.edges.get(node).into_iter().flat_map(BTreeMap::keys) {
                if target == to {
                    let mut way = vec![to.to_owned(), node.to_owned()];
                    let mut at = node;
                    while at != from {
                        at = before[at];
                        way.push(at.to_owned());
                    }
                    way.reverse();
                    return Some(way);
                }
                if target != from && !before.contains_key(target.as_str()) {
                    before.insert(target, node);
                    next.push_back(target);
                }
            }
        }
        None
    }

    /// Cycles, so that every module in one is in one of these; each with the uses that make it.
    fn cycles(&self) -> Vec<String> {
        let (mut found, mut seen) = (vec![], BTreeSet::new());
        for node in self.edges.keys() {
            if seen.contains(node) {
                continue;
            }
            if let Some(way) = self.way(node, node) {
                let examples = way.windows(2).map(|pair| format!("    {}", self.edges[&pair[0]][&pair[1]]));
                found.push(format!("{}\n{}", way.join(" -> "), examples.collect::<Vec<_>>().join("\n")));
                seen.extend(way);
            }
        }
        found
    }
}

fn sources() -> Sources {
    let sources = Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let count = (sources.modules.len(), sources.uses.len());
    assert!(count.0 > 100 && count.1 > 1000, "modules and paths that were recognised: {count:?}");
    sources
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    let sources = sources();
    let mut rooms: BTreeSet<Module> =
        sources.modules.iter().filter_map(|m| m.split_last()).map(|(_, m)| m.to_vec()).collect();
    rooms.insert(vec![]);
    let mut found = vec![];
    for room in rooms {
        let name = if room.is_empty() { "src".to_owned() } else { room.join("::") };
        let mut graph = sources.graph(&room);
        if let Some((_, parts)) = ONE_TYPE.iter().find(|(of, _)| *of == name) {
            let is_part = |module: &str| parts.contains(&module);
            assert!(parts.iter().all(|part| graph.edges.contains_key(*part)), "ONE_TYPE: a module of {name} is gone");
            for (_, targets) in graph.edges.iter_mut().filter(|(from, _)| is_part(from)) {
                targets.retain(|to, _| !is_part(to));
            }
        }
        found.extend(graph.cycles().into_iter().map(|cycle| format!("in {name}: {cycle}")));
    }
    assert!(found.is_empty(), "{} cycles:\n{}", found.len(), found.join("\n"));
}

#[test]
fn only_the_modules_at_the_top_use_state() {
    let sources = sources();
    let graph = sources.graph(&[]);
    let mut found = vec![];
    for (module, targets) in &graph.edges {
        if let Some(example) = targets.get("state").filter(|_| !MAY_USE_STATE.contains(&module.as_str())) {
            found.push(format!("{module} uses state: {example}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    for module in MAY_USE_STATE {
        assert!(sources.modules.contains(&vec![module.to_owned()]), "MAY_USE_STATE names {module}, which is not there");
    }
}

#[test]
fn uses_are_recognised() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        ("lib.rs", "pub mod a; pub mod b; pub mod c;"),
        ("a/mod.rs", "mod x; mod y; pub use self::x::{Thing, Other as Renamed}; pub struct Own;"),
        (
            "a/x.rs",
            "use super::{Own, y::f}; pub struct Thing; pub struct Other; // crate::c::comment\nconst S: &str = \"crate::c::text\";",
        ),
        ("a/y.rs", "fn g() -> super::Thing { crate::b::make::<crate::c::C>() }"),
        (
            "b.rs",
            "#[cfg(test)] mod tests { use crate::a::Own; } #[cfg(test)] use crate::a::Own; mod inner { use super::super::c::C; }",
        ),
        ("c/mod.rs", "#[cfg(test)] mod testing; pub struct C;"),
        ("c/testing.rs", "use crate::a::Own;"),
    ];
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("makes");
        std::fs::write(file, text).expect("writes");
    }
    let sources = Sources::read(folder.path());
    let edges = |room: &[&str]| -> Vec<String> {
        let room: Module = room.iter().map(|name| (*name).to_owned()).collect();
        let graph = sources.graph(&room);
        let all = graph.edges.iter().flat_map(|(from, to)| to.keys().map(move |to| format!("{from} -> {to}")));
        all.collect()
    };
    assert_eq!(edges(&[]), ["a -> b", "a -> c", "b -> c"]);
    assert_eq!(edges(&["a"]), ["x -> y", "y -> x"]);
    assert_eq!(sources.graph(&[]).cycles(), Vec::<String>::new());
    let cycle = "x -> y -> x\n    src/a/x.rs: super::y::f\n    src/a/y.rs: super::Thing";
    assert_eq!(sources.graph(&["a".to_owned()]).cycles(), [cycle]);
}
