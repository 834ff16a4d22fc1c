#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>

#include <cstdio>
#include <functional>

#include "data/dataset_file.hpp"
#include "data/images/decode.hpp"
#include "data/importers/cifar10.hpp"
#include "data/importers/coil20.hpp"
#include "data/importers/hdf5.hpp"
#include "data/importers/idx.hpp"
#include "data/importers/images.hpp"
#include "data/importers/lsun.hpp"
#include "data/importers/norb.hpp"
#include "tests/data/lmdb_files.hpp"
#include "tests/data/source_files.hpp"
#include "tests/support/damage.hpp"

namespace gondola {
namespace {

/// Makes the checksums of a PNG's chunks right again, so that the damage is looked at.
void mend_png(std::string& bytes) {
  for (std::size_t at = 8; at + 12 <= bytes.size();) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i)
      length = length << 8 | static_cast<unsigned char>(bytes[at + i]);
    if (length > bytes.size() - at - 12) return;
    const auto sum = crc32(0, reinterpret_cast<const Bytef*>(bytes.data() + at + 4),
                           static_cast<uInt>(length + 4));
    for (std::size_t i = 0; i < 4; ++i) {
      bytes[at + 8 + length + i] = static_cast<char>(sum >> (24 - 8 * i));
    }
    at += 12 + length;
  }
}

/// Makes the checksum of a tar's first header right again.
void mend_tar(std::string& bytes) {
  if (bytes.size() < 512) return;
  bytes.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(bytes[i]);
  char digits[8] = {};
  std::snprintf(digits, sizeof(digits), "%06o", sum);
  bytes.replace(148, 7, digits, 7);
}

void change_nothing(std::string&) {}

class Fuzz : public DataTest {
 protected:
  /// Damages copies of `whole` and lets `read` have them as a file of this name. It must give what
  /// it can or throw an error of this project, soon.
  void fuzz(const std::string& name, const std::string& whole,
            const std::function<void(const std::string& path)>& read,
            void (*mend)(std::string&) = change_nothing) const {
    std::filesystem::create_directories(std::filesystem::path(in_folder(name)).parent_path());
    const auto count = fuzz_bytes(name, whole, mend, [&](const std::string& bytes) {
      write_bytes(name, bytes);
      read(in_folder(name));
    });
    RecordProperty("files", std::to_string(count.files));
    RecordProperty("refused", std::to_string(count.refused));
    EXPECT_GT(count.refused, count.files / 20) << "the damage is not met";
  }

  void fuzz_source(const std::string& name, const std::string& whole,
                   std::unique_ptr<ImportSource> (*open)(const SourceOptions&),
                   void (*mend)(std::string&) = change_nothing,
                   const std::string& input = "") const {
    const auto read = [&](const std::string& path) {
      const auto source = open({.inputs = {input.empty() ? path : in_folder(input)}});
      source->deliver([](ImportPlace) { return true; },
                      [&](RawImage raw) {
                        load(raw);
                        (void)source->decode(raw);
                      });
    };
    write_bytes_in(name, whole);
    EXPECT_NO_THROW(read(in_folder(name))) << name << " is damaged from the start";
    fuzz(name, whole, read, mend);
  }

  void write_bytes_in(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(std::filesystem::path(in_folder(name)).parent_path());
    write_bytes(name, bytes);
  }

  /// Files of pillow.h5 whose name begins so.
  [[nodiscard]] static std::vector<std::string> pictures(const std::string& format) {
    const auto file = hdf5::open_file(GONDOLA_SOURCE_DIR "/tests/data/pillow.h5");
    const auto cases = hdf5::open_group(file.get(), "decode");
    std::vector<std::string> found;
    for (const auto& name : hdf5::link_names(cases.get())) {
      if (!name.starts_with(format)) continue;
      const auto group = hdf5::open_group(cases.get(), name);
      found.push_back(text_of(hdf5::read_dataset<std::uint8_t>(group.get(), "bytes")));
    }
    return found;
  }

