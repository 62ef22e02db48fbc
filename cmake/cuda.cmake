# Kernels for NVIDIA GPUs. nvcc compiles each kernels/cuda/*.cu to PTX, and ptxas that to SASS for every target; both are
# embedded as bytes, and the driver is opened at run time, so that nothing of the toolkit is linked.
# FAKE carries an image that only the fake driver of the tests takes: the whole package on a machine without nvcc.
set(AIR_CUDA AUTO CACHE STRING "CUDA kernels: AUTO (when nvcc is there), ON, OFF or FAKE")
set_property(CACHE AIR_CUDA PROPERTY STRINGS AUTO ON OFF FAKE)
set(AIR_CUDA_TARGETS 80 86 87 89 90 CACHE STRING "Compute capabilities to compile for; fewer make quicker builds")
# What JetPack 5's driver compiles. The SASS is assembled from the same text, which proves that it is of this version.
set(AIR_PTX_VERSION 7.4)
# The least target, of which the PTX is.
set(AIR_PTX_TARGET 80)

if(NOT AIR_CUDA MATCHES "^(AUTO|ON|OFF|FAKE)$")
  message(FATAL_ERROR "expected AUTO, ON, OFF or FAKE for AIR_CUDA but received ${AIR_CUDA}")
endif()
set(air_nvcc_hints $ENV{CUDA_PATH} $ENV{CUDA_HOME} /usr/local/cuda)
if(AIR_CUDA MATCHES "^(AUTO|ON)$")
  find_program(AIR_NVCC nvcc HINTS ${air_nvcc_hints} PATH_SUFFIXES bin)
  find_program(AIR_PTXAS ptxas HINTS ${air_nvcc_hints} PATH_SUFFIXES bin)
  find_program(AIR_FATBINARY fatbinary HINTS ${air_nvcc_hints} PATH_SUFFIXES bin)
endif()
set(air_has_cuda OFF)
if(AIR_CUDA MATCHES "^(OFF|FAKE)$")
  message(STATUS "CUDA: ${AIR_CUDA}")
elseif(AIR_NVCC AND AIR_PTXAS AND AIR_FATBINARY)
  set(air_has_cuda ON)
  message(STATUS "CUDA: kernels by ${AIR_NVCC} for compute capabilities ${AIR_CUDA_TARGETS}")
elseif(AIR_CUDA STREQUAL ON)
  message(FATAL_ERROR "expected nvcc, ptxas and fatbinary for AIR_CUDA=ON but found none; set CUDA_PATH")
else()
  message(STATUS "CUDA: no nvcc found, building for the CPU only")
endif()

file(GLOB air_cuda_kernels CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cuda/*.cu)
file(GLOB_RECURSE air_cuda_headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cuda/*.h)

# Compiles one .cu to <name>.ptx, and that to <name>.sm_<target>.cubin for each target, jobs of their own that run side by
# side; puts those together in <name>.fatbin, and appends its entry to the tables below. ptxas is told what nvcc tells it.
function(air_cuda_image source)
  get_filename_component(name ${source} NAME_WE)
  set(base ${CMAKE_CURRENT_BINARY_DIR}/cuda/${name})
  set(scripts ${CMAKE_CURRENT_SOURCE_DIR}/cmake)
  add_custom_command(OUTPUT ${base}.ptx
                     COMMAND ${AIR_NVCC} -std=c++17 -O3 -fmad=false -I${CMAKE_CURRENT_SOURCE_DIR}
                             -arch=compute_${AIR_PTX_TARGET} -ptx -MD -MF ${base}.d -MT ${base}.ptx ${source} -o ${base}.raw.ptx
                     COMMAND ${CMAKE_COMMAND} -DINPUT=${base}.raw.ptx -DOUTPUT=${base}.ptx -DVERSION=${AIR_PTX_VERSION}
                             -P ${scripts}/lower-ptx.cmake
                     DEPENDS ${source} ${scripts}/lower-ptx.cmake DEPFILE ${base}.d VERBATIM
                     COMMENT "PTX ${AIR_PTX_VERSION} of ${name}")
  set(cubins "")
  foreach(target ${AIR_CUDA_TARGETS})
    set(cubin ${base}.sm_${target}.cubin)
    add_custom_command(OUTPUT ${cubin}
                       COMMAND ${CMAKE_COMMAND} -DLOG=${base}.sm_${target}.log -P ${scripts}/logged.cmake --
                               ${AIR_PTXAS} -arch=sm_${target} -m64 -O3 --fmad false -v ${base}.ptx -o ${cubin}
                       DEPENDS ${base}.ptx VERBATIM COMMENT "SASS of ${name} for sm_${target}")
    list(APPEND cubins ${cubin})
  endforeach()
  add_custom_command(OUTPUT ${base}.fatbin
                     COMMAND ${CMAKE_COMMAND} -DFATBINARY=${AIR_FATBINARY} -DBASE=${base} "-DTARGETS=${AIR_CUDA_TARGETS}"
                             -P ${scripts}/fatbin.cmake
                     DEPENDS ${cubins} ${scripts}/fatbin.cmake VERBATIM COMMENT "fat binary of ${name}")
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
