# Every library Gondola links, as an imported target (imported headers are system headers):
#
#   gondola::torch   libtorch; carries GONDOLA_WITH_CUDA=0|1      cmake/GondolaTorch.cmake
#   gondola::nccl    NCCL and the CUDA runtime, empty without CUDA
#   gondola::mpi     MPI 3, C interface
#   gondola::hdf5    HDF5, C interface
#   Boost::program_options  prometheus-cpp::core  httplib  spdlog::spdlog
#   nlohmann_json::nlohmann_json  ZLIB::ZLIB  PNG::PNG  JPEG::JPEG  webp  archive  xxhash
#   OpenSSL::Crypto  Threads::Threads  lmdb, turbojpeg (tests)

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

set(MPI_CXX_SKIP_MPICXX ON)
find_package(MPI 3.0 REQUIRED COMPONENTS CXX)
add_library(gondola::mpi INTERFACE IMPORTED GLOBAL)
target_link_libraries(gondola::mpi INTERFACE MPI::MPI_CXX)

find_package(HDF5 REQUIRED COMPONENTS C)
add_library(gondola::hdf5 INTERFACE IMPORTED GLOBAL)
target_link_libraries(gondola::hdf5 INTERFACE hdf5::hdf5)
if(HDF5_IS_PARALLEL)
  target_link_libraries(gondola::hdf5 INTERFACE MPI::MPI_CXX) # its headers include mpi.h
endif()

find_package(Boost CONFIG REQUIRED COMPONENTS program_options)
find_package(prometheus-cpp CONFIG REQUIRED COMPONENTS core)
find_package(spdlog CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(PNG REQUIRED)
find_package(JPEG REQUIRED)
find_package(ZLIB REQUIRED)

# Libraries that come with a pkg-config file only.
function(import_with_pkg_config name module)
  pkg_check_modules(gondola_${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
  add_library(${name} INTERFACE IMPORTED GLOBAL)
  target_link_libraries(${name} INTERFACE PkgConfig::gondola_${name} ${ARGN})
endfunction()
import_with_pkg_config(httplib cpp-httplib Threads::Threads)
import_with_pkg_config(xxhash libxxhash)
import_with_pkg_config(webp libwebp)
import_with_pkg_config(archive libarchive)
if(GONDOLA_TESTS) # they write what importers read, and measure these against it
  import_with_pkg_config(lmdb lmdb)
  import_with_pkg_config(turbojpeg libturbojpeg)
endif()

include(GondolaTorch)
