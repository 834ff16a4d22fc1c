#include "data/importers/images.hpp"

#include <algorithm>
#include <string>

#include "data/archives/natural_order.hpp"
#include "data/importers/archive_source.hpp"

namespace gondola {
namespace {

/// The folder that a member lies in, "" for the top.
std::string folder_of(std::string_view name) {
  return std::string(name.substr(0, name.size() - base_name(name).size()));
}

class ImagesSource final : public ArchiveSource {
 public:
  explicit ImagesSource(const std::vector<std::string>& inputs) : ArchiveSource(inputs) {
    std::vector<std::string> classes;
    for (const auto& archive : archives()) {
      archive->require_no_link(is_image_name);
      for (const std::string& name : archive->names()) {
        if (is_image_name(name)) classes.push_back(folder_of(name));
      }
    }
    std::sort(classes.begin(), classes.end(), natural_less);
    classes.erase(std::unique(classes.begin(), classes.end()), classes.end());

    for (std::size_t i = 0; i < archives().size(); ++i) {
      const auto& names = archives()[i]->names();
      for (std::size_t member = 0; member < names.size(); ++member) {
        if (!is_image_name(names[member])) continue;
        std::optional<std::int64_t> label;
        if (classes.size() > 1) {
          label = std::lower_bound(classes.begin(), classes.end(), folder_of(names[member]),
                                   natural_less) -
                  classes.begin();
        }
        add(i, member, Split::kTrain, label);
      }
    }
    require_images("images (.jpg, .jpeg, .png, .webp)");
    listing_.recipe = "images";
    if (classes.size() > 1) {
      listing_.recipe += ", labelled by " + std::to_string(classes.size()) + " folders";
    }
  }
};

}  // namespace

std::unique_ptr<ImportSource> open_images(const SourceOptions& options) {
  return std::make_unique<ImagesSource>(options.inputs);
}

}  // namespace gondola
