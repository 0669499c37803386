/*
 * tiny_decoder - a small decoder's model file, of each architecture that we
 * know, written as a test wants it or broken as it wants it; and its forward
 * pass again, one token at a time, in doubles, without a cache's format.
 */
#ifndef RAG_TESTS_TINY_DECODER_H
#define RAG_TESTS_TINY_DECODER_H

#include "base/kern.h"
#include "model/gguf.h"
#include "tests/tiny.h"

#include <math.h>

enum {
	DIM = 256, FF = 512, LAYERS = 2, HEADS = 4, KV = 2, HEAD = 64, CONTEXT = 640,
	VOCAB = TINY_WORDS, N_IDS = 48, WINDOW = 20,
};

/* What a model file is to be, and how it is broken. */
struct make {
	const char *arch;
	bool mixed;		/* every type once; else floats */
	const char *lacks;	/* a tensor or key that is left out */
	const char *reshape;	/* a matrix with a row too few */
	const char *nan;	/* a tensor with a NaN */
	const char *extra_tensor, *text_key, *text;	/* added */
	const char *u32_key;	/* its value is u32 instead */
	uint32_t u32;
	const char *f32_key;	/* added, under the architecture's name */
	float f32;
	const char *array_key;	/* added, one bool, ditto */
	const char *false_key;	/* added, ditto */
	bool tied;
};

static uint32_t seed;

static uint32_t random32(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8 ^ seed << 13;
}

static float uniform(void)
{
	return (float)(random32() >> 8) * 0x1p-23f - 1;
}

static const enum dtype mix[] = {
	DT_Q4_0, DT_Q5_0, DT_Q8_0, DT_Q4_K, DT_Q6_K, DT_F16, DT_Q4_1, DT_Q5_1, DT_BF16,
	DT_Q2_K, DT_Q3_K, DT_Q5_K, DT_F32,
};

/* Places and sizes of a block's halves, so that weights are of about 0.05. */
static const struct {
	enum dtype type;
	int d_at;
	float d, m;
} scales[] = {
	{ DT_Q4_0, 0, .012f, 0 }, { DT_Q4_1, 0, .012f, -.09f }, { DT_Q5_0, 0, .006f, 0 },
	{ DT_Q5_1, 0, .006f, -.09f }, { DT_Q8_0, 0, .0008f, 0 }, { DT_Q2_K, 80, .006f, .009f },
	{ DT_Q3_K, 108, .0013f, 0 }, { DT_Q4_K, 0, .0003f, .0022f },
	{ DT_Q5_K, 0, .00015f, .0022f }, { DT_Q6_K, 208, .00006f, 0 },
};

static void put_values(struct buf *b, enum dtype type, size_t n, float size, bool broken)
{
	const struct kern *k = kern_at(KERN_REF);
	size_t start = b->len, bytes = dtype_block_bytes(type);

	if (dtype_block(type) == 1) {
		for (size_t i = 0; i < n; i++) {
			float v = broken && !i ? NAN : size < 0 ? 1 + .2f * uniform() : size * uniform();
			uint16_t h;
			uint32_t u;

			k->f32_to_f16(&h, &v, 1);
			memcpy(&u, &v, 4);
			tiny_num(b, type == DT_F32 ? u : type == DT_F16 ? h : u >> 16, bytes);
		}
		return;
	}
	for (size_t i = 0; i < n / dtype_block(type) * bytes; i++)
		buf_addc(b, (char)(random32() >> 5));
	for (size_t s = 0; s < sizeof(scales) / sizeof(scales[0]); s++) {
		for (size_t at = start; scales[s].type == type && at < b->len; at += bytes) {
			float d = scales[s].d * (1 + .3f * uniform()), m = scales[s].m;
			uint16_t h;

			d = broken ? NAN : d;
			k->f32_to_f16(&h, &d, 1);
			memcpy(b->data + at + scales[s].d_at, &h, 2);
			k->f32_to_f16(&h, &m, 1);
			if (m != 0)
				memcpy(b->data + at + scales[s].d_at + 2, &h, 2);
		}
	}
}

static bool is(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

struct file {
	struct buf head, data;
	uint64_t n_tensors, n_keys;
	size_t n_mixed;
	bool has_u32;		/* make's u32_key is in */
};

static void key_u32(struct file *f, const struct make *m, const char *key, uint32_t v)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", m->arch, key);
	if (is(m->lacks, key))
		return;
	tiny_u32(&f->head, name, is(m->u32_key, key) ? m->u32 : v);
	f->has_u32 |= is(m->u32_key, key);
	f->n_keys++;
}

