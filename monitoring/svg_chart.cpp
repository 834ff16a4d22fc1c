#include "monitoring/svg_chart.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>

namespace gondola {

namespace {

constexpr double kBarWidth = 640.0;
constexpr double kBarHeight = 36.0;
constexpr std::size_t kSlices = 300;
constexpr double kLargest = 1e300;  // what is beyond it is drawn like what is infinite: not at all

bool drawable(const ChartPoint& point) { return std::abs(point.y) <= kLargest; }

/// A range of values laid over a range of the picture.
struct Axis {
  double low = 0.0, high = 1.0;
  double pixel_low = 0.0, pixel_high = 1.0;
  bool logarithmic = false;

  [[nodiscard]] double at(double value) const {
    const double share = logarithmic
                             ? (std::log(value) - std::log(low)) / (std::log(high) - std::log(low))
                             : (value - low) / (high - low);
    return pixel_low + share * (pixel_high - pixel_low);
  }
};

/// 1, 2 or 5 times a power of ten, such that about `wanted` of them fill `span`.
double round_step(double span, double wanted) {
  const double raw = span / wanted;
  const double decade = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * decade >= raw * 0.999) return factor * decade;
  }
  return 10.0 * decade;
}

std::vector<double> linear_ticks(const Axis& axis) {
  const double step = round_step(axis.high - axis.low, 5.0);
  const double first = std::ceil(axis.low / step - 1e-9);
  const double last = std::floor(axis.high / step + 1e-9);
  const auto count = static_cast<int>(last - first) + 1;
  std::vector<double> ticks;
  for (int i = 0; i < count; ++i) {
    ticks.push_back((first + i) * step + 0.0);  // never -0
  }
  return ticks;
}

std::vector<double> log_ticks(const Axis& axis) {
  const double decades = std::log10(axis.high) - std::log10(axis.low);
  const auto stride = std::max(1.0, std::ceil(decades / 6.0));
  std::vector<double> ticks;
  for (double power = std::floor(std::log10(axis.low)); std::pow(10.0, power) <= axis.high;
       power += stride) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * std::pow(10.0, power);
      const bool drawn = factor == 1.0 || decades <= 2.0;
      if (drawn && tick >= axis.low * 0.999 && tick <= axis.high * 1.001) ticks.push_back(tick);
    }
  }
  return ticks;
}

std::vector<ChartPoint> thinned(const std::vector<ChartPoint>& points) {
  if (points.size() <= 2 * kSlices) return points;
  std::vector<ChartPoint> kept;
  const auto by_value = [](const ChartPoint& a, const ChartPoint& b) { return a.y < b.y; };
  for (std::size_t slice = 0; slice < kSlices; ++slice) {
    std::vector<ChartPoint> finite;
    const auto first = slice * points.size() / kSlices;
    const auto last = (slice + 1) * points.size() / kSlices;
    for (auto i = first; i < last; ++i) {
      if (drawable(points[i])) finite.push_back(points[i]);
    }
    if (finite.empty()) {
      kept.push_back(points[first]);
      continue;
    }
    auto [low, high] = std::minmax_element(finite.begin(), finite.end(), by_value);
    if (low->x > high->x) std::swap(low, high);
    kept.push_back(*low);
    if (low != high) kept.push_back(*high);
  }
  return kept;
}

/// Where an axis of these values ends: `room` beyond the lowest where they are equal, or so close
/// together that ticks between them would be lost in rounding.
double end_of(double low, double high, double room) {
  const double narrowest = std::max(1e-300, 1e-9 * std::max(std::abs(low), std::abs(high)));
  return high - low > narrowest ? high : low + std::max(room, 2.0 * narrowest);
}

struct Axes {
  Axis x, y;
  bool empty = true;
};

Axes fit_axes(const LineChart& chart) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double x_low = kInfinity, x_high = -kInfinity, y_low = kInfinity, y_high = -kInfinity;
  for (const auto& curve : chart.curves) {
    for (const auto& point : curve.points) {
      if (!drawable(point)) continue;
      x_low = std::min(x_low, point.x);
      x_high = std::max(x_high, point.x);
      y_low = std::min(y_low, point.y);
      y_high = std::max(y_high, point.y);
    }
  }
  Axes axes;
  axes.empty = x_low > x_high;
  if (axes.empty) return axes;

  const auto& frame = chart.frame;
  axes.x = {x_low, end_of(x_low, x_high, /*room=*/1.0), frame.left, frame.width - frame.right};
  axes.y = {y_low, y_high, frame.height - frame.bottom, frame.top};
  axes.y.logarithmic = chart.y_log_if_it_helps && y_low > 0.0 && y_high >= 10.0 * y_low;
  if (axes.y.logarithmic) {
    axes.y.low /= 1.1;
    axes.y.high *= 1.1;
  } else {
    if (chart.y_from_zero && y_low >= 0.0) axes.y.low = 0.0;
    axes.y.high = end_of(axes.y.low, axes.y.high, std::max(1e-12, std::abs(axes.y.low)));
    const double step = round_step(axes.y.high - axes.y.low, 5.0);
    axes.y.low = std::floor(axes.y.low / step + 1e-9) * step;
    axes.y.high = std::ceil(axes.y.high / step - 1e-9) * step;
  }
  return axes;
}

