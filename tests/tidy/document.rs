//! Markdown, as far as it points at something: links, anchors, and names in backticks.

use std::collections::BTreeSet;

/// The targets of a document's links, those in code left out.
pub fn link_targets(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for line in prose(text) {
        let mut is_code = false;
        let mut rest = line;
        while let Some(at) = rest.find(['`', ']']) {
            let after = &rest[at + 1..];
            if rest[at..].starts_with('`') {
                is_code = !is_code;
            } else if let Some(target) = after.strip_prefix('(').filter(|_| !is_code) {
                targets.extend(target.split([')', ' ']).next());
            } else if let Some(target) = after.strip_prefix(": ").filter(|_| line.starts_with('[')) {
                targets.extend(target.split(' ').next());
            }
            rest = after;
        }
    }
    targets
}

/// The lines of a document that are not in a code block.
pub fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// What stands in backticks in a document's prose.
pub fn quoted(text: &str) -> Vec<&str> {
    prose(text).flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The anchors of a document's headings, as they are made on the web.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let slug = |heading: &str| {
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    prose(text).filter(|line| line.starts_with('#')).map(|line| slug(line.trim_start_matches('#'))).collect()
}
