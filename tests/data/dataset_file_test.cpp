#include "data/dataset_file.hpp"

#include <array>
#include <cmath>

#include "data/hdf5_attributes.hpp"
#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using DatasetFiles = DataTest;

/// What opening says of a bad file.
std::string refusal(const std::string& path) {
  return complaint<DataError>([&] { DatasetFile file(path); });
}

TEST_F(DatasetFiles, what_was_written_is_read) {
  const std::string path = make_dataset("a.h5", 7, 3);
  const DatasetFile file(path);
  ASSERT_NE(file.split(Split::kTest), nullptr);
  const SplitInfo& train = *file.split(Split::kTrain);
  EXPECT_EQ(train.images, 7);
  EXPECT_EQ(train.channels, 2);
  EXPECT_EQ(train.height, 3);
  EXPECT_EQ(train.width, 4);
  EXPECT_TRUE(train.contiguous);
  EXPECT_TRUE(file.header().native);
  EXPECT_EQ(file.header().name, "made for a test");
  std::vector<std::uint8_t> images(3 * 24);
  file.read_images(Split::kTest, 0, 3, images);
  EXPECT_EQ(images, test_images(7, 3, 24));
  EXPECT_EQ(file.read_labels(Split::kTrain), test_labels(0, 7));
  EXPECT_EQ(file.read_labels(Split::kTest), test_labels(7, 3));
}

TEST_F(DatasetFiles, large_images_start_on_a_page) {
  const DatasetFile file(make_dataset("a.h5", 500));
  EXPECT_EQ(file.split(Split::kTrain)->offset_bytes % 4096, 0);
}

TEST_F(DatasetFiles, mean_image_and_statistics_are_exact) {
  const DatasetFile file(make_dataset("a.h5", 7));
  const auto images = test_images(0, 7, 24);
  const auto& mean = file.split(Split::kTrain)->mean_image;
  ASSERT_EQ(mean.size(), 24U);
  for (std::size_t i = 0; i < 24; ++i) {
    std::int64_t sum = 0;
    for (std::size_t image = 0; image < 7; ++image) sum += images[image * 24 + i];
    EXPECT_EQ(mean[i], static_cast<double>(sum) / (255.0 * 7)) << i;
  }
  for (std::size_t channel = 0; channel < 2; ++channel) {
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < images.size(); ++i) {
      if (i / 12 % 2 != channel) continue;
      sum += images[i] / 255.0;
      squares += images[i] / 255.0 * (images[i] / 255.0);
    }
    EXPECT_NEAR(file.header().channel_mean.at(channel), sum / 84, 1e-14);
    EXPECT_NEAR(file.header().channel_stddev.at(channel),
                std::sqrt(squares / 84 - sum / 84 * sum / 84), 1e-12);
  }
}

TEST_F(DatasetFiles, sums_of_many_bright_images_are_exact) {
  constexpr std::int64_t kImages = 600;
  DatasetWriter writer(in_folder("a.h5"),
                       {.channels = 1, .height = 5, .width = 9, .train_images = kImages});
  writer.write(Split::kTrain, 0, std::vector<std::uint8_t>(kImages * 45, 255));
  writer.commit({}, {}, {});
  const DatasetFile file(in_folder("a.h5"));
  EXPECT_THAT(file.split(Split::kTrain)->mean_image, Each(1.0));
  EXPECT_THAT(file.header().channel_mean, ElementsAre(1.0));
  EXPECT_THAT(file.header().channel_stddev, ElementsAre(0.0));
}

TEST_F(DatasetFiles, checksums_are_those_of_the_whole_in_whatever_order_pieces_come) {
  constexpr std::int64_t kPieces = 10000;  // more than are remembered out of turn
  const auto all = test_images(0, kPieces, 4);
  Xxh3 sum;
  sum.update(all.data(), all.size());
  for (const std::int64_t step : {1, 3, 7, 9999}) {  // of which none divides the number
    DatasetWriter writer(in_folder(std::to_string(step)),
                         {.channels = 1, .height = 2, .width = 2, .train_images = kPieces});
    for (std::int64_t i = 0; i < kPieces; ++i) {
      const std::int64_t place = i * step % kPieces;
      writer.write(Split::kTrain, place,
                   std::span(all).subspan(static_cast<std::size_t>(4 * place), 4));
    }
    writer.commit({}, {}, {});
    EXPECT_EQ(DatasetFile(in_folder(std::to_string(step))).split(Split::kTrain)->images_checksum,
              sum.hex())
        << step;
  }
}