static void key_f32(struct file *f, const struct make *m, const char *key, float v)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", m->arch, key);
	if (is(m->lacks, key))
		return;
	tiny_key(&f->head, name, TINY_F32);
	buf_add(&f->head, &v, sizeof(v));
	f->n_keys++;
}

static void tensor(struct file *f, struct buf *table, const struct make *m, const char *name,
		   size_t in, size_t out)
{
	enum dtype type = DT_F32;
	size_t rows = out ? out : 1;

	if (is(m->lacks, name))
		return;
	if (m->mixed && out)
		type = mix[f->n_mixed++ % (sizeof(mix) / sizeof(mix[0]))];
	if (is(m->reshape, name))
		rows--;
	tiny_str(table, name, strlen(name));
	tiny_num(table, out ? 2 : 1, 4), tiny_num(table, in, 8);
	if (out)
		tiny_num(table, rows, 8);
	tiny_num(table, type, 4), tiny_num(table, f->data.len, 8);
	/* norms are near 1, biases and matrices near 0 */
	put_values(&f->data, type, in * rows, strstr(name, "norm") || strstr(name, "rope") ? -1 : .09f, is(m->nan, name));
	while (f->data.len % 32)
		buf_addc(&f->data, 0);
	f->n_tensors++;
}

static void tensors(struct file *f, struct buf *table, const struct make *m)
{
	static const struct shape {
		const char *name;
		size_t in, out;
	} of_layer[] = {
		{ "attn_norm.weight", DIM, 0 }, { "ffn_norm.weight", DIM, 0 },
		{ "attn_q.weight", DIM, HEADS * HEAD }, { "attn_k.weight", DIM, KV * HEAD },
		{ "attn_v.weight", DIM, KV * HEAD }, { "attn_output.weight", HEADS * HEAD, DIM },
		{ "ffn_gate.weight", DIM, FF }, { "ffn_up.weight", DIM, FF },
		{ "ffn_down.weight", FF, DIM }, { "attn_q.bias", HEADS * HEAD, 0 },
		{ "attn_k.bias", KV * HEAD, 0 }, { "attn_v.bias", KV * HEAD, 0 },
	}, of_gemma[] = {
		{ "attn_q_norm.weight", HEAD, 0 }, { "attn_k_norm.weight", HEAD, 0 },
		{ "post_attention_norm.weight", DIM, 0 }, { "post_ffw_norm.weight", DIM, 0 },
	};
	size_t n = is(m->arch, "qwen2") ? 12 : 9, n_gemma = is(m->arch, "gemma3") ? 4 : 0;
	char name[64];

	tensor(f, table, m, "token_embd.weight", DIM, VOCAB);
	if (!m->tied)
		tensor(f, table, m, "output.weight", DIM, VOCAB);
	tensor(f, table, m, "output_norm.weight", DIM, 0);
	if (is(m->arch, "llama"))
		tensor(f, table, m, "rope_freqs.weight", HEAD / 2, 0);
	for (int l = 0; l < LAYERS; l++) {
		for (size_t i = 0; i < n + n_gemma; i++) {
			const struct shape *s = i < n ? &of_layer[i] : &of_gemma[i - n];

			snprintf(name, sizeof(name), "blk.%d.%s", l, s->name);
			tensor(f, table, m, name, s->in, s->out);
		}
	}
	if (m->extra_tensor)
		tensor(f, table, m, m->extra_tensor, 8, 0);
}

static void extra_keys(struct file *f, const struct make *m)
{
	char name[64];

	if (is(m->arch, "gemma3")) {	/* layer 0 has a window, layer 1 has none */
		key_u32(f, m, "attention.key_length", HEAD);
		key_u32(f, m, "attention.sliding_window", WINDOW);
		key_u32(f, m, "attention.sliding_window_pattern", 2);
	}
	if (m->text_key)
		tiny_text(&f->head, m->text_key, m->text), f->n_keys++;
	if (m->u32_key && !f->has_u32)
		key_u32(f, m, m->u32_key, 0);
	if (m->f32_key)
		key_f32(f, m, m->f32_key, m->f32);
	if (m->false_key) {
		snprintf(name, sizeof(name), "%s.%s", m->arch, m->false_key);
		tiny_key(&f->head, name, TINY_BOOL), f->n_keys++;
		tiny_num(&f->head, 0, 1);
	}
	if (m->array_key) {
		snprintf(name, sizeof(name), "%s.%s", m->arch, m->array_key);
		tiny_key(&f->head, name, TINY_ARR), f->n_keys++;
		tiny_num(&f->head, TINY_BOOL, 4), tiny_num(&f->head, 1, 8), tiny_num(&f->head, 1, 1);
	}
}

