#include "config.h"
#include "model/tok_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/gguf.h"

#define TEXT_MAX ((size_t)1 << 31)	/* spans are 32 bits wide, SentencePiece triples spaces */
#define HASH_MUL 0x9E3779B97F4A7C15u	/* 2^64 over the golden ratio, odd */

/* Vocabulary */

static uint64_t load(const char *p, size_t n)
{
	uint64_t w = 0;

	memcpy(&w, p, n);
	return w;
}

static uint64_t stir(uint64_t h)
{
	h *= HASH_MUL;
	return h ^ h >> 29;
}

uint64_t vocab_hash(const struct vocab *v, const char *p, size_t n)
{
	uint64_t h = stir(v->seed ^ n);

	for (; n > 8; n -= 8, p += 8)
		h = stir(h ^ load(p, 8));
	if (n >= 4)
		h ^= load(p, 4) << 32 | load(p + n - 4, 4);
	else if (n)
		h ^= (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[n / 2] << 8 |
		     (unsigned char)p[n - 1];
	return stir(stir(h));
}

int vocab_new(struct vocab *v, size_t n, size_t bytes)
{
	v->n = n;
	v->arena = mem_alloc(bytes);
	v->off = mem_calloc(n + 1, sizeof(*v->off));
	v->kind = mem_calloc(n, sizeof(*v->kind));
	if (!v->arena || !v->off || !v->kind)
		return RAG_ENOMEM;
	v->seed = (uint64_t)(uintptr_t)v->arena ^ (uint64_t)(uintptr_t)v->off << 20;
	return RAG_OK;
}

void vocab_release(struct vocab *v)
{
	mem_free(v->arena);
	mem_free(v->off);
	mem_free(v->kind);
	mem_free(v->words.slots);
	mem_free(v->marks.slots);
}

static int table_new(struct table *t, size_t n)
{
	size_t cap = 16;

	while (cap < n + n / 2)
		cap *= 2;
	t->slots = mem_calloc(cap, sizeof(*t->slots));
	t->mask = (uint32_t)(cap - 1);
	return t->slots ? RAG_OK : RAG_ENOMEM;
}

/* The slot that holds the bytes, or the free one where they belong. */
static struct table_slot *table_at(const struct vocab *v, const struct table *t,
				   uint64_t hash, const char *s, size_t n)
{
	uint32_t i = (uint32_t)hash & t->mask, tag = (uint32_t)(hash >> 32);
	const char *piece;
	size_t len;

	for (;; i = (i + 1) & t->mask) {
		if (!t->slots[i].id1)
			return &t->slots[i];
		if (t->slots[i].tag != tag)
			continue;
		piece = vocab_piece(v, (int32_t)t->slots[i].id1 - 1, &len);
		if (len == n && !memcmp(piece, s, n))
			return &t->slots[i];
	}
}

int32_t vocab_put(const struct vocab *v, struct table *table, int32_t id)
{
	size_t n;
	const char *s = vocab_piece(v, id, &n);
	uint64_t hash = vocab_hash(v, s, n);
	struct table_slot *slot = table_at(v, table, hash, s, n);

	if (slot->id1)
		return (int32_t)slot->id1 - 1;
	slot->tag = (uint32_t)(hash >> 32);
	slot->id1 = (uint32_t)id + 1;
	return -1;
}

int32_t vocab_get_hashed(const struct vocab *v, const struct table *table, uint64_t hash,
			 const char *s, size_t n)
{
	return (int32_t)table_at(v, table, hash, s, n)->id1 - 1;
}

int32_t vocab_get(const struct vocab *v, const struct table *table, const char *s, size_t n)
{
	return vocab_get_hashed(v, table, vocab_hash(v, s, n), s, n);
}

/* Is a user-defined token markup ("<tool_call>", "[INST]")?  Others are words,
 * such as gemma's runs of line feeds, and are found in any text. */
static bool looks_like_mark(const char *s, size_t n)
{
	return n > 2 && ((s[0] == '<' && s[n - 1] == '>') || (s[0] == '[' && s[n - 1] == ']'));
}

static int cmp_longest(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x < y) - (x > y);
}

