#include "data/foreign_images.hpp"

#include <algorithm>
#include <cstring>

#include "configs/errors.hpp"
#include "data/image_source.hpp"

namespace gondola {
namespace {

using Kind = ForeignLayout::Kind;

hid_t memory_type(Kind kind) {
  switch (kind) {
    case Kind::kBytes:
      return H5T_NATIVE_UINT8;
    case Kind::kFloats:
      return H5T_NATIVE_FLOAT;
    default:
      return H5T_NATIVE_DOUBLE;
  }
}

std::int64_t value_bytes(Kind kind) {
  return kind == Kind::kBytes ? 1 : kind == Kind::kFloats ? 4 : 8;
}

Kind kind_of(const hdf5::DatasetInfo& info) {
  if (info.type_class == H5T_INTEGER) {
    return info.type_bytes == 1 && !info.is_signed ? Kind::kBytes : Kind::kDoubles;
  }
  return info.type_bytes <= sizeof(float) ? Kind::kFloats : Kind::kDoubles;
}

template <typename T>
T stored_value(std::span<const std::uint8_t> bytes, std::size_t i) {
  T value{};
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

/// Whether any value is above 1.
template <typename T>
bool has_more_than_one(std::span<const std::uint8_t> bytes) {
  for (std::size_t i = 0; i < bytes.size() / sizeof(T); ++i) {
    if (stored_value<T>(bytes, i) > T{1}) return true;
  }
  return false;
}

template <typename T>
void convert(const ForeignLayout& layout, std::span<const std::uint8_t> stored,
             const std::string& name, std::span<std::uint8_t> pixels) {
  const double most = layout.up_to_one ? 1.0 : 255.0, scale = layout.up_to_one ? 255.0 : 1.0;
  const auto channels = static_cast<std::size_t>(layout.channels);
  const std::size_t plane = pixels.size() / channels;
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const auto value = static_cast<double>(stored_value<T>(stored, i));
    if (!(value >= 0.0 && value <= most)) {
      throw DataError(name + " has the value " + std::to_string(value) + " at place " +
                      std::to_string(i) + " where 0 to " + (layout.up_to_one ? "1" : "255") +
                      " are possible; bring the values into that range");
    }
    const std::size_t to = layout.channels_last ? i % channels * plane + i / channels : i;
    pixels[to] = static_cast<std::uint8_t>(value * scale + 0.5);
  }
}

}  // namespace

std::string foreign_shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) {
    text += (text.empty() ? "" : "x") + std::to_string(size);
  }
  return text.empty() ? "no dimensions" : text;
}

std::int64_t ForeignLayout::stored_bytes() const { return image_values() * value_bytes(kind); }

void foreign_to_bytes(const ForeignLayout& layout, std::span<const std::uint8_t> stored,
                      const std::string& name, std::span<std::uint8_t> pixels) {
  switch (layout.kind) {
    case Kind::kBytes:
      if (!layout.channels_last) {
        std::copy(stored.begin(), stored.end(), pixels.begin());
      } else {
        convert<std::uint8_t>(layout, stored, name, pixels);
      }
      return;
    case Kind::kFloats:
      convert<float>(layout, stored, name, pixels);
      return;
    case Kind::kDoubles:
      convert<double>(layout, stored, name, pixels);
      return;
  }
}

ForeignImages::ForeignImages(hid_t file, const std::string& path)
    : name_("dataset " + path + " of " + hdf5::file_name(file)),
      dataset_(hdf5::open_dataset(file, path)) {
  const auto info = hdf5::describe_dataset(dataset_.get(), path);
  if (info.type_class != H5T_INTEGER && info.type_class != H5T_FLOAT) {
    refuse("does not hold numbers; name another with gondola import hdf5 --dataset");
  }
  layout_.kind = kind_of(info);
  shape_ = info.shape;
  read_shape();
  choose_block();
  knows_scale_ = info.type_class != H5T_FLOAT;
  const bool plain = info.contiguous && layout_.kind == Kind::kBytes && !layout_.channels_last;
  plain_offset_bytes_ = plain ? info.offset_bytes : -1;
}

std::string ForeignImages::image_name(std::int64_t image) const {
  return name_ + ", image " + std::to_string(image);
}

void ForeignImages::refuse(const std::string& problem) const {
  throw DataError(name_ + " " + problem);
}

void ForeignImages::read_shape() {
  if (shape_.size() != 3 && shape_.size() != 4) {
    refuse("has the shape " + foreign_shape_text(shape_) +
           " where images have 3 dimensions or 4; name another with gondola import hdf5 --dataset");
  }
  const auto few = [](std::int64_t size) { return size == 1 || size == 3; };
  const bool last = shape_.size() == 4 && few(shape_[3]) && !few(shape_[1]);
  layout_.images = shape_[0];
  const std::size_t first = shape_.size() == 3 || last ? 1 : 2;
  layout_.height = shape_[first];
  layout_.width = shape_[first + 1];
  layout_.channels = shape_.size() == 3 ? 1 : shape_[last ? 3 : 1];
  layout_.channels_last = last && layout_.channels > 1;  // of one channel, either is the same
  if (std::find(shape_.begin(), shape_.end(), 0) != shape_.end()) {
    refuse("is empty: its shape is " + foreign_shape_text(shape_) +
           "; give a file that has images");
  }
  if (layout_.height > kMostImageBytes || layout_.width > kMostImageBytes / layout_.height ||
      layout_.channels > kMostImageBytes / (layout_.height * layout_.width) ||
      shape_[0] > kMostImages) {
    refuse("announces " + foreign_shape_text(shape_) + " values, more than a dataset may have (" +
           std::to_string(kMostImages) + " images of " + std::to_string(kMostImageBytes) +
           " bytes); check which file it is");
  }
}

