libcore_la_SOURCES += \
	base/buf.c base/buf.h \
	base/clock.c base/clock.h \
	base/conf.c base/conf.h \
	base/err.c base/err.h base/errors.h \
	base/file.c base/file.h \
	base/hash.c base/hash.h \
	base/http.c base/http.h \
	base/json.c base/json.h \
	base/kern.c base/kern.h base/kern_math.h base/kern_ref.c \
	base/kern_int8.h base/kern_int8_ref.c \
	base/kern_quant.h base/kern_quant_blocks.h base/kern_quant_ref.c \
	base/map.c base/map.h \
	base/mem.c base/mem.h \
	base/par.c base/par.h \
	base/progress.c base/progress.h \
	base/regex.c base/regex.h \
	base/text.c base/text.h \
	base/utf8.c base/utf8.h

# The kernels of each CPU level, compiled for it and called only where cpuid has it.
if X86_64
noinst_LTLIBRARIES += libkern_avx2.la libkern_avx512.la
libkern_avx2_la_SOURCES = base/kern_avx2.c base/kern_int8_avx2.c base/kern_int8_x86.h \
	base/kern_quant_avx2.c base/kern_acts_x86.h \
	base/kern_column_avx2.h base/kern_column_avx512.h base/kern_quant_few.h base/kern_quant_x86.h
libkern_avx2_la_CFLAGS = $(AM_CFLAGS) -mavx2 -mfma -mf16c
libkern_avx512_la_SOURCES = base/kern_avx512.c base/kern_int8_avx512.c base/kern_quant_avx512.c
libkern_avx512_la_CFLAGS = $(AM_CFLAGS) -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq \
	-mavx512vl -mavx512vnni
libcore_la_LIBADD += libkern_avx2.la libkern_avx512.la
endif
