//! The trace that an event belongs to: `traceparent` in its metadata, in the form of W3C Trace Context.

use serde::Deserialize;

use super::Event;

/// The span of whoever wrote the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    /// Whoever began the trace keeps it.
    pub is_sampled: bool,
}

/// What is read of the metadata.
#[derive(Deserialize)]
struct TraceFields {
    traceparent: String,
}

impl Event {
    /// Whose span wrote it, where its metadata says so.
    pub fn trace_parent(&self) -> Option<TraceParent> {
        // Most metadata holds none: looking for the word costs less than reading JSON.
        if !self.metadata.contains("\"traceparent\"") {
            return None;
        }
        let TraceFields { traceparent } = serde_json::from_str(&self.metadata).ok()?;
        TraceParent::parse(&traceparent)
    }
}

impl TraceParent {
    /// Reads `VERSION-TRACE-SPAN-FLAGS`; later versions may have more behind it.
    fn parse(text: &str) -> Option<Self> {
        const LATER: &str = "ff";
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
        let [_] = digits(version)?;
        if version == LATER || version == "00" && parts.next().is_some() || !is_lower {
            return None;
        }
        let (trace_id, span_id, [flags]) = (digits(trace)?, digits(span)?, digits(flags)?);
        let is_given = trace_id != [0; 16] && span_id != [0; 8];
        is_given.then_some(Self { trace_id, span_id, is_sampled: flags & 1 == 1 })
    }
}

/// The bytes that hexadecimal digits spell, exactly so many.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_as_the_standard_has_it() {
        let read = TraceParent::parse(PARENT).expect("it is one");
        assert_eq!(hex::encode(read.trace_id), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((hex::encode(read.span_id).as_str(), read.is_sampled), ("b7ad6b7169203331", true));
        let unsampled = TraceParent::parse(&PARENT.replace("-01", "-02")).expect("it is one");
        assert!(!unsampled.is_sampled);
        let later = format!("01{}-more", &PARENT[2..]);
        assert!(TraceParent::parse(&later).is_some(), "a later version may have more");
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let zero_trace = PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
        let zero_span = PARENT.replace("b7ad6b7169203331", &"0".repeat(16));
        let (more, upper) = (format!("{PARENT}-more"), PARENT.to_uppercase());
        let forbidden = format!("ff{}", &PARENT[2..]);
        for text in
            ["", "00-1", "00", "é-é-é-é", &PARENT[1..], &zero_trace, &zero_span, &more, &upper, &forbidden]
        {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }
}
