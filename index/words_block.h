/*
 * words_block - postings of some chunks in one immutable run of bytes.
 *
 * Chunk ids ascend, terms ascend by their bytes; everything is looked at where
 * it lies, in a mapped page.  An entry of the dictionary carries the first
 * eight bytes of its term as a number, so that a binary search mostly compares
 * numbers that lie beside each other.  A posting is the step to the next chunk
 * and how often the term is in it, mostly a byte each, so that reading them has
 * no branch to guess wrong; the places lie apart, for phrases alone.  The layout is in index/README.md.
 *
 * Bytes are not trusted beyond their checksum: no malformed block makes a
 * reader leave it.  Readers share a block; a writer is for one thread at a time.
 */
#ifndef RAG_INDEX_WORDS_BLOCK_H
#define RAG_INDEX_WORDS_BLOCK_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WBLOCK_TERM_MAX 255u		/* bytes of a term, none of them NUL */

struct wblock {
	uint32_t n, n_terms;		/* chunks; terms */
	uint32_t words;			/* that count, in all chunks: the sum of lens */
	const uint8_t *ids;		/* (n) 8 bytes: ascending */
	const uint8_t *lens;		/* (n) 4 bytes: words that count */
	const uint8_t *terms;		/* (n_terms + 1) 24 bytes; the last says where the others end */
	const uint8_t *rest, *post, *pos;	/* of terms behind eight bytes; of all postings */
	uint32_t rest_len, post_len, pos_len;
};

/* False: not a block, or its parts are not as long as it says.  Does not look at the checksum. */
bool wblock_open(struct wblock *out, const void *p, size_t n);
bool wblock_check(const void *p, size_t n);	/* the checksum; n as wblock_open() took it */

uint64_t wblock_id(const struct wblock *b, uint32_t i);
uint32_t wblock_len(const struct wblock *b, uint32_t i);
uint32_t wblock_row(const struct wblock *b, uint64_t id);	/* the first whose id is not below */

/* The first term that is not below; n_terms if none. */
uint32_t wblock_lower(const struct wblock *b, const char *term, size_t n);
/* wblock_lower(), if that is the term itself; else n_terms. */
uint32_t wblock_find(const struct wblock *b, const char *term, size_t n);
/* The term's bytes, behind them no NUL; 0: malformed. */
size_t wblock_term(char out[WBLOCK_TERM_MAX], const struct wblock *b, uint32_t t);

/* The postings of a term, one after the other. */
struct wlist {
	const uint8_t *p, *end;		/* of the postings not yet read */
	const uint8_t *pos, *pos_end;	/* the places of those from the next on */
	uint32_t df;			/* chunks that hold the term */
	uint32_t n;			/* chunks of the block */
	uint32_t row, tf;		/* of the posting read last */
	bool begun, bad;
};

bool wblock_list(struct wlist *out, const struct wblock *b, uint32_t t);	/* false: malformed */
/* False at the end, and with l->bad where the bytes are malformed. */
bool wlist_next(struct wlist *l);
/* The places of the posting read last, its tf many, ascending; call it once for each posting,
 * or never.  NULL: skips them.  False: malformed. */
bool wlist_places(uint32_t *out, struct wlist *l);

/* ---- writing ------------------------------------------------------------------- */

/* A block is written from its chunks, then its terms in order, each with its
 * postings in order; a term without postings leaves nothing. */
struct wblock_writer {
	struct buf ids, lens, terms, rest, post, pos;	/* owned */
	uint32_t n, n_terms;
	uint64_t words;
	uint32_t df, row, post_at, pos_at;		/* of the open term */
	char term[WBLOCK_TERM_MAX];
	size_t term_len;
};

void wblock_writer_release(struct wblock_writer *w);	/* zeroed is allowed */
int wblock_chunk(struct wblock_writer *w, uint64_t id, uint32_t len);
int wblock_begin(struct wblock_writer *w, const char *term, size_t n);
/* places: (tf) ascending. */
int wblock_posting(struct wblock_writer *w, uint32_t row, const uint32_t *places, uint32_t tf);
int wblock_end(struct wblock_writer *w);
/* Appends the block, and empties the writer.  RAG_ELIMIT: more than 4 GiB. */
int wblock_write(struct buf *out, struct wblock_writer *w);

/* One block of several: rows that are dropped are left out, ids are raised by base; no id
 * comes twice.  out stays empty if no row is left.  RAG_ECORRUPT: a source is malformed. */
struct wblock_source {
	struct wblock b;
	uint64_t base;
	const uint8_t *drop;	/* (n) 1: not into the new one; NULL: none */
};
int wblock_merge(struct buf *out, const struct wblock_source *src, size_t n);

#endif
