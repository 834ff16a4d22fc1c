/// Preloaded into the ranks of a run by matrix.py: one rank comes to harm at one point of one step.
///
/// Points are calls that the program makes at that point only: the functions below stand before
/// those of the same name in libtorch, MPI and the C library, and call them.  Steps are counted by
/// calls of the optimiser.  From the environment, with the prefix GONDOLA_TEST_FAULT_:
///
///   RANK    the rank that is harmed; all: every one
///   POINT   read | inner | loss | gradient | all_reduce | optimizer | weights | evaluation |
///           write | sync
///   STEP    being computed at that point; 0: at any
///   FILE    read, write, sync: text that the file's path contains
///   DO      hold  waits there until MARK is gone, once
///           spin | segv | abort | throw
///           delay  200 ms, in this step and in all later ones
///           ENOSPC | EIO  read, write and sync fail, in this step and in all later ones
///           nan | flip  loss, gradient, weights: the first value becomes NaN, or one of its bits
///           another
///   MARK    a file that says that it happened

#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/stack.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <mpi.h>
#include <torch/csrc/autograd/autograd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace {

std::string setting(const char* name) {
  const char* const value = std::getenv((std::string("GONDOLA_TEST_FAULT_") + name).c_str());
  return value == nullptr ? "" : value;
}

struct Fault {
  std::string point = setting("POINT");
  std::string file = setting("FILE");
  std::string what = setting("DO");
  std::string mark = setting("MARK");
  std::int64_t step = std::atoll(setting("STEP").c_str());
  bool mine = false;

  Fault() {
    const char* const rank = std::getenv("OMPI_COMM_WORLD_RANK");
    mine = rank != nullptr && (setting("RANK") == rank || setting("RANK") == "all");
  }
  [[nodiscard]] bool lasts() const { return what == "delay" || what == "ENOSPC" || what == "EIO"; }
};

const Fault& fault() {
  static const Fault read_once;
  return read_once;
}

std::atomic<std::int64_t> updates{0};
std::atomic<bool> done{false};

/// Whether harm is due at this point now.
bool due(const char* point) {
  if (!fault().mine || fault().point != point) return false;
  const auto step = updates.load() + 1;
  if (fault().lasts()) return step >= fault().step;
  return (fault().step == 0 || step == fault().step) && !done.exchange(true);
}

bool due(const char* point, int file) {
  if (!fault().mine || fault().point != point) return false;
  std::string path(4096, '\0');
  const auto link = "/proc/self/fd/" + std::to_string(file);
  const auto length = ::readlink(link.c_str(), path.data(), path.size());
  if (length <= 0) return false;
  path.resize(static_cast<std::size_t>(length));
  return path.find(fault().file) != std::string::npos && due(point);
}

void write_mark() {
  const int file = ::open(fault().mark.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file >= 0) ::close(file);
}

void wait_a_little(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

void come_to_harm() {
  const auto& what = fault().what;
  write_mark();
  if (what == "hold") {
    while (::access(fault().mark.c_str(), F_OK) == 0) wait_a_little(2);
  } else if (what == "delay") {
    wait_a_little(200);
  } else if (what == "spin") {
    for (volatile bool forever = true; forever;) {
    }
  } else if (what == "segv") {
    ::raise(SIGSEGV);
  } else if (what == "abort") {
    std::abort();
  } else if (what == "throw") {
    throw std::runtime_error("thrown by the test");
  }
}

void pass(const char* point) {
  if (due(point)) come_to_harm();
}

/// Returns whether the call must fail, errno being set.
bool fails(const char* point, int file) {
  if (!due(point, file)) return false;
  const auto& what = fault().what;
  if (what == "ENOSPC" || what == "EIO") {
    write_mark();
    errno = what == "EIO" ? EIO : ENOSPC;
    return true;
  }
  come_to_harm();
  return false;
}

void spoil(double& value) {
  if (fault().what == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (fault().what == "flip") {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    bits ^= std::uint64_t{1} << 50;
    std::memcpy(&value, &bits, sizeof bits);
  }
  write_mark();
}

/// The function that this library's `own`, of the same symbol, stands before.
template <typename Function>
Function* next(Function* own) {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(own), &info) == 0 || info.dli_sname == nullptr) std::abort();
  void* const found = ::dlsym(RTLD_NEXT, info.dli_sname);
  if (found == nullptr) std::abort();
  return reinterpret_cast<Function*>(found);
}

template <typename Function>
Function* next(const char* symbol) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, symbol));
}

}  // namespace

