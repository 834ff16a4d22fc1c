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
#include "trainer/latent/random_origin.hpp"

namespace gondola {
namespace {

struct Samples {
  torch::Tensor images;  ///< [n, C, H, W]
  std::string origin;    ///< Where the latents come from, in words.
};

Samples draw(TrainedModel& model, std::int64_t count, std::uint64_t seed, const std::string& data,
             std::int64_t fitted_images) {
  if (model.objective().has_prior()) {
    return {.images = model.reconstructor().sample_prior(count, seed),
            .origin = "drawn from the prior N(0, I)"};
  }
  const auto source = model.open_images(data, Split::kTrain);
  const auto latents = encode_images(model, *source, fitted_images);
  if (latents.size(0) < 2) {
    throw DataError("a prior is fitted to the latents of 2 images or more, " + source->name() +
                    " gives " + std::to_string(latents.size(0)) + "; raise --fit");
  }
  const LatentGaussian prior(latents);
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  const auto normal = random_origins(model.decoder().latent_shape(), numbers, /*stddev=*/1, seed,
                                     "sample", /*step=*/0, model.options());
  return {.images = model.reconstructor().decode(prior.draw(normal)),
          .origin = "drawn from a normal distribution fitted to the latents of " +
                    std::to_string(latents.size(0)) + " training images"};
}

}  // namespace

int run_sample(std::span<const std::string> args, MpiSession& mpi) {
  namespace po = boost::program_options;
  auto table = model_option_table(/*default_images=*/64);
  table.add_options()("seed", po::value<std::uint64_t>()->default_value(0),
                      "another seed gives other images")  //
      ("fit", po::value<std::int64_t>()->default_value(5000),
       "training images whose latents the prior is fitted to, for families without one; 0: all")  //
      ("output", po::value<std::string>(),
       "PNG to write; by default samples.png in the run folder");
  const auto values = parse_model_command("sample", args, table);
  if (!values) return static_cast<int>(ExitCode::kDone);
  require_one_rank("sample", mpi.size());
  const auto options = model_options(*values);
  const auto fitted = (*values)["fit"].as<std::int64_t>();
  if (options.images < 1 || options.images > 4096) {
    throw ConfigError("--images must be 1 to 4096 samples, not " + std::to_string(options.images));
  }
  if (fitted < 0) throw ConfigError("--fit must be 0 (all) or more, not " + std::to_string(fitted));
  const auto output = output_path(*values, "samples.png");
  const auto binding = bind_device({}, mpi);
  TrainedModel model(options.run, binding.device, options.statistics, options.group_images);
  const auto samples =
      draw(model, options.images, (*values)["seed"].as<std::uint64_t>(), options.data, fitted);
  const auto [channels, height, width] = model.shape();
  const auto picture = draw_grid(host_values(samples.images), options.images, channels, height,
                                 width, /*columns=*/16);
  write_png(output, picture.width, picture.height, picture.channels, picture.pixels);
  std::printf("%lld images, %s: %s\n", static_cast<long long>(options.images),
              samples.origin.c_str(), output.c_str());
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace gondola
