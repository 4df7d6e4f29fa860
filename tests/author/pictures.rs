//! Pictures of the terminal in the documents, drawn of what commands really said. `LATERNA_WRITE_PICTURES=1` puts them
//! into `docs/images`; otherwise they have to show what is there.

use std::fs;
use std::path::Path;

use anstyle_svg::Term;

use super::repository;

/// How wide the terminal is.
const COLUMNS: usize = 110;
const BEGIN: &str = "(images/terminal-";

/// The pictures that a part of a document shows, by their names.
pub fn named(prose: &str) -> Vec<String> {
    let after = prose.split(BEGIN).skip(1);
    after.filter_map(|rest| rest.split_once(".svg)").map(|(name, _)| name.to_owned())).collect()
}

/// Draws a terminal after these commands.
pub fn take(name: &str, commands: &[(String, String)]) {
    let mut screen = String::new();
    for (command, output) in commands {
        assert!(!output.trim().is_empty(), "{command} says nothing");
        screen.extend(["\u{1b}[1;32m$\u{1b}[0m \u{1b}[1m", command, "\u{1b}[0m\n"]);
        screen.extend(output.lines().map(|line| wrapped(line.trim_end()) + "\n"));
    }
    let picture = Term::new().render_svg(screen.trim_end()) + "\n";
    let file = format!("terminal-{name}.svg");
    let taken = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    fs::create_dir_all(&taken).expect("a folder");
    fs::write(taken.join(&file), &picture).expect("it is written");
    let shown = repository().join("docs/images").join(&file);
    if std::env::var_os("LATERNA_WRITE_PICTURES").is_some() {
        fs::write(&shown, &picture).expect("it is written");
    }
    let shown = fs::read_to_string(&shown).unwrap_or_default();
    assert_eq!(words(&shown), words(&picture), "{file}: LATERNA_WRITE_PICTURES=1 draws it anew");
}

/// A line as a terminal breaks it.
fn wrapped(line: &str) -> String {
    let characters: Vec<char> = line.chars().collect();
    let rows: Vec<String> = characters.chunks(COLUMNS).map(|row| row.iter().collect()).collect();
    rows.join("\n")
}

/// What a picture says, with `#` for each number and digest, which are others each time.
fn words(picture: &str) -> String {
    let (_, drawn) = picture.split_once("<text").unwrap_or_default();
    let texts = drawn.split('>').skip(1).filter_map(|part| part.split('<').next());
    let text: String = texts.collect();
    let word = |word: &str| if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word }.to_owned();
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_picture_is_another_one_if_a_word_changes_and_the_same_if_a_number_does() {
    let picture = |text: &str| Term::new().render_svg(text);
    assert_eq!(words(&picture("a <b> 12ms 4f0c")), "a &lt;b&gt; # #");
    assert_eq!(words(&picture("held  3")), words(&picture("held 40")));
    assert_ne!(words(&picture("held 3")), words(&picture("parked 3")));
    assert_eq!(wrapped(&"é".repeat(COLUMNS + 1)), format!("{}\né", "é".repeat(COLUMNS)));
    assert_eq!(named("![A](images/terminal-a.svg) ![B](images/b.png)"), ["a"]);
}
