//! Moments as the text that an event has: RFC 3339 in UTC, with milliseconds.

use compact_str::CompactString;

use super::json::MILLIS_OF_9999;

/// The years 0 to 9999 in milliseconds since 1970: the range of RFC 3339.
const YEARS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=MILLIS_OF_9999;

/// A moment in milliseconds since 1970, or why an event cannot have it.
pub(super) fn of_millis(millis: i64) -> Result<CompactString, String> {
    rfc3339(millis).ok_or_else(|| "is a date outside the years 0 to 9999".to_owned())
}

/// A moment as text, cut to the millisecond that it is in.
pub(super) fn of_text(text: &str) -> Result<CompactString, String> {
    let parsed = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    let parsed = parsed.map_err(|_| "is text, but not RFC 3339".to_owned())?;
    let millis = i64::try_from(parsed.unix_timestamp_nanos().div_euclid(1_000_000));
    of_millis(millis.map_err(|_| "is out of range".to_owned())?)
}

/// A moment in milliseconds since 1970 as text, always with three digits of milliseconds; none beyond what RFC 3339 can say.
fn rfc3339(millis: i64) -> Option<CompactString> {
    if !YEARS.contains(&millis) {
        return None;
    }
    let seconds = time::OffsetDateTime::from_unix_timestamp(millis.div_euclid(1000)).ok()?;
    let ((year, month, day), (hour, minute, second)) = (seconds.to_calendar_date(), seconds.to_hms());
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut write = |places: std::ops::Range<usize>, mut number: u64| {
        for digit in text[places].iter_mut().rev() {
            *digit += u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
        }
    };
    write(0..4, u64::try_from(year).ok()?);
    write(20..23, u64::try_from(millis.rem_euclid(1000)).ok()?);
    for (place, number) in [(5, month.into()), (8, day), (11, hour), (14, minute), (17, second)] {
        write(place..place + 2, number.into());
    }
    std::str::from_utf8(&text).ok().map(CompactString::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_as_text_is_cut_to_the_millisecond_it_is_in() {
        let cases = [
            ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"),
            ("9999-12-31T23:59:59+00:01", "9999-12-31T23:58:59.000Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(of_text(text).as_deref(), Ok(expected));
        }
        for text in ["0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"] {
            assert!(
                of_text(text).expect_err("it is refused").contains("outside the years 0 to 9999"),
                "{text}"
            );
        }
        for text in [
            "",
            "2026-02-29T00:00:00Z",
            "2026-01-31T12:00:00",
            "2026-01-31T24:00:00Z",
            "10000-01-01T00:00:00Z",
        ] {
            assert!(of_text(text).expect_err("it is refused").contains("not RFC 3339"), "{text}");
        }
    }
}
