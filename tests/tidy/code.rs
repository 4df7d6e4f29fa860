//! Rust by its tokens: comments and literals are told from code, and items, attributes and paths are found by their
//! punctuation. It knows no types and no macros.

/// How lines of test items begin once they are marked.
pub const BLANKED: char = '\u{0}';

/// The text with comments and literals turned to spaces; what is left are names and punctuation where they were.
pub fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let Some(end) = literal_end(bytes, at) else {
            at += 1;
            continue;
        };
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(code).expect("only whole literals were turned to spaces")
}

/// Where the comment or literal that begins here ends; none when none begins here.
pub fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let until = |end: Option<usize>| Some(end.map_or(bytes.len(), |end| at + end));
    match rest {
        [b'/', b'/', ..] => until(rest.iter().position(|byte| *byte == b'\n')),
        [b'/', b'*', ..] => {
            let (mut depth, mut end) = (1, 2);
            while depth > 0 && end < rest.len() {
                match &rest[end..] {
                    [b'/', b'*', ..] => (depth, end) = (depth + 1, end + 2),
                    [b'*', b'/', ..] => (depth, end) = (depth - 1, end + 2),
                    _ => end += 1,
                }
            }
            Some(at + end)
        }
        [b'"', ..] => until(string_end(rest, b'"')),
        [b'r', b'"' | b'#', ..]
            if !at.checked_sub(1).is_some_and(|before| is_raw_blocked(bytes, before, is_word)) =>
        {
            let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
            if rest.get(1 + hashes) != Some(&b'"') {
                return None;
            }
            let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
            let body = &rest[2 + hashes..];
            until(
                body.windows(close.len())
                    .position(|window| window == close)
                    .map(|end| 2 + 2 * hashes + 1 + end),
            )
        }
        [b'\'', b'\\', ..] => until(string_end(rest, b'\'')),
        [b'\'', first, ..] => {
            let length = match first {
                0..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                _ => 4,
            };
            // Without a closing quote it is a lifetime.
            (rest.get(1 + length) == Some(&b'\'')).then_some(at + 2 + length)
        }
        _ => None,
    }
}

/// Whether an `r` behind this byte is the end of a word and not the beginning of a raw string: `br` and `cr` are one.
pub fn is_raw_blocked(bytes: &[u8], before: usize, is_word: impl Fn(&u8) -> bool) -> bool {
    match bytes[before] {
        b'b' | b'c' => before.checked_sub(1).is_some_and(|earlier| is_word(&bytes[earlier])),
        byte => is_word(&byte),
    }
}

