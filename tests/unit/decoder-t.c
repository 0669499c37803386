/* The decoder on small models that the test writes: against a forward pass
 * written again in doubles; the same bits however the calls are cut and
 * whatever the threads; every refusal. */
#include "config.h"
#include "model/decoder.h"
#include "base/kern.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "tests/tap.h"
#include "tests/tiny.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	DIM = 256, FF = 512, LAYERS = 2, HEADS = 4, KV = 2, HEAD = 64, CONTEXT = 640,
	VOCAB = TINY_WORDS, N_IDS = 48, MAX_TENSORS = 64,
};

static char path[] = "decoder-t.XXXXXX";

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
};

static void key_u32(struct file *f, const struct make *m, const char *key, uint32_t v)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", m->arch, key);
	if (is(m->lacks, key))
		return;
	tiny_u32(&f->head, name, is(m->u32_key, key) ? m->u32 : v);
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
	static const struct {
		const char *name;
		size_t in, out;
	} of_layer[] = {
		{ "attn_norm.weight", DIM, 0 }, { "ffn_norm.weight", DIM, 0 },
		{ "attn_q.weight", DIM, HEADS * HEAD }, { "attn_k.weight", DIM, KV * HEAD },
		{ "attn_v.weight", DIM, KV * HEAD }, { "attn_output.weight", HEADS * HEAD, DIM },
		{ "ffn_gate.weight", DIM, FF }, { "ffn_up.weight", DIM, FF },
		{ "ffn_down.weight", FF, DIM }, { "attn_q.bias", HEADS * HEAD, 0 },
		{ "attn_k.bias", KV * HEAD, 0 }, { "attn_v.bias", KV * HEAD, 0 },
	};
	size_t n = is(m->arch, "qwen2") ? 12 : 9;
	char name[64];

	tensor(f, table, m, "token_embd.weight", DIM, VOCAB);
	if (!m->tied)
		tensor(f, table, m, "output.weight", DIM, VOCAB);
	tensor(f, table, m, "output_norm.weight", DIM, 0);
	if (is(m->arch, "llama"))
		tensor(f, table, m, "rope_freqs.weight", HEAD / 2, 0);
	for (int l = 0; l < LAYERS; l++) {
		for (size_t i = 0; i < n; i++) {
			snprintf(name, sizeof(name), "blk.%d.%s", l, of_layer[i].name);
			tensor(f, table, m, name, of_layer[i].in, of_layer[i].out);
		}
	}
	if (m->extra_tensor)
		tensor(f, table, m, m->extra_tensor, 8, 0);
}

