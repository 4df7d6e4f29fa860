//! The tutorial, docs/tutorial.md: its files, commands, queries and outputs, in its order, on real servers.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::guide::{folder, follow};
use super::{pictures, repository};
use crate::support::host::BINARY;
use crate::support::world::{free_port, said};
use crate::support::{Host, Options, World, until};

/// How long what a host shows may take to be so.
const PATIENCE: Duration = Duration::from_secs(20);

struct Block {
    kind: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let page = fs::read_to_string(repository().join("docs/tutorial.md")).expect("the tutorial is there");
    let parts = page.split("\n```").enumerate();
    let blocks = parts.flat_map(|(at, part)| {
        let fenced = (at % 2 == 1).then(|| {
            let (kind, text) = part.split_once('\n').unwrap_or((part, ""));
            Block { kind: kind.to_owned(), text: text.to_owned() }
        });
        let pictures = if at % 2 == 0 { pictures::named(part) } else { Vec::new() };
        let pictures = pictures.into_iter().map(|text| Block { kind: "picture".to_owned(), text });
        fenced.into_iter().chain(pictures)
    });
    blocks.collect()
}

/// The language that a reader follows the page in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    JavaScript,
    TypeScript,
    Python,
    Rust,
}

/// The projector and its version, as the page names their files for JavaScript, Python and Rust.
const SOURCES: [&str; 4] = ["projector.js", "src/app.py", "src/lib.rs", "Cargo.toml"];
/// How the two kinds of SDK name a field that is missing.
const MISSING: [&str; 2] = ["the payload has no cents", "payload of OrderPlaced: missing field `cents`"];

impl Language {
    fn name(self) -> &'static str {
        match self {
            Self::JavaScript => "javascript",
            Self::TypeScript => "typescript",
            Self::Python => "python",
            Self::Rust => "rust",
        }
    }

    /// The file of the project that a block of the page is about; none where it is another language's.
    fn file(self, file: &str) -> Option<&str> {
        match (self, file) {
            (Self::TypeScript, "projector.js") => Some("src/projector.ts"),
            (Self::JavaScript, "projector.js")
            | (Self::Python, "src/app.py")
            | (Self::Rust, "src/lib.rs" | "Cargo.toml") => Some(file),
            _ if SOURCES.contains(&file) => None,
            _ => Some(file),
        }
    }

    /// Lines that stand on the page for JavaScript alone.
    fn is_other(self, line: &str) -> bool {
        self != Self::JavaScript && line.contains("projector.js")
            || matches!(self, Self::Python | Self::Rust) && line.contains("npm")
    }

    /// What stands in the place of `npm install`: the packages are here already.
    fn packages(self) -> String {
        let here = repository();
        match self {
            Self::JavaScript | Self::TypeScript => {
                format!("ln -s {}/target/toolchains/node_modules node_modules", here.display())
            }
            Self::Python => "true".to_owned(),
            Self::Rust => format!("cp {}/plugins/Cargo.lock .", here.display()),
        }
    }
}

/// The first line that is shown and does not come, in this order. `…` stands for anything.
fn missing(expected: &str, output: &str, language: Language) -> Option<String> {
    let expected = if language == Language::Rust {
        // The place follows, where there is room for it.
        expected.replace(MISSING[0], &format!("{}…", MISSING[1]))
    } else {
        expected.to_owned()
    };
    let mut lines = output.lines();
    let counts = |line: &&str| !line.is_empty() && *line != "…" && !language.is_other(line);
    let mut expected = expected.lines().filter(counts);
    expected.find(|line| !lines.any(|other| is_like(line, other.trim_end()))).map(str::to_owned)
}

fn is_like(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || shown.ends_with('…')
}

#[test]
fn what_the_page_leaves_open_is_anything_and_nothing_else() {
    for (shown, line, like) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a…", "ab", true),
        ("…b…c", "abxc", true),
        ("…b…c", "abxcd", false),
        ("a…c", "b-c", false),
    ] {
        assert_eq!(is_like(shown, line), like, "{shown} {line}");
    }
}

