#include "data/dataset_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <utility>

#include "configs/errors.hpp"
#include "data/hdf5_attributes.hpp"
#include "data/image_blocks.hpp"
#include "data/images/instruction_set.hpp"

namespace gondola {
namespace {

constexpr hsize_t kAlignmentBytes = 4096;
constexpr std::int64_t kRoomForSmallPartsBytes = 64 * 1024;

void make_folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!folder.empty()) {
    std::filesystem::create_directories(folder, error);
  }
  if (error) {
    throw IoError("cannot create the folder " + folder.string() + ": " + error.message());
  }
}

/// Holds a plan against the format, then makes the folder of the file.
const std::string& checked(const std::string& path, const DatasetPlan& plan) {
  if (std::filesystem::exists(path)) {
    throw ConfigError(path +
                      " exists already and is not overwritten; remove it or choose another "
                      "name");
  }
  if (plan.channels < 1 || plan.height < 1 || plan.width < 1 || plan.train_images < 0 ||
      plan.test_images < 0 || plan.train_images + plan.test_images < 1) {
    throw DataError(path + " would hold no image; give a source that has some");
  }
  if (plan.channels > kMostImageBytes / plan.height / plan.width ||
      std::max(plan.train_images, plan.test_images) > kMostImages) {
    throw DataError(
        path + " would hold " + std::to_string(std::max(plan.train_images, plan.test_images)) +
        " images of " + std::to_string(plan.channels) + "x" + std::to_string(plan.height) + "x" +
        std::to_string(plan.width) + ", but an image has at most " +
        std::to_string(kMostImageBytes) + " bytes and a split at most " +
        std::to_string(kMostImages) + " images; import smaller images, or into several files");
  }
  make_folder_of(path);
  return path;
}

/// An unfiltered contiguous dataset whose space is taken now and never filled. Returns its offset.
std::int64_t create_contiguous(hid_t group, const std::string& name, hid_t type,
                               std::span<const hsize_t> shape) {
  const hdf5::Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
                           H5Sclose);
  const hdf5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_layout(creation.get(), H5D_CONTIGUOUS);
  H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(creation.get(), false);  // the same content makes the same bytes
  hdf5::Handle dataset(
      H5Dcreate2(group, name.c_str(), type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
      H5Dclose);
  const haddr_t offset = dataset ? H5Dget_offset(dataset.get()) : HADDR_UNDEF;
  if (offset == HADDR_UNDEF) {
    const std::string why = hdf5::last_error();
    throw IoError("cannot make room for " + name + " in " + hdf5::file_name(group) + ": " + why);
  }
  dataset.close();
  return static_cast<std::int64_t>(offset);
}

void fill_dataset(hid_t group, const std::string& name, hid_t type, const void* values) {
  hdf5::Handle dataset = hdf5::open_dataset(group, name);
  if (H5Dwrite(dataset.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0) {
    const std::string why = hdf5::last_error();
    throw IoError("cannot write " + name + " of " + hdf5::file_name(group) + ": " + why);
  }
  dataset.close();
}

constexpr std::size_t kMostPixelsAtOnce = 1 << 16;  // whose squares have a sum below 2^32

/// Adds pixels to the sums at their places. Returns the sum of their squares.
[[gnu::always_inline]] inline std::uint32_t add_pixels_by_any(const std::uint8_t* pixels,
                                                              std::size_t count,
                                                              std::uint16_t* sums) {
  std::uint32_t squares = 0;
  for (std::size_t i = 0; i < count; ++i) {
    sums[i] = static_cast<std::uint16_t>(sums[i] + pixels[i]);
    squares += static_cast<std::uint32_t>(pixels[i] * pixels[i]);
  }
  return squares;
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] std::uint32_t add_pixels_by_avx2(const std::uint8_t* pixels,
                                                         std::size_t count, std::uint16_t* sums) {
  return add_pixels_by_any(pixels, count, sums);
}

[[gnu::target("avx512bw,avx512vl")]] std::uint32_t add_pixels_by_avx512(const std::uint8_t* pixels,
                                                                        std::size_t count,
                                                                        std::uint16_t* sums) {
  return add_pixels_by_any(pixels, count, sums);
}
#endif

std::uint32_t add_pixels(const std::uint8_t* pixels, std::size_t count, std::uint16_t* sums) {
#if defined(__x86_64__)
  switch (instruction_set()) {
    case InstructionSet::kAvx512:
      return add_pixels_by_avx512(pixels, count, sums);
    case InstructionSet::kAvx2:
      return add_pixels_by_avx2(pixels, count, sums);
    case InstructionSet::kBase:
      break;
  }
#endif
  return add_pixels_by_any(pixels, count, sums);
}

}  // namespace

