//! Text that comes from outside (ids, reasons, guests' words, servers' messages), made harmless for a log, a terminal or a
//! table: it cannot begin a line, steer a terminal, or turn the text around it. Pure.

use std::fmt::Write;
use std::net::IpAddr;

/// How many characters of a name may be wrong if it is meant.
const TYPO: usize = 2;

/// The text with every character escaped, as JSON does, that is not shown as itself: line breaks, control characters, and
/// those that change the direction of text or have no width.
pub fn harmless(text: &str) -> String {
    escape(text, is_harmful)
}

/// The text escaped as by [`harmless`], but with its line breaks and tabs: for text that the host itself laid out in
/// lines.
pub fn harmless_lines(text: &str) -> String {
    escape(text, |character| is_harmful(character) && !matches!(character, '\n' | '\t'))
}

/// The text in quotation marks: a JSON string, so that it can be read back.
pub fn quoted(text: &str) -> String {
    let inside = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", harmless(&inside))
}

/// A server's message without what stands between its first and its last quotation mark: there it has the values that it
/// was given.
pub fn without_quotations(message: &str) -> String {
    const MARKS: [char; 4] = ['\'', '"', '`', '‘'];
    match (message.find(MARKS), message.rfind(MARKS)) {
        (Some(first), Some(last)) if first < last => {
            let end = message[last..].chars().next().map_or(last, |mark| last + mark.len_utf8());
            format!("{}'…'{}", &message[..first], &message[end..])
        }
        (Some(first), _) => format!("{}'…", &message[..first]),
        _ => message.to_owned(),
    }
}

/// The one of these names that another one may be a misspelling of: it differs in case, or in at most two characters, which are
/// not digits only, nor a beginning or an end more (as `Blocked` and `Unblocked`).
pub fn alike<'n>(name: &str, among: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_lowercase();
    let near = among.into_iter().filter_map(|other| {
        let lower = other.to_lowercase();
        let distance = strsim::damerau_levenshtein(&lower, &name);
        let is_near = distance <= TYPO && distance < name.chars().count();
        let is_other = differ_in_digits_only(&lower, &name) || is_extended(&lower, &name);
        (is_near && (lower == name || !is_other)).then_some((distance, other))
    });
    near.min().map(|(_, other)| other)
}

/// As `Opened` and `Reopened`: somebody means the two characters more.
fn is_extended(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    long.len() == short.len() + TYPO && (long.ends_with(short) || long.starts_with(short))
}

/// As `line1` and `line2`, or `OrderPlacedV1` and `OrderPlacedV2`: these are names of two things.
fn differ_in_digits_only(one: &str, other: &str) -> bool {
    let digit = |character: char| character.is_ascii_digit();
    one.chars()
        .filter(|character| !digit(*character))
        .eq(other.chars().filter(|character| !digit(*character)))
}

/// Returns true where the name of a host, or its address, is this machine's own: what goes there passes no network.
pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

/// Returns true for a character that could be taken for something else than itself.
pub fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Soft hyphen, marks of direction, separators of lines and paragraphs, and what is not seen at all.
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            plain if !is_escaped(plain) => shown.push(plain),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            harmful => {
                for unit in harmful.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_would_forge_a_line_or_steer_a_terminal_is_shown_instead() {
        assert_eq!(harmless("a\u{1b}[2J\nb\r\0c\td"), "a\\u001b[2J\\nb\\r\\u0000c\\td");
        assert_eq!(harmless("\u{202e}evil\u{2066}\u{feff}\u{9b}"), "\\u202eevil\\u2066\\ufeff\\u009b");
        assert_eq!(harmless("\u{e0041}"), "\\udb40\\udc41");
        assert_eq!(harmless("Zoë 日本 \"x\" \\"), "Zoë 日本 \"x\" \\");
        assert_eq!(harmless_lines("a\tb\n\u{1b}"), "a\tb\n\\u001b");
    }

    #[test]
    fn what_a_server_quotes_is_left_out() {
        for (message, left) in [
            ("Incorrect value: 'a' for column 'b' at row 1", "Incorrect value: '…' at row 1"),
            ("Invalid text: \"it's\" at 3.", "Invalid text: '…' at 3."),
            ("no end: 'abc", "no end: '…"),
            ("no value", "no value"),
        ] {
            assert_eq!(without_quotations(message), left);
        }
    }

    #[test]
    fn a_name_is_alike_where_it_may_be_a_misspelling() {
        let names = ["AccountOpened", "AccountClosed", "line1", "a"];
        for (name, meant) in [
            ("AcountOpened", Some("AccountOpened")),
            ("accountopened", Some("AccountOpened")),
            ("AccountOpende", Some("AccountOpened")),
            ("AcountOpende", Some("AccountOpened")),
            ("AcountOpend", Some("AccountOpened")),
            ("AcuntOpend", None),
            ("line2", None),
            ("UnAccountOpened", None),
            ("AccountOpenedBy", None),
            ("AccountOpeneds", Some("AccountOpened")),
            ("lines", Some("line1")),
            ("b", None),
        ] {
            assert_eq!(alike(name, names), meant, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_text_is_harmless_and_can_be_read_back(text in any::<String>()) {
            let quoted = quoted(&text);
            prop_assert!(!quoted.chars().any(is_harmful));
            prop_assert_eq!(serde_json::from_str::<String>(&quoted).expect("it is JSON"), text);
        }
    }
}