/// A file with the lines of `-` replaced by those of `+`.
fn edit(file: &Path, diff: &str) {
    let of = |sign: char| {
        let lines: Vec<&str> = diff.lines().filter_map(|line| line.strip_prefix(sign)).collect();
        lines.join("\n")
    };
    let text = fs::read_to_string(file).expect("the file is there");
    let edited = text.replacen(&of('-'), &of('+'), 1);
    assert_ne!(edited, text, "{} has not what the page changes:\n{diff}", file.display());
    fs::write(file, edited).expect("it is written");
}

/// What a query gives, in columns as the page shows it.
async fn queried(world: &World, sql: &str) -> String {
    let columns = "SELECT CAST(GROUP_CONCAT(CONCAT('CAST(', column_name, ' AS CHAR)') ORDER BY ordinal_position \
                   SEPARATOR ',') AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE() AND \
                   table_name = 'sales'";
    let columns: String = sqlx::Row::get(&world.rows(columns).await[0], 0);
    let rows = world.rows(&sql.replace('*', &format!("CONCAT_WS('|', {columns})"))).await;
    let rows = rows.iter().map(|row| String::from_utf8(sqlx::Row::get(row, 0)).expect("text"));
    let rows: Vec<Vec<String>> = rows.map(|row| row.split('|').map(str::to_owned).collect()).collect();
    let width = rows.iter().map(|row| row[0].len()).max().unwrap_or(0);
    let line = |row: &Vec<String>| format!("{:<width$}  {}\n", row[0], row[1..].join("  "));
    rows.iter().map(line).collect()
}

/// The reader: where they are, and what they have.
struct Reader {
    world: World,
    folder: std::path::PathBuf,
    settings: Vec<(&'static str, String)>,
    port: u16,
    host: Option<Host>,
    output: String,
    /// The commands of the last block, as the page has them, and what each gave.
    commands: Vec<(String, String)>,
    /// They are in the project's folder.
    inside: bool,
    language: Language,
}

impl Reader {
    fn project(&self) -> std::path::PathBuf {
        self.folder.join("sales")
    }

    async fn run(&mut self, block: &str) {
        self.commands = block.lines().map(|command| (command.to_owned(), String::new())).collect();
        self.follow_commands();
        self.inside = true;
        let busy = format!("SELECT COUNT(*) FROM {}.generation WHERE state <> 'kept'", self.world.control());
        if self.host.is_some() {
            let world = &self.world;
            until("nothing is built any more", async || world.number_if_any(&busy).await == Some(0)).await;
        }
    }

    fn follow_commands(&mut self) {
        let folder = if self.inside { self.project() } else { self.folder.clone() };
        for (command, output) in &mut self.commands {
            let command = command.replace("npm install", &self.language.packages());
            let command = command.replace("--lang javascript", &format!("--lang {}", self.language.name()));
            let script = format!("cd {}\n{command}", folder.display());
            *output = follow(&self.folder, &script, &self.settings);
        }
        self.output = self.commands.iter().map(|(_, output)| output.as_str()).collect();
    }

    /// What the page shows is what came. How a projection stands is seen a moment later, so whoever looks may look again.
    fn shows(&mut self, text: &str) {
        let began = Instant::now();
        while let Some(line) = missing(text, &self.output, self.language) {
            let output = &self.output;
            let may_come = self.commands.iter().any(|(command, _)| command == "laterna status")
                && began.elapsed() < PATIENCE;
            assert!(may_come, "the page shows `{line}`, which is not there, or not in this order:\n{output}");
            self.follow_commands();
        }
    }

    async fn start(&mut self) {
        let mut command = Command::new(BINARY);
        command.current_dir(self.project()).envs(self.settings.iter().map(|(name, value)| (*name, value)));
        let host = Host::start_as(command, &self.project().join("laterna.toml"), self.port);
        self.world.until_committed("sales", 6).await;
        host.until_phase("sales", "streaming").await;
        self.host = Some(host);
    }

