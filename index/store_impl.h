/*
 * store_impl - what the store's own files share; nobody else includes it.
 *
 * store.c opens, begins and ends transactions; store_read.c looks things up;
 * store_stage.c and store_write.c write; store_settings.c keeps the few settings; store_vec.c keeps the vector blocks;
 * store_verify.c checks it all.  Every write goes through store_txn(), which
 * grows the map and starts again where that is full: what it calls must leave
 * memory as it was until it has returned RAG_OK.
 */
#ifndef RAG_INDEX_STORE_IMPL_H
#define RAG_INDEX_STORE_IMPL_H

#include "base/err.h"
#include "base/mem.h"
#include "index/codec.h"
#include "index/store.h"
#include "index/words_block.h"
#include "index/words_build.h"

#include <lmdb.h>
#include <pthread.h>
#include <sys/types.h>

enum store_db {		/* keys and values: index/README.md */
	DB_META, DB_DOC, DB_URI, DB_CONTENT, DB_HASH, DB_OWNER, DB_TEXT, DB_MARK,
	DB_LAYOUT, DB_CHUNK, DB_GEN, DB_BLOCK, DB_HIDDEN, DB_LIMBO, DB_LACK,
	DB_WORDS, DB_WORDS_HIDDEN, DB_SPACE, DB_TOKENS,
	DB_COUNT
};
#define DB_LATER DB_WORDS		/* from here on: not in stores made by older programs */

/* LMDB puts 16 bytes before a value that has pages of its own: this many fill 64 of them. */
#define STORE_PIECE (64u * 4096 - 16 - 4)	/* text or marks, behind 4 bytes of checksum */
#define STORE_BATCH 4096u		/* records of one sweeping or staging transaction */
#define STAGE_MEMORY ((size_t)2 << 20)	/* what a stage keeps before it goes to disk */
#define PUBLISH_MEMORY ((size_t)8 << 20)	/* what one publishing transaction writes at most */

struct store_state {	/* the record that begins DB_META */
	uint32_t format;		/* STORE_FORMAT, or an older one until a writer has brought it up */
	uint32_t generation;
	uint8_t uuid[STORE_UUID_LEN];
	uint64_t created;
	uint64_t next_doc, next_content, next_chunk, next_block;
	uint64_t documents, contents, chunks, text_bytes, vectors;
};

struct store {
	struct store *next;		/* registry of this process */
	unsigned refs;			/* under the registry's lock */
	dev_t dev;
	ino_t ino;
	pid_t pid;
	char *dir;			/* owned, as given */
	char *lock_path;		/* owned, absolute: the process may go elsewhere */
	MDB_env *env;
	MDB_dbi dbi[DB_COUNT];
	bool read_only;
	size_t map_bytes, map_most;	/* mapped now; not to be passed */
	pthread_rwlock_t map_lock;	/* shared by transactions; exclusive to remap */
	pthread_mutex_t seen_lock;
	uint8_t *seen;			/* bit n: block n's checksum was right; blocks never change */
	uint64_t seen_blocks;		/* bits there are */
};

struct tx {
	struct store *s;
	MDB_txn *txn;
	struct store_state st;
	MDB_cursor **cur;	/* a snapshot's, else NULL */
	bool map_full;
};

struct store_snap {
	struct tx tx;
	MDB_cursor *cur[DB_COUNT];	/* opened when first needed: near keys are found without a descent */
	uint64_t seen_content;		/* the text piece whose checksum was right last */
	uint32_t seen_piece;
};

struct store_writer {
	struct store *s;
	int lock_fd;
	struct stage *stages;		/* list of the living */
	struct words_build *words;	/* owned; NULL until words_begin() is through */
};

struct layout {		/* a content's chunks in a generation */
	uint64_t first, n, n_vec;	/* the first n_vec have vectors */
};

struct content {
	uint8_t hash[HASH_LEN];
	uint64_t text_len;
	uint32_t text_pieces, mark_pieces;
	const char *type, *context;	/* borrowed */
	size_t type_len, context_len;
};

