//! Days and moments: in UTC, and cut, never rounded: what is stored is not later than what happened.

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use super::Fitted;
use crate::statement::Value;

const YEARS: &str = "is outside of the years 0 to 9999";

/// The moment of a value.
pub(super) fn of(value: &Value) -> Fitted<PrimitiveDateTime> {
    match value {
        Value::Timestamp(text) => rfc3339(text),
        Value::Text(text) => plain(text).map_or_else(|| rfc3339(text), Ok).map_err(|why| match why {
            YEARS => YEARS,
            _ => "is no day or moment like 2026-01-31 or 2026-01-31T12:00:00Z",
        }),
        _ => Err("is no moment"),
    }
}

/// RFC 3339 in UTC, cut to microseconds.
pub(super) fn rfc3339(text: &str) -> Fitted<PrimitiveDateTime> {
    let moment =
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "is not RFC 3339 like 2026-01-31T12:00:00.000Z")?;
    let utc = moment.checked_to_offset(UtcOffset::UTC).filter(|utc| (0..=9999).contains(&utc.year()));
    let utc = utc.ok_or(YEARS)?;
    Ok(cut(PrimitiveDateTime::new(utc.date(), utc.time()), 6))
}

/// `2026-01-31` or `2026-01-31 12:00:00.25`, which are taken for UTC.
fn plain(text: &str) -> Option<PrimitiveDateTime> {
    let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
    let [year, month, day] = numbers(day, '-', [4, 2, 2])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: u32 = format!("{fraction:0<9}").parse().ok()?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
    let [hour, minute, second] = [hour, minute, second].map(|part| u8::try_from(part).unwrap_or(u8::MAX));
    let time = Time::from_hms_nano(hour, minute, second, nanoseconds).ok()?;
    Some(cut(PrimitiveDateTime::new(date, time), 6))
}

/// Numbers of so many digits with a sign between them.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[u32; 3]> {
    let mut parts = text.split(between);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = is_number.then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(numbers)
}

/// Cut to so many digits of a second's fraction.
pub(super) fn cut(moment: PrimitiveDateTime, digits: u32) -> PrimitiveDateTime {
    let unit = 10_u32.pow(9 - digits.min(6));
    let nanoseconds = moment.nanosecond() / unit * unit;
    moment.replace_nanosecond(nanoseconds).expect("a smaller fraction is one, too")
}

/// A moment as events write it: with milliseconds, or microseconds where there are some.
pub(super) fn event_text(moment: PrimitiveDateTime) -> String {
    let (date, time) = day_and_time(moment);
    let micro = moment.microsecond();
    if micro.is_multiple_of(1000) {
        format!("{date}T{time}.{:03}Z", micro / 1000)
    } else {
        format!("{date}T{time}.{micro:06}Z")
    }
}

/// A moment as SQL writes it, without zeros at its end.
pub fn sql_text(moment: PrimitiveDateTime) -> String {
    let (date, time) = day_and_time(moment);
    let micro = moment.microsecond();
    let fraction = if micro == 0 { String::new() } else { format!(".{micro:06}") };
    format!("{date} {time}{}", fraction.trim_end_matches('0'))
}

fn day_and_time(moment: PrimitiveDateTime) -> (String, String) {
    let (hour, minute, second) = moment.as_hms();
    (day(moment.date()), format!("{hour:02}:{minute:02}:{second:02}"))
}

/// `2026-01-31`.
pub fn day(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}
