#include "monitoring/svg_chart.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <sstream>

namespace gondola {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Where the lines of the y axis' ticks lie, as text.
std::vector<std::string> grid_lines(const std::string& svg) {
  const std::string mark = " y1=\"";
  std::vector<std::string> places;
  for (auto at = svg.find(mark); at != std::string::npos; at = svg.find(mark, at + 1)) {
    const auto begin = at + mark.size();
    places.push_back(svg.substr(begin, svg.find('"', begin) - begin));
  }
  return places;
}

// The frame is 640 x 280 with margins: x runs from 64 to 624, y from 252 (low) up to 28 (high).

TEST(LineChart, points_lie_where_their_values_say) {
  const auto svg =
      draw_line_chart({.y_name = "norm",
                       .curves = {{.name = "a", .points = {{0, 0}, {50, 2.5}, {100, 10}}}},
                       .y_from_zero = true});
  EXPECT_TRUE(contains(svg, R"(d="M64.0,252.0L344.0,196.0L624.0,28.0")")) << svg;
  EXPECT_TRUE(contains(svg, R"(text-anchor="end">0</text>)")) << svg;
  EXPECT_TRUE(contains(svg, R"(text-anchor="end">10</text>)")) << svg;
}

TEST(LineChart, logarithmic_only_where_it_helps) {
  const std::vector<ChartPoint> wide = {{0, 100}, {1, 10}, {2, 1}};
  const auto log = draw_line_chart(
      {.y_name = "loss", .curves = {{.name = "a", .points = wide}}, .y_log_if_it_helps = true});
  // 1 and 100 lie a tenth inside the ends; the middle of the decades is the middle of the axis.
  EXPECT_TRUE(contains(log, "L344.0,140.0L")) << log;
  EXPECT_TRUE(contains(log, "loss, log scale"));
  const std::vector<ChartPoint> narrow = {{0, 9}, {2, 1}};
  EXPECT_FALSE(contains(draw_line_chart({.y_name = "loss",
                                         .curves = {{.name = "a", .points = narrow}},
                                         .y_log_if_it_helps = true}),
                        "log scale"));
  const std::vector<ChartPoint> with_zero = {{0, 100}, {2, 0}};
  EXPECT_FALSE(contains(draw_line_chart({.y_name = "loss",
                                         .curves = {{.name = "a", .points = with_zero}},
                                         .y_log_if_it_helps = true}),
                        "log scale"));
}

TEST(LineChart, what_is_not_finite_is_a_gap) {
  const double nan = std::nan("");
  const auto svg = draw_line_chart(
      {.y_name = "y",
       .curves = {{.name = "a",
                   .points = {{0, 0}, {25, 10}, {50, nan}, {75, INFINITY}, {100, 10}}}},
       .y_from_zero = true});
  EXPECT_TRUE(contains(svg, R"(d="M64.0,252.0L204.0,28.0M624.0,28.0")")) << svg;
  EXPECT_TRUE(
      contains(draw_line_chart({.y_name = "y", .curves = {{.name = "a", .points = {{1, nan}}}}}),
               "Nothing measured yet"));
  EXPECT_TRUE(contains(draw_line_chart({.y_name = "y", .curves = {}}), "Nothing measured yet"));
}

TEST(LineChart, a_single_or_constant_value_can_be_drawn) {
  for (const double value : {0.0, 5.0, -3.0, 1e-30}) {
    const auto svg = draw_line_chart(
        {.y_name = "y", .curves = {{.name = "a", .points = {{7, value}}}}, .y_from_zero = true});
    EXPECT_TRUE(contains(svg, "<circle")) << value;
    EXPECT_FALSE(contains(svg, "nan")) << svg;
    EXPECT_FALSE(contains(svg, "inf")) << svg;
  }
}

TEST(LineChart, values_one_rounding_apart_can_be_drawn) {
  const double loss = 7.674311195375836;
  const double step = 9007199254740992;  // the doubles after it are 2 apart
  for (const bool from_zero : {false, true}) {
    const auto svg = draw_line_chart(
        {.y_name = "loss",
         .curves = {{.name = "a",
                     .points = {{step, loss}, {step + 2, std::nextafter(loss, INFINITY)}}}},
         .y_from_zero = from_zero});
    EXPECT_LT(svg.size(), 5000u);
    const auto lines = grid_lines(svg);
    EXPECT_GE(lines.size(), 2u) << svg;
    EXPECT_EQ(std::set(lines.begin(), lines.end()).size(), lines.size()) << svg;
  }
}

TEST(LineChart, values_of_any_size_can_be_drawn) {
  const double least = std::numeric_limits<double>::denorm_min();
  const double most = std::numeric_limits<double>::max();
  for (const std::vector<double>& values : {std::vector{least, 1.0, 1e300},
                                            {1.0, most},
                                            {-1e300, 1e300},
                                            {1e300, 1e300},
                                            {least, 2 * least},
                                            {most}}) {
    for (const bool log : {false, true}) {
      Curve curve{.name = "a", .points = {}};
      for (const double value : values) {
        curve.points.push_back({static_cast<double>(curve.points.size()), value});
      }
      const auto svg =
          draw_line_chart({.y_name = "y", .curves = {curve}, .y_log_if_it_helps = log});
      EXPECT_LT(svg.size(), 5000u);
      EXPECT_FALSE(contains(svg, "nan")) << svg;
      EXPECT_FALSE(contains(svg, "inf")) << svg;
    }
  }
}

TEST(LineChart, long_curves_are_thinned_without_losing_their_peaks) {
  Curve curve{.name = "a", .points = {}};
  for (int i = 0; i <= 100000; ++i) {
    curve.points.push_back({static_cast<double>(i), i == 40321 ? 10.0 : (i == 70123 ? 0.0 : 5.0)});
  }
  const auto svg = draw_line_chart({.y_name = "y", .curves = {curve}, .y_from_zero = true});
  EXPECT_LT(svg.size(), 20000u);
  EXPECT_TRUE(contains(svg, "L289.8,28.0L")) << "the peak is lost";
  EXPECT_TRUE(contains(svg, "L456.7,252.0L")) << "the dip is lost";
}

TEST(LineChart, a_thinned_curve_runs_from_left_to_right_only) {
  Curve falling{.name = "a", .points = {}};
  for (int i = 0; i <= 5000; ++i) falling.points.push_back({i + 0.0, -i + 0.0});
  const auto svg = draw_line_chart({.y_name = "y", .curves = {falling}});
  std::istringstream path(svg.substr(svg.find("d=\"M") + 4));
  double before = 0.0;
  for (std::string point; std::getline(path, point, 'L');) {
    const double x = std::stod(point);
    EXPECT_GE(x, before);
    before = x;
    if (point.find('"') != std::string::npos) break;
  }
  EXPECT_EQ(before, 624.0);
}

TEST(LineChart, names_are_text_not_markup) {
  const auto svg = draw_line_chart(
      {.y_name = "a<b",
       .curves = {{.name = "<script>", .points = {{0, 1}}}, {.name = "\"&", .points = {{0, 2}}}}});
  EXPECT_FALSE(contains(svg, "<script>"));
  EXPECT_TRUE(contains(svg, "&lt;script&gt;"));
  EXPECT_TRUE(contains(svg, "&quot;&amp;"));
  EXPECT_TRUE(contains(svg, "a&lt;b"));
}

TEST(StackedBar, parts_are_as_wide_as_their_shares) {
  const auto svg = draw_stacked_bar({{"data", 1.0}, {"wait", 0.0}, {"outer", 3.0}});
  EXPECT_TRUE(contains(svg, R"(class="part c0" x="0.00" y="0" width="160.00")")) << svg;
  EXPECT_TRUE(contains(svg, R"(class="part c2" x="160.00" y="0" width="480.00")")) << svg;
  EXPECT_FALSE(contains(svg, "c1")) << svg;
  EXPECT_TRUE(contains(svg, "<title>outer: 75.0 %</title>"));
}

TEST(ShortNumber, is_short) {
  EXPECT_EQ(short_number(12.3456, 3), "12.3");
  EXPECT_EQ(short_number(1234.0, 6), "1234");
  EXPECT_EQ(short_number(45600.0, 3), "45.6k");
  EXPECT_EQ(short_number(-1200000.0, 3), "-1.2M");
  EXPECT_EQ(short_number(std::nan(""), 3), "-");
}

}  // namespace
}  // namespace gondola
