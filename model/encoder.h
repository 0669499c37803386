/*
 * encoder - BERT: a vector for each token, from all tokens of its sequence.
 *
 * As in Devlin et al. 2018 (arXiv 1810.04805) and transformers' BertModel:
 * token + position + type embedding, then for each layer attention and a
 * feed-forward net, each added to its input and normalised (post-norm).
 *
 * A batch is ragged: the tokens of all sequences stand one behind the other
 * without padding.
 * ENCODER_F32: linear layers see one (tokens, hidden) matrix, cut into pieces
 * of KERN_PANEL outputs by some hundred rows; attention is a piece per
 * sequence and head.  A piece packs its panel of weights itself, straight
 * from the mapped file.
 * ENCODER_INT8: linear layers and attention's products in 8-bit integers
 * (base/kern_int8.h), weights packed by the first eval (a quarter of the
 * file's bytes).  A thread takes some whole sequences through all layers, so
 * that its work stays in its cache and threads meet only at the end; a batch
 * too small for that is shared out step by step.
 *
 * Invariant: a sequence's vectors depend on its tokens alone, to the bit:
 * every sum is over the width of a layer or the length of the sequence, in
 * an order that neither batch nor threads change; in ENCODER_INT8 nor does
 * the kernel level.
 */
#ifndef RAG_MODEL_ENCODER_H
#define RAG_MODEL_ENCODER_H

#include "base/hash.h"
#include "base/par.h"

#include <stddef.h>
#include <stdint.h>

enum encoder_precision {
	ENCODER_F32,
	ENCODER_INT8,
	ENCODER_PRECISIONS
};

struct encoder;		/* weights, mapped; immutable: share it */
struct encoder_run;	/* scratch memory; one thread at a time */
struct json;
struct kern;

struct encoder_shape {
	size_t layers, hidden, heads, ffn, vocab, positions, types;
	float eps;	/* of the layer norms */
};

/* dir: config.json and model.safetensors.  Every tensor's shape is checked
 * against the config.  RAG_EUNSUP names an architecture, activation or
 * position embedding that isn't BERT's.  The caller owns *out. */
int encoder_open(struct encoder **out, const char *dir);
void encoder_close(struct encoder *e);		/* NULL is allowed */
const struct encoder_shape *encoder_shape(const struct encoder *e);
/* Adds what tells this encoder from others: shape, tensor table and a sample
 * of each tensor's values, as hashing all of them would take longer than
 * embedding a query. */
void encoder_hash(struct hash_state *h, const struct encoder *e);

/* e, k and par are borrowed; par may be NULL. */
int encoder_run_new(struct encoder_run **out, const struct encoder *e, enum encoder_precision precision,
		    const struct kern *k, struct par *par);
void encoder_run_free(struct encoder_run *r);	/* NULL is allowed */
/* n sequences, the i-th being ids[offset[i]] .. ids[offset[i + 1] - 1], none
 * empty or longer than shape.positions, each id below shape.vocab.
 * *out: (offset[n], hidden), in the run's memory until its next call. */
int encoder_eval(const float **out, struct encoder_run *r, const int32_t *ids,
		 const size_t *offset, size_t n);
/* The same of pairs of texts: sequence i's tokens from second[i] on are of type 1.  The
 * model must have two types. */
int encoder_eval_pairs(const float **out, struct encoder_run *r, const int32_t *ids,
		       const size_t *offset, const size_t *second, size_t n);

/* DIR/NAME as JSON.  RAG_ENOENT when there is no such file. */
int encoder_json(struct json **out, const char *dir, const char *name);

#endif
