//! Tests of the rows that statements read besides those they write.

use super::{check, manifest};
use crate::sql::SqlRefusal;
use crate::statement::Schema;

const CUSTOMERS: &str = "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(50), region INT)";
const LINES: &str = "CREATE TABLE order_lines (order_id INT, nr INT, qty INT NOT NULL, sku VARCHAR(9), PRIMARY KEY (order_id, nr))";
const ORDERS: &str = "CREATE TABLE orders (id INT PRIMARY KEY, name VARCHAR(50), total INT, at DATETIME)";

fn shop(sql: &str) -> Result<Schema, Vec<SqlRefusal>> {
    let tables = [("customers", CUSTOMERS), ("order_lines", LINES), ("orders", ORDERS)];
    super::super::check(&manifest(&tables, &[("it", sql)]))
}

fn check_all(cases: &[(&str, &str)]) {
    for (sql, expect) in cases {
        check(sql, shop(sql).map(|schema| schema.statements[0].sql.clone()), expect);
    }
}

/// The statement reads these tables, and has these types of parameters.
fn check_reads(sql: &str, reads: &[&str], types: &str) {
    let schema = shop(sql).unwrap_or_else(|refusals| panic!("{sql}: {refusals:?}"));
    let statement = &schema.statements[0];
    assert_eq!(statement.reads, reads, "{sql}");
    let found: Vec<String> = statement.parameters.iter().map(ToString::to_string).collect();
    assert_eq!(found.join("|"), types, "{sql}");
    assert_eq!(statement.multi_row, None, "{sql}");
    assert_eq!(schema.notes().len(), usize::from(!reads.is_empty()), "{sql}");
}

#[test]
fn own_tables_are_read_and_that_is_told() {
    check_reads(
        "INSERT INTO orders (id, name) SELECT ?, c.name FROM customers c WHERE c.id = ?",
        &["customers"],
        "orders.id INT|customers.id INT",
    );
    check_reads(
        "INSERT INTO orders (id, name) SELECT ?, name FROM customers WHERE id = ? ON DUPLICATE KEY UPDATE name = VALUES(name)",
        &["customers"],
        "orders.id INT|customers.id INT",
    );
    check_reads(
        "UPDATE orders SET total = (SELECT SUM(qty) FROM order_lines WHERE order_id = ?) WHERE id = ?",
        &["order_lines"],
        "order_lines.order_id INT|orders.id INT",
    );
    check_reads(
        "UPDATE order_lines i JOIN customers p ON p.id = i.qty AND p.region = ? SET i.sku = p.name WHERE i.order_id = ?",
        &["customers"],
        "customers.region INT|order_lines.order_id INT",
    );
    check_reads(
        "DELETE i FROM order_lines i JOIN customers p ON p.region = i.qty WHERE p.name = ?",
        &["customers"],
        "customers.name text(50)",
    );
    check_reads(
        "DELETE FROM orders WHERE id IN (SELECT order_id FROM order_lines WHERE sku = ?) OR NOT EXISTS (SELECT 1 FROM customers c WHERE c.id = orders.total)",
        &["order_lines", "customers"],
        "order_lines.sku text(9)",
    );
    check_reads(
        "INSERT INTO orders (id, total) VALUES (?, (SELECT COUNT(*) FROM order_lines l WHERE l.order_id = ?))",
        &["order_lines"],
        "orders.id INT|order_lines.order_id INT",
    );
    check_reads(
        "INSERT INTO orders (id, total) SELECT l.order_id, SUM(l.qty) + ? FROM order_lines l LEFT JOIN customers c ON c.id = ? GROUP BY l.order_id HAVING COUNT(*) > ?",
        &["order_lines", "customers"],
        "DECIMAL(65,30)|customers.id INT|BIGINT",
    );
    let note = &shop("DELETE FROM orders WHERE id IN (SELECT order_id FROM order_lines)")
        .expect("it is right")
        .notes()[0];
    assert!(
        note.starts_with("statement `it` reads `order_lines` besides the table that it writes"),
        "{note}"
    );
    assert!(note.contains("only rows that events of the same aggregate wrote"), "{note}");
}

