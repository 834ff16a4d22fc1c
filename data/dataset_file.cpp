#include "data/dataset_file.hpp"

#include <algorithm>

#include "configs/errors.hpp"
#include "data/foreign_file.hpp"
#include "data/hdf5_attributes.hpp"

namespace gondola {
namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  }
  return text + "]";
}

std::string type_text(const hdf5::DatasetInfo& info) {
  const std::string bits = std::to_string(8 * info.type_bytes) + "-bit ";
  switch (info.type_class) {
    case H5T_INTEGER:
      return bits + (info.is_signed ? "signed integers" : "unsigned integers");
    case H5T_FLOAT:
      return bits + "floating-point numbers";
    case H5T_STRING:
      return "text";
    default:
      return "values of an unsupported type";
  }
}

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw DataError(path + ": " + what);
}

}  // namespace

const char* split_name(Split split) { return split == Split::kTrain ? "train" : "test"; }

DatasetFile::DatasetFile(const std::string& path) : path_(path), file_(hdf5::open_file(path)) {
  read_header();
  if (!header_.native) {
    open_foreign_splits();
    return;
  }
  open_split(Split::kTrain);
  open_split(Split::kTest);
  if (!splits_[0] && !splits_[1]) {
    refuse(path_,
           "neither /train/images nor /test/images is there, so this is no dataset; make one "
           "with gondola import");
  }
}

const SplitInfo* DatasetFile::split(Split split) const {
  const auto& open = splits_[static_cast<int>(split)];
  return open ? &open->info : nullptr;
}

void DatasetFile::read_header() {
  header_.native = hdf5::has_attribute(file_.get(), "format");
  if (!header_.native) {
    return;
  }
  const std::string format = hdf5::read_string_attribute(file_.get(), "format");
  if (format != kDatasetFormat) {
    refuse(path_, "its format is '" + format + "', not '" + kDatasetFormat +
                      "'; give a file that gondola import wrote");
  }
  const std::int64_t version = hdf5::read_i64_attribute(file_.get(), "format_version");
  if (version != kDatasetFormatVersion) {
    refuse(path_, "format version " + std::to_string(version) + " is not known here (version " +
                      std::to_string(kDatasetFormatVersion) +
                      " is); import the data again with this program");
  }
  header_.name = hdf5::read_string_attribute(file_.get(), "name");
  header_.recipe = hdf5::read_string_attribute(file_.get(), "recipe");
  header_.channel_mean = hdf5::read_f64s_attribute(file_.get(), "channel_mean");
  header_.channel_stddev = hdf5::read_f64s_attribute(file_.get(), "channel_stddev");
  const auto names = hdf5::read_strings_attribute(file_.get(), "source_names");
  const auto sums = hdf5::read_strings_attribute(file_.get(), "source_sha256");
  if (names.size() != sums.size()) {
    refuse(path_, "it names " + std::to_string(names.size()) + " sources but has " +
                      std::to_string(sums.size()) + " of their sums; import the data again");
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    header_.sources.push_back({names[i], sums[i]});
  }
}

std::string DatasetFile::checksum_of(const std::string& dataset) const {
  const auto names = hdf5::read_strings_attribute(file_.get(), "checksum_names");
  const auto sums = hdf5::read_strings_attribute(file_.get(), "checksum_xxh3");
  const auto found = std::find(names.begin(), names.end(), dataset);
  if (found == names.end() || names.size() != sums.size()) {
    refuse(path_, "there is no checksum of " + dataset + "; import the data again");
  }
  return sums[static_cast<std::size_t>(found - names.begin())];
}

