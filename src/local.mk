# facade, library, programs

libcore_la_SOURCES += \
	src/ask.c src/documents.c src/expand.c src/ingest.c src/ragstone.c src/rag_impl.h src/rag_search.h src/search.c src/tokens.c \
	src/eval/answers.c src/eval/answers.h src/eval/squad.c src/eval/squad.h \
	src/eval/collection.c src/eval/collection.h \
	src/eval/cut.c src/eval/cut.h \
	src/eval/judged.c src/eval/judged.h \
	src/eval/metrics.c src/eval/metrics.h \
	src/eval/page.c src/eval/page.h \
	src/eval/report.c src/eval/report.h \
	src/eval/retrieval.c src/eval/retrieval.h \
	src/eval/stats.c src/eval/stats.h \
	src/eval/stores.c src/eval/stores.h \
	src/eval/tune.c src/eval/tune.h \
	src/eval/variant.c src/eval/variant.h

ragincludedir = $(includedir)/ragstone
raginclude_HEADERS = src/ragstone.h
ragbaseincludedir = $(ragincludedir)/base
ragbaseinclude_HEADERS = base/errors.h
pkgconfig_DATA = src/ragstone.pc

dist_pkglibexec_SCRIPTS = src/fetch-model

lib_LTLIBRARIES += libragstone.la
libragstone_la_SOURCES =
libragstone_la_LIBADD = libcore.la
libragstone_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -export-symbols-regex '^rag_'

bin_PROGRAMS += ragstone
ragstone_SOURCES = \
	src/cli/cli.h src/cli/cmd_ask.c src/cli/cmd_bench.c src/cli/cmd_chat.c src/cli/cmd_embed.c \
	src/cli/cmd_eval.c src/cli/cmd_eval.h src/cli/cmd_eval_answers.c src/cli/cmd_eval_retrieval.c src/cli/cmd_forget.c src/cli/cmd_generate.c src/cli/cmd_ingest.c \
	src/cli/cmd_init.c src/cli/cmd_list.c src/cli/cmd_model.c src/cli/cmd_perplexity.c \
	src/cli/cmd_search.c src/cli/cmd_show.c src/cli/cmd_status.c src/cli/cmd_tokens.c \
	src/cli/cmd_verify.c src/cli/line.c src/cli/line.h src/cli/main.c src/cli/opts.c \
	src/cli/opts.h src/cli/term.c src/cli/view.c
ragstone_CFLAGS = $(AM_CFLAGS) $(EDIT_CFLAGS)
ragstone_LDADD = libcore.la $(EDIT_LIBS)
