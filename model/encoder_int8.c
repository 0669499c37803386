/* BERT in 8-bit integers (base/kern_int8.h): whole sequences through all layers, a span a thread. */
#include "config.h"
#include "model/encoder_impl.h"

#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/kern.h"
#include "base/mem.h"

#define SPAN 256	/* tokens of a span, but for a longer sequence: its rows stay in a second-level cache */
#define BLOCK 96	/* rows that a panel of weights meets at once: eight tiles of AVX-512 */
#define QUERIES 48	/* rows of attention's scores held at once */
#define ROWS 16		/* rows of a piece of what is done row by row */
#define PROBE 16	/* tokens that tell large channels from small ones */
#define PAD 16		/* floats between long rows, so that they don't share cache sets */
#define LOG2E 1.44269504f

/* Sequences first .. end - 1 of the batch. */
struct span {
	size_t first, end;
};

/* A head's memory for the tokens of a span. */
struct head {
	float *qkv;		/* (span, 3, width rounded up to panels) */
	uint8_t *q;		/* (span, padded width) */
	struct kern8_row *q_row;
	char *keys, *values;	/* panels of one sequence */
	float *scores;		/* (QUERIES, keys rounded up to panels) */
	int16_t *p;		/* (QUERIES, padded keys) */
	struct kern8_row p_row[QUERIES];
};

/* A span's memory. */
struct work {
	uint8_t *q;		/* (span, padded hidden): the input of the next product */
	struct kern8_row *row;
	float *context;		/* (span, hidden) */
	float *middle;		/* (BLOCK, ffn + PAD) */
	uint8_t *middle_q;	/* (BLOCK, padded ffn) */
	struct kern8_row middle_row[BLOCK];
	float *y;		/* (BLOCK, hidden) */
};

enum part { HEADS, OUT, UP, DOWN };

struct packed {
	char *heads;		/* (heads, q k v, panels of a head) */
	char *out, *up, *down;	/* panels */
	/* Some channels of a norm's output are many times as large as the others, and all
	 * would share their scale: they are divided by the root of how much larger, and the
	 * weights multiplied (Xiao et al. 2022, SmoothQuant). */
	struct smooth {
		float *input, *weight;	/* (hidden) factors */
	} heads_by, up_by;
};

struct int8_run {
	struct encoder_run run;
	char *weights;			/* owned; NULL before the first eval */
	bool packed;
	struct packed *layers;		/* owned (layers), into weights */
	size_t capacity;		/* tokens that a thread's memory is for */
	char **memory;			/* owned (threads), each owned */
	struct head *heads;		/* owned (threads) */
	struct work *works;		/* owned (threads) */
	float *x;			/* owned (room, hidden) */
	size_t room;
	struct span *spans;		/* owned (spans_room) */
	size_t spans_room, n_spans;

	const int32_t *ids;		/* the batch in hand; borrowed for the call */
	const size_t *offset;
};

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t panels(size_t n)
{
	return (n + KERN8_PANEL - 1) / KERN8_PANEL;
}

static size_t head_width(const struct encoder_shape *s)
{
	return s->hidden / s->heads;
}

static const struct kern8_panel *panel_at(const char *p, size_t i, size_t k)
{
	return (const struct kern8_panel *)(const void *)(p + i * kern8_panel_bytes(k));
}

/* ---- weights ------------------------------------------------------------------ */

static size_t head_panels(const struct encoder_shape *s)	/* of q, k and v of all heads */
{
	return s->heads * 3 * panels(head_width(s));
}

struct pack_job {
	const struct int8_run *r;
	size_t layer;
	enum part part;
};

/* Piece: a panel of a part of a layer. */
static void pack_piece(void *arg, size_t piece, int thread)
{
	const struct pack_job *j = arg;
	const struct encoder *e = j->r->run.e;
	const struct encoder_layer *l = &e->layers[j->layer];
	const struct packed *to = &j->r->layers[j->layer];
	size_t at = piece * KERN8_PANEL, limit, width = head_width(&e->shape), some = panels(width);
	const struct encoder_linear *from[] = { &l->qkv[piece / some % 3], &l->out, &l->up, &l->down };
	const struct encoder_linear *w = from[j->part];
	char *panels_of[] = { to->heads, to->out, to->up, to->down };
	const float *by[] = { to->heads_by.weight, NULL, to->up_by.weight, NULL };

	(void)thread;
	limit = w->n;
	if (j->part == HEADS) {
		at = piece / some / 3 * width + piece % some * KERN8_PANEL;
		limit = (piece / some / 3 + 1) * width;
	}
	j->r->run.k->pack8((void *)(panels_of[j->part] + piece * kern8_panel_bytes(w->k)),
			   w->w + at * w->k, w->k, by[j->part],
			   limit - at < KERN8_PANEL ? limit - at : KERN8_PANEL, w->k);
}

