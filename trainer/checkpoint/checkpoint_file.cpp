#include "trainer/checkpoint/checkpoint_file.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <system_error>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"
#include "data/checksum.hpp"
#include "data/hdf5_attributes.hpp"
#include "data/hdf5_handle.hpp"
#include "data/hdf5_memory_file.hpp"
#include "trainer/tensor_bytes.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kFormatVersion = 1;
constexpr const char* kStateName = "state.h5";
constexpr const char* kMarkerName = "COMPLETE";
constexpr const char* kFamilyGroup = "family";

hid_t hdf5_type(const torch::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case torch::kFloat64:
      return H5T_NATIVE_DOUBLE;
    case torch::kFloat32:
      return H5T_NATIVE_FLOAT;
    default:
      TORCH_CHECK(false, "checkpoints hold float32 and float64, not ", tensor.scalar_type());
  }
}

/// REQUIRES a contiguous tensor on the host.
void write_tensor(hid_t group, const std::string& name, const torch::Tensor& tensor) {
  hdf5::write_raw_dataset(group, name, hdf5_type(tensor), tensor.const_data_ptr(), tensor.sizes());
}

[[noreturn]] void refuse_other_model(const fs::path& path, const std::string& difference) {
  throw CheckpointError("checkpoint '" + path.string() + "' is of another model: " + difference +
                        "; resume with the config that wrote it");
}

/// A stored tensor of floating-point numbers, on the host, which must have this shape.
torch::Tensor read_whole_tensor(hid_t group, const std::string& name, at::IntArrayRef shape,
                                const fs::path& path) {
  if (!hdf5::has_link(group, name)) refuse_other_model(path, "it has no " + name);
  const auto dataset = hdf5::open_dataset(group, name);
  const auto info = hdf5::describe_dataset(dataset.get(), name);
  if (info.type_class != H5T_FLOAT) refuse_other_model(path, name + " holds no numbers");
  if (at::IntArrayRef(info.shape) != shape) {
    refuse_other_model(path, name + " has shape " + c10::str(at::IntArrayRef(info.shape)) +
                                 ", not " + c10::str(shape));
  }
  const auto stored = info.type_bytes == sizeof(double) ? torch::kFloat64 : torch::kFloat32;
  auto host = torch::empty(info.shape, stored);
  hdf5::read_raw_dataset(dataset.get(), name, hdf5_type(host), host.data_ptr(), host.numel());
  return host;
}

/// Reads into `tensor`, which must have the stored shape; a float32 file may fill a float64 tensor
/// and the other way round.
void read_tensor(hid_t group, const std::string& name, torch::Tensor tensor, const fs::path& path) {
  const auto host = read_whole_tensor(group, name, tensor.sizes(), path);
  const at::NoGradGuard no_grad;
  tensor.copy_(host);
}

/// Each parameter of a flat buffer by its name.
void write_flat(hid_t file, const std::string& group_name, const Parameters& parameters,
                const torch::Tensor& flat) {
  const auto group = hdf5::create_group(file, group_name);
  for (std::size_t i = 0; i < parameters.count(); ++i) {
    write_tensor(group.get(), parameters.name(i), parameters.slice_of(flat, i));
  }
}

void read_flat(hid_t file, const std::string& group_name, const Parameters& parameters,
               const torch::Tensor& flat, const fs::path& path) {
  const auto group = hdf5::open_group(file, group_name);
  for (std::size_t i = 0; i < parameters.count(); ++i) {
    read_tensor(group.get(), parameters.name(i), parameters.slice_of(flat, i), path);
  }
  const auto stored = hdf5::link_names(group.get());
  if (stored.size() != parameters.count()) {
    std::set<std::string> extra(stored.begin(), stored.end());
    for (std::size_t i = 0; i < parameters.count(); ++i) extra.erase(parameters.name(i));
    refuse_other_model(path, "it has " + *extra.begin() + ", which this model has not");
  }
}

