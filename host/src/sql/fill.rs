//! A checked statement with values in the place of its parameters, for people. What is sent has parameters.

use sqlparser::dialect::MySqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// The text of a checked statement with these literals, in order, where it has `?`.
pub fn fill(sql: &str, literals: &[String]) -> String {
    let tokens = Tokenizer::new(&MySqlDialect {}, sql).with_unescape(false).tokenize();
    // A checked text is one that can be cut into tokens.
    let tokens = tokens.expect("the statement passed the check");
    let mut literals = literals.iter();
    let text = |token: &Token| match token {
        Token::Placeholder(_) => literals.next().cloned().unwrap_or_else(|| token.to_string()),
        token => token.to_string(),
    };
    tokens.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn values_stand_where_the_parameters_were_and_nowhere_else() {
        let sql = r"UPDATE `a?` SET `b` = '?''\'?', `c` = ? WHERE `d` = ?";
        let filled = fill(sql, &["'?'".to_owned(), "2".to_owned()]);
        assert_eq!(filled, r"UPDATE `a?` SET `b` = '?''\'?', `c` = '?' WHERE `d` = 2");
    }
}
