/*
 * store - documents, their text, chunks and vectors, in one LMDB directory.
 *
 * A document is what a URI names; it points to a content (text, marks, chunks,
 * vectors), which several documents may share.  A content is named by a hash
 * over everything that it is made of, so equal ones are stored once.  Readers
 * look at a snapshot and never wait.  The one writer stages contents where no
 * reader sees them and makes any number of documents visible in one short
 * transaction.  What a crash leaves behind is invisible, and swept by the next
 * writer.  The numbered invariants and the layout are in index/README.md.
 *
 * Threads: a store may be used from any thread (locks inside); a snapshot, a
 * writer and its stages by one thread at a time.  Do not use any of them in a
 * child after fork(): the child calls store_open() itself.
 */
#ifndef RAG_INDEX_STORE_H
#define RAG_INDEX_STORE_H

#include "base/buf.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_FORMAT 2u			/* of the directory; a newer one is refused */
#define STORE_URI_MAX 65536u		/* bytes, without the NUL */
#define STORE_TITLE_MAX 65536u
#define STORE_LABELS_MAX 65536u
#define STORE_ABOUT_MAX 65536u
#define STORE_TYPE_MAX 255u
#define STORE_HEADING_MAX 65535u
#define STORE_DIM_MAX 65536u
#define STORE_SPACE_MAX (1u << 25)
#define STORE_TOKENS_MAX (1u << 20)
#define STORE_UUID_LEN 16
#define STORE_LANGUAGE_MAX 31u

struct store;
struct store_snap;
struct store_writer;
struct stage;

/* ---- open --------------------------------------------------------------- */

struct store_opts {
	bool create;		/* make the directory (its parent must exist) and the store if there is none */
	size_t map_bytes;	/* largest size of the store; 0: as much as the address space gives */
	size_t map_first;	/* mapped at first, doubled when full; 0: as much as there can be */
};
#define STORE_OPTS_INIT { false, 0, 0 }

/* A second open of the same directory in this process shares the first (and its
 * map).  Where nothing can be written it opens for reading alone.  RAG_ENOENT: no
 * store there; RAG_EFORMAT: something else; RAG_EVERSION: made by a newer
 * ragstone; RAG_ECORRUPT: cut short.  The caller owns *out. */
int store_open(struct store **out, const char *dir, const struct store_opts *opts);
/* End snapshots and writers first.  NULL is allowed. */
void store_close(struct store *s);
const char *store_dir(const struct store *s);	/* as given to the first open; borrowed */

/* ---- reading ------------------------------------------------------------- */

/* A snapshot: what was visible when it began, whatever is written meanwhile.  It
 * keeps old pages from being reused, so it ends in the call that began it: none
 * outlives a call of the library.  All pointers that reading functions give are
 * borrowed from the mapped store and gone at store_snap_end(): copy what stays.
 * RAG_EBUSY: more readers at once than the store has places for. */
int store_snap(struct store_snap **out, struct store *s);
void store_snap_end(struct store_snap *v);	/* NULL is allowed */

struct store_doc {
	uint64_t id;
	const char *uri, *title, *type, *labels;	/* NUL-terminated, never NULL; labels "key=value,key=value" */
	const char *about;		/* as in struct stage_doc; never NULL */
	size_t uri_len;
	uint8_t source_hash[HASH_LEN];	/* of the source's bytes */
	uint64_t source_size;
	int64_t source_mtime;		/* nanoseconds since 1970; 0: not known */
	int64_t added, modified;	/* seconds since 1970: first published, last replaced */
	uint64_t content;
	uint64_t text_len, n_chunks;	/* of the content */
};

/* RAG_ENOENT if there is none. */
int store_doc(struct store_doc *out, struct store_snap *v, uint64_t id);
int store_doc_by_uri(struct store_doc *out, struct store_snap *v, const char *uri);
/* In order of ids.  fn's result, when not 0, ends the walk and is returned.  d's
 * pointers live until store_snap_end(), d itself for the call. */
typedef int store_doc_fn(void *arg, const struct store_doc *d);
int store_docs(struct store_snap *v, store_doc_fn *fn, void *arg);
/* The documents that share a content, in order of ids. */
int store_content_docs(struct store_snap *v, uint64_t content, store_doc_fn *fn, void *arg);

/* Appends bytes [start, end) of a content's text.  RAG_EINVAL beyond its end. */
int store_text(struct buf *out, struct store_snap *v, uint64_t content, uint64_t start, uint64_t end);

struct store_chunk {
	uint64_t id, content;
	uint64_t start, end;		/* bytes of the content's text */
	const char *heading;		/* path "A > B", "" if none; NUL-terminated */
	size_t heading_len;
	uint32_t page, line;		/* of start, from 1; 0: not known */
};
/* RAG_ENOENT if there is none (any more). */
int store_chunk(struct store_chunk *out, struct store_snap *v, uint64_t id);
/* A content's chunks in order.  As store_docs(). */
typedef int store_chunk_fn(void *arg, const struct store_chunk *c);
int store_chunks(struct store_snap *v, uint64_t content, store_chunk_fn *fn, void *arg);

