#include "configs/nearest_name.hpp"

#include <gtest/gtest.h>

namespace gondola {
namespace {

TEST(NearestName, edit_distance_counts_insertions_deletions_replacements_and_swaps) {
  EXPECT_EQ(edit_distance("latent", "latent"), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("train", "trai"), 1u);
  EXPECT_EQ(edit_distance("train", "strain"), 1u);
  EXPECT_EQ(edit_distance("train", "trbin"), 1u);
  EXPECT_EQ(edit_distance("trian", "train"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

TEST(NearestName, the_name_with_the_fewest_edits_is_meant) {
  EXPECT_EQ(nearest_name("latent.sise", {"latent.steps", "latent.size", "data.path"}),
            "latent.size");
}

TEST(NearestName, a_key_without_its_section_is_recognised) {
  EXPECT_EQ(nearest_name("batch_size", {"latent.size", "trainer.batch_size"}),
            "trainer.batch_size");
}

TEST(NearestName, nothing_is_suggested_for_a_word_that_is_like_no_name) {
  EXPECT_EQ(nearest_name("zebra", {"latent.size", "data.path"}), "");
  EXPECT_EQ(did_you_mean("zebra", {"latent.size"}), "");
  EXPECT_EQ(did_you_mean("latent.sice", {"latent.size"}, "--"), "; did you mean --latent.size?");
}

}  // namespace
}  // namespace gondola
