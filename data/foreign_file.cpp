#include "data/foreign_file.hpp"

#include <algorithm>

#include "configs/errors.hpp"
#include "data/image_source.hpp"

namespace gondola {
namespace {

/// Whether a dataset has numbers in 3 or 4 dimensions.
bool could_be_images(hid_t dataset) {
  const hdf5::Handle type(H5Dget_type(dataset), H5Tclose);
  const hdf5::Handle space(H5Dget_space(dataset), H5Sclose);
  const int rank = space ? H5Sget_simple_extent_ndims(space.get()) : -1;
  const H5T_class_t kind = type ? H5Tget_class(type.get()) : H5T_NO_CLASS;
  return (kind == H5T_INTEGER || kind == H5T_FLOAT) && (rank == 3 || rank == 4);
}

/// Paths of the datasets of numbers with 3 or 4 dimensions below a group of this file.
class ImageFinder {
 public:
  void look_into(hid_t group, const std::string& path, int depth = 0) {
    constexpr int kMostDepth = 8;
    constexpr std::size_t kMostObjects = 10000;
    if (depth > kMostDepth) return;
    for (const std::string& name : hdf5::link_names(group, kMostObjects - objects_)) {
      H5L_info_t link{};
      if (++objects_ > kMostObjects) return;
      if (H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD) {
        continue;
      }
      const hdf5::Handle object(H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose);
      const H5I_type_t type = object ? H5Iget_type(object.get()) : H5I_BADID;
      if (type == H5I_GROUP) look_into(object.get(), path + "/" + name, depth + 1);
      if (type != H5I_DATASET) continue;
      if (could_be_images(object.get())) found.push_back(path + "/" + name);
    }
  }

  std::vector<std::string> found;

 private:
  std::size_t objects_ = 0;
};

}  // namespace

std::array<std::string, 2> find_foreign_images(hid_t file) {
  std::array<std::string, 2> both;
  std::string missing;
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const std::string name = split_name(split);
    if (!hdf5::has_link(file, name)) continue;
    const std::string path = "/" + name + "/images";
    if (hdf5::has_link(hdf5::open_group(file, name).get(), "images")) {
      both[static_cast<std::size_t>(split)] = path;
    } else {
      missing = path + " is missing, and it ";
    }
  }
  if (!both[0].empty() || !both[1].empty()) return both;

  ImageFinder finder;
  finder.look_into(hdf5::open_group(file, "/").get(), "");
  const std::string name = hdf5::file_name(file);
  if (finder.found.empty()) {
    throw DataError(name + (missing.empty() ? " " : ": " + missing) +
                    "has no dataset of 3 or 4 dimensions; check which file it is");
  }
  if (finder.found.size() > 1) {
    std::string names;
    constexpr std::size_t kMostNames = 8;
    for (std::size_t i = 0; i < std::min(finder.found.size(), kMostNames); ++i) {
      names += (i == 0 ? "" : ", ") + finder.found[i];
    }
    throw ConfigError(name + " has several datasets that could be images (" + names +
                      (finder.found.size() > kMostNames ? ", ..." : "") +
                      "); name one with gondola import hdf5 --dataset");
  }
  return {finder.found.front(), ""};
}

std::vector<std::int64_t> read_foreign_labels(hid_t file, const std::string& images,
                                              std::int64_t count) {
  const auto slash = images.rfind('/');
  const std::string group = slash == std::string::npos ? "" : images.substr(0, slash + 1);
  for (const char* name : {"labels", "label"}) {
    const std::string path = group + name;
    if (path == images || !hdf5::has_link(file, path)) continue;
    const auto dataset = hdf5::open_dataset(file, path);
    const auto info = hdf5::describe_dataset(dataset.get(), path);
    const bool one_each = info.shape.size() == 1 || (info.shape.size() == 2 && info.shape[1] == 1);
    if (info.type_class != H5T_INTEGER || !one_each) continue;
    if (info.values != count) {
      throw DataError("dataset " + path + " of " + hdf5::file_name(file) + " holds " +
                      std::to_string(info.values) + " labels where " + images + " has " +
                      std::to_string(count) + " images; take one of them away");
    }
    std::vector<std::int64_t> labels(static_cast<std::size_t>(count));
    if (H5Dread(dataset.get(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, labels.data()) <
        0) {
      throw DataError("dataset " + path + " of " + hdf5::file_name(file) +
                      " cannot be read; the file is damaged: copy or make it again");
    }
    return labels;
  }
  return {};
}

}  // namespace gondola
