# gondola::torch and gondola::nccl from a Python wheel, a libtorch folder or a cluster's module.
#
# The wheel's own TorchConfig.cmake insists on a CUDA toolkit even for CPU work, so the few
# libraries that are needed are imported here.  Searched in this order: Torch_DIR and TORCH_ROOT
# (cache or environment), CMAKE_PREFIX_PATH (the install prefix, or share/cmake in it, as
# torch.utils.cmake_prefix_path prints it), then .venv beside the sources.

set(candidates "")
foreach(place IN ITEMS
    "${Torch_DIR}" "$ENV{Torch_DIR}" "${TORCH_ROOT}" "$ENV{TORCH_ROOT}"
    ${CMAKE_PREFIX_PATH} $ENV{CMAKE_PREFIX_PATH})
  string(REPLACE ":" ";" places "${place}")
  foreach(prefix IN LISTS places)
    list(APPEND candidates
      "${prefix}" "${prefix}/../.." "${prefix}/../../.." "${prefix}/torch" "${prefix}/libtorch")
  endforeach()
endforeach()
file(GLOB wheels "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
list(APPEND candidates ${wheels})

find_library(GONDOLA_TORCH_CPU torch_cpu PATHS ${candidates} PATH_SUFFIXES lib NO_DEFAULT_PATH)
find_library(GONDOLA_TORCH_CPU torch_cpu)
mark_as_advanced(GONDOLA_TORCH_CPU)
if(NOT GONDOLA_TORCH_CPU)
  message(FATAL_ERROR
    "libtorch was not found: run launch/setup.sh, or name a libtorch folder with "
    "-DCMAKE_PREFIX_PATH=FOLDER (the folder that holds lib/libtorch_cpu.so).")
endif()
cmake_path(GET GONDOLA_TORCH_CPU PARENT_PATH torch_lib)
cmake_path(GET torch_lib PARENT_PATH torch_root)
set(torch_include "${torch_root}/include/torch/csrc/api/include")
if(NOT EXISTS "${torch_include}/torch/torch.h")
  message(FATAL_ERROR
    "libtorch in ${torch_root} has no headers (${torch_include}/torch/torch.h is missing): "
    "install its development files or name another libtorch with -DCMAKE_PREFIX_PATH.")
endif()
set(torch_includes "${torch_root}/include" "${torch_include}")

# --- C++ ABI: Debian's Boost, HDF5 and prometheus-cpp use the new std::string.
function(check_torch_abi)
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_LIBRARIES "${torch_lib}/libc10.so")
  set(CMAKE_REQUIRED_LINK_OPTIONS "-Wl,--unresolved-symbols=ignore-in-shared-libs")
  set(CMAKE_REQUIRED_QUIET ON)
  # A mangled name that has std::string in it: it links only where the two ABIs are the same.
  set(probe "
    #include <cstdint>
    #include <string>
    namespace c10::detail {
    void torchCheckFail(const char*, const char*, std::uint32_t, const std::string&);
    }
    int main() { c10::detail::torchCheckFail(\"\", \"\", 0, std::string()); }")
  check_cxx_source_compiles("${probe}" GONDOLA_TORCH_ABI_MATCHES)
  if(NOT GONDOLA_TORCH_ABI_MATCHES)
    unset(GONDOLA_TORCH_ABI_MATCHES CACHE)
    message(FATAL_ERROR
      "${torch_lib}/libc10.so was built with another C++ ABI than this compiler and the system's "
      "libraries use (_GLIBCXX_USE_CXX11_ABI=1): take the cxx11-ABI build of libtorch, or the wheel "
      "that launch/setup.sh installs.")
  endif()
endfunction()
check_torch_abi()

# --- CUDA or not
set(nvidia_root "${torch_root}/../nvidia") # where the wheel's CUDA parts lie
cmake_path(NORMAL_PATH nvidia_root)
find_program(GONDOLA_NVCC nvcc
  HINTS ENV CUDA_HOME ENV CUDA_PATH "${nvidia_root}/cu13" /usr/local/cuda
  PATH_SUFFIXES bin)
mark_as_advanced(GONDOLA_NVCC)
find_library(GONDOLA_TORCH_CUDA torch_cuda PATHS "${torch_lib}" NO_DEFAULT_PATH)
find_library(GONDOLA_CUDART NAMES cudart libcudart.so.13 libcudart.so.12 NAMES_PER_DIR
  HINTS "${nvidia_root}/cu13/lib" "${nvidia_root}/cuda_runtime/lib" ENV CUDA_HOME /usr/local/cuda
  PATH_SUFFIXES lib64 lib)
find_library(GONDOLA_NCCL NAMES nccl libnccl.so.2 NAMES_PER_DIR
  HINTS "${nvidia_root}/nccl/lib" ENV NCCL_HOME ENV NCCL_ROOT PATH_SUFFIXES lib lib64)
find_path(GONDOLA_NCCL_INCLUDE nccl.h
  HINTS "${nvidia_root}/nccl/include" ENV NCCL_HOME ENV NCCL_ROOT PATH_SUFFIXES include)
mark_as_advanced(GONDOLA_TORCH_CUDA GONDOLA_CUDART GONDOLA_NCCL GONDOLA_NCCL_INCLUDE)

# nvcc and libtorch have to be of one major version of CUDA, where libtorch tells its own.
function(refuse_other_nvcc)
  set(torch_cuda_major "")
  foreach(place_and_pattern IN ITEMS "version.py=^cuda.*'([0-9]+)\\." "build-version=\\+cu([0-9]+)[0-9]$")
    string(REGEX MATCH "^([^=]+)=(.*)$" unused "${place_and_pattern}")
    set(file "${torch_root}/${CMAKE_MATCH_1}")
    set(pattern "${CMAKE_MATCH_2}")
    if(EXISTS "${file}")
      file(STRINGS "${file}" lines REGEX "${pattern}")
      if(lines MATCHES "${pattern}")
        set(torch_cuda_major "${CMAKE_MATCH_1}")
      endif()
    endif()
  endforeach()
  execute_process(COMMAND "${GONDOLA_NVCC}" --version OUTPUT_VARIABLE described)
  if(torch_cuda_major AND described MATCHES "release ([0-9]+)\\."
      AND NOT CMAKE_MATCH_1 STREQUAL torch_cuda_major)
    set(GONDOLA_NVCC "" PARENT_SCOPE)
    set(nvcc_wanted "nvcc of CUDA ${torch_cuda_major} (${GONDOLA_NVCC} is of CUDA ${CMAKE_MATCH_1})"
      PARENT_SCOPE)
  endif()
endfunction()
set(nvcc_wanted nvcc)
if(GONDOLA_NVCC AND GONDOLA_TORCH_CUDA)
  refuse_other_nvcc()
endif()

set(missing "")
foreach(part IN ITEMS
    "GONDOLA_NVCC=${nvcc_wanted}" "GONDOLA_TORCH_CUDA=libtorch_cuda.so in ${torch_lib}"
    "GONDOLA_CUDART=libcudart.so" "GONDOLA_NCCL=libnccl.so" "GONDOLA_NCCL_INCLUDE=nccl.h")
  string(REGEX MATCH "^([A-Z_]+)=(.*)$" unused "${part}")
  if(NOT ${CMAKE_MATCH_1})
    list(APPEND missing "${CMAKE_MATCH_2}")
  endif()
endforeach()
list(JOIN missing ", " missing)
if(GONDOLA_CUDA STREQUAL "AUTO")
  if(missing)
    set(with_cuda 0)
  else()
    set(with_cuda 1)
  endif()
elseif(GONDOLA_CUDA)
  if(missing)
    message(FATAL_ERROR
      "GONDOLA_CUDA=ON, but these were not found: ${missing}; run launch/setup.sh --cuda, or name "
      "them with CUDA_HOME and NCCL_HOME.")
  endif()
  set(with_cuda 1)
else()
  set(with_cuda 0)
endif()

function(import_shared name path)
  add_library(${name} SHARED IMPORTED GLOBAL)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${path}")
endfunction()

import_shared(gondola::c10 "${torch_lib}/libc10.so")
import_shared(gondola::torch_cpu "${GONDOLA_TORCH_CPU}")
add_library(gondola::torch INTERFACE IMPORTED GLOBAL)
add_library(gondola::nccl INTERFACE IMPORTED GLOBAL)
# libtorch carries headers of a newer {fmt} than the one spdlog was built with: the system's go first.
find_package(fmt CONFIG REQUIRED)
get_target_property(fmt_includes fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
list(GET fmt_includes 0 fmt_include)
set(fmt_first "${PROJECT_BINARY_DIR}/generated/fmt_first")
file(MAKE_DIRECTORY "${fmt_first}")
file(CREATE_LINK "${fmt_include}/fmt" "${fmt_first}/fmt" SYMBOLIC)
target_include_directories(gondola::torch INTERFACE "${fmt_first}" ${torch_includes})
target_compile_definitions(gondola::torch INTERFACE GONDOLA_WITH_CUDA=${with_cuda})
target_link_libraries(gondola::torch INTERFACE gondola::torch_cpu gondola::c10 Threads::Threads)
# libtorch's own dependencies are found through its own run path, at run time.
target_link_options(gondola::torch INTERFACE -Wl,--allow-shlib-undefined)

if(with_cuda)
  import_shared(gondola::c10_cuda "${torch_lib}/libc10_cuda.so")
  import_shared(gondola::torch_cuda "${GONDOLA_TORCH_CUDA}")
  import_shared(gondola::cudart "${GONDOLA_CUDART}")
  import_shared(gondola::nccl_library "${GONDOLA_NCCL}")

  # The CUDA headers of the nvcc that compiles, which Gondola's own CUDA files see too.
  set(CMAKE_CUDA_COMPILER "${GONDOLA_NVCC}")
  set(CMAKE_CUDA_RUNTIME_LIBRARY None)
  set(CMAKE_CUDA_STANDARD 17)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80 90)
  endif()
  if(GONDOLA_CCACHE)
    set(CMAKE_CUDA_COMPILER_LAUNCHER "${GONDOLA_CCACHE}")
  endif()
  enable_language(CUDA)
  target_include_directories(gondola::torch INTERFACE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  target_link_libraries(gondola::torch INTERFACE
    gondola::torch_cuda gondola::c10_cuda gondola::cudart)
  # Nothing calls libtorch_cuda by name: it registers itself when it is loaded.
  target_link_options(gondola::torch INTERFACE -Wl,--no-as-needed)

  target_include_directories(gondola::nccl INTERFACE
    "${GONDOLA_NCCL_INCLUDE}" ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  target_link_libraries(gondola::nccl INTERFACE gondola::nccl_library gondola::cudart)
  message(STATUS "libtorch: ${torch_root}, with CUDA ${CMAKE_CUDA_COMPILER_VERSION} and NCCL ${GONDOLA_NCCL}")
elseif(missing AND NOT GONDOLA_CUDA STREQUAL "OFF")
  message(STATUS "libtorch: ${torch_root}, CPU only (not found: ${missing})")
else()
  message(STATUS "libtorch: ${torch_root}, CPU only")
endif()
