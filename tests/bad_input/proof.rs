//! Where it is shown what becomes of an input: each row of a table says so, and none may point at nothing.

use crate::tidy::tests_of_the_repository;

/// Where a row's outcome is shown.
pub enum Proof<Case> {
    /// Here, by this case.
    Here(Case),
    /// By another test, by its name.
    Elsewhere(&'static str),
    /// Nowhere, for this reason.
    Not(&'static str),
}

/// Every row has a test that exists, or a reason.
pub fn assert_complete<Case>(rows: &[(&str, Proof<Case>)]) {
    let tests = tests_of_the_repository();
    for (input, proof) in rows {
        match proof {
            Proof::Here(_) => {}
            Proof::Elsewhere(test) => assert!(tests.contains(*test), "{input}: there is no test {test}"),
            Proof::Not(why) => assert!(why.len() > 20, "{input}: why is there no test?"),
        }
    }
}
