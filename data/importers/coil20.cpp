#include "data/importers/coil20.hpp"

#include <charconv>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "configs/errors.hpp"
#include "data/importers/archive_source.hpp"

namespace gondola {
namespace {

struct View {
  int object = 0, pose = 0;
  auto operator<=>(const View&) const = default;
};

/// Takes a number of at most 6 digits off the front.
std::optional<int> take_number(std::string_view& text) {
  constexpr std::size_t kMostDigits = 6;
  int number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + std::min(text.size(), kMostDigits), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take_word(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

/// obj<i>__<j>.png; nothing where the name is another.
std::optional<View> view_of(std::string_view name) {
  if (!take_word(name, "obj")) return std::nullopt;
  const auto object = take_number(name);
  if (!object || *object < 1 || !take_word(name, "__")) return std::nullopt;
  const auto pose = take_number(name);
  if (!pose || name != ".png") return std::nullopt;
  return View{*object, *pose};
}

class Coil20Source final : public ArchiveSource {
 public:
  explicit Coil20Source(const SourceOptions& options) : ArchiveSource(options.inputs) {
    struct Place {
      std::size_t archive = 0, member = 0;
    };
    std::map<View, Place> views;
    for (std::size_t i = 0; i < archives().size(); ++i) {
      archives()[i]->require_no_link(
          [](std::string_view name) { return view_of(base_name(name)).has_value(); });
      const auto& names = archives()[i]->names();
      for (std::size_t member = 0; member < names.size(); ++member) {
        const auto view = view_of(base_name(names[member]));
        if (!view) continue;
        const auto [known, is_new] = views.emplace(*view, Place{i, member});
        if (!is_new) {
          throw DataError(archives()[i]->describe(member) + " and " +
                          archives()[known->second.archive]->describe(known->second.member) +
                          " are the same view of an object; give one of them");
        }
      }
    }
    for (const auto& [view, place] : views) {
      add(place.archive, place.member, Split::kTrain, view.object - 1);
    }
    require_images("pictures obj1__0.png, obj1__1.png ...");
    listing_.recipe = "COIL-20";
  }
};

}  // namespace

std::unique_ptr<ImportSource> open_coil20(const SourceOptions& options) {
  return std::make_unique<Coil20Source>(options);
}

}  // namespace gondola
