//! The source of each example, a click away: its Rust, and its part of the page.

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

pub(crate) fn router() -> Router {
    Router::new().route("/source/{file}", get(source))
}

async fn source(Path(file): Path<String>) -> Response {
    match text(&file) {
        Some(text) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn text(file: &str) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| *name == file).map(|(_, text)| *text).or_else(|| part(file.strip_suffix(".html")?))
}

/// The section of the page with this id.
fn part(id: &str) -> Option<&'static str> {
    let from = PAGE.find(&format!("<section id=\"{id}\""))?;
    let to = from + PAGE[from..].find(END)? + END.len();
    Some(&PAGE[from..to])
}

const END: &str = "</section>\n";

const PAGE: &str = include_str!("../page/index.html");

const FILES: [(&str, &str); 28] = [
    ("training.rs", include_str!("../../training/src/lib.rs")),
    ("network.rs", include_str!("../../training/src/network.rs")),
    ("training.html", include_str!("../../training/page/index.html")),
    ("sweep.rs", include_str!("../../sweep/src/lib.rs")),
    ("runs.rs", include_str!("../../sweep/src/network.rs")),
    ("sweep.html", include_str!("../../sweep/page/index.html")),
    ("csv.rs", include_str!("../../csv/src/lib.rs")),
    ("analysis.rs", include_str!("../../csv/src/analysis.rs")),
    ("analyse.py", include_str!("../../csv/src/analyse.py")),
    ("csv.html", include_str!("../../csv/page/index.html")),
    ("chat.rs", include_str!("../../chat/src/lib.rs")),
    ("chat.html", include_str!("../../chat/page/index.html")),
    ("console.rs", include_str!("../../console/src/lib.rs")),
    ("controls.rs", include_str!("../../controls/src/lib.rs")),
    ("controls.html", include_str!("../../controls/page/index.html")),
    ("console.html", include_str!("../../console/page/index.html")),
    ("todomvc.rs", include_str!("../../todomvc/src/lib.rs")),
    ("todomvc.html", include_str!("../../todomvc/page/index.html")),
    ("main.rs", include_str!("main.rs")),
    ("counter.rs", include_str!("counter.rs")),
    ("fields.rs", include_str!("fields.rs")),
    ("heavy.rs", include_str!("heavy.rs")),
    ("primes.rs", include_str!("primes.rs")),
    ("text.rs", include_str!("text.rs")),
    ("table.rs", include_str!("table.rs")),
    ("index.html", PAGE),
    ("demo.css", include_str!("../page/demo.css")),
    ("demo.js", include_str!("../page/demo.js")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_link_of_the_page_leads_to_text() {
        let links: Vec<_> = PAGE.split("href=\"source/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(links.len() > 7, "one for each example at least: {links:?}");
        for link in links {
            assert!(text(link).is_some(), "{link}");
        }
    }

    #[test]
    fn a_part_is_one_whole_section() {
        let part = part("counter").expect("the page has a counter");
        assert!(part.starts_with("<section id=\"counter\"") && part.ends_with(END));
        assert_eq!(part.matches("<section").count(), 1);
        assert!(text("no_such.html").is_none() && text("../Cargo.toml").is_none());
    }
}
