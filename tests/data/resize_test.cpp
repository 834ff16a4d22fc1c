#include "data/images/resize.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include "data/hdf5_handle.hpp"

namespace gondola {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

const std::map<std::string, Filter> kFilters = {{"box", Filter::kBox},
                                                {"bilinear", Filter::kBilinear},
                                                {"bicubic", Filter::kBicubic},
                                                {"lanczos", Filter::kLanczos}};

std::vector<std::uint8_t> resized(const std::vector<std::uint8_t>& input, std::int64_t height,
                                  std::int64_t width, std::int64_t new_height,
                                  std::int64_t new_width, Filter filter = Filter::kBilinear) {
  const std::int64_t planes = static_cast<std::int64_t>(input.size()) / (height * width);
  std::vector<std::uint8_t> output(static_cast<std::size_t>(planes * new_height * new_width));
  Resizer(filter, height, width, new_height, new_width).resize(input, output);
  return output;
}

TEST(Resize, doubling_weighs_neighbours_by_a_quarter) {
  // Centres of the new pixels lie at -0.25, 0.25, 0.75, 1.25 of the old ones.
  EXPECT_THAT(resized({0, 100}, 1, 2, 1, 4), ElementsAre(0, 25, 75, 100));
  EXPECT_THAT(resized({0, 100}, 2, 1, 4, 1), ElementsAre(0, 25, 75, 100));
}

TEST(Resize, halving_averages_with_a_widened_triangle) {
  // Weights 1/8 3/8 3/8 1/8 inside, 3/7 3/7 1/7 at the edge: 340/7 = 48.57.
  EXPECT_THAT(resized({0, 80, 100, 200, 16, 8}, 1, 6, 1, 3), ElementsAre(49, 125, 39));
}

TEST(Resize, halves_are_rounded_up) {
  EXPECT_THAT(resized({0, 2}, 1, 2, 1, 4), ElementsAre(0, 1, 2, 2));
}

TEST(Resize, the_same_size_changes_nothing) {
  const std::vector<std::uint8_t> image = {1, 2, 3, 250, 251, 252};
  for (const auto& [name, filter] : kFilters) {
    EXPECT_EQ(resized(image, 2, 3, 2, 3, filter), image) << name;
  }
}

TEST(Resize, a_flat_image_stays_flat_at_any_size) {
  for (const auto& [name, filter] : kFilters) {
    for (const std::int64_t size : {1, 2, 3, 7, 13, 28, 31, 64}) {
      const std::vector<std::uint8_t> flat(static_cast<std::size_t>(17 * 11), 255);
      EXPECT_THAT(resized(flat, 17, 11, size, 2 * size, filter), Each(255)) << name << size;
    }
  }
}

TEST(Resize, planes_do_not_mix) {
  EXPECT_THAT(resized({0, 0, 255, 255}, 1, 2, 1, 3), ElementsAre(0, 0, 0, 255, 255, 255));
}

TEST(Resize, a_box_takes_the_mean_or_the_nearest) {
  EXPECT_THAT(resized({0, 10, 20, 30, 7, 8}, 1, 6, 1, 2, Filter::kBox), ElementsAre(10, 15));
  EXPECT_THAT(resized({1, 9}, 2, 1, 4, 1, Filter::kBox), ElementsAre(1, 1, 9, 9));
}

TEST(Resize, negative_lobes_overshoot_and_are_cut_off_at_black_and_white) {
  // A cubic with a = -0.5 weighs -9, 111, 29, -3 at distances 1.25, 0.25, 0.75, 1.75; they sum to
  // 128, to 137 without the first and to 131 without the last.
  EXPECT_THAT(resized({100, 100, 200, 200}, 1, 4, 1, 8, Filter::kBicubic),
              ElementsAre(100, 98, 93, 120, 180, 207, 202, 200));
  EXPECT_THAT(resized({0, 0, 255, 255}, 1, 4, 1, 8, Filter::kBicubic),
              ElementsAre(0, 0, 0, 52, 203, 255, 255, 255));
}

TEST(Resize, every_filter_gives_what_pillow_gives) {
  const auto file = hdf5::open_file(GONDOLA_SOURCE_DIR "/tests/data/pillow.h5");
  const auto pictures = hdf5::open_group(file.get(), "resize");
  int cases = 0;
  for (const std::string& colours : hdf5::link_names(pictures.get())) {
    const auto group = hdf5::open_group(pictures.get(), colours);
    std::vector<std::int64_t> from, to;
    const auto input = hdf5::read_dataset<std::uint8_t>(group.get(), "input", &from);
    for (const std::string& name : hdf5::link_names(group.get())) {
      if (name == "input") continue;
      const auto expected = hdf5::read_dataset<std::uint8_t>(group.get(), name, &to);
      const Filter filter = kFilters.at(name.substr(0, name.find(' ')));
      EXPECT_EQ(resized(input, from.at(1), from.at(2), to.at(1), to.at(2), filter), expected)
          << colours << " " << name;
      ++cases;
    }
  }
  EXPECT_EQ(cases, 40);
}

TEST(Resize, every_instruction_set_gives_the_same) {
  std::minstd_rand random(1);
  for (const auto& [name, filter] : kFilters) {
    for (const auto& [height, width, new_height, new_width] :
         {std::array{150, 170, 70, 90}, {33, 40, 64, 128}, {16, 31, 47, 15}, {74, 74, 64, 64}}) {
      std::vector<std::uint8_t> input(static_cast<std::size_t>(3 * height * width));
      for (auto& value : input) value = static_cast<std::uint8_t>(random() >> 8);
      std::vector<std::vector<std::uint8_t>> outputs;
      for (const auto set :
           {InstructionSet::kBase, InstructionSet::kAvx2, InstructionSet::kAvx512}) {
        if (set > instruction_set()) continue;  // not of this processor
        outputs.emplace_back(static_cast<std::size_t>(3 * new_height * new_width));
        Resizer(filter, height, width, new_height, new_width, set).resize(input, outputs.back());
      }
      EXPECT_THAT(outputs, Each(outputs.front())) << name << " to " << new_height;
    }
  }
}

TEST(Resize, threads_share_a_resizer) {
  std::vector<std::uint8_t> input(3 * 50 * 70);
  std::minstd_rand random(1);
  for (auto& value : input) value = static_cast<std::uint8_t>(random() >> 8);
  const Resizer resizer(Filter::kLanczos, 50, 70, 33, 41);
  std::vector<std::uint8_t> expected(3 * 33 * 41);
  resizer.resize(input, expected);
  std::vector<std::vector<std::uint8_t>> outputs(4, std::vector<std::uint8_t>(expected.size()));
  std::vector<std::thread> threads;
  for (auto& output : outputs) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) resizer.resize(input, output);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(outputs, Each(expected));
}

TEST(Resize, matches_the_reference_bit_for_bit) {
  const char* shared = std::getenv("GONDOLA_SHARED");
  const auto path = std::filesystem::path(shared == nullptr ? "" : shared) / "golden/utilities.h5";
  if (shared == nullptr || !std::filesystem::exists(path)) {
    GTEST_SKIP() << "GONDOLA_SHARED names no folder with golden/utilities.h5";
  }
  const auto file = hdf5::open_file(path);
  const auto cases = hdf5::open_group(file.get(), "resize");
  const auto names = hdf5::link_names(cases.get());
  ASSERT_GE(names.size(), 5U);
  for (const std::string& name : names) {
    const auto group = hdf5::open_group(cases.get(), name);
    std::vector<std::int64_t> from, to;
    const auto input = hdf5::read_dataset<std::uint8_t>(group.get(), "input", &from);
    const auto expected = hdf5::read_dataset<std::uint8_t>(group.get(), "output", &to);
    EXPECT_EQ(resized(input, from.at(2), from.at(3), to.at(2), to.at(3)), expected) << name;
  }
}

}  // namespace
}  // namespace gondola