/* Notes the mark's length and first byte among those with (1) or without (0) TOK_PARSE. */
static void note_mark(struct tok *t, int parse, const char *s, size_t n)
{
	t->mark_lens[parse][t->n_mark_lens[parse]++] = (uint32_t)n;
	t->mark_first[parse][(unsigned char)s[0]] = true;
}

static void sort_lens(struct tok *t, int parse)
{
	uint32_t *lens = t->mark_lens[parse];
	size_t i, k = 0;

	qsort(lens, t->n_mark_lens[parse], sizeof(*lens), cmp_longest);
	for (i = 0; i < t->n_mark_lens[parse]; i++)
		if (!k || lens[k - 1] != lens[i])
			lens[k++] = lens[i];
	t->n_mark_lens[parse] = k;
}

int tok_index(struct tok *t, const char *what)
{
	struct vocab *v = &t->v;
	size_t marks = 0, len, i;
	struct table *table;
	const char *s;
	int32_t twin;
	int type;

	for (i = 0; i < v->n; i++) {
		type = v->kind[i] & PIECE_TYPE;
		marks += type == PIECE_CONTROL || type == PIECE_USER || type == PIECE_UNKNOWN;
	}
	t->mark_lens[0] = mem_calloc(marks, sizeof(uint32_t));
	t->mark_lens[1] = mem_calloc(marks, sizeof(uint32_t));
	if (!t->mark_lens[0] || !t->mark_lens[1] || table_new(&v->words, v->n) ||
	    table_new(&v->marks, marks))
		return RAG_ENOMEM;
	for (i = 0; i < v->n; i++) {
		s = vocab_piece(v, (int32_t)i, &len);
		type = v->kind[i] & PIECE_TYPE;
		if (!len || !type)
			continue;	/* a gap: no text becomes it */
		table = &v->words;
		if (type == PIECE_USER && !looks_like_mark(s, len)) {
			table = &v->marks;
			note_mark(t, 0, s, len);
			note_mark(t, 1, s, len);
		} else if (type == PIECE_CONTROL || type == PIECE_USER || type == PIECE_UNKNOWN) {
			table = &v->marks;
			v->kind[i] |= PIECE_MARK;
			note_mark(t, 1, s, len);
		} else if (type == PIECE_UNUSED) {
			continue;
		} else if (len > v->longest) {
			v->longest = len;
		}
		twin = vocab_put(v, table, (int32_t)i);
		if (twin >= 0)
			return err_set(RAG_EFORMAT, "'%s': tokens %d and %zu are the same", what,
				       twin, i);
	}
	sort_lens(t, 0);
	sort_lens(t, 1);
	return RAG_OK;
}

/* GGUF */

static int read_id(int32_t *out, const struct tok *t, const struct gguf *g, const char *key)
{
	uint64_t id;

	if (!gguf_get_u64(&id, g, key))
		return RAG_OK;
	if (id >= t->v.n)
		return err_set(RAG_EFORMAT, "'%s': %s is %llu, but there are %zu tokens",
			       gguf_path(g), key, (unsigned long long)id, t->v.n);
	*out = (int32_t)id;
	return RAG_OK;
}

/* Names of tokens that end a turn, in the families that we run. */
static const char *const ends[] = {
	"<|im_end|>", "<|endoftext|>", "<end_of_turn>", "<|eot_id|>", "<|eom_id|>", "<|end|>",
	"<|end_of_text|>",
};

static int read_special(struct tok *t, const struct gguf *g)
{
	static const char *const stop_keys[] = { "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id" };
	struct vocab *v = &t->v;
	int32_t id;
	size_t i;
	int rc;

	if ((rc = read_id(&t->bos, t, g, "tokenizer.ggml.bos_token_id")) ||
	    (rc = read_id(&t->eos, t, g, "tokenizer.ggml.eos_token_id")) ||
	    (rc = read_id(&t->unk, t, g, "tokenizer.ggml.unknown_token_id")))
		return rc;
	for (i = 0; i < sizeof(stop_keys) / sizeof(*stop_keys); i++) {
		id = -1;
		rc = read_id(&id, t, g, stop_keys[i]);
		if (rc)
			return rc;
		if (id >= 0)
			v->kind[id] |= PIECE_END;
	}
	if (t->eos >= 0)
		v->kind[t->eos] |= PIECE_END;
	for (i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		id = vocab_get(v, &v->marks, ends[i], strlen(ends[i]));
		if (id >= 0)
			v->kind[id] |= PIECE_END;
	}
	gguf_get_bool(&t->add_bos, g, "tokenizer.ggml.add_bos_token");
	gguf_get_bool(&t->add_eos, g, "tokenizer.ggml.add_eos_token");
	if (t->add_bos && t->bos < 0)
		return err_set(RAG_EFORMAT, "'%s': a BOS token is wanted, but "
			       "tokenizer.ggml.bos_token_id is missing", gguf_path(g));
	if (t->add_eos && t->eos < 0)
		return err_set(RAG_EFORMAT, "'%s': an EOS token is wanted, but "
			       "tokenizer.ggml.eos_token_id is missing", gguf_path(g));
	return RAG_OK;
}

