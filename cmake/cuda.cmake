# Kernels for NVIDIA GPUs. nvcc compiles each kernels/cuda/*.cu to SASS for every target and to PTX; both are embedded
# as bytes, and the driver is opened at run time, so that nothing of the toolkit is linked.
# FAKE carries an image that only the fake driver of the tests takes: the whole package on a machine without nvcc.
set(AIR_CUDA AUTO CACHE STRING "CUDA kernels: AUTO (when nvcc is there), ON, OFF or FAKE")
set_property(CACHE AIR_CUDA PROPERTY STRINGS AUTO ON OFF FAKE)
set(AIR_CUDA_TARGETS 80 86 87 89 90 CACHE STRING "Compute capabilities to compile for; fewer make quicker builds")
# What JetPack 5's driver compiles, for those that refuse the SASS. ptxas proves that it does for these.
set(AIR_PTX_VERSION 7.4)
set(AIR_PTX_PROOFS 80 87 90)

if(NOT AIR_CUDA MATCHES "^(AUTO|ON|OFF|FAKE)$")
  message(FATAL_ERROR "expected AUTO, ON, OFF or FAKE for AIR_CUDA but received ${AIR_CUDA}")
endif()
set(air_nvcc_hints $ENV{CUDA_PATH} $ENV{CUDA_HOME} /usr/local/cuda)
if(AIR_CUDA MATCHES "^(AUTO|ON)$")
  find_program(AIR_NVCC nvcc HINTS ${air_nvcc_hints} PATH_SUFFIXES bin)
  find_program(AIR_PTXAS ptxas HINTS ${air_nvcc_hints} PATH_SUFFIXES bin)
endif()
set(air_has_cuda OFF)
if(AIR_CUDA MATCHES "^(OFF|FAKE)$")
  message(STATUS "CUDA: ${AIR_CUDA}")
elseif(AIR_NVCC AND AIR_PTXAS)
  set(air_has_cuda ON)
  message(STATUS "CUDA: kernels by ${AIR_NVCC} for compute capabilities ${AIR_CUDA_TARGETS}")
elseif(AIR_CUDA STREQUAL ON)
  message(FATAL_ERROR "expected nvcc and ptxas for AIR_CUDA=ON but found none; set CUDA_PATH")
else()
  message(STATUS "CUDA: no nvcc found, building for the CPU only")
endif()

