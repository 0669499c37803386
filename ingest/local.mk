EXTRA_DIST += ingest/README.md
libcore_la_SOURCES += \
	ingest/batch.c ingest/batch.h \
	ingest/chunk.c ingest/chunk.h \
	ingest/embedding.c ingest/embedding.h \
	ingest/extract.c ingest/extract.h \
	ingest/frame.h \
	ingest/given.c \
	ingest/ignore.c ingest/ignore.h \
	ingest/pipeline.c ingest/pipeline.h \
	ingest/run.c ingest/run.h \
	ingest/source.c ingest/source.h
