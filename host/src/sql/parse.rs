//! From a declared text to one tree, and from the checked tree to the text that is sent.
//!
//! Knows no rules about what a tree may hold. The text that is sent is proven to be the tree, and the tree to be
//! what was declared, token by token: where the parser and MySQL would disagree about a text, this is where it shows.

use sqlparser::{
    ast::{Expr, Statement},
    dialect::MySqlDialect,
    parser::{Parser, ParserError},
    tokenizer::Token,
};

use super::refusal::{Reason, excerpt};
use super::{token, unsupported};

/// Tokens that a message repeats, from the first that differs.
const SHOWN_TOKENS: usize = 8;

/// A declared text and what the parser made of it.
pub(super) struct Declared {
    tokens: Vec<Token>,
    pub statement: Statement,
}

/// How much of the declared text the written one must repeat.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    All,
    /// The rest is table options, which are checked one by one and written in our way.
    Beginning,
}

/// Reads exactly one statement.
pub(super) fn parse(text: &str) -> Result<Declared, Reason> {
    let tokens = token::read(text)?;
    let mut statements = parse_tokens(tokens.clone()).map_err(|reason| match reason {
        Reason::Unparsable { .. } => unsupported::form(&tokens).unwrap_or(reason),
        reason => reason,
    })?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(Declared { tokens, statement }),
        (Some(_), false) => Err(Reason::SeveralStatements),
        (None, _) => Err(Reason::Unparsable { message: "the text is empty".into() }),
    }
}

impl Declared {
    /// Fails unless `written` repeats the declared text token by token, quotes around identifiers aside.
    pub fn expect_same(&self, written: &Statement, extent: Extent) -> Result<(), Reason> {
        let written = token::read(&written.to_string()).map_err(|reason| unfaithful(&reason))?;
        let ends = |at: usize| match extent {
            Extent::All => at == self.tokens.len(),
            Extent::Beginning => at <= self.tokens.len(),
        };
        let equal =
            self.tokens.iter().zip(&written).take_while(|(left, right)| token::same(left, right)).count();
        if equal == written.len() && ends(equal) {
            return Ok(());
        }
        Err(Reason::Rewritten { declared: show(&self.tokens[equal..]), read: show(&written[equal..]) })
    }
}

/// Writes a tree as the text that is sent, and proves that reading it gives the tree.
pub(super) fn write(statement: &Statement) -> Result<String, Reason> {
    let text = statement.to_string();
    let again = parse(&text).map_err(|reason| unfaithful(&reason))?;
    if again.statement == *statement {
        Ok(text)
    } else {
        Err(Reason::Unfaithful { detail: "it reads differently".into() })
    }
}

/// One expression, for the host's own texts.
pub(super) fn expression(text: &str) -> Result<Expr, Reason> {
    let tokens = token::read(text)?;
    let mut parser = Parser::new(&MySqlDialect {}).with_tokens(tokens);
    parser.parse_expr().map_err(|error| unparsable(&error))
}

/// Returns true where two texts have the same tokens.
pub(super) fn equal_texts(left: &str, right: &str) -> bool {
    matches!((token::read(left), token::read(right)), (Ok(left), Ok(right)) if left == right)
}

fn parse_tokens(tokens: Vec<Token>) -> Result<Vec<Statement>, Reason> {
    Parser::new(&MySqlDialect {}).with_tokens(tokens).parse_statements().map_err(|error| unparsable(&error))
}

fn unparsable(error: &ParserError) -> Reason {
    match error {
        ParserError::RecursionLimitExceeded => Reason::TooDeep,
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            Reason::Unparsable { message: excerpt(message) }
        }
    }
}

fn unfaithful(reason: &Reason) -> Reason {
    Reason::Unfaithful { detail: reason.to_string() }
}

fn show(tokens: &[Token]) -> String {
    let shown: Vec<String> = tokens.iter().take(SHOWN_TOKENS).map(Token::to_string).collect();
    if shown.is_empty() { "the end".into() } else { excerpt(&shown.join(" ")) }
}