void DatasetFile::open_split(Split split) {
  const std::string group_name = split_name(split);
  const std::string prefix = "/" + group_name + "/";
  if (!hdf5::has_link(file_.get(), group_name)) {
    return;
  }
  OpenSplit open;
  open.group = hdf5::open_group(file_.get(), group_name);
  if (!hdf5::has_link(open.group.get(), "images")) {
    refuse(path_, prefix + "images is missing; import the data again");
  }
  open.images = hdf5::open_dataset(open.group.get(), "images");
  const auto images = hdf5::describe_dataset(open.images.get(), prefix + "images");
  if (images.type_class != H5T_INTEGER || images.type_bytes != 1 || images.is_signed) {
    refuse(path_, prefix + "images holds " + type_text(images) +
                      " where 8-bit unsigned integers are needed; import the data again");
  }
  if (images.shape.size() != 4) {
    refuse(path_, prefix + "images has the shape " + shape_text(images.shape) +
                      " where [N, C, H, W] is needed; import the data again");
  }
  if (images.values == 0) {
    refuse(path_, "the " + group_name + " split is empty (" + prefix + "images has the shape " +
                      shape_text(images.shape) + "); import at least one image");
  }
  SplitInfo& info = open.info;
  info.images = images.shape[0];
  info.channels = images.shape[1];
  info.height = images.shape[2];
  info.width = images.shape[3];
  if (info.image_bytes() > kMostImageBytes || info.images > kMostImages) {
    refuse(path_, prefix + "images has the shape " + shape_text(images.shape) +
                      ", but an image has at most " + std::to_string(kMostImageBytes) +
                      " bytes and a split at most " + std::to_string(kMostImages) +
                      " images; import smaller images, or into several files");
  }
  info.contiguous = images.contiguous;
  info.offset_bytes = images.offset_bytes;
  info.images_checksum = checksum_of(prefix + "images");

  info.has_labels = hdf5::has_link(open.group.get(), "labels");
  if (info.has_labels) {
    const auto dataset = hdf5::open_dataset(open.group.get(), "labels");
    const auto labels = hdf5::describe_dataset(dataset.get(), prefix + "labels");
    if (labels.type_class != H5T_INTEGER || labels.type_bytes != 8 || !labels.is_signed ||
        labels.shape != std::vector<std::int64_t>{info.images}) {
      refuse(path_, prefix + "labels holds " + type_text(labels) + " of shape " +
                        shape_text(labels.shape) + " where 64-bit signed integers of shape [" +
                        std::to_string(info.images) + "] are needed; import the data again");
    }
    info.labels_checksum = checksum_of(prefix + "labels");
  }

  if (hdf5::has_link(open.group.get(), "mean_image")) {
    const auto dataset = hdf5::open_dataset(open.group.get(), "mean_image");
    const auto mean = hdf5::describe_dataset(dataset.get(), prefix + "mean_image");
    if (mean.shape != std::vector<std::int64_t>{info.channels, info.height, info.width}) {
      refuse(path_, prefix + "mean_image has the shape " + shape_text(mean.shape) +
                        " but an image is " + shape_text({info.channels, info.height, info.width}) +
                        "; import the data again");
    }
    info.mean_image = hdf5::read_dataset<double>(open.group.get(), "mean_image");
    const auto outside = std::find_if_not(info.mean_image.begin(), info.mean_image.end(),
                                          [](double value) { return value >= 0 && value <= 1; });
    if (outside != info.mean_image.end()) {
      refuse(path_, prefix + "mean_image holds " + std::to_string(*outside) +
                        " where values from 0 to 1 are needed; import the data again");
    }
    info.mean_image_checksum = checksum_of(prefix + "mean_image");
  } else {
    refuse(path_, prefix + "mean_image is missing; import the data again");
  }
  splits_[static_cast<int>(split)] = std::move(open);
}

void DatasetFile::open_foreign_splits() {
  const auto paths = find_foreign_images(file_.get());
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const std::string& path = paths[static_cast<std::size_t>(split)];
    if (path.empty()) continue;
    OpenSplit open;
    open.foreign_path = path;
    open.foreign = std::make_unique<ForeignImages>(file_.get(), path);
    const ForeignLayout& sizes = open.foreign->sizes();
    open.info.images = sizes.images;
    open.info.channels = sizes.channels;
    open.info.height = sizes.height;
    open.info.width = sizes.width;
    open.info.offset_bytes = open.foreign->plain_offset_bytes();
    open.info.contiguous = open.info.offset_bytes >= 0;
    open.info.has_labels = !read_foreign_labels(file_.get(), path, sizes.images).empty();
    splits_[static_cast<int>(split)] = std::move(open);
  }
}

void DatasetFile::read_images(Split split, std::int64_t first, std::int64_t count,
                              std::span<std::uint8_t> out) const {
  const OpenSplit& open = splits_[static_cast<int>(split)].value();
  const SplitInfo& info = open.info;
  if (first < 0 || count < 0 || first > info.images - count ||
      static_cast<std::int64_t>(out.size()) != count * info.image_bytes()) {
    refuse(path_, "images " + std::to_string(first) + " to " + std::to_string(first + count) +
                      " were asked for but the split has " + std::to_string(info.images));
  }
  if (count == 0) {
    return;
  }
  if (open.foreign) {
    open.foreign->read_pixels(first, count, out);
    return;
  }
  hdf5::silence_errors();
  const auto size = [](std::int64_t value) { return static_cast<hsize_t>(value); };
  const hsize_t start[4] = {size(first), 0, 0, 0};
  const hsize_t sizes[4] = {size(count), size(info.channels), size(info.height), size(info.width)};
  const hdf5::Handle in_file(H5Dget_space(open.images.get()), H5Sclose);
  const hdf5::Handle in_memory(H5Screate_simple(4, sizes, nullptr), H5Sclose);
  if (!in_file || !in_memory ||
      H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, start, nullptr, sizes, nullptr) < 0 ||
      H5Dread(open.images.get(), H5T_NATIVE_UINT8, in_memory.get(), in_file.get(), H5P_DEFAULT,
              out.data()) < 0) {
    refuse(path_, std::string("/") + split_name(split) + "/images cannot be read at image " +
                      std::to_string(first) + " (" + hdf5::last_error() +
                      "); the file is damaged: copy or import it again");
  }
}

std::vector<std::int64_t> DatasetFile::read_labels(Split split) const {
  const OpenSplit& open = splits_[static_cast<int>(split)].value();
  if (!open.info.has_labels) {
    return {};
  }
  if (open.foreign) {
    return read_foreign_labels(file_.get(), open.foreign_path, open.info.images);
  }
  return hdf5::read_dataset<std::int64_t>(open.group.get(), "labels");
}

}  // namespace gondola
