//! Puts the pages of `static/` into the program, compressed ahead of time, under addresses that change with them.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Pages for those who work on the pages. They are served from a checkout only.
const DEVELOPMENT: &str = "development/";

/// What is smaller than this, or compressed in itself, is sent as it is.
const WORTHWHILE: usize = 256;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=static");
    println!("cargo::rerun-if-changed=build.rs");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("static");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut paths = vec![];
    walk(&root, &mut paths)?;
    // By name, in which the program searches: the order of paths is that of their components, where style/ is before style.css.
    paths.sort_by_key(|path| path.to_string_lossy().into_owned());
    let mut files = vec![];
    let mut all = Xxh3::new();
    for path in paths {
        let name = path.strip_prefix(&root).expect("it was found there").to_string_lossy().replace('\\', "/");
        if name.starts_with(DEVELOPMENT) {
            continue;
        }
        let mut body = fs::read(&path)?;
        if name.ends_with(".css") {
            body = with_imports(&path, body)?;
        }
        all.update(name.as_bytes());
        all.update(&body);
        files.push((name, body));
    }
    let version = format!("{:016x}", all.digest());
    let mut code = format!("/// Changes with every file.\nconst VERSION: &str = \"{version}\";\n\n");
    writeln!(code, "/// All files, by name.\nstatic FILES: &[File] = &[").expect("writes to memory");
    for (name, mut body) in files {
        if name.ends_with(".html") {
            // Pages stay at their address and name the version; in the source they name the folder of development.
            let text = with_preloads(&root, String::from_utf8(body).expect("pages are UTF-8"))?;
            body = text.replace("static/dev/", &format!("static/{version}/")).into_bytes();
        }
        let plain = kept(&out, &body, "plain", |body| Ok(body.to_vec()))?;
        let is_text = [".html", ".css", ".js", ".json", ".svg"].iter().any(|ending| name.ends_with(ending));
        let (brotli, gzip) = if is_text && body.len() >= WORTHWHILE {
            (Some(kept(&out, &body, "br", brotli)?), Some(kept(&out, &body, "gz", gzip)?))
        } else {
            (None, None)
        };
        // By its name, beside this code: a path would make the code, and so the program, another one in each folder.
        let include = |path: &Path| format!("include_bytes!({:?})", path.file_name().expect("kept as a file"));
        let optional =
            |path: Option<PathBuf>| path.map_or("None".to_owned(), |path| format!("Some({})", include(&path)));
        writeln!(
            code,
            "    File {{ name: {name:?}, tag: \"{:016x}\", plain: {}, brotli: {}, gzip: {} }},",
            xxh3_64(&body),
            include(&plain),
            optional(brotli),
            optional(gzip),
        )
        .expect("writes to memory");
    }
    code.push_str("];\n");
    fs::write(out.join("pages.rs"), code)
}

/// Adds links to the modules that a page begins with: a browser learns of each only from the one that imports it, which is a
/// round trip for each level.
fn with_preloads(root: &Path, page: String) -> io::Result<String> {
    let Some((before, rest)) = page.split_once("type=\"module\" src=\"") else { return Ok(page) };
    let entry = rest.split('"').next().unwrap_or_default();
    let Some((up, entry)) = entry.split_once("static/dev/") else { return Ok(page) };
    let (mut modules, mut next) = (vec![entry.to_owned()], 0);
    while let Some(module) = modules.get(next).cloned() {
        next += 1;
        let folder = module.rsplit_once('/').map_or("", |(folder, _)| folder);
        // A static import begins a line and can continue on the next ones: import { … } from './x.js';
        let text = format!("\n{}", fs::read_to_string(root.join(&module))?);
        for statement in text.split("\nimport ").skip(1).filter_map(|rest| rest.split(';').next()) {
            let Some(target) = statement.split('\'').nth(1) else { continue };
            let mut path: Vec<_> = folder.split('/').filter(|part| !part.is_empty()).collect();
            for part in target.split('/') {
                match part {
                    "." => {}
                    ".." => drop(path.pop()),
                    part => path.push(part),
                }
            }
            let path = path.join("/");
            if !modules.contains(&path) {
                modules.push(path);
            }
        }
    }
    let link = |module: &String| format!("  <link rel=\"modulepreload\" href=\"{up}static/dev/{module}\">\n");
    let links: String = modules[1..].iter().map(link).collect();
    debug_assert!(!before.contains("</head>"), "scripts are in the head");
    Ok(page.replacen("</head>", &format!("{links}</head>"), 1))
}

/// A style sheet with the content of those that it imports in their place: a browser learns of an imported one only from the sheet that
/// imports it, and shows nothing before it has all of them. In a checkout the browser imports them itself.
fn with_imports(path: &Path, body: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut whole = vec![];
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"@import './").and_then(|rest| rest.strip_suffix(b"';\n")) {
            Some(name) => whole.extend(fs::read(path.with_file_name(String::from_utf8_lossy(name).as_ref()))?),
            None => whole.extend(line),
        }
    }
    Ok(whole)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { walk(&path, found)? } else { found.push(path) }
    }
    Ok(())
}

/// The form of this body as a file; what was made before is not made again.
fn kept(out: &Path, body: &[u8], form: &str, make: fn(&[u8]) -> io::Result<Vec<u8>>) -> io::Result<PathBuf> {
    let path = out.join(format!("{:016x}.{form}", xxh3_64(body)));
    if !path.exists() {
        fs::write(&path, make(body)?)?;
    }
    Ok(path)
}

fn brotli(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = vec![];
    let parameters = brotli::enc::BrotliEncoderParams { quality: 11, size_hint: body.len(), ..Default::default() };
    brotli::BrotliCompress(&mut &*body, &mut packed, &parameters)?;
    Ok(packed)
}

fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    packed.write_all(body)?;
    packed.finish()
}