std::string draw_grid(const Axes& axes, const LineChart& chart) {
  const auto& frame = chart.frame;
  std::string svg;
  for (const double tick : axes.y.logarithmic ? log_ticks(axes.y) : linear_ticks(axes.y)) {
    const double y = axes.y.at(tick);
    svg += fmt::format(
        R"(<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/><text x="{}" y="{:.1f}" text-anchor="end">{}</text>)",
        frame.left, frame.width - frame.right, y, y, frame.left - 8, y + 4, short_number(tick, 6));
  }
  for (const double tick : linear_ticks(axes.x)) {
    svg += fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>)", axes.x.at(tick),
                       frame.height - 8, short_number(tick, 6));
  }
  svg += fmt::format(R"(<text class="name" x="0" y="14">{}{}</text>)", escape_html(chart.y_name),
                     axes.y.logarithmic ? ", log scale" : "");
  return svg;
}

std::string draw_curve(const Curve& curve, std::size_t place, const Axes& axes) {
  std::string path;
  std::string dots;
  bool pen_down = false;
  const auto points = thinned(curve.points);
  for (const auto& point : points) {
    if (!drawable(point)) {
      pen_down = false;
      continue;
    }
    const double x = axes.x.at(point.x);
    const double y = axes.y.at(point.y);
    path += fmt::format("{}{:.1f},{:.1f}", pen_down ? "L" : "M", x, y);
    pen_down = true;
    if (curve.dots || points.size() == 1) {
      dots += fmt::format(
          R"(<circle class="dot c{}" cx="{:.1f}" cy="{:.1f}" r="3.5"><title>{}, step {}: {:.6g}</title></circle>)",
          place, x, y, escape_html(curve.name), static_cast<std::int64_t>(point.x), point.y);
    }
  }
  return fmt::format(R"(<path class="curve c{}" d="{}"/>)", place, path) + dots;
}

}  // namespace

std::string draw_line_chart(const LineChart& chart) {
  const auto axes = fit_axes(chart);
  if (axes.empty) return "<p class=\"note\">Nothing measured yet.</p>";

  std::string legend;
  std::string curves;
  std::set<std::size_t> named;
  for (std::size_t place = 0; place < chart.curves.size(); ++place) {
    const auto& curve = chart.curves[place];
    const auto group = curve.group.value_or(place);
    curves += draw_curve(curve, group % kChartColours, axes);
    if (!named.insert(group).second) continue;
    legend += fmt::format(R"(<span><i class="c{}"></i>{}</span>)", group % kChartColours,
                          escape_html(curve.group ? curve.group_name : curve.name));
  }
  return fmt::format(R"(<svg class="chart" viewBox="0 0 {} {}" role="img">)", chart.frame.width,
                     chart.frame.height) +
         draw_grid(axes, chart) + curves + "</svg>" +
         (named.size() > 1 ? "<div class=\"legend\">" + legend + "</div>" : "") + "\n";
}

std::string draw_stacked_bar(const std::vector<Share>& shares) {
  double whole = 0.0;
  for (const auto& share : shares) whole += share.value;
  std::string parts;
  double left = 0.0;
  for (std::size_t place = 0; place < shares.size(); ++place) {
    const double width = whole > 0.0 ? shares[place].value / whole * kBarWidth : 0.0;
    if (width <= 0.0) continue;
    parts += fmt::format(
        R"(<rect class="part c{}" x="{:.2f}" y="0" width="{:.2f}" height="{}"><title>{}: {:.1f} %</title></rect>)",
        place, left, width, kBarHeight, escape_html(shares[place].name),
        100.0 * shares[place].value / whole);
    left += width;
  }
  return fmt::format(
             R"(<svg class="bar" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img">)",
             kBarWidth, kBarHeight) +
         parts + "</svg>\n";
}

std::string short_number(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  const double size = std::abs(value);
  if (size >= 1e4 && size < 1e6) return fmt::format("{:.{}g}k", value / 1e3, digits);
  if (size >= 1e6 && size < 1e9) return fmt::format("{:.{}g}M", value / 1e6, digits);
  return fmt::format("{:.{}g}", value, digits);
}

std::string escape_html(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace gondola
