#include "monitoring/comparison.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "configs/config_io.hpp"
#include "configs/errors.hpp"
#include "configs/option_table.hpp"
#include "monitoring/report_page.hpp"
#include "monitoring/run_history.hpp"
#include "monitoring/svg_chart.hpp"
#include "monitoring/text_file.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

struct ComparedRun {
  fs::path folder;
  std::string name;
  RunConfig config;
  std::vector<EvalReport> evaluations;  ///< Of one split; at least one.
};

/// Runs of equal options but for the seed.
struct Group {
  std::string name;
  std::vector<const ComparedRun*> runs;
};

ComparedRun read_run(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw MissingInputError("there is no run folder " + folder.string() +
                            ": name folders that --run.folder gave to training");
  }
  for (const char* file : {"config.ini", "metrics.jsonl"}) {
    if (!fs::exists(folder / file)) {
      throw MissingInputError("the folder " + folder.string() + " has no " + file +
                              ": it is not a run folder, or training has not started yet");
    }
  }
  const auto ini = folder / "config.ini";
  ComparedRun run{.folder = fs::absolute(folder).lexically_normal(),
                  .name = {},
                  .config = from_ini(read_text_file(ini), ini.string()),
                  .evaluations = read_run_history(folder / "metrics.jsonl").evaluations};
  if (run.evaluations.empty()) {
    throw DataError("the run " + folder.string() +
                    " has no evaluation yet: wait for its first (evaluation.every_steps), or "
                    "leave it out");
  }
  const auto split = run.evaluations.back().split;
  std::erase_if(run.evaluations, [&](const auto& row) { return row.split != split; });
  return run;
}

/// Parts of a path, the last first; of a path that ends with a slash as without it.
std::vector<std::string> parts_of(const fs::path& path) {
  std::vector<std::string> parts;
  for (const auto& part : path) {
    if (!part.empty()) parts.push_back(part.string());
  }
  std::ranges::reverse(parts);
  return parts;
}

/// Names the runs by as few last parts of their paths as tell them apart, less those that all
/// share. REQUIRES different paths.
void name_runs(std::vector<ComparedRun>& runs) {
  std::vector<std::vector<std::string>> parts;
  for (const auto& run : runs) parts.push_back(parts_of(run.folder));
  const auto name = [&](std::size_t run, std::size_t first, std::size_t last) {
    std::string text;
    for (std::size_t i = std::min(last, parts[run].size()); i-- > first;) {
      text += (text.empty() ? "" : "/") + parts[run][i];
    }
    return text;
  };
  const auto different = [&](std::size_t first, std::size_t last) {
    std::set<std::string> names;
    for (std::size_t i = 0; i < runs.size(); ++i) names.insert(name(i, first, last));
    return names.size();
  };
  std::size_t first = 0;
  while (different(first, first + 1) == 1) ++first;
  std::size_t last = first + 1;
  while (different(first, last) < runs.size()) ++last;
  for (std::size_t i = 0; i < runs.size(); ++i) runs[i].name = name(i, first, last);
}

/// The options of a run that its measurements may depend on, without the seed.
std::string options_but_seed(RunConfig config) {
  config.run = {};
  config.monitoring = {};
  config.bench = {};
  return to_ini(config);
}

/// What the names have in common at their beginning, without the word for what follows.
std::string common_name(const std::vector<const ComparedRun*>& runs) {
  std::string name = runs.front()->name;
  if (runs.size() == 1) return name;
  for (const auto* run : runs) {
    const auto end = std::ranges::mismatch(name, run->name).in1;
    name.erase(end, name.end());
  }
  const auto trim = [&] {
    while (!name.empty() && std::string("-_./ =").find(name.back()) != std::string::npos) {
      name.pop_back();
    }
  };
  trim();
  if (name.ends_with("seed")) name.resize(name.size() - 4);
  trim();
  return name.empty() ? runs.front()->name + " and others" : name;
}

/// In the order of their first runs.
std::vector<Group> group(const std::vector<ComparedRun>& runs) {
  std::vector<Group> groups;
  std::map<std::string, std::size_t> place_of;
  for (const auto& run : runs) {
    const auto [found, is_new] = place_of.emplace(options_but_seed(run.config), groups.size());
    if (is_new) groups.emplace_back();
    auto& members = groups[found->second].runs;
    for (const auto* other : members) {
      if (other->config.run.seed != run.config.run.seed) continue;
      throw ConfigError("the runs " + other->folder.string() + " and " + run.folder.string() +
                        " have the same options and the same seed " +
                        std::to_string(run.config.run.seed) + ": leave one of them out");
    }
    members.push_back(&run);
  }
  std::map<std::string, int> uses;
  for (auto& each : groups) {
    each.name = common_name(each.runs);
    ++uses[each.name];
  }
  for (auto& each : groups) {
    if (uses[each.name] > 1) each.name = each.runs.front()->name + " and others";
  }
  return groups;
}

/// "5.35 ± 0.12", or one number.
std::string mean_and_spread(const std::vector<double>& values) {
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  if (values.size() == 1) return short_number(mean, 5);
  return short_number(mean, 5) + " ± " +
         short_number(std::sqrt(squares / static_cast<double>(values.size() - 1)), 2);
}

std::string range(std::vector<std::int64_t> values) {
  const auto [low, high] = std::ranges::minmax(values);
  return low == high ? std::to_string(low) : fmt::format("{} to {}", low, high);
}

using Rows = std::vector<std::vector<std::string>>;

