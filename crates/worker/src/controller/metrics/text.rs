//! The Prometheus text format: `# HELP`, `# TYPE`, one sample per line.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::Write;

/// The type of a metric.
pub(crate) enum Kind {
    Gauge,
    Counter,
    /// With the ascending upper bounds of its buckets, without `+Inf`.
    Histogram(&'static [f64]),
}

/// A metric family.
pub(crate) struct Family {
    pub name: &'static str,
    kind: Kind,
    help: &'static str,
}

impl Family {
    pub(super) const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, help }
    }

    /// Returns the bounds of a histogram's buckets.
    pub(super) fn bounds(&self) -> &'static [f64] {
        match self.kind {
            Kind::Histogram(bounds) => bounds,
            Kind::Gauge | Kind::Counter => &[],
        }
    }
}

/// Builds the text.
#[derive(Default)]
pub(crate) struct Text(String);

impl Text {
    pub(super) fn family(&mut self, family: &Family) {
        let kind = match family.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram(_) => "histogram",
        };
        self.line(&format!("# HELP {} {}", family.name, family.help));
        self.line(&format!("# TYPE {} {kind}", family.name));
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, String)], value: f64) {
        self.line(&format!("{name}{} {value}", braced(labels, None)));
    }

    /// Writes a histogram; `counts` has each bound with its cumulative count.
    pub(super) fn histogram<'a>(
        &mut self,
        name: &str,
        labels: &[(&str, String)],
        counts: impl Iterator<Item = (&'a f64, &'a u64)>,
        sum: f64,
        count: u64,
    ) {
        let all = counts
            .map(|(bound, count)| (bound.to_string(), *count))
            .chain([("+Inf".to_owned(), count)]);
        for (bound, count) in all {
            let labels = braced(labels, Some(&bound));
            self.line(&format!("{name}_bucket{labels} {count}"));
        }
        let labels = braced(labels, None);
        self.line(&format!("{name}_sum{labels} {sum}"));
        self.line(&format!("{name}_count{labels} {count}"));
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

fn braced(labels: &[(&str, String)], bound: Option<&str>) -> String {
    let named = labels.iter().map(|(name, value)| (*name, value.as_str()));
    let mut inner = String::new();
    for (name, value) in named.chain(bound.map(|bound| ("le", bound))) {
        let comma = if inner.is_empty() { "" } else { "," };
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = write!(inner, "{comma}{name}=\"{value}\"");
    }
    if inner.is_empty() {
        inner
    } else {
        format!("{{{inner}}}")
    }
}
