/*
 * SentencePiece as llama.cpp runs it: of all neighbours that together are a
 * token, the two with the highest score are joined first, the leftmost of
 * equals; what stays a single unknown character becomes its bytes.  A space is
 * written U+2581.  A user-defined word never comes here: tok.c cuts it out.
 */
#include "config.h"
#include "model/tok_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/gguf.h"

#define SPACE_MARK "\xE2\x96\x81"	/* U+2581 */
#define SPACE_LEN 3
#define NONE UINT32_MAX

static int read_scores(struct tok *t, const struct gguf *g)
{
	const float *scores;
	size_t n, i;

	if (!gguf_arr_f32(&scores, &n, g, "tokenizer.ggml.scores"))
		return err_set(RAG_EFORMAT, "'%s': tokenizer.ggml.scores is missing", gguf_path(g));
	if (n != t->v.n)
		return err_set(RAG_EFORMAT, "'%s': %zu tokens, but %zu scores", gguf_path(g),
			       t->v.n, n);
	t->score = mem_dup(scores, n * sizeof(*scores));
	if (!t->score)
		return RAG_ENOMEM;
	for (i = 0; i < n; i++)
		if (!isfinite(t->score[i]))
			return err_set(RAG_EFORMAT, "'%s': the score of token %zu is not finite",
				       gguf_path(g), i);
	return RAG_OK;
}

static bool id_in_range(const struct tok *t, int32_t id)
{
	return (size_t)id < t->v.n;
}

int tok_spm_open(struct tok *t, const struct gguf *g)
{
	char name[8];
	int rc, b;

	t->class = &tok_spm;
	snprintf(t->name, sizeof(t->name), "spm");
	t->bos = 1;	/* what a file without these keys means */
	t->eos = 2;
	t->unk = 0;
	t->add_bos = true;
	t->add_space = true;
	rc = tok_read_gguf(t, g, NULL);
	if (rc)
		return rc;
	if (!id_in_range(t, t->bos) || !id_in_range(t, t->eos) || !id_in_range(t, t->unk))
		return err_set(RAG_EFORMAT, "'%s': %zu tokens are too few", gguf_path(g), t->v.n);
	gguf_get_bool(&t->add_space, g, "tokenizer.ggml.add_space_prefix");
	for (b = 0; b < 256; b++) {
		snprintf(name, sizeof(name), "<0x%02X>", b);
		t->byte_id[b] = vocab_get(&t->v, &t->v.words, name, 6);
		if (t->byte_id[b] < 0)
			return err_set(RAG_EFORMAT, "'%s': no token for byte %s", gguf_path(g), name);
		if (t->v.kind[t->byte_id[b]] != PIECE_BYTE)
			return err_set(RAG_EFORMAT, "'%s': token %s has another type than byte",
				       gguf_path(g), name);
	}
	return read_scores(t, g);
}

/* A character of the text, or several joined. */
struct symbol {
	uint32_t at;		/* in the written text */
	uint32_t len;		/* 0: joined to another */
	uint32_t from;		/* in the caller's text */
	uint32_t prev, next;
};

struct pair {
	float score;
	uint32_t left, right, len;
};

struct spm {
	const struct tok *t;
	char *text;		/* owned, spaces written as U+2581 */
	struct symbol *sym;	/* (n + 1) owned; the last one marks the end */
	uint32_t n;
	struct pair *heap;	/* (n_heap) owned */
	size_t n_heap, cap_heap;
};

static bool first_of(const struct pair *a, const struct pair *b)
{
	return a->score != b->score ? a->score > b->score : a->left < b->left;
}

static int offer(struct spm *m, uint32_t left, uint32_t right)
{
	const struct vocab *v = &m->t->v;
	struct pair p = { 0, left, right, 0 }, *grown;
	size_t i, up;
	int32_t id;

	if (left == NONE || right == NONE)
		return RAG_OK;
	p.len = m->sym[left].len + m->sym[right].len;
	if (p.len > v->longest)
		return RAG_OK;
	id = vocab_get(v, &v->words, m->text + m->sym[left].at, p.len);
	if (id < 0)
		return RAG_OK;
	p.score = m->t->score[id];
	if (m->n_heap == m->cap_heap) {
		m->cap_heap = m->cap_heap ? 2 * m->cap_heap : 256;
		grown = mem_realloc(m->heap, m->cap_heap, sizeof(*grown));
		if (!grown)
			return RAG_ENOMEM;
		m->heap = grown;
	}
	for (i = m->n_heap++; i; i = up) {
		up = (i - 1) / 2;
		if (!first_of(&p, &m->heap[up]))
			break;
		m->heap[i] = m->heap[up];
	}
	m->heap[i] = p;
	return RAG_OK;
}

static struct pair best(struct spm *m)
{
	struct pair top = m->heap[0], *last = &m->heap[--m->n_heap];
	size_t i = 0, down;

