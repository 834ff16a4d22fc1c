#include "monitoring/report.hpp"

#include <openssl/evp.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "monitoring/report_page.hpp"
#include "monitoring/run_history.hpp"
#include "monitoring/run_name.hpp"
#include "monitoring/step_name.hpp"
#include "monitoring/svg_chart.hpp"
#include "monitoring/text_file.hpp"

namespace gondola {

namespace {

namespace fs = std::filesystem;

constexpr ChartFrame kWide = {.width = 1040, .height = 320};  // of the page's whole width
constexpr ChartFrame kHalf = {.width = 500, .height = 220};

std::string base64(const std::string& bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL ends it with a 0
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

Curve curve_of(const std::vector<StepReport>& steps, const std::string& name,
               double StepReport::*value) {
  Curve curve{.name = name, .points = {}, .dots = false};
  for (const auto& row : steps) {
    curve.points.push_back({static_cast<double>(row.step), row.*value});
  }
  return curve;
}

std::string tile(const std::string& number, const std::string& name) {
  return "<div><b>" + number + "</b><span>" + name + "</span></div>\n";
}

std::string draw_tiles(const RunHistory& history) {
  std::string tiles;
  if (!history.steps.empty()) {
    const auto& last = history.steps.back();
    tiles += tile(fmt::format("{}", last.step), fmt::format("steps, in epoch {}", last.epoch));
    tiles += tile(short_number(last.loss, 4), "training loss of the last batch");
    std::vector<double> rates;
    for (const auto& row : history.steps) {
      if (std::isfinite(row.images_per_second)) rates.push_back(row.images_per_second);
    }
    std::sort(rates.begin(), rates.end());
    const double median = rates.empty() ? std::nan("") : rates[rates.size() / 2];
    tiles += tile(short_number(median, 4), "images a second (median)");
  }
  if (const auto* best = best_of(history.evaluations)) {
    tiles += tile(short_number(metric_of(*best, "loss"), 4),
                  fmt::format("best {} loss, at step {}", escape_html(best->split), best->step));
  }
  return "<div class=\"tiles\">\n" + tiles + "</div>\n";
}

std::string draw_losses(const RunHistory& history) {
  LineChart chart{
      .y_name = "loss an image", .curves = {}, .y_log_if_it_helps = true, .frame = kWide};
  chart.curves.push_back(curve_of(history.steps, "train", &StepReport::loss));
  std::set<std::string> splits;
  for (const auto& evaluation : history.evaluations) splits.insert(evaluation.split);
  for (const auto& split : splits) {
    Curve curve{.name = "evaluation: " + split, .points = {}, .dots = true};
    for (const auto& evaluation : history.evaluations) {
      if (evaluation.split != split) continue;
      curve.points.push_back({static_cast<double>(evaluation.step), metric_of(evaluation, "loss")});
    }
    chart.curves.push_back(std::move(curve));
  }
  const auto unusable = std::count_if(history.steps.begin(), history.steps.end(),
                                      [](const auto& row) { return !std::isfinite(row.loss); });
  const auto note =
      unusable == 0
          ? std::string()
          : fmt::format("<p class=\"note\">{} logged losses are not finite.</p>\n", unusable);
  return report_section("Loss over steps", draw_line_chart(chart) + note);
}

std::string draw_curve_section(const RunHistory& history, const std::string& title,
                               const std::string& y_name, double StepReport::*value) {
  LineChart chart{.y_name = y_name, .curves = {}, .y_from_zero = true, .frame = kHalf};
  chart.curves.push_back(curve_of(history.steps, title, value));
  return report_section(title, draw_line_chart(chart));
}

/// Phases that come between steps: step_seconds does not hold them.
bool between_steps(Phase phase) { return phase == Phase::kCheckpoint || phase == Phase::kEval; }

/// The step behind which the first row's steps began: later than 0 where the run went on from
/// another one's checkpoint.
std::int64_t step_before(const std::vector<StepReport>& steps) {
  if (steps.size() < 3) return 0;  // of two the last may stand for fewer
  return std::max<std::int64_t>(0, 2 * steps[0].step - steps[1].step);
}

/// Seconds of rank 0 by phase over all logged steps, each mean counted for the steps it stands for.
std::vector<Share> phase_shares(const std::vector<StepReport>& steps) {
  std::vector<Share> shares;
  for (const char* phase : kPhaseNames) shares.push_back({phase, 0.0});
  shares.push_back({"other", 0.0});
  std::int64_t before = step_before(steps);
  for (const auto& row : steps) {
    const auto count = static_cast<double>(row.step - before);
    before = row.step;
    double named = 0.0;
    for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase) {
      if (!std::isfinite(row.phase_seconds[phase])) continue;
      shares[phase].value += count * row.phase_seconds[phase];
      if (!between_steps(static_cast<Phase>(phase))) named += row.phase_seconds[phase];
    }
    if (row.step_seconds > named) shares.back().value += count * (row.step_seconds - named);
  }
  return shares;
}

std::string draw_phases(const RunHistory& history) {
  const auto shares = phase_shares(history.steps);
  double whole = 0.0;
  for (const auto& share : shares) whole += share.value;
  if (!(whole > 0.0)) return "";
  std::string legend;
  for (std::size_t place = 0; place < shares.size(); ++place) {
    if (shares[place].value <= 0.0) continue;
    legend += fmt::format(R"(<span><i class="c{}"></i>{} <em>{} s, {:.1f} %</em></span>)", place,
                          shares[place].name, short_number(shares[place].value, 3),
                          100.0 * shares[place].value / whole);
  }
  return report_section("Where rank 0's time went",
                        draw_stacked_bar(shares) + "<div class=\"legend\">" + legend + "</div>\n");
}

/// Of ascending steps the first, the last, and three between them, each about as many times the one
/// before: a model changes most at the beginning.
std::set<std::size_t> pictures_to_show(const std::vector<std::int64_t>& steps) {
  constexpr int kMost = 5;
  const auto logarithm = [](std::int64_t step) { return std::log1p(static_cast<double>(step)); };
  const double first = logarithm(steps.front()), last = logarithm(steps.back());
  std::set<std::size_t> shown;
  for (int i = 0; i < kMost; ++i) {
    const double wanted = first + (last - first) * i / (kMost - 1);
    const auto nearest = std::ranges::min_element(
        steps, {}, [&](std::int64_t step) { return std::abs(logarithm(step) - wanted); });
    shown.insert(static_cast<std::size_t>(nearest - steps.begin()));
  }
  return shown;
}

std::string draw_pictures(const fs::path& run_folder) {
  const auto pictures = pictures_of(run_folder);
  if (pictures.empty()) return "";
  std::vector<std::int64_t> steps;
  for (const auto& [step, path] : pictures) steps.push_back(step);
  std::string figures;
  for (const auto index : pictures_to_show(steps)) {
    figures += fmt::format(
        "<figure><img alt=\"originals over reconstructions\" src=\"data:image/png;base64,{}\">"
        "<figcaption>Step {}: held-out originals above, their reconstructions below</figcaption>"
        "</figure>\n",
        base64(read_text_file(pictures.at(steps[index]))), steps[index]);
  }
  return report_section("Pictures", figures);
}

std::string draw_evaluations(const std::vector<EvalReport>& evaluations) {
  if (evaluations.empty()) return "";
  std::set<std::string> metrics;
  for (const auto& evaluation : evaluations) {
    for (const auto& [metric, value] : evaluation.metrics) metrics.insert(metric);
  }
  std::string head = "<tr><th>step</th><th>epoch</th><th class=\"word\">split</th><th>images</th>";
  for (const auto& metric : metrics) head += "<th>" + escape_html(metric) + "</th>";
  head += "<th class=\"word\">encoding</th></tr>\n";

  const auto* best = best_of(evaluations);
  std::string body;
  for (const auto& evaluation : evaluations) {
    body += fmt::format("<tr{}><td>{}</td><td>{}</td><td class=\"word\">{}</td><td>{}</td>",
                        &evaluation == best ? " class=\"best\"" : "", evaluation.step,
                        evaluation.epoch, escape_html(evaluation.split), evaluation.images);
    for (const auto& metric : metrics) {
      body += "<td>" + short_number(metric_of(evaluation, metric), 5) + "</td>";
    }
    body += "<td class=\"word\">" + escape_html(evaluation.encoding) + "</td></tr>\n";
  }
  const auto* note = best != nullptr ? "<p class=\"note\">In bold: the lowest loss.</p>\n" : "";
  return report_section("Evaluations", "<div class=\"scroll\"><table>\n<thead>" + head +
                                           "</thead>\n<tbody>" + body + "</tbody></table></div>\n" +
                                           note);
}

/// A file of the run folder, if it is there yet.
std::optional<std::string> file_of_run(const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  return read_text_file(path);
}

/// How many ranks the run has had, by their logs: every rank has one, and keeps it where the run
/// goes on with fewer. Empty where there are none.
std::string describe_world(const fs::path& run_folder) {
  std::error_code none;
  std::size_t ranks = 0;
  for (const auto& entry : fs::directory_iterator(run_folder / "logs", none)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with("rank-") && name.ends_with(".log")) ++ranks;
  }
  if (ranks == 0) return "";
  return ranks == 1 ? "1 rank" : fmt::format("up to {} ranks", ranks);
}

std::string draw_header(const fs::path& run_folder, const RunHistory& history) {
  const auto title = escape_html(run_name(run_folder));
  const auto world = describe_world(run_folder);
  double seconds = 0.0;
  for (const auto& share : phase_shares(history.steps)) seconds += share.value;
  std::string line = fmt::format("A Gondola run{}{}", world.empty() ? "" : " on ", world);
  if (seconds > 0.0) line += fmt::format(", {:.1f} minutes of training logged", seconds / 60.0);
  return "<header><h1>" + title + "</h1><p>" + line + "</p></header>\n";
}

std::string draw_config(const fs::path& run_folder) {
  const auto config = file_of_run(run_folder / "config.ini");
  if (!config) return "";
  return "<section><details open><summary>config.ini</summary><pre>" + escape_html(*config) +
         "</pre></details></section>\n";
}

}  // namespace

