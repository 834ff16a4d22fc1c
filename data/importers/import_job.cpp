#include "data/importers/import_job.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "configs/errors.hpp"
#include "data/dataset_writer.hpp"
#include "data/foreign_scan.hpp"
#include "data/importers/image_pipeline.hpp"
#include "data/importers/source_sums.hpp"

namespace gondola {
namespace {

namespace fs = std::filesystem;

constexpr std::array kSplits = {Split::kTrain, Split::kTest};

/// Counts images and tells of them now and then.
class Progress {
 public:
  using Report = std::function<void(const char*, std::int64_t, std::int64_t)>;

  Progress(const Report& report, const char* doing, std::int64_t total)
      : report_(report), doing_(doing), total_(total) {}

  void add(std::int64_t images) {
    if (!report_) return;
    const std::int64_t done = done_ += images;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    const auto now = std::chrono::steady_clock::now();
    if (!lock || done == total_ || now < next_) return;
    report_(doing_, done, total_);
    next_ = now + std::chrono::milliseconds(100);
  }

  void finish() const {
    if (report_) report_(doing_, total_, total_);
  }

 private:
  const Report& report_;
  const char* doing_;
  std::int64_t total_;
  std::atomic<std::int64_t> done_ = 0;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point next_ = {};
};

struct Shape {
  std::int64_t channels = 0, height = 0, width = 0;
  bool operator==(const Shape&) const = default;
};

Shape shape_of(const PlanarImage& image) { return {image.channels, image.height, image.width}; }

std::string text_of(const Shape& shape) {
  return std::to_string(shape.channels) + "x" + std::to_string(shape.height) + "x" +
         std::to_string(shape.width);
}

/// A file of the dataset while it is made.
struct OutputFile {
  PlannedFile plan;
  bool kept = false;
  std::mutex mutex;
  std::unique_ptr<DatasetWriter> writer;  ///< From the first image to the last.
  std::atomic<std::int64_t> missing = 0;
};

/// One import, from listing to files.
class Job {
 public:
  Job(ImportSource& source, const ImportOptions& options)
      : source_(source),
        options_(options),
        fit_(options.fit),
        sums_(source.listing(), options.jobs) {}

  ImportReport run() {
    if (options_.bad_images == ImportOptions::BadImages::kSkip) find_bad_images();
    plan_.emplace(source_.listing(), options_.plan, bad_places_);
    if (plan_->images(Split::kTrain) + plan_->images(Split::kTest) == 0) {
      throw DataError("there is no image to import into " + options_.output +
                      (bad_places_.empty() ? std::string("; check the input")
                                           : "; all " + std::to_string(bad_places_.size()) +
                                                 " are damaged: " + report_.bad_images.front()));
    }
    recipe_ = recipe_text();
    open_outputs();
    make_outputs();
    for (const auto& output : outputs_) {
      (output->kept ? report_.kept : report_.made).push_back(output->plan.path);
    }
    for (const Split split : kSplits) {
      report_.images[static_cast<std::size_t>(split)] = plan_->images(split);
    }
    return report_;
  }

 private:
  [[nodiscard]] std::string recipe_text() const {
    std::string text = source_.listing().recipe;
    if (const auto words = fit_.words(); !words.empty()) text += ", " + words;
    const PlanOptions& plan = options_.plan;
    if (plan.limit > 0) text += ", first " + std::to_string(plan.limit) + " images of each split";
    if (plan.train_share) {
      text += ", " + std::to_string(*plan.train_share) +
              " of the images drawn for training by seed " + std::to_string(plan.seed);
    }
    if (!bad_places_.empty()) {
      text += ", " + std::to_string(bad_places_.size()) + " damaged images left out";
    }
    return text;
  }

