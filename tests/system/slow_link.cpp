// A slow cable between two network namespaces, for kernels without sch_netem:
//
//   slow_link PID PID DEVICE DELAY_SECONDS BYTES_PER_SECOND
//
// makes the TUN device DEVICE in the network namespace of each process and carries packets from one
// to the other, each direction on its own: a packet leaves when those before it have left, takes
// its bytes over the rate, and arrives DELAY_SECONDS later. Says "ready" once both devices are
// there; runs until it is killed.

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr std::size_t kLargestPacket = 65536;
constexpr std::size_t kMostUnderWay = std::size_t{32} << 20;  // bytes; what comes on top is lost

int checked(int result, const std::string& what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

/// A TUN device in the network namespace of a process, to which this process moves.
int make_device(const std::string& pid, const std::string& name) {
  const auto path = "/proc/" + pid + "/ns/net";
  const int space = checked(::open(path.c_str(), O_RDONLY | O_CLOEXEC), path);
  checked(::setns(space, CLONE_NEWNET), "setns");
  ::close(space);
  const int device = checked(::open("/dev/net/tun", O_RDWR | O_NONBLOCK), "/dev/net/tun");
  ifreq request{};
  name.copy(request.ifr_name, sizeof request.ifr_name - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  checked(::ioctl(device, TUNSETIFF, &request), "TUNSETIFF");
  return device;
}

struct Speed {
  nanoseconds delay;
  double bytes_per_second;
};

struct Packet {
  Clock::time_point due;
  std::vector<char> bytes;
};

void carry(int from, int to, Speed speed) {
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  std::deque<Packet> under_way;
  std::size_t bytes_under_way = 0;
  Clock::time_point sent;  // when the last packet has left
  std::array<char, kLargestPacket> buffer;
  while (true) {
    timespec wait{};
    if (!under_way.empty()) {
      const nanoseconds left =
          std::max<nanoseconds>(under_way.front().due - Clock::now(), nanoseconds(0));
      wait = {.tv_sec = left.count() / 1'000'000'000, .tv_nsec = left.count() % 1'000'000'000};
    }
    pollfd ready{.fd = from, .events = POLLIN, .revents = 0};
    (void)::ppoll(&ready, 1, under_way.empty() ? nullptr : &wait, nullptr);
    const auto now = Clock::now();
    if ((ready.revents & POLLIN) != 0) {
      const auto count = ::read(from, buffer.data(), buffer.size());
      if (count > 0 && bytes_under_way + static_cast<std::size_t>(count) <= kMostUnderWay) {
        const std::chrono::duration<double> takes(static_cast<double>(count) /
                                                  speed.bytes_per_second);
        sent = std::max(sent, now) + std::chrono::duration_cast<nanoseconds>(takes);
        under_way.push_back({sent + speed.delay, {buffer.data(), buffer.data() + count}});
        bytes_under_way += static_cast<std::size_t>(count);
      }
    }
    while (!under_way.empty() && under_way.front().due <= now) {
      const auto& bytes = under_way.front().bytes;
      if (::write(to, bytes.data(), bytes.size()) < 0) std::perror("slow_link: write");
      bytes_under_way -= bytes.size();
      under_way.pop_front();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 6) throw std::runtime_error("PID PID DEVICE DELAY_SECONDS BYTES_PER_SECOND");
    const int one = make_device(argv[1], argv[3]);
    const int other = make_device(argv[2], argv[3]);
    const std::chrono::duration<double> delay(std::stod(argv[4]));
    const Speed speed{.delay = std::chrono::duration_cast<nanoseconds>(delay),
                      .bytes_per_second = std::stod(argv[5])};
    std::puts("ready");
    std::fflush(stdout);
    std::thread back(carry, other, one, speed);
    carry(one, other, speed);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "slow_link: %s\n", error.what());
    return 1;
  }
}
