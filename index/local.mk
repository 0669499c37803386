libcore_la_SOURCES += \
	index/filter.h \
	index/search.h \
	index/store.h
