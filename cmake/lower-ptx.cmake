# Writes INPUT to OUTPUT as PTX ISA VERSION, and has PTXAS assemble it for every target of PROOFS: only the line
# .version differs, so what was added to the ISA later shows here and not on a user's machine. The pragma
# used_bytes_mask (ISA 8.3) goes too: it says which bytes of a load are used, and without it all are loaded.
file(READ ${INPUT} text)
string(REGEX REPLACE "\n\\.version [0-9]+\\.[0-9]+" "\n.version ${VERSION}" lowered "${text}")
if(lowered STREQUAL text)
  message(FATAL_ERROR "expected a .version line in ${INPUT} but found none")
endif()
string(REGEX REPLACE "\n[ \t]*\\.pragma \"used_bytes_mask [^\n]*" "" lowered "${lowered}")
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
