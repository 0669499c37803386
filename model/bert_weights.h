/*
 * bert_weights - an encoder's weights under BertModel's names, wherever they lie.
 *
 * What a file of another kind is found to hold (model/onnx_bert.h,
 * model/gguf_bert.c), for model/convert.h to write.  Data is borrowed from that
 * file's mapping.
 */
#ifndef RAG_MODEL_BERT_WEIGHTS_H
#define RAG_MODEL_BERT_WEIGHTS_H

#include "base/buf.h"
#include "model/encoder.h"
#include "model/tensor.h"

#include <stdbool.h>

struct gguf;

struct bert_weight {
	char name[96];
	const void *data;		/* borrowed, at any address if F32 */
	enum dtype type;
	size_t rows, columns;		/* rows 0: a vector */
	bool turned;			/* data is (columns, rows); F32 alone */
};
struct bert_weights {
	struct encoder_shape shape;
	struct bert_weight *w;		/* owned (n) */
	size_t n;
};

/* One more, to be filled in; its name is layer and name. */
int bert_weights_add(struct bert_weight **out, struct bert_weights *b, const char *layer, const char *name);
void bert_weights_release(struct bert_weights *b);
size_t bert_weight_count(const struct bert_weight *w);	/* values */

/* Those of a GGUF file of architecture "bert", as llama.cpp names them.  RAG_EUNSUP,
 * RAG_EFORMAT name file and tensor.  Release out after a failure too. */
int gguf_bert_find(struct bert_weights *out, const struct gguf *g);
/* Its vocabulary as lines of vocab.txt. */
int gguf_bert_words(struct buf *out, const struct gguf *g);

#endif