  /// Unpacks and fits everything, and notes what cannot be.
  void find_bad_images() {
    const ImportListing& listing = source_.listing();
    Progress progress(options_.progress, "checked",
                      listing.of(Split::kTrain).images + listing.of(Split::kTest).images);
    std::mutex mutex;
    std::vector<std::pair<ImportPlace, std::string>> bad;
    run_pipeline(
        source_, options_.jobs, /*most=*/0, [](ImportPlace) { return true; },
        [&](std::span<RawImage> images) {
          for (RawImage& raw : images) {
            load(raw);
            if (raw.file) sums_.add(raw);
            try {
              (void)fit_.apply(source_.decode(raw));
            } catch (const DataError& error) {
              const std::lock_guard lock(mutex);
              bad.emplace_back(raw.place, error.what());
            }
            raw.bytes = std::vector<std::uint8_t>();  // its memory too: = {} would keep that
            progress.add(1);
          }
        });
    progress.finish();
    std::sort(bad.begin(), bad.end(), [](const auto& a, const auto& b) {
      return std::pair(a.first.split, a.first.index) < std::pair(b.first.split, b.first.index);
    });
    for (auto& [place, why] : bad) {
      bad_places_.push_back(place);
      report_.bad_images.push_back(std::move(why));
    }
  }

  void open_outputs() {
    for (PlannedFile& planned : plan_->files(options_.output)) {
      auto output = std::make_unique<OutputFile>();
      output->plan = std::move(planned);
      output->missing = output->plan.images();
      remove_abandoned(output->plan.path);
      if (fs::exists(output->plan.path)) {
        require_same(output->plan);
        output->kept = true;
      }
      outputs_.push_back(std::move(output));
    }
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      for (const Split split : kSplits) {
        if (outputs_[i]->plan.ranges[static_cast<std::size_t>(split)].count > 0) {
          outputs_of_[static_cast<std::size_t>(split)].push_back(i);
        }
      }
    }
  }

  /// @throws ConfigError where the file that is there was made by another import
  void require_same(const PlannedFile& planned) {
    const auto refuse = [&](const std::string& why) {
      throw ConfigError(planned.path + " exists already and is not overwritten (" + why +
                        "); remove it or choose another name");
    };
    std::optional<DatasetFile> file;
    try {
      rehearse_reading(planned.path, Reading::kSizes);
      file.emplace(planned.path);
    } catch (const Error&) {
      refuse("it is no dataset");
    }
    const DatasetHeader& header = file->header();
    if (!header.native || header.recipe != recipe_ || header.name != options_.name) {
      refuse("it was made by another import");
    }
    for (const Split split : kSplits) {
      const SplitInfo* info = file->split(split);
      const auto range = planned.ranges[static_cast<std::size_t>(split)];
      if ((info == nullptr ? 0 : info->images) != range.count) refuse("it holds other images");
      if (info != nullptr) {
        if (file->read_labels(split) != plan_->labels(split, range)) {
          refuse("it holds other labels");
        }
        shape_ = Shape{info->channels, info->height, info->width};
        shape_name_ = planned.path;
      }
    }
    const auto same = [](const SourceFile& a, const SourceFile& b) {
      return a.name == b.name && a.sha256 == b.sha256;
    };
    const auto sources = sums_.described();
    if (!std::equal(header.sources.begin(), header.sources.end(), sources.begin(), sources.end(),
                    same)) {
      refuse("it was made from other files");
    }
  }

  void make_outputs() {
    std::int64_t total = 0;
    for (const auto& output : outputs_) total += output->kept ? 0 : output->plan.images();
    if (total == 0) return;
    Progress progress(options_.progress, "imported", total);
    run_pipeline(
        source_, options_.jobs, /*most=*/options_.plan.limit > 0 ? total : 0,
        [this](ImportPlace place) {
          const auto target = plan_->target(place);
          return target && !output_of(*target).kept;
        },
        [&](std::span<RawImage> images) { import_images(images, progress); });
    for (const auto& output : outputs_) {
      if (!output->kept && output->missing > 0) {
        throw DataError(std::to_string(output->missing) + " images of " + output->plan.path +
                        " were listed but not found; check the input");
      }
    }
    progress.finish();
  }