struct hidden {		/* chunk ids [first, first + n) are not shown */
	uint64_t n, rows;		/* rows: of them in blocks */
	uint32_t staged;		/* 1: a living stage's, else dead */
};

struct limbo {		/* a content that nobody sees: staged, or waiting for the sweep */
	uint32_t generation;
	uint64_t first, n;		/* its chunks; 0, 0: none yet */
};

/* ---- store.c */

/* Tests: called where a crash would hurt (each change, and around each commit). */
extern void (*store_kill_hook)(void);

int store_err(const struct store *s, int rc, const char *what);	/* an LMDB code as ours, with its message */
int store_corrupt(const struct store *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int store_txn(struct store *s, int (*fn)(struct tx *t, void *arg), void *arg);
uint64_t store_disk_bytes(const struct store *s);

/* RAG_ENOENT, without a message, when the key is not there. */
int tx_get(MDB_val *out, struct tx *t, enum store_db db, const void *key, size_t n);
int tx_put(struct tx *t, enum store_db db, const void *key, size_t klen, const void *val, size_t vlen);
int tx_reserve(void **out, struct tx *t, enum store_db db, const void *key, size_t klen, size_t vlen);
int tx_del(struct tx *t, enum store_db db, const void *key, size_t n);
int tx_cursor(MDB_cursor **out, struct tx *t, enum store_db db);
/* As mdb_cursor_get(), with RAG codes; RAG_ENOENT without a message at the end. */
int tx_seek(MDB_val *key, MDB_val *val, struct tx *t, MDB_cursor *c, MDB_cursor_op op);

/* A generation's entries of a database whose keys are (gen, number), in order.  fn's
 * result, when not 0, ends the walk and is returned; it changes nothing in db. */
typedef int tx_entry_fn(void *arg, struct tx *t, uint64_t no, const MDB_val *val);
int tx_generation(struct tx *t, enum store_db db, uint32_t gen, tx_entry_fn *fn, void *arg);

void key_gen64(uint8_t out[12], uint32_t gen, uint64_t id);
void key_64_32(uint8_t out[12], uint64_t id, uint32_t part);
void key_64_64(uint8_t out[16], uint64_t a, uint64_t b);

/* ---- store_state.c: the record that begins DB_META */
int state_load(struct tx *t);
int state_save(struct tx *t);
int state_encode(struct buf *out, const struct store_state *st);

/* ---- store_read.c: RAG_ENOENT without a message when absent */
int doc_decode(struct store_doc *out, const struct store *s, uint64_t id, const MDB_val *v);
int content_get(struct content *out, struct tx *t, uint64_t id);
int content_decode(struct content *out, const struct store *s, uint64_t id, const MDB_val *v);
int layout_get(struct layout *out, struct tx *t, uint32_t gen, uint64_t content);
int layout_decode(struct layout *out, const struct store *s, uint64_t content, const MDB_val *v);
int chunk_decode(struct store_chunk *out, const struct store *s, uint64_t id, const MDB_val *v);
int gen_get(struct store_generation *out, struct tx *t, uint32_t gen);
int hidden_decode(struct hidden *out, const struct store *s, uint64_t first, const MDB_val *v);
int limbo_decode(struct limbo *out, const struct store *s, uint64_t content, const MDB_val *v);
int uri_doc(uint64_t *id, struct tx *t, const char *uri, size_t n);
/* One mark from a piece; in must hold it whole. */
bool mark_decode(struct store_mark *out, struct codec_in *in);
/* Text or marks behind their checksum. */
int piece_open(const uint8_t **p, size_t *n, const struct store *s, uint64_t content, const char *kind,
	       const MDB_val *v);
void content_name(uint8_t out[HASH_LEN], const char *type, const char *context,
		  const uint8_t text[HASH_LEN], const uint8_t marks[HASH_LEN], const uint8_t chunks[HASH_LEN]);
void chunk_hash_add(struct hash_state *h, uint64_t start, uint64_t end, uint32_t page,
		    const char *heading, size_t n);

/* ---- store_publish.c */
int layout_put(struct tx *t, uint32_t gen, uint64_t content, const struct layout *l);	/* and DB_LACK */
int limbo_put(struct tx *t, uint64_t content, const struct limbo *l);
int doc_patch(struct tx *t, uint64_t id, size_t at, const void *p, size_t n);
int owner_first(uint64_t *doc, struct tx *t, uint64_t content);	/* RAG_ENOENT without a message */
int owner_del(struct tx *t, uint64_t content, uint64_t doc);
int content_retire(struct tx *t, uint64_t id);
/* It lacks no vector, nor token vectors where the generation has a space for them. */
int content_full(bool *full, struct tx *t, uint32_t gen, const struct layout *l);

/* ---- store_write.c */
int store_sweep(struct store_writer *w);	/* what is in limbo and belongs to no living stage */

/* ---- store_stage.c */
enum stage_phase { STAGE_TEXT, STAGE_MARKS, STAGE_CHUNKS, STAGE_CLOSED };

struct stage {
	struct store_writer *w;
	struct stage *next;
	char *uri, *title, *type, *labels, *about, *context;	/* owned, never NULL */
	uint8_t source_hash[HASH_LEN];
	uint64_t source_size;
	int64_t source_mtime;

	struct hash_state text_hash, mark_hash, chunk_hash;
	uint8_t hash[HASH_LEN];		/* the content's name, once closed */
	struct buf text, marks;		/* not yet on disk */
	struct buf chunks;		/* not yet on disk: stage_chunk_next() reads them */
	struct buf vec;			/* fp16 rows not yet on disk */
	struct buf tokens;		/* not yet on disk: stage_write_tokens() reads them */
	struct buf words;		/* a block of words not yet on disk; ids are chunk numbers from 0 */
	uint64_t text_len, n_chunks, n_vec, n_tokens;
	uint64_t mark_at, chunk_at;	/* of the last one */
	uint32_t text_pieces, mark_pieces;	/* on disk */
	uint64_t chunks_done, vec_done, tokens_done;	/* on disk */
	uint64_t words_done, words_next;	/* chunks whose words are on disk; and in words, too */
	size_t words_at;		/* of chunk words_next in chunks */

	uint32_t generation, dim;	/* fixed when closed */
	uint64_t content;		/* its id, once anything is on disk; else 0 */
	uint64_t first_chunk;		/* once ids are taken; else 0 */
	enum stage_phase phase;
	bool published, broken;
};

size_t stage_memory(const struct stage *st);
/* The words of the next chunks, about max bytes of them, into st->words; nothing if it has some. */
int stage_words(struct stage *st, size_t max);
int stage_close(struct stage *st);
int stage_leave(struct stage *st, int rc);	/* each call's end: breaks it, or spills what is too much */
int stage_spill(struct stage *st);	/* all that is final, to where nobody sees it */
struct written {			/* by one call of stage_write_*() */
	size_t text, marks, chunks;	/* bytes of the stage's bufs */
	uint32_t text_pieces, mark_pieces;
	uint64_t n_chunks;
};
/* Text, marks and chunks from memory, at most about max bytes of each, under this
 * content and first chunk id.  Nothing of st changes; *w says how far it came. */
int stage_write(struct written *w, struct tx *t, const struct stage *st, uint64_t content,
		uint64_t first, size_t max);

/* ---- store_words.c */
struct words_state {	/* a record of DB_META */
	struct store_words set;
	uint32_t version;		/* ANALYZE_VERSION of who indexed them */
	uint64_t todo, todo_end;	/* chunks todo <= id < todo_end have no words yet */
};
int words_state_get(struct words_state *out, struct tx *t);	/* RAG_ENOENT without a message */
int words_state_put(struct tx *t, const struct words_state *ws);
/* The words of a visible chunk. */
int words_of_chunk(struct words_build *b, struct store_snap *v, const struct store_chunk *c);
/* Indexes what has no words; before anything is published or forgotten. */
int words_begin(struct store_writer *w);
void words_title(const char **s, size_t *n, const char *context);	/* the part of it that is read */
struct words_new {	/* a block on its way in */
	const struct buf *block;
	uint64_t base;		/* added to its ids */
};
/* May take small blocks in, too. */
int words_append(struct tx *t, uint32_t gen, const struct words_new *in, size_t n);
int store_tidy_words(struct store_writer *w);	/* merges, and drops what is mostly dead */

/* ---- store_tokens.c: what is read is behind its checksum; RAG_ENOENT without a message when absent */
int tokens_put(struct tx *t, uint32_t gen, uint64_t chunk, const void *p, size_t n);
int tokens_open(const void **out, size_t *n, const struct store *s, uint64_t chunk, const MDB_val *v);
int tokens_get(const void **out, size_t *n, struct tx *t, uint32_t gen, uint64_t chunk);
int space_get(const void **out, size_t *n, struct tx *t, uint32_t gen);
int tokens_drop(struct tx *t, uint32_t gen);	/* all of them, and their space */
/* What is given, to a generation that has a space. */
int tokens_check(struct store *s, const struct store_bytes *t, size_t n);
/* All that the stage has in memory, for its chunks from first on; *n says how many. */
int stage_write_tokens(uint64_t *n, struct tx *t, const struct stage *st, uint64_t first);

/* ---- store_vec.c */
#define BLOCK_HEAD 16u
uint32_t block_rows(uint32_t dim);	/* of a full block */
struct vec_row {
	uint64_t id;
	const uint8_t *row;	/* (dim) fp16, borrowed */
};
struct vec_rows {
	struct vec_row *row;
	size_t n, cap;
	void *copy[64];		/* owned: blocks whose rows are among them */
	size_t n_copies;
};
int rows_add(struct vec_rows *r, uint64_t id, const uint8_t *row);
void rows_release(struct vec_rows *r);
/* Ids ascending.  May take small blocks' rows into r, too. */
int block_append(struct tx *t, uint32_t gen, uint32_t dim, struct vec_rows *r);
int block_decode(struct store_block *out, const struct store *s, uint64_t no, const MDB_val *v);
bool block_check(const MDB_val *v);	/* its checksum */
int blocks_drop(struct tx *t, uint32_t gen);	/* all of them, and what is hidden */
int block_last(MDB_val *key, MDB_val *val, struct tx *t, MDB_cursor *c, uint32_t gen);	/* RAG_ENOENT without a message */
int blocks_drop_db(struct tx *t, enum store_db db, uint32_t gen);
int store_compact_blocks(struct store_writer *w);	/* those that are mostly dead */
/* Unit length, fp16, into out (n, dim). */
int vec_encode(uint16_t *out, const float *v, size_t n, size_t dim);

/* A block never changes under its number, so its checksum is looked at once a process:
 * RAG_ECORRUPT when check() says so.  kind: "vector", "word". */
int store_first_touch(struct store *s, const char *kind, uint64_t no, const MDB_val *val,
		      bool (*check)(const MDB_val *val));

/* ---- store_hidden.c: of rows in vector blocks (DB_HIDDEN) and in word blocks (DB_WORDS_HIDDEN) */
struct hidden_list {
	struct hidden_item {
		uint64_t first;
		struct hidden h;
		bool changed;
	} *item;
	size_t n;
};
int hidden_load(struct hidden_list *out, struct tx *t, enum store_db db, uint32_t gen);	/* mem_free(out->item) */
int hidden_save(struct tx *t, enum store_db db, uint32_t gen, const struct hidden_list *l);	/* what changed */
struct hidden_item *hidden_dead(struct hidden_list *l, uint64_t id);	/* the dead range that holds id, or NULL */
int hidden_put(struct tx *t, enum store_db db, uint32_t gen, uint64_t first, const struct hidden *h);	/* rows 0: deleted */
int hidden_get(struct hidden *out, struct tx *t, enum store_db db, uint32_t gen, uint64_t first);
int hidden_ranges(struct store_range **out, size_t *n, struct store_snap *v, enum store_db db);

#endif
