#pragma once

#include <span>
#include <string>

namespace gondola {

class MpiSession;

// The commands, each in the file of its name. `args` is what follows the command's name; `--help`
// prints its usage. They return the program's exit code.

/// `gondola report RUN_FOLDER`: writes report.html into the run folder and prints its path.
/// `gondola report --compare RUN_FOLDER ...`: writes a page that compares runs and prints its
/// table.
/// @throws ConfigError, and what write_report and compare_runs throw
int run_report(std::span<const std::string> args);

/// `gondola import idx --input PATH --output FILE`: makes a dataset file and, beside it, a contact
/// sheet with the ending .png. @throws ConfigError, and what run_import throws
int run_import(std::span<const std::string> args);

/// `gondola inspect FILE`: prints what a dataset file holds; --verify checks it.
/// @throws ConfigError, and what inspect_dataset throws
int run_inspect(std::span<const std::string> args);

/// `gondola train`: trains over all ranks. 0 when done, 75 when stopped on request.
int run_train(std::span<const std::string> args, MpiSession& mpi);

/// `gondola eval RUN`: held-out metrics of a checkpoint, over all ranks.
int run_eval(std::span<const std::string> args, MpiSession& mpi);

/// `gondola sample RUN`: images of random latents as a PNG: of the family's prior, or of a normal
/// distribution fitted to the latents of training images.
int run_sample(std::span<const std::string> args, MpiSession& mpi);

/// `gondola interpolate RUN`: rows of images between pairs of images as a PNG.
int run_interpolate(std::span<const std::string> args, MpiSession& mpi);

/// `gondola export RUN --format safetensors|pt|hdf5`: the weights and running averages of a
/// checkpoint.
int run_export(std::span<const std::string> args, MpiSession& mpi);

/// `gondola encode RUN`: latents of a split as HDF5.
int run_encode(std::span<const std::string> args, MpiSession& mpi);

/// `gondola reconstruct RUN`: originals above reconstructions as a PNG; an implicit model at any
/// resolution.
int run_reconstruct(std::span<const std::string> args, MpiSession& mpi);

/// `gondola bench step`: one JSON object a line.
int run_bench(std::span<const std::string> args, MpiSession& mpi);

}  // namespace gondola
