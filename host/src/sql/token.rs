//! The gate before the parser: a text passes only if it is made of tokens that MySQL and the parser cut alike.
//!
//! Tokens only, no grammar. The declared text goes through, and once more the text that is sent. MySQL's lexer is
//! taken with the host's session settings: without `ANSI_QUOTES` and `NO_BACKSLASH_ESCAPES`, with
//! `PIPES_AS_CONCAT`.

use sqlparser::{
    dialect::MySqlDialect,
    tokenizer::{Token, Tokenizer, Whitespace, Word},
};

use super::TEXT_BYTES_MAX;
use super::refusal::{Reason, excerpt};

/// The longest chain of tokens that could become one branch of the tree. Trees are walked, compared and dropped
/// by recursion, so this keeps the stack.
const DEPTH_MAX: usize = 600;
/// MySQL's limit for an identifier.
const IDENTIFIER_BYTES_MAX: usize = 64;

const PARAMETER: &str = "pass the value as a parameter";
const PLAIN: &str = "it is not part of the SQL that projectors may use";

/// The tokens of a text, whitespace and final semicolons left out; string literals keep their doubled quotes.
pub(super) fn read(text: &str) -> Result<Vec<Token>, Reason> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Reason::TooLong { bytes: text.len() });
    }
    if let Some(found) =
        text.chars().find(|&character| character.is_control() && !"\n\r\t".contains(character))
    {
        return refuse(&format!("{found:?}"), "remove the control character");
    }
    let tokens = Tokenizer::new(&MySqlDialect {}, text)
        .with_unescape(false)
        .tokenize()
        .map_err(|error| Reason::Unparsable { message: excerpt(&error.to_string()) })?;
    tokens.iter().try_for_each(allow).and_then(|()| cover(text, &tokens)).map_err(|reason| match reason {
        Reason::Comment => comment(text),
        reason => reason,
    })?;
    tokens.windows(2).try_for_each(|pair| touch(&pair[0], &pair[1]))?;
    let mut tokens: Vec<Token> =
        tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    while tokens.last() == Some(&Token::SemiColon) {
        tokens.pop();
    }
    if tokens.contains(&Token::SemiColon) {
        return Err(Reason::SeveralStatements);
    }
    if depth(&tokens) > DEPTH_MAX {
        return Err(Reason::TooDeep);
    }
    Ok(tokens)
}

/// Returns true where the token that is sent means the declared one: quotes may have been put around an identifier.
pub(super) fn same(declared: &Token, sent: &Token) -> bool {
    match (declared, sent) {
        (Token::Word(declared), Token::Word(sent)) => {
            declared.value.eq_ignore_ascii_case(&sent.value)
                && (declared.quote_style.is_none() || sent.quote_style.is_some())
        }
        _ => declared == sent,
    }
}

#[expect(clippy::match_same_arms, reason = "one line for each family")]
fn allow(token: &Token) -> Result<(), Reason> {
    match token {
        Token::Word(word) => allow_word(word),
        Token::Number(digits, long) => {
            if *long || !is_number(digits) {
                return refuse(token, "write numbers like 1, 1.5 or 1e5");
            }
            Ok(())
        }
        Token::SingleQuotedString(text) if text.contains(['\\', '\n', '\r', '\t']) => {
            refuse(token, PARAMETER)
        }
        Token::SingleQuotedString(_) => Ok(()),
        Token::Placeholder(text) if text == "?" => Ok(()),
        Token::Whitespace(Whitespace::Space | Whitespace::Newline | Whitespace::Tab) => Ok(()),
        Token::Whitespace(_) => Err(Reason::Comment),
        Token::Comma | Token::LParen | Token::RParen | Token::Period | Token::SemiColon => Ok(()),
        Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq | Token::Spaceship => {
            Ok(())
        }
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod => Ok(()),
        Token::Ampersand | Token::Pipe | Token::Caret | Token::Tilde => Ok(()),
        Token::ShiftLeft | Token::ShiftRight => Ok(()),
        Token::StringConcat => refuse(token, "its meaning depends on the session: use OR or CONCAT"),
        Token::Overlap => refuse(token, "write AND"),
        Token::ExclamationMark => refuse(token, "write NOT"),
        Token::DoubleQuotedString(_) => {
            refuse(token, "its meaning depends on the session: quote strings with ' and names with `")
        }
        Token::HexStringLiteral(_) | Token::NationalStringLiteral(_) => refuse(token, PARAMETER),
        Token::SingleQuotedByteStringLiteral(_) | Token::DoubleQuotedByteStringLiteral(_) => {
            refuse(token, "write the number (`b'0'` is 0: DEFAULT 0), or pass it as a parameter")
        }
        Token::Placeholder(_) | Token::Colon | Token::AtSign => refuse(token, "parameters are written ?"),
        Token::Arrow | Token::LongArrow => refuse(token, "use JSON_EXTRACT, which MariaDB has as well"),
        _ => refuse(token, PLAIN),
    }
}

