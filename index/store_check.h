/*
 * store_check - what the files of store_verify() share; nobody else includes it.
 */
#ifndef RAG_INDEX_STORE_CHECK_H
#define RAG_INDEX_STORE_CHECK_H

#include "index/store_impl.h"

struct span {		/* the chunks of a content, visible or in limbo */
	uint64_t first, n, n_vec, content;
	bool limbo;
};

struct check {
	struct store_snap *v;
	void (*report)(void *arg, const char *line);
	void *arg;
	uint64_t faults;
	struct span *span;	/* owned; by first once sorted */
	size_t n_spans, cap;
	uint8_t *seen;		/* owned; bit id: a vector, later the words, of that chunk were found */
	struct store_state found;	/* what the counters should be */
	uint64_t hidden_rows;
	uint64_t *print;	/* owned; of the words of each chunk, as far as blocks were read */
};

/* One database from end to end: fn decodes a pair.  A code from fn is a fault
 * with err_msg() for its line; RAG_ENOMEM and the like end the check. */
typedef int pair_fn(struct check *c, const MDB_val *key, const MDB_val *val);

int check_each(struct check *c, enum store_db db, size_t key_len, const char *what, pair_fn *fn);
/* Reports it; RAG_OK. */
int check_fault(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A fault that was found by decoding is reported and survived; another error is not. */
int check_survive(struct check *c, int rc, const char *what, uint64_t id);
const struct span *check_span(const struct check *c, uint64_t id);	/* that holds chunk id; NULL: none */
/* After the blocks: a hidden range's rows, which c->seen marks, are all there. */
int check_hidden(struct check *c, const MDB_val *key, const MDB_val *val);
uint64_t check_rows(const struct check *c);	/* that c->seen marks */

/* ---- store_verify_words.c */
int check_words(struct check *c);

/* ---- store_verify_tokens.c */
int check_tokens(struct check *c);

#endif
