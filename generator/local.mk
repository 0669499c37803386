libcore_la_SOURCES += \
	generator/answer.c generator/answer.h \
	generator/evidence.c generator/evidence.h \
	generator/lookup.c generator/lookup.h \
	generator/prompt.c generator/prompt.h \
	generator/sample.c generator/sample.h \
	generator/template.c generator/template.h
EXTRA_DIST += generator/README.md
