#include "data/hdf5_handle.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "configs/errors.hpp"
#include "data/hdf5_failures.hpp"

namespace gondola::hdf5 {
namespace {

constexpr const char* kUnreadable = "is missing or unreadable";
constexpr const char* kElsewhere =
    "is a link into another file (h5copy -f ext copies what it points to)";

/// Properties to create an object of this class with, so that the same content makes the same
/// bytes: HDF5 keeps the time of creation otherwise.
Handle without_times(hid_t property_class) {
  Handle creation(H5Pcreate(property_class), H5Pclose);
  H5Pset_obj_track_times(creation.get(), false);
  return creation;
}

/// Properties to open a group or dataset with that follow no link into another file, not even half
/// way along a link in this one. `met` tells whether there was one; it must outlive the opening.
Handle within_the_file(hid_t property_class, bool& met) {
  Handle access(H5Pcreate(property_class), H5Pclose);
  const auto refuse = [](const char*, const char*, const char*, const char*, unsigned*, hid_t,
                         void* out) -> herr_t {
    *static_cast<bool*>(out) = true;
    return -1;
  };
  if (!access || H5Pset_elink_cb(access.get(), refuse, &met) < 0) {
    throw IoError("cannot prepare HDF5 to open objects" + reason());
  }
  return access;
}

Handle open_existing(const std::string& path, unsigned flags) {
  silence_errors();
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) {
      throw MissingInputError("there is no file " + path + "; check the path");
    }
    throw IoError("cannot open " + path + ": " + std::strerror(error));
  }
  if (!S_ISREG(status.st_mode)) {
    throw DataError(path + " is not a file; give the path of an HDF5 file");
  }
  if (::access(path.c_str(), (flags & H5F_ACC_RDWR) != 0 ? R_OK | W_OK : R_OK) != 0) {
    throw IoError("cannot open " + path + ": " + std::strerror(errno));
  }
  if (H5Fis_hdf5(path.c_str()) <= 0) {
    throw DataError(path + " is not an HDF5 file (" + std::to_string(status.st_size) +
                    " bytes long); check the path");
  }
  const Handle access = file_access();
  Handle file(H5Fopen(path.c_str(), flags, access.get()), H5Fclose);
  if (!file) {
    throw DataError(path + " is a damaged or truncated HDF5 file" + reason() +
                    "; copy or make it again");
  }
  return file;
}

/// a*b for sizes. @throws DataError beyond 2^62
std::int64_t checked_product(hid_t object, const std::string& name, std::int64_t a,
                             std::int64_t b) {
  std::int64_t product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product) || product > (1LL << 62)) {
    fail_to_read(object, name, "claims an impossible size");
  }
  return product;
}

/// Holds the bytes that a dataset claims against the file. Filters may pack what is stored, at most
/// by a factor of 2^15 (runs of equal bytes).
void check_extent(hid_t dataset, const std::string& name, const DatasetInfo& info,
                  H5D_layout_t layout) {
  const std::int64_t bytes =
      checked_product(dataset, name, info.values, static_cast<std::int64_t>(info.type_bytes));
  const Handle file(H5Iget_file_id(dataset), H5Fclose);
  hsize_t file_bytes = 0;
  if (!file || H5Fget_filesize(file.get(), &file_bytes) < 0) {
    fail_to_read(dataset, name, "lies in a file of unknown length");
  }
  const auto length = static_cast<std::int64_t>(file_bytes);
  constexpr std::int64_t kMostPacking = 1 << 15;
  const bool fits = info.contiguous ? info.offset_bytes >= 0 && info.offset_bytes <= length &&
                                          bytes <= length - info.offset_bytes
                    : layout == H5D_COMPACT ? bytes <= length
                                            : bytes / kMostPacking <= length;
  if (bytes > 0 && !fits) {
    fail_to_read(dataset, name,
                 "claims " + std::to_string(bytes) + " bytes, more than its file of " +
                     std::to_string(length) + " bytes holds");
  }
}

}  // namespace