#[test]
fn the_new_row_may_have_a_name_which_is_sent_as_both_servers_know_it() {
    check_all(&[
        (
            "INSERT INTO orders (id, total) VALUES (?, ?) AS new ON DUPLICATE KEY UPDATE total = orders.total + new.total",
            "INSERT INTO `orders` (`id`, `total`) VALUES (?, ?) ON DUPLICATE KEY UPDATE `total` = `orders`.`total` + VALUES(`total`)",
        ),
        ("INSERT INTO orders (id) VALUES (?) AS new", "no: this alias of the new row"),
        (
            "INSERT INTO orders (id, total) VALUES (?, ?) AS new ON DUPLICATE KEY UPDATE total = old.total",
            "no: only the columns",
        ),
        ("UPDATE orders SET total = new.total WHERE id = ?", "no: only the columns"),
    ]);
    let schema =
        shop("INSERT INTO orders (id, total) VALUES (?, ?) AS new ON DUPLICATE KEY UPDATE total = new.total");
    assert!(schema.expect("it is right").statements[0].multi_row.is_some());
}

#[test]
fn rows_that_could_be_others_are_refused() {
    check_all(&[
        (
            "DELETE FROM orders WHERE id = (SELECT order_id FROM order_lines LIMIT 1)",
            "no: add ORDER BY the primary key",
        ),
        (
            "DELETE FROM orders WHERE id = (SELECT order_id FROM order_lines ORDER BY qty LIMIT 1)",
            "no: add ORDER BY the primary key",
        ),
        (
            "DELETE FROM orders WHERE id = (SELECT order_id FROM order_lines ORDER BY order_id, nr LIMIT 1)",
            "DELETE FROM `orders` WHERE `id` = (SELECT `order_id` FROM `order_lines` ORDER BY `order_id`, `nr` LIMIT 1)",
        ),
        (
            "DELETE FROM orders WHERE id = (SELECT MAX(order_id) FROM order_lines ORDER BY 1 LIMIT ?)",
            "no: this form of LIMIT",
        ),
        (
            "INSERT INTO orders (id, name) SELECT qty, sku FROM order_lines ON DUPLICATE KEY UPDATE name = VALUES(name)",
            "no: an upsert of rows in any order",
        ),
        (
            "REPLACE INTO orders (id, name) SELECT qty, sku FROM order_lines",
            "no: an upsert of rows in any order",
        ),
        (
            "REPLACE INTO orders (id, name) SELECT l.qty, l.sku FROM order_lines l ORDER BY l.order_id, l.nr",
            "REPLACE INTO `orders` (`id`, `name`) SELECT `l`.`qty`, `l`.`sku` FROM `order_lines` `l` ORDER BY `l`.`order_id`, `l`.`nr`",
        ),
        (
            "UPDATE orders o JOIN order_lines l ON l.order_id = o.id SET o.name = l.sku WHERE o.id = ?",
            "no: join by its primary key",
        ),
        (
            "UPDATE orders o JOIN order_lines l ON l.order_id = o.id AND l.nr = 1 SET o.name = l.sku WHERE o.id = ?",
            "UPDATE `orders` `o` JOIN `order_lines` `l` ON `l`.`order_id` = `o`.`id` AND `l`.`nr` = 1 SET `o`.`name` = `l`.`sku` WHERE `o`.`id` = ?",
        ),
        (
            "UPDATE orders o JOIN order_lines l ON order_id = o.id AND nr = 1 SET o.name = l.sku WHERE o.id = ?",
            "no: join by its primary key",
        ),
        (
            "UPDATE orders o JOIN order_lines l ON l.order_id = l.qty AND l.nr = 1 SET o.name = l.sku WHERE o.id = ?",
            "no: join by its primary key",
        ),
    ]);
}

