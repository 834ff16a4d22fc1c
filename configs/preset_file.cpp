#include "configs/preset_file.hpp"

#include <algorithm>

#include "configs/errors.hpp"
#include "configs/nearest_name.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

void add_presets(const fs::path& folder, const std::string& prefix,
                 std::vector<std::string>& names) {
  std::error_code ignored;  // a folder that cannot be read has no presets to name
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const auto stem = prefix + entry.path().stem().string();
    if (entry.is_directory(ignored)) {
      add_presets(entry.path(), stem + "/", names);
    } else if (entry.path().extension() == ".ini") {
      names.push_back(stem);
    }
  }
}

}  // namespace

std::vector<fs::path> preset_folders(const std::string& from_environment) {
  std::vector<fs::path> folders;
  if (!from_environment.empty()) folders.emplace_back(from_environment);
  std::error_code missing;
  const auto program = fs::read_symlink("/proc/self/exe", missing);
  const auto installed = program.parent_path().parent_path() / "share/gondola/configs/presets";
  const bool is_installed = !missing && fs::is_directory(installed, missing);
  folders.push_back(is_installed ? installed : fs::path(GONDOLA_PRESETS_DIR));
  return folders;
}

std::vector<std::string> preset_names(const fs::path& folder) {
  std::vector<std::string> names;
  add_presets(folder, "", names);
  std::sort(names.begin(), names.end());
  return names;
}

fs::path find_config_file(const std::string& name, const std::vector<fs::path>& folders) {
  std::error_code ignored;
  if (fs::exists(name, ignored) && !fs::is_directory(name, ignored)) return name;

  std::string places;
  std::vector<std::string> presets;
  for (const auto& folder : folders) {
    const auto file = folder / (name + ".ini");
    if (fs::exists(file, ignored)) return file;
    places += (places.empty() ? "" : " and ") + folder.string();
    for (auto& preset : preset_names(folder)) presets.push_back(std::move(preset));
  }
  throw MissingInputError("--config " + name + " is neither a file nor a preset in " + places +
                          did_you_mean(name, presets));
}

}  // namespace gondola
