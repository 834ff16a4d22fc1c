#pragma once

#include <boost/program_options.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "configs/run_config.hpp"
#include "data/image_source.hpp"

namespace gondola {

/// What the commands that use a trained model have in common: `gondola <command> RUN [options]`.
struct ModelOptions {
  std::string run;   ///< Run folder or checkpoint folder.
  std::string data;  ///< Dataset; empty: the run's own.
  Split split = Split::kTest;
  std::int64_t images = 0;  ///< From the start of the split; 0: all.
  EvaluationStatistics statistics = EvaluationStatistics::kIndependent;
  std::int64_t group_images = 100;
};

/// The table of the common options, to which a command adds its own.
[[nodiscard]] boost::program_options::options_description model_option_table(
    std::int64_t default_images);

/// Parses RUN and the options of `table`. Nothing where --help was asked for (and printed).
/// @throws ConfigError
[[nodiscard]] std::optional<boost::program_options::variables_map> parse_model_command(
    const std::string& command, std::span<const std::string> args,
    const boost::program_options::options_description& table);

/// The common part of what was parsed. @throws ConfigError
[[nodiscard]] ModelOptions model_options(const boost::program_options::variables_map& values);

/// @throws WorldError for a command that draws or writes one file, started on several ranks
void require_one_rank(const std::string& command, int size);

/// Where a command writes: --output, or `name` in the run folder; that of its run where RUN is a
/// checkpoint, whose own folder is removed when newer ones come. @throws ConfigError for a file
/// that exists, or a checkpoint that lies in no run folder
[[nodiscard]] std::filesystem::path output_path(const boost::program_options::variables_map& values,
                                                const std::string& name);

}  // namespace gondola
