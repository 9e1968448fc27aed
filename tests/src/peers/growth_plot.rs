//! Two charts: what a run costs and how much memory it takes, over the size of the table.

use std::path::Path;

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::figures::{Sample, whole};
use crate::local_stack::{Error, Result};

const SIZE: (u32, u32) = (960, 420);
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 95, 175), RGBColor(200, 80, 0), RGBColor(0, 130, 80), RGBColor(140, 60, 140)];

/// One way of migrating, at several sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// What it is called.
    pub name: &'static str,
    /// Rows, and what the run took.
    pub points: Vec<(u32, Sample)>,
}

/// Draws processor time and peak memory over rows, both axes of the first in decades, into an SVG file.
///
/// # Errors
/// When there is no point, or the file cannot be written.
pub fn draw(path: &Path, growths: &[Growth]) -> Result<()> {
    let points = || growths.iter().flat_map(|growth| &growth.points);
    let (Some(fewest), Some(most)) = (points().map(|(rows, _)| *rows).min(), points().map(|(rows, _)| *rows).max())
    else {
        return Err(Error::new("there is nothing to plot: name at least one size"));
    };
    let of = |number: fn(&Sample) -> f64| points().map(move |(_, sample)| number(sample));
    let (least_cpu, most_cpu) =
        (of(|sample| sample.cpu_s).fold(f64::MAX, f64::min), of(|sample| sample.cpu_s).fold(0.0, f64::max));
    let most_peak = of(|sample| sample.peak_mib).fold(0.0, f64::max);
    let failed = |error: &dyn std::fmt::Display| Error::new(format!("failed to draw {}: {error}", path.display()));
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let (left, right) = root.split_horizontally(SIZE.0 / 2);
    // Room for one size alone, too.
    let rows = f64::from(fewest) * 0.8..f64::from(most) * 1.25;
    chart(
        &left,
        "CPU seconds",
        rows.clone().log_scale(),
        (least_cpu.max(0.01) * 0.8..most_cpu.max(0.01) * 1.25).log_scale(),
        growths,
        |sample| sample.cpu_s,
    )
    .map_err(|error| failed(&error))?;
    chart(&right, "Peak memory, MiB", rows.log_scale(), 0.0..most_peak * 1.25, growths, |sample| sample.peak_mib)
        .map_err(|error| failed(&error))?;
    root.present().map_err(|error| failed(&error))
}

type Drawn<'a> = std::result::Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn chart<'a, X, Y>(
    area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    title: &str,
    rows: X,
    range: Y,
    growths: &[Growth],
    number: fn(&Sample) -> f64,
) -> Drawn<'a>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(rows, range)?;
    chart
        .configure_mesh()
        .x_desc("rows")
        .x_label_formatter(&|rows| whole(*rows))
        .y_label_formatter(&|number| {
            if (0.001..1.0).contains(number) { format!("{number:.2}") } else { whole(*number) }
        })
        .light_line_style(BLACK.mix(0.05))
        .draw()?;
    for (growth, colour) in growths.iter().zip(COLOURS.iter().cycle()) {
        let points = || growth.points.iter().map(|(rows, sample)| (f64::from(*rows), number(sample)));
        chart
            .draw_series(LineSeries::new(points(), colour.stroke_width(2)))?
            .label(growth.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2)));
        chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_s: f64, peak_mib: f64) -> Sample {
        Sample { wall_s: cpu_s, cpu_s, peak_mib }
    }

    /// The centres of the points of one colour.
    fn centres(svg: &str, colour: RGBColor) -> Vec<(f64, f64)> {
        let RGBColor(red, green, blue) = colour;
        let colour = format!("fill=\"#{red:02X}{green:02X}{blue:02X}\"");
        let value = |circle: &str, name: &str| -> f64 {
            circle.split_once(&format!(" {name}=\"")).unwrap().1.split_once('"').unwrap().0.parse().unwrap()
        };
        let circles = svg.split("<circle").skip(1).filter(|circle| circle.contains(&colour));
        circles.map(|circle| (value(circle, "cx"), value(circle, "cy"))).collect()
    }

    #[test]
    fn linear_cost_is_a_straight_line_and_constant_memory_a_level_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("growth.svg");
        let points =
            vec![(100_000, sample(2.0, 50.0)), (1_000_000, sample(20.0, 50.0)), (10_000_000, sample(200.0, 50.0))];
        draw(&path, &[Growth { name: "ours", points }]).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        let centres = centres(&svg, COLOURS[0]);
        let steps = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
            points.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[0].1 - pair[1].1)).collect()
        };
        assert_eq!(centres.len(), 6, "{svg}");
        let (costs, peaks) = (steps(&centres[..3]), steps(&centres[3..]));
        // Points lie on whole pixels.
        assert!((costs[0].0 - costs[1].0).abs() <= 1.0 && (costs[0].1 - costs[1].1).abs() <= 1.0, "{costs:?}");
        assert!(costs.iter().all(|(right, up)| *right > 50.0 && *up > 50.0), "{costs:?}");
        assert!(peaks.iter().all(|(right, up)| *right > 50.0 && up.abs() < 0.5), "{peaks:?}");
        assert!(svg.contains("Peak memory, MiB") && svg.contains("ours"));
    }

    #[test]
    fn nothing_is_no_plot() {
        let folder = tempfile::tempdir().unwrap();
        assert!(draw(&folder.path().join("growth.svg"), &[]).is_err());
    }
}
