libcore_la_SOURCES += \
	model/bert_weights.c model/bert_weights.h model/gguf_bert.c \
	model/convert.c model/convert.h \
	model/cross.c model/cross.h \
	model/decoder.c model/decoder.h \
	model/kv.c model/kv.h \
	model/matmul.c model/matmul.h \
	model/weights.c model/weights.h \
	model/blas.c model/blas.h \
	model/embed.c model/embed.h \
	model/encoder.c model/encoder.h model/encoder_impl.h model/encoder_f32.c model/encoder_int8.c \
	model/gguf.c model/gguf.h \
	model/onnx.c model/onnx.h model/onnx_bert.c model/onnx_bert.h \
	model/quant.c \
	model/safetensors.c model/safetensors.h \
	model/tensor.c model/tensor.h
libcore_la_SOURCES += model/tok.c model/tok.h model/tok_impl.h model/tok_bpe.c model/tok_scan.c \
	model/tok_spm.c model/tok_wordpiece.c
