#include "data/importers/source_sums.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>

#include "configs/errors.hpp"
#include "data/checksum.hpp"

namespace gondola {

SourceSums::SourceSums(const ImportListing& listing, std::int64_t jobs)
    : paths_(listing.files),
      jobs_(jobs),
      stamps_(paths_.size()),
      sums_(paths_.size()),
      summed_(std::make_unique<std::once_flag[]>(paths_.size())) {
  for_each_file([this](std::size_t i) {
    stamps_[i] = stamp_of(paths_[i]);
    if (::access(paths_[i].c_str(), R_OK) != 0) {  // now, and not when all else is done
      throw IoError("cannot read " + paths_[i] + ": " + std::strerror(errno));
    }
  });
  ahead_ = std::jthread([this, as_images = listing.as_images](const std::stop_token& stop) {
    sum_ahead(as_images, stop);
  });
}

void SourceSums::sum_ahead(const std::vector<bool>& as_images, const std::stop_token& stop) {
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    if (i < as_images.size() && as_images[i]) continue;
    try {
      std::call_once(summed_[i], [&] { sums_[i] = sha256_of_file(paths_[i], stop); });
    } catch (const std::exception&) {
      return;  // stopped, or described() reads it again and says what is wrong
    }
  }
}

void SourceSums::add(std::size_t file, std::span<const std::uint8_t> bytes) {
  std::call_once(summed_[file], [&] {
    Sha256 sum;
    sum.update(bytes.data(), bytes.size());
    sums_[file] = sum.finish_hex();
  });
}

void SourceSums::sum_rest() {
  for_each_file([this](std::size_t i) {
    std::call_once(summed_[i], [&] { sums_[i] = sha256_of_file(paths_[i]); });
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
  std::vector<SourceFile> entries;
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    entries.push_back({std::filesystem::path(paths_[i]).filename().string(), sums_[i]});
  }
  if (entries.size() <= kMostEntries) return entries;
  Sha256 all;
  for (const SourceFile& entry : entries) {
    const std::string line = entry.sha256 + "  " + entry.name + "\n";
    all.update(line.data(), line.size());
  }
  return {{std::to_string(entries.size()) + " files, " + entries.front().name + " to " +
               entries.back().name,
           all.finish_hex()}};
}

void SourceSums::require_unchanged() const {
  for_each_file([this](std::size_t i) {
    if (stamp_of(paths_[i]) != stamps_[i]) {
      throw DataError(paths_[i] +
                      " changed while it was imported; start again when it is complete");
    }
  });
}

void SourceSums::for_each_file(const std::function<void(std::size_t)>& action) const {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    try {
      for (std::size_t i = next++; i < paths_.size(); i = next++) action(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      error = std::current_exception();
      next = paths_.size();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::int64_t i = 1; i < jobs_ && threads.size() + 1 < paths_.size(); ++i) {
      threads.emplace_back(work);
    }
    work();
  }
  if (error) std::rethrow_exception(error);
}

SourceSums::Stamp SourceSums::stamp_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    throw IoError("cannot look at " + path + ": " + std::strerror(errno));
  }
  return {status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

}  // namespace gondola
