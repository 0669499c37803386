/* BERT in single precision: each step over the whole batch, in pieces for the threads. */
#include "config.h"
#include "model/encoder_impl.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/kern.h"
#include "base/mem.h"

/* Rows of a piece: so many that packing its panel of weights, which come from
 * memory, is 2 % of the work; its input streams from a third-level cache fast
 * enough.  Fewer where threads would lack pieces.  Blocks are cut to a
 * multiple of both kernels' tiles (14 and 6 rows) for speed; any cut gives
 * the same bits. */
#define ROWS_MAX 1554
#define ROWS_UNIT 42
#define PIECES 4		/* a thread, at least */
#define NORM_ROWS 64
#define QUERY_ROWS 42		/* of attention's scores held at once */
#define PAD 16			/* floats between rows of wide, so that they don't share cache sets */

struct f32_run {
	struct encoder_run run;
	size_t room, longest;		/* tokens, and tokens of a sequence, that fit what is below */
	float *x, *y;			/* owned (room, hidden) */
	float *wide;			/* owned: q, k, v and attention's output, then the ffn's middle */
	float **scratch;		/* owned (threads), each owned */

	const int32_t *ids;		/* the batch in hand; borrowed for the call */
	const size_t *offset;
	size_t tokens;
};

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t panels(size_t n)
{
	return (n + KERN_PANEL - 1) / KERN_PANEL;
}

static size_t qkv_ld(const struct encoder_shape *s)
{
	return 3 * s->hidden + PAD;
}

static size_t ffn_ld(const struct encoder_shape *s)
{
	return s->ffn + PAD;
}

/* Attention's output lies behind q, k, v in the same memory. */
static float *context(const struct f32_run *r)
{
	return r->wide + r->tokens * qkv_ld(&r->run.e->shape);
}

static void release_scratch(struct f32_run *r)
{
	for (int i = 0; i < par_threads(r->run.par); i++) {
		mem_free(r->scratch[i]);
		r->scratch[i] = NULL;
	}
	mem_free(r->x);
	mem_free(r->y);
	mem_free(r->wide);
	r->x = r->y = r->wide = NULL;
	r->room = r->longest = 0;
}

static void f32_free(struct encoder_run *run)
{
	struct f32_run *r = (struct f32_run *)run;

	release_scratch(r);
	mem_free(r->scratch);
	mem_free(r);
}

/* Floats of a thread: a packed panel of weights, or a head's packed keys,
 * values and scores. */
static size_t scratch_floats(const struct encoder_shape *s, size_t longest)
{
	size_t width = s->hidden / s->heads, keys = panels(longest) * KERN_PANEL;
	size_t attention = keys * width + panels(width) * KERN_PANEL * longest + QUERY_ROWS * keys;

	return max_size(attention, max_size(s->hidden, s->ffn) * KERN_PANEL);
}

static int reserve(struct f32_run *r, size_t tokens, size_t longest)
{
	const struct encoder_shape *s = &r->run.e->shape;
	size_t row = max_size(qkv_ld(s) + s->hidden, ffn_ld(s));
	size_t floats;

	if (tokens <= r->room && longest <= r->longest)
		return RAG_OK;
	tokens = max_size(tokens, r->room);
	longest = max_size(longest, r->longest);
	floats = scratch_floats(s, longest);
	release_scratch(r);
	if (__builtin_mul_overflow(row * sizeof(float), tokens, &row))
		return err_set(RAG_ENOMEM, "out of memory for %zu tokens", tokens);
	r->x = mem_aligned(64, tokens * s->hidden * sizeof(float));
	r->y = mem_aligned(64, tokens * s->hidden * sizeof(float));
	r->wide = mem_aligned(64, row);
	for (int i = 0; i < par_threads(r->run.par); i++)
		if (!(r->scratch[i] = mem_aligned(64, floats * sizeof(float))))
			return RAG_ENOMEM;
	if (!r->x || !r->y || !r->wide)
		return RAG_ENOMEM;
	r->room = tokens;
	r->longest = longest;
	return RAG_OK;
}

