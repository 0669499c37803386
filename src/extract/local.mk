# The programs that read untrusted files.  They share sources with libcore but not
# the library: of that, LMDB, FAISS and curl would be loaded for each file.
pkglibexec_PROGRAMS += ragstone-extract ragstone-extract-pdf
extract_common = \
	src/extract/main.c \
	src/extract/confine.c src/extract/confine.h \
	src/extract/doc.c src/extract/doc.h \
	base/buf.c base/err.c base/mem.c base/utf8.c
ragstone_extract_SOURCES = $(extract_common) \
	src/extract/any.c \
	src/extract/charset.c src/extract/charset.h \
	src/extract/front.c \
	src/extract/html.c \
	src/extract/kind.c src/extract/kind.h \
	src/extract/markdown.c \
	src/extract/text.c
ragstone_extract_CFLAGS = $(AM_CFLAGS) $(XML2_CFLAGS) $(YAML_CFLAGS) $(SECCOMP_CFLAGS)
ragstone_extract_LDADD = $(XML2_LIBS) $(CMARK_LIBS) $(YAML_LIBS) $(SECCOMP_LIBS) $(UTF8PROC_LIBS)
ragstone_extract_pdf_SOURCES = $(extract_common) src/extract/pdf.c
ragstone_extract_pdf_CFLAGS = $(AM_CFLAGS) $(POPPLER_CFLAGS) $(SECCOMP_CFLAGS)
ragstone_extract_pdf_LDADD = $(POPPLER_LIBS) $(SECCOMP_LIBS) $(UTF8PROC_LIBS)