enum store_mark_kind {
	STORE_PAGE = 1,		/* value: the page that begins here, from 1 */
	STORE_HEADING,		/* value: its level from 1; text: the heading */
	STORE_LINE,		/* value: the line of the source that begins here, from 1 */
};
struct store_mark {
	uint64_t at;		/* offset in the text */
	enum store_mark_kind kind;
	uint32_t value;
	const char *text;	/* "" but for a heading; NUL-terminated */
	size_t text_len;
};
/* In order of offsets.  As store_docs(). */
typedef int store_mark_fn(void *arg, const struct store_mark *m);
int store_marks(struct store_snap *v, uint64_t content, store_mark_fn *fn, void *arg);
/* Page and source line of an offset by the marks before it; 0: not known. */
int store_place(uint32_t *page, uint32_t *line, struct store_snap *v, uint64_t content, uint64_t at);

struct store_generation {
	uint32_t id;
	uint32_t dim;			/* 0: no embedder yet, words alone */
	uint8_t fingerprint[HASH_LEN];	/* embed_fingerprint(); zeros while dim is 0 */
	const char *embedder;		/* its name; "" while dim is 0 */
	const char *chunking;		/* the chunker's parameters, in its own words; "" if not set */
};
/* The generation that answers. */
int store_generation(struct store_generation *out, struct store_snap *v);

/* The weight of vectors against words where both answer (see search.h): what was
 * set, else STORE_WEIGHT. */
#define STORE_WEIGHT .65f
int store_weight(float *out, struct store_snap *v);

/* Up to max chunks that lack a vector, in order of ids; *n == 0: none. */
int store_lacking(uint64_t *ids, size_t *n, struct store_snap *v, size_t max);

/* How words are analysed and scored. */
struct store_words {
	char language[STORE_LANGUAGE_MAX + 1];	/* of a Snowball stemmer, or "none" */
	bool stop;			/* stop words do not count */
	float k1, b;			/* of BM25 */
};
#define STORE_WORDS_INIT { "english", true, 1.2f, 0.75f }

struct store_status {
	uint64_t documents, contents, chunks, text_bytes;	/* shared contents count once */
	uint64_t vectors;		/* chunks that have one */
	uint64_t disk_bytes;
	uint32_t format, generation, dim;
	float weight;			/* store_weight() */
	struct store_words words;	/* language "": there are none yet */
	char *embedder;			/* owned; store_status_release() */
	uint8_t uuid[STORE_UUID_LEN];
};
int store_status(struct store_status *out, struct store *s);
void store_status_release(struct store_status *st);

/* Checks every invariant and checksum on one snapshot; report (may be NULL) gets
 * a line for each fault.  RAG_ECORRUPT if there was one. */
int store_verify(struct store *s, void (*report)(void *arg, const char *line), void *arg);

/* Vectors in place, for index/search.c.  A block is rows of one generation in
 * ascending order of chunk ids; rows in hidden ranges are not to be shown. */
struct store_block {
	uint32_t n, dim;
	const uint8_t *ids;		/* (n) little-endian 64-bit chunk ids */
	const uint8_t *rows;		/* (n, dim) fp16, little-endian, 2-byte aligned */
};
typedef int store_block_fn(void *arg, const struct store_block *b);
int store_blocks(struct store_snap *v, store_block_fn *fn, void *arg);
struct store_range {
	uint64_t first, end;		/* chunk ids first <= id < end */
};
/* Ascending, disjoint.  The caller frees *out with mem_free(). */
int store_hidden(struct store_range **out, size_t *n, struct store_snap *v);
/* The words of visible chunks, in place: index/words.h searches them.  A block is chunks
 * of one generation; rows in hidden ranges are not to be shown, and not to be counted. */
/* RAG_ENOENT: the store was made by an older ragstone, and its next writer has yet to
 * index the words. */
int store_words(struct store_words *out, struct store_snap *v);
struct wblock;
typedef int store_wblock_fn(void *arg, const struct wblock *b);
int store_wblocks(struct store_snap *v, store_wblock_fn *fn, void *arg);
int store_words_hidden(struct store_range **out, size_t *n, struct store_snap *v);	/* as store_hidden() */

/* The chunks of a content; first == end if it has none. */
int store_content_range(struct store_range *out, struct store_snap *v, uint64_t content);

/* Bytes of token vectors (index/late.h knows what they mean), behind their checksum.
 * RAG_ENOENT, without a message: there are none. */
int store_space(const void **out, size_t *n, struct store_snap *v);	/* what the generation's are projected with */
int store_tokens(const void **out, size_t *n, struct store_snap *v, uint64_t chunk);

