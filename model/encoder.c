#include "config.h"
#include "model/encoder.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/json.h"
#include "base/kern.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "model/safetensors.h"

/* Bounds on what a config may ask for: beyond any BERT, and small enough that
 * no product of two of them overflows. */
#define LAYERS_MAX 256
#define WIDTH_MAX 65536
#define POSITIONS_MAX 65536
#define VOCAB_MAX (1 << 24)

#define HASH_SAMPLE 256		/* bytes at the start, middle and end of each tensor */

struct linear {
	const float *w;		/* (n, k) */
	const float *b;		/* (n) */
	size_t n, k;
};

struct norm {
	const float *gain, *bias;	/* (hidden) */
};

struct layer {
	struct linear qkv[3], out, up, down;
	struct norm after_attention, after_ffn;
};

struct encoder {
	struct encoder_shape shape;
	struct safetensors *file;	/* owned; the weights below point into it, or into own */
	const char *prefix;		/* of the tensors' names: "" or "bert." */
	struct layer *layers;		/* owned (shape.layers) */
	struct norm norm;
	const float *words, *places, *types;	/* (vocab, hidden), (positions, hidden), (types, hidden) */
	void **own;			/* owned (n_own) tensors that the file has in 16 bits, as float */
	size_t n_own;
};

int encoder_json(struct json **out, const char *dir, const char *name)
{
	struct buf path = BUF_INIT;
	struct map m = { NULL, 0 };
	int rc;

	rc = buf_addf(&path, "%s/%s", dir, name);
	if (!rc)
		rc = map_open(&m, buf_str(&path));
	if (!rc)
		rc = json_parse(out, m.data ? (const char *)m.data : "", m.len, buf_str(&path));
	map_close(&m);
	buf_release(&path);
	return rc;
}

/* What has no config.json may be a model of another kind: then its name says more. */
static int not_encoder(const char *dir)
{
	struct buf path = BUF_INIT;
	struct gguf *g = NULL;
	struct gguf_str arch;
	struct stat st;
	int rc;

	if (stat(dir, &st) < 0)
		return err_set(RAG_ENOENT, "no embedding model at '%s'", dir);
	rc = buf_addf(&path, S_ISDIR(st.st_mode) ? "%s/model.gguf" : "%s", dir);
	if (rc)
		return rc;
	if (gguf_open(&g, buf_str(&path)) == RAG_OK && gguf_get_str(&arch, g, "general.architecture"))
		rc = err_set(RAG_EUNSUP, "not an embedding model: '%.*s' in '%s'",
			     (int)(arch.len < 64 ? arch.len : 64), arch.s, buf_str(&path));
	else
		rc = err_set(RAG_ENOENT, "no embedding model at '%s': config.json is missing", dir);
	gguf_close(g);
	buf_release(&path);
	return rc;
}

static int take_size(size_t *out, const struct json *config, const char *key, int64_t max,
		     const char *dir)
{
	int64_t v = json_int(json_get(config, key), -1);

	if (v < 1 || v > max)
		return err_set(RAG_EFORMAT, "'%s/config.json': %s is missing or not in 1 .. %lld",
			       dir, key, (long long)max);
	*out = (size_t)v;
	return RAG_OK;
}

/* The string at key must be want: we know no other kind. */
static int need_kind(const struct json *config, const char *key, const char *want,
		     const char *otherwise, const char *dir)
{
	const char *kind = json_str(json_get(config, key), otherwise);

	if (strcmp(kind, want))
		return err_set(RAG_EUNSUP, "'%s/config.json': %s '%.64s'", dir, key, kind);
	return RAG_OK;
}

