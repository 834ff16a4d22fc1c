#include "monitoring/run_history.hpp"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "configs/errors.hpp"
#include "monitoring/text_file.hpp"

namespace gondola {

namespace {

using Json = nlohmann::json;

double to_double(const Json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

StepReport to_step(const Json& row) {
  StepReport report;
  report.logged = true;
  report.step = row.at("step").get<std::int64_t>();
  report.epoch = row.at("epoch").get<std::int64_t>();
  report.loss = to_double(row.at("loss"));
  report.inner_loss = to_double(row.at("inner_loss"));
  report.latent_norm = to_double(row.at("latent_norm"));
  report.gradient_norm = to_double(row.at("gradient_norm"));
  report.learning_rate = to_double(row.at("learning_rate"));
  report.images_per_second = to_double(row.at("images_per_second"));
  report.step_seconds = to_double(row.at("step_seconds"));
  for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase) {
    report.phase_seconds[phase] = to_double(row.at("phase_seconds").at(kPhaseNames[phase]));
  }
  return report;
}

EvalReport to_evaluation(const Json& row) {
  EvalReport report;
  report.step = row.at("step").get<std::int64_t>();
  report.epoch = row.at("epoch").get<std::int64_t>();
  report.split = row.at("split").get<std::string>();
  report.images = row.at("images").get<std::int64_t>();
  report.encoding = row.at("encoding").get<std::string>();
  for (const auto& [key, value] : row.items()) {
    const bool named = key == "step" || key == "epoch" || key == "images";
    if (!named && (value.is_number() || value.is_null())) report.metrics[key] = to_double(value);
  }
  return report;
}

}  // namespace

RunHistory read_run_history(const std::filesystem::path& metrics_jsonl) {
  const auto text = read_text_file(metrics_jsonl);
  RunHistory history;
  std::size_t line = 1;
  for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1, ++line) {
    try {
      const auto row = Json::parse(text.substr(begin, end - begin));
      const auto kind = row.at("kind").get<std::string>();
      if (kind == "train") history.steps.push_back(to_step(row));
      if (kind == "eval") history.evaluations.push_back(to_evaluation(row));
    } catch (const nlohmann::json::exception& error) {
      throw DataError("line " + std::to_string(line) + " of " + metrics_jsonl.string() +
                      " is not a row of metrics (" + error.what() +
                      "): delete that line, or resume the run, which drops it");
    }
  }
  return history;
}

double metric_of(const EvalReport& evaluation, const std::string& metric) {
  const auto found = evaluation.metrics.find(metric);
  return found == evaluation.metrics.end() ? std::numeric_limits<double>::quiet_NaN()
                                           : found->second;
}

const EvalReport* best_of(const std::vector<EvalReport>& evaluations) {
  const EvalReport* best = nullptr;
  for (const auto& evaluation : evaluations) {
    const double loss = metric_of(evaluation, "loss");
    if (std::isfinite(loss) && (best == nullptr || loss < metric_of(*best, "loss"))) {
      best = &evaluation;
    }
  }
  return best;
}

}  // namespace gondola