file(GLOB air_cuda_kernels CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cuda/*.cu)
file(GLOB_RECURSE air_cuda_headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cuda/*.h)

# Compiles one .cu to <name>.fatbin and <name>.ptx, and appends its entry to the tables below.
function(air_cuda_image source)
  get_filename_component(name ${source} NAME_WE)
  set(base ${CMAKE_CURRENT_BINARY_DIR}/cuda/${name})
  set(flags -std=c++17 -O3 -fmad=false -I${CMAKE_CURRENT_SOURCE_DIR} -Xptxas -v)
  set(gencode "")
  foreach(target ${AIR_CUDA_TARGETS})
    list(APPEND gencode -gencode arch=compute_${target},code=sm_${target})
  endforeach()
  add_custom_command(OUTPUT ${base}.fatbin
                     COMMAND ${CMAKE_COMMAND} -DLOG=${base}.log -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/logged.cmake --
                             ${AIR_NVCC} ${flags} ${gencode} -fatbin ${source} -o ${base}.fatbin
                     DEPENDS ${source} ${air_cuda_headers} VERBATIM COMMENT "nvcc ${name}")
  add_custom_command(OUTPUT ${base}.ptx
                     COMMAND ${AIR_NVCC} -std=c++17 -O3 -fmad=false -I${CMAKE_CURRENT_SOURCE_DIR} -arch=compute_80 -ptx
                             ${source} -o ${base}.raw.ptx
                     COMMAND ${CMAKE_COMMAND} -DINPUT=${base}.raw.ptx -DOUTPUT=${base}.ptx -DVERSION=${AIR_PTX_VERSION}
                             -DPTXAS=${AIR_PTXAS} "-DPROOFS=${AIR_PTX_PROOFS}"
                             -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/lower-ptx.cmake
                     DEPENDS ${source} ${air_cuda_headers} ${CMAKE_CURRENT_SOURCE_DIR}/cmake/lower-ptx.cmake VERBATIM
                     COMMENT "PTX ${AIR_PTX_VERSION} of ${name}")
  set(assembly "\n  .balign 64\n  .global air_fatbin_${name}\n  .hidden air_fatbin_${name}\nair_fatbin_${name}:\n  .incbin \"${base}.fatbin\"\n  .global air_fatbin_end_${name}\n  .hidden air_fatbin_end_${name}\nair_fatbin_end_${name}:\n  .balign 8\n  .global air_ptx_${name}\n  .hidden air_ptx_${name}\nair_ptx_${name}:\n  .incbin \"${base}.ptx\"\n  .byte 0\n")
  set(declarations "extern \"C\" const uint8_t air_fatbin_${name}[], air_fatbin_end_${name}[];\nextern \"C\" const char air_ptx_${name}[];\n")
  set(entry "      {\"${name}\", air_fatbin_${name}, air_fatbin_end_${name} - air_fatbin_${name}, air_ptx_${name}},\n")
  set_property(GLOBAL APPEND_STRING PROPERTY air_cuda_assembly "${assembly}")
  set_property(GLOBAL APPEND_STRING PROPERTY air_cuda_declarations "${declarations}")
  set_property(GLOBAL APPEND_STRING PROPERTY air_cuda_entries "${entry}")
  set_property(GLOBAL APPEND PROPERTY air_cuda_outputs ${base}.fatbin ${base}.ptx)
endfunction()

if(air_has_cuda)
  enable_language(ASM)
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/cuda)
  foreach(source ${air_cuda_kernels})
    air_cuda_image(${source})
  endforeach()
endif()
foreach(part assembly declarations entries outputs)
  get_property(air_cuda_${part} GLOBAL PROPERTY air_cuda_${part})
endforeach()
if(AIR_CUDA STREQUAL FAKE)
  set(air_cuda_declarations "static const uint8_t air_fake_image[] = {0x50, 0xed, 0x55, 0xba, 0, 0, 0, 0};\n")
  set(air_cuda_entries "      {\"fake\", air_fake_image, sizeof(air_fake_image), \".version 7.4\\n\"},\n")
endif()
set(air_images_source ${CMAKE_CURRENT_BINARY_DIR}/cuda/images.cc)
file(CONFIGURE OUTPUT ${air_images_source} @ONLY CONTENT [[
// Made by cmake/cuda.cmake.
#include "native/cuda/images.h"

@air_cuda_declarations@
namespace air::cuda {

std::vector<KernelImage> kernel_images() {
  return {
@air_cuda_entries@  };
}

}  // namespace air::cuda
]])
file(GLOB_RECURSE air_cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/native/cuda/*.cc
     ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cuda/launch/*.cc)
add_library(air_cuda STATIC ${air_cuda_sources} ${air_images_source})
target_link_libraries(air_cuda PUBLIC air_core ${CMAKE_DL_LIBS})
if(air_has_cuda AND air_cuda_kernels)
  set(air_images_assembly ${CMAKE_CURRENT_BINARY_DIR}/cuda/images.S)
  file(CONFIGURE OUTPUT ${air_images_assembly} @ONLY CONTENT [[
  .section .rodata
@air_cuda_assembly@
  .section .note.GNU-stack,"",%progbits
]])
  set_source_files_properties(${air_images_assembly} PROPERTIES OBJECT_DEPENDS "${air_cuda_outputs}")
  target_sources(air_cuda PRIVATE ${air_images_assembly})
  target_compile_definitions(air_cuda PUBLIC AIR_HAS_CUDA_KERNELS)
endif()
