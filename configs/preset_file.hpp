#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gondola {

/// The folders that hold presets, the first to look in first: `from_environment` (the value of
/// GONDOLA_PRESETS) unless it is empty, then share/gondola/configs/presets beside the program's bin
/// where it is installed, else the folder of its sources.
[[nodiscard]] std::vector<std::filesystem::path> preset_folders(
    const std::string& from_environment);

/// The file that `--config NAME` means: a file of that name, or NAME.ini in the first folder that
/// has it (NAME may have a subfolder: curves/conv_gon_mnist). @throws MissingInputError with the
/// places looked in and the nearest preset.
[[nodiscard]] std::filesystem::path find_config_file(
    const std::string& name, const std::vector<std::filesystem::path>& folders);

/// The presets of a folder and of its subfolders, as they are named to --config, sorted.
[[nodiscard]] std::vector<std::string> preset_names(const std::filesystem::path& folder);

}  // namespace gondola
