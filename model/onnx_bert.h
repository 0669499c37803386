/*
 * onnx_bert - a BERT encoder's weights, found by their places in an ONNX graph.
 *
 * Exporters rename weights and turn them round, so names prove nothing.  This
 * walks from the graph's output back to its inputs and recognises each step of
 * BertModel (model/encoder.h): layer norm, linear layers, the erf form of GELU,
 * attention with its heads, scale and mask, the three embeddings.  A step that
 * is another (a position bias, positions that depend on the words, a fused or
 * quantised operator) is refused by its node's name: a model is taken whole or
 * not at all.
 */
#ifndef RAG_MODEL_ONNX_BERT_H
#define RAG_MODEL_ONNX_BERT_H

#include "model/encoder.h"
#include "model/onnx.h"

struct onnx_weight {
	char name[96];			/* as BertModel calls it */
	const struct onnx_tensor *t;	/* of floats, borrowed from the graph */
	size_t rows, columns;		/* rows 0: a vector */
	bool turned;			/* t is (columns, rows) */
};
struct onnx_bert {
	struct encoder_shape shape;
	struct onnx_weight *w;		/* owned (n) */
	size_t n;
};

/* RAG_EUNSUP names the file and the node that is no BERT's; RAG_EFORMAT for
 * shapes that do not fit each other.  Release out after a failure too. */
int onnx_bert_find(struct onnx_bert *out, const struct onnx *o);
void onnx_bert_release(struct onnx_bert *b);

#endif