	while ((down = 2 * i + 1) < m->n_heap) {
		if (down + 1 < m->n_heap && first_of(&m->heap[down + 1], &m->heap[down]))
			down++;
		if (!first_of(&m->heap[down], last))
			break;
		m->heap[i] = m->heap[down];
		i = down;
	}
	m->heap[i] = *last;
	return top;
}

/* llama.cpp goes by the first byte alone, whatever follows. */
static uint32_t char_len(unsigned char c, size_t left)
{
	uint32_t len = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;

	return len < left ? len : (uint32_t)left;
}

static void add_char(struct spm *m, uint32_t *at, const char *s, uint32_t len, size_t from)
{
	struct symbol *sym = &m->sym[m->n];

	memcpy(m->text + *at, s, len);
	sym->at = *at;
	sym->len = len;
	sym->from = (uint32_t)from;
	sym->prev = m->n ? m->n - 1 : NONE;
	sym->next = ++m->n;
	*at += len;
}

static int split(struct spm *m, const char *text, size_t from, size_t to, bool space)
{
	size_t i, spaces = 1;
	uint32_t at = 0, len;

	for (i = from; i < to; i++)
		spaces += text[i] == ' ';
	m->text = mem_alloc(to - from + SPACE_LEN * spaces);
	m->sym = mem_calloc(to - from + 2, sizeof(*m->sym));
	if (!m->text || !m->sym)
		return RAG_ENOMEM;
	if (space)
		add_char(m, &at, SPACE_MARK, SPACE_LEN, from);
	for (i = from; i < to; i += len) {
		len = char_len((unsigned char)text[i], to - i);
		if (text[i] == ' ')
			add_char(m, &at, SPACE_MARK, SPACE_LEN, i);
		else
			add_char(m, &at, text + i, len, i);
	}
	m->sym[m->n].from = (uint32_t)to;
	m->sym[m->n - 1].next = NONE;
	return RAG_OK;
}

static int join(struct spm *m)
{
	struct symbol *l, *r;
	struct pair p;
	uint32_t i;
	int rc = RAG_OK;

	for (i = 1; !rc && i < m->n; i++)
		rc = offer(m, i - 1, i);
	while (!rc && m->n_heap) {
		p = best(m);
		l = &m->sym[p.left];
		r = &m->sym[p.right];
		if (!l->len || !r->len || l->len + r->len != p.len)
			continue;
		l->len = p.len;
		l->next = r->next;
		r->len = 0;
		if (l->next != NONE)
			m->sym[l->next].prev = p.left;
		rc = offer(m, l->prev, p.left);
		if (!rc)
			rc = offer(m, p.left, l->next);
	}
	return rc;
}

static int emit(struct tok_ids *out, const struct spm *m)
{
	const struct vocab *v = &m->t->v;
	const struct symbol *sym;
	uint32_t i, k, end;
	int32_t id;
	int rc = RAG_OK;

	for (i = 0; !rc && i != NONE; i = sym->next) {
		sym = &m->sym[i];
		end = m->sym[sym->next == NONE ? m->n : sym->next].from;
		id = vocab_get(v, &v->words, m->text + sym->at, sym->len);
		if (id >= 0) {
			rc = tok_push(out, id, sym->from, end);
			continue;
		}
		for (k = 0; !rc && k < sym->len; k++)
			rc = tok_push(out, m->t->byte_id[(unsigned char)m->text[sym->at + k]],
				      sym->from, end);
	}
	return rc;
}

static int encode(struct tok_ids *out, const struct tok *t, const char *text,
		  size_t from, size_t to, bool head)
{
	struct spm m = { t, NULL, NULL, 0, NULL, 0, 0 };
	int rc = split(&m, text, from, to, head && t->add_space);

	if (!rc)
		rc = join(&m);
	if (!rc)
		rc = emit(out, &m);
	mem_free(m.text);
	mem_free(m.sym);
	mem_free(m.heap);
	return rc;
}

static int piece(struct buf *out, const struct tok *t, int32_t id)
{
	size_t n, i;
	const char *s = vocab_piece(&t->v, id, &n);
	int rc = RAG_OK, b;

	if (t->v.kind[id] == PIECE_BYTE) {
		for (b = 0; b < 256; b++)
			if (t->byte_id[b] == id)
				return buf_addc(out, (char)b);
	}
	for (i = 0; !rc && i < n; i++) {
		if (n - i >= SPACE_LEN && !memcmp(s + i, SPACE_MARK, SPACE_LEN)) {
			rc = buf_addc(out, ' ');
			i += SPACE_LEN - 1;
		} else {
			rc = buf_addc(out, s[i]);
		}
	}
	return rc;
}

static int32_t find(const struct tok *t, const char *s, size_t n)
{
	return vocab_get(&t->v, &t->v.words, s, n);
}

const struct tok_class tok_spm = { encode, piece, find };
