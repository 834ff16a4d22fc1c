#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gondola {

/// Where a run lives and what makes it repeatable.
struct RunSection {
  std::string folder;      ///< Run folder; empty: runs/<preset or "run">-<time>, chosen by rank 0.
  std::uint64_t seed = 0;  ///< Every random draw is keyed by it.
  std::string resume;      ///< "", "auto" or the path of a checkpoint folder (`--resume`).
};

enum class Shuffle { kFull, kBlocks, kNone };
enum class CacheKind { kNone, kHost, kDevice, kAuto };

struct DataSection {
  std::string
      path;  ///< Dataset file, glob, comma-separated list, or synthetic:<images>x<C>x<H>x<W>.
  Shuffle shuffle = Shuffle::kFull;
  std::int64_t block_images = 1024;    ///< Run length of `blocks`, in images.
  CacheKind cache = CacheKind::kAuto;  ///< host: one copy a machine, in shared memory; device: one
                                       ///< u8 copy a rank; auto: host or none, see choose_cache.
  std::string stage;  ///< Folder of each machine that the files are copied to first; empty: none.
  std::int64_t reader_threads = 2;    ///< Threads of each rank that read ahead.
  std::int64_t prefetch_batches = 2;  ///< Batches read ahead.
  std::string targets;                ///< translation: dataset with each image's other modality.
  std::string ledger;                 ///< File of step,epoch,position,image_id lines; empty: none.
};

enum class Family {
  kGon,              ///< Reconstruction from the origin's gradient.
  kVgon,             ///< The same, variational.
  kClassifier,       ///< Classes from the origin's gradient.
  kJoint,            ///< Reconstruction and classes.
  kTranslation,      ///< Another modality from the origin's gradient.
  kAutoencoder,      ///< With an encoder network.
  kTiedAutoencoder,  ///< The same, the encoder reading the decoder's weights.
  kVae,              ///< Variational, with an encoder network.
  kGlo,              ///< One latent for each training image, optimised along.
};
enum class DecoderKind { kSiren, kConv };
enum class ActivationKind { kSin, kRelu, kLeakyRelu, kTanh, kElu, kSoftplus, kSwish };
enum class BatchNormMode { kSync, kLocal, kNone };

struct ModelSection {
  Family family = Family::kGon;
  DecoderKind decoder = DecoderKind::kSiren;
  ActivationKind activation =
      ActivationKind::kSin;   ///< Default sin for siren, elu for conv ("auto").
  double leaky_slope = 0.01;  ///< Negative slope of leaky_relu.
  std::int64_t hidden = 256;  ///< siren: width h.
  std::int64_t layers = 4;    ///< siren: sine layers; widths [k+2, h x layers, channels].
  double w0 = 30.0;           ///< siren: frequency factor of sin (other activations use 1).
  std::int64_t filters = 16;  ///< conv: filters of the last hidden layer (ngf).
  BatchNormMode batch_norm = BatchNormMode::kSync;  ///< conv only.
  std::int64_t classes =
      0;  ///< classifier, joint: of the labels 0..classes-1; 0: as the labels say.
  double class_weight = 1.0;  ///< joint: of the mean cross entropy beside the published mean error.
  double divergence_weight = 1.0;  ///< vgon, vae: of KL(q || N(0, I)) in the loss.
};

enum class LatentUpdate { kGradient, kDescent };
enum class LatentPath { kAuto, kSharedOrigin, kDoubleBackward };

struct LatentSection {
  std::int64_t size = 32;    ///< k: latent values (channels of a spatial latent).
  std::int64_t spatial = 1;  ///< conv: side of the latent map: 1, 2, 4 or 8.
  std::int64_t steps = 1;    ///< Inner steps, 1..25, jointly differentiated unless detach.
  bool detach = false;       ///< First-order: latents are constants of the outer loss.
  double step_size = 0.0;    ///< s; 0 means auto: 1/(B m) siren, 1/(B H W) conv (B = global batch).
  double origin_stddev = 0.0;  ///< Stddev of the random origin; 0: z0 = 0.
  LatentUpdate update =
      LatentUpdate::kGradient;          ///< gradient: z = -s grad; descent: z = z0 - s grad.
  LatentPath path = LatentPath::kAuto;  ///< How the step from z = 0 is computed: in closed form,
                                        ///< one pass shared by all images, or by double backward.
  double table_rate = 0.01;             ///< glo: Adam's learning rate of the latents.
  std::int64_t search_steps =
      200;                    ///< glo: steps of Adam from 0 that find an unseen image's latent.
  double search_rate = 0.05;  ///< glo: their learning rate.
};

enum class CoordinateSampler {
  kFull,        ///< Every pixel.
  kUniform,     ///< Pixels drawn without replacement.
  kStratified,  ///< One in each of equal rectangles.
  kSobol,       ///< A scrambled Sobol sequence, rounded to pixels.
};

/// Which pixels a pass of an implicit model sees: `full`, or `SAMPLER:COUNT`.
struct CoordinateSet {
  CoordinateSampler sampler = CoordinateSampler::kFull;
  std::int64_t count = 0;  ///< M, pixels drawn; 0 for the full grid.
  bool operator==(const CoordinateSet&) const = default;
};

struct CoordinatesSection {
  CoordinateSet inner;              ///< Of the passes that encode.
  CoordinateSet outer;              ///< Of all others.
  std::int64_t spread_every = 100;  ///< Steps between measurements of the estimate's spread.
};