static void pack(const struct int8_run *r, size_t layer, enum part part)
{
	const struct encoder_shape *s = &r->run.e->shape;
	const size_t n[] = { head_panels(s), panels(s->hidden), panels(s->ffn), panels(s->hidden) };
	struct pack_job j = { r, layer, part };

	par_for(r->run.par, n[part], pack_piece, &j);
}

static int reserve_weights(struct int8_run *r)
{
	const struct encoder_shape *s = &r->run.e->shape;
	size_t of_hidden = kern8_panel_bytes(s->hidden), of_ffn = kern8_panel_bytes(s->ffn);
	size_t factors = kern8_padded(s->hidden), layer;

	layer = (head_panels(s) + panels(s->hidden) + panels(s->ffn)) * of_hidden +
		panels(s->hidden) * of_ffn + 4 * factors * sizeof(float);
	r->weights = mem_aligned(s->layers * layer < MEM_HUGE ? 64 : MEM_HUGE, s->layers * layer);
	if (!r->weights)
		return RAG_ENOMEM;
	for (size_t i = 0; i < s->layers; i++) {
		struct packed *l = &r->layers[i];

		l->heads = r->weights + i * layer;
		l->out = l->heads + head_panels(s) * of_hidden;
		l->up = l->out + panels(s->hidden) * of_hidden;
		l->down = l->up + panels(s->ffn) * of_hidden;
		l->heads_by.input = (float *)(void *)(l->down + panels(s->hidden) * of_ffn);
		l->heads_by.weight = l->heads_by.input + factors;
		l->up_by.input = l->heads_by.weight + factors;
		l->up_by.weight = l->up_by.input + factors;
	}
	return RAG_OK;
}

/* ---- memory --------------------------------------------------------------------- */

/* Takes n bytes of memory at *at, in lines of the cache; adds up alone while memory is NULL. */
static void *take(char *memory, size_t *at, size_t n)
{
	void *p = memory ? memory + *at : NULL;

	*at += (n + 63) / 64 * 64;
	return p;
}

static size_t lay_out(struct head *h, struct work *w, char *memory, const struct encoder_shape *s,
		      size_t span)
{
	size_t width = head_width(s), at = 0;

	h->qkv = take(memory, &at, span * 3 * panels(width) * KERN8_PANEL * sizeof(float));
	h->q = take(memory, &at, span * kern8_padded(width));
	h->q_row = take(memory, &at, span * sizeof(*h->q_row));
	h->keys = take(memory, &at, panels(span) * kern8_panel_bytes(width));
	h->values = take(memory, &at, panels(width) * kern8_mix_bytes(span));
	h->scores = take(memory, &at, QUERIES * panels(span) * KERN8_PANEL * sizeof(float));
	h->p = take(memory, &at, QUERIES * kern8_padded(span) * sizeof(*h->p));
	w->q = take(memory, &at, span * kern8_padded(s->hidden));
	w->row = take(memory, &at, span * sizeof(*w->row));
	w->context = take(memory, &at, span * s->hidden * sizeof(float));
	w->middle = take(memory, &at, BLOCK * (s->ffn + PAD) * sizeof(float));
	w->middle_q = take(memory, &at, BLOCK * kern8_padded(s->ffn));
	w->y = take(memory, &at, BLOCK * s->hidden * sizeof(float));
	return at;
}

static void release_memory(struct int8_run *r)
{
	for (int i = 0; i < par_threads(r->run.par); i++) {
		mem_free(r->memory[i]);
		r->memory[i] = NULL;
	}
	r->capacity = 0;
}

