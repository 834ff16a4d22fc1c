#include "data/importers/source_sums.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>

#include "configs/errors.hpp"
#include "data/checksum.hpp"

namespace gondola {
namespace {

/// @throws IoError
FileStamp look_at(NearbyFiles& nearby, const std::string& path) {
  const auto [folder, name] = nearby.place_of(path);
  struct ::stat status {};
  if (::fstatat(folder, name, &status, 0) != 0) {
    throw IoError("cannot look at " + path + ": " + std::strerror(errno));
  }
  return stamp_of(status);
}

void require_readable(NearbyFiles& nearby, const std::string& path) {
  const auto [folder, name] = nearby.place_of(path);
  if (::faccessat(folder, name, R_OK, 0) != 0) {
    throw IoError("cannot read " + path + ": " + std::strerror(errno));
  }
}

}  // namespace

SourceSums::SourceSums(const ImportListing& listing, std::int64_t jobs)
    : listing_(listing),
      jobs_(jobs),
      stamps_(listing.files.size()),
      sums_(listing.files.size()),
      summed_(std::make_unique<std::once_flag[]>(listing.files.size())) {
  for_each_file([this](NearbyFiles& nearby, std::size_t i) {
    const std::string& path = listing_.files[i];
    if (begun(i) != nullptr) {
      stamps_[i] = begun(i)->stamp();
    } else if (!is_image(i)) {
      stamps_[i] = look_at(nearby, path);
    }
    require_readable(nearby, path);  // now, and not when all else is done
  });
  ahead_ = std::jthread([this](const std::stop_token& stop) { sum_ahead(stop); });
}

void SourceSums::sum_ahead(const std::stop_token& stop) {
  for (std::size_t i = 0; i < listing_.files.size(); ++i) {
    if (is_image(i) || begun(i) != nullptr) continue;
    try {
      std::call_once(summed_[i], [&] { sums_[i] = sha256_of_file(listing_.files[i], stop); });
    } catch (const std::exception&) {
      return;  // stopped, or described() reads it again and says what is wrong
    }
  }
}

void SourceSums::add(const RawImage& image) {
  const std::size_t file = image.file.value();
  std::call_once(summed_[file], [&] {
    thread_local Sha256 sum;  // kept: a new one looks for the digest first
    sum.update(image.bytes.data(), image.bytes.size());
    sums_[file] = sum.finish_hex();
    stamps_[file] = image.stamp;
  });
  if (stamps_[file] != image.stamp) refuse_change(file);
}

void SourceSums::sum_rest() {
  for_each_file([this](NearbyFiles& nearby, std::size_t i) {
    std::call_once(summed_[i], [&] {
      if (is_image(i)) stamps_[i] = look_at(nearby, listing_.files[i]);
      sums_[i] = begun(i) != nullptr ? begun(i)->wait() : sha256_of_file(listing_.files[i]);
    });
  });
}

std::vector<SourceFile> SourceSums::described() {
  const std::lock_guard lock(description_mutex_);
  if (description_.empty()) {
    sum_rest();
    description_ = described_anew();
  }
  return description_;
}

std::vector<SourceFile> SourceSums::described_anew() const {
  constexpr std::size_t kMostEntries = 16;
  const auto name_of = [](const std::string& path) { return path.substr(path.rfind('/') + 1); };
  const auto& paths = listing_.files;
  if (paths.size() <= kMostEntries) {
    std::vector<SourceFile> entries;
    for (std::size_t i = 0; i < paths.size(); ++i) entries.push_back({name_of(paths[i]), sums_[i]});
    return entries;
  }
  Sha256 all;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const std::string line = sums_[i] + "  " + name_of(paths[i]) + "\n";
    all.update(line.data(), line.size());
  }
  return {{std::to_string(paths.size()) + " files, " + name_of(paths.front()) + " to " +
               name_of(paths.back()),
           all.finish_hex()}};
}

void SourceSums::require_unchanged() const {
  for_each_file([this](NearbyFiles& nearby, std::size_t i) {
    if (look_at(nearby, listing_.files[i]) != stamps_[i]) refuse_change(i);
  });
}

void SourceSums::refuse_change(std::size_t file) const {
  throw DataError(listing_.files[file] +
                  " changed while it was imported; start again when it is complete");
}

void SourceSums::for_each_file(const std::function<void(NearbyFiles&, std::size_t)>& action) const {
  const std::size_t files = listing_.files.size();
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    NearbyFiles nearby;
    try {
      for (std::size_t i = next++; i < files; i = next++) action(nearby, i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      error = std::current_exception();
      next = files;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::int64_t i = 1; i < jobs_ && threads.size() + 1 < files; ++i) {
      threads.emplace_back(work);
    }
    work();
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace gondola
