#include "config.h"
#include "model/matmul.h"

#include "base/err.h"
#include "base/mem.h"

#include <assert.h>
#include <string.h>

/* kern_quant knows the block types by the same numbers. */
_Static_assert((int)KERN_Q4_0 == (int)DT_Q4_0 && (int)KERN_Q4_1 == (int)DT_Q4_1 &&
	       (int)KERN_Q5_0 == (int)DT_Q5_0 && (int)KERN_Q5_1 == (int)DT_Q5_1 &&
	       (int)KERN_Q8_0 == (int)DT_Q8_0 && (int)KERN_Q2_K == (int)DT_Q2_K &&
	       (int)KERN_Q3_K == (int)DT_Q3_K && (int)KERN_Q4_K == (int)DT_Q4_K &&
	       (int)KERN_Q5_K == (int)DT_Q5_K && (int)KERN_Q6_K == (int)DT_Q6_K, "GGUF's numbers");

static size_t round64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

/* A thread's memory: a tile's rows, then two blocks of outputs. */
static size_t tile_bytes(const struct matmul *m)
{
	size_t quantised = kern_qmul_scratch(m->max_k);
	size_t floats = 2 * KERN_PANEL * m->max_k * sizeof(float);

	return round64(quantised > floats ? quantised : floats);
}

static size_t block_floats(const struct matmul *m)
{
	return m->max_n * KERN_TILE_MAX;
}

int matmul_init(struct matmul *m, const struct kern *kern, struct par *par, size_t max_k,
		size_t max_n)
{
	size_t k = (max_k + 255) & ~(size_t)255;

	memset(m, 0, sizeof(*m));
	m->kern = kern;
	m->par = par;
	m->max_k = k;
	m->max_n = max_n;
	m->scratch_bytes = tile_bytes(m) + 2 * block_floats(m) * sizeof(float);
	m->acts[0] = mem_aligned(64, kern_acts_bytes(k, max_n, 32));
	m->acts[1] = mem_aligned(64, kern_acts_bytes(k, max_n, 256));
	m->scratch = mem_aligned(64, m->scratch_bytes * (size_t)par_threads(par));
	if (!m->acts[0] || !m->acts[1] || !m->scratch) {
		matmul_release(m);
		return RAG_ENOMEM;
	}
	return RAG_OK;
}

void matmul_release(struct matmul *m)
{
	mem_free(m->acts[0]);
	mem_free(m->acts[1]);
	mem_free(m->scratch);
	memset(m, 0, sizeof(*m));
}

/* ---- input ---- */

struct input {
	struct matmul *m;
	const float *x, *gain;
	float *normed;
	float eps;
	bool need32, need256;
};

static void input_group(void *arg, size_t group, int thread)
{
	const struct input *in = arg;
	struct matmul *m = in->m;
	size_t from = group * KERN_GROUP, to = from + KERN_GROUP < m->n ? from + KERN_GROUP : m->n;

	(void)thread;
	for (size_t t = from; in->gain && t < to; t++)
		m->kern->rms_norm(in->normed + t * m->k, in->x + t * m->k, in->gain, m->k, in->eps);
	if (in->need32)
		m->kern->quant(&m->a32, m->x, m->k, group);
	if (in->need256)
		m->kern->quant(&m->a256, m->x, m->k, group);
}

void matmul_input(struct matmul *m, const float *x, size_t n, size_t k, float *normed,
		  const float *gain, float eps, const struct linear *const *layers, size_t n_layers)
{
	struct input in = { m, x, gain, normed, eps, false, false };

	assert(k <= m->max_k && n <= m->max_n);
	m->x = gain ? normed : x;
	m->n = n;
	m->k = k;
	for (size_t i = 0; i < n_layers; i++) {
		size_t block = dtype_block(layers[i]->w->type);

		in.need32 |= block == 32;
		in.need256 |= block == 256;
	}
	if (in.need32)
		kern_acts_init(&m->a32, m->acts[0], k, n, 32);
	if (in.need256)
		kern_acts_init(&m->a256, m->acts[1], k, n, 256);
	par_for(m->par, (n + KERN_GROUP - 1) / KERN_GROUP, input_group, &in);
}

/* ---- products ---- */

/* Rows first .. first + rows - 1 of w times every column; rows <= KERN_TILE_MAX. */
static void product(float *y, size_t ldy, const struct matmul *m, const struct tensor *w,
		    size_t first, size_t rows, char *scratch)
{
	size_t row = dtype_row_bytes(w->type, m->k), block = dtype_block(w->type);
	const char *p = (const char *)w->data + first * row;
	float *plain = (float *)(void *)scratch, *packed = plain + KERN_PANEL * m->max_k;

	if (block > 1) {
		m->kern->qmul(y, ldy, (enum kern_q)w->type, p, rows,
			      block == 32 ? &m->a32 : &m->a256, scratch);
		return;
	}
	for (size_t r = 0; r < rows; r += KERN_PANEL) {
		size_t n = rows - r < KERN_PANEL ? rows - r : KERN_PANEL;

		for (size_t i = 0; i < n; i++)
			dequant_row(plain + i * m->k, w->type, p + (r + i) * row, m->k);
		m->kern->pack(packed, plain, m->k, n, m->k);
		m->kern->gemm(y + r, ldy, m->x, m->k, packed, m->n, n, m->k, NULL);
	}
}

