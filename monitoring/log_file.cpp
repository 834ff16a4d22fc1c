#include "monitoring/log_file.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <string>
#include <utility>
#include <vector>

#include "configs/errors.hpp"

namespace gondola {

RankLog::RankLog(const std::filesystem::path& run_folder, int rank) {
  const auto name = "rank-" + std::to_string(rank);
  const auto path = run_folder / "logs" / (name + ".log");
  std::vector<spdlog::sink_ptr> sinks;
  try {
    sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string()));
  } catch (const spdlog::spdlog_ex& error) {
    throw IoError("cannot open the log file " + path.string() + ": " + error.what());
  }
  sinks.front()->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  if (rank == 0) {
    auto console = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    console->set_level(spdlog::level::warn);
    console->set_pattern("gondola: %l: %v");
    sinks.push_back(std::move(console));
  }
  logger_ = std::make_shared<spdlog::logger>(name, sinks.begin(), sinks.end());
  logger_->flush_on(spdlog::level::trace);
}

void RankLog::info(const std::string& sentence) const { logger_->info("{}", sentence); }

void RankLog::warn(const std::string& sentence) const { logger_->warn("{}", sentence); }

}  // namespace gondola