fn allow_word(word: &Word) -> Result<(), Reason> {
    let mut bytes = word.value.bytes();
    let plain = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && matches!(word.quote_style, None | Some('`'));
    if word.value.starts_with('@') {
        return refuse(&word.value, "variables outlive the statement: pass the value as a parameter");
    }
    if !plain {
        return refuse(&word.value, "names are made of the letters a to z, digits and _");
    }
    if word.value.len() > IDENTIFIER_BYTES_MAX {
        return refuse(&word.value, "names have at most 64 letters");
    }
    Ok(())
}

/// Digits, then perhaps a fraction, then perhaps an exponent.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    digits(whole) && digits(fraction) && digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
}

/// A comment, with what is in it where MySQL runs that: `SHOW CREATE TABLE` prints some.
fn comment(text: &str) -> Reason {
    let run =
        text.split_once("/*!").map(|(_, rest)| rest.split_once("*/").map_or(rest, |(inside, _)| inside));
    match run {
        Some(inside) => {
            let inside = inside.trim_start_matches(|c: char| c.is_ascii_digit()).trim();
            Reason::RunComment { inside: excerpt(inside) }
        }
        None => Reason::Comment,
    }
}

/// The tokens, put together again, must be the text: the tokenizer opens `/*! ... */` silently.
fn cover(text: &str, tokens: &[Token]) -> Result<(), Reason> {
    let mut rest = text;
    for token in tokens {
        rest = strip(rest, token).ok_or(Reason::Comment)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(Reason::Comment) }
}

fn strip<'a>(rest: &'a str, token: &Token) -> Option<&'a str> {
    match token {
        Token::Whitespace(Whitespace::Newline) => {
            rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\n', '\r']))
        }
        Token::Neq => rest.strip_prefix("<>").or_else(|| rest.strip_prefix("!=")),
        Token::Word(Word { value, quote_style: Some(_), .. }) => {
            rest.strip_prefix('`')?.strip_prefix(value.as_str())?.strip_prefix('`')
        }
        token => rest.strip_prefix(token.to_string().as_str()),
    }
}

/// Tokens that must not stand side by side without a space, because lexers differ about where one ends.
fn touch(left: &Token, right: &Token) -> Result<(), Reason> {
    let is_wordlike = |token: &Token| {
        matches!(
            token,
            Token::Word(_) | Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_)
        )
    };
    let found = || format!("{left}{right}");
    match (left, right) {
        (Token::Word(word), Token::SingleQuotedString(_)) if word.value.starts_with('_') => {
            refuse(&found(), "leave the character set before the text out: write '...' alone")
        }
        (Token::Period, Token::Word(_)) | (Token::Word(_), Token::Period) => Ok(()),
        (Token::Period, _) | (_, Token::Period) => refuse(&found(), "write names like table.column"),
        (Token::Minus, Token::Minus) => refuse(&found(), "MySQL may read a comment: use parentheses"),
        (Token::Div, Token::Mul) | (Token::Mul, Token::Div) => refuse(&found(), "use parentheses"),
        (left, right) if is_wordlike(left) && is_wordlike(right) => refuse(&found(), "put a space between"),
        _ => Ok(()),
    }
}

/// An upper bound of how deep the tree of these tokens can be: within one pair of parentheses and between two
/// commas, every token adds at most one level to the deepest thing in there.
fn depth(tokens: &[Token]) -> usize {
    #[derive(Default)]
    struct Level {
        length: usize,
        inner: usize,
        deepest: usize,
    }
    impl Level {
        fn end(&mut self) -> usize {
            self.deepest = self.deepest.max(self.length + self.inner);
            (self.length, self.inner) = (0, 0);
            self.deepest
        }
    }
    let mut open: Vec<Level> = Vec::new();
    let mut level = Level::default();
    for token in tokens {
        level.length += 1;
        match token {
            Token::LParen => open.push(std::mem::take(&mut level)),
            Token::RParen => {
                let inner = level.end();
                level = open.pop().unwrap_or_default();
                level.inner = level.inner.max(inner);
            }
            Token::Comma => _ = level.end(),
            _ => {}
        }
    }
    open.iter().map(|level| level.length + level.inner.max(level.deepest)).sum::<usize>() + level.end()
}

fn refuse<T>(found: &(impl ToString + ?Sized), remedy: &'static str) -> Result<T, Reason> {
    Err(Reason::Token { found: excerpt(&found.to_string()), remedy })
}