/* ---- writing ---------------------------------------------------------------- */

/* Takes the writer's lock (RAG_EBUSY at once, naming the process that has it) and
 * sweeps what a crashed writer left.  RAG_EDENIED where the store cannot be
 * written.  The lock goes with the process. */
int store_write_begin(struct store_writer **out, struct store *s);
/* Discards stages that were not published; they are freed.  NULL is allowed. */
void store_write_end(struct store_writer *w);

/* Says which chunking and embedder the vectors come from; once, before the first
 * vector.  Said again: nothing if the same, RAG_EMISMATCH (naming both) if another
 * and the store holds vectors.  embedder NULL (with dim 0): sets the chunking alone. */
int store_set_generation(struct store_writer *w, const char *chunking, const char *embedder,
			 const uint8_t fingerprint[HASH_LEN], size_t dim);

int store_set_weight(struct store_writer *w, float weight);	/* RAG_EINVAL: not 0 .. 1 */
/* How words are analysed and scored.  Nothing if it is so already; another language or other
 * stop words: all words are indexed anew before it returns.  RAG_EUNSUP: no such language. */
int store_set_words(struct store_writer *w, const struct store_words *set);

/* What all token vectors of the generation are projected with, before the first of
 * them; RAG_EINVAL when it is set already. */
int store_set_space(struct store_writer *w, const void *p, size_t n);

struct store_bytes {
	const void *p;
	size_t n;
};

struct stage_doc {
	const char *uri;		/* 1 .. STORE_URI_MAX bytes */
	const char *title, *type;	/* NULL: "" */
	const char *labels;		/* "key=value,key=value"; NULL: "" */
	const char *about;		/* what the document says of itself: lines "key=value", each with
					   its '\n'; a key may come again; NULL: "" */
	const char *context;		/* what else went into the vectors (a title put before each
					   chunk, a hash of the caller's own vectors): part of the
					   content's identity; NULL: nothing */
	uint8_t source_hash[HASH_LEN];
	uint64_t source_size;
	int64_t source_mtime;		/* nanoseconds */
};
struct stage_chunk {
	uint64_t start, end;		/* start <= end <= length of the text */
	const char *heading;		/* NULL: "" */
	uint32_t page, line;		/* of start; 0: not known */
};

/* One document on its way in.  Calls in this order: text, marks, chunks (each any
 * number of times, each in order), have, vectors.  Up to about 2 MiB stays in
 * memory; more goes to disk in small transactions, unseen.  Arguments are copied.
 * After a failure only stage_free() makes sense. */
int stage_begin(struct stage **out, struct store_writer *w, const struct stage_doc *d);
int stage_text(struct stage *st, const char *s, size_t n);
int stage_marks(struct stage *st, const struct store_mark *m, size_t n);	/* ascending at */
int stage_chunks(struct stage *st, const struct stage_chunk *c, size_t n);	/* ascending start */
/* Closes text, marks and chunks.  True: the store has this content with all its
 * vectors already, so giving them is a waste. */
int stage_have(bool *have, struct stage *st);
/* (n, dim) vectors of the next n chunks, in batches of any size; normalised here.
 * All chunks or none have vectors when it is published (RAG_EINVAL otherwise).
 * RAG_EINVAL too for what is not finite or all zeros. */
int stage_vectors(struct stage *st, const float *vectors, size_t n);
/* Token vectors of the next n chunks, which have their vectors.  All chunks or none
 * have them when it is published. */
int stage_tokens(struct stage *st, const struct store_bytes *tokens, size_t n);
/* Drops what was not published.  NULL is allowed. */
void stage_free(struct stage *st);

enum stage_outcome {
	STAGE_ADDED = 1,
	STAGE_REPLACED,
	STAGE_UNCHANGED,	/* same content, title, type, labels, about: only source_* was brought up to date */
};
struct stage_result {
	enum stage_outcome outcome;
	uint64_t doc;		/* a URI keeps its id when it is replaced */
	uint64_t n_chunks, text_len;
};
/* Makes all n visible, durably, in one transaction; on failure none, and they may be
 * published again.  Old versions are gone in the same moment.  Of two with the same URI
 * the later wins.  Does not free them.  RAG_EFULL: disk or map full, nothing lost. */
int store_publish(struct stage_result *results, struct store_writer *w, struct stage *const *stages, size_t n);

/* Gone from every answer at once, all or none.  RAG_ENOENT names the first id that is none. */
int store_forget(struct store_writer *w, const uint64_t *docs, size_t n);
/* (n, dim) vectors and (n) token vectors (NULL: none) for chunks as store_lacking() listed them, in that order; durable.
 * Chunks that have been forgotten meanwhile are passed over. */
int store_add_vectors(struct store_writer *w, const uint64_t *chunks, const float *vectors,
		      const struct store_bytes *tokens, size_t n);

#endif