DatasetWriter::DatasetWriter(const std::string& path, DatasetPlan plan)
    : path_(checked(path, plan)), plan_(std::move(plan)), target_(path) {
  state(Split::kTrain).planned = plan_.train_images;
  state(Split::kTrain).labelled = plan_.train_labels;
  state(Split::kTest).planned = plan_.test_images;
  state(Split::kTest).labelled = plan_.test_labels;
  for (SplitState& split : splits_) {
    split.sums.assign(static_cast<std::size_t>(image_bytes()), 0);
    split.channel_squares.assign(static_cast<std::size_t>(plan_.channels), 0);
  }
  lay_out();
  descriptor_ = FileDescriptor(::open(target_.temporary().c_str(), O_RDWR | O_CLOEXEC));
  if (!descriptor_) {
    throw IoError("cannot open " + target_.temporary().string() + ": " + std::strerror(errno));
  }
  reserve_space();
}

void DatasetWriter::lay_out() {
  hdf5::Handle file = hdf5::create_file(target_.temporary(), kAlignmentBytes);
  lay_out_split(file.get(), Split::kTrain);
  lay_out_split(file.get(), Split::kTest);
  file.close();
}

void DatasetWriter::lay_out_split(hid_t file, Split split) {
  SplitState& parts = state(split);
  if (parts.planned == 0) {
    return;
  }
  const auto size = [](std::int64_t value) { return static_cast<hsize_t>(value); };
  const hsize_t shape[4] = {size(parts.planned), size(plan_.channels), size(plan_.height),
                            size(plan_.width)};
  hdf5::Handle group = hdf5::create_group(file, split_name(split));
  parts.offset_bytes = create_contiguous(group.get(), "images", H5T_STD_U8LE, shape);
  create_contiguous(group.get(), "mean_image", H5T_IEEE_F64LE, std::span(shape).subspan(1));
  if (parts.labelled) {
    create_contiguous(group.get(), "labels", H5T_STD_I64LE, std::span(shape).first(1));
  }
  group.close();
}

void DatasetWriter::reserve_space() {
  const off_t length = ::lseek(descriptor_.get(), 0, SEEK_END);
  // Not every file system can reserve; there a full disk is met by the write itself.
  if (length > 0 && ::fallocate(descriptor_.get(), 0, 0, length + kRoomForSmallPartsBytes) != 0 &&
      is_full(errno)) {
    throw IoError("cannot write " + path_ + ": it needs " + std::to_string(length) +
                  " bytes and the disk has not as many left; free some space or write elsewhere");
  }
}

void DatasetWriter::write(Split split, std::int64_t first, std::span<const std::uint8_t> images) {
  SplitState& parts = state(split);
  const auto bytes = static_cast<std::int64_t>(images.size());
  const std::int64_t count = bytes / image_bytes();
  if (bytes % image_bytes() != 0 || first < 0 || first > parts.planned - count) {
    throw DataError(path_ + ": " + std::to_string(bytes) + " bytes at image " +
                    std::to_string(first) + " do not fit the plan of " +
                    std::to_string(parts.planned) + " images in the " + split_name(split) +
                    " split; check the sources");
  }
  const std::int64_t offset = parts.offset_bytes + first * image_bytes();
  write_fully(descriptor_.get(), path_, offset, images);
  sum_up(parts, images);
  extend_checksum(parts, first, images);
  parts.written += count;
  flush_behind(offset + bytes);
}