void write_state(hid_t root, const StateSnapshot& state, const CheckpointOrigin& origin) {
  hdf5::write_attribute(root, "format", std::string("gondola-checkpoint"));
  hdf5::write_attribute(root, "format_version", kFormatVersion);
  hdf5::write_attribute(root, "config", origin.config_ini);
  hdf5::write_attribute(root, "world", origin.world);
  hdf5::write_attribute(root, "dataset", static_cast<std::int64_t>(origin.dataset));

  const auto cursor = hdf5::create_group(root, "cursor");
  hdf5::write_attribute(cursor.get(), "step", state.progress.step);
  hdf5::write_attribute(cursor.get(), "epoch", state.progress.cursor.epoch);
  hdf5::write_attribute(cursor.get(), "batch", state.progress.cursor.batch);
  hdf5::write_attribute(cursor.get(), "best_loss", state.progress.best_loss);
  hdf5::write_attribute(cursor.get(), "best_step", state.progress.best_step);
  hdf5::write_attribute(cursor.get(), "usual_norm", state.progress.usual_norm.mean);
  hdf5::write_attribute(cursor.get(), "usual_norm_steps", state.progress.usual_norm.steps);

  const auto& parameters = *state.layout;
  write_flat(root, "weights", parameters, state.weights);
  const auto optimizer = hdf5::create_group(root, "optimizer");
  write_flat(optimizer.get(), "first_moment", parameters, state.first_moment);
  write_flat(optimizer.get(), "second_moment", parameters, state.second_moment);
  hdf5::write_attribute(optimizer.get(), "updates", state.updates);
  if (state.average.defined()) write_flat(root, "ema", parameters, state.average);

  const auto normalisation = hdf5::create_group(root, "normalisation");
  write_tensor(normalisation.get(), "mean_image", state.mean_image);
  for (const auto& average : state.running_averages) {
    write_tensor(normalisation.get(), average.name + ".running_mean", average.mean);
    write_tensor(normalisation.get(), average.name + ".running_var", average.variance);
  }

  if (state.family.empty()) return;
  const auto group = hdf5::create_group(root, kFamilyGroup);
  for (const auto& [name, tensor] : state.family) write_tensor(group.get(), name, tensor);
}

/// Weights, moments and what a family keeps: not copied again on their way to disk.
std::vector<hdf5::Bytes> large_values_of(const StateSnapshot& state) {
  std::vector<hdf5::Bytes> values = {bytes_of(state.weights), bytes_of(state.first_moment),
                                     bytes_of(state.second_moment), bytes_of(state.average)};
  for (const auto& [name, tensor] : state.family) values.push_back(bytes_of(tensor));
  return values;
}

/// xxh3 and length of what is added, as COMPLETE holds them.
class Digest {
 public:
  void add(hdf5::Bytes bytes) {
    hash_.update(bytes.data(), bytes.size());
    bytes_ += bytes.size();
  }
  [[nodiscard]] std::string text() const {
    return hash_.hex() + " " + std::to_string(bytes_) + "\n";
  }

 private:
  Xxh3 hash_;
  std::uint64_t bytes_ = 0;
};

/// @throws IoError
std::string digest_of(const fs::path& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  if (!file) throw IoError("cannot read '" + path.string() + "': " + std::strerror(errno));
  Digest digest;
  std::vector<std::uint8_t> buffer(std::size_t{1} << 20);
  while (const auto count = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    digest.add({buffer.data(), count});
  }
  if (std::ferror(file.get()) != 0) throw IoError("cannot read '" + path.string() + "' to its end");
  return digest.text();
}

/// Removes its folder in the end, where that has not been renamed.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(fs::path path) : path_(std::move(path)) {
    std::error_code error;
    fs::remove_all(path_, error);
    fs::create_directories(path_, error);
    if (error) throw IoError("cannot create '" + path_.string() + "': " + error.message());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Calls read(file) on the open state.h5; what is wrong with the file becomes a CheckpointError.
template <typename Read>
auto read_state(const fs::path& path, Read read) {
  try {
    const auto file = hdf5::open_file((path / kStateName).string());
    const auto version = hdf5::read_i64_attribute(file.get(), "format_version");
    if (version != kFormatVersion) {
      throw CheckpointError("checkpoint '" + path.string() + "' has format version " +
                            std::to_string(version) + ", this program reads version " +
                            std::to_string(kFormatVersion));
    }
    return read(file.get());
  } catch (const DataError& error) {
    throw CheckpointError("checkpoint '" + path.string() + "' is damaged: " + error.what());
  }
}

/// What /cursor says, which no other program than this one may have written.
RunProgress progress_of(hid_t file, const fs::path& path) {
  const auto cursor = hdf5::open_group(file, "cursor");
  const auto count = [&](const std::string& name) {
    constexpr std::int64_t kMost = std::int64_t{1}
                                   << 40;  // far from where sums and products overflow
    const auto value = hdf5::read_i64_attribute(cursor.get(), name);
    if (value < 0 || value > kMost) {
      throw CheckpointError("checkpoint '" + path.string() + "' has " + std::to_string(value) +
                            " as " + name + " of its cursor where 0 to " + std::to_string(kMost) +
                            " are possible; resume from another one");
    }
    return value;
  };
  RunProgress progress{.step = count("step"),
                       .cursor = {.epoch = count("epoch"), .batch = count("batch")},
                       .best_loss = hdf5::read_f64_attribute(cursor.get(), "best_loss"),
                       .best_step = count("best_step")};
  if (hdf5::has_attribute(cursor.get(), "usual_norm")) {  // older checkpoints have none
    progress.usual_norm = {.mean = hdf5::read_f64_attribute(cursor.get(), "usual_norm"),
                           .steps = count("usual_norm_steps")};
  }
  return progress;
}

}  // namespace

