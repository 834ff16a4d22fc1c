#include "data/importers/archive_source.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>

#include "configs/errors.hpp"
#include "data/images/decode.hpp"
#include "data/importers/file_sum.hpp"

namespace gondola {

std::string_view base_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool is_image_name(std::string_view name) {
  const auto ends_with = [name](std::string_view ending) {  // given in lower case
    return name.size() >= ending.size() &&
           std::equal(ending.begin(), ending.end(), name.end() - std::ssize(ending),
                      [](char wanted, char c) {
                        return wanted ==
                               (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
                      });
  };
  return ends_with(".jpg") || ends_with(".jpeg") || ends_with(".png") || ends_with(".webp");
}

ArchiveSource::ArchiveSource(const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    std::shared_ptr<FileSum> sum;
    std::error_code ignored;  // what is wrong with the file open() says
    if (is_archive_name(input) && std::filesystem::is_regular_file(input, ignored)) {
      sum = std::make_shared<FileSum>(input);  // beside the listing, which takes one core
    }
    archives_.push_back(Archive::open(input));
    places_.emplace_back(archives_.back()->names().size());
    first_files_.push_back(listing_.files.size());
    listing_.sums.resize(listing_.files.size());
    listing_.sums.push_back(std::move(sum));
    const auto files = archives_.back()->files();
    listing_.files.insert(listing_.files.end(), files.begin(), files.end());
  }
  if (archives_.empty()) {
    throw MissingInputError("no images were given to import; give a folder or files with --input");
  }
  listing_.as_images.resize(listing_.files.size());
}

void ArchiveSource::add(std::size_t archive, std::size_t member, Split split,
                        std::optional<std::int64_t> label) {
  auto& part = listing_.of(split);
  places_[archive][member] = ImportPlace{split, part.images++};
  if (label) part.labels.push_back(*label);
  if (const auto file = file_of(archive, member)) listing_.as_images[*file] = true;
}

std::optional<std::size_t> ArchiveSource::file_of(std::size_t archive, std::size_t member) const {
  if (!archives_[archive]->members_are_files()) return std::nullopt;
  return first_files_[archive] + member;
}

void ArchiveSource::require_images(const std::string& what) const {
  if (listing_.of(Split::kTrain).images + listing_.of(Split::kTest).images > 0) return;
  throw MissingInputError("no " + what + " were found in " + archives_.front()->path() +
                          (archives_.size() > 1 ? " and the other inputs" : "") +
                          "; check the path");
}

RawImage ArchiveSource::image_of(std::size_t archive, std::size_t member) const {
  return {.place = places_[archive][member].value(),
          .name = archives_[archive]->describe(member),
          .file = file_of(archive, member)};
}

void ArchiveSource::deliver(const std::function<bool(ImportPlace)>& wanted,
                            const std::function<void(RawImage)>& take) {
  readers_.clear();
  readers_.resize(archives_.size());
  for (std::size_t i = 0; i < archives_.size(); ++i) {
    const auto& places = places_[i];
    const auto needed = [&](std::size_t member) {
      return places[member] && wanted(*places[member]);
    };
    bool any = false;
    for (std::size_t member = 0; member < places.size() && !any; ++member) any = needed(member);
    if (!any) continue;
    readers_[i] = archives_[i]->reader();
    const MemberReader* const reader = readers_[i].get();
    if (reader == nullptr) {
      archives_[i]->read(needed, [&](std::size_t member, std::vector<std::uint8_t> bytes) {
        RawImage image = image_of(i, member);
        image.bytes = std::move(bytes);
        take(std::move(image));
      });
      continue;
    }
    for (const std::size_t member : reader->order()) {
      if (!needed(member)) continue;
      RawImage image = image_of(i, member);
      image.load = [reader, member](RawImage& raw) {
        if (const auto stamp = reader->read(member, raw.bytes)) raw.stamp = *stamp;
      };
      take(std::move(image));
    }
  }
}

PlanarImage ArchiveSource::decode(const RawImage& image) const {
  return decode_image(image.bytes, image.name);
}

}  // namespace gondola
