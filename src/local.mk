# facade, library, programs

libcore_la_SOURCES += \
	src/eval/judged.c src/eval/judged.h \
	src/eval/kept.c src/eval/kept.h \
	src/eval/metrics.c src/eval/metrics.h \
	src/eval/retrieval.c src/eval/retrieval.h

ragincludedir = $(includedir)/ragstone
raginclude_HEADERS = src/ragstone.h
ragbaseincludedir = $(ragincludedir)/base
ragbaseinclude_HEADERS = base/errors.h
pkgconfig_DATA = src/ragstone.pc

dist_pkglibexec_SCRIPTS = src/fetch-model
