#include "data/hdf5_memory_file.hpp"

#if __has_include(<H5FDdevelop.h>)  // HDF5 1.14 keeps what a driver needs apart
#include <H5FDdevelop.h>
#endif

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <new>
#include <utility>

#include "data/hdf5_failures.hpp"
#include "data/hdf5_handle.hpp"

namespace gondola::hdf5 {

/// What has been written of a file: small things copied into blocks, lasting values where they lie.
struct MemoryFileBlocks {
  static constexpr std::uint64_t kBlockBytes = 4096;
  using Block = std::array<std::uint8_t, kBlockBytes>;

  explicit MemoryFileBlocks(std::vector<Bytes> of_others) : lasting(std::move(of_others)) {}

  [[nodiscard]] bool lasts(Bytes bytes) const {
    return std::any_of(lasting.begin(), lasting.end(), [&](Bytes range) {
      return std::less_equal<>()(range.data(), bytes.data()) &&
             std::less_equal<>()(bytes.data() + bytes.size(), range.data() + range.size());
    });
  }

  /// Whether a value that was not copied lies in the range.
  [[nodiscard]] bool has_value_in(std::uint64_t start, std::uint64_t length) const {
    auto next = values.lower_bound(start);
    if (next != values.end() && next->first < start + length) return true;
    return next != values.begin() && (--next)->first + next->second.size() > start;
  }

  /// Calls each(block number, bytes within it, how many of the range came before) for the parts of
  /// a range.
  template <typename Each>
  static void for_each_part(std::uint64_t start, std::uint64_t length, const Each& each) {
    for (std::uint64_t done = 0; done < length;) {
      const auto within = (start + done) % kBlockBytes;
      const auto count = std::min(kBlockBytes - within, length - done);
      each((start + done) / kBlockBytes, within, count, done);
      done += count;
    }
  }

  void write(std::uint64_t start, Bytes bytes) {
    if (lasts(bytes)) {
      values.emplace(start, bytes);
    } else {
      for_each_part(start, bytes.size(), [&](auto number, auto within, auto count, auto done) {
        auto& block = blocks.try_emplace(number).first->second;
        std::memcpy(block.data() + within, bytes.data() + done, count);
      });
    }
    end_of_file = std::max(end_of_file, start + bytes.size());
  }

  void read(std::uint64_t start, std::span<std::uint8_t> out) const {
    for_each_part(start, out.size(), [&](auto number, auto within, auto count, auto done) {
      std::memcpy(out.data() + done, block_or_zeros(number).data() + within, count);
    });
  }

  [[nodiscard]] const Block& block_or_zeros(std::uint64_t number) const {
    static constexpr Block kZeros{};
    const auto found = blocks.find(number);
    return found == blocks.end() ? kZeros : found->second;
  }