void DatasetWriter::flush_behind(std::int64_t end) {
  // The disk works while images are unpacked, so that little is left to wait for in commit().
  constexpr std::int64_t kFlushBytes = 1 << 23;
  std::int64_t begun = flush_begun_;
  if (end - begun >= kFlushBytes && flush_begun_.compare_exchange_strong(begun, end)) {
    (void)::sync_file_range(descriptor_.get(), begun, end - begun, SYNC_FILE_RANGE_WRITE);
  }
}

void DatasetWriter::accept_labels(Split split, std::vector<std::int64_t> labels) {
  SplitState& parts = state(split);
  const std::int64_t expected = parts.labelled ? parts.planned : 0;
  if (static_cast<std::int64_t>(labels.size()) != expected) {
    throw DataError(path_ + ": " + std::to_string(labels.size()) + " labels do not fit the " +
                    std::to_string(expected) + " planned for the " + split_name(split) +
                    " split; check the sources");
  }
  parts.labels = std::move(labels);
}

void DatasetWriter::commit(std::span<const SourceFile> sources,
                           std::vector<std::int64_t> train_labels,
                           std::vector<std::int64_t> test_labels) {
  accept_labels(Split::kTrain, std::move(train_labels));
  accept_labels(Split::kTest, std::move(test_labels));
  for (const Split split : {Split::kTrain, Split::kTest}) {
    if (state(split).written != state(split).planned) {
      throw DataError(path_ + ": only " + std::to_string(state(split).written) + " of " +
                      std::to_string(state(split).planned) + " images of the " + split_name(split) +
                      " split were found; check the sources");
    }
    read_checksum(state(split), state(split).planned);
  }
  if (!descriptor_.close()) {
    throw IoError("cannot write " + path_ + ": " + std::strerror(errno));
  }
  write_small_parts(sources);
  target_.commit(AtomicFile::Existing::kRefuse);
}

void DatasetWriter::sum_up(SplitState& parts, std::span<const std::uint8_t> images) {
  constexpr std::size_t kImagesAtOnce = 256;  // whose sum at a pixel is below 2^16
  const auto bytes = static_cast<std::size_t>(image_bytes());
  const auto plane = static_cast<std::size_t>(plan_.height * plan_.width);
  std::vector<std::uint64_t> squares(parts.channel_squares.size());
  thread_local std::vector<std::uint16_t> sums;
  for (std::size_t images_done = 0; !images.empty(); ++images_done) {
    if (images_done % kImagesAtOnce == 0) sums.assign(bytes, 0);
    for (std::size_t begin = 0; begin < bytes;) {
      const std::size_t channel = begin / plane;
      const std::size_t count = std::min(kMostPixelsAtOnce, (channel + 1) * plane - begin);
      squares[channel] += add_pixels(images.data() + begin, count, sums.data() + begin);
      begin += count;
    }
    images = images.subspan(bytes);
    if (images.empty() || (images_done + 1) % kImagesAtOnce == 0) {
      const std::lock_guard lock(sums_mutex_);
      std::transform(sums.begin(), sums.end(), parts.sums.begin(), parts.sums.begin(),
                     std::plus<std::uint64_t>());
    }
  }
  const std::lock_guard lock(sums_mutex_);
  std::transform(squares.begin(), squares.end(), parts.channel_squares.begin(),
                 parts.channel_squares.begin(), std::plus<>());
}

void DatasetWriter::extend_checksum(SplitState& parts, std::int64_t first,
                                    std::span<const std::uint8_t> images) {
  constexpr std::size_t kMostAhead = 1 << 12;  // beyond which commit() reads the rest
  const std::int64_t count = static_cast<std::int64_t>(images.size()) / image_bytes();
  const std::lock_guard lock(parts.checksum_mutex);
  if (first == parts.checksummed) {
    parts.checksum.update(images.data(), images.size());
    parts.checksummed += count;
  } else if (parts.ahead.size() < kMostAhead) {
    parts.ahead.emplace(first, count);
  }
  while (!parts.ahead.empty() && parts.ahead.begin()->first == parts.checksummed) {
    const auto next = parts.ahead.extract(parts.ahead.begin());
    read_checksum(parts, parts.checksummed + next.mapped());
  }
}

