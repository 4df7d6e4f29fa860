//! Forms that MySQL takes and this host does not: where a text cannot be read, the first of them is named, with what to
//! write instead. It refuses nothing by itself.

use sqlparser::tokenizer::{Token, Word};

use super::refusal::Reason;

/// Where in a table a form may stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Anywhere,
    /// Between the parentheses of CREATE TABLE.
    Column,
}

/// The remedy for a name that the parser takes for a function.
const QUOTE: &str = "put the name in backticks";

/// Words and signs that follow each other, and what to write instead.
const FORMS: [(&[&str], At, &str); 14] = [
    (&["CHARSET"], At::Column, "write CHARACTER SET"),
    (
        &["BINARY"],
        At::Column,
        "write COLLATE utf8mb4_bin, or the collation of your character set that ends in _bin",
    ),
    (
        &["ZEROFILL"],
        At::Anywhere,
        "it changes how numbers are shown, and nothing else: write UNSIGNED, and fill where they are shown",
    ),
    (&["WITH", "PARSER"], At::Anywhere, "leave it out; the index then has words as InnoDB cuts them"),
    (&["INVISIBLE"], At::Anywhere, "leave it out"),
    (&["VISIBLE"], At::Anywhere, "leave it out"),
    (&["USING", "BTREE"], At::Anywhere, "leave it out: InnoDB has no other"),
    (&["NUMERIC"], At::Column, "write DECIMAL, which is the same"),
    (&["FIXED"], At::Column, "write DECIMAL, which is the same"),
    (&["PARTITION", "BY"], At::Anywhere, "leave it out: tables of read models have no partitions"),
    (&["EXTRACT", "(", "YEAR_MONTH"], At::Anywhere, "write YEAR(d) * 100 + MONTH(d)"),
    (
        &["EXTRACT", "(", "DAY_HOUR"],
        At::Anywhere,
        "take its parts by themselves, e.g. DAY(d) * 100 + HOUR(d)",
    ),
    (
        &["EXTRACT", "(", "HOUR_MINUTE"],
        At::Anywhere,
        "take its parts by themselves, e.g. HOUR(d) * 100 + MINUTE(d)",
    ),
    (
        &["EXTRACT", "(", "MINUTE_SECOND"],
        At::Anywhere,
        "take its parts by themselves, e.g. MINUTE(d) * 100 + SECOND(d)",
    ),
];

/// Names that the parser takes for functions of a syntax of their own, and MySQL for names as well.
const FUNCTIONS: [&str; 8] =
    ["TRIM", "EXTRACT", "SUBSTRING", "POSITION", "OVERLAY", "CEIL", "FLOOR", "CONVERT"];

/// The form that a text has which cannot be read, where it is a known one.
pub(super) fn form(tokens: &[Token]) -> Option<Reason> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        let rest = &tokens[at..];
        let fits = |(words, place, _): &&(&[&str], At, &str)| {
            (*place == At::Anywhere || depth > 0)
                && rest.len() >= words.len()
                && words.iter().zip(rest).all(|(word, token)| is(token, word))
        };
        if let Some((words, _, remedy)) = FORMS.iter().find(fits) {
            return Some(Reason::Unsupported { form: words.join(" ").replace(" ( ", "("), remedy });
        }
        let is_called = rest.get(1) == Some(&Token::LParen);
        if let Some(name) = FUNCTIONS.iter().find(|name| is(token, name)).filter(|_| !is_called) {
            return Some(Reason::Unsupported { form: name.to_lowercase(), remedy: QUOTE });
        }
        if is(token, "MOD") && !is_called {
            return Some(Reason::Unsupported { form: "MOD".to_owned(), remedy: "write n % 4, or MOD(n, 4)" });
        }
        // An index may have a comment only where it has no words of its own.
        if is(token, "COMMENT") && tokens[..at].iter().any(|token| is(token, "FULLTEXT")) {
            return Some(Reason::Unsupported {
                form: "COMMENT of a FULLTEXT key".to_owned(),
                remedy: "leave it out",
            });
        }
    }
    None
}

fn is(token: &Token, word: &str) -> bool {
    if word == "(" {
        return *token == Token::LParen;
    }
    matches!(token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word))
}
