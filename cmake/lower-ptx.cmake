# Writes INPUT to OUTPUT as PTX ISA VERSION, and has PTXAS assemble it for every target of PROOFS: only the line
# .version and a hint differ, so what was added to the ISA later shows here and not on a user's machine.
file(READ ${INPUT} text)
string(REGEX REPLACE "\n\\.version [0-9]+\\.[0-9]+" "\n.version ${VERSION}" lowered "${text}")
# A hint of nvcc 13 about loads of which a part is used; ISA 8.3 brought it.
string(REGEX REPLACE "[ \t]*[.]pragma \"used_bytes_mask[^\"]*\";" "" lowered "${lowered}")
if(lowered STREQUAL text)
  message(FATAL_ERROR "expected a .version line in ${INPUT} but found none")
endif()
file(WRITE ${OUTPUT} "${lowered}")
foreach(target ${PROOFS})
  execute_process(COMMAND ${PTXAS} -arch=sm_${target} ${OUTPUT} -o ${OUTPUT}.proof RESULT_VARIABLE result
                  ERROR_VARIABLE errors)
  file(REMOVE ${OUTPUT}.proof)
  if(NOT result EQUAL 0)
    file(REMOVE ${OUTPUT})
    message(FATAL_ERROR "expected PTX ISA ${VERSION} in ${INPUT} but ptxas for sm_${target} says: ${errors}")
  endif()
endforeach()