  /// Unpacks images and writes those at one go that follow each other in a file.
  void import_images(std::span<RawImage> images, Progress& progress) {
    constexpr std::size_t kMostBytes = 1 << 20;
    thread_local std::vector<std::uint8_t> pixels;
    pixels.clear();
    ImportPlace first{};
    Shape shape{};
    std::int64_t count = 0;
    const auto write = [&] {
      if (count == 0) return;
      OutputFile& output = output_of(first);
      const auto& range = output.plan.ranges[static_cast<std::size_t>(first.split)];
      writer_of(output, shape).write(first.split, first.index - range.first, pixels);
      if ((output.missing -= count) == 0) finish(output);
      pixels.clear();
      count = 0;
    };
    std::vector<std::uint8_t> spare;  // of the image before its memory is taken
    for (RawImage& raw : images) {
      if (raw.load) std::swap(raw.bytes, spare);
      load(raw);
      const PlanarImage image = fit_.apply(source_.decode(raw));
      if (raw.file) sums_.add(raw);
      std::swap(raw.bytes, spare);
      progress.add(1);
      require_shape(raw, shape_of(image));
      const auto place = plan_->target(raw.place).value();
      const bool follows = count > 0 && place.split == first.split &&
                           place.index == first.index + count &&
                           &output_of(place) == &output_of(first);
      if (!follows || pixels.size() >= kMostBytes) {
        write();
        first = place;
        shape = shape_of(image);
      }
      pixels.insert(pixels.end(), image.pixels.begin(), image.pixels.end());
      ++count;
    }
    write();
  }

  void require_shape(const RawImage& raw, const Shape& shape) {
    const std::lock_guard lock(shape_mutex_);
    if (!shape_) {
      shape_ = shape;
      shape_name_ = raw.name;
    }
    if (*shape_ == shape) return;
    throw DataError(raw.name + " is " + text_of(shape) + " where " + shape_name_ + " is " +
                    text_of(*shape_) + "; give all images one " +
                    (shape.channels != shape_->channels
                         ? "number of channels with --channels 1 or --channels 3"
                         : "size with --size, and --crop center where their proportions differ"));
  }

  [[nodiscard]] OutputFile& output_of(ImportPlace target) const {
    const auto split = static_cast<std::size_t>(target.split);
    const std::int64_t shard =
        options_.plan.shard_images == 0 ? 0 : target.index / options_.plan.shard_images;
    return *outputs_[outputs_of_[split][static_cast<std::size_t>(shard)]];
  }

  DatasetWriter& writer_of(OutputFile& output, const Shape& shape) {
    const std::lock_guard lock(output.mutex);
    if (!output.writer) {
      DatasetPlan plan{.name = options_.name,
                       .recipe = recipe_,
                       .channels = shape.channels,
                       .height = shape.height,
                       .width = shape.width,
                       .train_images = output.plan.ranges[0].count,
                       .test_images = output.plan.ranges[1].count};
      plan.train_labels = !plan_->labels(Split::kTrain, output.plan.ranges[0]).empty();
      plan.test_labels = !plan_->labels(Split::kTest, output.plan.ranges[1]).empty();
      const std::lock_guard hdf5_lock(hdf5_mutex_);
      output.writer = std::make_unique<DatasetWriter>(output.plan.path, std::move(plan));
    }
    return *output.writer;
  }

  void finish(OutputFile& output) {
    const auto sources = sums_.described();
    sums_.require_unchanged();
    const std::lock_guard lock(output.mutex);
    const std::lock_guard hdf5_lock(hdf5_mutex_);
    output.writer->commit(sources, plan_->labels(Split::kTrain, output.plan.ranges[0]),
                          plan_->labels(Split::kTest, output.plan.ranges[1]));
    output.writer.reset();
  }

  ImportSource& source_;
  const ImportOptions& options_;
  const ImageFit fit_;
  SourceSums sums_;
  std::vector<ImportPlace> bad_places_;
  std::optional<ImportPlan> plan_;
  std::string recipe_;
  std::vector<std::unique_ptr<OutputFile>> outputs_;
  std::array<std::vector<std::size_t>, 2> outputs_of_;  ///< By Split: its files, in order.
  std::mutex shape_mutex_;
  std::optional<Shape> shape_;
  std::string shape_name_;
  std::mutex hdf5_mutex_;  ///< HDF5 may be built without thread safety.
  ImportReport report_;
};

/// Where the input is in another order than the files to be made, all are open at once.
void raise_limit_on_open_files() {
  struct ::rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);  // else what was allowed may do
}

}  // namespace

ImportReport run_import(ImportSource& source, const ImportOptions& options) {
  raise_limit_on_open_files();
  try {
    return Job(source, options).run();
  } catch (const IoError& error) {
    const std::string sentence = error.what();
    if (sentence.find(std::strerror(EMFILE)) == std::string::npos) throw;
    throw IoError(sentence + "; raise `ulimit -n`" +
                  (options.plan.shard_images > 0
                       ? ", or make fewer files at once with a larger --shard-images"
                       : ""));
  }
}

}  // namespace gondola