static int read_types(struct tok *t, const struct gguf *g)
{
	const char *key = "tokenizer.ggml.token_type";
	const int32_t *types;
	int32_t type;
	size_t n, i;

	if (!gguf_arr_i32(&types, &n, g, key)) {
		if (gguf_arr_len(g, key))
			return err_set(RAG_EFORMAT, "'%s': %s is no array of i32", gguf_path(g), key);
		memset(t->v.kind, PIECE_NORMAL, t->v.n);
		return RAG_OK;
	}
	if (n != t->v.n)
		return err_set(RAG_EFORMAT, "'%s': %zu tokens, but %zu token types", gguf_path(g),
			       t->v.n, n);
	for (i = 0; i < n; i++) {
		memcpy(&type, types + i, sizeof(type));
		if (type < 0 || type > PIECE_BYTE)
			return err_set(RAG_EFORMAT, "'%s': token %zu has type %d", gguf_path(g), i,
				       (int)type);
		t->v.kind[i] = (uint8_t)type;
	}
	return RAG_OK;
}

int tok_read_gguf(struct tok *t, const struct gguf *g,
		  size_t (*decode)(char *out, const char *s, size_t n))
{
	struct vocab *v = &t->v;
	struct gguf_str *str = NULL;
	size_t n, i, len, bytes = 0;
	int rc = gguf_arr_strs(&str, &n, g, "tokenizer.ggml.tokens");

	if (rc)
		return rc;
	for (i = 0; i < n && bytes < UINT32_MAX; i++)
		bytes += str[i].len;
	if (n == 0 || n >= INT32_MAX || bytes >= UINT32_MAX) {
		rc = err_set(RAG_EFORMAT, "'%s': tokenizer.ggml.tokens has %zu entries",
			     gguf_path(g), n);
		goto fail;
	}
	rc = vocab_new(v, n, bytes);
	if (!rc)
		rc = read_types(t, g);
	if (rc)
		goto fail;
	for (i = 0; i < n; i++) {
		len = str[i].len;
		if (decode && (v->kind[i] == PIECE_NORMAL || v->kind[i] == PIECE_UNUSED))
			len = decode(v->arena + v->off[i], str[i].s, str[i].len);
		else
			memcpy(v->arena + v->off[i], str[i].s, len);
		if (len > str[i].len) {	/* as it stands no text becomes it */
			v->kind[i] = PIECE_UNUSED;
			len = str[i].len;
			memcpy(v->arena + v->off[i], str[i].s, len);
		}
		v->off[i + 1] = v->off[i] + (uint32_t)len;
	}
	rc = tok_index(t, gguf_path(g));
	if (!rc)
		rc = read_special(t, g);
fail:
	mem_free(str);
	return rc;
}

/* Opening */

static struct tok *tok_new(void)
{
	struct tok *t = mem_calloc(1, sizeof(*t));

	if (t)
		t->bos = t->eos = t->unk = -1;
	return t;
}

int tok_open_dir(struct tok **out, const char *dir)
{
	struct tok *t = tok_new();
	int rc = t ? tok_wordpiece_open(t, dir) : RAG_ENOMEM;

	if (rc) {
		tok_close(t);
		return rc;
	}
	*out = t;
	return RAG_OK;
}