static int read_config(struct encoder_shape *s, const char *dir)
{
	struct json *config = NULL;
	struct stat st;
	const char *arch;
	double eps;
	int rc;

	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return not_encoder(dir);
	rc = encoder_json(&config, dir, "config.json");
	if (rc == RAG_ENOENT)
		return not_encoder(dir);
	if (rc)
		return rc;
	arch = json_str(json_get(config, "model_type"), "?");
	if (strcmp(arch, "bert")) {
		rc = err_set(RAG_EUNSUP, "not an embedding model: '%.64s' in '%s/config.json'", arch, dir);
		goto fail;
	}
	if ((rc = need_kind(config, "hidden_act", "gelu", "gelu", dir)) ||
	    (rc = need_kind(config, "position_embedding_type", "absolute", "absolute", dir)) ||
	    (rc = take_size(&s->layers, config, "num_hidden_layers", LAYERS_MAX, dir)) ||
	    (rc = take_size(&s->hidden, config, "hidden_size", WIDTH_MAX, dir)) ||
	    (rc = take_size(&s->heads, config, "num_attention_heads", WIDTH_MAX, dir)) ||
	    (rc = take_size(&s->ffn, config, "intermediate_size", WIDTH_MAX, dir)) ||
	    (rc = take_size(&s->vocab, config, "vocab_size", VOCAB_MAX, dir)) ||
	    (rc = take_size(&s->positions, config, "max_position_embeddings", POSITIONS_MAX, dir)) ||
	    (rc = take_size(&s->types, config, "type_vocab_size", WIDTH_MAX, dir)))
		goto fail;
	if (s->hidden % s->heads) {
		rc = err_set(RAG_EFORMAT, "'%s/config.json': hidden_size %zu does not divide into %zu heads",
			     dir, s->hidden, s->heads);
		goto fail;
	}
	eps = json_num(json_get(config, "layer_norm_eps"), 1e-12);
	if (!(eps >= 0 && eps < 1)) {
		rc = err_set(RAG_EFORMAT, "'%s/config.json': layer_norm_eps is not in 0 .. 1", dir);
		goto fail;
	}
	s->eps = (float)eps;
fail:
	json_free(config);
	return rc;
}

/* *out: (rows, columns) of the tensor of this name; a vector has rows 1. */
static int take_tensor(const float **out, struct encoder *e, const char *dir, const char *name,
		       size_t rows, size_t columns)
{
	const struct tensor *t;
	struct buf full = BUF_INIT;
	float *copy;
	int rc = buf_addf(&full, "%s%s", e->prefix, name);

	if (rc)
		return rc;
	t = safetensors_tensor(e->file, buf_str(&full));
	if (!t)
		rc = err_set(RAG_EFORMAT, "'%s/model.safetensors': no tensor '%s'", dir, buf_str(&full));
	else if (t->n_dims > 2 || t->ne[0] != columns || t->ne[1] != rows)
		rc = err_set(RAG_EFORMAT, "'%s/model.safetensors': tensor '%s' is %llux%llu, "
			     "by config.json %zux%zu", dir, buf_str(&full),
			     (unsigned long long)t->ne[1], (unsigned long long)t->ne[0], rows, columns);
	buf_release(&full);
	if (rc)
		return rc;
	if (t->type == DT_F32) {
		*out = t->data;
		return RAG_OK;
	}
	copy = mem_aligned(64, rows * columns * sizeof(*copy));
	if (!copy)
		return RAG_ENOMEM;
	dequant_row(copy, t->type, t->data, rows * columns);
	e->own[e->n_own++] = copy;
	*out = copy;
	return RAG_OK;
}

static int take_norm(struct norm *out, struct encoder *e, const char *dir, const char *at)
{
	char name[128];
	int rc;

	snprintf(name, sizeof(name), "%s.LayerNorm.weight", at);
	rc = take_tensor(&out->gain, e, dir, name, 1, e->shape.hidden);
	if (rc)
		return rc;
	snprintf(name, sizeof(name), "%s.LayerNorm.bias", at);
	return take_tensor(&out->bias, e, dir, name, 1, e->shape.hidden);
}