#[test]
fn a_sum_of_a_subquery_is_not_one_of_the_query_around_it() {
    check_reads(
        "INSERT INTO orders (id, total) SELECT ?, (SELECT SUM(qty) FROM order_lines WHERE order_id = ?)",
        &["order_lines"],
        "orders.id INT|order_lines.order_id INT",
    );
    check_reads(
        "INSERT INTO orders (id, total) SELECT ?, COALESCE((SELECT SUM(l.qty) FROM order_lines l WHERE l.order_id = ?), 0) AS total ON DUPLICATE KEY UPDATE total = VALUES(total)",
        &["order_lines"],
        "orders.id INT|order_lines.order_id INT",
    );
    check_reads(
        "INSERT INTO orders (id, name, total) SELECT c.id, c.name, (SELECT SUM(l.qty) FROM order_lines l WHERE l.order_id = c.id) FROM customers c WHERE c.id = ?",
        &["customers", "order_lines"],
        "customers.id INT",
    );
    check_reads(
        "INSERT INTO orders (id, total) SELECT c.id, (SELECT SUM(qty) FROM order_lines WHERE order_id = region AND nr = ?) FROM customers c GROUP BY c.id, region",
        &["customers", "order_lines"],
        "order_lines.nr INT",
    );
    let beside = |sql| check_all(&[(sql, "no: beside GROUP BY or a sum")]);
    // The column of the query around it stands beside that one's own sum.
    beside(
        "INSERT INTO orders (id, total) SELECT COUNT(*), (SELECT SUM(l.qty) FROM order_lines l WHERE l.order_id = c.id) FROM customers c",
    );
    beside(
        "INSERT INTO orders (id, total) SELECT c.id, (SELECT SUM(qty) FROM order_lines WHERE order_id = region) FROM customers c GROUP BY c.id",
    );
    // A sum of nothing but the outer query's columns is the outer query's.
    beside(
        "INSERT INTO orders (id, total) SELECT c.id, (SELECT SUM(c.region) FROM order_lines l WHERE l.nr = 1) FROM customers c",
    );
}

#[test]
fn values_that_could_be_others_are_refused() {
    check_all(&[
        (
            "INSERT INTO orders (id, total) SELECT order_id, qty FROM order_lines GROUP BY order_id",
            "no: `qty` beside GROUP BY or a sum",
        ),
        (
            "INSERT INTO orders (id, total) SELECT order_id, SUM(qty) FROM order_lines",
            "no: `order_id` beside GROUP BY or a sum",
        ),
        (
            "UPDATE orders SET name = (SELECT GROUP_CONCAT(sku) FROM order_lines) WHERE id = ?",
            "no: the order of rows",
        ),
        (
            "UPDATE orders SET at = (SELECT NOW() FROM order_lines) WHERE id = ?",
            "no: use the event's occurred-at",
        ),
        (
            "UPDATE orders SET total = (SELECT RAND() FROM order_lines) WHERE id = ?",
            "no: derive it from the event's id",
        ),
    ]);
}

