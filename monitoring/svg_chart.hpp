#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace gondola {

/// One point of a curve; a y that is NaN, infinite or beyond 1e300 leaves a gap.
struct ChartPoint {
  double x = 0.0;
  double y = 0.0;
};

/// Colours of curves (CSS classes c0, c1, ...), which then repeat.
inline constexpr std::size_t kChartColours = 9;

/// One curve, coloured by its place in the chart, or like others of its group.
struct Curve {
  std::string name;
  std::vector<ChartPoint> points;         ///< x ascending.
  bool dots = false;                      ///< Marks each point and says its values on hovering.
  std::optional<std::size_t> group = {};  ///< Its colour; the first of a group is in the legend ...
  std::string group_name = {};            ///< ... by this name.
};

/// The drawing area inside the picture, in the picture's own units: about pixels where the style
/// sheet shows it at its width.
struct ChartFrame {
  double width = 640, height = 280;
  double left = 64, right = 16, top = 28, bottom = 28;
};

struct LineChart {
  std::string y_name;  ///< Above the axis, with its unit.
  std::vector<Curve> curves;
  bool y_from_zero = false;        ///< The axis starts at 0 where no value is negative.
  bool y_log_if_it_helps = false;  ///< Logarithmic where all are positive and span a factor of 10.
  ChartFrame frame = {};
};

/// An <svg> of the curves over the training step. A curve of many points is thinned to its lowest
/// and highest value in each of some hundred slices, which looks the same. Without a finite point:
/// a sentence instead.
[[nodiscard]] std::string draw_line_chart(const LineChart& chart);

/// One part of a whole.
struct Share {
  std::string name;
  double value = 0.0;
};

/// An <svg> of one bar split into the shares, coloured by place (CSS classes c0, c1, ...). Shares
/// of 0 take no room.
[[nodiscard]] std::string draw_stacked_bar(const std::vector<Share>& shares);

/// Up to `digits` significant digits, from 10,000 on with a suffix: 12.5, 0.00123, 45.6k, 1.2M,
/// 1e-07; "-" where not finite.
[[nodiscard]] std::string short_number(double value, int digits);

/// Text as HTML shows it literally, also inside quoted attributes.
[[nodiscard]] std::string escape_html(const std::string& text);

}  // namespace gondola
