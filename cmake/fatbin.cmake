# Puts <BASE>.sm_<target>.cubin of all TARGETS into <BASE>.fatbin, by FATBINARY, and what ptxas said of them into <BASE>.log.
# Not compressed: the size is a few megabytes, and drivers older than a way of compressing refuse it.
set(images "")
set(log "")
foreach(target ${TARGETS})
  list(APPEND images "--image3=kind=elf,sm=${target},file=${BASE}.sm_${target}.cubin")
  file(READ ${BASE}.sm_${target}.log part)
  string(APPEND log "${part}")
endforeach()
execute_process(COMMAND ${FATBINARY} -64 --compress-mode=none --create=${BASE}.fatbin ${images} RESULT_VARIABLE result
                ERROR_VARIABLE errors)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "expected a fat binary ${BASE}.fatbin but ${FATBINARY} says: ${errors}")
endif()
file(WRITE ${BASE}.log "${log}")
