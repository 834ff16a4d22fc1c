#include "configs/option_table.hpp"

#include <stdexcept>
#include <type_traits>
#include <utility>

#include "configs/value_text.hpp"

namespace gondola {
namespace {

Range at_least(double low) { return {.low = low}; }
Range above(double low) { return {.low = low, .low_open = true}; }
Range between(double low, double high) { return {.low = low, .high = high}; }
Range from_below(double low, double high) { return {.low = low, .high = high, .high_open = true}; }

constexpr auto kMustAgree = OnResume::kMustAgree;
constexpr auto kMayDiffer = OnResume::kMayDiffer;
constexpr auto kKept = OnResume::kKept;

/// What a row says beside its name and its member. A number with an `auto_word` keeps it as 0.
struct Row {
  std::string help;
  Range range{};
  std::string unit{};
  std::string auto_word{};
};

/// The rows of one section, each bound to the member that it describes.
template <typename Section>
class SectionRows {
 public:
  SectionRows(std::vector<Option>& options, std::string name, Section RunConfig::*section)
      : options_(options), name_(std::move(name)), section_(section) {}

  template <typename Value>
  Option& add(const std::string& key, Value Section::*member, OnResume on_resume, Row row) {
    const auto section = section_;
    const auto automatic = row.auto_word;
    Option option;
    option.section = name_;
    option.key = key;
    option.type = option_type_of<Value>();
    option.range = row.range;
    option.unit = row.unit;
    option.auto_word = row.auto_word;
    option.help = row.help;
    option.on_resume = on_resume;
    option.get = [=](const RunConfig& config) {
      const Value& value = config.*section.*member;
      if (!automatic.empty() && value == Value{}) return automatic;
      return to_text(value);
    };
    option.set = [=](RunConfig& config, std::string_view text) {
      Value& value = config.*section.*member;
      if (automatic.empty() || text != automatic) return from_text(text, value);
      value = Value{};
      return true;
    };
    if constexpr (std::is_enum_v<Value>) option.choices = names_of(Value{});
    if constexpr (std::is_arithmetic_v<Value> && !std::is_same_v<Value, bool>) {
      option.number = [=](const RunConfig& config) {
        return static_cast<double>(config.*section.*member);
      };
    }
    option.default_text = option.get(RunConfig{});
    options_.push_back(std::move(option));
    return options_.back();
  }

  /// A choice whose default, `auto`, follows from options before it. The config keeps what it
  /// stands for.
  template <typename Value, typename Resolve>
  void add_auto_choice(const std::string& key, Value Section::*member, OnResume on_resume,
                       const Row& row, Resolve resolve) {
    Option& option = add(key, member, on_resume, {.help = row.help});
    option.auto_word = "auto";
    option.default_text = "auto";
    const auto section = section_;
    option.get = [=](const RunConfig& config) { return to_text(config.*section.*member); };
    option.set = [=](RunConfig& config, std::string_view text) {
      if (text != "auto") return from_text(text, config.*section.*member);
      config.*section.*member = resolve(config);
      return true;
    };
  }

