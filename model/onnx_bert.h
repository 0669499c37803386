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

#include "model/bert_weights.h"
#include "model/onnx.h"

/* RAG_EUNSUP names the file and the node that is no BERT's; RAG_EFORMAT for
 * shapes that do not fit each other.  Release out after a failure too. */
int onnx_bert_find(struct bert_weights *out, const struct onnx *o);

#endif