int tok_from_gguf(struct tok **out, const struct gguf *g)
{
	struct gguf_str model;
	struct tok *t = NULL;
	int rc;

	if (!gguf_get_str(&model, g, "tokenizer.ggml.model"))
		return err_set(RAG_EFORMAT, "'%s': tokenizer.ggml.model is missing", gguf_path(g));
	t = tok_new();
	if (!t)
		return RAG_ENOMEM;
	if (model.len == 4 && !memcmp(model.s, "gpt2", 4))
		rc = tok_bpe_open(t, g);
	else if (model.len == 5 && !memcmp(model.s, "llama", 5))
		rc = tok_spm_open(t, g);
	else
		rc = err_set(RAG_EUNSUP, "'%s': unknown tokenizer model '%.*s'", gguf_path(g),
			     (int)(model.len < 64 ? model.len : 64), model.s);
	if (rc) {
		tok_close(t);
		return rc;
	}
	*out = t;
	return RAG_OK;
}

void tok_close(struct tok *t)
{
	if (!t)
		return;
	vocab_release(&t->v);
	mem_free(t->mark_lens[0]);
	mem_free(t->mark_lens[1]);
	mem_free(t->merges);
	mem_free(t->score);
	mem_free(t);
}

/* Encoding */

int tok_grow(struct tok_ids *ids)
{
	size_t cap = ids->cap ? 2 * ids->cap : 64;
	uint32_t *span;
	int32_t *id = mem_realloc(ids->id, cap, sizeof(*id));

	if (!id)
		return RAG_ENOMEM;
	ids->id = id;
	span = mem_realloc(ids->start, cap, sizeof(*span));
	if (!span)
		return RAG_ENOMEM;
	ids->start = span;
	span = mem_realloc(ids->end, cap, sizeof(*span));
	if (!span)
		return RAG_ENOMEM;
	ids->end = span;
	ids->cap = cap;
	return RAG_OK;
}

void tok_ids_release(struct tok_ids *ids)
{
	mem_free(ids->id);
	mem_free(ids->start);
	mem_free(ids->end);
	memset(ids, 0, sizeof(*ids));
}

/* The marks of a text.  llama.cpp looks for one mark after the other, longest
 * first, each time from left to right in what the longer ones have left. */
struct cuts {
	struct cut {
		uint32_t start, end;
		int32_t id;
	} *v;			/* (n) owned */
	size_t n, cap;
	uint32_t *places;	/* (n_places) owned: where a mark may begin */
	size_t n_places;
	unsigned char *taken;	/* a bit for each byte of the text; owned */
};

static void cuts_release(struct cuts *c)
{
	mem_free(c->v);
	mem_free(c->places);
	mem_free(c->taken);
}

static bool is_taken(const struct cuts *c, size_t at)
{
	return c->taken && (c->taken[at / 8] >> (at % 8) & 1);
}

static int take(struct cuts *c, size_t start, size_t end, size_t n, int32_t id)
{
	struct cut *v;
	size_t i;

	if (!c->taken) {
		c->taken = mem_calloc(n / 8 + 1, 1);
		if (!c->taken)
			return RAG_ENOMEM;
	}
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 16;
		v = mem_realloc(c->v, c->cap, sizeof(*v));
		if (!v)
			return RAG_ENOMEM;
		c->v = v;
	}
	c->v[c->n].start = (uint32_t)start;
	c->v[c->n].end = (uint32_t)end;
	c->v[c->n++].id = id;
	for (i = start; i < end; i++)
		c->taken[i / 8] |= (unsigned char)(1 << i % 8);
	return RAG_OK;
}

static int cmp_start(const void *a, const void *b)
{
	uint32_t x = ((const struct cut *)a)->start, y = ((const struct cut *)b)->start;

	return (x > y) - (x < y);
}

static int find_places(struct cuts *c, const bool first[256], const char *s, size_t n)
{
	size_t count = 0, i;

	for (i = 0; i < n; i++)
		count += first[(unsigned char)s[i]];
	if (!count)
		return RAG_OK;
	c->places = mem_calloc(count, sizeof(*c->places));
	if (!c->places)
		return RAG_ENOMEM;
	for (i = 0; i < n; i++)
		if (first[(unsigned char)s[i]])
			c->places[c->n_places++] = (uint32_t)i;
	return RAG_OK;
}