 private:
  std::vector<Option>& options_;
  std::string name_;
  Section RunConfig::*section_;
};

void add_run_and_data(std::vector<Option>& options) {
  using R = RunSection;
  SectionRows run(options, "run", &RunConfig::run);
  run.add("folder", &R::folder, kMayDiffer,
          {"Folder that the run writes; empty: runs/NAME-TIME, NAME being the preset's."});
  run.add("seed", &R::seed, kMustAgree, {"Every random draw is keyed by it."});
  run.add("resume", &R::resume, kMayDiffer,
          {"Continue from the newest complete checkpoint of the run folder (auto; afresh where "
           "there is none) or "
           "from the checkpoint PATH; --resume for short."});

  using D = DataSection;
  SectionRows data(options, "data", &RunConfig::data);
  data.add(
      "path", &D::path, kMustAgree,
      {"Dataset: a file, a glob, a comma-separated list of files, or synthetic:IMAGESxCxHxW."});
  data.add("shuffle", &D::shuffle, kMustAgree,
           {"Order of the images in an epoch: a permutation (full), a permutation of runs of "
            "neighbours (blocks), "
            "or file order (none)."});
  data.add("block_images", &D::block_images, kMustAgree,
           {"Length of a run of neighbours under data.shuffle = blocks.", at_least(1), "images"});
  data.add(
      "cache", &D::cache, kMayDiffer,
      {"Keep the images in memory: of the node, one copy (host), or of each GPU (device); auto: "
       "host where they come through HDF5 or over a network and fit in half of it, else none."});
  data.add(
      "stage", &D::stage, kMayDiffer,
      {"Folder on a disk of each node to which the dataset's files are copied first, and from "
       "where the node's ranks read them; copies that are there are used again; empty: none."});
  data.add("reader_threads", &D::reader_threads, kMayDiffer,
           {"Threads of each rank that read images ahead; 0: each batch is read when it is needed.",
            between(0, 1024), "threads"});
  data.add("prefetch_batches", &D::prefetch_batches, kMayDiffer,
           {"Batches that are read ahead.", between(1, 1024), "batches"});
  data.add("targets", &D::targets, kMustAgree,
           {"translation: dataset whose image i is the other modality of image i of data.path."});
  data.add(
      "ledger", &D::ledger, kMayDiffer,
      {"File that gets a line step,epoch,position,image_id for every image used; empty: none."});
}

void add_model_and_latent(std::vector<Option>& options) {
  using M = ModelSection;
  SectionRows model(options, "model", &RunConfig::model);
  model.add("family", &M::family, kMustAgree,
            {"What is trained: a Gradient Origin Network (gon), a variational one (vgon), one that "
             "classifies (classifier, joint) or translates (translation), or a baseline "
             "(autoencoder, tied_autoencoder, vae, glo)."});
  model.add("decoder", &M::decoder, kMustAgree,
            {"Network from a latent to an image: implicit over coordinates (siren) or "
             "convolutional (conv)."});
  model.add_auto_choice("activation", &M::activation, kMustAgree,
                        {"Activation function; auto: sin for siren, elu for conv."},
                        [](const RunConfig& config) {
                          return config.model.decoder == DecoderKind::kConv ? ActivationKind::kElu
                                                                            : ActivationKind::kSin;
                        });
  model.add("leaky_slope", &M::leaky_slope, kMustAgree,
            {"Slope of leaky_relu below 0.", between(0, 1)});
  model.add("hidden", &M::hidden, kMustAgree,
            {"siren: width of the hidden layers.", between(1, 65536), "units"});
  model.add("layers", &M::layers, kMustAgree,
            {"siren: sine layers, the first included; a linear layer follows.", between(1, 256)});
  model.add("w0", &M::w0, kMustAgree,
            {"siren: frequency factor of sin; other activations use 1.", above(0)});
  model.add("filters", &M::filters, kMustAgree,
            {"conv: filters of the last hidden layer; they double towards the latent.",
             between(1, 65536)});
  model.add("batch_norm", &M::batch_norm, kMustAgree,
            {"conv: batch norm with the statistics of the global batch (sync), of each rank's part "
             "(local), or none."});
  model.add("classes", &M::classes, kMustAgree,
            {"classifier, joint: number of classes; auto: one more than the largest label.",
             between(0, 1000000), "classes", "auto"});
  model.add("class_weight", &M::class_weight, kMustAgree,
            {"joint: weight of the cross entropy beside the reconstruction.", above(0)});
  model.add("divergence_weight", &M::divergence_weight, kMustAgree,
            {"vgon, vae: weight of the Kullback-Leibler divergence in the loss.", at_least(0)});

  using L = LatentSection;
  SectionRows latent(options, "latent", &RunConfig::latent);
  latent.add("size", &L::size, kMustAgree,
             {"Latent values; of a spatial latent, its channels.", between(1, 1048576)});
  latent.add("spatial", &L::spatial, kMustAgree,
             {"conv: side of the latent map: 1, 2, 4 or 8.", between(1, 8)});
  latent.add("steps", &L::steps, kMustAgree,
             {"Inner gradient steps, differentiated jointly unless latent.detach.", between(1, 25),
              "steps"});
  latent.add("detach", &L::detach, kMustAgree,
             {"Take latents as constants of the outer loss (first order)."});
  latent.add("step_size", &L::step_size, kMustAgree,
             {"Inner step size s; auto: the published scale, 1/(B channels) for siren, 1/(B height "
              "width) for conv, 1/B for vgon.",
              at_least(0), "", "auto"});
  latent.add(
      "origin_stddev", &L::origin_stddev, kMustAgree,
      {"Standard deviation of the random origin of each image; 0: the origin is 0.", at_least(0)});
  latent.add_auto_choice("update", &L::update, kMustAgree,
                         {"An inner step sets z to -s g (gradient) or to z - s g (descent); "
                          "auto: descent for several steps, gradient for one."},
                         [](const RunConfig& config) {
                           return config.latent.steps > 1 ? LatentUpdate::kDescent
                                                          : LatentUpdate::kGradient;
                         });
  latent.add(
      "path", &L::path, kMustAgree,
      {"How one step from z = 0 is computed: one pass that all images share (shared_origin), "
       "or autograd twice through every image (double_backward); auto: the first, where it "
       "is exact and pays."});
  latent.add("table_rate", &L::table_rate, kMustAgree,
             {"glo: learning rate of the training images' latents.", above(0)});
  latent.add("search_steps", &L::search_steps, kMustAgree,
             {"glo: steps of Adam from 0 in which an unseen image's latent is found.",
              between(1, 1000000), "steps"});
  latent.add("search_rate", &L::search_rate, kMustAgree,
             {"glo: learning rate of those steps.", above(0)});

  using C = CoordinatesSection;
  SectionRows coordinates(options, "coordinates", &RunConfig::coordinates);
  coordinates.add("inner", &C::inner, kMustAgree,
                  {"siren: pixels at which a training step encodes: all (full), or M drawn anew in "
                   "each step and weighted: without replacement (uniform:M), one in each of M "
                   "equal rectangles (stratified:M), or of a scrambled Sobol sequence (sobol:M)."});
  coordinates.add("outer", &C::outer, kMustAgree,
                  {"siren: pixels at which a training step decodes, likewise; evaluations see all "
                   "of them."});
  coordinates.add(
      "spread_every", &C::spread_every, kMayDiffer,
      {"Steps between measurements of how much the gradient varies with the drawn pixels, each of "
       "which costs three steps; 0: never.",
       at_least(0), "steps"});
}

void add_trainer_and_optimizer(std::vector<Option>& options) {
  using T = TrainerSection;
  SectionRows trainer(options, "trainer", &RunConfig::trainer);
  trainer.add("batch_size", &T::batch_size, kMustAgree,
              {"Global batch B: images of an optimiser step over all ranks.", between(1, 16777216),
               "images"});
  trainer.add("steps", &T::steps, kMayDiffer,
              {"Stop after this step; 0: trainer.epochs says when.", between(0, 1e15), "steps"});
  trainer.add(
      "epochs", &T::epochs, kMayDiffer,
      {"Stop after so many epochs; 0: trainer.steps says when.", between(0, 1e6), "epochs"});
  trainer.add(
      "precision", &T::precision, kMustAgree,
      {"Arithmetic of the model. tf32: products in TF32, on GPUs. bf16: products in bfloat16, "
       "between the hidden layers of a siren with sines, but where passes are "
       "differentiated twice, and of all layers of other models: faster where the "
       "processor has instructions for it."});
  trainer.add("matmul", &T::matmul, kKept,
              {"On CPUs in float32: library that multiplies matrices, of a siren of sines or of a "
               "convolutional decoder; auto: the faster one here, measured at the start of the "
               "run, which keeps it (aten elsewhere and with parallel.deterministic). oneDNN is "
               "twice as fast where ATen's keeps to AVX2 on a "
               "CPU with AVX-512; gondola bench kernels prints the rate of each."});
  trainer.add(
      "accumulate", &T::accumulate, kMustAgree,
      {"Passes that make up one optimiser step (without batch norm only).", at_least(1), "passes"});
  trainer.add("ema_decay", &T::ema_decay, kMustAgree,
              {"Decay of an exponential moving average of the weights; 0: none is kept.",
               from_below(0, 1)});
  trainer.add("on_nonfinite", &T::on_nonfinite, kMayDiffer,
              {"What becomes of a step whose loss or gradient is not finite or beyond "
               "trainer.outlier_factor: its update is skipped, the run goes back to its newest "
               "checkpoint and passes over the images since (rollback), or it ends (stop)."});
  trainer.add("skip_budget", &T::skip_budget, kMayDiffer,
              {"Such steps in a row, or rollbacks, that a run survives.", at_least(0), "steps"});
  trainer.add("outlier_factor", &T::outlier_factor, kMayDiffer,
              {"Largest norm of a step's gradient, as a multiple of its running mean; 0: any that "
               "is finite.",
               at_least(0)});
  trainer.add("tile_bytes", &T::tile_bytes, kMayDiffer,
              {"siren with sines: work space of a tile of images and coordinates, of which each "
               "thread has one; auto: for 1024 images times coordinates on CPUs, 9 MB with "
               "model.hidden = 256 and model.layers = 4, and 64 times as much on GPUs.",
               between(0, 1e15), "bytes", "auto"});
  trainer.add("cuda_graph", &T::cuda_graph, kMayDiffer,
              {"On a GPU: record a step's kernels once and start them as a whole in each step, for "
               "steps so short that starting them one by one takes longer. Not with "
               "model.batch_norm = sync on several ranks; without effect on steps that measure "
               "the spread of drawn coordinates; parallel.overlap is off."});

  using O = OptimizerSection;
  SectionRows optimizer(options, "optimizer", &RunConfig::optimizer);
  optimizer.add("learning_rate", &O::learning_rate, kMustAgree,
                {"Adam's learning rate.", above(0)});
  optimizer.add("beta1", &O::beta1, kMustAgree,
                {"Adam's decay of the mean gradient.", from_below(0, 1)});
  optimizer.add("beta2", &O::beta2, kMustAgree,
                {"Adam's decay of the mean squared gradient.", from_below(0, 1)});
  optimizer.add("epsilon", &O::epsilon, kMustAgree,
                {"Adam's term against division by 0.", above(0)});
  optimizer.add("schedule", &O::schedule, kMustAgree,
                {"Learning rate after the warm-up: constant, or falling along half a cosine."});
  optimizer.add("warmup_steps", &O::warmup_steps, kMustAgree,
                {"Steps in which the learning rate rises from 0.", at_least(0), "steps"});
  optimizer.add("final_fraction", &O::final_fraction, kMustAgree,
                {"cosine: the last learning rate as a fraction of the first.", between(0, 1)});
  optimizer.add("clip_norm", &O::clip_norm, kMustAgree,
                {"Largest norm of the gradient over all weights; 0: not clipped.", at_least(0)});
}

void add_parallel_and_checkpoint(std::vector<Option>& options) {
  using P = ParallelSection;
  SectionRows parallel(options, "parallel", &RunConfig::parallel);
  parallel.add("device", &P::device, kMustAgree,
               {"Where the model runs; auto: one GPU a rank where there are GPUs, else the CPU."});
  parallel.add("threads", &P::threads, kMayDiffer,
               {"Compute threads of a rank; auto: its share of the node's cores.", between(0, 4096),
                "threads", "auto"});
  parallel.add("coordinate_ranks", &P::coordinate_ranks, kMayDiffer,
               {"siren: ranks that work on the same images, each at its part of the coordinates: "
                "for images so large that a batch has fewer of them than there are ranks.",
                between(1, 65536), "ranks"});
  parallel.add(
      "overlap", &P::overlap, kMayDiffer,
      {"Reduce the gradient's outer part while its origin part is computed; auto: where "
       "the sums that the origin part needs are at most a quarter as large as the gradient."});
  parallel.add("bucket_bytes", &P::bucket_bytes, kMayDiffer,
               {"Bytes of the gradient that are reduced at a time; auto: on GPUs all, as NCCL cuts "
                "them itself, on CPUs 1 to 16 MiB, as few as cost at most 5 % in latency, which is "
                "measured at the start. Below 64 ranks on CPUs the sum has the same bits whatever "
                "the bucket.",
                between(0, 1e15), "bytes", "auto"});
  parallel.add("expect_world", &P::expect_world, kMayDiffer,
               {"Refuse any other number of ranks; 0: any number will do.", at_least(0), "ranks"});
  parallel.add("timeout_seconds", &P::timeout_seconds, kMayDiffer,
               {"A collective that takes longer ends the run.", above(0), "seconds"});
  parallel.add("check_every", &P::check_every, kMayDiffer,
               {"Steps between checks that all ranks have the same weights; 0: never.", at_least(0),
                "steps"});
  parallel.add(
      "deterministic", &P::deterministic, kMustAgree,
      {"Bit-identical weights between runs on as many ranks. On CPUs they are that anyway, "
       "unless trainer.matmul = auto comes to another library."});

  using C = CheckpointSection;
  SectionRows checkpoint(options, "checkpoint", &RunConfig::checkpoint);
  checkpoint.add(
      "every_steps", &C::every_steps, kMayDiffer,
      {"Steps between checkpoints; 0: only at the end and on a stop.", at_least(0), "steps"});
  checkpoint.add(
      "keep", &C::keep, kMayDiffer,
      {"Newest checkpoints that are kept, beside the best one.", at_least(1), "checkpoints"});
  checkpoint.add(
      "init", &C::init, kMayDiffer,
      {"Checkpoint whose weights a new run starts from (fine-tuning); empty: random weights."});
  checkpoint.add("asynchronous", &C::asynchronous, kMayDiffer,
                 {"Write checkpoints in a thread while training goes on."});
  checkpoint.add(
      "failures_allowed", &C::failures_allowed, kMayDiffer,
      {"Checkpoints in a row that may fail to be written; one more, or the last one, ends "
       "the run.",
       at_least(0), "checkpoints"});
}

void add_evaluation_and_monitoring(std::vector<Option>& options) {
  using E = EvaluationSection;
  SectionRows evaluation(options, "evaluation", &RunConfig::evaluation);
  evaluation.add(
      "every_steps", &E::every_steps, kMayDiffer,
      {"Steps between evaluations on held-out images; 0: only at the end.", at_least(0), "steps"});
  evaluation.add("images", &E::images, kMayDiffer,
                 {"Held-out images that are used, in file order; 0: all.", at_least(0), "images"});
  evaluation.add(
      "group_images", &E::group_images, kMayDiffer,
      {"Images that are decoded at once, and share statistics under evaluation.statistics = batch.",
       between(1, 1048576), "images"});
  evaluation.add(
      "statistics", &E::statistics, kMayDiffer,
      {"What batch norm uses outside training: the mean training image and running averages, so "
       "that no "
       "image depends on another (independent), or each group's own statistics (batch)."});

  using O = MonitoringSection;
  SectionRows monitoring(options, "monitoring", &RunConfig::monitoring);
  monitoring.add("log_every", &O::log_every, kMayDiffer,
                 {"Steps between rows of metrics.jsonl.", at_least(1), "steps"});
  monitoring.add("bind", &O::bind, kMayDiffer,
                 {"Address of the metrics endpoint; off: no endpoint."});
  monitoring.add(
      "port", &O::port, kMayDiffer,
      {"Port of the metrics endpoint, plus the rank's number on its node; 0: any free one.",
       between(0, 65535)});
  monitoring.add("token_file", &O::token_file, kMayDiffer,
                 {"File with a bearer token that readers of the metrics must show; empty: none is "
                  "asked for."});
  monitoring.add("samples_every", &O::samples_every, kMayDiffer,
                 {"Steps between picture grids; 0: only at the end.", at_least(0), "steps"});

  using B = BenchSection;
  SectionRows bench(options, "bench", &RunConfig::bench);
  bench.add(
      "repeats", &B::repeats, kMayDiffer,
      {"gondola bench: paired repeats whose median is reported.", between(1, 10000), "repeats"});
  bench.add(
      "threads", &B::threads, kMayDiffer,
      {"gondola bench: compute threads; auto: one a core.", between(0, 4096), "threads", "auto"});
  bench.add("step_flop", &B::step_flop, kMayDiffer,
            {"gondola bench scaling-model: work of one rank's step to predict for; auto: the "
             "model's.",
             at_least(0), "FLOP", "auto"});
}

std::vector<Option> make_table() {
  std::vector<Option> options;
  add_run_and_data(options);
  add_model_and_latent(options);
  add_trainer_and_optimizer(options);
  add_parallel_and_checkpoint(options);
  add_evaluation_and_monitoring(options);
  return options;
}

}  // namespace

const std::vector<Option>& option_table() {
  static const std::vector<Option> options = make_table();
  return options;
}

const Option* find_option(std::string_view name) {
  for (const auto& option : option_table()) {
    if (option.name() == name) return &option;
  }
  return nullptr;
}

std::string value_of(const RunConfig& config, std::string_view name) {
  const Option* option = find_option(name);
  if (option == nullptr) throw std::logic_error("no option is called " + std::string(name));
  return option->get(config);
}

RunConfig default_config() {
  RunConfig config;
  for (const auto& option : option_table()) option.set(config, option.default_text);
  return config;
}

}  // namespace gondola
