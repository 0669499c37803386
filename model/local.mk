libcore_la_SOURCES += \
	model/gguf.c model/gguf.h \
	model/quant.c \
	model/safetensors.c model/safetensors.h \
	model/tensor.c model/tensor.h
libcore_la_SOURCES += model/tok.c model/tok.h model/tok_impl.h model/tok_bpe.c model/tok_scan.c \
	model/tok_spm.c model/tok_wordpiece.c
