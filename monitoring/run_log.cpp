#include "monitoring/run_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "configs/errors.hpp"
#include "monitoring/text_file.hpp"

namespace gondola {

namespace {

using Json = nlohmann::ordered_json;

/// Columns of metrics.csv before those of the phases: keys of a row. A row leaves empty what it
/// does not have.
constexpr std::array kColumns = {"kind",
                                 "step",
                                 "epoch",
                                 "split",
                                 "images",
                                 "loss",
                                 "psnr",
                                 "ssim",
                                 "inner_loss",
                                 "latent_norm",
                                 "gradient_norm",
                                 "learning_rate",
                                 "images_per_second",
                                 "step_seconds"};

/// Columns behind those of the phases: what some families of models have, or few rows.
constexpr std::array kLastColumns = {"cross_entropy", "divergence",          "bits_per_dimension",
                                     "accuracy",      "reconstruction_loss", "coordinate_spread",
                                     "from_step"};

std::string csv_header() {
  std::string header;
  for (const char* column : kColumns) header += std::string(column) + ",";
  for (const char* phase : kPhaseNames) header += std::string(phase) + "_seconds,";
  for (const char* column : kLastColumns) header += std::string(column) + ",";
  header.back() = '\n';
  return header;
}

std::string csv_value(const Json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

/// Without its line end.
std::string csv_row(const Json& row) {
  std::string line;
  for (const char* column : kColumns) line += csv_value(row, column) + ",";
  const Json phases = row.value("phase_seconds", Json::object());
  for (const char* phase : kPhaseNames) line += csv_value(phases, phase) + ",";
  for (const char* column : kLastColumns) line += csv_value(row, column) + ",";
  line.pop_back();
  return line;
}

Json json_row(const StepReport& report) {
  Json phases;
  for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase) {
    phases[kPhaseNames[phase]] = report.phase_seconds[phase];
  }
  Json row = {{"kind", "train"},
              {"step", report.step},
              {"epoch", report.epoch},
              {"loss", report.loss},
              {"inner_loss", report.inner_loss},
              {"latent_norm", report.latent_norm},
              {"gradient_norm", report.gradient_norm},
              {"learning_rate", report.learning_rate},
              {"images_per_second", report.images_per_second},
              {"step_seconds", report.step_seconds},
              {"phase_seconds", std::move(phases)}};
  for (const auto& [name, value] : report.parts) row[name] = value;
  return row;
}

Json json_row(const EvalReport& report) {
  Json row = {{"kind", "eval"},        {"step", report.step},     {"epoch", report.epoch},
              {"split", report.split}, {"images", report.images}, {"encoding", report.encoding}};
  for (const auto& [metric, value] : report.metrics) row[metric] = value;
  return row;
}

/// Leaves in metrics.jsonl the whole rows up to `last_step` and makes metrics.csv of them.
/// @param undone rollbacks to `last_step` go too: a resume from that checkpoint undoes them.
void keep_rows(const std::filesystem::path& run_folder, std::int64_t last_step, bool undone) {
  const auto json_path = run_folder / "metrics.jsonl";
  std::string before;
  if (std::filesystem::exists(json_path)) before = read_text_file(json_path);

  std::string kept;
  std::string table = csv_header();
  for (std::size_t begin = 0, end = 0; (end = before.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const auto line = before.substr(begin, end - begin);
    const auto row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    const bool whole = row.is_object() && row.contains("step") && row["step"].is_number_integer();
    if (!whole || row["step"].get<std::int64_t>() > last_step) continue;
    if (undone && row.value("kind", "") == "rollback" && row["step"] == last_step) continue;
    kept += line + "\n";
    table += csv_row(row) + "\n";
  }
  if (kept != before) write_text_file(json_path, kept);
  write_text_file(run_folder / "metrics.csv", table);
}

Json json_row(const RollbackReport& report) {
  return {{"kind", "rollback"},
          {"step", report.step},
          {"from_step", report.from_step},
          {"images", report.images},
          {"reason", report.reason}};
}

}  // namespace

RowFile::RowFile(std::filesystem::path path)
    : path_(std::move(path)),
      descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) {
    throw IoError("cannot open " + path_.string() + ": " + std::strerror(errno));
  }
}

RowFile::~RowFile() { ::close(descriptor_); }

void RowFile::append(std::string_view row) {
  const auto line = std::string(row) + "\n";
  const auto start = ::lseek(descriptor_, 0, SEEK_END);
  std::string_view left = line;
  while (!left.empty()) {
    const auto count = ::write(descriptor_, left.data(), left.size());
    if (count > 0) left.remove_prefix(static_cast<std::size_t>(count));
    if (count > 0 || (count < 0 && errno == EINTR)) continue;
    const int error = errno;
    const bool taken_back = ::ftruncate(descriptor_, start) == 0;
    throw IoError("cannot write to " + path_.string() + ": " + std::strerror(error) +
                  (taken_back ? "" : ", and its last row is not whole") + "; make room and resume");
  }
}

void RowFile::flush() {
  if (::fdatasync(descriptor_) != 0) {
    throw IoError("cannot write " + path_.string() + " to disk: " + std::strerror(errno));
  }
}

RunLog::RunLog(const std::filesystem::path& run_folder, std::int64_t resume_step)
    : run_folder_(run_folder) {
  keep_up_to(resume_step, /*undone=*/true);
}

/// Both files are written anew and opened for more.
void RunLog::keep_up_to(std::int64_t step, bool undone) {
  keep_rows(run_folder_, step, undone);
  json_ = std::make_unique<RowFile>(run_folder_ / "metrics.jsonl");
  csv_ = std::make_unique<RowFile>(run_folder_ / "metrics.csv");
}

void RunLog::on_step(const StepReport& report) {
  if (!report.logged) return;
  const auto row = json_row(report);
  json_->append(row.dump());
  csv_->append(csv_row(row));
}

void RunLog::on_eval(const EvalReport& report) {
  const auto row = json_row(report);
  json_->append(row.dump());
  csv_->append(csv_row(row));
}

void RunLog::on_rollback(const RollbackReport& report) {
  keep_up_to(report.step, /*undone=*/false);
  const auto row = json_row(report);
  json_->append(row.dump());
  csv_->append(csv_row(row));
}

void RunLog::flush() {
  json_->flush();
  csv_->flush();
}

}  // namespace gondola
