#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "configs/errors.hpp"
#include "data/images/png.hpp"
#include "launch/commands/commands.hpp"
#include "launch/device_binding.hpp"
#include "launch/encoded_images.hpp"
#include "launch/model_options.hpp"
#include "launch/mpi_session.hpp"
#include "launch/trained_model.hpp"
#include "monitoring/image_grid.hpp"
#include "trainer/evaluation/evaluate.hpp"
#include "trainer/model.hpp"

namespace gondola {
namespace {

/// Originals beside what the model makes of them at `height` x `width`; the originals are enlarged
/// pixel by pixel.
SampleReport reconstruct_at(TrainedModel& model, const ImageSource& source, std::int64_t images,
                            std::int64_t height, std::int64_t width) {
  const auto& reconstructor = model.reconstructor();
  const auto grid = full_grid(height, width, model.options());
  // Independent images one at a time, since a large grid needs memory by its pixels; others in
  // whole groups, whose statistics they share.
  const auto group = reconstructor.independent() ? 1 : model.config().evaluation.group_images;
  std::vector<torch::Tensor> shown;
  std::vector<torch::Tensor> made;
  for (std::int64_t first = 0; first < images; first += group) {
    const auto count = std::min(group, source.images() - first);
    std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
    std::iota(ids.begin(), ids.end(), first);
    shown.push_back(to_values(read_pixels(source, first, count),
                              model.options().dtype().toScalarType(), model.options().device()));
    made.push_back(reconstructor.decode(reconstructor.encode(shown.back(), ids), &grid));
  }
  const auto originals = torch::cat(shown).narrow(0, 0, images);
  const std::vector<std::int64_t> size = {height, width};
  return {.n = images,
          .channels = model.shape().channels,
          .height = height,
          .width = width,
          .originals = host_values(at::upsample_nearest2d(originals.to(torch::kFloat32), size)),
          .reconstructions = host_values(torch::cat(made).narrow(0, 0, images))};
}

}  // namespace

int run_reconstruct(std::span<const std::string> args, MpiSession& mpi) {
  namespace po = boost::program_options;
  auto table = model_option_table(/*default_images=*/8);
  table.add_options()("size", po::value<std::int64_t>()->default_value(0),
                      "pixels of the longer side (siren only; default: as trained)")  //
      ("output", po::value<std::string>(),
       "PNG to write; by default reconstruction-<height>x<width>.png in the run folder");
  const auto values = parse_model_command("reconstruct", args, table);
  if (!values) return static_cast<int>(ExitCode::kDone);
  require_one_rank("reconstruct", mpi.size());
  const auto options = model_options(*values);
  const auto size = (*values)["size"].as<std::int64_t>();
  if (size < 0 || size > 65536) {
    throw ConfigError("--size must be 1 to 65536 pixels, not " + std::to_string(size));
  }
  const auto binding = bind_device({}, mpi);
  TrainedModel model(options.run, binding.device, options.statistics, options.group_images);
  const auto [channels, height, width] = model.shape();
  const auto longer = std::max(height, width);
  const auto scale = size == 0 ? 1.0 : static_cast<double>(size) / static_cast<double>(longer);
  const auto out_height =
      std::max<std::int64_t>(1, std::llround(static_cast<double>(height) * scale));
  const auto out_width =
      std::max<std::int64_t>(1, std::llround(static_cast<double>(width) * scale));
  if (out_height != height && model.config().model.decoder != DecoderKind::kSiren) {
    throw ConfigError("--size " + std::to_string(size) +
                      " needs an implicit model (model.decoder = siren); '" + options.run +
                      "' is convolutional and makes " + std::to_string(height) + "x" +
                      std::to_string(width) + " images only");
  }
  const auto source = model.open_images(options.data, options.split);
  const auto images =
      options.images == 0 ? source->images() : std::min(options.images, source->images());
  const auto output = output_path(*values, "reconstruction-" + std::to_string(out_height) + "x" +
                                               std::to_string(out_width) + ".png");
  const auto picture = draw_pairs(reconstruct_at(model, *source, images, out_height, out_width));
  write_png(output, picture.width, picture.height, picture.channels, picture.pixels);
  std::printf("%lld images at %lldx%lld, originals above reconstructions: %s\n",
              static_cast<long long>(images), static_cast<long long>(out_height),
              static_cast<long long>(out_width), output.c_str());
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
