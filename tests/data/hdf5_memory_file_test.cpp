#include "data/hdf5_memory_file.hpp"

#include <algorithm>
#include <numeric>

#include "data/atomic_file.hpp"
#include "data/hdf5_attributes.hpp"
#include "data/hdf5_handle.hpp"
#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::HasSubstr;

hdf5::Bytes bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(float)};
}

std::vector<float> numbers(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1.0F);
  return values;
}

class Hdf5MemoryFile : public DataTest {
 protected:
  hdf5::Handle stored(const hdf5::MemoryFile& file) {
    write_file_atomically(in_folder("a.h5"), file.pieces());
    return hdf5::open_file(in_folder("a.h5"));
  }
};

TEST_F(Hdf5MemoryFile, holds_what_was_written_whether_copied_or_not) {
  const auto copied = numbers(5001);
  const auto kept = numbers(70003);
  const std::vector<std::int64_t> shapes[] = {{5001}, {70003}};
  const hdf5::MemoryFile made("a.h5",
                              [&](hid_t root) {
                                hdf5::write_attribute(root, "text", std::string(300, 'x'));
                                hdf5::write_dataset<float>(root, "copied", copied, shapes[0]);
                                const auto group = hdf5::create_group(root, "group");
                                hdf5::write_dataset<float>(group.get(), "kept", kept, shapes[1]);
                                hdf5::write_dataset<float>(root, "copied too", copied, shapes[0]);
                              },
                              {bytes_of(kept)});
  const auto file = stored(made);
  EXPECT_EQ(hdf5::read_string_attribute(file.get(), "text"), std::string(300, 'x'));
  EXPECT_EQ(hdf5::read_dataset<float>(file.get(), "copied"), copied);
  EXPECT_EQ(hdf5::read_dataset<float>(file.get(), "copied too"), copied);
  EXPECT_EQ(hdf5::read_dataset<float>(hdf5::open_group(file.get(), "group").get(), "kept"), kept);
}

TEST_F(Hdf5MemoryFile, a_lasting_value_is_a_piece_where_it_lies) {
  const auto values = numbers(70003);
  const auto half = std::span(values).first(30000);
  const std::vector<std::int64_t> shape = {30000};
  const hdf5::MemoryFile made(
      "a.h5", [&](hid_t root) { hdf5::write_dataset<float>(root, "x", half, shape); },
      {bytes_of(values)});
  const auto pieces = made.pieces();
  EXPECT_TRUE(std::any_of(pieces.begin(), pieces.end(), [&](hdf5::Bytes piece) {
    return piece.data() == bytes_of(values).data() && piece.size() == 30000 * sizeof(float);
  }));
}

TEST_F(Hdf5MemoryFile, values_that_do_not_last_may_go) {
  const std::vector<std::int64_t> shape = {1 << 20};
  const hdf5::MemoryFile made("a.h5", [&](hid_t root) {
    auto values = numbers(1 << 20);
    hdf5::write_dataset<float>(root, "x", values, shape);
    std::fill(values.begin(), values.end(), 0.0F);
  });
  EXPECT_EQ(hdf5::read_dataset<float>(stored(made).get(), "x"), numbers(1 << 20));
}

TEST_F(Hdf5MemoryFile, what_was_copied_can_be_read_while_it_is_made) {
  const auto values = numbers(5001);
  const std::vector<std::int64_t> shape = {5001};
  const hdf5::MemoryFile made("a.h5", [&](hid_t root) {
    hdf5::write_dataset<float>(root, "x", values, shape);
    EXPECT_EQ(hdf5::read_dataset<float>(root, "x"), values);
  });
}

TEST_F(Hdf5MemoryFile, has_the_same_bytes_each_time) {
  const auto values = numbers(1000);
  const std::vector<std::int64_t> shape = {10, 100};
  const auto joined = [&](std::vector<hdf5::Bytes> lasting) {
    const hdf5::MemoryFile made(
        "a.h5", [&](hid_t root) { hdf5::write_dataset<float>(root, "x", values, shape); },
        std::move(lasting));
    std::vector<std::uint8_t> bytes;
    for (const auto piece : made.pieces()) bytes.insert(bytes.end(), piece.begin(), piece.end());
    return bytes;
  };
  EXPECT_EQ(joined({}), joined({}));
  EXPECT_EQ(joined({}), joined({bytes_of(values)}));
}

TEST_F(Hdf5MemoryFile, a_failure_names_the_file) {
  const std::vector<float> values = {1};
  const auto write_twice = [&] {
    const hdf5::MemoryFile made("weights.h5", [&](hid_t root) {
      hdf5::write_dataset<float>(root, "x", values, {});
      hdf5::write_dataset<float>(root, "x", values, {});
    });
  };
  EXPECT_THAT(complaint<IoError>(write_twice), HasSubstr("weights.h5"));
}

}  // namespace
}  // namespace gondola
