#include "trainer/checkpoint/checkpoint_folder.hpp"

#include <algorithm>
#include <string_view>
#include <system_error>

#include "configs/errors.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"
#include "trainer/checkpoint/checkpoint_trial.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

bool is_checkpoint_name(std::string_view name) {
  constexpr std::string_view kPrefix = "step-";
  constexpr std::size_t kMostDigits = 18;  // of a number of 63 bits
  return name.starts_with(kPrefix) && name.size() > kPrefix.size() &&
         name.size() <= kPrefix.size() + kMostDigits &&
         std::all_of(name.begin() + kPrefix.size(), name.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

/// REQUIRES a path of list_checkpoints().
std::int64_t step_of(const fs::path& checkpoint) {
  return std::stoll(checkpoint.filename().string().substr(5));
}

}  // namespace

std::vector<fs::path> list_checkpoints(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (is_checkpoint_name(entry->path().filename().string()) && entry->is_directory(error) &&
        !entry->is_symlink(error)) {
      found.push_back(entry->path());
    }
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw IoError("cannot list the checkpoints in '" + folder.string() + "': " + error.message() +
                  "; check the folder and its permissions");
  }
  std::sort(found.begin(), found.end(),
            [](const fs::path& a, const fs::path& b) { return step_of(a) > step_of(b); });
  return found;
}

NewestCheckpoint newest_complete(const fs::path& folder) {
  NewestCheckpoint result;
  for (const auto& path : list_checkpoints(folder)) {
    try {
      verify_checkpoint(path);
      result.path = path;
      return result;
    } catch (const Error& error) {
      result.skipped.emplace_back(error.what());
    }
  }
  return result;
}

void mark_best(const fs::path& checkpoint) {
  const auto link = checkpoint.parent_path() / "best";
  const auto temporary = checkpoint.parent_path() / ".best.partial";
  std::error_code error;
  fs::remove(temporary, error);
  fs::create_directory_symlink(checkpoint.filename(), temporary, error);
  if (!error) fs::rename(temporary, link, error);
  if (error)
    throw IoError("cannot point '" + link.string() +
                  "' to the best checkpoint: " + error.message());
}

void mark_best_again(const fs::path& folder, std::int64_t step) {
  for (const auto& path : list_checkpoints(folder)) {
    if (step_of(path) == step) return mark_best(path);
  }
  std::error_code error;
  fs::remove(folder / "best", error);
}

void set_later_aside(const fs::path& folder, std::int64_t step) {
  for (const auto& path : list_checkpoints(folder)) {
    if (step_of(path) <= step) continue;
    auto aside = path.parent_path() / ("abandoned-" + path.filename().string());
    for (int i = 2; fs::exists(aside); ++i) {
      aside =
          path.parent_path() / ("abandoned-" + path.filename().string() + "-" + std::to_string(i));
    }
    std::error_code error;
    fs::rename(path, aside, error);
    if (error)
      throw IoError("cannot rename '" + path.string() + "' to '" + aside.string() +
                    "': " + error.message());
  }
}

void remove_old_checkpoints(const fs::path& newest, std::int64_t keep) {
  const auto folder = newest.parent_path();
  auto all = list_checkpoints(folder);
  std::error_code error;
  // What has lost its mark, or never had one, is no checkpoint to fall back on: it does not count.
  std::erase_if(all, [&](const fs::path& path) {
    return step_of(path) > step_of(newest) || !fs::exists(path / "COMPLETE", error);
  });
  const auto best = fs::read_symlink(folder / "best", error);
  std::string left_over;
  for (std::size_t i = static_cast<std::size_t>(std::max<std::int64_t>(keep, 1)); i < all.size();
       ++i) {
    if (all[i].filename() == best) continue;
    fs::remove(all[i] / "COMPLETE", error);
    fs::remove_all(all[i], error);
    if (error && left_over.empty()) {
      left_over = "cannot remove old checkpoint '" + all[i].string() + "': " + error.message() +
                  "; remove it by hand";
    }
  }
  if (!left_over.empty()) throw IoError(left_over);
}

void remove_unfinished(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const auto name = entry->path().filename().string();
    if (!name.starts_with(".step-") || !name.ends_with(".partial")) continue;
    fs::remove_all(entry->path(), error);
    if (error)
      throw IoError("cannot remove unfinished checkpoint '" + entry->path().string() +
                    "': " + error.message());
  }
}

namespace {

/// As checkpoint_named(), by its hash alone.
fs::path whole_checkpoint_of(const fs::path& path) {
  if (!fs::exists(path))
    throw MissingInputError("checkpoint or run folder '" + path.string() + "' does not exist");
  if (!fs::is_directory(path / "checkpoints")) {
    if (!fs::exists(path / "COMPLETE") && !fs::exists(path / "state.h5")) {
      throw MissingInputError("'" + path.string() +
                              "' is neither a run folder nor a checkpoint: name the folder that "
                              "--run.folder gave to training, or a checkpoints/step-<n> of it");
    }
    verify_checkpoint(path);
    return path;
  }
  const auto folder = path / "checkpoints";
  if (fs::exists(folder / "best")) {
    const auto best = fs::canonical(folder / "best");
    verify_checkpoint(best);
    return best;
  }
  const auto newest = newest_complete(folder);
  if (newest.path) return *newest.path;
  if (newest.skipped.empty())
    throw MissingInputError("run folder '" + path.string() + "' holds no checkpoint yet");
  throw CheckpointError(newest.skipped.front());
}

}  // namespace

fs::path checkpoint_named(const fs::path& path) {
  const auto checkpoint = whole_checkpoint_of(path);
  try_to_read(checkpoint);
  return checkpoint;
}

}  // namespace gondola
