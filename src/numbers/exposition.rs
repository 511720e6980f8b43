//! Prometheus' text format (0.0.4) and OpenMetrics, as programs show them at `/metrics`.

use super::{Sample, Selector, SeriesName, read};

/// Most bytes of a page.
pub const MAX_PAGE: usize = 4 << 20;

/// The numbers of a page that one of the selectors selects; without selectors none, because a page has thousands. Lines that cannot be
/// read are left out.
pub fn page(text: &str, selectors: &[Selector]) -> Vec<Sample> {
    let mut samples = vec![];
    for line in text.lines() {
        let line = line.trim();
        // Most lines are of other metrics: they are not parsed.
        if line.starts_with('#') || !selectors.iter().any(|selector| line.starts_with(&selector.base)) {
            continue;
        }
        let Some((series, value)) = one_line(line) else { continue };
        if selectors.iter().any(|selector| selector.selects(&series))
            && let Ok(series) = read::bounded(&series)
        {
            samples.push(Sample { series, at: None, value });
        }
    }
    samples
}

/// `name{label="value"} 1.5 1700000000000`. The time is left out: it is the time of the page in nearly all programs.
fn one_line(line: &str) -> Option<(SeriesName, f64)> {
    let mut chars = line.char_indices().peekable();
    let name_end = chars.find(|(_, c)| *c == '{' || c.is_whitespace()).map(|(i, _)| i)?;
    let (name, rest) = line.split_at(name_end);
    let (mut tags, mut rest) = (vec![], rest.trim_start());
    if let Some(mut labels) = rest.strip_prefix('{') {
        loop {
            labels = labels.trim_start().trim_start_matches(',').trim_start();
            if let Some(behind) = labels.strip_prefix('}') {
                rest = behind;
                break;
            }
            let (key, behind) = labels.split_once('=')?;
            let (value, behind) = quoted(behind.trim_start())?;
            tags.push((key.trim().to_owned(), value));
            labels = behind;
        }
    }
    let number = rest.split_whitespace().next()?;
    let value = match number {
        "NaN" | "+Inf" | "-Inf" | "Inf" => f64::NAN,
        number => number.parse().ok().map(read::finite)?,
    };
    (!name.is_empty()).then(|| (SeriesName::new(name, tags), value))
}

/// A text in quotes with the escapes `\\`, `\"` and `\n`, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let (mut value, mut chars) = (String::new(), inner.char_indices());
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Some((value, inner.split_at(i).1.strip_prefix('"')?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP node_load1 1m load average.\n# TYPE node_load1 gauge\nnode_load1 0.21\n\
        node_network_receive_bytes_total{device=\"eth0\"} 1.234567e+06\n\
        node_network_receive_bytes_total{device=\"lo\",} 17 1700000000000\n\
        node_filesystem{device=\"C:\\\\\",label=\"a \\\"b\\\", {c}=\"} +Inf\nnode_load15 9\nbroken{a=\"b 1\nnode_load1{\n";

    #[test]
    fn selected_metrics_are_read() {
        let read = |selectors: &[&str]| {
            let selectors: Vec<Selector> = selectors.iter().map(|text| text.parse().expect("a selector")).collect();
            page(PAGE, &selectors).into_iter().map(|sample| (sample.series, sample.value)).collect::<Vec<_>>()
        };
        assert_eq!(read(&["node_load1"]), [("node_load1".into(), 0.21)]);
        assert_eq!(
            read(&["node_network_receive_bytes_total{device=\"eth0\"}"]),
            [("node_network_receive_bytes_total{device=eth0}".into(), 1_234_567.0)]
        );
        assert_eq!(read(&["node_network_receive_bytes_total"]).len(), 2);
        let odd = read(&["node_filesystem"]);
        assert!(odd.len() == 1 && odd[0].1.is_nan(), "{odd:?}");
        assert!(read(&["broken"]).is_empty() && read(&[]).is_empty());
    }
}
