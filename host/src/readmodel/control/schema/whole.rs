//! The steps to a version as what makes it at once: each table is created with what later steps add to it.
//!
//! Two dozen changes of tables that have no row yet would take a server a second and more.

/// How a table begins and ends in a step that creates it.
const CREATES: &str = "CREATE TABLE IF NOT EXISTS ";
const CHANGES: &str = "ALTER TABLE ";
const END: &str = "\n    ) ENGINE=InnoDB";

/// A table, and the statement that creates it.
struct Created<'a> {
    name: &'a str,
    sql: String,
}

/// What the steps come to, where nothing is there yet. A statement fails where its table is there already.
pub(super) fn whole(steps: &[&[&str]]) -> Vec<String> {
    let (mut tables, mut others) = (Vec::<Created<'_>>::new(), Vec::new());
    for statement in steps.iter().copied().flatten() {
        if let Some(table) = statement.strip_prefix(CREATES) {
            tables.push(Created { name: first_word(table), sql: format!("CREATE TABLE {table}") });
        } else if let Some(change) = statement.strip_prefix(CHANGES) {
            let name = first_word(change);
            let table = tables.iter_mut().find(|table| table.name == name);
            table.expect("a step changes what one before created").change(change[name.len()..].trim());
        } else {
            others.push((*statement).to_owned());
        }
    }
    tables.into_iter().map(|table| table.sql).chain(others).collect()
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

impl Created<'_> {
    fn change(&mut self, change: &str) {
        if let Some(column) = change.strip_prefix("MODIFY COLUMN ") {
            let begin = format!("\n        {} ", first_word(column));
            let at = self.sql.find(&begin).expect("a step changes a column that is there");
            let end = at + self.sql[at..].find(",\n").expect("a key follows each column");
            self.sql.replace_range(at..end, &format!("\n        {column}"));
            return;
        }
        let added = change.strip_prefix("ADD ").expect("steps only add, or change a column");
        let added = added.strip_prefix("COLUMN ").unwrap_or(added);
        let body = self.sql.strip_suffix(END).expect("every table ends so");
        self.sql = format!("{body},\n        {added}{END}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::steps::STEPS;
    use super::*;

    #[test]
    fn every_table_of_the_steps_is_created_once_and_changed_by_none() {
        let whole = whole(&STEPS);
        let created = STEPS.iter().copied().flatten().filter(|step| step.starts_with(CREATES)).count();
        assert_eq!(whole.iter().filter(|sql| sql.starts_with("CREATE TABLE ")).count(), created);
        let changed = STEPS.iter().copied().flatten().filter(|step| step.starts_with(CHANGES)).count();
        assert!(changed > 20 && !whole.iter().any(|sql| sql.starts_with(CHANGES)), "{whole:#?}");
    }

    #[test]
    fn what_is_added_later_stands_in_the_table_at_once() {
        let first = "CREATE TABLE IF NOT EXISTS laterna.one (\n        id INT NOT NULL PRIMARY KEY,\n        a TEXT NOT NULL,\n        \
                     KEY k (id)\n    ) ENGINE=InnoDB";
        let second = "INSERT IGNORE INTO laterna.one (id) VALUES (1)";
        let steps: [&[&str]; 2] = [
            &[first, second],
            &[
                "ALTER TABLE laterna.one MODIFY COLUMN a MEDIUMTEXT NOT NULL",
                "ALTER TABLE laterna.one ADD COLUMN b INT NULL",
                "ALTER TABLE laterna.one ADD UNIQUE KEY by_b (b)",
            ],
        ];
        let table = "CREATE TABLE laterna.one (\n        id INT NOT NULL PRIMARY KEY,\n        a MEDIUMTEXT NOT NULL,\n        \
                     KEY k (id),\n        b INT NULL,\n        UNIQUE KEY by_b (b)\n    ) ENGINE=InnoDB";
        assert_eq!(whole(&steps), [table, second]);
    }
}
