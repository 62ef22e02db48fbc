# Writes INPUT to OUTPUT as PTX ISA VERSION: only the line .version differs, so ptxas, which assembles the result for every
# target, shows here and not on a user's machine what was added to the ISA later. The pragma used_bytes_mask (ISA 8.3) goes
# too: it says which bytes of a load are used, and without it all are loaded.
file(READ ${INPUT} text)
string(REGEX REPLACE "\n\\.version [0-9]+\\.[0-9]+" "\n.version ${VERSION}" lowered "${text}")
if(lowered STREQUAL text)
  message(FATAL_ERROR "expected a .version line in ${INPUT} but found none")
endif()
string(REGEX REPLACE "\n[ \t]*\\.pragma \"used_bytes_mask [^\n]*" "" lowered "${lowered}")
file(WRITE ${OUTPUT} "${lowered}")