static int take_linear(struct linear *out, struct encoder *e, const char *dir, size_t layer,
		       const char *at, size_t n, size_t k)
{
	char name[128];
	int rc;

	out->n = n;
	out->k = k;
	snprintf(name, sizeof(name), "encoder.layer.%zu.%s.weight", layer, at);
	rc = take_tensor(&out->w, e, dir, name, n, k);
	if (rc)
		return rc;
	snprintf(name, sizeof(name), "encoder.layer.%zu.%s.bias", layer, at);
	return take_tensor(&out->b, e, dir, name, 1, n);
}

static int take_layer(struct layer *l, struct encoder *e, const char *dir, size_t i)
{
	size_t hidden = e->shape.hidden, ffn = e->shape.ffn;
	char attention[64], output[64];
	int rc;

	snprintf(attention, sizeof(attention), "encoder.layer.%zu.attention.output", i);
	snprintf(output, sizeof(output), "encoder.layer.%zu.output", i);
	if ((rc = take_linear(&l->qkv[0], e, dir, i, "attention.self.query", hidden, hidden)) ||
	    (rc = take_linear(&l->qkv[1], e, dir, i, "attention.self.key", hidden, hidden)) ||
	    (rc = take_linear(&l->qkv[2], e, dir, i, "attention.self.value", hidden, hidden)) ||
	    (rc = take_linear(&l->out, e, dir, i, "attention.output.dense", hidden, hidden)) ||
	    (rc = take_norm(&l->after_attention, e, dir, attention)) ||
	    (rc = take_linear(&l->up, e, dir, i, "intermediate.dense", ffn, hidden)) ||
	    (rc = take_linear(&l->down, e, dir, i, "output.dense", hidden, ffn)))
		return rc;
	return take_norm(&l->after_ffn, e, dir, output);
}

int encoder_open(struct encoder **out, const char *dir)
{
	struct encoder *e = mem_calloc(1, sizeof(*e));
	struct encoder_shape *s;
	struct buf path = BUF_INIT;
	int rc;

	if (!e)
		return RAG_ENOMEM;
	s = &e->shape;
	if ((rc = read_config(s, dir)) ||
	    (rc = buf_addf(&path, "%s/model.safetensors", dir)) ||
	    (rc = safetensors_open(&e->file, buf_str(&path))))
		goto fail;
	e->layers = mem_calloc(s->layers, sizeof(*e->layers));
	e->own = mem_calloc(safetensors_n(e->file), sizeof(*e->own));
	if (!e->layers || !e->own) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	/* BertModel saved alone, or as the part of a model with a head */
	e->prefix = safetensors_tensor(e->file, "bert.embeddings.word_embeddings.weight") ? "bert." : "";
	if ((rc = take_tensor(&e->words, e, dir, "embeddings.word_embeddings.weight",
			      s->vocab, s->hidden)) ||
	    (rc = take_tensor(&e->places, e, dir, "embeddings.position_embeddings.weight",
			      s->positions, s->hidden)) ||
	    (rc = take_tensor(&e->types, e, dir, "embeddings.token_type_embeddings.weight",
			      s->types, s->hidden)) ||
	    (rc = take_norm(&e->norm, e, dir, "embeddings")))
		goto fail;
	for (size_t i = 0; i < s->layers; i++)
		if ((rc = take_layer(&e->layers[i], e, dir, i)))
			goto fail;
	buf_release(&path);
	*out = e;
	return RAG_OK;
fail:
	buf_release(&path);
	encoder_close(e);
	return rc;
}

void encoder_close(struct encoder *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->n_own; i++)
		mem_free(e->own[i]);
	mem_free(e->own);
	mem_free(e->layers);
	safetensors_close(e->file);
	mem_free(e);
}

const struct encoder_shape *encoder_shape(const struct encoder *e)
{
	return &e->shape;
}

