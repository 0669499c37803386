/*
 * words_query - what the parts of words.h share; nobody else includes it.
 *
 * words_query.c turns text into terms, and finds each in every block;
 * words.c scores them.
 */
#ifndef RAG_INDEX_WORDS_QUERY_H
#define RAG_INDEX_WORDS_QUERY_H

#include "index/analyze.h"
#include "index/words.h"
#include "index/words_block.h"

struct rows {			/* of a block: from <= row < to */
	uint32_t from, to;
};

struct words_block {
	struct wblock b;
	struct rows *dead;	/* (n_dead) owned; hidden */
	size_t n_dead;
};

struct posting {
	uint32_t row, tf;
};

struct words_list {		/* a term in a block */
	uint32_t term;		/* of the block's dictionary; b.n_terms: not there */
	struct posting *made;	/* (n) owned; of a phrase or prefix */
	uint32_t n;
};

struct part {			/* of a phrase */
	size_t at, n;		/* of its term, in the phrase's bytes */
	uint32_t place;
};

struct words_entry {
	enum words_kind kind;
	char *key;		/* owned, (len) and a NUL; a phrase's terms one behind the other */
	size_t len;
	char *text;		/* owned; to be shown */
	struct part *part;	/* owned, (n_parts); of a phrase */
	size_t n_parts;
	float weight;
	uint64_t df;
	float idf;
	struct words_list *list;	/* owned, (n_blocks) */
	uint32_t next;		/* of the same bucket, number + 1 */
	uint32_t round;		/* the text that added to it last */
};

struct words_query {
	struct store_snap *v;
	struct store_words set;
	struct analyze *a;		/* owned */
	struct words_block *block;	/* owned, (n_blocks) */
	size_t n_blocks, cap_blocks;
	uint32_t longest;		/* rows of a block */
	uint64_t n, words;		/* visible chunks; words that count in them */
	struct words_entry *term;	/* owned, (n_terms) */
	size_t n_terms, cap_terms;
	uint32_t *bucket;		/* owned, (n_buckets) */
	size_t n_buckets;
	size_t n_awake;			/* terms that are no stop words */
	float *acc;			/* owned, (longest) */
	/* of the call */
	float add;
	uint32_t round;			/* of the texts that were added; 0: the question */
	struct words_entry phrase;
	uint32_t phrase_from;
	struct buf bytes;
};

/* Its idf by how many of the visible chunks hold it. */
float words_idf_of(const struct words_query *q, uint64_t df);

#endif