/* Rows of a piece: eight for each thread of one column, so that they end together;
 * otherwise a tile that shares the input's way through the cache. */
static size_t piece_rows(const struct matmul *m, size_t total)
{
	size_t threads = (size_t)par_threads(m->par), rows = KERN_TILE_MAX;

	if (m->n == 1) {
		rows = total / (8 * threads) & ~(size_t)15;
		return rows < 32 ? 32 : rows > block_floats(m) ? block_floats(m) : rows;
	}
	while (rows > 16 && total / rows < 12 * threads)
		rows /= 2;
	return rows;
}

struct apply {
	const struct matmul *m;
	const struct matmul_out *out;
	size_t n_out, rows;
	size_t start[5];	/* the first piece of each matrix, and the end */
};

static void finish(float *y, size_t ldy, const float *from, size_t ldf, size_t n, size_t rows,
		   const float *bias)
{
	for (size_t c = 0; c < n; c++, y += ldy, from += ldf) {
		if (y != from)
			for (size_t i = 0; i < rows; i++)
				y[i] += from[i];
		if (bias)
			for (size_t i = 0; i < rows; i++)
				y[i] += bias[i];
	}
}

static void apply_piece(void *arg, size_t piece, int thread)
{
	const struct apply *a = arg;
	const struct matmul *m = a->m;
	char *scratch = m->scratch + (size_t)thread * m->scratch_bytes;
	float *block = (float *)(void *)(scratch + tile_bytes(m));
	size_t i = 0, first, rows, n;
	const struct matmul_out *o;
	float *y;

	while (piece >= a->start[i + 1])
		i++;
	o = &a->out[i];
	n = o->layer->w->ne[1];
	first = (piece - a->start[i]) * a->rows;
	rows = n - first < a->rows ? n - first : a->rows;
	y = o->y + first;
	product(o->add ? block : y, o->add ? rows : o->ldy, m, o->layer->w, first, rows, scratch);
	if (o->add || o->layer->bias)
		finish(y, o->ldy, o->add ? block : y, o->add ? rows : o->ldy, m->n, rows,
		       o->layer->bias ? o->layer->bias + first : NULL);
}

void matmul_apply(struct matmul *m, const struct matmul_out *out, size_t n_out)
{
	struct apply a = { .m = m, .out = out, .n_out = n_out };
	size_t total = 0;

	assert(n_out >= 1 && n_out <= 4);
	for (size_t i = 0; i < n_out; i++)
		total += out[i].layer->w->ne[1];
	a.rows = piece_rows(m, total);
	for (size_t i = 0; i < n_out; i++)
		a.start[i + 1] = a.start[i] + (out[i].layer->w->ne[1] + a.rows - 1) / a.rows;
	par_for(m->par, a.start[n_out], apply_piece, &a);
}

struct gated {
	const struct matmul *m;
	const struct linear *gate, *up;
	void (*act)(float *y, const float *gate, const float *up, size_t n);
	float *y;
	size_t rows;
};

static void gated_piece(void *arg, size_t piece, int thread)
{
	const struct gated *a = arg;
	const struct matmul *m = a->m;
	char *scratch = m->scratch + (size_t)thread * m->scratch_bytes;
	float *g = (float *)(void *)(scratch + tile_bytes(m)), *u = g + block_floats(m);
	size_t n = a->gate->w->ne[1], first = piece * a->rows;
	size_t rows = n - first < a->rows ? n - first : a->rows;

	product(g, rows, m, a->gate->w, first, rows, scratch);
	product(u, rows, m, a->up->w, first, rows, scratch);
	if (a->gate->bias)
		finish(g, rows, g, rows, m->n, rows, a->gate->bias + first);
	if (a->up->bias)
		finish(u, rows, u, rows, m->n, rows, a->up->bias + first);
	for (size_t c = 0; c < m->n; c++)
		a->act(a->y + c * n + first, g + c * rows, u + c * rows, rows);
}

void matmul_gated(float *y, struct matmul *m, const struct linear *gate, const struct linear *up,
		  void (*act)(float *y, const float *gate, const float *up, size_t n))
{
	struct gated a = { m, gate, up, act, y, piece_rows(m, gate->w->ne[1]) };

	par_for(m->par, (gate->w->ne[1] + a.rows - 1) / a.rows, gated_piece, &a);
}
