#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/archives/member_reader.hpp"

namespace gondola {

/// Files by name: those of a folder and the folders in it, of a tar (packed or not) or a zip, or
/// one plain file. Nothing is unpacked to disk. Only regular files are members; those whose name,
/// or a folder of theirs, starts with a dot are not, nor is __MACOSX.
///
/// A packed tar has to be unpacked to be listed, so its members are kept in memory where they have
/// at most 1 GiB together.
class Archive {
 public:
  /// @throws MissingInputError, DataError (damaged, encrypted, a name that is there twice), IoError
  [[nodiscard]] static std::unique_ptr<Archive> open(const std::string& path);
  virtual ~Archive() = default;
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Of the members, in natural order whatever order they lie in. Paths below the archive.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  /// Links in a tar or zip hold nothing to read and are no members.
  /// @throws DataError naming one whose name is wanted
  void require_no_link(const std::function<bool(std::string_view name)>& wanted) const;
  /// What to hash: the archive's own file, or each file of a folder in the order of names().
  [[nodiscard]] virtual std::vector<std::string> files() const = 0;
  /// Whether describe() is the path of a file of its own.
  [[nodiscard]] virtual bool members_are_files() const = 0;
  /// For messages: where the member is.
  [[nodiscard]] virtual std::string describe(std::size_t member) const = 0;

  /// Hands the bytes of the wanted members (by their place in names()) to `take`, in the order in
  /// which they lie. One thread.
  /// @throws DataError (damaged, changed since it was opened), IoError
  virtual void read(const std::function<bool(std::size_t member)>& wanted,
                    const std::function<void(std::size_t member, std::vector<std::uint8_t> bytes)>&
                        take) const = 0;

  /// Null where reading one member means passing over others. @throws as read()
  [[nodiscard]] virtual std::unique_ptr<MemberReader> reader() const { return nullptr; }

  /// The bytes of one member. REQUIRES member < names().size().
  [[nodiscard]] std::vector<std::uint8_t> read_one(std::size_t member) const;

 protected:
  explicit Archive(std::string path) : path_(std::move(path)) {}
  std::string path_;
  std::vector<std::string> names_;
  std::vector<std::string> links_;  ///< Names of the links, hard and symbolic, of a tar or zip.
};

/// Whether the file's name says that it is a tar or zip; other files stand for themselves.
[[nodiscard]] bool is_archive_name(const std::string& path);

}  // namespace gondola