namespace torch::autograd {

/// The inner pass with latent.path = double_backward: its first call in a step.
variable_list grad(const variable_list& outputs, const variable_list& inputs,
                   const variable_list& grad_outputs, std::optional<bool> retain_graph,
                   bool create_graph, bool allow_unused) {
  static auto* const real = next(&grad);
  pass("inner");
  return real(outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused);
}

}  // namespace torch::autograd

namespace at::_ops {

void _fused_adam__tensor_lr::call(TensorList self, TensorList grads, TensorList exp_avgs,
                                  TensorList exp_avg_sqs, TensorList max_exp_avg_sqs,
                                  TensorList state_steps, const Tensor& lr, double beta1,
                                  double beta2, double weight_decay, double eps, bool amsgrad,
                                  bool maximize, const ::std::optional<Tensor>& grad_scale,
                                  const ::std::optional<Tensor>& found_inf) {
  static auto* const real = next(&_fused_adam__tensor_lr::call);
  pass("optimizer");
  real(self, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps, lr, beta1, beta2,
       weight_decay, eps, amsgrad, maximize, grad_scale, found_inf);
  if (due("weights")) spoil(*self[0].mutable_data_ptr<double>());
  ++updates;
}

/// Only the similarity of images (SSIM) calls it where the decoder is a siren.
Tensor conv2d::call(const Tensor& input, const Tensor& weight, const ::std::optional<Tensor>& bias,
                    c10::SymIntArrayRef stride, c10::SymIntArrayRef padding,
                    c10::SymIntArrayRef dilation, c10::SymInt groups) {
  static auto* const real = next(&conv2d::call);
  pass("evaluation");
  return real(input, weight, bias, stride, padding, dilation, ::std::move(groups));
}

/// The step's three sums, of which the loss is the first.
Tensor stack::call(TensorList tensors, int64_t dim) {
  static auto* const real = next(&stack::call);
  auto stacked = real(tensors, dim);
  if (tensors.size() == 3 && stacked.dim() == 1 && stacked.scalar_type() == kDouble &&
      due("loss")) {
    spoil(*stacked.mutable_data_ptr<double>());
  }
  return stacked;
}

}  // namespace at::_ops

extern "C" {

/// The first half of a large all-reduce.
int MPI_Ialltoallv(const void* send, const int counts[], const int starts[], MPI_Datatype type,
                   void* receive, const int received[], const int rows[], MPI_Datatype into,
                   MPI_Comm comm, MPI_Request* request) {
  if (type == MPI_DOUBLE && due("gradient")) {
    spoil(*static_cast<double*>(const_cast<void*>(send)));
  }
  return PMPI_Ialltoallv(send, counts, starts, type, receive, received, rows, into, comm, request);
}

/// Its second half, within the pass that goes on meanwhile where it was started only.
int MPI_Iallgatherv(const void* send, int count, MPI_Datatype type, void* receive,
                    const int counts[], const int starts[], MPI_Datatype received, MPI_Comm comm,
                    MPI_Request* request) {
  pass("all_reduce");
  return PMPI_Iallgatherv(send, count, type, receive, counts, starts, received, comm, request);
}

ssize_t pread(int file, void* out, size_t count, off_t offset) {
  static auto* const real = next<ssize_t(int, void*, size_t, off_t)>("pread");
  return fails("read", file) ? -1 : real(file, out, count, offset);
}

ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset) {
  static auto* const real = next<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  return fails("write", file) ? -1 : real(file, bytes, count, offset);
}

ssize_t write(int file, const void* bytes, size_t count) {
  static auto* const real = next<ssize_t(int, const void*, size_t)>("write");
  return fails("write", file) ? -1 : real(file, bytes, count);
}

/// The log's way to write.
size_t fwrite(const void* bytes, size_t size, size_t count, FILE* file) {
  static auto* const real = next<size_t(const void*, size_t, size_t, FILE*)>("fwrite");
  return fails("write", ::fileno(file)) ? 0 : real(bytes, size, count, file);
}

int fsync(int file) {
  static auto* const real = next<int(int)>("fsync");
  return fails("sync", file) ? -1 : real(file);
}

int fdatasync(int file) {
  static auto* const real = next<int(int)>("fdatasync");
  return fails("sync", file) ? -1 : real(file);
}

/// Says that no page of a mapped file is in memory, so that images are read by pread.
int mincore(void* address, size_t length, unsigned char* pages) {
  static auto* const real = next<int(void*, size_t, unsigned char*)>("mincore");
  if (!fault().mine || fault().point != "read") return real(address, length, pages);
  errno = ENOMEM;
  return -1;
}

}  // extern "C"
