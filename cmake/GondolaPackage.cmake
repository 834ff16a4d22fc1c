# `cmake --install` and CPack: bin/gondola, share/gondola with presets, scripts and dashboards, manual
# page, completion and module file.  libtorch is not packed: it is found in lib/gondola, where
# share/gondola/install-torch.sh puts it, or where it was when a cluster's own was built against.

include(GNUInstallDirs)
set(share "${CMAKE_INSTALL_DATAROOTDIR}/gondola")
# Whatever the umask is, others may use what is installed.
set(readable OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS ${readable})

# The libraries that the program was linked with outside of the system's folders.
foreach(library IN LISTS HDF5_C_LIBRARIES MPI_CXX_LIBRARIES)
  if(IS_ABSOLUTE "${library}")
    cmake_path(GET library PARENT_PATH folder)
    list(APPEND run_path "${folder}")
  endif()
endforeach()
list(REMOVE_DUPLICATES run_path)
cmake_path(IS_PREFIX PROJECT_SOURCE_DIR "${GONDOLA_TORCH_CPU}" NORMALIZE own_torch)
if(own_torch)
  foreach(folder IN ITEMS torch/lib nvidia/cu13/lib nvidia/nccl/lib)
    list(APPEND run_path "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/gondola/${folder}")
  endforeach()
else()
  set_target_properties(gondola PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
endif()
set_target_properties(gondola PROPERTIES INSTALL_RPATH "${run_path}")
install(TARGETS gondola RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")

install(DIRECTORY configs/presets configs/experiments DESTINATION "${share}/configs")
install(DIRECTORY monitoring/dashboards monitoring/alerts monitoring/consoles
  DESTINATION "${share}/monitoring")
install(DIRECTORY launch/slurm launch/scaling launch/experiments DESTINATION "${share}/launch"
  FILE_PERMISSIONS ${readable} DIRECTORY_PERMISSIONS ${readable} PATTERN __pycache__ EXCLUDE PATTERN site.sh EXCLUDE)
file(GLOB scripts CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/launch/*.sh")
list(FILTER scripts EXCLUDE REGEX "/(setup|quickstart)\\.sh$") # these are a checkout's
install(PROGRAMS ${scripts} DESTINATION "${share}/launch")
install(DIRECTORY docs DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(FILES README.md CONTRIBUTING.md LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
foreach(page IN ITEMS data/FORMAT.md trainer/checkpoint/CHECKPOINT.md) # which the others link to
  cmake_path(GET page PARENT_PATH folder)
  install(FILES ${page} DESTINATION "${CMAKE_INSTALL_DOCDIR}/${folder}")
endforeach()

# --- the script that fetches libtorch, of the version that launch/setup.sh builds with
file(STRINGS launch/setup.sh wheels REGEX "^(torch_wheel|cpu_wheels)=")
list(JOIN wheels "\n" GONDOLA_WHEELS)
set(GONDOLA_LIBDIR "${CMAKE_INSTALL_LIBDIR}")
get_target_property(definitions gondola::torch INTERFACE_COMPILE_DEFINITIONS)
set(GONDOLA_ROUTE cpu)
if("GONDOLA_WITH_CUDA=1" IN_LIST definitions)
  set(GONDOLA_ROUTE cuda)
endif()
configure_file(launch/install/install-torch.sh.in generated/install-torch.sh @ONLY)
install(PROGRAMS "${PROJECT_BINARY_DIR}/generated/install-torch.sh" DESTINATION "${share}")

# --- texts that the program prints
install(CODE "
  function(gondola_says option file)
    execute_process(COMMAND \"$<TARGET_FILE:gondola>\" help \${option}
      OUTPUT_FILE \"\${file}\" COMMAND_ERROR_IS_FATAL ANY)
  endfunction()
  gondola_says(--man \"${PROJECT_BINARY_DIR}/generated/gondola.1\")
  gondola_says(--bash-completion \"${PROJECT_BINARY_DIR}/generated/gondola.bash\")")
install(FILES "${PROJECT_BINARY_DIR}/generated/gondola.1" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
install(FILES "${PROJECT_BINARY_DIR}/generated/gondola.bash" RENAME gondola
  DESTINATION "${CMAKE_INSTALL_DATAROOTDIR}/bash-completion/completions")
install(FILES launch/install/modulefile RENAME "${PROJECT_VERSION}"
  DESTINATION "${share}/modulefiles/gondola")
install(FILES launch/install/gondola.def DESTINATION "${share}")

# --- packages
set(CPACK_GENERATOR TGZ DEB)
set(CPACK_PACKAGE_CONTACT "the Gondola project")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Trainer of Gradient Origin Networks for clusters")
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGING_INSTALL_PREFIX "/opt/gondola")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${torch_lib}")
set(CPACK_DEBIAN_PACKAGE_DEPENDS "openmpi-bin")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3-pip, python3")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "prometheus, slurm-client")
include(CPack)
