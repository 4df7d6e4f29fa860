//! The options of a declared table, and the ones every table gets.
//!
//! A table whose author names no collation gets a binary one that does not pad: it distinguishes case, accents and blanks at the
//! end, so that two ids never fall together. MySQL and MariaDB have it under two names. Left to the server, they would
//! choose differently, and neither would distinguish `a` from `A`.

use sqlparser::ast::{
    ColumnDef, ColumnOption, ColumnOptionDef, CreateTableOptions, Expr, Ident, NamedParenthesizedList,
    ObjectName, SqlOption, Value,
};

use crate::sql::name::plain;
use crate::sql::refusal::{Reason, not_allowed};
use crate::statement::TextOrder;

const ENGINE: &str = "InnoDB";
const CHARSET: &str = "utf8mb4";
/// Has no characters, so no collations.
const BYTES: &str = "binary";

/// The options to write: those declared, with engine and charset made explicit.
pub(super) struct Options {
    pub written: Vec<SqlOption>,
    /// The charset whose collation is still open.
    open: Option<String>,
    /// Whether the author named that charset.
    is_named: bool,
}

impl Options {
    /// The options with the collation, and that collation where the author named a charset only.
    pub fn settled(&self, order: TextOrder) -> (Vec<SqlOption>, Option<String>) {
        let collation = self.open.as_ref().map(|charset| order.collation(charset));
        let chosen = collation.as_ref().map(|collation| word("COLLATE", collation));
        let written = self.written.iter().cloned().chain(chosen).collect();
        (written, collation.filter(|_| self.is_named))
    }
}

pub(super) fn check(declared: &CreateTableOptions) -> Result<Options, Vec<Reason>> {
    let declared = match declared {
        CreateTableOptions::None => &[],
        CreateTableOptions::Plain(options) => options.as_slice(),
        other => return Err(vec![not_allowed(format_args!("`{other}`"), "write MySQL's table options")]),
    };
    let mut reasons = Vec::new();
    let (mut options, mut charset, mut collation) = (vec![engine()], None, false);
    for option in declared {
        match read(option) {
            Some(Meaning::Engine) => continue,
            Some(Meaning::Charset(word)) => charset = Some(word),
            Some(Meaning::Collation) => collation = true,
            Some(Meaning::Other) => {}
            None => {
                let remedy = remedy(option);
                reasons.push(not_allowed(format_args!("table option `{option}`"), remedy));
            }
        }
        options.push(option.clone());
    }
    if !reasons.is_empty() {
        return Err(reasons);
    }
    if charset.is_none() && !collation {
        options.push(word("DEFAULT CHARSET", CHARSET));
    }
    let (is_named, charset) = (charset.is_some(), charset.unwrap_or(CHARSET));
    let is_open = !collation && !charset.eq_ignore_ascii_case(BYTES);
    Ok(Options { open: is_open.then(|| charset.to_owned()), is_named, written: options })
}

/// Gives a column that names a charset but no collation the binary one, for the same reason. Answers with it.
pub(super) fn settle_column(column: &mut ColumnDef, order: TextOrder) -> Option<String> {
    let has_collation =
        column.options.iter().any(|option| matches!(option.option, ColumnOption::Collation(_)));
    let charset = column.options.iter().enumerate().find_map(|(at, option)| match &option.option {
        ColumnOption::CharacterSet(name) => Some((at, plain(name)?.to_owned())),
        _ => None,
    });
    if let Some((at, charset)) = charset
        && !has_collation
        && !charset.eq_ignore_ascii_case(BYTES)
    {
        let collation = order.collation(&charset);
        let option = ColumnOption::Collation(ObjectName::from(vec![Ident::new(collation.as_str())]));
        column.options.insert(at + 1, ColumnOptionDef { name: None, option });
        return Some(collation);
    }
    None
}

enum Meaning<'a> {
    Engine,
    Charset(&'a str),
    Collation,
    Other,
}

/// Options of how rows are kept and counted, which change no row.
const SIZES: [&str; 7] = [
    "KEY_BLOCK_SIZE",
    "STATS_PERSISTENT",
    "STATS_AUTO_RECALC",
    "STATS_SAMPLE_PAGES",
    "AVG_ROW_LENGTH",
    "MAX_ROWS",
    "MIN_ROWS",
];
const STATISTICS: [&str; 3] = ["STATS_PERSISTENT", "STATS_AUTO_RECALC", "STATS_SAMPLE_PAGES"];

fn is_in(list: &[&str], word: &str) -> bool {
    list.iter().any(|one| one.eq_ignore_ascii_case(word))
}

/// The remedy for an option that may not be given.
fn remedy(option: &SqlOption) -> &'static str {
    match option {
        SqlOption::KeyValue { key, .. } if key.value == "AUTO_INCREMENT" => {
            "leave it out: keys come from events, and a rebuilt table would get other numbers"
        }
        SqlOption::KeyValue { key, .. }
            if is_in(&["CHECKSUM", "DELAY_KEY_WRITE", "PACK_KEYS"], &key.value) =>
        {
            "leave it out: InnoDB does not have it"
        }
        _ => {
            "leave it out: ENGINE=InnoDB, CHARSET, COLLATE, COMMENT, ROW_FORMAT, KEY_BLOCK_SIZE, the sizes and STATS_... \
             may be given"
        }
    }
}

/// The subject of an allowed option.
fn read(option: &SqlOption) -> Option<Meaning<'_>> {
    match option {
        SqlOption::Comment(_) => Some(Meaning::Other),
        SqlOption::NamedParenthesizedList(NamedParenthesizedList { key, name: Some(name), values })
            if key.value == "ENGINE" && name.value.eq_ignore_ascii_case(ENGINE) && values.is_empty() =>
        {
            Some(Meaning::Engine)
        }
        SqlOption::KeyValue { key, value: Expr::Value(value) }
            if is_in(&SIZES, &key.value) && matches!(value.value, Value::Number(_, false)) =>
        {
            Some(Meaning::Other)
        }
        SqlOption::KeyValue { key, value: Expr::Identifier(word) }
            if is_in(&STATISTICS, &key.value) && word.value.eq_ignore_ascii_case("DEFAULT") =>
        {
            Some(Meaning::Other)
        }
        SqlOption::KeyValue { key, value: Expr::Identifier(word) } if word.quote_style.is_none() => {
            match key.value.as_str() {
                "DEFAULT CHARSET" | "CHARSET" | "DEFAULT CHARACTER SET" | "CHARACTER SET" => {
                    Some(Meaning::Charset(&word.value))
                }
                "DEFAULT COLLATE" | "COLLATE" => Some(Meaning::Collation),
                "ROW_FORMAT" => Some(Meaning::Other),
                _ => None,
            }
        }
        _ => None,
    }
}

fn engine() -> SqlOption {
    SqlOption::NamedParenthesizedList(NamedParenthesizedList {
        key: Ident::new("ENGINE"),
        name: Some(Ident::new(ENGINE)),
        values: Vec::new(),
    })
}

fn word(key: &str, value: &str) -> SqlOption {
    SqlOption::KeyValue { key: Ident::new(key), value: Expr::Identifier(Ident::new(value)) }
}
