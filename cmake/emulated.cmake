# CUDA kernels as C++, for the emulator of test/kernels. Every load and store of a kernel calls the emulator
# (test/kernels/emulator/access_hooks.cc), so the compiler may not make calls of memset or wider accesses out of them.
function(air_emulated_kernels target)
  add_library(${target} OBJECT ${ARGN})
  set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${target} PRIVATE AIR_EMULATOR)
  target_compile_options(
    ${target}
    PRIVATE -x c++ -O2 -g1 -ffp-contract=off -fno-math-errno -fvisibility=hidden -Wall -Wextra -Wshadow -fsanitize=thread
            --param=tsan-instrument-func-entry-exit=0 -fsanitize=bounds,shift,integer-divide-by-zero
            -fno-tree-loop-distribute-patterns -fno-tree-vectorize -fno-store-merging)
endfunction()

air_emulated_kernels(air_emulated_kernels ${air_cuda_kernels})