TEST_F(DatasetFiles, a_missing_file_is_missing_input) {
  EXPECT_THAT(complaint<MissingInputError>([&] { DatasetFile file(in_folder("no.h5")); }),
              HasSubstr("no.h5"));
}

TEST_F(DatasetFiles, a_file_of_another_kind_is_refused) {
  write_bytes("text.h5", "these are words");
  EXPECT_THAT(refusal(in_folder("text.h5")), HasSubstr("not an HDF5 file"));
  write_bytes("empty.h5", "");
  EXPECT_THAT(refusal(in_folder("empty.h5")), HasSubstr("not an HDF5 file"));
  hdf5::create_file(in_folder("bare.h5")).close();
  EXPECT_THAT(refusal(in_folder("bare.h5")), HasSubstr("no dataset"));
}

TEST_F(DatasetFiles, a_truncated_file_is_refused_wherever_it_was_cut) {
  const std::string path = make_dataset("a.h5", 2000, 100);
  const std::string whole = read_bytes(path);
  ASSERT_GT(whole.size(), 50000U);
  for (const double part : {0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 0.99, 0.9999}) {
    write_bytes(
        "cut.h5",
        whole.substr(0, static_cast<std::size_t>(part * static_cast<double>(whole.size()))));
    EXPECT_THAT(refusal(in_folder("cut.h5")),
                AllOf(HasSubstr("cut.h5"), AnyOf(HasSubstr("truncated"), HasSubstr("not an HDF5"))))
        << part;
  }
  write_bytes("cut.h5", whole.substr(0, whole.size() - 1));
  EXPECT_THAT(refusal(in_folder("cut.h5")), HasSubstr("truncated"));
}

TEST_F(DatasetFiles, metadata_carries_checksums) {
  constexpr std::size_t kSuperblockVersion = 8;  // versions 0 and 1 have none
  EXPECT_EQ(read_bytes(make_dataset("a.h5", 3)).at(kSuperblockVersion), 2);
}

TEST_F(DatasetFiles, damage_where_attributes_lie_does_not_make_a_file_foreign) {
  const std::string path = make_dataset("a.h5", 3, 2);
  const std::string whole = read_bytes(path);
  // Heap and index of the root's attributes, which are more than HDF5 keeps in its header.
  for (const char* signature : {"FRHP", "FHDB", "BTHD", "BTLF"}) {
    const auto place = whole.find(signature);
    ASSERT_NE(place, std::string::npos) << signature;
    std::string damaged = whole;
    damaged[place + 9] = static_cast<char>(damaged[place + 9] ^ 1);
    write_bytes("damaged.h5", damaged);
    EXPECT_THAT(complaint<DataError>([&] { (void)DatasetFile(in_folder("damaged.h5")); }),
                HasSubstr("damaged.h5"))
        << signature;
  }
}

