#include "config.h"

#include "ingest/embedding.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "index/late.h"
#include "model/tok.h"

/* Of the vocabulary: about as much as three passages. */
#define MADE_TEXTS 12u
#define MADE_WORDS 32u

enum { KEEP_UNKNOWN, KEEP_NO, KEEP_YES };

struct embedding {
	struct embed *e;
	struct store *store;
	struct store_writer *w;
	size_t max, dim;
	float *rows;			/* owned (max, dim) */
	struct store_bytes *tokens;	/* owned (max) */
	size_t *at;			/* owned (max + 1) where each text's tokens begin in packed */
	struct buf packed;
	uint8_t *keep;			/* owned (vocabulary) */
	float *kept;			/* owned (longest text, dim) of the text in hand */
	struct late_space *space;	/* owned; NULL: not known yet */

	struct late_learn *learn;	/* owned; NULL: not learning */
	float *sample;			/* owned (EMBEDDING_SAMPLE, dim) of the first texts */
	size_t n_sample;
	size_t n_waiting;		/* texts that are not packed yet, the sample's */
	size_t waiting_end[EMBEDDING_SAMPLE];	/* in the sample */
};

int embedding_new(struct embedding **out, struct embed *e, struct store *s, struct store_writer *w, size_t max)
{
	struct embedding *v = mem_calloc(1, sizeof(*v));

	*out = NULL;
	if (!v)
		return RAG_ENOMEM;
	v->e = e;
	v->store = s;
	v->w = w;
	v->max = max;
	v->dim = embed_dim(e);
	v->rows = mem_alloc(max * v->dim * sizeof(*v->rows));
	v->tokens = mem_calloc(max, sizeof(*v->tokens));
	v->at = mem_calloc(max + 1, sizeof(*v->at));
	v->keep = mem_calloc(tok_vocab(embed_tok(e)), 1);
	v->kept = mem_alloc(embed_max_tokens(e) * v->dim * sizeof(*v->kept));
	if (!v->rows || !v->tokens || !v->at || !v->keep || !v->kept) {
		embedding_free(v);
		return RAG_ENOMEM;
	}
	*out = v;
	return RAG_OK;
}

static void learn_end(struct embedding *v)
{
	late_learn_free(v->learn);
	mem_free(v->sample);
	v->learn = NULL;
	v->sample = NULL;
	v->n_sample = v->n_waiting = 0;
}

void embedding_free(struct embedding *v)
{
	if (!v)
		return;
	learn_end(v);
	late_space_free(v->space);
	mem_free(v->rows);
	mem_free(v->tokens);
	mem_free(v->at);
	mem_free(v->keep);
	mem_free(v->kept);
	buf_release(&v->packed);
	mem_free(v);
}

const float *embedding_row(const struct embedding *v, size_t i)
{
	return v->rows + i * v->dim;
}

const struct store_bytes *embedding_tokens(const struct embedding *v, size_t i)
{
	return v->tokens + i;
}

static bool keeps(struct embedding *v, int32_t id)
{
	if (v->keep[id] == KEEP_UNKNOWN)
		v->keep[id] = embed_keeps(v->e, id) ? KEEP_YES : KEEP_NO;
	return v->keep[id] == KEEP_YES;
}

/* The rows of x that count go to out; their number. */
static size_t select_tokens(float *out, struct embedding *v, const int32_t *ids, const float *x, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (keeps(v, ids[i]))
			memcpy(out + kept++ * v->dim, x + i * v->dim, v->dim * sizeof(*x));
	if (!kept)
		memcpy(out, x, n * v->dim * sizeof(*x));
	return kept ? kept : n;
}

static int pack(struct embedding *v, size_t text, const float *x, size_t n)
{
	int rc = late_tokens(&v->packed, v->space, x, n);

	v->at[text + 1] = v->packed.len;
	return rc;
}

/* ---- the space ---------------------------------------------------------------- */

static int open_space(struct embedding *v)
{
	struct store_snap *snap;
	const void *p;
	size_t n;
	int rc = store_snap(&snap, v->store);

	if (rc)
		return rc;
	rc = store_space(&p, &n, snap);
	if (!rc)
		rc = late_space_new(&v->space, p, n, v->dim);
	store_snap_end(snap);
	return rc;
}

