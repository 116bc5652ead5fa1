//! Takes the Rust listings out of docs/guide: those of one `app=name` together are a module of that name.
//!
//! Each has a function `app()`; `serve` beside it is what the browser tests start. A listing that names no app fails the
//! build, so that the guide has no Rust that was not compiled.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

fn main() -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide");
    println!("cargo:rerun-if-changed={}", docs.display());
    let mut apps = BTreeMap::new();
    for page in pages(&docs)? {
        println!("cargo:rerun-if-changed={}", page.display());
        let text = std::fs::read_to_string(&page)?;
        listings(&text, &mut apps).with_context(|| page.display().to_string())?;
    }
    let to = PathBuf::from(std::env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?).join("apps.rs");
    std::fs::write(to, modules(&apps)?)?;
    Ok(())
}

/// The pages in the order in which they are read.
fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut pages = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    pages.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    pages.sort();
    Ok(pages)
}

fn listings(text: &str, apps: &mut BTreeMap<String, String>) -> Result<()> {
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```rust") else { continue };
        let Some(app) = info.trim().strip_prefix("app=") else {
            bail!("line {}: say which app it belongs to, as in ```rust app=counter", at + 1);
        };
        let module = apps.entry(app.to_owned()).or_default();
        for (_, line) in lines.by_ref().take_while(|(_, line)| *line != "```") {
            module.push_str(line);
            module.push('\n');
        }
    }
    Ok(())
}

fn modules(apps: &BTreeMap<String, String>) -> Result<String> {
    let mut out = String::new();
    for (name, text) in apps {
        // The listing of a whole program has the import, the others need not repeat it.
        let prelude = if text.contains("use windlass::prelude::*;") { "" } else { "use windlass::prelude::*;\n" };
        writeln!(
            out,
            "#[allow(dead_code, clippy::all, clippy::unwrap_used, reason = \"a listing of the guide\")]\n\
             mod {name} {{\n{prelude}{text}\n\
             pub(super) async fn serve(page: windlass::Page) -> Result<super::Served> {{ super::serve!(app(), page) }}\n}}"
        )?;
    }
    writeln!(
        out,
        "async fn serve_app(app: &str, page: windlass::Page) -> windlass::Result<Served> {{\n    match app {{"
    )?;
    for name in apps.keys() {
        writeln!(out, "        \"{name}\" => {name}::serve(page).await,")?;
    }
    writeln!(
        out,
        "        _ => Err(windlass::Error::internal(format!(\"no listing of docs/guide is app={{app}}\"))),\n    }}\n}}"
    )?;
    Ok(out)
}