void encoder_hash(struct hash_state *h, const struct encoder *e)
{
	const struct encoder_shape *s = &e->shape;
	char text[256];
	int n = snprintf(text, sizeof(text), "bert %zu %zu %zu %zu %zu %zu %zu %.9g",
			 s->layers, s->hidden, s->heads, s->ffn, s->vocab, s->positions, s->types,
			 (double)s->eps);

	hash_add(h, text, (size_t)n + 1);
	for (size_t i = 0; i < safetensors_n(e->file); i++) {
		const struct tensor *t = safetensors_at(e->file, i);
		const unsigned char *data = t->data;
		size_t sample = t->bytes < HASH_SAMPLE ? t->bytes : HASH_SAMPLE;

		n = snprintf(text, sizeof(text), "%d %llux%llu", (int)t->type,
			     (unsigned long long)t->ne[0], (unsigned long long)t->ne[1]);
		hash_add(h, t->name, strlen(t->name) + 1);
		hash_add(h, text, (size_t)n + 1);
		hash_add(h, data, sample);
		hash_add(h, data + (t->bytes - sample) / 2, sample);
		hash_add(h, data + t->bytes - sample, sample);
	}
}

/* ---- running ------------------------------------------------------------- */

/* Rows of a piece: so many that packing its panel of weights is 2 % of the
 * work and their input stays in a second-level cache.  Blocks are cut to a
 * multiple of both kernels' tiles (14 and 6 rows) for speed; any cut gives
 * the same bits. */
#define ROWS_MAX 504
#define ROWS_UNIT 42
#define NORM_ROWS 64
#define QUERY_ROWS 42		/* of attention's scores held at once */
#define PAD 16			/* floats between rows of wide, so that they don't share cache sets */

struct encoder_run {
	const struct encoder *e;
	const struct kern *k;
	struct par *par;
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
static float *context(const struct encoder_run *r)
{
	return r->wide + r->tokens * qkv_ld(&r->e->shape);
}

int encoder_run_new(struct encoder_run **out, const struct encoder *e, const struct kern *k,
		    struct par *par)
{
	struct encoder_run *r = mem_calloc(1, sizeof(*r));

