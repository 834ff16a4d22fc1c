#pragma once

#include <hdf5.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace gondola::hdf5 {

/// Owns one HDF5 identifier (file, group, dataset, type, ...) and closes it. Move-only.
class Handle {
 public:
  using Closer = herr_t (*)(hid_t);

  Handle() noexcept = default;
  Handle(hid_t id, Closer closer) noexcept : id_(id), closer_(closer) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), closer_(other.closer_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(closer_, other.closer_);
    return *this;
  }
  ~Handle() { close_quietly(); }

  [[nodiscard]] hid_t get() const noexcept { return id_; }
  [[nodiscard]] explicit operator bool() const noexcept { return id_ >= 0; }

  /// Closes now and reports what the destructor would swallow (a failed flush). @throws IoError
  void close();

 private:
  void close_quietly() noexcept;

  hid_t id_ = -1;
  Closer closer_ = nullptr;
};

/// Stops HDF5 from printing its error stack. Per thread; every function of this header calls it.
void silence_errors() noexcept;

/// What HDF5 says about the last failure in this thread (its innermost message), or "".
[[nodiscard]] std::string last_error();

/// The file that an object lies in, for messages.
[[nodiscard]] std::string file_name(hid_t object);

/// Properties to open or create files with: no file locks (they fail or hang on NFS, Lustre and
/// GPFS), and the file layout of HDF5 1.8, whose metadata carries checksums, so that damage is an
/// error and not a crash. @throws IoError
[[nodiscard]] Handle file_access();

/// Opens an existing file.
/// @throws MissingInputError (no such file), IoError (unreadable), DataError (not HDF5, truncated)
[[nodiscard]] Handle open_file(const std::string& path);

/// Opens an existing file for changes. @throws as open_file
[[nodiscard]] Handle open_file_for_writing(const std::string& path);

/// Creates a file, replacing what is there; what is as large as `alignment_bytes` starts at a
/// multiple of it. The same content makes the same bytes at any time. @throws IoError
[[nodiscard]] Handle create_file(const std::string& path, hsize_t alignment_bytes = 1);

/// As create_file, with other properties of file_access(). @throws IoError
[[nodiscard]] Handle create_file(const std::string& path, const Handle& access);

/// Whether `parent` has a link of this name. REQUIRES that what its path leads through is there.
/// @throws DataError where damage hides it
[[nodiscard]] bool has_link(hid_t parent, const std::string& name);

/// Names of the links of a group, sorted by name: the first of them where there are more than
/// `most`. @throws DataError
[[nodiscard]] std::vector<std::string> link_names(
    hid_t group, std::size_t most = std::numeric_limits<std::size_t>::max());

/// @throws DataError where it is missing or lies in another file
[[nodiscard]] Handle open_group(hid_t parent, const std::string& name);
/// @throws IoError
[[nodiscard]] Handle create_group(hid_t parent, const std::string& name);

/// The in-memory HDF5 type of a number type.
template <typename T>
[[nodiscard]] hid_t native_type() {
  if constexpr (std::is_same_v<T, double>) {
    return H5T_NATIVE_DOUBLE;
  } else if constexpr (std::is_same_v<T, float>) {
    return H5T_NATIVE_FLOAT;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return H5T_NATIVE_INT64;
  } else if constexpr (std::is_same_v<T, std::int32_t>) {
    return H5T_NATIVE_INT32;
  } else {
    static_assert(std::is_same_v<T, std::uint8_t>, "no HDF5 type for this number type");
    return H5T_NATIVE_UINT8;
  }
}

/// What is stored under a dataset's name.
struct DatasetInfo {
  std::vector<std::int64_t> shape;
  std::int64_t values = 0;  ///< Product of the shape; 1 for a scalar.
  H5T_class_t type_class = H5T_NO_CLASS;
  std::size_t type_bytes = 0;      ///< Size of one value in the file.
  bool is_signed = false;          ///< Integers only.
  bool contiguous = false;         ///< One run of bytes in the file, no filter, in this file.
  std::int64_t offset_bytes = -1;  ///< Where it starts, where contiguous and allocated.
};

/// Describes a dataset and holds what it claims against the length of the file, before anything is
/// read or allocated. @throws DataError where it is no dataset, or larger than the file can hold
[[nodiscard]] DatasetInfo describe_dataset(hid_t dataset, const std::string& name);

/// @throws DataError where it is missing or lies in another file
[[nodiscard]] Handle open_dataset(hid_t parent, const std::string& name);

/// Writes `values` as a new contiguous dataset of the given shape. @throws IoError
void write_raw_dataset(hid_t parent, const std::string& name, hid_t type, const void* values,
                       std::span<const std::int64_t> shape);

/// Reads all of a dataset whose values must be of `type` (class, size and sign), after
/// describe_dataset. `values` must have room for `expected` values. @throws DataError
void read_raw_dataset(hid_t dataset, const std::string& name, hid_t type, void* values,
                      std::int64_t expected);

/// Writes numbers as a new contiguous dataset. @throws IoError
template <typename T>
void write_dataset(hid_t parent, const std::string& name, std::span<const T> values,
                   std::span<const std::int64_t> shape) {
  write_raw_dataset(parent, name, native_type<T>(), values.data(), shape);
}

/// Reads a dataset of numbers of exactly this type; `shape` (where not null) gets its shape.
/// @throws DataError where it is missing, of another type, or larger than the file can hold
template <typename T>
[[nodiscard]] std::vector<T> read_dataset(hid_t parent, const std::string& name,
                                          std::vector<std::int64_t>* shape = nullptr) {
  const Handle dataset = open_dataset(parent, name);
  DatasetInfo info = describe_dataset(dataset.get(), name);
  std::vector<T> values(static_cast<std::size_t>(info.values));
  read_raw_dataset(dataset.get(), name, native_type<T>(), values.data(), info.values);
  if (shape != nullptr) {
    *shape = std::move(info.shape);
  }
  return values;
}

}  // namespace gondola::hdf5