#[test]
fn other_forms_of_reading_are_refused() {
    check_all(&[
        (
            "UPDATE orders SET total = (SELECT SUM(qty) FROM order_lines FOR UPDATE) WHERE id = ?",
            "no: a locking read",
        ),
        (
            "UPDATE orders SET total = (SELECT SUM(qty) FROM shop.order_lines) WHERE id = ?",
            "no: a schema name",
        ),
        ("UPDATE orders SET total = (SELECT COUNT(*) FROM mysql.user) WHERE id = ?", "no: a schema name"),
        (
            "UPDATE orders SET total = (SELECT COUNT(*) FROM others) WHERE id = ?",
            "no: table `others` is not declared",
        ),
        ("UPDATE orders SET total = (SELECT 1 UNION SELECT 2) WHERE id = ?", "no: UNION"),
        ("UPDATE orders SET total = (WITH x AS (SELECT 1) SELECT 1) WHERE id = ?", "no: WITH"),
        ("UPDATE orders SET total = (SELECT * FROM order_lines) WHERE id = ?", "no: write the columns out"),
        (
            "UPDATE orders SET total = (SELECT SUM(q.x) FROM (SELECT qty AS x FROM order_lines) q) WHERE id = ?",
            "no: ",
        ),
        ("UPDATE orders SET total = (SELECT SUM(qty) INTO @x FROM order_lines) WHERE id = ?", "no: "),
        (
            "UPDATE orders SET total = (SELECT SUM(total) FROM orders) WHERE id = ?",
            "no: reading `orders` while it is written",
        ),
        (
            "UPDATE orders o JOIN orders p ON p.id = o.total SET o.name = p.name WHERE o.id = ?",
            "no: a join of the table with itself",
        ),
        (
            "UPDATE orders o JOIN customers c ON c.id = o.total SET name = c.name WHERE o.id = ?",
            "no: write the written table's name",
        ),
        (
            "UPDATE orders o JOIN customers c ON c.id = o.total SET c.name = o.name WHERE o.id = ?",
            "no: only the columns of the table it writes",
        ),
        ("UPDATE orders o JOIN customers c ON c.id = o.total SET o.name = c.name", "no: it has no WHERE"),
        (
            "UPDATE orders o NATURAL JOIN customers c SET o.name = c.name WHERE o.id = ?",
            "no: a join without ON",
        ),
        (
            "UPDATE orders o RIGHT JOIN customers c ON c.id = o.total SET o.name = c.name WHERE o.id = ?",
            "no: this kind of join",
        ),
        ("DELETE c FROM orders o JOIN customers c ON c.id = o.total WHERE o.id = ?", "no: DELETE"),
        (
            "DELETE o, c FROM orders o JOIN customers c ON c.id = o.total WHERE o.id = ?",
            "no: without one table to delete from",
        ),
        ("INSERT INTO orders (id, name) SELECT id FROM customers", "no: more or fewer columns"),
        (
            "INSERT INTO orders (id, total) VALUES (?, (SELECT SUM(qty) FROM order_lines WHERE order_id = orders.id))",
            "no: only the columns",
        ),
        ("CREATE TABLE t (id INT PRIMARY KEY, CHECK (id > (SELECT 1)))", "no: "),
    ]);
}

#[test]
fn a_row_is_named_by_its_key_only_in_the_keys_own_type() {
    let items = "CREATE TABLE items (id INT PRIMARY KEY, num INT, code VARCHAR(9), total INT)";
    let prices = "CREATE TABLE prices (code VARCHAR(9) PRIMARY KEY, cents INT)";
    let cut = "CREATE TABLE cut (code VARCHAR(9), cents INT, PRIMARY KEY (code(3)))";
    let joined = |by: &str| {
        format!("UPDATE items i JOIN prices p ON p.code = {by} SET i.total = p.cents WHERE i.id = ?")
    };
    let read = |by: &str| {
        format!(
            "INSERT INTO items (id, total) SELECT ?, cents FROM prices WHERE code = {by} \
             ON DUPLICATE KEY UPDATE total = VALUES(total)"
        )
    };
    let of_cut = "UPDATE items i JOIN cut p ON p.code = i.code SET i.total = p.cents WHERE i.id = ?";
    for (sql, is_taken) in [
        (joined("i.code"), true),
        (joined("i.num"), false),
        (joined("(i.num)"), false),
        (joined("i.num + 1"), false),
        (joined("CONCAT(i.num, 'x')"), true),
        (joined("'5'"), true),
        (joined("5"), false),
        (read("?"), true),
        (read("'5'"), true),
        (read("5"), false),
        (read("-5"), false),
        (of_cut.to_owned(), false),
    ] {
        let tables = [("items", items), ("prices", prices), ("cut", cut)];
        let checked = super::super::check(&manifest(&tables, &[("it", &sql)]));
        assert_eq!(checked.is_ok(), is_taken, "{sql}: {:?}", checked.err());
    }
}