/* Piece: a sequence. */
static void embed_sequence(void *arg, size_t piece, int thread)
{
	const struct f32_run *r = arg;
	const struct encoder *e = r->run.e;
	size_t hidden = e->shape.hidden;

	(void)thread;
	for (size_t t = r->offset[piece]; t < r->offset[piece + 1]; t++) {
		const float *word = e->words + (size_t)r->ids[t] * hidden;
		const float *place = e->places + (t - r->offset[piece]) * hidden;
		const float *type = encoder_type(&r->run, piece, t - r->offset[piece]);
		float *x = r->x + t * hidden;

		for (size_t i = 0; i < hidden; i++)
			x[i] = word[i] + type[i] + place[i];
		r->run.k->layer_norm(x, x, NULL, e->norm.gain, e->norm.bias, hidden, e->shape.eps);
	}
}

struct linear_job {
	const struct f32_run *run;
	const struct encoder_linear *l;		/* (n_linear) of equal n and k, their outputs side by side */
	size_t n_linear;
	float *y;
	const float *x;
	size_t ldy, ldx, rows;
	size_t block;			/* rows of a piece */
	bool gelu;
};

/* Piece: a panel of outputs for a block of rows; blocks outside, so that
 * neighbouring pieces share their input. */
static void linear_piece(void *arg, size_t piece, int thread)
{
	const struct linear_job *j = arg;
	const struct kern *k = j->run->run.k;
	size_t each = panels(j->l->n), all = each * j->n_linear;
	size_t panel = piece % all % each, which = piece % all / each;
	const struct encoder_linear *l = &j->l[which];
	size_t first = panel * KERN_PANEL, n = l->n - first < KERN_PANEL ? l->n - first : KERN_PANEL;
	size_t row = piece / all * j->block;
	size_t end = j->rows - row < j->block ? j->rows : row + j->block;
	float *packed = j->run->scratch[thread];
	float *y = j->y + which * l->n + first;

	k->pack(packed, l->w + first * l->k, l->k, n, l->k);
	/* in small steps, so that gelu finds its values in the cache */
	for (size_t rows; row < end; row += rows) {
		rows = end - row < ROWS_UNIT ? end - row : ROWS_UNIT;
		k->gemm(y + row * j->ldy, j->ldy, j->x + row * j->ldx, j->ldx, packed,
			rows, n, l->k, l->b + first);
		for (size_t i = row; j->gelu && i < row + rows; i++)
			k->gelu(y + i * j->ldy, n);
	}
}

static void linear(const struct f32_run *r, float *y, size_t ldy, const float *x, size_t ldx,
		   const struct encoder_linear *l, size_t n_linear, bool gelu)
{
	struct linear_job j = { r, l, n_linear, y, x, ldy, ldx, r->tokens, 0, gelu };
	size_t blocks = (r->tokens + ROWS_MAX - 1) / ROWS_MAX, each = panels(l->n) * n_linear;

	blocks = max_size(blocks, (PIECES * (size_t)par_threads(r->run.par) + each - 1) / each);
	j.block = (r->tokens + blocks - 1) / blocks;
	j.block = (j.block + ROWS_UNIT - 1) / ROWS_UNIT * ROWS_UNIT;
	blocks = (r->tokens + j.block - 1) / j.block;
	par_for(r->run.par, blocks * each, linear_piece, &j);
}