/// Who multiplies float32 matrices on the CPU. A run that was started with kAuto keeps what it came
/// to; where nobody chose, kAuto is kAten.
enum class Matmul { kAuto, kAten, kOneDnn };
enum class Precision { kFloat64, kFloat32, kTf32, kBf16 };
/// What becomes of a step whose loss or gradient is not finite, or beyond the bound.
enum class OnNonfinite {
  kSkip,      ///< Its update is left out.
  kRollback,  ///< Back to the newest complete checkpoint, and past the batches since.
  kStop,      ///< The run ends.
};

struct TrainerSection {
  std::int64_t batch_size = 64;  ///< Global batch B over all ranks.
  std::int64_t steps = 0;        ///< Stop after this global step; 0: use epochs.
  std::int64_t epochs = 0;       ///< Stop after so many epochs; 0: use steps.
  Precision precision = Precision::kFloat32;
  Matmul matmul = Matmul::kAuto;  ///< On CPUs in float32.
  std::int64_t accumulate = 1;    ///< Passes per optimiser step (without batch norm only).
  double ema_decay = 0.0;         ///< Exponential moving average of the weights; 0: off.
  OnNonfinite on_nonfinite = OnNonfinite::kSkip;
  std::int64_t skip_budget = 20;  ///< Bad steps in a row, or rollbacks, that a run survives.
  double outlier_factor = 0.0;  ///< A gradient's norm beyond so many times its running mean is bad
                                ///< too; 0: only what is not finite.
  bool cuda_graph = false;      ///< Steps are recorded and replayed.
  std::int64_t tile_bytes = 0;  ///< Work space of a siren's tile; 0: auto, by the device.
};

enum class Schedule { kConstant, kCosine };

struct OptimizerSection {
  double learning_rate = 1e-4;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  Schedule schedule = Schedule::kConstant;
  std::int64_t warmup_steps = 0;  ///< Linear warm-up from 0.
  double final_fraction = 0.0;    ///< cosine: last rate / learning_rate.
  double clip_norm = 0.0;         ///< Global gradient norm; 0: off.
};

enum class DeviceKind { kAuto, kCpu, kCuda };

/// Whether ranks reduce the gradient while they still compute.
enum class Overlap { kAuto, kOff };

struct ParallelSection {
  DeviceKind device = DeviceKind::kAuto;
  std::int64_t threads = 0;  ///< Compute threads of a rank; 0: auto, its share of the node's cores.
  std::int64_t coordinate_ranks = 1;  ///< siren: ranks that share an image's coordinates.
  Overlap overlap = Overlap::kAuto;   ///< auto: where it saves bytes that are waited for.
  std::int64_t bucket_bytes = 0;      ///< Of the gradient, reduced at a time; 0: auto, measured.
  std::int64_t expect_world = 0;      ///< Refuse any other number of ranks; 0: any.
  double timeout_seconds = 300.0;     ///< A collective older than this ends the run with 76.
  std::int64_t check_every = 1000;    ///< Steps between replica checks; 0: never.
  bool deterministic = false;         ///< Bit-identical weights between runs; see docs/options.md.
};

struct CheckpointSection {
  std::int64_t every_steps = 1000;    ///< 0: only at the end and on a stop.
  std::int64_t keep = 3;              ///< Newest checkpoints kept, beside the best.
  std::string init;                   ///< Weights only, for fine-tuning.
  bool asynchronous = true;           ///< Written by a thread while training goes on.
  std::int64_t failures_allowed = 0;  ///< Failed writes in a row that a run survives.
};

/// How batch norm is fed outside training.
enum class EvaluationStatistics {
  kIndependent,  ///< Mean training image at the origin, running averages in the decoder (C11).
  kBatch,        ///< Statistics of id-ordered groups of `group_images`.
};

struct EvaluationSection {
  std::int64_t every_steps = 1000;  ///< 0: only at the end.
  std::int64_t images = 1000;       ///< Held-out images used, in file order; 0: all.
  std::int64_t group_images = 100;  ///< Images decoded at once; the group of batch statistics.
  EvaluationStatistics statistics = EvaluationStatistics::kIndependent;
};

struct MonitoringSection {
  std::int64_t log_every = 10;     ///< Steps between rows of metrics.jsonl.
  std::string bind = "127.0.0.1";  ///< Address of the metrics endpoint; "off": none.
  std::int64_t port =
      0;  ///< 0: any free port, written to prometheus/targets.json; else port + local rank.
  std::string token_file;             ///< File with a bearer token that /metrics then requires.
  std::int64_t samples_every = 1000;  ///< Steps between picture grids; 0: only at the end.
};

/// `gondola bench`: what is measured, on which sizes.
struct BenchSection {
  std::int64_t repeats = 7;  ///< Paired repeats; the median is reported.
  std::int64_t threads = 0;  ///< Compute threads; 0: one a core.
  double step_flop = 0;      ///< scaling-model: of one rank's step; 0: of the model's.
};

/// One run, typed. Built by configs/config_io from defaults, INI files, environment and command
/// line.
struct RunConfig {
  RunSection run;
  DataSection data;
  ModelSection model;
  LatentSection latent;
  CoordinatesSection coordinates;
  TrainerSection trainer;
  OptimizerSection optimizer;
  ParallelSection parallel;
  CheckpointSection checkpoint;
  EvaluationSection evaluation;
  MonitoringSection monitoring;
  BenchSection bench;
};

}  // namespace gondola
