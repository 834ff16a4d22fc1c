#pragma once

#include <lmdb.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace gondola {

using LmdbEntries = std::vector<std::pair<std::string, std::string>>;

inline void lmdb_check(int code) {
  if (code != 0) throw std::runtime_error(mdb_strerror(code));
}

/// An LMDB folder of these keys and values, written by liblmdb. @param database "" for the main one
inline void write_lmdb(const std::string& folder, const LmdbEntries& entries, unsigned flags = 0,
                       const char* database = nullptr) {
  std::filesystem::create_directories(folder);
  MDB_env* environment = nullptr;
  lmdb_check(mdb_env_create(&environment));
  mdb_env_set_mapsize(environment, std::size_t{1} << 28);
  mdb_env_set_maxdbs(environment, 4);
  lmdb_check(mdb_env_open(environment, folder.c_str(), MDB_NOSYNC, 0644));
  MDB_txn* transaction = nullptr;
  lmdb_check(mdb_txn_begin(environment, nullptr, 0, &transaction));
  MDB_dbi dbi = 0;
  lmdb_check(mdb_dbi_open(transaction, database, flags | MDB_CREATE, &dbi));
  for (auto [key, value] : entries) {
    MDB_val k{key.size(), key.data()}, v{value.size(), value.data()};
    lmdb_check(mdb_put(transaction, dbi, &k, &v, 0));
  }
  lmdb_check(mdb_txn_commit(transaction));
  mdb_env_close(environment);
}

/// What liblmdb reads from it, in order.
inline LmdbEntries read_lmdb(const std::string& folder) {
  MDB_env* environment = nullptr;
  lmdb_check(mdb_env_create(&environment));
  lmdb_check(mdb_env_open(environment, folder.c_str(), MDB_RDONLY | MDB_NOLOCK, 0644));
  MDB_txn* transaction = nullptr;
  lmdb_check(mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction));
  MDB_dbi dbi = 0;
  lmdb_check(mdb_dbi_open(transaction, nullptr, 0, &dbi));
  MDB_cursor* cursor = nullptr;
  lmdb_check(mdb_cursor_open(transaction, dbi, &cursor));
  LmdbEntries entries;
  MDB_val k{}, v{};
  while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) {
    entries.emplace_back(std::string(static_cast<const char*>(k.mv_data), k.mv_size),
                         std::string(static_cast<const char*>(v.mv_data), v.mv_size));
  }
  mdb_cursor_close(cursor);
  mdb_txn_abort(transaction);
  mdb_env_close(environment);
  return entries;
}

}  // namespace gondola
