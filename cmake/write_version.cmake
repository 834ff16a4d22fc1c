# Script: writes HEADER from version.hpp.in for VERSION and the git revision of SOURCE.
set(GONDOLA_REVISION unknown)
if(GIT)
  execute_process(COMMAND "${GIT}" -C "${SOURCE}" describe --always --dirty --abbrev=12 --exclude=*
    OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(GONDOLA_REVISION "${described}")
  endif()
endif()
set(GONDOLA_VERSION "${VERSION}")
configure_file("${CMAKE_CURRENT_LIST_DIR}/version.hpp.in" "${HEADER}" @ONLY)
