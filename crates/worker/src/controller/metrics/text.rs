//! Prometheus' text format: `# HELP`, `# TYPE`, one sample a line.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::Write;

/// What a family of samples is.
pub enum Kind {
    Gauge,
    Counter,
    /// With the upper bounds of its buckets, ascending; the last one, without bound, goes without saying.
    Histogram(&'static [f64]),
}

/// Samples of one name.
pub struct Family {
    pub name: &'static str,
    kind: Kind,
    help: &'static str,
}

impl Family {
    pub const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, help }
    }

    /// Bounds of a histogram's buckets.
    pub fn bounds(&self) -> &'static [f64] {
        match self.kind {
            Kind::Histogram(bounds) => bounds,
            Kind::Gauge | Kind::Counter => &[],
        }
    }
}

/// A text in the making.
#[derive(Default)]
pub struct Text(String);

impl Text {
    pub fn family(&mut self, family: &Family) {
        let kind = match family.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram(_) => "histogram",
        };
        self.line(&format!("# HELP {} {}", family.name, family.help));
        self.line(&format!("# TYPE {} {kind}", family.name));
    }

    pub fn sample(&mut self, name: &str, labels: &[(&str, String)], value: f64) {
        self.line(&format!("{name}{} {value}", braced(labels, None)));
    }

    /// `counts`: each bound with the number of observations up to it.
    pub fn histogram<'a>(
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

    pub fn into_string(self) -> String {
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