static bool write_model(const struct make *m)
{
	static const struct tiny no_words = { .context = CONTEXT };
	struct buf table = BUF_INIT, start = BUF_INIT;
	struct file f = { BUF_INIT, BUF_INIT, 0, 0, 0 };
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
	if (m->text_key)
		tiny_text(&f.head, m->text_key, m->text), f.n_keys++;
	if (m->u32_key && !strncmp(m->u32_key, "expert", 6))
		key_u32(&f, m, m->u32_key, 0);
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

static void norm(double *y, const struct gguf *g, const char *name, const double *x)
{
	double w[DIM], sum = 0;

	weight(g, w, name, 0, DIM);
	for (int i = 0; i < DIM; i++)
		sum += x[i] * x[i];
	for (int i = 0; i < DIM; i++)
		y[i] = x[i] / sqrt(sum / DIM + 1e-6) * w[i];
}

static void turn(double *v, size_t heads, size_t pos, bool halves, const double *factor)
{
	for (size_t h = 0; h < heads; h++, v += HEAD) {
		for (int i = 0; i < HEAD / 2; i++) {
			double angle = (double)pos * pow(5000, -2.0 * i / HEAD) / factor[i];
			double *a = halves ? v + i : v + 2 * i, *b = halves ? a + HEAD / 2 : a + 1;
			double x = *a, y = *b;

			*a = x * cos(angle) - y * sin(angle);
			*b = y * cos(angle) + x * sin(angle);
		}
	}
}

static double kept_k[LAYERS][N_IDS][KV * HEAD], kept_v[LAYERS][N_IDS][KV * HEAD];

static void attend(double *out, int layer, const double *q, size_t pos)
{
	for (int h = 0; h < HEADS; h++) {
		int at = h / (HEADS / KV) * HEAD;
		double s[N_IDS], sum = 0;

		for (size_t j = 0; j <= pos; j++) {
			s[j] = 0;
			for (int d = 0; d < HEAD; d++)
				s[j] += q[h * HEAD + d] * kept_k[layer][j][at + d];
			sum += s[j] = exp(s[j] / sqrt(HEAD));
		}
		for (int d = 0; d < HEAD; d++) {
			out[h * HEAD + d] = 0;
			for (size_t j = 0; j <= pos; j++)
				out[h * HEAD + d] += s[j] / sum * kept_v[layer][j][at + d];
		}
	}
}

static void naive(double *logits, const struct gguf *g, const struct make *m, int32_t id, size_t pos)
{
	double x[DIM], n[DIM], q[HEADS * HEAD], a[HEADS * HEAD], y[DIM], gate[FF], up[FF], factor[FF];
	bool halves = is(m->arch, "qwen2");
	char name[64];

	for (int i = 0; i < HEAD / 2; i++)
		factor[i] = 1;
	if (gguf_tensor(g, "rope_freqs.weight"))
		weight(g, factor, "rope_freqs.weight", 0, HEAD / 2);
	weight(g, x, "token_embd.weight", (size_t)id, DIM);
	for (int l = 0; l < LAYERS; l++) {
		snprintf(name, sizeof(name), "blk.%d.attn_norm.weight", l);
		norm(n, g, name, x);
		mul(q, g, l, "attn_q", n, DIM, HEADS * HEAD);
		mul(kept_k[l][pos], g, l, "attn_k", n, DIM, KV * HEAD);
		mul(kept_v[l][pos], g, l, "attn_v", n, DIM, KV * HEAD);
		turn(q, HEADS, pos, halves, factor);
		turn(kept_k[l][pos], KV, pos, halves, factor);
		attend(a, l, q, pos);
		mul(y, g, l, "attn_output", a, HEADS * HEAD, DIM);
		for (int i = 0; i < DIM; i++)
			x[i] += y[i];
		snprintf(name, sizeof(name), "blk.%d.ffn_norm.weight", l);
		norm(n, g, name, x);
		mul(gate, g, l, "ffn_gate", n, DIM, FF);
		mul(up, g, l, "ffn_up", n, DIM, FF);
		for (int i = 0; i < FF; i++)
			gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
		mul(y, g, l, "ffn_down", gate, FF, DIM);
		for (int i = 0; i < DIM; i++)
			x[i] += y[i];
	}
	norm(n, g, "output_norm.weight", x);
	mul(logits, g, -1, m->tied ? "token_embd" : "output", n, DIM, VOCAB);
}

/* ---- tests ---- */

static int32_t ids[CONTEXT];

static struct decoder *open_model(const struct make *m)
{
	struct decoder *d = NULL;

	if (!write_model(m) || decoder_open(&d, path))
		return NULL;
	return d;
}

static double distance(const float *a, const double *b, const float *c, size_t n)
{
	double diff = 0, size = 0;

	for (size_t i = 0; i < n; i++) {
		double v = b ? b[i] : (double)c[i];

		diff += ((double)a[i] - v) * ((double)a[i] - v);
		size += v * v;
	}
	return sqrt(diff / size);
}

static void test_naive(const struct make *m, double limit)
{
	static double want[N_IDS * VOCAB];
	static float got[N_IDS * VOCAB];
	struct decoder_run *r = NULL;
	struct decoder *d = open_model(m);
	struct gguf *g = NULL;
	double far;

	if (!ok(d && !gguf_open(&g, path) && !decoder_run_new(&r, d, N_IDS, NULL), "%s opens", m->arch))
		goto out;
	for (size_t i = 0; i < N_IDS; i++)
		naive(want + i * VOCAB, g, m, ids[i], i);
	ok(!decoder_eval_all(got, r, ids, N_IDS), "%s runs", m->arch);
	far = distance(got, want, NULL, N_IDS * VOCAB);
	ok(far < limit, "%s, %s: logits as computed in doubles (%.2g)", m->arch,
	   m->mixed ? "every type" : m->tied ? "floats, tied" : "floats", far);
out:
	decoder_run_free(r);
	gguf_close(g);
	decoder_close(d);
}

/* The logits of every token, the calls as long as cut says, again and again. */
static int in_pieces(float *out, struct decoder_run *r, size_t n, const size_t *cut, size_t n_cut)
{
	int rc = 0;

	for (size_t at = decoder_len(r), i = 0, m; at < n && !rc; at += m, i++) {
		m = cut[i % n_cut] < n - at ? cut[i % n_cut] : n - at;
		rc = decoder_eval_all(out + at * VOCAB, r, ids + at, m);
	}
	return rc;
}

static void test_cuts(const struct make *m, size_t n)
{
	static const size_t all[] = { 1000 }, one[] = { 1 }, odd[] = { 3, 17, 1, 64, 2, 31, 16 };
	static float want[CONTEXT * VOCAB], got[CONTEXT * VOCAB], last[VOCAB];
	struct decoder *d = open_model(m);
	const char *level = kern_get()->name;
	size_t bytes = n * VOCAB * sizeof(*want);
	struct decoder_run *r = NULL;

	if (!ok(d && !decoder_run_new(&r, d, n, NULL), "%s opens (%s)", m->arch, level))
		goto out;
	ok(!in_pieces(want, r, n, all, 1) && decoder_len(r) == n && decoder_room(r) == 0,
	   "%zu tokens in one call", n);
	ok(!memcmp(decoder_tokens(r), ids, n * sizeof(*ids)), "the cache knows its tokens");
	decoder_rewind(r, 0);
	ok(!in_pieces(got, r, n, one, 1) && !memcmp(want, got, bytes), "one by one: the same bits");
	decoder_rewind(r, 0);
	ok(!in_pieces(got, r, n, odd, 7) && !memcmp(want, got, bytes), "in odd pieces: the same bits");
	memset(got + n / 3 * VOCAB, 0, bytes - n / 3 * VOCAB * sizeof(*got));
	decoder_rewind(r, n / 3);
	decoder_rewind(r, n);
	is_int((long long)decoder_len(r), (long long)(n / 3), "rewinding never goes forward");
	ok(!in_pieces(got, r, n, odd, 7) && !memcmp(want, got, bytes), "rewound: the same bits");
	decoder_rewind(r, 0);
	ok(!decoder_eval(NULL, r, ids, n - 5, NULL) && !decoder_eval(last, r, ids + n - 5, 5, NULL) &&
	   !memcmp(last, want + (n - 1) * VOCAB, sizeof(last)), "only the last token's logits: the same bits");
	for (int threads = 2; threads <= 5; threads += 3) {
		struct decoder_run *many = NULL;
		struct par *par = NULL;

		ok(!par_new(&par, threads) && !decoder_run_new(&many, d, n, par) &&
		   !in_pieces(got, many, n, odd, 7) && !memcmp(want, got, bytes),
		   "%d threads: the same bits", threads);
		decoder_run_free(many);
		par_free(par);
	}
out:
	decoder_run_free(r);
	decoder_close(d);
}

static void test_levels(const struct make *m)
{
	static float first[N_IDS * VOCAB], next[N_IDS * VOCAB];

	for (int level = KERN_REF; level <= (int)kern_best(); level++) {
		struct decoder *d;
		struct decoder_run *r = NULL;

		kern_select((enum kern_level)level);
		d = open_model(m);
		ok(d && !decoder_run_new(&r, d, N_IDS, NULL) &&
		   !decoder_eval_all(level ? next : first, r, ids, N_IDS), "%s runs on level %s",
		   m->arch, kern_get()->name);
		if (level) {
			double far = distance(next, NULL, first, N_IDS * VOCAB);

			ok(far < 0.01, "near the reference level (%.2g)", far);
		}
		decoder_run_free(r);
		decoder_close(d);
	}
}

static int stop_at(void *arg, const struct progress_at *at)
{
	(void)at;
	return --*(int *)arg == 0;
}

static void test_bounds(const struct make *m)
{
	static float want[VOCAB], got[VOCAB];
	struct decoder *d = open_model(m);
	struct decoder_run *r = NULL;
	int32_t bad = VOCAB;
	size_t len;

	if (!d)
		return;
	is_str(decoder_arch(d), m->arch, "the architecture's name");
	ok(!strncmp(decoder_name(d), "decoder-t.", 10), "a model without a name has its file's");
	is_int((long long)decoder_vocab(d), VOCAB, "the vocabulary");
	is_int((long long)decoder_context(d), CONTEXT, "the context");
	ok(!decoder_template(d, &len), "no chat template");
	is_int(decoder_run_new(&r, d, 0, NULL), RAG_EINVAL, "a cache for nothing");
	is_int(decoder_run_new(&r, d, CONTEXT + 1, NULL), RAG_EINVAL, "a cache beyond the context");
	ok(!decoder_run_new(&r, d, 20, NULL), "a cache of 20 tokens");
	is_int(decoder_eval(got, r, ids, 21, NULL), RAG_ELIMIT, "21 tokens don't fit");
	is_int(decoder_eval(got, r, ids, 0, NULL), RAG_EINVAL, "logits of nothing");
	is_int(decoder_eval(NULL, r, ids, 0, NULL), RAG_OK, "nothing to do");
	is_int(decoder_eval(got, r, &bad, 1, NULL), RAG_EINVAL, "a token that there isn't");
	bad = -1;
	is_int(decoder_eval(got, r, &bad, 1, NULL), RAG_EINVAL, "a negative token");
	is_int((long long)decoder_len(r), 0, "no error left anything in the cache");

	decoder_eval(NULL, r, ids, 10, NULL);
	decoder_eval(want, r, ids + 10, 6, NULL);
	decoder_rewind(r, 10);
	for (int at = 1; at <= LAYERS; at++) {
		int left = at;

		is_int(decoder_eval(got, r, ids + 10, 6, &(struct progress){ stop_at, &left }),
		       RAG_ECANCEL, "cancelled between layers");
		is_int((long long)decoder_len(r), 10, "the cache is as before");
	}
	ok(!decoder_eval(got, r, ids + 10, 6, NULL) && !memcmp(want, got, sizeof(got)),
	   "and goes on as if nothing had been");
	is_int(decoder_eval(got, r, ids, 5, NULL), RAG_ELIMIT, "5 more than 4");
	is_int(decoder_eval(got, r, ids, 4, NULL), RAG_OK, "exactly 4");
	decoder_run_free(r);
	decoder_close(d);
}

static void refused(const struct make *m, int code, const char *named)
{
	struct decoder *d = NULL;
	int rc = write_model(m) ? decoder_open(&d, path) : RAG_EIO;

	ok(rc == code && strstr(err_msg(), named) && strstr(err_msg(), path),
	   "refused, naming '%s': %s", named, err_msg());
	if (rc != code)
		printf("# got %d, want %d\n", rc, code);
	decoder_close(d);
}

static void test_refusals(void)
{
	static const char *const tensors_of_qwen[] = {
		"token_embd.weight", "output_norm.weight", "blk.1.attn_norm.weight",
		"blk.0.ffn_norm.weight", "blk.1.attn_q.weight", "blk.0.attn_k.bias",
		"blk.1.attn_output.weight", "blk.0.ffn_down.weight",
	};
	static const struct {
		const char *key;
		uint32_t v;
	} numbers[] = {
		{ "block_count", 0 }, { "block_count", 5000 }, { "embedding_length", 0 },
		{ "embedding_length", 1u << 30 }, { "feed_forward_length", 0xFFFFFFFF },
		{ "attention.head_count", 0 }, { "attention.head_count_kv", 0 },
		{ "attention.head_count_kv", 2000 }, { "context_length", 0 },
		{ "context_length", 0xFFFFFFFF },
	};
	static const char *const keys[] = {
		"block_count", "context_length", "embedding_length", "feed_forward_length",
		"attention.head_count", "attention.layer_norm_rms_epsilon",
	};

	for (size_t i = 0; i < sizeof(tensors_of_qwen) / sizeof(char *); i++)
		refused(&(struct make){ .arch = "qwen2", .lacks = tensors_of_qwen[i] }, RAG_EFORMAT,
			tensors_of_qwen[i]);
	refused(&(struct make){ .arch = "llama", .reshape = "blk.1.ffn_up.weight" }, RAG_EFORMAT,
		"'blk.1.ffn_up.weight' is 256 x 511, not 256 x 512");
	refused(&(struct make){ .arch = "llama", .reshape = "token_embd.weight" }, RAG_EFORMAT,
		"token_embd.weight");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		refused(&(struct make){ .arch = "llama", .u32_key = numbers[i].key, .u32 = numbers[i].v },
			RAG_EFORMAT, numbers[i].key);
	for (size_t i = 0; i < sizeof(keys) / sizeof(char *); i++)
		refused(&(struct make){ .arch = "llama", .lacks = keys[i] }, RAG_EFORMAT, keys[i]);
	refused(&(struct make){ .arch = "llama", .u32_key = "attention.head_count_kv", .u32 = 3 },
		RAG_EFORMAT, "4 query heads cannot share 3 key heads");
	refused(&(struct make){ .arch = "qwen2", .u32_key = "attention.head_count", .u32 = 8 },
		RAG_EFORMAT, "attn_k");
	refused(&(struct make){ .arch = "mamba" }, RAG_EUNSUP, "unknown architecture 'mamba'");
	refused(&(struct make){ .arch = "nomic-bert" }, RAG_EUNSUP, "not a generator");
	refused(&(struct make){ .arch = "llama", .text_key = "general.type", .text = "adapter" },
		RAG_EUNSUP, "'adapter'");
	refused(&(struct make){ .arch = "llama", .text_key = "llama.rope.scaling.type", .text = "yarn" },
		RAG_EUNSUP, "'yarn'");
	refused(&(struct make){ .arch = "llama", .u32_key = "expert_count", .u32 = 8 }, RAG_EUNSUP,
		"experts");
	refused(&(struct make){ .arch = "llama", .extra_tensor = "blk.0.attn_q_norm.weight" },
		RAG_EUNSUP, "'blk.0.attn_q_norm.weight' has no place");
}

/* A NaN among the weights is an error at the latest when it reaches the logits. */
static void test_nan(const char *name, bool mixed, enum kern_level level)
{
	struct make m = { .arch = "llama", .mixed = mixed, .nan = name };
	struct decoder *d = kern_select(level) ? NULL : open_model(&m);
	struct decoder_run *r = NULL;
	float logits[VOCAB];

	ok(d && !decoder_run_new(&r, d, 16, NULL) &&
	   decoder_eval(logits, r, ids, 8, NULL) == RAG_EFORMAT && strstr(err_msg(), path) &&
	   decoder_len(r) == 0, "%s, %s: NaN in '%s' is an error", kern_get()->name,
	   mixed ? "blocks" : "floats", name);
	decoder_run_free(r);
	decoder_close(d);
}

static void test_paths(void)
{
	struct decoder *d = NULL;
	char dir[] = "decoder-t-dir.XXXXXX", file[64];
	FILE *f;

	is_int(decoder_open(&d, "decoder-t-no-such-file"), RAG_ENOENT, "no such file");
	if (!ok(mkdtemp(dir) != NULL, "a directory"))
		return;
	is_int(decoder_open(&d, dir), RAG_ENOENT, "a directory without a model");
	snprintf(file, sizeof(file), "%s/model.safetensors", dir);
	f = fopen(file, "w");
	ok(f && !fclose(f) && decoder_open(&d, dir) == RAG_EUNSUP && strstr(err_msg(), "not a generator"),
	   "a directory of an embedding model is refused: %s", err_msg());
	unlink(file);
	write_model(&(struct make){ .arch = "qwen2" });
	snprintf(file, sizeof(file), "%s/model.gguf", dir);
	ok(!rename(path, file) && !decoder_open(&d, dir), "a directory with model.gguf");
	ok(d && !strncmp(decoder_name(d), "decoder-t-dir.", 14), "is named after the directory");
	decoder_close(d);
	unlink(file);
	rmdir(dir);
}

static void test_fingerprint(void)
{
	struct make m = { .arch = "llama" };
	struct decoder *d = open_model(&m), *same = open_model(&m), *other;
	uint8_t first[HASH_LEN];

	if (!ok(d && same, "the same model twice"))
		return;
	memcpy(first, decoder_fingerprint(d), HASH_LEN);
	ok(!memcmp(first, decoder_fingerprint(same), HASH_LEN), "has one fingerprint");
	decoder_close(d);
	decoder_close(same);
	m.u32_key = "context_length";
	m.u32 = 128;
	other = open_model(&m);
	ok(other && memcmp(first, decoder_fingerprint(other), HASH_LEN), "another number, another fingerprint");
	decoder_close(other);
}

static void test_memory(const struct make *m)
{
	float want[VOCAB], got[VOCAB];
	bool done = false, clean = true;
	unsigned long n = 0;

	write_model(m);
	for (int pass = 0; !done && n < 1000; pass++) {
		struct decoder_run *r = NULL;
		struct decoder *d = NULL;
		int rc;

		mem_fail_at(n++);	/* 0: none fails, for what is to be had */
		rc = decoder_open(&d, path);
		if (!rc)
			rc = decoder_run_new(&r, d, 16, NULL);
		if (!rc)
			rc = decoder_eval(pass ? got : want, r, ids, 8, NULL);
		if (!rc && pass)
			done = !memcmp(want, got, sizeof(got));
		clean &= rc == RAG_OK || rc == RAG_ENOMEM;
		decoder_run_free(r);
		decoder_close(d);
	}
	mem_fail_at(0);
	ok(done && clean && n > 20, "each of %lu allocations may fail", n - 2);
}

int main(void)
{
	const struct make llama = { .arch = "llama" }, qwen = { .arch = "qwen2", .tied = true };
	const struct make llama_mix = { .arch = "llama", .mixed = true };
	const struct make qwen_mix = { .arch = "qwen2", .mixed = true };
	int fd = mkstemp(path);

	if (fd < 0)
		return 99;
	close(fd);
	seed = 99;
	for (size_t i = 0; i < CONTEXT; i++)
		ids[i] = (int32_t)(random32() % VOCAB);

	test_naive(&llama, 2e-3);
	test_naive(&qwen, 2e-3);
	test_naive(&llama_mix, 0.03);
	test_naive(&qwen_mix, 0.03);
	for (int level = KERN_REF; level <= (int)kern_best(); level++) {
		kern_select((enum kern_level)level);
		test_cuts(&llama_mix, level ? 150 : N_IDS);
		test_cuts(&qwen_mix, level ? 150 : N_IDS);
	}
	test_cuts(&qwen, N_IDS);
	test_cuts(&llama_mix, 530);	/* more than one micro-batch */
	test_levels(&llama_mix);
	test_levels(&qwen_mix);
	test_bounds(&qwen_mix);
	test_refusals();
	for (int level = KERN_REF; level <= (int)kern_best(); level++) {
		test_nan("blk.0.ffn_norm.weight", false, (enum kern_level)level);
		test_nan("output.weight", true, (enum kern_level)level);
		test_nan("blk.0.attn_q.weight", true, (enum kern_level)level);
		test_nan("blk.1.ffn_up.weight", true, (enum kern_level)level);
	}
	test_fingerprint();
	test_memory(&llama_mix);
	test_paths();
	unlink(path);
	return tap_done();
}
