/* BERT in GGUF: names and keys are llama.cpp's. */
#include "config.h"
#include "model/bert_weights.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "model/gguf.h"

#define LAYERS_MAX 256
#define SIZE_LIMIT (1u << 24)		/* of any dimension */
#define WORD_START "\xE2\x96\x81"	/* what llama.cpp puts before a piece that begins a word */
#define TYPE_CONTROL 3			/* of tokenizer.ggml.token_type */

struct names {
	const char *ours, *theirs;
	bool matrix;
};

static const struct names around[] = {
	{ "embeddings.word_embeddings.weight", "token_embd.weight", true },
	{ "embeddings.position_embeddings.weight", "position_embd.weight", true },
	{ "embeddings.token_type_embeddings.weight", "token_types.weight", true },
	{ "embeddings.LayerNorm.weight", "token_embd_norm.weight", false },
	{ "embeddings.LayerNorm.bias", "token_embd_norm.bias", false },
}, inside[] = {
	{ "attention.self.query.weight", "attn_q.weight", true }, { "attention.self.query.bias", "attn_q.bias", false },
	{ "attention.self.key.weight", "attn_k.weight", true }, { "attention.self.key.bias", "attn_k.bias", false },
	{ "attention.self.value.weight", "attn_v.weight", true }, { "attention.self.value.bias", "attn_v.bias", false },
	{ "attention.output.dense.weight", "attn_output.weight", true },
	{ "attention.output.dense.bias", "attn_output.bias", false },
	{ "attention.output.LayerNorm.weight", "attn_output_norm.weight", false },
	{ "attention.output.LayerNorm.bias", "attn_output_norm.bias", false },
	{ "intermediate.dense.weight", "ffn_up.weight", true }, { "intermediate.dense.bias", "ffn_up.bias", false },
	{ "output.dense.weight", "ffn_down.weight", true }, { "output.dense.bias", "ffn_down.bias", false },
	{ "output.LayerNorm.weight", "layer_output_norm.weight", false },
	{ "output.LayerNorm.bias", "layer_output_norm.bias", false },
};

static int take(struct bert_weights *b, const struct gguf *g, const struct names *n, int layer)
{
	char at[40] = "", name[80];
	const struct tensor *t;
	struct bert_weight *w;
	int rc;

	if (layer >= 0)
		snprintf(at, sizeof(at), "encoder.layer.%d.", layer);
	if (layer >= 0)
		snprintf(name, sizeof(name), "blk.%d.%s", layer, n->theirs);
	else
		snprintf(name, sizeof(name), "%s", n->theirs);
	t = gguf_tensor(g, name);
	if (!t)
		return err_set(RAG_EFORMAT, "'%s': no tensor '%s'", gguf_path(g), name);
	if (t->n_dims > (n->matrix ? 2 : 1) || t->ne[0] > SIZE_LIMIT || t->ne[1] > SIZE_LIMIT)
		return err_set(RAG_EFORMAT, "'%s': tensor '%s' has a shape that is no BERT's", gguf_path(g), name);
	rc = bert_weights_add(&w, b, at, n->ours);
	if (rc)
		return rc;
	w->data = t->data;
	w->type = t->type;
	w->columns = (size_t)t->ne[0];
	w->rows = n->matrix ? (size_t)t->ne[1] : 0;
	return RAG_OK;
}

static int size_of(size_t *out, const struct gguf *g, const char *key)
{
	uint64_t v;

	if (!gguf_get_u64(&v, g, key) || !v || v > SIZE_LIMIT)
		return err_set(RAG_EFORMAT, "'%s': %s is missing or not in 1 .. %u", gguf_path(g), key, SIZE_LIMIT);
	*out = (size_t)v;
	return RAG_OK;
}

int gguf_bert_find(struct bert_weights *out, const struct gguf *g)
{
	struct encoder_shape *s = &out->shape;
	struct gguf_str arch = { "?", 1 };
	double eps = 1e-12;
	int rc;

	memset(out, 0, sizeof(*out));
	gguf_get_str(&arch, g, "general.architecture");
	if (arch.len != 4 || memcmp(arch.s, "bert", 4))
		return err_set(RAG_EUNSUP, "'%s' is no BERT encoder: architecture '%.*s'", gguf_path(g),
			       (int)(arch.len < 64 ? arch.len : 64), arch.s);
	if ((rc = size_of(&s->layers, g, "bert.block_count")) ||
	    (rc = size_of(&s->hidden, g, "bert.embedding_length")) ||
	    (rc = size_of(&s->ffn, g, "bert.feed_forward_length")) ||
	    (rc = size_of(&s->heads, g, "bert.attention.head_count")))
		return rc;
	if (s->layers > LAYERS_MAX)
		return err_set(RAG_EFORMAT, "'%s': %zu layers, more than any BERT has", gguf_path(g), s->layers);
	gguf_get_f64(&eps, g, "bert.attention.layer_norm_epsilon");
	s->eps = (float)eps;
	for (size_t i = 0; !rc && i < sizeof(around) / sizeof(around[0]); i++)
		rc = take(out, g, &around[i], -1);
	if (rc)
		return rc;
	s->vocab = out->w[0].rows;
	s->positions = out->w[1].rows;
	s->types = out->w[2].rows;
	for (size_t l = 0; l < s->layers; l++)
		for (size_t i = 0; !rc && i < sizeof(inside) / sizeof(inside[0]); i++)
			rc = take(out, g, &inside[i], (int)l);
	return rc;
}

int gguf_bert_words(struct buf *out, const struct gguf *g)
{
	struct gguf_str *word;
	const int32_t *types;
	size_t n, n_types;
	int rc = gguf_arr_strs(&word, &n, g, "tokenizer.ggml.tokens");

	if (rc)
		return rc;
	if (!gguf_arr_i32(&types, &n_types, g, "tokenizer.ggml.token_type") || n_types != n)
		rc = err_set(RAG_EFORMAT, "'%s': no tokenizer.ggml.token_type for each token", gguf_path(g));
	for (size_t i = 0; !rc && i < n; i++) {
		size_t len = word[i].len, start = strlen(WORD_START);
		const char *s = word[i].s;
		int32_t type;

		memcpy(&type, types + i, sizeof(type));
		if (!len || memchr(s, '\n', len)) {
			rc = err_set(RAG_EFORMAT, "'%s': token %zu is no word", gguf_path(g), i);
		} else if (len > start && !memcmp(s, WORD_START, start)) {
			rc = buf_add(out, s + start, len - start);
		} else {
			rc = buf_adds(out, type == TYPE_CONTROL ? "" : "##");
			if (!rc)
				rc = buf_add(out, s, len);
		}
		if (!rc)
			rc = buf_addc(out, '\n');
	}
	mem_free(word);
	return rc;
}
