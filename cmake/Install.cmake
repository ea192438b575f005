# SPDX-License-Identifier: MIT
# `cmake --install`: commands, the protocol, man pages, pkg-config.  libos/ and
# libos/musl install libstrait and the sysroot under lib/strait themselves.
foreach(cmd IN ITEMS strait strait-cc fsd netd)
	if(TARGET ${cmd})
		get_target_property(type ${cmd} TYPE)
		if(type STREQUAL "EXECUTABLE")
			install(TARGETS ${cmd} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
		endif()
	endif()
endforeach()

file(GLOB protos CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/proto/*.proto")
install(FILES ${protos} DESTINATION ${CMAKE_INSTALL_DATADIR}/strait/proto)
file(GLOB man CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/docs/man/*.1")
if(man)
	install(FILES ${man} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()

# Xen by hand; mkimage and strait-agent are services/agent's to install.
install(FILES "${CMAKE_SOURCE_DIR}/deploy/xl/README.md" "${CMAKE_SOURCE_DIR}/deploy/xl/file.cfg"
	"${CMAKE_SOURCE_DIR}/deploy/xl/net.cfg" "${CMAKE_SOURCE_DIR}/deploy/xl/guest.cfg"
	DESTINATION ${CMAKE_INSTALL_DATADIR}/strait/xl)
install(PROGRAMS "${CMAKE_SOURCE_DIR}/deploy/xl/nodes.sh"
	DESTINATION ${CMAKE_INSTALL_DATADIR}/strait/xl)

# Relocatable: `cmake --install --prefix` may name another place than was configured.
file(RELATIVE_PATH STRAIT_PC_UP "/x/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/x")
configure_file("${CMAKE_SOURCE_DIR}/cmake/strait.pc.in" "${CMAKE_BINARY_DIR}/strait.pc" @ONLY)
install(FILES "${CMAKE_BINARY_DIR}/strait.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
