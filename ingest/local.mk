libcore_la_SOURCES += \
	ingest/pipeline.h
