#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/file_watch.hpp"
#include "data/image_source.hpp"
#include "data/images/planar_image.hpp"

namespace gondola {

class FileSum;

/// Where an image stands in its source: image `index` of a split.
struct ImportPlace {
  Split split = Split::kTrain;
  std::int64_t index = 0;
};

/// An image as its source holds it, on its way into a dataset.
struct RawImage {
  ImportPlace place = {};
  std::string name = {};                 ///< For messages: the file, and which image of it.
  std::vector<std::uint8_t> bytes = {};  ///< Encoded or plain: what decode() of its source takes.
  std::optional<std::size_t> file = {};  ///< Where the bytes are all of a file: of listing().files.
  FileStamp stamp = {};                  ///< Of that file, from before its bytes were read.
  /// Where it is set, deliver() left the bytes, and the stamp, to be read by this: on any thread,
  /// as long as the source lives and delivers nothing anew.
  std::function<void(RawImage&)> load = {};
};

/// Reads the bytes of a delivered image where they are not there yet.
inline void load(RawImage& image) {
  if (image.load) image.load(image);
}

/// What a source holds, known before its first image is read.
struct ImportListing {
  struct OfSplit {
    std::int64_t images = 0;
    std::vector<std::int64_t> labels = {};  ///< [images], or empty where there are none.
  };
  std::array<OfSplit, 2> splits = {};   ///< By Split.
  std::string recipe = {};              ///< What the source does to the images, in words.
  std::vector<std::string> files = {};  ///< Paths of the files that were or will be read.
  /// Of each file (of those beyond its end: no), whether it is an image, with RawImage.file.
  std::vector<bool> as_images = {};
  /// Of each file (of those beyond its end: null) its sum, where that was begun beside the listing.
  std::vector<std::shared_ptr<FileSum>> sums = {};

  [[nodiscard]] OfSplit& of(Split split) { return splits[static_cast<std::size_t>(split)]; }
  [[nodiscard]] const OfSplit& of(Split split) const {
    return splits[static_cast<std::size_t>(split)];
  }
};

/// What the importers are told; each looks at its own fields alone.
struct SourceOptions {
  std::vector<std::string> inputs = {};  ///< Files and folders, as on the command line.
  std::int64_t face_crop = 0;            ///< celeba: side of the square cut out; 0: 148.
  std::string cameras = {};              ///< norb: "images" (also where empty) or "channels".
  std::string dataset = {};              ///< hdf5: path in the file, such as /images.
};

/// A published dataset in its own format, read once from front to back. Made by the open_...
/// function of its file; a new format is one more file and one more row in importers.cpp.
class ImportSource {
 public:
  virtual ~ImportSource() = default;
  ImportSource(const ImportSource&) = delete;
  ImportSource& operator=(const ImportSource&) = delete;

  [[nodiscard]] const ImportListing& listing() const { return listing_; }

  /// Hands the wanted images to `take`, in whatever order the source holds them, each once. May be
  /// called again. `take` may block, and throws to end the delivery. One thread.
  /// @throws DataError (damage, with the file and the image), IoError
  virtual void deliver(const std::function<bool(ImportPlace)>& wanted,
                       const std::function<void(RawImage)>& take) = 0;

  /// Pixels of a delivered image whose bytes are there. Thread-safe. @throws DataError naming the
  /// image
  [[nodiscard]] virtual PlanarImage decode(const RawImage& image) const = 0;

 protected:
  ImportSource() = default;
  ImportListing listing_;
};

}  // namespace gondola
