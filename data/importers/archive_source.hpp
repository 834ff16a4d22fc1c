#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/archives/archive.hpp"
#include "data/importers/import_source.hpp"

namespace gondola {

/// Whether a file's name says JPEG, PNG or WebP.
[[nodiscard]] bool is_image_name(std::string_view name);

/// The last part of a path.
[[nodiscard]] std::string_view base_name(std::string_view path);

/// Images that lie as files in folders, tars and zips: all inputs one after the other, the members
/// of each in natural order.
class ArchiveSource : public ImportSource {
 public:
  void deliver(const std::function<bool(ImportPlace)>& wanted,
               const std::function<void(RawImage)>& take) override;
  [[nodiscard]] PlanarImage decode(const RawImage& image) const override;

 protected:
  /// @throws MissingInputError where there are no inputs, and as Archive::open
  explicit ArchiveSource(const std::vector<std::string>& inputs);

  [[nodiscard]] const std::vector<std::unique_ptr<Archive>>& archives() const { return archives_; }

  /// Makes a member the next image of a split, with this label where labels are kept.
  void add(std::size_t archive, std::size_t member, Split split, std::optional<std::int64_t> label);

  /// @throws MissingInputError naming the inputs where nothing was added: "WHAT were found in ..."
  void require_images(const std::string& what) const;

 private:
  /// Where in listing().files a member is that is a file of its own.
  [[nodiscard]] std::optional<std::size_t> file_of(std::size_t archive, std::size_t member) const;

  /// A member on its way, without its bytes.
  [[nodiscard]] RawImage image_of(std::size_t archive, std::size_t member) const;

  std::vector<std::unique_ptr<Archive>> archives_;
  /// By archive, since the last deliver(): what images load by; null where nothing does.
  std::vector<std::unique_ptr<MemberReader>> readers_;
  std::vector<std::size_t> first_files_;  ///< By archive, in listing().files.
  std::vector<std::vector<std::optional<ImportPlace>>> places_;  ///< By archive and member.
};

}  // namespace gondola