  std::vector<Bytes> lasting;
  std::map<std::uint64_t, Block> blocks;  ///< By their number.
  std::map<std::uint64_t, Bytes> values;  ///< By where they start in the file.
  std::uint64_t end_of_allocation = 0;
  std::uint64_t end_of_file = 0;
};

namespace {

/// HDF5 puts its own fields in front.
struct OpenFile {
  H5FD_t base;
  MemoryFileBlocks* blocks;
};
static_assert(std::is_standard_layout_v<OpenFile>);

MemoryFileBlocks& blocks_of(H5FD_t* file) { return *reinterpret_cast<OpenFile*>(file)->blocks; }
const MemoryFileBlocks& blocks_of(const H5FD_t* file) {
  return *reinterpret_cast<const OpenFile*>(file)->blocks;
}

H5FD_t* open_blocks(const char*, unsigned, hid_t access, haddr_t) {
  const auto* blocks = static_cast<MemoryFileBlocks* const*>(H5Pget_driver_info(access));
  if (blocks == nullptr) return nullptr;
  auto* file = new (std::nothrow) OpenFile{.base = {}, .blocks = *blocks};
  return file == nullptr ? nullptr : &file->base;
}

herr_t close_blocks(H5FD_t* file) {
  delete reinterpret_cast<OpenFile*>(file);
  return 0;
}

herr_t say_features(const H5FD_t*, unsigned long* flags) {
  // No sieve: it would copy values on their way.
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA;
  return 0;
}

haddr_t end_of_allocation(const H5FD_t* file, H5FD_mem_t) {
  return blocks_of(file).end_of_allocation;
}

herr_t set_end_of_allocation(H5FD_t* file, H5FD_mem_t, haddr_t end) {
  blocks_of(file).end_of_allocation = end;
  return 0;
}

haddr_t end_of_file(const H5FD_t* file, H5FD_mem_t) { return blocks_of(file).end_of_file; }

/// Exceptions must not pass through HDF5.
template <typename Work>
herr_t without_exceptions(const Work& work) {
  try {
    work();
    return 0;
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

herr_t read_blocks(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t start, std::size_t bytes, void* out) {
  const auto& blocks = blocks_of(file);
  if (blocks.has_value_in(start, bytes)) return -1;
  blocks.read(start, {static_cast<std::uint8_t*>(out), bytes});
  return 0;
}

herr_t write_blocks(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t start, std::size_t bytes,
                    const void* in) {
  auto& blocks = blocks_of(file);
  if (blocks.has_value_in(start, bytes)) return -1;
  return without_exceptions([&] {
    blocks.write(start, {static_cast<const std::uint8_t*>(in), bytes});
  });
}

H5FD_class_t describe_driver() {
  H5FD_class_t driver{};
#ifdef H5FD_CLASS_VERSION
  driver.version = H5FD_CLASS_VERSION;
  driver.value = static_cast<H5FD_class_value_t>(H5_VFD_RESERVED);  // of drivers of one program
#endif
  driver.name = "gondola_memory";
  driver.maxaddr = haddr_t{1} << 62;
  driver.fc_degree = H5F_CLOSE_WEAK;
  driver.fapl_size = sizeof(MemoryFileBlocks*);
  driver.open = open_blocks;
  driver.close = close_blocks;
  driver.query = say_features;
  driver.get_eoa = end_of_allocation;
  driver.set_eoa = set_end_of_allocation;
  driver.get_eof = end_of_file;
  driver.read = read_blocks;
  driver.write = write_blocks;
  const H5FD_mem_t kinds[] = H5FD_FLMAP_DICHOTOMY;
  std::copy(std::begin(kinds), std::end(kinds), std::begin(driver.fl_map));
  return driver;
}

/// Properties to create the file of these blocks with. @throws IoError
Handle access_to(MemoryFileBlocks& blocks, const std::string& name) {
  static const H5FD_class_t kDriver = describe_driver();
  static const hid_t id = H5FDregister(&kDriver);
  Handle access = file_access();
  auto* address = &blocks;
  if (id < 0 || H5Pset_driver(access.get(), id, &address) < 0) {
    throw IoError("cannot prepare HDF5 to make " + name + " in memory" + reason());
  }
  return access;
}

}  // namespace

MemoryFile::MemoryFile(const std::string& name, const std::function<void(hid_t file)>& write,
                       std::vector<Bytes> lasting)
    : blocks_(std::make_unique<MemoryFileBlocks>(std::move(lasting))) {
  Handle file = create_file(name, access_to(*blocks_, name));
  write(file.get());
  file.close();
}

MemoryFile::~MemoryFile() = default;
MemoryFile::MemoryFile(MemoryFile&&) noexcept = default;
MemoryFile& MemoryFile::operator=(MemoryFile&&) noexcept = default;

std::vector<Bytes> MemoryFile::pieces() const {
  std::vector<Bytes> pieces;
  std::uint64_t reached = 0;
  const auto copy_up_to = [&](std::uint64_t end) {
    MemoryFileBlocks::for_each_part(
        reached, end - reached, [&](auto number, auto within, auto count, auto) {
          pieces.push_back(Bytes(blocks_->block_or_zeros(number)).subspan(within, count));
        });
    reached = end;
  };
  for (const auto& [start, value] : blocks_->values) {
    copy_up_to(start);
    pieces.push_back(value);
    reached += value.size();
  }
  copy_up_to(blocks_->end_of_allocation);
  return pieces;
}

}  // namespace gondola::hdf5