TEST_F(DatasetFiles, a_damaged_file_never_crashes_the_reader) {
  const std::string whole = read_bytes(make_dataset("a.h5", 3, 2));
  std::uint64_t random = 1;
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    std::string damaged = whole;
    for (int flips = 0; flips < 4; ++flips) {
      random = random * 6364136223846793005ULL + 1442695040888963407ULL;
      damaged[(random >> 20) % damaged.size()] = static_cast<char>(random >> 11);
    }
    write_bytes("damaged.h5", damaged);
    try {
      const DatasetFile file(in_folder("damaged.h5"));
      for (const Split split : {Split::kTrain, Split::kTest}) {
        if (const SplitInfo* info = file.split(split)) {
          std::vector<std::uint8_t> images(
              static_cast<std::size_t>(info->images * info->image_bytes()));
          file.read_images(split, 0, info->images, images);
          (void)file.read_labels(split);
        }
      }
    } catch (const DataError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_F(DatasetFiles, foreign_images_of_another_rank_or_count_are_refused) {
  EXPECT_THAT(refusal(make_foreign("rank.h5", {5, 28})),
              AllOf(HasSubstr("/train/images"), HasSubstr("5x28"), HasSubstr("3 dimensions or 4")));
  EXPECT_THAT(refusal(make_foreign("none.h5", {0, 1, 4, 4}, H5T_NATIVE_UINT8)),
              AllOf(HasSubstr("/train/images"), HasSubstr("is empty"), HasSubstr("0x1x4x4")));
}

TEST_F(DatasetFiles, images_of_our_own_of_another_rank_or_type_are_refused) {
  const auto with_images = [&](const char* name, auto values, std::vector<std::int64_t> shape) {
    const std::string path = make_dataset(name, 4);
    auto file = hdf5::open_file_for_writing(path);
    const auto group = hdf5::open_group(file.get(), "train");
    H5Ldelete(group.get(), "images", H5P_DEFAULT);
    hdf5::write_dataset<typename decltype(values)::value_type>(group.get(), "images", values,
                                                               shape);
    return path;
  };
  EXPECT_THAT(refusal(with_images("rank.h5", std::vector<std::uint8_t>(96), {4, 24})),
              AllOf(HasSubstr("/train/images"), HasSubstr("[4, 24]"), HasSubstr("[N, C, H, W]")));
  EXPECT_THAT(refusal(with_images("type.h5", std::vector<float>(96), {4, 2, 3, 4})),
              AllOf(HasSubstr("32-bit floating-point"), HasSubstr("8-bit unsigned")));
}

TEST_F(DatasetFiles, images_without_stored_bytes_are_refused) {
  const std::string path = in_folder("a.h5");
  {
    auto file = hdf5::create_file(path);
    const auto group = hdf5::create_group(file.get(), "train");
    const hsize_t shape[4] = {hsize_t{1} << 40, 3, 256, 256};
    const hdf5::Handle space(H5Screate_simple(4, shape, nullptr), H5Sclose);
    const hdf5::Handle images(H5Dcreate2(group.get(), "images", H5T_NATIVE_UINT8, space.get(),
                                         H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                              H5Dclose);
  }
  EXPECT_THAT(refusal(path), AllOf(HasSubstr("/train/images"), HasSubstr("more than its file")));
}

TEST_F(DatasetFiles, sizes_beyond_any_use_are_refused_before_memory_is_taken) {
  // Chunks that were never written take no room, so the file is long enough for the claim.
  const auto claim = [&](const char* name, std::array<hsize_t, 4> shape) {
    auto file = hdf5::create_file(in_folder(name));
    const std::vector<std::uint8_t> padding(100000);
    hdf5::write_dataset<std::uint8_t>(file.get(), "padding", padding, std::vector{100000L});
    const auto group = hdf5::create_group(file.get(), "train");
    const hdf5::Handle space(H5Screate_simple(4, shape.data(), nullptr), H5Sclose);
    const hdf5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const std::array<hsize_t, 4> chunk = {1, 1, 1, 1};
    H5Pset_chunk(creation.get(), 4, chunk.data());
    const hdf5::Handle images(H5Dcreate2(group.get(), "images", H5T_NATIVE_UINT8, space.get(),
                                         H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                              H5Dclose);
    return in_folder(name);
  };
  EXPECT_THAT(refusal(claim("large.h5", {1, 2, 16384, 16384})),
              AllOf(HasSubstr("1x2x16384x16384"), HasSubstr("268435456 bytes")));
  EXPECT_THAT(refusal(claim("many.h5", {(1 << 28) + 1, 1, 1, 1})),
              AllOf(HasSubstr("268435457x1x1x1"), HasSubstr("268435456 images")));
  EXPECT_NO_THROW(DatasetFile(claim("largest.h5", {1, 1, 16384, 16384})));
}

TEST_F(DatasetFiles, images_kept_in_other_files_are_refused) {
  const std::string path = in_folder("a.h5");
  write_bytes("pixels", std::string(64, 'x'));
  {
    auto file = hdf5::create_file(path);
    const auto group = hdf5::create_group(file.get(), "train");
    const hsize_t shape[4] = {4, 1, 4, 4};
    const hdf5::Handle space(H5Screate_simple(4, shape, nullptr), H5Sclose);
    const hdf5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_external(creation.get(), in_folder("pixels").c_str(), 0, 64);
    const hdf5::Handle images(H5Dcreate2(group.get(), "images", H5T_NATIVE_UINT8, space.get(),
                                         H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                              H5Dclose);
  }
  EXPECT_THAT(refusal(path), HasSubstr("in other files"));
}

TEST_F(DatasetFiles, links_into_other_files_are_not_followed) {
  make_dataset("whole.h5", 4);
  const auto with_links = [&](const char* name, const auto& add) {
    auto file = hdf5::create_file(in_folder(name));
    add(file.get());
    file.close();
    return in_folder(name);
  };
  const auto external = [](hid_t parent, const char* name, const char* object) {
    ASSERT_GE(H5Lcreate_external("whole.h5", object, parent, name, H5P_DEFAULT, H5P_DEFAULT), 0);
  };
  EXPECT_THAT(
      refusal(with_links("group.h5", [&](hid_t file) { external(file, "train", "/train"); })),
      AllOf(HasSubstr("group train"), HasSubstr("group.h5"), HasSubstr("into another file")));
  EXPECT_THAT(refusal(with_links("data.h5",
                                 [&](hid_t file) {
                                   const auto group = hdf5::create_group(file, "train");
                                   external(group.get(), "images", "/train/images");
                                 })),
              AllOf(HasSubstr("dataset /train/images"), HasSubstr("data.h5"),
                    HasSubstr("into another file")));
  EXPECT_THAT(refusal(with_links("detour.h5",
                                 [&](hid_t file) {
                                   external(file, "other", "/");
                                   H5Lcreate_soft("/other/train", file, "train", H5P_DEFAULT,
                                                  H5P_DEFAULT);
                                 })),
              AllOf(HasSubstr("group train"), HasSubstr("into another file")));
  EXPECT_THAT(refusal(with_links("nowhere.h5",
                                 [&](hid_t file) {
                                   H5Lcreate_soft("/nowhere", file, "train", H5P_DEFAULT,
                                                  H5P_DEFAULT);
                                 })),
              HasSubstr("missing or unreadable"));
}

TEST_F(DatasetFiles, parts_that_do_not_fit_the_images_are_refused) {
  const auto replace = [&](const char* name, const char* part, auto values,
                           std::vector<std::int64_t> shape) {
    const std::string path = make_dataset(name, 4);
    auto file = hdf5::open_file_for_writing(path);
    const auto group = hdf5::open_group(file.get(), "train");
    H5Ldelete(group.get(), part, H5P_DEFAULT);
    using T = typename decltype(values)::value_type;
    if (!values.empty()) hdf5::write_dataset<T>(group.get(), part, values, shape);
    return path;
  };
  EXPECT_THAT(refusal(replace("l.h5", "labels", std::vector<std::int64_t>(3), {3})),
              AllOf(HasSubstr("/train/labels"), HasSubstr("[3]"), HasSubstr("[4]")));
  EXPECT_THAT(refusal(replace("t.h5", "labels", std::vector<std::uint8_t>(4), {4})),
              HasSubstr("8-bit unsigned integers"));
  EXPECT_THAT(refusal(replace("m.h5", "mean_image", std::vector<double>(24), {24})),
              AllOf(HasSubstr("/train/mean_image"), HasSubstr("[24]"), HasSubstr("[2, 3, 4]")));
  EXPECT_THAT(refusal(replace("n.h5", "mean_image", std::vector<double>(24, 1.5), {2, 3, 4})),
              AllOf(HasSubstr("/train/mean_image"), HasSubstr("1.5")));
  EXPECT_THAT(refusal(replace("o.h5", "mean_image", std::vector<double>(), {})),
              HasSubstr("/train/mean_image is missing"));
  EXPECT_THAT(refusal(replace("p.h5", "images", std::vector<std::uint8_t>(), {})),
              HasSubstr("/train/images is missing"));
}

TEST_F(DatasetFiles, another_format_or_version_is_refused) {
  const std::string path = make_dataset("a.h5", 2);
  {
    auto file = hdf5::open_file_for_writing(path);
    hdf5::write_attribute(file.get(), "format_version", std::int64_t{2});
  }
  EXPECT_THAT(refusal(path), HasSubstr("format version 2"));
  {
    auto file = hdf5::open_file_for_writing(path);
    hdf5::write_attribute(file.get(), "format", std::string("gondola-checkpoint"));
  }
  EXPECT_THAT(refusal(path), HasSubstr("'gondola-checkpoint'"));
}

}  // namespace
}  // namespace gondola