    /// Runs the commands of tools that a reader may not have, by what `dev/services` has in their place, in the world's databases. The
    /// index that history needs is the reader's affair.
    async fn fill(&self, text: &str) {
        let tools = repository().join("dev/services");
        let (name, uri) = (&self.world.name, &self.world.options.mongodb);
        let (servers, options) = uri.split_once("/?").expect("a URI without a database");
        let port = std::env::var("LATERNA_MYSQL_PORT").expect("dev/services env says it");
        let script = text
            .replace("CREATE DATABASE shop", &format!("CREATE DATABASE IF NOT EXISTS {name}"))
            .replace("mongodb://127.0.0.1:27017/shop?replicaSet=rs0", &format!("{servers}/{name}?{options}"))
            .replace(
                "mysql --host 127.0.0.1 ",
                &format!("{} mysql --host 127.0.0.1 --port {port} ", tools.display()),
            )
            .replace("mongoimport --uri", &format!("{} mongoimport --uri", tools.display()));
        assert_eq!(script.matches(name.as_str()).count(), 2, "{script}");
        self.world.outbox.drop_indexes().await.expect("the index is dropped");
        let mut command = Command::new("bash");
        let filled =
            command.args(["-ec", script.as_str()]).current_dir(self.project()).output().expect("bash runs");
        assert!(filled.status.success() && said(&filled).contains("imported"), "{}", said(&filled));
    }

    async fn follow(&mut self, Block { kind, text }: &Block) {
        match kind.split_once(' ').unwrap_or((kind, "")) {
            ("sh", "") => self.run(text).await,
            ("sh", "in-a-terminal-of-its-own") => self.start().await,
            ("sh", "with-other-tools") => self.fill(text).await,
            ("diff", file) => {
                if let Some(file) = self.language.file(file) {
                    edit(&self.project().join(file), text);
                }
            }
            ("sql", "") => self.output = queried(&self.world, text).await,
            ("", "") => self.shows(text),
            // The page shows the pictures of JavaScript.
            ("picture", "") if self.language != Language::JavaScript => {}
            ("picture", "") => pictures::take(text, &self.commands),
            (_, file) if !file.is_empty() => {
                let Some(file) = self.language.file(file) else { return };
                let text = match self.language {
                    Language::TypeScript => text.replace("./laterna/sdk.js", "../laterna/sdk.js"),
                    _ => text.clone(),
                };
                fs::write(self.project().join(file), format!("{text}\n")).expect("it is written");
            }
            _ => panic!("the page has a block of the kind `{kind}`, which no test follows"),
        }
    }
}

async fn the_page_is_followed(language: Language) {
    let world = World::with(&[("sales", "accounts")], Options::mysql()).await;
    let port = free_port();
    let folder = folder(&format!("tutorial-{}", language.name()));
    let settings = vec![
        ("LATERNA_MONGODB__URI", world.options.mongodb.clone()),
        ("LATERNA_MONGODB__DATABASE", world.name.clone()),
        ("LATERNA_MYSQL__URL", world.url()),
        ("LATERNA_MYSQL__CONTROL_SCHEMA", world.control()),
        ("LATERNA_HOST__ADMIN", format!("127.0.0.1:{port}")),
        ("LATERNA_HOST__HEALTH", "127.0.0.1:0".to_owned()),
    ];
    let (output, commands) = (String::new(), Vec::new());
    let mut reader =
        Reader { world, folder, settings, port, host: None, output, commands, inside: false, language };
    let blocks = blocks();
    assert!(blocks.len() > 25, "{}", blocks.len());
    for block in &blocks {
        reader.follow(block).await;
    }
    let host = reader.host.take().expect("the page has started it");
    assert!(host.stop().await.success());
    if language == Language::Rust {
        // A reader's folder has no settings of this repository.
        fs::write(reader.project().join("rustfmt.toml"), "").expect("it is written");
        let mut rustfmt = Command::new("rustfmt");
        rustfmt.args(["--check", "--edition", "2024", "src/lib.rs"]).current_dir(reader.project());
        super::succeeds(&rustfmt.output().expect("rustfmt runs"));
    }
}

#[test]
fn the_tutorial_shows_how_each_sdk_names_a_field_that_is_missing() {
    let page = fs::read_to_string(repository().join("docs/tutorial.md")).expect("the tutorial is there");
    assert!(MISSING.iter().all(|words| page.contains(words)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_does_what_it_says() {
    the_page_is_followed(Language::JavaScript).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_does_the_same_in_typescript() {
    the_page_is_followed(Language::TypeScript).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_does_the_same_in_python() {
    the_page_is_followed(Language::Python).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_does_the_same_in_rust() {
    the_page_is_followed(Language::Rust).await;
}