Handle file_access() {
  silence_errors();
  Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  if (!access ||
      H5Pset_file_locking(access.get(), /*use_file_locking=*/false,
                          /*ignore_when_disabled=*/true) < 0 ||
      H5Pset_libver_bounds(access.get(), H5F_LIBVER_V18, H5F_LIBVER_LATEST) < 0) {
    throw IoError("cannot prepare HDF5 to open files" + reason());
  }
  return access;
}

void Handle::close() {
  if (id_ >= 0) {
    const std::string name = file_name(id_);
    const hid_t id = std::exchange(id_, -1);
    if (closer_(id) < 0) {
      throw IoError("cannot finish writing " + name + reason() +
                    "; check the space left on the disk");
    }
  }
}

void Handle::close_quietly() noexcept {
  if (id_ >= 0) {
    closer_(std::exchange(id_, -1));
  }
}

void silence_errors() noexcept { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

std::string last_error() {
  std::string text;
  const auto keep_innermost = [](unsigned position, const H5E_error2_t* error,
                                 void* out) -> herr_t {
    if (position == 0 && error->desc != nullptr) {
      *static_cast<std::string*>(out) = error->desc;
    }
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &text);
  return text;
}

std::string file_name(hid_t object) {
  const ssize_t length = H5Fget_name(object, nullptr, 0);
  if (length <= 0) {
    return "an HDF5 file";
  }
  std::string name(static_cast<std::size_t>(length) + 1, '\0');
  H5Fget_name(object, name.data(), name.size());
  name.pop_back();
  return name;
}

Handle open_file(const std::string& path) { return open_existing(path, H5F_ACC_RDONLY); }

Handle open_file_for_writing(const std::string& path) { return open_existing(path, H5F_ACC_RDWR); }

Handle create_file(const std::string& path, hsize_t alignment_bytes) {
  silence_errors();
  const Handle access = file_access();
  if (H5Pset_alignment(access.get(), /*threshold=*/alignment_bytes, alignment_bytes) < 0) {
    throw IoError("cannot prepare HDF5 to write " + path + reason());
  }
  return create_file(path, access);
}

Handle create_file(const std::string& path, const Handle& access) {
  const Handle creation = without_times(H5P_FILE_CREATE);
  Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose);
  if (!file) {
    throw IoError("cannot create " + path + reason());
  }
  return file;
}

bool has_link(hid_t parent, const std::string& name) {
  silence_errors();
  const htri_t there = H5Lexists(parent, name.c_str(), H5P_DEFAULT);
  if (there < 0) fail_to_read(parent, name, "cannot be looked for");
  return there > 0;
}

std::vector<std::string> link_names(hid_t group, std::size_t most) {
  silence_errors();
  struct Listing {
    std::size_t most;
    std::vector<std::string> names = {};
  } listing{.most = most};
  const auto add = [](hid_t, const char* name, const auto*, void* out) -> herr_t {
    auto& [limit, names] = *static_cast<Listing*>(out);
    if (names.size() == limit) return 1;  // ends the iteration
    names.emplace_back(name);
    return 0;
  };
  if (H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &listing) < 0) {
    fail_to_read(group, "a group", "cannot be listed");
  }
  return std::move(listing.names);
}

Handle open_group(hid_t parent, const std::string& name) {
  silence_errors();
  bool elsewhere = false;
  const Handle access = within_the_file(H5P_GROUP_ACCESS, elsewhere);
  Handle group(H5Gopen2(parent, name.c_str(), access.get()), H5Gclose);
  if (!group) {
    fail_to_read(parent, "group " + name, elsewhere ? kElsewhere : kUnreadable);
  }
  return group;
}

Handle create_group(hid_t parent, const std::string& name) {
  silence_errors();
  const Handle creation = without_times(H5P_GROUP_CREATE);
  Handle group(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
               H5Gclose);
  if (!group) {
    fail_to_write(parent, "group " + name);
  }
  return group;
}