static bool write_model(const char *path, const struct make *m)
{
	static const struct tiny no_words = { .context = CONTEXT };
	struct buf table = BUF_INIT, start = BUF_INIT;
	struct file f = { BUF_INIT, BUF_INIT, 0, 0, 0, false };
	FILE *out;
	bool good;

	seed = 7;
	tiny_text(&f.head, "general.architecture", m->arch), f.n_keys++;
	key_u32(&f, m, "block_count", LAYERS);
	key_u32(&f, m, "context_length", CONTEXT);
	key_u32(&f, m, "embedding_length", DIM);
	key_u32(&f, m, "feed_forward_length", FF);
	key_u32(&f, m, "attention.head_count", HEADS);
	key_u32(&f, m, "attention.head_count_kv", KV);
	key_f32(&f, m, "attention.layer_norm_rms_epsilon", 1e-6f);
	key_f32(&f, m, "rope.freq_base", 5000);
	extra_keys(&f, m);
	tiny_text(&f.head, "tokenizer.ggml.model", "gpt2"), f.n_keys++;
	tiny_text(&f.head, "tokenizer.ggml.pre", "qwen2"), f.n_keys++;
	tiny_u32(&f.head, "tokenizer.ggml.eos_token_id", TINY_END), f.n_keys++;
	tiny_vocab(&f.head, &no_words), f.n_keys += 3;
	tensors(&f, &table, m);

	buf_adds(&start, "GGUF");
	tiny_num(&start, 3, 4), tiny_num(&start, f.n_tensors, 8), tiny_num(&start, f.n_keys, 8);
	buf_add(&start, f.head.data, f.head.len);
	buf_add(&start, table.data, table.len);
	while (start.len % 32)
		buf_addc(&start, 0);
	buf_add(&start, f.data.data, f.data.len);
	out = fopen(path, "wb");
	good = out && fwrite(start.data, 1, start.len, out) == start.len;
	good = out && !fclose(out) && good;
	buf_release(&f.head);
	buf_release(&f.data);
	buf_release(&table);
	buf_release(&start);
	return good;
}

/* ---- the forward pass again: one token at a time, doubles, no cache format ---- */

static double weight(const struct gguf *g, double *out, const char *name, size_t row, size_t n)
{
	const struct tensor *t = gguf_tensor(g, name);
	float v[FF];

	dequant_row(v, t->type, (const char *)t->data + row * dtype_row_bytes(t->type, n), n);
	for (size_t i = 0; i < n; i++)
		out[i] = (double)v[i];
	return out[0];
}

static void mul(double *y, const struct gguf *g, int layer, const char *what, const double *x,
		size_t in, size_t out)
{
	double w[FF];
	char name[64];

	snprintf(name, sizeof(name), "blk.%d.%s.weight", layer, what);
	if (layer < 0)
		snprintf(name, sizeof(name), "%s.weight", what);
	for (size_t r = 0; r < out; r++) {
		weight(g, w, name, r, in);
		y[r] = 0;
		for (size_t i = 0; i < in; i++)
			y[r] += w[i] * x[i];
	}
	if (layer < 0)
		return;
	snprintf(name, sizeof(name), "blk.%d.%s.bias", layer, what);
	if (gguf_tensor(g, name)) {
		weight(g, w, name, 0, out);
		for (size_t r = 0; r < out; r++)
			y[r] += w[r];
	}
}

/* y may be x; without such a tensor it is. */
static void norm(double *y, const struct gguf *g, int layer, const char *what, const double *x, int n)
{
	double w[DIM], sum = 0;
	char name[64];

	snprintf(name, sizeof(name), "blk.%d.%s.weight", layer, what);
	if (layer < 0)
		snprintf(name, sizeof(name), "%s.weight", what);
	if (!gguf_tensor(g, name))
		return;
	weight(g, w, name, 0, (size_t)n);
	for (int i = 0; i < n; i++)
		sum += x[i] * x[i];
	for (int i = 0; i < n; i++)
		y[i] = x[i] / sqrt(sum / n + 1e-6) * w[i];
}

static void turn(double *v, size_t heads, size_t pos, double base, bool halves, const double *factor)
{
	for (size_t h = 0; h < heads; h++, v += HEAD) {
		for (int i = 0; i < HEAD / 2; i++) {
			double angle = (double)pos * pow(base, -2.0 * i / HEAD) / factor[i];
			double *a = halves ? v + i : v + 2 * i, *b = halves ? a + HEAD / 2 : a + 1;
			double x = *a, y = *b;

			*a = x * cos(angle) - y * sin(angle);
			*b = y * cos(angle) + x * sin(angle);
		}
	}
}

