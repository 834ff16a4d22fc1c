#pragma once

#include <functional>
#include <optional>
#include <string>

#include "configs/run_config.hpp"

namespace gondola {

/// Measures the loader of this program: batches of trainer.batch_size images as float32, of the
/// dataset of `config`, or, where it names none, of files of 60,000 images 1x28x28 and 60,000
/// images 3x64x64 made for it, which are gone afterwards.
///
/// Against two controls, alternated with it in one process: the same images in the same order by
/// pread and from a mapping of the file, cast to float32, on as many threads, into one batch's
/// memory a thread over and over, with no order to compute and no batch to hand over. Of the
/// loader's threads one is the one that takes the batches. `ratio_to_control` is taken to the
/// better control.
///
/// A last case reads an epoch of `blocks` from files that were dropped from the page cache, against
/// reading these from end to end.
///
/// And how long a training step waits for its batch: of the siren and 1x28x28, of conv and 3x64x64,
/// or of the config's model and its dataset.
///
/// @param shuffle measures this one alone, and no training step; as data.cache and bench.threads,
/// where they are not auto, choose cases
/// @param print gets one JSON object (a line) a case
void bench_loader(const RunConfig& config, std::optional<Shuffle> shuffle,
                  const std::function<void(const std::string&)>& print);

}  // namespace gondola