  void fuzz_pictures(const std::string& format, void (*mend)(std::string&) = change_nothing) const {
    const auto all = pictures(format);
    EXPECT_GE(all.size(), 4U);
    for (std::size_t i = 0; i < all.size(); ++i) {
      SCOPED_TRACE(format + " " + std::to_string(i));
      fuzz(
          format, all[i],
          [](const std::string& path) {
            const std::string bytes = read_bytes(path);
            (void)decode_image({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                               path);
          },
          mend);
    }
  }

  /// A tar or zip of pictures, as libarchive writes it.
  [[nodiscard]] std::string packed(const char* format, const char* filter) const {
    archive* writer = archive_write_new();
    EXPECT_EQ(archive_write_set_format_by_name(writer, format), ARCHIVE_OK);
    if (std::string(filter) != "none") {
      EXPECT_EQ(archive_write_add_filter_by_name(writer, filter), ARCHIVE_OK);
    }
    EXPECT_EQ(archive_write_open_filename(writer, in_folder("packed").c_str()), ARCHIVE_OK);
    int number = 0;
    for (const std::string& bytes : pictures("png colour")) {
      archive_entry* entry = archive_entry_new();
      archive_entry_set_pathname(entry,
                                 ("folder/obj1__" + std::to_string(number++) + ".png").c_str());
      archive_entry_set_filetype(entry, AE_IFREG);
      archive_entry_set_perm(entry, 0644);
      archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
      archive_write_header(writer, entry);
      archive_write_data(writer, bytes.data(), bytes.size());
      archive_entry_free(entry);
    }
    archive_write_close(writer);
    archive_write_free(writer);
    return read_bytes(in_folder("packed"));
  }

  /// A file of 40 packed fractions and labels, in the oldest format of HDF5, whose metadata has no
  /// checksums, or the newest.
  [[nodiscard]] std::string foreign(H5F_libver_t oldest) const {
    const std::string path = in_folder("made.h5");
    const hdf5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    H5Pset_libver_bounds(access.get(), oldest, H5F_LIBVER_LATEST);
    hdf5::Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose);
    {
      const hsize_t shape[] = {40, 6, 5, 3}, chunk[] = {7, 6, 5, 3};
      const hdf5::Handle space(H5Screate_simple(4, shape, nullptr), H5Sclose);
      const hdf5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
      H5Pset_chunk(creation.get(), 4, chunk);
      H5Pset_shuffle(creation.get());
      H5Pset_deflate(creation.get(), 4);
      const hdf5::Handle images(H5Dcreate2(file.get(), "x", H5T_NATIVE_FLOAT, space.get(),
                                           H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                                H5Dclose);
      std::vector<float> values(40 * 6 * 5 * 3, 0.5F);
      H5Dwrite(images.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
      const std::vector<std::int64_t> labels(40, 3), count{40};
      hdf5::write_dataset<std::int64_t>(file.get(), "labels", labels, count);
    }
    file.close();
    return read_bytes(path);
  }
};

TEST_F(Fuzz, jpeg) { fuzz_pictures("jpeg"); }
TEST_F(Fuzz, png) { fuzz_pictures("png", mend_png); }
TEST_F(Fuzz, webp) { fuzz_pictures("webp"); }

TEST_F(Fuzz, idx) {
  std::string images{0, 0, 8, 3};
  for (const char* size : {"\x32", "\x04", "\x05"}) images += std::string(3, '\0') + size;
  images += text_of(test_images(0, 50, 20));
  fuzz_source("train-images-idx3-ubyte", images, open_idx);
  fuzz_source("train-images-idx3-ubyte.gz", gzipped(images), open_idx);
  const auto pack = [](std::string& bytes) { bytes = gzipped(bytes); };
  fuzz(
      "inner/train-images-idx3-ubyte.gz", images,
      [](const std::string& path) {
        const auto source = open_idx({.inputs = {path}});
        source->deliver([](ImportPlace) { return true; },
                        [&](const RawImage& raw) { (void)source->decode(raw); });
      },
      pack);
}

TEST_F(Fuzz, norb) {
  fuzz_source("a-training-dat.mat", norb_images(20, 4, 5), open_norb);
  fuzz_source("b-training-dat.mat.gz", gzipped(norb_images(20, 4, 5)), open_norb);
  fuzz_source("c/a-training-cat.mat", norb_labels(std::vector<std::uint32_t>(20, 3)),
              [](const SourceOptions& options) {
                auto with_images = options;
                const auto folder = std::filesystem::path(options.inputs[0]).parent_path();
                with_images.inputs.push_back(folder.parent_path() / "whole-training-dat.mat");
                std::ofstream(with_images.inputs[1], std::ios::binary) << norb_images(20, 4, 5);
                return open_norb(with_images);
              });
}

TEST_F(Fuzz, cifar10) {
  std::string batch;
  for (int i = 0; i < 5; ++i)
    batch += std::string(1, static_cast<char>(i)) + text_of(test_images(i, 1, 3072));
  fuzz_source("data_batch_1.bin", batch, open_cifar10);
}

TEST_F(Fuzz, lmdb) {
  LmdbEntries small, large;
  const auto all = pictures("png");
  for (int i = 0; i < 300; ++i) small.emplace_back(std::to_string(i * 7919 % 1000), all[0]);
  for (int i = 0; i < 6; ++i)
    large.emplace_back(std::to_string(i), all[0] + std::string(9000, 'x'));
  write_lmdb(in_folder("small"), small);
  write_lmdb(in_folder("large"), large);
  fuzz_source("small/data.mdb", read_bytes(in_folder("small/data.mdb")), open_lsun);
  fuzz_source("large/data.mdb", read_bytes(in_folder("large/data.mdb")), open_lsun);
}

TEST_F(Fuzz, hdf5_dataset) {
  const std::string whole = read_bytes(make_dataset("a.h5", 9, 4));
  fuzz("b.h5", whole, [](const std::string& path) {
    const DatasetFile file(path);
    for (const Split split : {Split::kTrain, Split::kTest}) {
      const auto* info = file.split(split);
      if (info == nullptr) continue;
      std::vector<std::uint8_t> images(static_cast<std::size_t>(info->image_bytes()));
      for (std::int64_t i = 0; i < info->images; ++i) file.read_images(split, i, 1, images);
      (void)file.read_labels(split);
    }
  });
}

TEST_F(Fuzz, hdf5_of_other_programs_with_checksums) {
  fuzz_source("b.h5", foreign(H5F_LIBVER_V18), open_hdf5);
}

TEST_F(Fuzz, hdf5_of_other_programs_without_checksums) {
  fuzz_source("b.h5", foreign(H5F_LIBVER_EARLIEST), open_hdf5);
}

TEST_F(Fuzz, tar) {
  fuzz_source("a.tar", packed("gnutar", "none"), open_images, mend_tar);
  fuzz_source("b.tar", packed("pax", "none"), open_coil20, mend_tar);
  fuzz_source("a.tar.gz", packed("gnutar", "gzip"), open_images);
  fuzz_source("a.tar.xz", packed("gnutar", "xz"), open_images);
}

TEST_F(Fuzz, zip) { fuzz_source("a.zip", packed("zip", "none"), open_images); }

}  // namespace
}  // namespace gondola