DatasetInfo describe_dataset(hid_t dataset, const std::string& name) {
  silence_errors();
  const Handle type(H5Dget_type(dataset), H5Tclose);
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  const int rank = space ? H5Sget_simple_extent_ndims(space.get()) : -1;
  if (!type || !creation || rank < 0 || H5Sget_simple_extent_type(space.get()) == H5S_NULL) {
    fail_to_read(dataset, name, "cannot be read");
  }

  DatasetInfo info;
  std::vector<hsize_t> sizes(static_cast<std::size_t>(rank));
  if (rank > 0) {
    H5Sget_simple_extent_dims(space.get(), sizes.data(), nullptr);
  }
  info.values = 1;
  for (const hsize_t size : sizes) {
    if (size > static_cast<hsize_t>(std::numeric_limits<std::int64_t>::max())) {
      fail_to_read(dataset, name, "claims an impossible size");
    }
    info.shape.push_back(static_cast<std::int64_t>(size));
    info.values = checked_product(dataset, name, info.values, info.shape.back());
  }
  info.type_class = H5Tget_class(type.get());
  info.type_bytes = H5Tget_size(type.get());
  info.is_signed = info.type_class == H5T_INTEGER && H5Tget_sign(type.get()) == H5T_SGN_2;

  const H5D_layout_t layout = H5Pget_layout(creation.get());
  if (layout == H5D_VIRTUAL || H5Pget_external_count(creation.get()) > 0) {
    fail_to_read(dataset, name, "keeps its values in other files (copy it with h5repack)");
  }
  info.contiguous = layout == H5D_CONTIGUOUS && H5Pget_nfilters(creation.get()) == 0;
  if (info.contiguous) {
    const haddr_t offset = H5Dget_offset(dataset);
    info.offset_bytes = offset == HADDR_UNDEF ? -1 : static_cast<std::int64_t>(offset);
  }
  check_extent(dataset, name, info, layout);
  return info;
}

Handle open_dataset(hid_t parent, const std::string& name) {
  silence_errors();
  bool elsewhere = false;
  const Handle access = within_the_file(H5P_DATASET_ACCESS, elsewhere);
  Handle dataset(has_link(parent, name) ? H5Dopen2(parent, name.c_str(), access.get()) : -1,
                 H5Dclose);
  if (!dataset) {
    fail_to_read(parent, "dataset " + name, elsewhere ? kElsewhere : kUnreadable);
  }
  return dataset;
}

void write_raw_dataset(hid_t parent, const std::string& name, hid_t type, const void* values,
                       std::span<const std::int64_t> shape) {
  silence_errors();
  std::vector<hsize_t> sizes(shape.begin(), shape.end());
  const Handle space(sizes.empty()
                         ? H5Screate(H5S_SCALAR)
                         : H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr),
                     H5Sclose);
  const Handle creation = without_times(H5P_DATASET_CREATE);
  Handle dataset(
      H5Dcreate2(parent, name.c_str(), type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
      H5Dclose);
  const bool empty = std::find(sizes.begin(), sizes.end(), hsize_t{0}) != sizes.end();
  if (!space || !dataset ||
      (!empty && H5Dwrite(dataset.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)) {
    fail_to_write(parent, "dataset " + name);
  }
  dataset.close();
}

void read_raw_dataset(hid_t dataset, const std::string& name, hid_t type, void* values,
                      std::int64_t expected) {
  const DatasetInfo info = describe_dataset(dataset, name);
  const H5T_class_t wanted = H5Tget_class(type);
  const bool same_type =
      info.type_class == wanted && info.type_bytes == H5Tget_size(type) &&
      (wanted != H5T_INTEGER || info.is_signed == (H5Tget_sign(type) == H5T_SGN_2));
  if (!same_type || info.values != expected) {
    fail_to_read(dataset, "dataset " + name, "has another type or size than the format says");
  }
  if (expected > 0 && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0) {
    fail_to_read(dataset, "dataset " + name, "cannot be read" + reason());
  }
}

}  // namespace gondola::hdf5