static double kept_k[LAYERS][N_IDS][KV * HEAD], kept_v[LAYERS][N_IDS][KV * HEAD];

static void attend(double *out, int layer, const double *q, size_t pos, size_t window)
{
	size_t from = pos < window ? 0 : pos - window + 1;

	for (int h = 0; h < HEADS; h++) {
		int at = h / (HEADS / KV) * HEAD;
		double s[N_IDS], sum = 0;

		for (size_t j = from; j <= pos; j++) {
			s[j] = 0;
			for (int d = 0; d < HEAD; d++)
				s[j] += q[h * HEAD + d] * kept_k[layer][j][at + d];
			sum += s[j] = exp(s[j] / sqrt(HEAD));
		}
		for (int d = 0; d < HEAD; d++) {
			out[h * HEAD + d] = 0;
			for (size_t j = from; j <= pos; j++)
				out[h * HEAD + d] += s[j] / sum * kept_v[layer][j][at + d];
		}
	}
}

static double gated(double gate, bool gelu)
{
	if (!gelu)
		return gate / (1 + exp(-gate));
	return gate / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (gate + .044715 * gate * gate * gate)));
}

static void naive_layer(double *x, const struct gguf *g, int l, size_t pos, bool gemma, bool halves)
{
	double n[DIM], q[HEADS * HEAD], a[HEADS * HEAD], y[DIM], gate[FF], up[FF], factor[FF];
	double *k = kept_k[l][pos], base = 5000;
	uint64_t window = N_IDS, pattern;

	if (gemma && gguf_get_u64(&pattern, g, "gemma3.attention.sliding_window_pattern") &&
	    (uint64_t)l % pattern < pattern - 1) {
		gguf_get_u64(&window, g, "gemma3.attention.sliding_window");
		base = 10000;
		gguf_get_f64(&base, g, "gemma3.rope.freq_base_swa");
	}
	for (int i = 0; i < HEAD / 2; i++)
		factor[i] = 1;
	if (gguf_tensor(g, "rope_freqs.weight"))
		weight(g, factor, "rope_freqs.weight", 0, HEAD / 2);
	norm(n, g, l, "attn_norm", x, DIM);
	mul(q, g, l, "attn_q", n, DIM, HEADS * HEAD);
	mul(k, g, l, "attn_k", n, DIM, KV * HEAD);
	mul(kept_v[l][pos], g, l, "attn_v", n, DIM, KV * HEAD);
	for (int h = 0; h < HEADS; h++)
		norm(q + h * HEAD, g, l, "attn_q_norm", q + h * HEAD, HEAD);
	for (int h = 0; h < KV; h++)
		norm(k + h * HEAD, g, l, "attn_k_norm", k + h * HEAD, HEAD);
	turn(q, HEADS, pos, base, halves, factor);
	turn(k, KV, pos, base, halves, factor);
	attend(a, l, q, pos, window);
	mul(y, g, l, "attn_output", a, HEADS * HEAD, DIM);
	norm(y, g, l, "post_attention_norm", y, DIM);
	for (int i = 0; i < DIM; i++)
		x[i] += y[i];
	norm(n, g, l, "ffn_norm", x, DIM);
	mul(gate, g, l, "ffn_gate", n, DIM, FF);
	mul(up, g, l, "ffn_up", n, DIM, FF);
	for (int i = 0; i < FF; i++)
		gate[i] = gated(gate[i], gemma) * up[i];
	mul(y, g, l, "ffn_down", gate, FF, DIM);
	norm(y, g, l, "post_ffw_norm", y, DIM);
	for (int i = 0; i < DIM; i++)
		x[i] += y[i];
}

static void naive(double *logits, const struct gguf *g, const struct make *m, int32_t id, size_t pos)
{
	bool gemma = is(m->arch, "gemma3");
	double x[DIM], cap;

	weight(g, x, "token_embd.weight", (size_t)id, DIM);
	for (int i = 0; i < DIM && gemma; i++)
		x[i] *= sqrt(DIM);
	for (int l = 0; l < LAYERS; l++)
		naive_layer(x, g, l, pos, gemma, !is(m->arch, "llama"));
	norm(x, g, -1, "output_norm", x, DIM);
	mul(logits, g, -1, m->tied ? "token_embd" : "output", x, DIM, VOCAB);
	for (int i = 0; i < VOCAB && gguf_get_f64(&cap, g, "gemma3.final_logit_softcapping"); i++)
		logits[i] = cap * tanh(logits[i] / cap);
}

#endif
