/*
 * embed - text to unit vectors, by a BERT encoder with its pooling.
 *
 * Sequences are run in ragged batches without padding.  The same text gives
 * the same bits for any batch, any position in it and any number of threads:
 * every sum has an order that depends on the sequence alone.  In int8 the
 * kernel level makes no difference either.  Vectors of int8 and of f32 have
 * different fingerprints: never compare one with the other.
 * One thread at a time per object (it owns scratch memory and uses the pool
 * given); open two to embed from two threads.
 */
#ifndef RAG_MODEL_EMBED_H
#define RAG_MODEL_EMBED_H

#include "base/hash.h"
#include "base/par.h"
#include "base/progress.h"
#include "model/encoder.h"

#include <stdbool.h>
#include <stddef.h>

struct embed;
struct tok;

struct embed_text {
	const char *s;
	size_t len;
};

/* Takes the last layer's vectors of a text's tokens, [CLS] and [SEP] among them, as
 * its own vector is made: x (n, dim), not normalised, and ids (n) are gone at return.
 * Texts come in order, each once.  What it returns but 0 ends the call. */
struct embed_sink {
	int (*take)(void *arg, size_t text, const int32_t *ids, const float *x, size_t n);
	void *arg;
};

#define EMBED_PRECISION ENCODER_INT8	/* by default */

/* path: a model's directory (config.json, model.safetensors, tokenizer).
 * RAG_EUNSUP names an architecture that is no encoder ("not an embedding
 * model: 'llama'").  The caller owns *out; par is borrowed, may be NULL. */
int embed_open(struct embed **out, const char *path, enum encoder_precision precision, struct par *par);
void embed_close(struct embed *e);

size_t embed_dim(const struct embed *e);
size_t embed_max_tokens(const struct embed *e);	/* of one sequence, [CLS] and [SEP] counted: 256 for MiniLM */
const struct tok *embed_tok(const struct embed *e);
const char *embed_name(const struct embed *e);	/* the directory's last part */
/* Names weights, tokenizer, pooling and precision: vectors of equal fingerprints may be compared. */
const uint8_t *embed_fingerprint(const struct embed *e);	/* HASH_LEN bytes */

enum encoder_precision embed_precision(const struct embed *e);
/* The precision that makes vectors of this fingerprint; false: none does. */
bool embed_precision_of(enum encoder_precision *out, const struct embed *e,
			const uint8_t fingerprint[HASH_LEN]);
void embed_set_precision(struct embed *e, enum encoder_precision precision);
const char *embed_precision_name(enum encoder_precision precision);	/* "f32", "int8" */
/* By its name; NULL: EMBED_PRECISION.  RAG_EINVAL when there is none such. */
int embed_precision_parse(enum encoder_precision *out, const char *name);

/* out: (n, dim) unit vectors.  A text beyond embed_max_tokens() is an error
 * (RAG_ELIMIT) unless truncate: nothing is cut off unseen.  *truncated (may
 * be NULL) counts those cut. */
int embed_texts(float *out, struct embed *e, const struct embed_text *texts, size_t n,
		int truncate, size_t *truncated, const struct progress *p);
/* The same, with the token vectors of the same pass.  sink may be NULL. */
int embed_texts_tokens(float *out, struct embed *e, const struct embed_text *texts, size_t n,
		       int truncate, size_t *truncated, const struct embed_sink *sink,
		       const struct progress *p);
/* A search query: with the model's query prefix where it has one; truncates. */
int embed_query(float *out, struct embed *e, const char *s, size_t n);
const char *embed_query_prefix(const struct embed *e);	/* "" where there is none */
int embed_query_tokens(float *out, struct embed *e, const char *s, size_t n,
		       const struct embed_sink *sink);
/* False for tokens that fit anything: special ones, punctuation, stop words (English ones). */
bool embed_keeps(const struct embed *e, int32_t id);

#endif
