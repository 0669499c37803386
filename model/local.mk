libcore_la_SOURCES += \
	model/gguf.c model/gguf.h \
	model/quant.c \
	model/safetensors.c model/safetensors.h \
	model/tensor.c model/tensor.h
