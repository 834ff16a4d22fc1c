#include "trainer/checkpoint/weight_formats.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace gondola {
namespace {

TEST(WeightFormats, bytes_of_a_path_that_are_no_text_leave_a_safetensors_header_readable) {
  const auto file = as_safetensors({{"w", torch::arange(3, torch::kFloat32)}},
                                   {{"checkpoint", "/runs/\xff/step-1"}});
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | file.at(static_cast<std::size_t>(i));
  const auto header = nlohmann::json::parse(file.begin() + 8,
                                            file.begin() + 8 + static_cast<std::ptrdiff_t>(length));
  EXPECT_EQ(header.at("__metadata__").at("checkpoint"), "/runs/\uFFFD/step-1");
  EXPECT_EQ(header.at("w").at("shape"), std::vector<int>{3});
}

}  // namespace
}  // namespace gondola