static int reserve_memory(struct int8_run *r, size_t longest)
{
	const struct encoder_shape *s = &r->run.e->shape;
	size_t span = max_size(SPAN, longest), bytes;

	if (span <= r->capacity)
		return RAG_OK;
	release_memory(r);
	bytes = lay_out(&r->heads[0], &r->works[0], NULL, s, span);
	for (int i = 0; i < par_threads(r->run.par); i++) {
		r->memory[i] = mem_aligned(64, bytes);
		if (!r->memory[i])
			return RAG_ENOMEM;
		lay_out(&r->heads[i], &r->works[i], r->memory[i], s, span);
	}
	r->capacity = span;
	return RAG_OK;
}

static int reserve(struct int8_run *r, size_t tokens, size_t n, size_t longest)
{
	size_t bytes;

	if (tokens > r->room) {
		mem_free(r->x);
		r->room = 0;
		if (__builtin_mul_overflow(tokens, r->run.e->shape.hidden * sizeof(float), &bytes))
			return err_set(RAG_ENOMEM, "out of memory for %zu tokens", tokens);
		r->x = mem_aligned(64, bytes);
		if (!r->x)
			return RAG_ENOMEM;
		r->room = tokens;
	}
	if (n > r->spans_room) {
		struct span *spans = mem_realloc(r->spans, n, sizeof(*spans));

		if (!spans)
			return RAG_ENOMEM;
		r->spans = spans;
		r->spans_room = n;
	}
	return reserve_memory(r, longest);
}

static void int8_free(struct encoder_run *run)
{
	struct int8_run *r = (struct int8_run *)run;

	if (r->memory)
		release_memory(r);
	mem_free(r->memory);
	mem_free(r->heads);
	mem_free(r->works);
	mem_free(r->layers);
	mem_free(r->weights);
	mem_free(r->x);
	mem_free(r->spans);
	mem_free(r);
}

/* ---- a span ----------------------------------------------------------------------- */

/* One span on its way through the layers.  par: NULL where each thread has a
 * span of its own; then thread is whose memory it uses, and 0 otherwise. */
struct pass {
	const struct int8_run *r;
	const struct encoder_shape *s;
	const struct kern *k;
	struct par *par;
	int thread;
	const struct work *w;
	struct span span;
	size_t n;			/* tokens */
	float *x;			/* (n, hidden) */
	size_t l;			/* the layer in hand */
	const struct encoder_layer *layer;
	const struct packed *packed;
	bool packs;			/* the weights, each part before its first use */
};

/* Rows to bytes, after a norm where there is one. */
struct row_job {
	const struct pass *pass;
	uint8_t *q;
	struct kern8_row *row;
	float *x;			/* (n, ldx) */
	const float *add;		/* (n, width) or NULL */
	const struct encoder_norm *norm;	/* NULL: none */
	const float *by;		/* (width) factors of the bytes; NULL: 1 */
	size_t n, width, ldx;
};

/* Piece: ROWS rows. */
static void row_piece(void *arg, size_t piece, int thread)
{
	const struct row_job *j = arg;
	const struct kern *k = j->pass->k;
	size_t end = (piece + 1) * ROWS < j->n ? (piece + 1) * ROWS : j->n;

	(void)thread;
	for (size_t i = piece * ROWS; i < end; i++) {
		float *x = j->x + i * j->ldx;

		if (j->norm)
			k->norm8(x, j->add ? j->add + i * j->width : NULL, j->norm->gain, j->norm->bias,
				 j->width, j->pass->s->eps);
		k->row8(j->q + i * kern8_padded(j->width), &j->row[i], x, j->by, j->width);
	}
}

static void rows_to_bytes(const struct row_job *j)
{
	par_for(j->pass->par, (j->n + ROWS - 1) / ROWS, row_piece, (void *)j);
}

struct product_job {
	const struct pass *pass;
	float *y;
	const uint8_t *q;
	const struct kern8_row *row;
	const char *panels;
	const struct encoder_linear *l;
	size_t ldy, m;
	bool gelu;
};

/* Piece: a panel of outputs for all rows. */
static void product_piece(void *arg, size_t piece, int thread)
{
	const struct product_job *j = arg;
	const struct kern *k = j->pass->k;
	size_t first = piece * KERN8_PANEL, inputs = j->l->k;
	size_t n = j->l->n - first < KERN8_PANEL ? j->l->n - first : KERN8_PANEL;
	float *y = j->y + first;

	(void)thread;
	k->gemm8(y, j->ldy, j->q, kern8_padded(inputs), j->row, panel_at(j->panels, piece, inputs),
		 j->m, n, inputs, j->l->b + first);
	for (size_t i = 0; j->gelu && i < j->m; i++)
		k->gelu8(y + i * j->ldy, n);
}