std::filesystem::path write_report(const std::filesystem::path& run_folder) {
  if (!fs::is_directory(run_folder)) {
    throw MissingInputError("there is no run folder " + run_folder.string() +
                            ": name the folder that --run.folder gave to training");
  }
  if (!fs::exists(run_folder / "metrics.jsonl")) {
    throw MissingInputError("the folder " + run_folder.string() +
                            " has no metrics.jsonl: it is not a run folder, or training has not "
                            "started yet");
  }
  const auto history = read_run_history(run_folder / "metrics.jsonl");
  const auto page =
      report_page(run_name(run_folder),
                  draw_header(run_folder, history) + draw_tiles(history) + draw_losses(history) +
                      draw_pictures(run_folder) + draw_phases(history) + "<div class=\"pair\">\n" +
                      draw_curve_section(history, "Throughput", "images a second",
                                         &StepReport::images_per_second) +
                      draw_curve_section(history, "Learning rate", "learning rate",
                                         &StepReport::learning_rate) +
                      draw_curve_section(history, "Gradient norm", "before clipping",
                                         &StepReport::gradient_norm) +
                      draw_curve_section(history, "Latent norm", "root mean square over the batch",
                                         &StepReport::latent_norm) +
                      "</div>\n" + draw_evaluations(history.evaluations) + draw_config(run_folder));
  const auto path = run_folder / "report.html";
  write_text_file(path, page);
  return path;
}

}  // namespace gondola