std::set<std::string> metrics_of(const std::vector<ComparedRun>& runs) {
  std::set<std::string> metrics;
  for (const auto& run : runs) {
    for (const auto& [name, value] : run.evaluations.back().metrics) metrics.insert(name);
  }
  return metrics;
}

/// A head and a row for each group.
Rows make_table(const std::vector<Group>& groups, const std::set<std::string>& metrics) {
  Rows rows = {{"run", "seeds", "split", "images", "at step", "lowest loss", "at step"}};
  rows[0].insert(rows[0].begin() + 5, metrics.begin(), metrics.end());
  for (const auto& each : groups) {
    std::vector<std::int64_t> images, last_steps, best_steps;
    std::vector<double> best;
    for (const auto* run : each.runs) {
      images.push_back(run->evaluations.back().images);
      last_steps.push_back(run->evaluations.back().step);
      const auto* lowest = best_of(run->evaluations);
      if (lowest == nullptr) lowest = &run->evaluations.front();
      best.push_back(metric_of(*lowest, "loss"));
      best_steps.push_back(lowest->step);
    }
    auto& row = rows.emplace_back();
    row = {each.name, std::to_string(each.runs.size()), each.runs.front()->evaluations.back().split,
           range(images), range(last_steps)};
    for (const auto& metric : metrics) {
      std::vector<double> values;
      for (const auto* run : each.runs) {
        const auto& measured = run->evaluations.back().metrics;
        if (measured.contains(metric)) values.push_back(measured.at(metric));
      }
      row.push_back(values.empty() ? "" : mean_and_spread(values));
    }
    row.push_back(mean_and_spread(best));
    row.push_back(range(best_steps));
  }
  return rows;
}

/// The options in which groups differ, with the value of each.
Rows make_differences(const std::vector<Group>& groups) {
  Rows rows = {{"option"}};
  for (const auto& each : groups) rows[0].push_back(each.name);
  for (const auto& option : option_table()) {
    if (option.section == "run" || option.section == "monitoring" || option.section == "bench") {
      continue;
    }
    std::vector<std::string> row = {option.name()};
    std::set<std::string> values;
    for (const auto& each : groups) {
      row.push_back(value_of(each.runs.front()->config, option.name()));
      values.insert(row.back());
    }
    if (values.size() > 1) rows.push_back(std::move(row));
  }
  return rows;
}

/// Columns of UTF-8, padded.
std::string as_text(const Rows& rows) {
  const auto width_of = [](const std::string& text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
  };
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i] + std::string(widths[i] + 2 - width_of(row[i]), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string as_html(const Rows& rows) {
  std::string html = "<div class=\"scroll\"><table>\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    html += "<tr>";
    for (std::size_t column = 0; column < rows[i].size(); ++column) {
      const char* tag = i == 0 ? "th" : "td";
      html += fmt::format("<{}{}>{}</{}>", tag, column == 0 ? " class=\"word\"" : "",
                          escape_html(rows[i][column]), tag);
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string draw_curves(const std::vector<Group>& groups, const std::string& metric,
                        const ChartFrame& frame) {
  LineChart chart{.y_name = metric, .curves = {}, .y_log_if_it_helps = true, .frame = frame};
  for (std::size_t place = 0; place < groups.size(); ++place) {
    for (const auto* run : groups[place].runs) {
      Curve curve{.name = run->name,
                  .points = {},
                  .dots = true,
                  .group = place,
                  .group_name = groups[place].name};
      for (const auto& row : run->evaluations) {
        const auto found = row.metrics.find(metric);
        if (found == row.metrics.end()) continue;
        curve.points.push_back({static_cast<double>(row.step), found->second});
      }
      chart.curves.push_back(std::move(curve));
    }
  }
  return report_section(escape_html(metric) + " over steps", draw_line_chart(chart));
}

}  // namespace

std::string compare_runs(const std::vector<fs::path>& run_folders, const fs::path& page) {
  if (run_folders.size() < 2) {
    throw ConfigError("a comparison needs two runs at least, and got " +
                      std::to_string(run_folders.size()) +
                      ": gondola report --compare RUN_FOLDER RUN_FOLDER ...");
  }
  std::vector<ComparedRun> runs;
  std::set<fs::path> folders;
  for (const auto& folder : run_folders) {
    runs.push_back(read_run(folder));
    if (!folders.insert(fs::canonical(folder)).second) {
      throw ConfigError("the run " + folder.string() + " is named twice: name each run once");
    }
  }
  name_runs(runs);
  const auto groups = group(runs);
  const auto metrics = metrics_of(runs);
  const auto table = make_table(groups, metrics);
  const auto differences = make_differences(groups);

  std::string body = fmt::format("<header><h1>Comparison of {} runs</h1></header>\n", runs.size());
  body += report_section(
      "Held-out images",
      as_html(table) +
          "<p class=\"note\">At the last evaluation; with ±, mean and standard deviation over runs "
          "that differ in nothing but the seed.</p>\n");
  if (differences.size() > 1) body += report_section("Options that differ", as_html(differences));
  if (metrics.contains("loss")) {
    body += draw_curves(groups, "loss", {.width = 1040, .height = 320});
  }
  body += "<div class=\"pair\">\n";
  for (const auto& metric : metrics) {
    if (metric != "loss") body += draw_curves(groups, metric, {.width = 500, .height = 220});
  }
  body += "</div>\n";
  write_text_file(page, report_page("Comparison", body));
  return as_text(table);
}

}  // namespace gondola
