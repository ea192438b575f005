# SPDX-License-Identifier: MIT
# Programs that nobody here wrote, doing real work.
if(TARGET strait AND TARGET strait-cc)
	foreach(name IN ITEMS sqlite3 lighttpd curl)
		strait_script_test(e2e.program.${name} LABELS e2e slow TIMEOUT 300 PROGRAMS ${name}
			COMMAND "${CMAKE_SOURCE_DIR}/tests/e2e/programs/${name}.sh")
	endforeach()
	foreach(name IN ITEMS redis busybox lua5.4)
		strait_script_test(e2e.program.${name} LABELS e2e slow TIMEOUT 300
			PROGRAMS ${name} native.${name}
			COMMAND "${CMAKE_SOURCE_DIR}/tests/e2e/programs/${name}.sh")
	endforeach()
	strait_script_test(e2e.program.recover_net LABELS e2e slow TIMEOUT 300
		PROGRAMS lighttpd redis native.redis
		COMMAND "${CMAKE_SOURCE_DIR}/tests/e2e/programs/recover_net.sh")
endif()
