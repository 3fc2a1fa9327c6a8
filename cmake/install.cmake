# What `make install` puts where. Included last, when every target is known. The client library installs itself (src/client).
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON) # what is installed was built before: the package's test does not build the benchmarks

# `reeve_programs`: all that a user runs, without tests.
add_custom_target(reeve_programs)
foreach(program reeved reeve-agent reeve reeve-dashboard)
  if(TARGET ${program})
    add_dependencies(reeve_programs ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
  endif()
endforeach()

if(TARGET reeve_e2e)
  add_dependencies(reeve_e2e reeve_programs)
endif()

foreach(section 1 5 7 8)
  file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.${section})
  if(pages)
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT documentation)
  endif()
endforeach()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documentation
  FILES_MATCHING PATTERN "*.md" PATTERN "*.png" PATTERN "man" EXCLUDE)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
  ${PROJECT_SOURCE_DIR}/messages/PROTOCOL.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documentation OPTIONAL)

# `make deb`: the programs with their systemd units and settings.
install(FILES ${PROJECT_SOURCE_DIR}/packaging/reeved.service ${PROJECT_SOURCE_DIR}/packaging/reeve-agent.service
  DESTINATION lib/systemd/system COMPONENT system)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/etcd.default DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT system)
# Settings lie in /etc whatever the prefix: they are the package's, and `make install` leaves them alone.
install(FILES ${PROJECT_SOURCE_DIR}/packaging/reeved.toml DESTINATION /etc/reeve COMPONENT system EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/reeve-agent.default DESTINATION /etc/default RENAME reeve-agent COMPONENT system
  EXCLUDE_FROM_ALL)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME reeve)
set(CPACK_PACKAGE_CONTACT "reeve <root@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "cluster master, agent and command line")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL programs documentation system)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS passwd)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS etcd-server)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/packaging/debian/postinst ${PROJECT_SOURCE_DIR}/packaging/debian/conffiles)
include(CPack)
