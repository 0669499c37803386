libcore_la_SOURCES += \
	ingest/chunk.c ingest/chunk.h \
	ingest/extract.c ingest/extract.h \
	ingest/frame.h \
	ingest/ignore.c ingest/ignore.h \
	ingest/pipeline.h \
	ingest/source.c ingest/source.h