fs::path write_checkpoint(const fs::path& folder, const StateSnapshot& state,
                          const CheckpointOrigin& origin) {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "step-%08lld",
                static_cast<long long>(state.progress.step));
  const auto final_path = folder / name.data();
  // The dot keeps the unfinished folder out of every listing. What a kill leaves of it goes when
  // the run is started again (remove_unfinished).
  const TemporaryFolder temporary(folder / ("." + std::string(name.data()) + ".partial"));
  const auto state_path = temporary.path() / kStateName;
  const hdf5::MemoryFile file(
      state_path.string(), [&](hid_t root) { write_state(root, state, origin); },
      large_values_of(state));
  const auto pieces = file.pieces();
  write_file_atomically(state_path, pieces);
  // Of what was meant to be written, not of what a file system makes of it.
  Digest sum;
  for (const auto piece : pieces) sum.add(piece);
  const auto digest = sum.text();
  write_file_atomically(temporary.path() / kMarkerName,
                        {reinterpret_cast<const std::uint8_t*>(digest.data()), digest.size()});
  flush_to_disk(temporary.path());
  std::error_code error;
  fs::remove_all(final_path, error);  // a damaged one of the same step
  fs::rename(temporary.path(), final_path, error);
  if (error) throw IoError("cannot rename to '" + final_path.string() + "': " + error.message());
  flush_to_disk(folder);
  return final_path;
}

void verify_checkpoint(const fs::path& path) {
  const auto refuse = [&](const std::string& why) {
    throw CheckpointError("checkpoint '" + path.string() + "' " + why);
  };
  if (!fs::is_directory(path))
    throw MissingInputError("checkpoint '" + path.string() + "' does not exist");
  std::ifstream marker(path / kMarkerName);
  if (!marker) refuse("is incomplete: it has no file COMPLETE");
  if (!fs::exists(path / kStateName)) refuse("is incomplete: it has no file state.h5");
  const std::string expected{std::istreambuf_iterator<char>(marker), {}};
  const auto digest = digest_of(path / kStateName);
  if (digest != expected) {
    refuse("is damaged: state.h5 has hash and length " + digest.substr(0, digest.size() - 1) +
           ", COMPLETE says " + expected.substr(0, expected.find('\n')));
  }
}

CheckpointOrigin read_origin(const fs::path& path) {
  return read_state(path, [](hid_t file) {
    return CheckpointOrigin{
        .config_ini = hdf5::read_string_attribute(file, "config"),
        .world = hdf5::read_i64_attribute(file, "world"),
        .dataset = static_cast<std::uint64_t>(hdf5::read_i64_attribute(file, "dataset"))};
  });
}

RunProgress read_progress(const fs::path& path) {
  return read_state(path, [&](hid_t file) { return progress_of(file, path); });
}

void read_model(const fs::path& path, Decoder& decoder, torch::Tensor* mean_image,
                Weights weights) {
  read_state(path, [&](hid_t file) {
    auto& parameters = decoder.parameters();
    const bool average = weights == Weights::kAverage && hdf5::has_link(file, "ema");
    read_flat(file, average ? "ema" : "weights", parameters, parameters.flat(), path);
    const auto normalisation = hdf5::open_group(file, "normalisation");
    if (mean_image != nullptr) read_tensor(normalisation.get(), "mean_image", *mean_image, path);
    for (const auto& running : parameters.running_averages()) {
      read_tensor(normalisation.get(), running.name + ".running_mean", running.mean, path);
      read_tensor(normalisation.get(), running.name + ".running_var", running.variance, path);
    }
  });
}

void read_checkpoint(const fs::path& path, TrainingState& state) {
  read_model(path, state.decoder, &state.mean_image, Weights::kLatest);
  read_state(path, [&](hid_t file) {
    auto& parameters = state.decoder.parameters();
    const auto optimizer = hdf5::open_group(file, "optimizer");
    read_flat(optimizer.get(), "first_moment", parameters, state.optimizer.first_moment(), path);
    read_flat(optimizer.get(), "second_moment", parameters, state.optimizer.second_moment(), path);
    state.optimizer.updates().fill_(hdf5::read_f64_attribute(optimizer.get(), "updates"));
    if (state.average.defined()) read_flat(file, "ema", parameters, state.average, path);

    state.objective.restore_state([&](const std::string& name, at::IntArrayRef shape) {
      if (!hdf5::has_link(file, kFamilyGroup)) refuse_other_model(path, "it has no " + name);
      const auto group = hdf5::open_group(file, kFamilyGroup);
      return read_whole_tensor(group.get(), name, shape, path);
    });

    state.progress = progress_of(file, path);
  });
}

std::vector<std::int64_t> read_image_shape(const fs::path& path) {
  const auto shape = read_state(path, [](hid_t file) {
    const auto normalisation = hdf5::open_group(file, "normalisation");
    const auto dataset = hdf5::open_dataset(normalisation.get(), "mean_image");
    return hdf5::describe_dataset(dataset.get(), "mean_image").shape;
  });
  if (shape.size() != 4)
    throw CheckpointError("checkpoint '" + path.string() + "' has no mean image");
  return {shape.begin() + 1, shape.end()};
}

}  // namespace gondola
