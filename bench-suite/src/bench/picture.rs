//! Curves as SVG, both axes logarithmic.

use super::curve::{CurveReport, Series};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
/// Room for the axis and the legend below it.
const BOTTOM: f64 = 50.0;
const LEGEND_LINE: f64 = 20.0;

/// Colours that people tell apart whatever their eyes (Okabe, Ito 2008).
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// The picture of a report.
pub(super) fn draw(report: &CurveReport) -> String {
    let plane = Plane::around(report);
    let legend = report.series.len() as f64 * LEGEND_LINE;
    let height = HEIGHT + legend;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"16\">{}</text>\n",
        escaped(&format!("{} ({} a second over the batch size)", report.title, report.unit))
    );
    svg += &plane.grid();
    for (index, series) in report.series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let y = HEIGHT + index as f64 * LEGEND_LINE;
        svg += &plane.line(series, colour);
        svg += &format!(
            "<rect x=\"{LEFT}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"{y}\">{}</text>\n",
            y - 6.0,
            LEFT + 22.0,
            escaped(&series.path)
        );
    }
    svg + "</svg>\n"
}

/// Powers of four across, powers of ten up.
struct Plane {
    most: f64,
    low: i32,
    high: i32,
}

impl Plane {
    fn around(report: &CurveReport) -> Self {
        let points = || report.series.iter().flat_map(|series| &series.points);
        let most = points().map(|point| point.batch).max().unwrap_or(4).max(4) as f64;
        let speeds = || points().map(|point| point.per_second.max(1.0).log10());
        let low = speeds().fold(f64::MAX, f64::min).min(9.0).floor() as i32;
        let high = speeds().fold(0.0, f64::max).ceil() as i32;
        Self { most, low, high: high.max(low + 1) }
    }

    fn x(&self, batch: f64) -> f64 {
        LEFT + batch.max(1.0).log2() / self.most.log2() * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, per_second: f64) -> f64 {
        let share =
            (per_second.max(1.0).log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        TOP + (1.0 - share) * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(&self) -> String {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        let mut svg = String::new();
        for power in self.low..=self.high {
            let y = self.y(10f64.powi(power));
            svg += &format!(
                "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                LEFT - 8.0,
                y + 4.0,
                short(10f64.powi(power))
            );
        }
        let mut batch = 1.0;
        while batch <= self.most {
            let x = self.x(batch);
            svg += &format!(
                "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#eee\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{batch}</text>\n",
                bottom + 18.0
            );
            batch *= 4.0;
        }
        svg
    }

    fn line(&self, series: &Series, colour: &str) -> String {
        let place = |point: &super::curve::Point| {
            format!("{:.1},{:.1}", self.x(point.batch as f64), self.y(point.per_second))
        };
        let points: Vec<String> = series.points.iter().map(place).collect();
        format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
            points.join(" ")
        )
    }
}

/// 1000 as `1 k`, 1000000 as `1 M`.
fn short(number: f64) -> String {
    match number {
        n if n >= 1e9 => format!("{} G", n / 1e9),
        n if n >= 1e6 => format!("{} M", n / 1e6),
        n if n >= 1e3 => format!("{} k", n / 1e3),
        n => n.to_string(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
