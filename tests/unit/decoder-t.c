/* The decoder on small models that the test writes: against a forward pass
 * written again in doubles; the same bits however the calls are cut and
 * whatever the threads; every refusal. */
#include "config.h"
#include "model/decoder.h"
#include "base/kern.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "tests/tap.h"
#include "tests/tiny_decoder.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static char path[] = "decoder-t.XXXXXX";

static int32_t ids[CONTEXT];

static struct decoder *open_model(const struct make *m)
{
	struct decoder *d = NULL;

	if (!write_model(path, m) || decoder_open(&d, path))
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
	int rc = write_model(path, m) ? decoder_open(&d, path) : RAG_EIO;

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

static void test_gemma_refusals(void)
{
	static const struct {
		const char *key;
		uint32_t v;
	} numbers[] = {
		{ "attention.sliding_window", 0 }, { "attention.sliding_window_pattern", 0 },
		{ "attention.key_length", 1 }, { "attention.key_length", 1u << 20 },
		{ "attention.key_length_swa", 32 }, { "attention.value_length_swa", 32 },
		{ "rope.dimension_count_swa", 32 },
	};
	static const char *const lacks[] = {
		"attention.key_length", "attention.sliding_window", "blk.0.attn_q_norm.weight",
		"blk.1.attn_k_norm.weight", "blk.0.post_attention_norm.weight",
		"blk.1.post_ffw_norm.weight",
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		refused(&(struct make){ .arch = "gemma3", .u32_key = numbers[i].key, .u32 = numbers[i].v },
			RAG_EFORMAT, numbers[i].key);
	for (size_t i = 0; i < sizeof(lacks) / sizeof(char *); i++)
		refused(&(struct make){ .arch = "gemma3", .lacks = lacks[i] }, RAG_EFORMAT, lacks[i]);
	refused(&(struct make){ .arch = "gemma3", .u32_key = "attention.key_length", .u32 = 63 },
		RAG_EFORMAT, "63 values cannot rotate in pairs");
	refused(&(struct make){ .arch = "gemma3", .array_key = "attention.sliding_window_pattern",
				.lacks = "attention.sliding_window_pattern" },
		RAG_EUNSUP, "gemma3.attention.sliding_window_pattern as an array");
	refused(&(struct make){ .arch = "gemma3", .f32_key = "final_logit_softcapping", .f32 = -1 },
		RAG_EFORMAT, "final_logit_softcapping");
	refused(&(struct make){ .arch = "gemma3", .f32_key = "attn_logit_softcapping", .f32 = 50 },
		RAG_EUNSUP, "attn_logit_softcapping");
	refused(&(struct make){ .arch = "gemma3", .f32_key = "rope.freq_base_swa", .f32 = NAN },
		RAG_EFORMAT, "rope.freq_base_swa");
	refused(&(struct make){ .arch = "llama", .false_key = "attention.causal" }, RAG_EUNSUP,
		"llama.attention.causal is false");
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
	write_model(path, &(struct make){ .arch = "qwen2" });
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

	write_model(path, m);
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
	const struct make gemma = { .arch = "gemma3", .tied = true };
	const struct make gemma_mix = { .arch = "gemma3", .mixed = true };
	const struct make gemma_cap = { .arch = "gemma3", .f32_key = "final_logit_softcapping", .f32 = 3 };
	const struct make gemma_base = { .arch = "gemma3", .f32_key = "rope.freq_base_swa", .f32 = 300 };
	/* a window wider and one narrower than the pieces that attention is cut into */
	const struct make gemma_wide = { .arch = "gemma3", .mixed = true,
					 .u32_key = "attention.sliding_window", .u32 = 70 };
	const struct make gemma_one = { .arch = "gemma3", .u32_key = "attention.sliding_window", .u32 = 1 };
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
	test_naive(&gemma, 2e-3);
	test_naive(&gemma_cap, 2e-3);
	test_naive(&gemma_base, 2e-3);
	test_naive(&gemma_one, 2e-3);
	test_naive(&gemma_mix, 0.03);
	for (int level = KERN_REF; level <= (int)kern_best(); level++) {
		kern_select((enum kern_level)level);
		test_cuts(&llama_mix, level ? 150 : N_IDS);
		test_cuts(&qwen_mix, level ? 150 : N_IDS);
		test_cuts(&gemma_mix, level ? 150 : N_IDS);
		test_cuts(&gemma_wide, 150);
	}
	test_cuts(&qwen, N_IDS);
	test_cuts(&gemma_one, N_IDS);
	test_cuts(&llama_mix, 530);	/* more than one micro-batch */
	test_levels(&llama_mix);
	test_levels(&qwen_mix);
	test_levels(&gemma_mix);
	test_bounds(&qwen_mix);
	test_refusals();
	test_gemma_refusals();
	for (int level = KERN_REF; level <= (int)kern_best(); level++) {
		test_nan("blk.0.ffn_norm.weight", false, (enum kern_level)level);
		test_nan("output.weight", true, (enum kern_level)level);
		test_nan("blk.0.attn_q.weight", true, (enum kern_level)level);
		test_nan("blk.1.ffn_up.weight", true, (enum kern_level)level);
	}
	test_fingerprint();
	test_memory(&llama_mix);
	test_memory(&gemma_mix);
	test_paths();
	unlink(path);
	return tap_done();
}
