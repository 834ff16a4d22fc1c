#include <cstdio>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "data/atomic_file.hpp"
#include "data/hdf5_attributes.hpp"
#include "data/hdf5_handle.hpp"
#include "data/hdf5_memory_file.hpp"
#include "data/images/png.hpp"
#include "launch/commands/commands.hpp"
#include "launch/device_binding.hpp"
#include "launch/encoded_images.hpp"
#include "launch/model_options.hpp"
#include "launch/mpi_session.hpp"
#include "launch/trained_model.hpp"
#include "monitoring/scatter_plot.hpp"
#include "trainer/tensor_bytes.hpp"

namespace gondola {
namespace {

/// Of the first `count` images; empty where the dataset has none.
std::vector<std::int64_t> labels_of(const ImageSource& source, std::int64_t count) {
  std::vector<std::int64_t> labels;
  for (std::int64_t id = 0; source.has_labels() && id < count; ++id) {
    labels.push_back(source.label(id));
  }
  return labels;
}

/// The file of docs/latents.md.
void write_latents(const std::filesystem::path& path, const TrainedModel& model,
                   const ImageSource& source, const torch::Tensor& latents) {
  const auto write = [&](hid_t file) {
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
    const auto labels = labels_of(source, latents.size(0));
    if (!labels.empty()) hdf5::write_dataset<std::int64_t>(file, "labels", labels, shape);
  };
  const hdf5::MemoryFile file(path.string(), write, {bytes_of(latents)});
  write_file_atomically(path, file.pieces());
}

}  // namespace

int run_encode(std::span<const std::string> args, MpiSession& mpi) {
  namespace po = boost::program_options;
  auto table = model_option_table(/*default_images=*/0);
  table.add_options()(
      "output", po::value<std::string>(),
      "HDF5 file to write (docs/latents.md); by default latents-<split>.h5 in the run folder")  //
      ("scatter", po::value<std::string>(),
       "PNG to write as well: latents of 2 values as dots in the colours of their classes");
  const auto values = parse_model_command("encode", args, table);
  if (!values) return static_cast<int>(ExitCode::kDone);
  require_one_rank("encode", mpi.size());
  const auto options = model_options(*values);
  const auto output =
      output_path(*values, std::string("latents-") + split_name(options.split) + ".h5");
  const auto scatter = values->count("scatter") > 0 ? (*values)["scatter"].as<std::string>() : "";
  if (!scatter.empty() && std::filesystem::exists(scatter)) {
    throw ConfigError("'" + scatter + "' exists already; name another --scatter");
  }
  const auto binding = bind_device({}, mpi);
  TrainedModel model(options.run, binding.device, options.statistics, options.group_images);
  const auto& latent = model.config().latent;
  if (!scatter.empty() && latent.size * latent.spatial * latent.spatial != 2) {
    throw ConfigError("--scatter draws latents of 2 values, and those of '" + options.run +
                      "' have " + std::to_string(latent.size * latent.spatial * latent.spatial) +
                      "; train with --latent.size 2");
  }
  const auto source = model.open_images(options.data, options.split);
  const auto latents = encode_images(model, *source, options.images);
  write_latents(output, model, *source, latents);
  if (!scatter.empty()) {
    const auto classes = labels_of(*source, latents.size(0));
    const auto picture = draw_scatter(host_values(latents), classes);
    write_png(scatter, picture.width, picture.height, picture.channels, picture.pixels);
  }
  std::printf("%lld latents of %s in %s (%s)\n", static_cast<long long>(latents.size(0)),
              source->name().c_str(), output.c_str(), model.reconstructor().description().c_str());
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