/// Behind the closing quote of a literal with escapes.
pub fn string_end(literal: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    while at < literal.len() {
        match literal[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Where an item that begins here ends: behind its semicolon or its braces.
pub fn item_end(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth -= 1;
                if depth == 0 && byte == b'}' {
                    return Some(at + 1);
                }
            }
            b';' if depth == 0 => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The attributes of a text, and where they end.
pub fn attributes(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.match_indices('#').filter_map(|(at, _)| {
        let open = code[at + 1..].trim_start_matches('!');
        let from = code.len() - open.len();
        if !open.starts_with('[') {
            return None;
        }
        let mut depth = 0_i32;
        let length = open.bytes().position(|byte| {
            depth += i32::from(byte == b'[') - i32::from(byte == b']');
            depth == 0
        })?;
        let end = from + length + 1;
        Some((end, &code[at..end]))
    })
}

/// From where to where items behind `#[cfg(test)]` go.
pub fn test_items(code: &str) -> Vec<(usize, usize)> {
    let tests = attributes(code).filter(|(_, attribute)| *attribute == "#[cfg(test)]");
    tests.filter_map(|(at, _)| Some((at, item_end(code, behind_attributes(code, at))?))).collect()
}

/// Where the item begins whose further attributes begin here.
pub fn behind_attributes(code: &str, from: usize) -> usize {
    let at = code.len() - code[from..].trim_start().len();
    let next = attributes(&code[at..]).next().filter(|_| code[at..].starts_with('#'));
    next.map_or(at, |(length, _)| behind_attributes(code, at + length))
}

/// The code without comments, literals and test items.
pub fn without_tests(text: &str) -> String {
    let mut code = blank(text);
    for (from, to) in test_items(&code.clone()) {
        let spaces: String = code[from..to].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        // A character of several bytes would be several spaces; the rest only looks at lines.
        code.replace_range(from..to, &spaces);
        if spaces.len() != to - from {
            return without_tests(&code);
        }
    }
    code
}

/// The text with the lines of test items marked.
pub fn mark_tests(text: &str) -> String {
    let code = blank(text);
    let tests = test_items(&code);
    let mut at = 0;
    let mut marked = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if tests.iter().any(|(from, to)| (*from..*to).contains(&at)) {
            marked.push(BLANKED);
        }
        marked.push_str(line);
        at += line.len();
    }
    marked
}

/// Where each named function begins.
pub fn functions(code: &str) -> impl Iterator<Item = (usize, &str)> {
    word_starts(code, "fn").filter_map(|at| {
        let name = code[at + 2..].trim_start();
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
        (end > 0).then(|| (at, &name[..end]))
    })
}

pub fn word_starts(text: &str, word: &str) -> impl Iterator<Item = usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let length = word.len();
    let starts: Vec<usize> = text.match_indices(word).map(|(at, _)| at).collect();
    starts
        .into_iter()
        .filter(move |at| !text[..*at].ends_with(is_word) && !text[at + length..].starts_with(is_word))
}

pub fn has_word(text: &str, word: &str) -> bool {
    word_starts(text, word).next().is_some()
}

/// Whether a path begins with this crate.
pub fn uses_crate(code: &str, name: &str) -> bool {
    word_starts(code, name).any(|at| {
        let (before, after) = (code[..at].trim_end(), code[at + name.len()..].trim_start());
        let is_path = after.starts_with("::") || before.ends_with("use") || before.ends_with("extern crate");
        is_path
            && !(before.ends_with("::")
                && before.len() > 2
                && before[..before.len() - 2].ends_with(char::is_alphanumeric))
    })
}

pub fn top_module(path: &str) -> &str {
    let inside = path.strip_prefix("host/src/").unwrap_or(path);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

/// The path of a file's module from the root of the crate.
pub fn module_path(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("host/src/").unwrap_or(path).trim_end_matches(".rs");
    inside.split('/').map(str::to_owned).collect()
}

/// Every path that a module uses, from the root of the crate, those that begin with `super` included.
pub fn module_uses(module: &[String], code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for at in word_starts(code, "crate").filter(|at| !code[..*at].ends_with('$')) {
        if let Some(rest) = code[at + "crate".len()..].strip_prefix("::") {
            paths(rest, &[], &mut found);
        }
    }
    for at in word_starts(code, "super").filter(|at| !code[..*at].ends_with("super::")) {
        let (mut rest, mut up) = (&code[at..], 0_usize);
        while let Some(further) = rest.strip_prefix("super::") {
            (rest, up) = (further, up + 1);
        }
        let up = up.saturating_sub(inline_modules(&code[..at]));
        if up > 0 && up <= module.len() {
            paths(rest, &module[..module.len() - up], &mut found);
        }
    }
    found
}

/// How many `mod name {` are open at the end of a text.
pub fn inline_modules(code: &str) -> usize {
    let mut open = Vec::new();
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'{' => {
                let mut words = code[..at].split_whitespace().rev();
                open.push(words.nth(1) == Some("mod"));
            }
            b'}' => _ = open.pop(),
            _ => {}
        }
    }
    open.into_iter().filter(|is_module| *is_module).count()
}

/// The paths of a `use` tree, or the one path, that begins here. Answers with what comes behind it.
pub fn paths<'a>(text: &'a str, before: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = paths(rest, before, found).trim_start();
            match rest.strip_prefix(',') {
                Some(further) => rest = further,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*').unwrap_or(text.len());
    if end == 0 {
        return text;
    }
    let path = [before, &[text[..end].to_owned()]].concat();
    let rest = text[end..].trim_start();
    match rest.strip_prefix("::") {
        Some(further) if !further.starts_with('<') => paths(further, &path, found),
        _ => {
            found.push(path);
            let renamed = rest.strip_prefix("as ").map(str::trim_start);
            renamed.map_or(rest, |name| name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
        }
    }
}
