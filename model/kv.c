#include "config.h"
#include "model/kv.h"

#include "base/err.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

#define QUERIES 32		/* of a piece: enough to use each key several times */
#define SCORES (128 * 1024)	/* floats: half of a core's L2 */

static size_t round16(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

int kv_init(struct kv *out, const struct kern *kern, size_t n_layer, size_t n_head, size_t n_kv,
	    size_t dim, size_t n_ctx, int n_threads)
{
	size_t group = n_head / n_kv, rows = n_layer * n_kv;
	size_t queries = group > QUERIES ? group : QUERIES;

	memset(out, 0, sizeof(*out));
	out->kern = kern;
	out->n_layer = n_layer;
	out->n_head = n_head;
	out->n_kv = n_kv;
	out->dim = dim;
	out->n_ctx = round16(n_ctx);
	out->v_dim = round16(dim);
	out->n_scores = group * out->n_ctx > SCORES ? group * out->n_ctx : SCORES;
	out->scratch_bytes = (out->n_scores + queries * (dim + out->v_dim)) * sizeof(float);
	out->scratch_bytes = (out->scratch_bytes + 63) & ~(size_t)63;
	out->k = mem_calloc(rows * out->n_ctx, dim * sizeof(*out->k));
	out->v = mem_calloc(rows * out->n_ctx, out->v_dim * sizeof(*out->v));
	out->scratch = mem_alloc(out->scratch_bytes * (size_t)n_threads);
	if (!out->k || !out->v || !out->scratch) {
		kv_release(out);
		return RAG_ENOMEM;
	}
	return RAG_OK;
}

void kv_release(struct kv *kv)
{
	mem_free(kv->k);
	mem_free(kv->v);
	mem_free(kv->scratch);
	memset(kv, 0, sizeof(*kv));
}

/* The block of keys that holds pos. */
static uint16_t *keys(const struct kv *kv, size_t layer, size_t head, size_t pos)
{
	return kv->k + ((layer * kv->n_kv + head) * kv->n_ctx + (pos & ~(size_t)15)) * kv->dim;
}

static uint16_t *values(const struct kv *kv, size_t layer, size_t head, size_t pos)
{
	return kv->v + ((layer * kv->n_kv + head) * kv->n_ctx + pos) * kv->v_dim;
}

void kv_store(struct kv *kv, size_t layer, size_t pos, const float *k, const float *v)
{
	uint16_t row[512];

	for (size_t h = 0; h < kv->n_kv; h++) {
		uint16_t *block = keys(kv, layer, h, pos) + pos % 16;

		kv->kern->f32_to_f16(row, k + h * kv->dim, kv->dim);
		for (size_t d = 0; d < kv->dim; d++)
			block[d * 16] = row[d];
		kv->kern->f32_to_f16(values(kv, layer, h, pos), v + h * kv->dim, kv->dim);
	}
}

struct attend {
	struct kv *kv;
	float *out;
	const float *q;
	size_t layer, n, pos, window;
	size_t tokens;		/* of a piece */
	size_t heads, parts;	/* query heads of a piece; pieces that share a key head */
};

/* The first position that a query at pos sees. */
static size_t horizon(const struct attend *a, size_t pos)
{
	return pos < a->window ? 0 : pos + 1 - a->window;
}

/* mix (n, heads, v_dim) += p v for queries at pos, pos + 1, ..., whose rows of
 * p (n, heads, ldp) begin at position `base`.  What all of them see is one
 * product; before and behind it each has what it sees alone. */
static void mix_values(float *mix, const struct attend *a, size_t kv_head, size_t heads,
		       const float *p, size_t ldp, size_t base, size_t n, size_t pos)
{
	const struct kv *kv = a->kv;
	const struct kern *kern = kv->kern;
	size_t end = pos + 1, last = horizon(a, pos + n - 1), from = last < end ? last : end;
	size_t v_dim = kv->v_dim;

	for (size_t t = 0; t < n && horizon(a, pos + t) < from; t++) {
		size_t at = horizon(a, pos + t);

		kern->attn_mix(mix + t * heads * v_dim, v_dim, p + t * heads * ldp + at - base, ldp,
			       heads, values(kv, a->layer, kv_head, at), v_dim, from - at, v_dim);
	}
	kern->attn_mix(mix, v_dim, p + from - base, ldp, n * heads,
		       values(kv, a->layer, kv_head, from), v_dim, end - from, v_dim);
	for (size_t t = 1; t < n; t++) {
		size_t at = horizon(a, pos + t) > end ? horizon(a, pos + t) : end;

		kern->attn_mix(mix + t * heads * v_dim, v_dim, p + t * heads * ldp + at - base, ldp,
			       heads, values(kv, a->layer, kv_head, at), v_dim, pos + t + 1 - at,
			       v_dim);
	}
}

static void attend_piece(void *arg, size_t piece, int thread)
{
	const struct attend *a = arg;
	const struct kv *kv = a->kv;
	const struct kern *kern = kv->kern;
	size_t group = kv->n_head / kv->n_kv, dim = kv->dim, v_dim = kv->v_dim;
	size_t kv_head = piece % kv->n_kv, part = piece / kv->n_kv % a->parts;
	/* The last tokens have most to do: they come first, so that threads end together. */
	size_t tiles = (a->n + a->tokens - 1) / a->tokens;
	size_t first = (tiles - 1 - piece / kv->n_kv / a->parts) * a->tokens;
	size_t n = a->n - first < a->tokens ? a->n - first : a->tokens;
	size_t head = kv_head * group + part * a->heads, left = group - part * a->heads;
	size_t heads = left < a->heads ? left : a->heads, nq = n * heads;
	size_t pos = a->pos + first, end = round16(pos + n);
	size_t base = horizon(a, pos) & ~(size_t)15, n_pos = end - base;
	float *s = (float *)(void *)(kv->scratch + (size_t)thread * kv->scratch_bytes);
	float *q = s + kv->n_scores, *mix = q + nq * dim;
	float scale = 1 / sqrtf((float)dim);

	for (size_t t = 0; t < n; t++)
		memcpy(q + t * heads * dim, a->q + ((first + t) * kv->n_head + head) * dim,
		       heads * dim * sizeof(*q));
	for (size_t j = 0; j < n_pos; j += 16)
		kern->attn_scores(s + j, n_pos, q, dim, nq, keys(kv, a->layer, kv_head, base + j),
				  dim);
	for (size_t i = 0; i < nq; i++) {
		size_t own = pos + i / heads, at = horizon(a, own);

		kern->softmax(s + i * n_pos + at - base, own + 1 - at, scale);
	}
	memset(mix, 0, nq * v_dim * sizeof(*mix));
	mix_values(mix, a, kv_head, heads, s, n_pos, base, n, pos);
	for (size_t t = 0; t < n; t++)
		for (size_t h = 0; h < heads; h++)
			memcpy(a->out + ((first + t) * kv->n_head + head + h) * dim,
			       mix + (t * heads + h) * v_dim, dim * sizeof(*mix));
}

void kv_attend(float *out, struct kv *kv, size_t layer, const float *q, size_t n, size_t pos,
	       size_t window, struct par *par)
{
	size_t group = kv->n_head / kv->n_kv, threads = (size_t)par_threads(par);
	struct attend a = { kv, out, q, layer, n, pos, window, 1, group, 1 };
	/* A piece of QUERIES tokens sees no more than this, rounded out to blocks. */
	size_t span = window < pos + n ? window + QUERIES + 32 : pos + n;
	size_t fit = kv->n_scores / round16(span) / group;

	if (n > 1) {
		a.tokens = group < QUERIES ? QUERIES / group : 1;
		if (a.tokens > fit)
			a.tokens = fit ? fit : 1;
	} else if (threads > kv->n_kv) {
		a.parts = (threads + kv->n_kv - 1) / kv->n_kv;
		a.heads = (group + a.parts - 1) / a.parts;
		a.parts = (group + a.heads - 1) / a.heads;
	}
	par_for(par, (n + a.tokens - 1) / a.tokens * kv->n_kv * a.parts, attend_piece, &a);
}
