#include "trainer/checkpoint/checkpoint_trial.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "data/hdf5_handle.hpp"
#include "data/helper_process.hpp"
#include "trainer/checkpoint/checkpoint_file.hpp"

namespace gondola {
namespace {

void read_numbers(hid_t group, const std::string& name) {
  const auto dataset = hdf5::open_dataset(group, name);
  const auto info = hdf5::describe_dataset(dataset.get(), name);
  if (info.type_class != H5T_FLOAT) return;
  const bool wide = info.type_bytes == sizeof(double);
  const auto type = wide ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
  std::vector<std::byte> values(static_cast<std::size_t>(info.values) *
                                (wide ? sizeof(double) : sizeof(float)));
  hdf5::read_raw_dataset(dataset.get(), name, type, values.data(), info.values);
}

/// The numbers below a group, which itself may lie in one. Calls done() behind each dataset.
void read_group(hid_t parent, const std::string& name, const std::function<void()>& done,
                int depth = 0) {
  constexpr int kMostDepth = 3;
  const auto group = hdf5::open_group(parent, name);
  for (const auto& each : hdf5::link_names(group.get())) {
    const hdf5::Handle object(H5Oopen(group.get(), each.c_str(), H5P_DEFAULT), H5Oclose);
    const auto type = object ? H5Iget_type(object.get()) : H5I_BADID;
    if (type == H5I_DATASET) {
      read_numbers(group.get(), each);
      done();
    }
    if (type == H5I_GROUP && depth < kMostDepth) read_group(group.get(), each, done, depth + 1);
  }
}

/// What the helper answers.
enum class Word : char { kMore, kAllRead };

}  // namespace

void try_to_read(const std::filesystem::path& checkpoint) {
  HelperProcess helper([&](ProcessLink& link) {
    const auto answer = [&](Word word) {
      HelperProcess::begin_answer(link);
      link.put(word);
    };
    (void)link.get<char>();
    (void)read_origin(checkpoint);
    (void)read_progress(checkpoint);
    const auto file = hdf5::open_file((checkpoint / "state.h5").string());
    read_group(file.get(), "/", [&] {  // a large one is not to be taken for a silent helper
      answer(Word::kMore);
      (void)link.get<char>();
    });
    answer(Word::kAllRead);
  });
  const auto name = "checkpoint '" + checkpoint.string() + "'";
  try {
    auto word = Word::kMore;
    while (word == Word::kMore) {
      helper.answer(
          name, [](ProcessLink& link) { link.put('r'); },
          [&](ProcessLink& link) { word = link.get<Word>(); });
    }
  } catch (const DataError& error) {
    throw CheckpointError(error.what());
  }
}

}  // namespace gondola
