# SPDX-License-Identifier: MIT
# Programs that nobody here wrote, doing real work.
if(TARGET strait AND TARGET strait-cc)
	foreach(t IN ITEMS sqlite3:sqlite3 lighttpd:lighttpd redis:redis busybox:busybox lua:lua5.4 curl:curl)
		string(REPLACE ":" ";" t "${t}")
		list(GET t 0 name)
		list(GET t 1 program)
		strait_script_test(e2e.program.${name} LABELS e2e slow TIMEOUT 300 PROGRAMS ${program}
			COMMAND "${CMAKE_SOURCE_DIR}/tests/e2e/programs/${name}.sh")
	endforeach()
endif()
