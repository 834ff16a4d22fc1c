#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"
#include "data/hdf5_handle.hpp"
#include "launch/commands/commands.hpp"
#include "launch/device_binding.hpp"
#include "launch/model_options.hpp"
#include "launch/mpi_session.hpp"
#include "launch/trained_model.hpp"
#include "trainer/evaluation/evaluate.hpp"
#include "trainer/model.hpp"

namespace gondola {
namespace {

/// The latents of the first `images` images of a source. [N, k(, s, s)] float32 on the host
torch::Tensor encode_all(TrainedModel& model, const ImageSource& source, std::int64_t images) {
  const auto group = model.config().evaluation.group_images;
  std::vector<torch::Tensor> parts;
  for (std::int64_t first = 0; first < images; first += group) {
    const auto count = std::min(group, images - first);
    std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
    std::iota(ids.begin(), ids.end(), first);
    const auto values = to_values(read_pixels(source, first, count),
                                  model.options().dtype().toScalarType(), model.options().device());
    parts.push_back(model.reconstructor().encode(values, ids).to(torch::kCPU, torch::kFloat32));
  }
  return torch::cat(parts).contiguous();
}

/// The file of docs/latents.md. It is made in memory: latents fit there, and a full disk is then
/// met by plain writes.
void write_latents(const std::filesystem::path& path, const TrainedModel& model,
                   const ImageSource& source, const torch::Tensor& latents) {
  const auto image = hdf5::make_file_in_memory(path.string(), [&](hid_t file) {
    hdf5::write_attribute(file, "format", std::string("gondola-latents"));
    hdf5::write_attribute(file, "format_version", std::int64_t{1});
    hdf5::write_attribute(file, "checkpoint", model.checkpoint().string());
    hdf5::write_attribute(file, "source", source.name());
    hdf5::write_attribute(file, "encoding", model.reconstructor().description());
    hdf5::write_raw_dataset(file, "latents", H5T_NATIVE_FLOAT, latents.data_ptr(), latents.sizes());
    std::vector<std::int64_t> ids(static_cast<std::size_t>(latents.size(0)));
    std::iota(ids.begin(), ids.end(), 0);
    const std::vector<std::int64_t> shape = {latents.size(0)};
    hdf5::write_dataset<std::int64_t>(file, "ids", ids, shape);
    if (source.has_labels()) {
      std::vector<std::int64_t> labels(ids.size());
      std::transform(ids.begin(), ids.end(), labels.begin(),
                     [&](std::int64_t id) { return source.label(id); });
      hdf5::write_dataset<std::int64_t>(file, "labels", labels, shape);
    }
  });
  write_file_atomically(path, image);
}

}  // namespace

int run_encode(std::span<const std::string> args, MpiSession& mpi) {
  namespace po = boost::program_options;
  auto table = model_option_table(/*default_images=*/0);
  table.add_options()(
      "output", po::value<std::string>(),
      "HDF5 file to write (docs/latents.md); by default latents-<split>.h5 in the run folder");
  const auto values = parse_model_command("encode", args, table);
  if (!values) return static_cast<int>(ExitCode::kDone);
  if (mpi.size() != 1) {
    throw WorldError("gondola encode runs on one rank, and was started on " +
                     std::to_string(mpi.size()) + "; start it without mpirun");
  }
  const auto options = model_options(*values);
  const auto output =
      output_path(*values, std::string("latents-") + split_name(options.split) + ".h5");
  const auto binding = bind_device({}, mpi);
  TrainedModel model(options.run, binding.device, options.statistics, options.group_images);
  const auto source = model.open_images(options.data, options.split);
  const auto images =
      options.images == 0 ? source->images() : std::min(options.images, source->images());
  const auto latents = encode_all(model, *source, images);
  write_latents(output, model, *source, latents);
  std::printf("%lld latents of %s in %s (%s)\n", static_cast<long long>(images),
              source->name().c_str(), output.c_str(), model.reconstructor().description().c_str());
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