static int find_marks(struct cuts *c, const struct tok *t, const char *s, size_t n, int parse)
{
	size_t k, i, at, len;
	int32_t id;
	int rc;

	if (!t->n_mark_lens[parse])
		return RAG_OK;
	rc = find_places(c, t->mark_first[parse], s, n);
	if (rc || !c->n_places)
		return rc;
	for (k = 0; k < t->n_mark_lens[parse]; k++) {
		len = t->mark_lens[parse][k];
		for (i = 0; i < c->n_places && (at = c->places[i]) + len <= n; i++) {
			/* What is taken is at least as long: looking at both ends is enough. */
			if (is_taken(c, at) || is_taken(c, at + len - 1))
				continue;
			id = vocab_get(&t->v, &t->v.marks, s + at, len);
			if (id < 0 || (!parse && t->v.kind[id] & PIECE_MARK))
				continue;
			rc = take(c, at, at + len, n, id);
			if (rc)
				return rc;
		}
	}
	if (c->n)
		qsort(c->v, c->n, sizeof(*c->v), cmp_start);
	return RAG_OK;
}

int tok_encode(struct tok_ids *out, const struct tok *t, const char *s, size_t n, unsigned flags)
{
	struct cuts c = { NULL, 0, 0, NULL, 0, NULL };
	size_t before = out->len, at = 0, i;
	bool head = true;
	int rc = RAG_OK;

	if (n >= TEXT_MAX)
		return err_set(RAG_ELIMIT, "a text of %zu bytes is too long for a tokenizer", n);
	if (flags & TOK_ADD && t->add_bos)
		rc = tok_push(out, t->bos, 0, 0);
	if (!rc)
		rc = find_marks(&c, t, s, n, flags & TOK_PARSE ? 1 : 0);
	for (i = 0; !rc && i <= c.n; i++) {
		size_t until = i < c.n ? c.v[i].start : n;

		if (until > at) {
			rc = t->class->encode(out, t, s, at, until, head);
			head = false;
		}
		if (!rc && i < c.n) {
			rc = tok_push(out, c.v[i].id, c.v[i].start, c.v[i].end);
			at = c.v[i].end;
			head = true;
		}
	}
	if (!rc && flags & TOK_ADD && t->add_eos)
		rc = tok_push(out, t->eos, n, n);
	cuts_release(&c);
	if (rc)
		out->len = before;
	return rc;
}

/* Asking */

static bool has_id(const struct tok *t, int32_t id)
{
	return id >= 0 && (size_t)id < t->v.n;
}

bool tok_is_control(const struct tok *t, int32_t id)
{
	return has_id(t, id) && t->v.kind[id] & PIECE_MARK;
}

int tok_piece(struct buf *out, const struct tok *t, int32_t id, bool control)
{
	const char *s;
	size_t n;
	int type;

	if (!has_id(t, id))
		return err_set(RAG_EINVAL, "no token %d, there are %zu", (int)id, t->v.n);
	type = t->v.kind[id] & PIECE_TYPE;
	if (type != PIECE_CONTROL && type != PIECE_UNKNOWN && type != PIECE_USER)
		return t->class->piece(out, t, id);
	if (!control && t->v.kind[id] & PIECE_MARK)
		return RAG_OK;
	s = vocab_piece(&t->v, id, &n);
	return buf_add(out, s, n);
}

size_t tok_vocab(const struct tok *t)
{
	return t->v.n;
}

int32_t tok_find(const struct tok *t, const char *piece)
{
	size_t n = strlen(piece), len, i;
	int32_t id = vocab_get(&t->v, &t->v.marks, piece, n);
	const char *s;

	if (id < 0)
		id = t->class->find(t, piece, n);
	for (i = 0; id < 0 && i < t->v.n; i++) {
		if ((t->v.kind[i] & PIECE_TYPE) != PIECE_UNUSED)
			continue;
		s = vocab_piece(&t->v, (int32_t)i, &len);
		if (len == n && !memcmp(s, piece, n))
			id = (int32_t)i;
	}
	return id;
}

bool tok_is_end(const struct tok *t, int32_t id)
{
	return has_id(t, id) && t->v.kind[id] & PIECE_END;
}

int32_t tok_bos(const struct tok *t)
{
	return t->bos;
}

int32_t tok_eos(const struct tok *t)
{
	return t->eos;
}

const char *tok_kind(const struct tok *t)
{
	return t->name;
}
