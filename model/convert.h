/*
 * convert - an embedder from an ONNX or GGUF file to a directory that embed_open() takes.
 *
 * The weights, found by their places (model/onnx_bert.h) or names, become
 * model.safetensors with BertModel's names; what the file does not hold
 * comes from beside it (the folder of the file, or the one above, as
 * onnx/model.onnx has it): the tokenizer, and sentence-transformers' pooling,
 * query prefix and length.  The directory is made under another name, opened
 * as a test, and renamed: it is there whole or not at all.  The same input
 * gives the same bytes.
 */
#ifndef RAG_MODEL_CONVERT_H
#define RAG_MODEL_CONVERT_H

#include "model/encoder.h"

#include <stddef.h>

struct convert_opts {
	const char *tokenizer;	/* tokenizer.json or vocab.txt; NULL: beside the file */
	const char *pooling;	/* "cls", "mean"; NULL: beside the file, or as models of its name are made */
	const char *prefix;	/* of a query; NULL: the same */
	size_t max_tokens;	/* of a text; 0: beside the file, or all positions */
};
#define CONVERT_OPTS_INIT { NULL, NULL, NULL, 0 }

struct convert_result {
	struct encoder_shape shape;
	const char *pooling;		/* static */
	char *prefix;			/* owned; "" if none */
	const char *family;		/* whose pooling and prefix it got by its name, static; NULL: told, or read */
};

/* dir: absent or empty.  RAG_EUNSUP: no BERT encoder, or no pooling is known;
 * RAG_EFORMAT: a damaged file; RAG_ENOENT: no tokenizer; RAG_EINVAL: dir is in use.
 * Release out after a failure too. */
int convert_model(struct convert_result *out, const char *dir, const char *in, const struct convert_opts *o);
void convert_result_release(struct convert_result *r);

#endif