/* Piece: a head of a sequence.  softmax(q k' / sqrt(width)) v, some queries at a time. */
static void attention_piece(void *arg, size_t piece, int thread)
{
	const struct f32_run *r = arg;
	const struct encoder_shape *s = &r->run.e->shape;
	size_t width = s->hidden / s->heads, ld = qkv_ld(s), head = piece % s->heads * width;
	size_t at = r->offset[piece / s->heads], n = r->offset[piece / s->heads + 1] - at;
	size_t lds = panels(n) * KERN_PANEL;
	const float *q = r->wide + at * ld + head, *key = q + s->hidden, *value = key + s->hidden;
	float *keys = r->scratch[thread];			/* (panels(n), width, KERN_PANEL) */
	float *values = keys + lds * width;			/* (panels(width), n, KERN_PANEL) */
	float *scores = values + panels(width) * KERN_PANEL * n;	/* (QUERY_ROWS, lds) */
	float *out = context(r) + at * s->hidden + head;
	float scale = 1 / sqrtf((float)width);

	for (size_t p = 0; p < n; p += KERN_PANEL)
		r->run.k->pack(keys + p * width, key + p * ld, ld,
			   n - p < KERN_PANEL ? n - p : KERN_PANEL, width);
	for (size_t p = 0; p < width; p += KERN_PANEL) {
		size_t some = width - p < KERN_PANEL ? width - p : KERN_PANEL;

		for (size_t t = 0; t < n; t++) {
			float *v = values + (p * n + t * KERN_PANEL);

			memcpy(v, value + t * ld + p, some * sizeof(*v));
			memset(v + some, 0, (KERN_PANEL - some) * sizeof(*v));
		}
	}
	for (size_t row = 0, rows; row < n; row += rows) {
		rows = n - row < QUERY_ROWS ? n - row : QUERY_ROWS;
		for (size_t p = 0; p < n; p += KERN_PANEL)
			r->run.k->gemm(scores + p, lds, q + row * ld, ld, keys + p * width, rows,
				   n - p < KERN_PANEL ? n - p : KERN_PANEL, width, NULL);
		for (size_t i = 0; i < rows; i++)
			r->run.k->softmax(scores + i * lds, n, scale);
		for (size_t p = 0; p < width; p += KERN_PANEL)
			r->run.k->gemm(out + row * s->hidden + p, s->hidden, scores, lds, values + p * n,
				   rows, width - p < KERN_PANEL ? width - p : KERN_PANEL, n, NULL);
	}
}

struct norm_job {
	const struct f32_run *run;
	const struct encoder_norm *norm;
};

/* Piece: NORM_ROWS rows.  x = norm(y + x). */
static void norm_piece(void *arg, size_t piece, int thread)
{
	const struct norm_job *j = arg;
	const struct f32_run *r = j->run;
	size_t hidden = r->run.e->shape.hidden, end = (piece + 1) * NORM_ROWS;

	(void)thread;
	for (size_t t = piece * NORM_ROWS; t < end && t < r->tokens; t++)
		r->run.k->layer_norm(r->x + t * hidden, r->y + t * hidden, r->x + t * hidden,
				 j->norm->gain, j->norm->bias, hidden, r->run.e->shape.eps);
}

static void add_norm(const struct f32_run *r, const struct encoder_norm *norm)
{
	struct norm_job j = { r, norm };

	par_for(r->run.par, (r->tokens + NORM_ROWS - 1) / NORM_ROWS, norm_piece, &j);
}

static int f32_eval(const float **out, struct encoder_run *run, const int32_t *ids,
		    const size_t *offset, size_t n)
{
	struct f32_run *r = (struct f32_run *)run;
	const struct encoder_shape *s = &run->e->shape;
	size_t longest = 0;
	int rc;

	for (size_t i = 0; i < n; i++)
		longest = max_size(longest, offset[i + 1] - offset[i]);
	rc = reserve(r, offset[n], longest);
	if (rc)
		return rc;
	r->ids = ids;
	r->offset = offset;
	r->tokens = offset[n];
	par_for(r->run.par, n, embed_sequence, r);
	for (size_t i = 0; i < s->layers; i++) {
		const struct encoder_layer *l = &r->run.e->layers[i];

		linear(r, r->wide, qkv_ld(s), r->x, s->hidden, l->qkv, 3, false);
		par_for(r->run.par, n * s->heads, attention_piece, r);
		linear(r, r->y, s->hidden, context(r), s->hidden, &l->out, 1, false);
		add_norm(r, &l->after_attention);
		linear(r, r->wide, ffn_ld(s), r->x, s->hidden, &l->up, 1, true);
		linear(r, r->y, s->hidden, r->wide, ffn_ld(s), &l->down, 1, false);
		add_norm(r, &l->after_ffn);
	}
	*out = r->x;
	return RAG_OK;
}

int encoder_f32_new(struct encoder_run **out, const struct encoder *e, const struct kern *k,
		    struct par *par)
{
	struct f32_run *r = mem_calloc(1, sizeof(*r));

	if (!r)
		return RAG_ENOMEM;
	r->run = (struct encoder_run){ e, k, par, NULL, f32_eval, f32_free };
	r->scratch = mem_calloc((size_t)par_threads(par), sizeof(*r->scratch));
	if (!r->scratch) {
		mem_free(r);
		return RAG_ENOMEM;
	}
	*out = &r->run;
	return RAG_OK;
}
