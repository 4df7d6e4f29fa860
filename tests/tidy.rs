//! The rules of the house that a machine can hold: sizes, names, the direction of imports, what must not be in the
//! code, and that documents tell of things that exist.
//!
//! Every rule is a function from a tree of files to what is wrong in it, and each test first shows that its rule
//! finds a bad sample and passes a good one: a rule that finds nothing anywhere would hold nothing. It reads files
//! only, and knows nothing of Rust but its tokens.

mod agreement;
mod code;
mod document;
mod habits;
mod imports;
mod layout;
mod mentions;
mod tree;

use std::collections::BTreeSet;

use tree::{Tree, repository, test_names};

type Rule = fn(&Tree) -> Vec<String>;

/// The names of all tests there are, for tables that point at some of them.
pub fn tests_of_the_repository() -> BTreeSet<String> {
    test_names(&repository())
}

/// Fails unless the rule finds something in the bad sample, nothing in the good one, and nothing in the repository.
#[track_caller]
fn holds(rule: Rule, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    let tree = |sample: &[(&str, &str)]| -> Tree {
        sample.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    };
    assert!(
        bad.is_empty() || !rule(&tree(bad)).is_empty(),
        "the rule does not find what is wrong in {bad:?}"
    );
    if !good.is_empty() {
        assert_eq!(rule(&tree(good)), Vec::<String>::new(), "the rule finds fault with a good sample");
    }
    let found = rule(&repository());
    assert!(found.is_empty(), "{} in the repository:\n{}", found.len(), found.join("\n"));
}
