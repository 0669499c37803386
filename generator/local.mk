libcore_la_SOURCES += \
	generator/answer.h \
	generator/sample.c generator/sample.h