static void product(const struct product_job *j)
{
	par_for(j->pass->par, panels(j->l->n), product_piece, (void *)j);
}

/* softmax(q k' / sqrt(width)) v of a head and the n tokens of a sequence; qkv: the first one's. */
static void attend(float *out, const struct pass *p, struct head *h, const float *qkv, size_t n)
{
	size_t width = head_width(p->s), some = panels(width), ld = 3 * some * KERN8_PANEL;
	size_t lds = panels(n) * KERN8_PANEL, ldp = kern8_padded(n), ldq = kern8_padded(width);
	const float *key = qkv + some * KERN8_PANEL, *value = key + some * KERN8_PANEL;
	float scale = LOG2E / sqrtf((float)width), bad = 0;

	for (size_t t = 0; t < n; t++) {
		p->k->row8(h->q + t * ldq, &h->q_row[t], qkv + t * ld, NULL, width);
		h->q_row[t].scale *= scale;
	}
	for (size_t t = 0; t < n; t += KERN8_PANEL) {
		struct kern8_panel *panel = (struct kern8_panel *)panel_at(h->keys, t / KERN8_PANEL, width);

		p->k->pack8(panel, key + t * ld, ld, NULL, n - t < KERN8_PANEL ? n - t : KERN8_PANEL, width);
		for (size_t j = 0; j < KERN8_PANEL; j++)
			bad += 0 * panel->scale[j];	/* NaN if one is: its weights' integers don't tell */
	}
	for (size_t c = 0; c < width; c += KERN8_PANEL)
		p->k->pack16((void *)(h->values + c / KERN8_PANEL * kern8_mix_bytes(n)), value + c, ld,
			     width - c < KERN8_PANEL ? width - c : KERN8_PANEL, n);
	for (size_t row = 0, rows; row < n; row += rows) {
		rows = n - row < QUERIES ? n - row : QUERIES;
		for (size_t t = 0; t < n; t += KERN8_PANEL)
			p->k->gemm8(h->scores + t, lds, h->q + row * ldq, ldq, h->q_row + row,
				    panel_at(h->keys, t / KERN8_PANEL, width), rows,
				    n - t < KERN8_PANEL ? n - t : KERN8_PANEL, width, NULL);
		for (size_t i = 0; i < rows; i++) {
			int32_t sum = p->k->exp16(h->p + i * ldp, h->scores + i * lds, n, kern8_top(n));

			h->p_row[i].scale = 1 / (float)sum + 0 * h->q_row[row + i].scale + bad;
		}
		for (size_t c = 0; c < width; c += KERN8_PANEL)
			p->k->mix16(out + row * p->s->hidden + c, p->s->hidden, h->p, ldp, h->p_row,
				    (const void *)(h->values + c / KERN8_PANEL * kern8_mix_bytes(n)),
				    rows, width - c < KERN8_PANEL ? width - c : KERN8_PANEL, n);
	}
}

