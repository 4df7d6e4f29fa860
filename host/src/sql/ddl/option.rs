//! The options of a declared table, and the ones every table gets.
//!
//! A table whose author names no charset is utf8mb4 with the binary collation, which MySQL and MariaDB both have: it
//! tells letters by case and accent, so that two ids never fall together. (Trailing spaces it does not tell.) Left
//! to the server, MySQL and MariaDB would choose differently, and neither would tell `a` from `A`.

use sqlparser::ast::{
    ColumnDef, ColumnOption, ColumnOptionDef, CreateTableOptions, Expr, Ident, NamedParenthesizedList,
    ObjectName, SqlOption,
};

use crate::sql::{
    name::plain,
    refusal::{Reason, not_allowed},
};

const ENGINE: &str = "InnoDB";
const CHARSET: &str = "utf8mb4";
/// Has no characters, so no collations.
const BYTES: &str = "binary";

/// The options to write: those declared, with engine, charset and collation made explicit.
pub(super) struct Options {
    pub written: Vec<SqlOption>,
    /// The collation, where the author named a charset only.
    pub assumed: Option<String>,
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
                let remedy = "only ENGINE=InnoDB, CHARSET, COLLATE, COMMENT and ROW_FORMAT may be given";
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
    let (named, charset) = (charset.is_some(), charset.unwrap_or(CHARSET));
    let mut assumed = None;
    if !collation && !charset.eq_ignore_ascii_case(BYTES) {
        let collation = binary_collation(charset);
        options.push(word("COLLATE", &collation));
        assumed = named.then_some(collation);
    }
    Ok(Options { written: options, assumed })
}

/// Gives a column that names a charset but no collation the binary one, for the same reason. Answers with it.
pub(super) fn settle_column(column: &mut ColumnDef) -> Option<String> {
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
        let collation = binary_collation(&charset);
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

/// What an allowed option is about.
fn read(option: &SqlOption) -> Option<Meaning<'_>> {
    match option {
        SqlOption::Comment(_) => Some(Meaning::Other),
        SqlOption::NamedParenthesizedList(NamedParenthesizedList { key, name: Some(name), values })
            if key.value == "ENGINE" && name.value.eq_ignore_ascii_case(ENGINE) && values.is_empty() =>
        {
            Some(Meaning::Engine)
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

fn binary_collation(charset: &str) -> String {
    format!("{}_bin", charset.to_ascii_lowercase())
}
