#include "data/importers/archive_source.hpp"

#include <algorithm>
#include <utility>

#include "configs/errors.hpp"
#include "data/images/decode.hpp"

namespace gondola {

std::string_view base_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool is_image_name(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower.ends_with(".jpg") || lower.ends_with(".jpeg") || lower.ends_with(".png") ||
         lower.ends_with(".webp");
}

ArchiveSource::ArchiveSource(const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    archives_.push_back(Archive::open(input));
    places_.emplace_back(archives_.back()->names().size());
    first_files_.push_back(listing_.files.size());
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

void ArchiveSource::deliver(const std::function<bool(ImportPlace)>& wanted,
                            const std::function<void(RawImage)>& take) {
  for (std::size_t i = 0; i < archives_.size(); ++i) {
    const auto& places = places_[i];
    const auto needed = [&](std::size_t member) {
      return places[member] && wanted(*places[member]);
    };
    bool any = false;
    for (std::size_t member = 0; member < places.size() && !any; ++member) any = needed(member);
    if (!any) continue;
    archives_[i]->read(needed, [&](std::size_t member, std::vector<std::uint8_t> bytes) {
      take({.place = *places[member],
            .name = archives_[i]->describe(member),
            .bytes = std::move(bytes),
            .file = file_of(i, member)});
    });
  }
}

PlanarImage ArchiveSource::decode(const RawImage& image) const {
  return decode_image(image.bytes, image.name);
}

}  // namespace gondola
