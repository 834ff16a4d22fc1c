# Every library Gondola links, as an imported target (imported headers are system headers):
#
#   gondola::torch   libtorch; carries GONDOLA_WITH_CUDA=0|1      cmake/GondolaTorch.cmake
#   gondola::nccl    NCCL and the CUDA runtime, empty without CUDA
#   gondola::mpi     MPI 3, C interface
#   gondola::hdf5    HDF5, C interface
#   Boost::program_options  prometheus-cpp::core  httplib  spdlog::spdlog
#   nlohmann_json::nlohmann_json  ZLIB::ZLIB  PNG::PNG  xxhash  OpenSSL::Crypto  Threads::Threads

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
find_package(ZLIB REQUIRED)

# Libraries that come with a pkg-config file only.
pkg_check_modules(gondola_httplib REQUIRED IMPORTED_TARGET GLOBAL cpp-httplib)
add_library(httplib INTERFACE IMPORTED GLOBAL)
target_link_libraries(httplib INTERFACE PkgConfig::gondola_httplib Threads::Threads)

pkg_check_modules(gondola_xxhash REQUIRED IMPORTED_TARGET GLOBAL libxxhash)
add_library(xxhash INTERFACE IMPORTED GLOBAL)
target_link_libraries(xxhash INTERFACE PkgConfig::gondola_xxhash)

include(GondolaTorch)
