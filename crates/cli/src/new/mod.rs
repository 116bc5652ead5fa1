//! `windlass new`: a project that compiles, runs, tests itself and has a page.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

/// Begins a project: an app with a page, its types and its tests
#[derive(Args)]
pub(crate) struct Options {
    /// The name of the package; its folder has the same
    name: String,
    /// The folder to make the project's in
    #[arg(long, default_value = ".", value_name = "DIR")]
    within: PathBuf,
    /// The crate `windlass` of a checkout, in the place of the published one
    #[arg(long, value_name = "DIR")]
    windlass: Option<PathBuf>,
}

pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok(folder) => {
            let folder = folder.display();
            println!("made {folder}; `cargo run` in it serves http://127.0.0.1:8080");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(Options { name, within, windlass }: &Options) -> Result<PathBuf, String> {
    if !is_package(name) {
        return Err(format!("\"{name}\" cannot be a package: letters, digits, - and _, with a letter in front"));
    }
    let source = match windlass {
        None => format!("version = \"{}\"", env!("CARGO_PKG_VERSION")),
        Some(path) => format!("path = {}", toml_text(&checkout(path)?)),
    };
    let folder = within.join(name);
    std::fs::create_dir(&folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    let manifest = MANIFEST.replace("APP", name).replace("SOURCE", &source);
    for (path, text) in [("Cargo.toml", &*manifest)].into_iter().chain(FILES) {
        let path = folder.join(path);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, text.replace("APP", name)))
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    }
    Ok(folder)
}

fn is_package(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))
        && !RESERVED.contains(&name)
}

fn checkout(path: &Path) -> Result<PathBuf, String> {
    let full = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    match full.join("Cargo.toml").is_file() {
        true => Ok(full),
        false => Err(format!("{} holds no Cargo.toml: name the folder of the crate `windlass`", path.display())),
    }
}

/// A basic string of TOML is one of JSON.
fn toml_text(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
}

/// Names that would hide a crate that the project uses, or that cargo refuses.
const RESERVED: [&str; 6] = ["windlass", "serde", "tokio", "std", "core", "test"];

const MANIFEST: &str = r#"[package]
name = "APP"
version = "0.1.0"
edition = "2024"

[dependencies]
windlass = { SOURCE, features = ["types"] }
serde = { version = "1", features = ["derive"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
ts-rs = { version = "12", features = ["no-serde-warnings"] }

[dev-dependencies]
serde_json = "1"
"#;

const FILES: [(&str, &str); 5] = [
    ("src/main.rs", include_str!("template/main.rs")),
    ("page/index.html", include_str!("template/index.html")),
    ("page/style.css", include_str!("template/style.css")),
    ("app.d.ts", include_str!("template/app.d.ts")),
    (".gitignore", "/target\n"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_cargo_takes() {
        for name in ["shop", "my-shop", "shop_2"] {
            assert!(is_package(name), "{name}");
        }
        for name in ["", "2shop", "my shop", "../shop", "shop.rs", "-x", "serde"] {
            assert!(!is_package(name), "{name}");
        }
    }
}
