# Compiler flags of our own code. Libraries are SYSTEM, so that only our warnings count.
add_library(reeve_flags INTERFACE)
target_compile_options(reeve_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual)
if(CMAKE_UNITY_BUILD) # every file is included by another there, so that the compiler takes it for a header
  target_compile_options(reeve_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()
# GCC 12 reports the inactive members of a std::variant, depending on what it inlines.
target_compile_options(reeve_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
if(REEVE_WERROR)
  target_compile_options(reeve_flags INTERFACE -Werror)
endif()
target_include_directories(reeve_flags INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>)

if(REEVE_SANITIZE)
  add_compile_options(-fsanitize=${REEVE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${REEVE_SANITIZE})
  if(REEVE_SANITIZE MATCHES "undefined")
    # Left out, for a quarter of the time to compile: null (the address sanitizer reports what is read there), alignment and
    # object-size. The fuzz preset has them.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      add_compile_options(-fno-sanitize=null,alignment,object-size)
    endif()
    # Undefined behaviour ends the program; what uses CAF leaves out one check (dependencies.cmake).
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()

if(REEVE_FUZZ) # everything tells libFuzzer where it has been, not only the targets: else it looks for nothing in what they call
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(REEVE_CCACHE ccache)
if(REEVE_CCACHE)
  # Without pch_defines and time_macros ccache skips every file that uses a precompiled header. NOHASHDIR: build folders
  # of one source tree share what they compiled (debug information names the source by its full path all the same).
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${REEVE_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Xclang> $<$<COMPILE_LANGUAGE:CXX>:-fno-pch-timestamp>)
  endif()
endif()
find_program(REEVE_MOLD mold)
if(REEVE_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
