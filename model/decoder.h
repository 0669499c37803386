/*
 * decoder - a transformer that predicts the next token (llama, qwen2, gemma3).
 *
 * struct decoder holds weights and is immutable after decoder_open(): share
 * it.  struct decoder_run holds a KV cache and scratch: one thread at a time.
 * Same tokens, same logits, for any split into calls and any number of
 * threads, on the same kernel level.
 */
#ifndef RAG_MODEL_DECODER_H
#define RAG_MODEL_DECODER_H

#include "base/hash.h"
#include "base/par.h"
#include "base/progress.h"

#include <stddef.h>
#include <stdint.h>

struct decoder;
struct decoder_run;
struct tok;

/* path: a .gguf file or a directory with model.gguf.  RAG_EUNSUP names the
 * architecture, tokenizer or tensor type that we can't run. */
int decoder_open(struct decoder **out, const char *path);
void decoder_close(struct decoder *d);

const struct tok *decoder_tok(const struct decoder *d);
const char *decoder_arch(const struct decoder *d);	/* "qwen2" */
const char *decoder_name(const struct decoder *d);
const char *decoder_template(const struct decoder *d, size_t *len);	/* tokenizer.chat_template; NULL: none; not NUL-terminated */
size_t decoder_vocab(const struct decoder *d);
size_t decoder_context(const struct decoder *d);	/* tokens that the model was trained for */
const uint8_t *decoder_fingerprint(const struct decoder *d);	/* HASH_LEN bytes: hash of the header and tensor table, not of gigabytes */

/* n_ctx: tokens that the cache holds, at most decoder_context().  par is borrowed, may be NULL. */
int decoder_run_new(struct decoder_run **out, const struct decoder *d, size_t n_ctx, struct par *par);
void decoder_run_free(struct decoder_run *r);

/* Appends ids behind what the cache holds.  logits: (vocab) of the last
 * token, or NULL when not wanted.  RAG_ELIMIT when the cache is full;
 * RAG_ECANCEL by p between layers (the cache then is as before). */
int decoder_eval(float *logits, struct decoder_run *r, const int32_t *ids, size_t n,
		 const struct progress *p);
/* As above, logits (n, vocab) of every token: perplexity and tests. */
int decoder_eval_all(float *logits, struct decoder_run *r, const int32_t *ids, size_t n);
size_t decoder_len(const struct decoder_run *r);	/* tokens in the cache */
size_t decoder_room(const struct decoder_run *r);	/* n_ctx - len */
void decoder_rewind(struct decoder_run *r, size_t len);	/* keeps the first len tokens */
const int32_t *decoder_tokens(const struct decoder_run *r);	/* (len) the ids in the cache, for prefix reuse */

#endif
