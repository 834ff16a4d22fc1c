#include "data/importers/file_sum.hpp"

#include <exception>

#include "data/checksum.hpp"

namespace gondola {

FileSum::FileSum(const std::string& path)
    : stamp_(stamp_of(stat_of(path))), thread_([this, path](const std::stop_token& stop) {
        try {
          promise_.set_value(sha256_of_file(path, stop));
        } catch (...) {
          promise_.set_exception(std::current_exception());
        }
      }) {}

}  // namespace gondola
