#include "config.h"
#include "model/encoder.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/encoder_impl.h"
#include "model/gguf.h"
#include "model/safetensors.h"

/* Bounds on what a config may ask for: beyond any BERT, and small enough that
 * no product of two of them overflows. */
#define LAYERS_MAX 256
#define WIDTH_MAX 65536
#define POSITIONS_MAX 65536
#define VOCAB_MAX (1 << 24)

#define HASH_SAMPLE 256		/* bytes at the start, middle and end of each tensor */

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

int encoder_tensor(const float **out, struct encoder *e, const char *dir, const char *name,
		   size_t rows, size_t columns)
{
	const struct tensor *t = safetensors_tensor(e->file, name);
	float *copy;

	if (!t)
		return err_set(RAG_EFORMAT, "'%s/model.safetensors': no tensor '%s'", dir, name);
	if (t->n_dims > 2 || t->ne[0] != columns || t->ne[1] != rows)
		return err_set(RAG_EFORMAT, "'%s/model.safetensors': tensor '%s' is %llux%llu, "
			       "by config.json %zux%zu", dir, name, (unsigned long long)t->ne[1],
			       (unsigned long long)t->ne[0], rows, columns);
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

/* The same by the name that BertModel gives it. */
static int take_tensor(const float **out, struct encoder *e, const char *dir, const char *name,
		       size_t rows, size_t columns)
{
	struct buf full = BUF_INIT;
	int rc = buf_addf(&full, "%s%s", e->prefix, name);

	if (!rc)
		rc = encoder_tensor(out, e, dir, buf_str(&full), rows, columns);
	buf_release(&full);
	return rc;
}

static int take_norm(struct encoder_norm *out, struct encoder *e, const char *dir, const char *at)
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

static int take_linear(struct encoder_linear *out, struct encoder *e, const char *dir, size_t layer,
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

static int take_layer(struct encoder_layer *l, struct encoder *e, const char *dir, size_t i)
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

int encoder_run_new(struct encoder_run **out, const struct encoder *e, enum encoder_precision precision,
		    const struct kern *k, struct par *par)
{
	return precision == ENCODER_F32 ? encoder_f32_new(out, e, k, par)
					: encoder_int8_new(out, e, k, par);
}

void encoder_run_free(struct encoder_run *r)
{
	if (r)
		r->free(r);
}

static void check_ids(const struct encoder_run *r, const int32_t *ids, const size_t *offset, size_t n)
{
	const struct encoder_shape *s = &r->e->shape;

	for (size_t i = 0; i < n; i++)
		assert(offset[i] < offset[i + 1] && offset[i + 1] - offset[i] <= s->positions);
	for (size_t t = 0; t < offset[n]; t++)
		assert(ids[t] >= 0 && (size_t)ids[t] < s->vocab);
}

int encoder_eval(const float **out, struct encoder_run *r, const int32_t *ids, const size_t *offset,
		 size_t n)
{
	check_ids(r, ids, offset, n);
	r->second = NULL;
	return r->eval(out, r, ids, offset, n);
}

int encoder_eval_pairs(const float **out, struct encoder_run *r, const int32_t *ids, const size_t *offset,
		       const size_t *second, size_t n)
{
	assert(r->e->shape.types > 1);
	check_ids(r, ids, offset, n);
	r->second = second;
	return r->eval(out, r, ids, offset, n);
}