	if (!r)
		return RAG_ENOMEM;
	r->e = e;
	r->k = k;
	r->par = par;
	r->scratch = mem_calloc((size_t)par_threads(par), sizeof(*r->scratch));
	if (!r->scratch) {
		mem_free(r);
		return RAG_ENOMEM;
	}
	*out = r;
	return RAG_OK;
}

static void release_scratch(struct encoder_run *r)
{
	for (int i = 0; i < par_threads(r->par); i++) {
		mem_free(r->scratch[i]);
		r->scratch[i] = NULL;
	}
	mem_free(r->x);
	mem_free(r->y);
	mem_free(r->wide);
	r->x = r->y = r->wide = NULL;
	r->room = r->longest = 0;
}

void encoder_run_free(struct encoder_run *r)
{
	if (!r)
		return;
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

static int reserve(struct encoder_run *r, size_t tokens, size_t longest)
{
	const struct encoder_shape *s = &r->e->shape;
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
	for (int i = 0; i < par_threads(r->par); i++)
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
	const struct encoder_run *r = arg;
	const struct encoder *e = r->e;
	size_t hidden = e->shape.hidden;

	(void)thread;
	for (size_t t = r->offset[piece]; t < r->offset[piece + 1]; t++) {
		const float *word = e->words + (size_t)r->ids[t] * hidden;
		const float *place = e->places + (t - r->offset[piece]) * hidden;
		float *x = r->x + t * hidden;

		for (size_t i = 0; i < hidden; i++)
			x[i] = word[i] + e->types[i] + place[i];
		r->k->layer_norm(x, x, NULL, e->norm.gain, e->norm.bias, hidden, e->shape.eps);
	}
}

struct linear_job {
	const struct encoder_run *run;
	const struct linear *l;		/* (n_linear) of equal n and k, their outputs side by side */
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
	const struct kern *k = j->run->k;
	size_t each = panels(j->l->n), all = each * j->n_linear;
	size_t panel = piece % all % each, which = piece % all / each;
	const struct linear *l = &j->l[which];
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

static void linear(const struct encoder_run *r, float *y, size_t ldy, const float *x, size_t ldx,
		   const struct linear *l, size_t n_linear, bool gelu)
{
	struct linear_job j = { r, l, n_linear, y, x, ldy, ldx, r->tokens, 0, gelu };
	size_t blocks = (r->tokens + ROWS_MAX - 1) / ROWS_MAX;

	j.block = (r->tokens + blocks - 1) / blocks;
	j.block = (j.block + ROWS_UNIT - 1) / ROWS_UNIT * ROWS_UNIT;
	blocks = (r->tokens + j.block - 1) / j.block;
	par_for(r->par, blocks * panels(l->n) * n_linear, linear_piece, &j);
}

/* Piece: a head of a sequence.  softmax(q k' / sqrt(width)) v, some queries at a time. */
static void attention_piece(void *arg, size_t piece, int thread)
{
	const struct encoder_run *r = arg;
	const struct encoder_shape *s = &r->e->shape;
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
		r->k->pack(keys + p * width, key + p * ld, ld,
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
			r->k->gemm(scores + p, lds, q + row * ld, ld, keys + p * width, rows,
				   n - p < KERN_PANEL ? n - p : KERN_PANEL, width, NULL);
		for (size_t i = 0; i < rows; i++)
			r->k->softmax(scores + i * lds, n, scale);
		for (size_t p = 0; p < width; p += KERN_PANEL)
			r->k->gemm(out + row * s->hidden + p, s->hidden, scores, lds, values + p * n,
				   rows, width - p < KERN_PANEL ? width - p : KERN_PANEL, n, NULL);
	}
}

struct norm_job {
	const struct encoder_run *run;
	const struct norm *norm;
};

/* Piece: NORM_ROWS rows.  x = norm(y + x). */
static void norm_piece(void *arg, size_t piece, int thread)
{
	const struct norm_job *j = arg;
	const struct encoder_run *r = j->run;
	size_t hidden = r->e->shape.hidden, end = (piece + 1) * NORM_ROWS;

	(void)thread;
	for (size_t t = piece * NORM_ROWS; t < end && t < r->tokens; t++)
		r->k->layer_norm(r->x + t * hidden, r->y + t * hidden, r->x + t * hidden,
				 j->norm->gain, j->norm->bias, hidden, r->e->shape.eps);
}

static void add_norm(const struct encoder_run *r, const struct norm *norm)
{
	struct norm_job j = { r, norm };

	par_for(r->par, (r->tokens + NORM_ROWS - 1) / NORM_ROWS, norm_piece, &j);
}

int encoder_eval(const float **out, struct encoder_run *r, const int32_t *ids,
		 const size_t *offset, size_t n)
{
	const struct encoder_shape *s = &r->e->shape;
	size_t longest = 0;
	int rc;

	for (size_t i = 0; i < n; i++) {
		assert(offset[i] < offset[i + 1] && offset[i + 1] - offset[i] <= s->positions);
		longest = max_size(longest, offset[i + 1] - offset[i]);
	}
	for (size_t t = 0; t < offset[n]; t++)
		assert(ids[t] >= 0 && (size_t)ids[t] < s->vocab);
	rc = reserve(r, offset[n], longest);
	if (rc)
		return rc;
	r->ids = ids;
	r->offset = offset;
	r->tokens = offset[n];
	par_for(r->par, n, embed_sequence, r);
	for (size_t i = 0; i < s->layers; i++) {
		const struct layer *l = &r->e->layers[i];

		linear(r, r->wide, qkv_ld(s), r->x, s->hidden, l->qkv, 3, false);
		par_for(r->par, n * s->heads, attention_piece, r);
		linear(r, r->y, s->hidden, context(r), s->hidden, &l->out, 1, false);
		add_norm(r, &l->after_attention);
		linear(r, r->wide, ffn_ld(s), r->x, s->hidden, &l->up, 1, true);
		linear(r, r->y, s->hidden, r->wide, ffn_ld(s), &l->down, 1, false);
		add_norm(r, &l->after_ffn);
	}
	*out = r->x;
	return RAG_OK;
}
