libcore_la_SOURCES += \
	index/codec.c index/codec.h \
	index/filter.c index/filter.h \
	index/ranges.c index/ranges.h \
	index/search.c index/search.h \
	index/store.c index/store.h index/store_impl.h \
	index/store_publish.c index/store_read.c index/store_stage.c \
	index/store_vec.c index/store_verify.c index/store_write.c \
	index/vectors.c index/vectors.h
EXTRA_DIST += index/README.md
