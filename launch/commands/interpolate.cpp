#include <algorithm>
#include <cstdio>
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
#include "trainer/latent/latent_gaussian.hpp"

namespace gondola {

int run_interpolate(std::span<const std::string> args, MpiSession& mpi) {
  namespace po = boost::program_options;
  auto table = model_option_table(/*default_images=*/16);
  table.add_options()("points", po::value<std::int64_t>()->default_value(10),
                      "images in a row, both ends included")  //
      ("output", po::value<std::string>(),
       "PNG to write; by default interpolation.png in the run folder");
  const auto values = parse_model_command("interpolate", args, table);
  if (!values) return static_cast<int>(ExitCode::kDone);
  require_one_rank("interpolate", mpi.size());
  const auto options = model_options(*values);
  const auto points = (*values)["points"].as<std::int64_t>();
  if (points < 2 || points > 64) {
    throw ConfigError("--points must be 2 to 64 images, not " + std::to_string(points));
  }
  const auto output = output_path(*values, "interpolation.png");
  const auto binding = bind_device({}, mpi);
  TrainedModel model(options.run, binding.device, options.statistics, options.group_images);
  const auto source = model.open_images(options.data, options.split);
  const auto latents = encode_images(model, *source, options.images);  // [2 pairs(+1), ...]
  const auto pairs = latents.size(0) / 2;
  if (pairs < 1) {
    throw DataError(source->name() + " gives " + std::to_string(latents.size(0)) +
                    " images; an interpolation needs 2 or more, see --images");
  }
  // Image 2i is the left end of row i, image 2i + 1 its right end.
  const auto rows = latents.to(torch::kFloat64).flatten(1).narrow(0, 0, 2 * pairs);
  const auto end = [&](std::int64_t which) {
    return rows.view({pairs, 2, -1}).select(1, which).repeat_interleave(points, 0);
  };
  const auto t = torch::linspace(0, 1, points, torch::kFloat64).repeat({pairs});
  auto shape = latents.sizes().vec();
  shape[0] = pairs * points;
  const auto between = spherical_interpolation(end(0), end(1), t).view(shape).to(model.options());
  const auto images = model.reconstructor().decode(between);
  const auto [channels, height, width] = model.shape();
  const auto picture =
      draw_grid(host_values(images), pairs * points, channels, height, width, points);
  write_png(output, picture.width, picture.height, picture.channels, picture.pixels);
  std::printf("%lld rows of %lld images between pairs of %s: %s\n", static_cast<long long>(pairs),
              static_cast<long long>(points), source->name().c_str(), output.c_str());
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