void ForeignImages::choose_block() {
  constexpr std::int64_t kBlockBytes = 1 << 24, kMostBlockBytes = 1 << 29;
  layout_.images_at_once = std::max<std::int64_t>(1, kBlockBytes / layout_.stored_bytes());
  const hdf5::Handle creation(H5Dget_create_plist(dataset_.get()), H5Pclose);
  if (creation && H5Pget_layout(creation.get()) == H5D_CHUNKED) {
    std::vector<hsize_t> chunk(shape_.size());
    H5Pget_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data());
    std::int64_t chunk_bytes = 8;
    for (const hsize_t size : chunk) {
      if (size == 0 || size > static_cast<hsize_t>(kMostBlockBytes) ||
          chunk_bytes > kMostBlockBytes * 8 / static_cast<std::int64_t>(size)) {
        refuse(
            "is stored in chunks that are too large to be read; repack it with h5repack "
            "-l CHUNK=...");
      }
      chunk_bytes *= static_cast<std::int64_t>(size);
    }
    const auto chunk_images = static_cast<std::int64_t>(chunk[0]);
    if (chunk_images <= kMostBlockBytes / layout_.stored_bytes()) {
      layout_.images_at_once =
          std::max<std::int64_t>(1, layout_.images_at_once / chunk_images) * chunk_images;
    }
  }
  layout_.images_at_once = std::min(layout_.images_at_once, shape_[0]);
}

const ForeignLayout& ForeignImages::layout() {
  if (!knows_scale_) {
    layout_.up_to_one = is_up_to_one();
    knows_scale_ = true;
  }
  return layout_;
}

bool ForeignImages::is_up_to_one() const {
  constexpr std::int64_t kMostBytes = 1 << 30;
  std::vector<std::uint8_t> block;
  std::int64_t bytes = 0;
  for (std::int64_t first = 0; first < shape_[0] && bytes < kMostBytes;
       first += layout_.images_at_once) {
    read_stored(first, std::min(layout_.images_at_once, shape_[0] - first), block);
    if (layout_.kind == Kind::kFloats ? has_more_than_one<float>(block)
                                      : has_more_than_one<double>(block)) {
      return false;
    }
    bytes += static_cast<std::int64_t>(block.size());
  }
  return true;
}

void ForeignImages::read_stored(std::int64_t first, std::int64_t count,
                                std::vector<std::uint8_t>& out) const {
  hdf5::silence_errors();
  out.resize(static_cast<std::size_t>(count * layout_.stored_bytes()));
  std::vector<hsize_t> begin(shape_.size(), 0), size(shape_.begin(), shape_.end());
  begin[0] = static_cast<hsize_t>(first);
  size[0] = static_cast<hsize_t>(count);
  const hdf5::Handle file_space(H5Dget_space(dataset_.get()), H5Sclose);
  const hdf5::Handle memory_space(
      H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), H5Sclose);
  if (!file_space || !memory_space ||
      H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, begin.data(), nullptr, size.data(),
                          nullptr) < 0 ||
      H5Dread(dataset_.get(), memory_type(layout_.kind), memory_space.get(), file_space.get(),
              H5P_DEFAULT, out.data()) < 0) {
    const std::string reason = hdf5::last_error();
    refuse("cannot be read at images " + std::to_string(first) + " to " +
           std::to_string(first + count - 1) + (reason.empty() ? "" : ": " + reason) +
           "; the file is damaged: copy or make it again");
  }
}

void ForeignImages::read_pixels(std::int64_t first, std::int64_t count,
                                std::span<std::uint8_t> out) {
  const ForeignLayout& known = layout();
  const auto stored_bytes = static_cast<std::size_t>(known.stored_bytes());
  const auto pixels = static_cast<std::size_t>(known.image_values());
  std::vector<std::uint8_t> stored;
  for (std::int64_t done = 0; done < count;) {
    const std::int64_t part = std::min(known.images_at_once, count - done);
    read_stored(first + done, part, stored);
    for (std::int64_t i = 0; i < part; ++i) {
      foreign_to_bytes(
          known,
          std::span(stored).subspan(static_cast<std::size_t>(i) * stored_bytes, stored_bytes),
          image_name(first + done + i),
          out.subspan(static_cast<std::size_t>(done + i) * pixels, pixels));
    }
    done += part;
  }
}

}  // namespace gondola
