#include "data/archives/packed_archive.hpp"

#include <archive_entry.h>
#include <sys/stat.h>

#include <algorithm>
#include <numeric>

#include "configs/errors.hpp"
#include "data/archives/libarchive_reader.hpp"
#include "data/archives/natural_order.hpp"
#include "data/archives/tar_places.hpp"
#include "data/archives/tar_reader.hpp"
#include "data/file_watch.hpp"

namespace gondola {
namespace {

constexpr std::int64_t kMostKeptBytes = std::int64_t{1} << 30;

/// A tar or zip.
class PackedArchive final : public Archive {
 public:
  explicit PackedArchive(const std::string& path) : Archive(path) {
    LibarchiveReader reader(path, LibarchiveReader::Format::kArchive);
    status_ = stat_of(path);
    std::vector<std::string> stored;
    TarPlaces tar;
    std::int64_t kept_bytes = 0;
    bool keep = true;
    while (archive_entry* entry = reader.next()) {
      const auto name = reader.member_name(entry);
      keep = keep && reader.is_packed();
      tar.add(reader, entry, name.has_value());
      if (const auto link = reader.link_name(entry)) links_.push_back(*link);
      if (!name) continue;
      stored.push_back(*name);
      keep = keep && ::archive_entry_size(entry) <= kMostKeptBytes - kept_bytes;
      if (keep) {
        kept_.push_back(reader.read(*name, kMostMemberBytes, ::archive_entry_size(entry)));
        kept_bytes += static_cast<std::int64_t>(kept_.back().size());
        keep = kept_bytes <= kMostKeptBytes;
      }
    }
    if (!keep) kept_ = {};

    std::vector<std::size_t> order(stored.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto before = [&](std::size_t a, std::size_t b) {
      return natural_less(stored[a], stored[b]);
    };
    if (!std::is_sorted(order.begin(), order.end(), before)) {  // mostly it is
      std::sort(order.begin(), order.end(), before);
    }
    place_.resize(stored.size());
    const auto stored_places = std::move(tar).members(reader);
    for (std::size_t member = 0; member < order.size(); ++member) {
      place_[order[member]] = member;
      if (!stored_places.empty()) tar_places_.push_back(stored_places[order[member]]);
      names_.push_back(stored[order[member]]);
      if (member > 0 && names_[member] == names_[member - 1]) {
        throw DataError(path + " holds " + names_[member] +
                        " twice, so it is not clear which is meant; pack it again");
      }
    }
  }

  [[nodiscard]] std::vector<std::string> files() const override { return {path_}; }
  [[nodiscard]] bool members_are_files() const override { return false; }

  [[nodiscard]] std::string describe(std::size_t member) const override {
    return path_ + ": " + names_[member];
  }

  void read(
      const std::function<bool(std::size_t)>& wanted,
      const std::function<void(std::size_t, std::vector<std::uint8_t>)>& take) const override {
    if (!kept_.empty()) {
      for (std::size_t stored = 0; stored < kept_.size(); ++stored) {
        if (wanted(place_[stored])) take(place_[stored], kept_[stored]);
      }
      return;
    }
    if (!tar_places_.empty()) {
      read_places(wanted, take);
      return;
    }
    LibarchiveReader reader(path_, LibarchiveReader::Format::kArchive);
    std::size_t stored = 0;
    while (archive_entry* entry = reader.next()) {
      const auto name = reader.member_name(entry);
      if (!name) continue;
      if (stored >= place_.size() || *name != names_[place_[stored]]) changed();
      const std::size_t member = place_[stored++];
      if (wanted(member)) {
        take(member, reader.read(*name, kMostMemberBytes, ::archive_entry_size(entry)));
      }
    }
    if (stored != place_.size()) changed();
  }

  [[nodiscard]] std::unique_ptr<MemberReader> reader() const override {
    if (tar_places_.empty()) return nullptr;
    return std::make_unique<TarReader>(path_, tar_places_, place_, status_);
  }

 private:
  [[noreturn]] void changed() const {
    throw DataError(path_ + " changed while it was read; start again when it is complete");
  }

  /// read() of a tar whose places are known.
  void read_places(const std::function<bool(std::size_t)>& wanted,
                   const std::function<void(std::size_t, std::vector<std::uint8_t>)>& take) const {
    const TarReader members(path_, tar_places_, place_, status_);
    for (const std::size_t member : place_) {
      if (!wanted(member)) continue;
      std::vector<std::uint8_t> bytes;
      members.read(member, bytes);
      take(member, std::move(bytes));
    }
    members.require_unchanged();
  }

  std::vector<std::size_t> place_;               ///< Of the n-th stored member in names().
  std::vector<std::vector<std::uint8_t>> kept_;  ///< By stored order; empty where not kept.
  std::vector<TarPlaces::Place> tar_places_;     ///< By member; empty where not known.
  struct ::stat status_ {};                      ///< Of the file, when it was opened.
};

}  // namespace

std::unique_ptr<Archive> open_packed_archive(const std::string& path) {
  return std::make_unique<PackedArchive>(path);
}

}  // namespace gondola