/* Piece: a head, its q, k and v and its attention in every sequence of the span. */
static void head_piece(void *arg, size_t piece, int thread)
{
	const struct pass *p = arg;
	const struct int8_run *r = p->r;
	size_t hidden = p->s->hidden, width = head_width(p->s), some = panels(width);
	size_t ld = 3 * some * KERN8_PANEL, begin = r->offset[p->span.first];
	struct head *h = &r->heads[p->thread + thread];

	for (size_t row = 0; row < p->n; row += BLOCK) {
		size_t rows = p->n - row < BLOCK ? p->n - row : BLOCK;

		for (size_t i = 0; i < 3 * some; i++) {
			size_t first = i % some * KERN8_PANEL;

			p->k->gemm8(h->qkv + row * ld + i * KERN8_PANEL, ld, p->w->q + row * kern8_padded(hidden),
				    kern8_padded(hidden), p->w->row + row,
				    panel_at(p->packed->heads, piece * 3 * some + i, hidden), rows,
				    width - first < KERN8_PANEL ? width - first : KERN8_PANEL, hidden,
				    p->layer->qkv[i / some].b + piece * width + first);
		}
	}
	for (size_t i = p->span.first; i < p->span.end; i++) {
		size_t at = r->offset[i] - begin;

		attend(p->w->context + at * hidden + piece * width, p, h, h->qkv + at * ld,
		       r->offset[i + 1] - r->offset[i]);
	}
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* The factors of p->x: those of its channels that are larger than most.  room: (hidden). */
static void choose(const struct smooth *out, const struct pass *p, float *room)
{
	size_t hidden = p->s->hidden;
	float middle;

	for (size_t c = 0; c < hidden; c++) {
		float most = 0;

		for (size_t i = 0; i < p->n; i++)
			most = fmaxf(most, fabsf(p->x[i * hidden + c]));
		out->input[c] = room[c] = most;
	}
	qsort(room, hidden, sizeof(*room), by_value);
	middle = room[hidden / 2];
	for (size_t c = 0; c < hidden; c++) {
		float larger = out->input[c] / middle;

		out->weight[c] = larger > 1 && larger < 1e6f ? sqrtf(larger) : 1;
		out->input[c] = 1 / out->weight[c];
	}
}

/* The bytes of x that a layer's heads or its up begin with; and first of all, its weights. */
static void x_to_bytes(const struct pass *p, size_t first, size_t rows, const float *add,
		       const struct encoder_norm *norm, enum part next)
{
	const struct smooth *by = next == HEADS ? &p->packed->heads_by : &p->packed->up_by;
	size_t hidden = p->s->hidden;
	struct row_job j = { p, p->w->q + first * kern8_padded(hidden), p->w->row + first,
			     p->x + first * hidden, add, norm, by->input, rows, hidden, hidden };

	rows_to_bytes(&j);
	if (!p->packs)
		return;
	choose(by, p, p->w->y);
	pack(p->r, p->l, next);
	j.norm = NULL;
	rows_to_bytes(&j);
}

/* What follows attention, for rows first .. of the span: at most BLOCK of them. */
static void feed_forward(struct pass *p, size_t first, size_t rows)
{
	const struct work *w = p->w;
	const struct encoder_layer *l = p->layer;
	const struct packed *packed = p->packed;
	size_t hidden = p->s->hidden, ffn = p->s->ffn, ld = ffn + PAD;
	uint8_t *q = w->q + first * kern8_padded(hidden);
	struct kern8_row *row = w->row + first;

	if (p->packs)
		pack(p->r, p->l, OUT);
	rows_to_bytes(&(struct row_job){ p, q, row, w->context + first * hidden, NULL, NULL, NULL,
					 rows, hidden, hidden });
	product(&(struct product_job){ p, w->y, q, row, packed->out, &l->out, hidden, rows, false });
	x_to_bytes(p, first, rows, w->y, &l->after_attention, UP);
	product(&(struct product_job){ p, w->middle, q, row, packed->up, &l->up, ld, rows, true });
	if (p->packs)
		pack(p->r, p->l, DOWN);
	rows_to_bytes(&(struct row_job){ p, w->middle_q, (struct kern8_row *)w->middle_row, w->middle, NULL,
					 NULL, NULL, rows, ffn, ld });
	product(&(struct product_job){ p, w->y, w->middle_q, w->middle_row, packed->down, &l->down,
				       hidden, rows, false });
}

static void take_layer(struct pass *p, size_t l)
{
	p->l = l;
	p->layer = &p->r->run.e->layers[l];
	p->packed = &p->r->layers[l];
}

/* Rows first .. behind the last layer: their norm alone. */
static void last_norm(const struct pass *p, size_t first, size_t rows)
{
	size_t hidden = p->s->hidden;

	for (size_t i = 0; i < rows; i++)
		p->k->norm8(p->x + (first + i) * hidden, p->w->y + i * hidden, p->layer->after_ffn.gain,
			    p->layer->after_ffn.bias, hidden, p->s->eps);
}

static void run_span(struct int8_run *r, struct span span, struct par *par, int thread, bool packs)
{
	const struct encoder *e = r->run.e;
	size_t hidden = e->shape.hidden, begin = r->offset[span.first];
	struct pass p = { r, &e->shape, r->run.k, par, thread, &r->works[thread], span,
			  r->offset[span.end] - begin, r->x + begin * hidden, 0, NULL, NULL, packs };

	for (size_t i = span.first; i < span.end; i++) {
		for (size_t t = r->offset[i]; t < r->offset[i + 1]; t++) {
			const float *word = e->words + (size_t)r->ids[t] * hidden;
			const float *place = e->places + (t - r->offset[i]) * hidden;
			const float *type = encoder_type(&r->run, i, t - r->offset[i]);
			float *x = r->x + t * hidden;

			for (size_t c = 0; c < hidden; c++)
				x[c] = word[c] + type[c] + place[c];
		}
	}
	take_layer(&p, 0);
	x_to_bytes(&p, 0, p.n, NULL, &e->norm, HEADS);
	for (size_t l = 0; l < e->shape.layers; l++) {
		par_for(par, e->shape.heads, head_piece, &p);
		for (size_t row = 0; row < p.n; row += BLOCK) {
			size_t rows = p.n - row < BLOCK ? p.n - row : BLOCK;

			take_layer(&p, l);
			feed_forward(&p, row, rows);
			if (l + 1 < e->shape.layers) {
				take_layer(&p, l + 1);
				x_to_bytes(&p, row, rows, p.w->y, &e->layers[l].after_ffn, HEADS);
			} else {
				last_norm(&p, row, rows);
			}
		}
	}
}

/* Weights are packed on the way of a fixed sequence through the layers: how large the channels
 * are shows on any tokens.  They are spread over the vocabulary. */
static void pack_weights(struct int8_run *r)
{
	const struct encoder_shape *s = &r->run.e->shape;
	size_t n = s->positions < PROBE ? s->positions : PROBE;
	const size_t offset[] = { 0, n };
	int32_t ids[PROBE];

	for (size_t i = 0; i < n; i++)
		ids[i] = (int32_t)((2000 + i * 7919) % s->vocab);
	r->ids = ids;
	r->offset = offset;
	run_span(r, (struct span){ 0, 1 }, r->run.par, 0, true);
	r->ids = NULL;
	r->offset = NULL;
	r->packed = true;
}

/* Piece: a span. */
static void span_piece(void *arg, size_t piece, int thread)
{
	struct int8_run *r = arg;

	run_span(r, r->spans[piece], NULL, thread, false);
}

/* Neighbouring sequences together while they are few tokens. */
static void make_spans(struct int8_run *r, size_t n)
{
	r->n_spans = 0;
	for (size_t i = 0; i < n; i++) {
		struct span *last = r->n_spans ? &r->spans[r->n_spans - 1] : NULL;

		if (last && r->offset[i + 1] - r->offset[last->first] <= SPAN)
			last->end = i + 1;
		else
			r->spans[r->n_spans++] = (struct span){ i, i + 1 };
	}
}

static int int8_eval(const float **out, struct encoder_run *run, const int32_t *ids,
		     const size_t *offset, size_t n)
{
	struct int8_run *r = (struct int8_run *)run;
	size_t longest = 0;
	int rc;

	for (size_t i = 0; i < n; i++)
		longest = max_size(longest, offset[i + 1] - offset[i]);
	rc = reserve(r, max_size(offset[n], PROBE), n, longest);
	if (!rc && !r->weights)
		rc = reserve_weights(r);
	if (rc)
		return rc;
	if (!r->packed)
		pack_weights(r);
	r->ids = ids;
	r->offset = offset;
	make_spans(r, n);
	if (r->n_spans >= 4 * (size_t)par_threads(run->par) || par_threads(run->par) == 1) {
		par_for(run->par, r->n_spans, span_piece, r);
	} else {
		for (size_t i = 0; i < r->n_spans; i++)
			run_span(r, r->spans[i], run->par, 0, false);
	}
	*out = r->x;
	return RAG_OK;
}

int encoder_int8_new(struct encoder_run **out, const struct encoder *e, const struct kern *k,
		     struct par *par)
{
	struct int8_run *r = mem_calloc(1, sizeof(*r));
	size_t threads = (size_t)par_threads(par);

	if (!r)
		return RAG_ENOMEM;
	r->run = (struct encoder_run){ e, k, par, NULL, int8_eval, int8_free };
	r->layers = mem_calloc(e->shape.layers, sizeof(*r->layers));
	r->memory = mem_calloc(threads, sizeof(*r->memory));
	r->heads = mem_calloc(threads, sizeof(*r->heads));
	r->works = mem_calloc(threads, sizeof(*r->works));
	if (!r->layers || !r->memory || !r->heads || !r->works) {
		int8_free(&r->run);
		return RAG_ENOMEM;
	}
	*out = &r->run;
	return RAG_OK;
}
