libcore_la_SOURCES += \
	index/analyze.c index/analyze.h \
	index/codec.c index/codec.h \
	index/dense.c index/dense.h \
	index/filter.c index/filter.h index/filter_impl.h \
	index/filter_glob.c index/filter_parse.c \
	index/hits.c index/hits.h \
	index/late.c index/late.h \
	index/pool.c index/pool.h \
	index/ranges.c index/ranges.h \
	index/retrieve.c index/retrieve.h \
	index/search.c index/search.h \
	index/store.c index/store.h index/store_impl.h \
	index/store_hidden.c index/store_publish.c index/store_read.c index/store_settings.c \
	index/store_check.h index/store_stage.c index/store_state.c index/store_tokens.c \
	index/store_vec.c index/store_verify.c index/store_verify_tokens.c \
	index/store_verify_words.c \
	index/store_words.c index/store_write.c \
	index/tally.c index/tally.h \
	index/vectors.c index/vectors.h \
	index/words.c index/words.h index/words_query.c index/words_query.h \
	index/words_block.c index/words_block.h \
	index/words_build.c index/words_build.h index/words_merge.c
EXTRA_DIST += index/README.md
