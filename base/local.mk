libcore_la_SOURCES += \
	base/buf.c base/buf.h \
	base/err.c base/err.h base/errors.h \
	base/hash.c base/hash.h \
	base/json.c base/json.h \
	base/map.c base/map.h \
	base/mem.c base/mem.h \
	base/par.c base/par.h \
	base/progress.c base/progress.h
