//! [`Context`]: which trace a span belongs to (W3C Trace Context, www.w3.org/TR/trace-context).

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub(super) trace: u128,
    pub(super) span: u64,
    is_recorded: bool,
}

impl Context {
    /// A new trace, recorded by this chance from 0 to 1. None if the system gives no random numbers.
    pub(super) fn root(ratio: f64) -> Option<Self> {
        let trace = u128::from(random()?) << 64 | u128::from(random()?);
        // The upper half is uniform, too: it is the chance.
        let is_recorded = ((trace >> 64) as u64 as f64) < ratio * u64::MAX as f64 || ratio >= 1.0;
        Some(Context { trace, span: random()?, is_recorded })
    }

    /// A span below this one.
    pub(super) fn child(self) -> Option<Self> {
        Some(Context { span: random()?, ..self })
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.is_recorded
    }

    /// Reads a header `traceparent`: version, trace, span and flags. A later version can have more behind.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let mut hex = |digits: usize| {
            let part = parts.next()?;
            let is_hex = part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            (part.len() == digits && is_hex).then_some(part)
        };
        let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
        let is_recorded = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (trace != 0 && span != 0).then_some(Context { trace, span, is_recorded })
    }
}

/// A number that is not zero, which stands for no id.
fn random() -> Option<u64> {
    Some(getrandom::u64().ok()?.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_the_standard_says() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let parsed = Context::parse(&format!("00-{trace}-b7ad6b7169203331-01")).expect("reads");
        assert_eq!((parsed.trace, parsed.span), (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331));
        assert!(parsed.is_recorded());
        assert!(Context::parse(&format!("01-{trace}-b7ad6b7169203331-00-more")).is_some_and(|c| !c.is_recorded()));
        for wrong in [
            "",
            "00",
            &format!("00-{trace}-b7ad6b7169203331"),
            &format!("00-{trace}-b7ad6b7169203331-01-more"),
            &format!("ff-{trace}-b7ad6b7169203331-01"),
            &format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            &format!("00-{trace}-{}-01", "0".repeat(16)),
            &format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
            &format!("00-{trace}é-b7ad6b7169203331-01"),
        ] {
            assert_eq!(Context::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_chance_is_kept() {
        let recorded = |ratio| (0..2000).filter(|_| Context::root(ratio).is_some_and(|c| c.is_recorded())).count();
        assert_eq!((recorded(0.0), recorded(1.0)), (0, 2000));
        // 1000 with a deviation of 22: a failure by chance is one in 10^18.
        assert!((800..1200).contains(&recorded(0.5)));
    }
}