int embedding_begun(bool *out, struct embedding *v)
{
	int rc = v->space ? RAG_OK : open_space(v);

	*out = v->space != NULL;
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

/* The sample's texts are packed at last. */
static int learnt(struct embedding *v)
{
	struct buf b = BUF_INIT;
	size_t at = 0;
	int rc = late_learn_add(v->learn, v->sample, v->n_sample);

	if (!rc)
		rc = late_learn_end(&b, v->learn);
	if (!rc)
		rc = late_space_new(&v->space, b.data, b.len, v->dim);
	if (!rc)
		rc = store_set_space(v->w, b.data, b.len);
	for (size_t i = 0; !rc && i < v->n_waiting; at = v->waiting_end[i++])
		rc = pack(v, i, v->sample + at * v->dim, v->waiting_end[i] - at);
	if (rc) {
		late_space_free(v->space);
		v->space = NULL;
	}
	learn_end(v);
	buf_release(&b);
	return rc;
}

static int take(void *arg, size_t text, const int32_t *ids, const float *x, size_t n)
{
	struct embedding *v = arg;
	size_t kept = select_tokens(v->kept, v, ids, x, n);
	int rc = RAG_OK;

	if (v->learn && v->n_sample + kept > EMBEDDING_SAMPLE)
		rc = learnt(v);
	if (rc || !v->learn)
		return rc ? rc : pack(v, text, v->kept, kept);
	memcpy(v->sample + v->n_sample * v->dim, v->kept, kept * v->dim * sizeof(*x));
	v->n_sample += kept;
	v->waiting_end[v->n_waiting++] = v->n_sample;
	return RAG_OK;
}

static int take_made(void *arg, size_t text, const int32_t *ids, const float *x, size_t n)
{
	struct embedding *v = arg;

	(void)text;
	return late_learn_add(v->learn, v->kept, select_tokens(v->kept, v, ids, x, n));
}

/* Words of the vocabulary in an order without sense, the same each time. */
static int made_text(struct buf *out, struct embedding *v, uint64_t *x)
{
	const struct tok *tok = embed_tok(v->e);
	size_t vocab = tok_vocab(tok), words = 0;
	int rc = RAG_OK;

	for (size_t tries = 0; !rc && words < MADE_WORDS && tries < 8 * MADE_WORDS; tries++) {
		int32_t id;

		*x ^= *x << 13;
		*x ^= *x >> 7;
		*x ^= *x << 17;
		id = (int32_t)((*x >> 33) % vocab);
		if (!keeps(v, id))
			continue;
		rc = buf_addc(out, ' ');
		if (!rc)
			rc = tok_piece(out, tok, id, false);
		words++;
	}
	return rc;
}

/* Begins to learn, with the vocabulary's texts. */
static int learn(struct embedding *v)
{
	struct embed_sink sink = { take_made, v };
	float *row = mem_alloc(v->dim * sizeof(*row));
	struct buf b = BUF_INIT;
	uint64_t x = 0x2545f4914f6cdd1du;
	int rc = late_learn_new(&v->learn, v->dim);

	v->sample = mem_alloc(EMBEDDING_SAMPLE * v->dim * sizeof(*v->sample));
	if (!rc && (!v->sample || !row))
		rc = RAG_ENOMEM;
	for (size_t i = 0; !rc && i < MADE_TEXTS; i++) {
		struct embed_text t;

		buf_clear(&b);
		rc = made_text(&b, v, &x);
		t = (struct embed_text){ buf_str(&b), b.len };
		if (!rc)
			rc = embed_texts_tokens(row, v->e, &t, 1, 1, NULL, &sink, NULL);
	}
	mem_free(row);
	buf_release(&b);
	return rc;
}

int embedding_make(struct embedding *v, const struct embed_text *t, size_t n, int truncate,
		 size_t *truncated, const struct progress *p)
{
	struct embed_sink sink = { take, v };
	int rc = RAG_OK;

	buf_clear(&v->packed);
	if (!v->space)
		rc = open_space(v);
	if (rc == RAG_ENOENT)
		rc = learn(v);
	if (!rc)
		rc = embed_texts_tokens(v->rows, v->e, t, n, truncate, truncated, &sink, p);
	if (!rc && v->learn)
		rc = learnt(v);
	learn_end(v);
	for (size_t i = 0; !rc && i < n; i++)
		v->tokens[i] = (struct store_bytes){ v->packed.data + v->at[i], v->at[i + 1] - v->at[i] };
	return rc;
}