void DatasetWriter::read_checksum(SplitState& parts, std::int64_t end) {
  constexpr std::int64_t kBlockBytes = 1 << 20;  // stays in the cache
  const std::int64_t begin = parts.checksummed;
  for_each_block(
      end - begin, image_bytes(), kBlockBytes,
      [&](std::int64_t first, std::int64_t, std::span<std::uint8_t> block) {
        read_fully(descriptor_.get(), path_, parts.offset_bytes + (begin + first) * image_bytes(),
                   block);
      },
      [&](std::int64_t, std::span<const std::uint8_t> block) {
        parts.checksum.update(block.data(), block.size());
      });
  parts.checksummed = end;
}

void DatasetWriter::write_small_parts(std::span<const SourceFile> sources) {
  hdf5::Handle file = hdf5::open_file_for_writing(target_.temporary());
  const hid_t root = file.get();
  std::vector<std::string> checksum_names, checksums, source_names, source_sums;
  write_split_parts(root, Split::kTrain, checksum_names, checksums);
  write_split_parts(root, Split::kTest, checksum_names, checksums);
  for (const SourceFile& source : sources) {
    source_names.push_back(source.name);
    source_sums.push_back(source.sha256);
  }

  const SplitState& described = state(plan_.train_images > 0 ? Split::kTrain : Split::kTest);
  const std::int64_t plane = plan_.height * plan_.width;
  const auto pixels = static_cast<double>(described.planned * plane);
  std::vector<double> mean, stddev;  // [C]
  for (std::int64_t channel = 0; channel < plan_.channels; ++channel) {
    std::uint64_t sum = 0;
    for (std::int64_t i = 0; i < plane; ++i) {
      sum += described.sums[static_cast<std::size_t>(channel * plane + i)];
    }
    const double centre = static_cast<double>(sum) / pixels;
    const double square =
        static_cast<double>(described.channel_squares[static_cast<std::size_t>(channel)]) / pixels;
    mean.push_back(centre / 255.0);
    stddev.push_back(std::sqrt(std::max(0.0, square - centre * centre)) / 255.0);
  }

  hdf5::write_attribute(root, "name", plan_.name);
  hdf5::write_attribute(root, "recipe", plan_.recipe);
  hdf5::write_attribute(root, "channel_mean", std::span<const double>(mean));
  hdf5::write_attribute(root, "channel_stddev", std::span<const double>(stddev));
  hdf5::write_attribute(root, "source_names", std::span<const std::string>(source_names));
  hdf5::write_attribute(root, "source_sha256", std::span<const std::string>(source_sums));
  hdf5::write_attribute(root, "checksum_names", std::span<const std::string>(checksum_names));
  hdf5::write_attribute(root, "checksum_xxh3", std::span<const std::string>(checksums));
  hdf5::write_attribute(root, "format_version", kDatasetFormatVersion);
  hdf5::write_attribute(root, "format", std::string(kDatasetFormat));
  file.close();
}

void DatasetWriter::write_split_parts(hid_t file, Split split, std::vector<std::string>& names,
                                      std::vector<std::string>& sums) {
  SplitState& parts = state(split);
  if (parts.planned == 0) {
    return;
  }
  const std::string prefix = std::string("/") + split_name(split) + "/";
  const auto add_checksum = [&](const char* name, const std::string& checksum) {
    names.push_back(prefix + name);
    sums.push_back(checksum);
  };
  hdf5::Handle group = hdf5::open_group(file, split_name(split));
  add_checksum("images", parts.checksum.hex());

  std::vector<double> mean;  // [C, H, W]
  for (const std::uint64_t sum : parts.sums) {
    mean.push_back(static_cast<double>(sum) / (255.0 * static_cast<double>(parts.planned)));
  }
  fill_dataset(group.get(), "mean_image", H5T_NATIVE_DOUBLE, mean.data());
  Xxh3 mean_checksum;
  mean_checksum.update(mean.data(), mean.size() * sizeof(double));
  add_checksum("mean_image", mean_checksum.hex());

  if (parts.labelled) {
    fill_dataset(group.get(), "labels", H5T_NATIVE_INT64, parts.labels.data());
    Xxh3 label_checksum;
    label_checksum.update(parts.labels.data(), parts.labels.size() * sizeof(std::int64_t));
    add_checksum("labels", label_checksum.hex());
  }
  group.close();
}

}  // namespace gondola
