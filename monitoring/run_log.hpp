#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "trainer/step_report.hpp"

namespace gondola {

/// A file that grows by whole rows: each row is one write(), and a row that did not fit (disk full)
/// is taken back.
class RowFile {
 public:
  /// Opens for appending, creates where missing. @throws IoError
  explicit RowFile(std::filesystem::path path);
  ~RowFile();
  RowFile(const RowFile&) = delete;
  RowFile& operator=(const RowFile&) = delete;

  /// `row` without its line end. @throws IoError naming the file
  void append(std::string_view row);
  /// Returns when the rows are on disk. @throws IoError naming the file
  void flush();

 private:
  std::filesystem::path path_;
  int descriptor_;
};

/// The numbers of a run on disk, written by rank 0: metrics.jsonl, one JSON object a row (DESIGN.md
/// 8), and the same rows as a table in metrics.csv. Numbers are written with as many digits as it
/// takes to read the same double back; what is not finite is null (CSV: empty).
///
/// On resume and on a rollback, which gets a row of its own, the rows beyond the checkpoint's step
/// are dropped, and so is a row that a killed run left half written; metrics.csv is made anew from
/// the rows that stay.
class RunLog final : public StepObserver {
 public:
  /// Rows with a step up to `resume_step` stay; 0 for a fresh run. @throws IoError
  RunLog(const std::filesystem::path& run_folder, std::int64_t resume_step);

  void on_step(const StepReport& report) override;
  void on_eval(const EvalReport& report) override;
  void on_rollback(const RollbackReport& report) override;
  void flush() override;

 private:
  void keep_up_to(std::int64_t step, bool undone);

  std::filesystem::path run_folder_;
  std::unique_ptr<RowFile> json_;
  std::unique_ptr<RowFile> csv_;
};

}  // namespace gondola
