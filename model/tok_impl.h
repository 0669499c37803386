/*
 * tok_impl - what the three kinds of tokenizer share; tok*.c alone include it.
 *
 * A vocabulary is one arena with all pieces, one array of offsets and one
 * open-addressing table from bytes to id: opening 150,000 tokens costs a few
 * allocations and a pass over their bytes.  The table holds only what text
 * may become: control tokens, and user-defined ones that are marks ("<x>"),
 * are in a table of their own, which is looked at for TOK_PARSE alone.  So no
 * way of merging pieces can end in a control token.
 * The tables' hash is seeded for each object; ids never depend on it.
 */
#ifndef RAG_MODEL_TOK_IMPL_H
#define RAG_MODEL_TOK_IMPL_H

#include "base/err.h"
#include "model/tok.h"

enum {	/* tokenizer.ggml.token_type */
	PIECE_NORMAL = 1, PIECE_UNKNOWN, PIECE_CONTROL, PIECE_USER, PIECE_UNUSED, PIECE_BYTE,
	PIECE_TYPE = 0x0F,
	PIECE_END = 0x10,	/* stops generation */
	PIECE_MARK = 0x20,	/* only with TOK_PARSE */
};

struct table {
	struct table_slot {
		uint32_t tag;	/* high half of the hash */
		uint32_t id1;	/* id + 1; 0: free */
	} *slots;		/* (mask + 1) owned */
	uint32_t mask;
};

struct vocab {
	char *arena;		/* owned: the pieces, one behind the other */
	uint32_t *off;		/* (n + 1) owned */
	uint8_t *kind;		/* (n) owned: PIECE_* */
	size_t n;
	size_t longest;		/* bytes of the longest piece in `words` */
	uint64_t seed;
	struct table words;	/* what text may become */
	struct table marks;	/* control strings; user-defined tokens of both sorts */
};

struct merge {
	uint64_t pair;		/* left id << 32 | right id */
	uint32_t rank;
	uint32_t id1;		/* merged id + 1; 0: free slot */
};

struct tok;
struct tok_class {
	/* Appends the tokens of text[from, to); head: at the text's beginning or
	 * behind a control token. */
	int (*encode)(struct tok_ids *out, const struct tok *t, const char *text,
		      size_t from, size_t to, bool head);
	/* An ordinary token's bytes. */
	int (*piece)(struct buf *out, const struct tok *t, int32_t id);
	/* The id of the word whose string in the model's file is piece; -1. */
	int32_t (*find)(const struct tok *t, const char *piece, size_t n);
};

struct tok {
	const struct tok_class *class;
	char name[40];
	struct vocab v;
	int32_t bos, eos, unk;		/* -1: none */
	bool add_bos, add_eos;
	/* The lengths of marks, longest first, and their first bytes; [1] with TOK_PARSE. */
	uint32_t *mark_lens[2];		/* (n_mark_lens) owned */
	size_t n_mark_lens[2];
	bool mark_first[2][256];

	/* WordPiece */
	bool lower, strip, clean, cjk;	/* the normaliser's settings */
	size_t max_chars;		/* of a word */
	/* byte-level BPE */
	size_t (*scan)(const char *s, size_t n);	/* bytes of the next piece of text */
	struct merge *merges;		/* (merge_mask + 1) owned */
	uint32_t merge_mask;
	bool whole_words;		/* a word that is a token is taken as it is */
	/* BPE and SentencePiece */
	int32_t byte_id[256];		/* -1: none */
	/* SentencePiece */
	float *score;			/* (n) owned */
	bool add_space;
};

extern const struct tok_class tok_wordpiece, tok_bpe, tok_spm;

int tok_wordpiece_open(struct tok *t, const char *dir);	/* fills a zeroed t; the caller closes it on failure */
int tok_bpe_open(struct tok *t, const struct gguf *g);
int tok_spm_open(struct tok *t, const struct gguf *g);

/* The scanner of a pre-tokenizer by its GGUF name; NULL: unknown. */
size_t (*tok_scanner(const char *pre, size_t n))(const char *s, size_t n);

/* Room for n pieces of `bytes` bytes in all. */
int vocab_new(struct vocab *v, size_t n, size_t bytes);
void vocab_release(struct vocab *v);
/* Puts id into a table unless its bytes are there already: then that id, else -1. */
int32_t vocab_put(const struct vocab *v, struct table *table, int32_t id);
int32_t vocab_get(const struct vocab *v, const struct table *table, const char *s, size_t n);
/* The same in steps, for many at a time: hash all, then fetch all, then look. */
uint64_t vocab_hash(const struct vocab *v, const char *s, size_t n);
int32_t vocab_get_hashed(const struct vocab *v, const struct table *table, uint64_t hash,
			 const char *s, size_t n);
static inline void table_fetch(const struct table *table, uint64_t hash)
{
	__builtin_prefetch(&table->slots[(uint32_t)hash & table->mask]);
}
static inline const char *vocab_piece(const struct vocab *v, int32_t id, size_t *n)
{
	*n = v->off[id + 1] - v->off[id];
	return v->arena + v->off[id];
}

/* What both GGUF kinds do: pieces, types, ids of special tokens, tables.  The
 * caller has set its defaults and reads what is its own afterwards.  decode
 * (may be NULL) turns a word of the file into bytes: it writes at most n of
 * them and returns their number, or more than n when s is not in its alphabet. */
int tok_read_gguf(struct tok *t, const struct gguf *g,
		  size_t (*decode)(char *out, const char *s, size_t n));
/* Once kinds are known: fills both tables; a piece that is there twice is RAG_EFORMAT. */
int tok_index(struct tok *t, const char *what);

int tok_grow(struct tok_ids *ids);
static inline int tok_push(struct tok_ids *ids, int32_t id, size_t start, size_t end)
{
	if (ids->len == ids->cap && tok_grow(ids))
		return RAG_ENOMEM;
	ids->id[ids->len] = id;
	ids->start[ids->len] = (uint32_t)start;
	ids->end[ids->len++] = (uint32_t)end;
	return RAG_OK;
}

#endif
