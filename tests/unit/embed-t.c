#include "config.h"
#include "tests/tap.h"
#include "tests/embed_util.h"
#include "tests/tiny_bert.h"

#include "base/json.h"
#include "base/kern.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/blas.h"
#include "model/embed.h"
#include "model/encoder.h"
#include "model/tok.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

static char dir[] = "embed-t.XXXXXX";

/* ---- a model's directory -------------------------------------------------- */

static void make(const struct tiny_bert *o)
{
	if (!tiny_bert_write(dir, o)) {
		printf("Bail out! cannot write to %s\n", dir);
		exit(1);
	}
}

static void put(const char *name, const char *text)
{
	if (!tb_file(dir, name, text, strlen(text))) {
		printf("Bail out! cannot write %s\n", name);
		exit(1);
	}
}

static void take_away(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	remove(path);
}

static void clean(void)
{
	static const char *const names[] = {
		"config.json", "model.safetensors", "vocab.txt", "sentence_bert_config.json",
		"config_sentence_transformers.json", "modules.json", "1_Pooling/config.json",
		"1_Pooling", "model.gguf",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		take_away(names[i]);
}

static void pooling(const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/1_Pooling", dir);
	mkdir(path, 0777);
	put("1_Pooling/config.json", text);
}

/* Opens, embeds one text (an empty one), closes. */
static int try_open(const char *path)
{
	struct embed *e = NULL;
	int rc = embed_open(&e, path, precision, NULL);

	if (!rc) {
		float v[TB_HIDDEN];
		struct embed_text t = { "", 0 };

		rc = embed_texts(v, e, &t, 1, 0, NULL, NULL);
	}
	embed_close(e);
	return rc;
}

/* ---- the same network, naively --------------------------------------------- */

static double weight[TB_TENSORS_MAX][(TB_FFN + 1) * TB_VOCAB];	/* of the model that the twin stands for */

static void twin_of(const struct tiny_bert *o)
{
	struct tb_tensor t[TB_TENSORS_MAX];
	size_t n = tb_tensors(t);

	for (size_t i = 0; i < n; i++)
		for (size_t v = 0; v < (t[i].rows ? t[i].rows : 1) * t[i].columns; v++)
			weight[i][v] = tiny_bert_value(t[i].name, v) +
				       (strstr(t[i].name, "layer.1.output") ? o->shift : 0);
}

static const double *values(int layer, const char *at, const char *name)
{
	struct tb_tensor t[TB_TENSORS_MAX];
	size_t n = tb_tensors(t), i;
	char full[96];

	if (layer < 0)
		snprintf(full, sizeof(full), "embeddings.%s%s", at, name);
	else
		snprintf(full, sizeof(full), "encoder.layer.%d.%s%s", layer, at, name);
	for (i = 0; i < n - 1 && strcmp(t[i].name, full); i++)
		;
	return weight[i];
}

static void twin_norm(double *x, int layer, const char *name)
{
	const double *gain = values(layer, name, "LayerNorm.weight");
	const double *bias = values(layer, name, "LayerNorm.bias");
	double mean = 0, var = 0;

	for (int i = 0; i < TB_HIDDEN; i++)
		mean += x[i] / TB_HIDDEN;
	for (int i = 0; i < TB_HIDDEN; i++)
		var += (x[i] - mean) * (x[i] - mean) / TB_HIDDEN;
	for (int i = 0; i < TB_HIDDEN; i++)
		x[i] = (x[i] - mean) / sqrt(var) * gain[i] + bias[i];
}

static void twin_linear(double *y, size_t n, const double *x, size_t k, int layer, const char *name)
{
	const double *w = values(layer, name, ".weight"), *bias = values(layer, name, ".bias");

	for (size_t o = 0; o < n; o++) {
		y[o] = bias[o];
		for (size_t i = 0; i < k; i++)
			y[o] += x[i] * w[o * k + i];
	}
}

/* x: (n, hidden) from ids, in double precision. */
static void twin_encode(double (*x)[TB_HIDDEN], const int32_t *ids, size_t n)
{
	static double q[TB_POSITIONS][TB_HIDDEN], k[TB_POSITIONS][TB_HIDDEN], v[TB_POSITIONS][TB_HIDDEN];
	const double *word = values(-1, "word_embeddings", ".weight");
	const double *place = values(-1, "position_embeddings", ".weight");
	const double *type = values(-1, "token_type_embeddings", ".weight");
	const size_t width = TB_HIDDEN / TB_HEADS;

	for (size_t t = 0; t < n; t++) {
		for (size_t i = 0; i < TB_HIDDEN; i++)
			x[t][i] = word[(size_t)ids[t] * TB_HIDDEN + i] + place[t * TB_HIDDEN + i] + type[i];
		twin_norm(x[t], -1, "");
	}
	for (int l = 0; l < TB_LAYERS; l++) {
		for (size_t t = 0; t < n; t++) {
			twin_linear(q[t], TB_HIDDEN, x[t], TB_HIDDEN, l, "attention.self.query");
			twin_linear(k[t], TB_HIDDEN, x[t], TB_HIDDEN, l, "attention.self.key");
			twin_linear(v[t], TB_HIDDEN, x[t], TB_HIDDEN, l, "attention.self.value");
		}
		for (size_t t = 0; t < n; t++) {
			double mixed[TB_HIDDEN] = { 0 }, y[TB_HIDDEN], middle[TB_FFN];

			for (size_t i = 0; i < TB_HIDDEN; i++) {
				size_t head = i / width * width;
				double sum = 0;

				for (size_t u = 0; u < n; u++) {
					double score = 0;

					for (size_t d = 0; d < width; d++)
						score += q[t][head + d] * k[u][head + d];
					score = exp(score / sqrt((double)width));
					sum += score;
					mixed[i] += score * v[u][i];
				}
				mixed[i] /= sum;
			}
			twin_linear(y, TB_HIDDEN, mixed, TB_HIDDEN, l, "attention.output.dense");
			for (size_t i = 0; i < TB_HIDDEN; i++)
				x[t][i] += y[i];
			twin_norm(x[t], l, "attention.output.");
			twin_linear(middle, TB_FFN, x[t], TB_HIDDEN, l, "intermediate.dense");
			for (size_t i = 0; i < TB_FFN; i++)
				middle[i] *= .5 * (1 + erf(middle[i] / sqrt(2)));
			twin_linear(y, TB_HIDDEN, middle, TB_FFN, l, "output.dense");
			for (size_t i = 0; i < TB_HIDDEN; i++)
				x[t][i] += y[i];
			twin_norm(x[t], l, "output.");
		}
	}
}

static void twin_embed(double out[TB_HIDDEN], const int32_t *ids, size_t n, bool cls)
{
	static double x[TB_POSITIONS][TB_HIDDEN];
	double length = 0;

	twin_encode(x, ids, n);
	for (size_t i = 0; i < TB_HIDDEN; i++) {
		out[i] = 0;
		for (size_t t = 0; t < (cls ? 1 : n); t++)
			out[i] += x[t][i];
		length += out[i] * out[i];
	}
	for (size_t i = 0; i < TB_HIDDEN; i++)
		out[i] /= sqrt(length);
}

/* ---- tests ------------------------------------------------------------------- */

/* Largest difference from the twin over all texts. */
static double off_by(struct embed *e, bool cls)
{
	double worst = 0;

	for (size_t i = 0; i < N_TEXTS; i++) {
		struct embed_text t = text_at(i);
		struct tok_ids ids = { 0 };
		float v[TB_HIDDEN];
		double want[TB_HIDDEN];

		if (tok_encode(&ids, embed_tok(e), t.s, t.len, TOK_ADD) ||
		    embed_texts(v, e, &t, 1, 0, NULL, NULL))
			return INFINITY;
		twin_embed(want, ids.id, ids.len, cls);
		for (size_t d = 0; d < TB_HIDDEN; d++)
			worst = fmax(worst, fabs(v[d] - want[d]));
		tok_ids_release(&ids);
	}
	return worst;
}

static void test_twin(void)
{
	static const struct { struct tiny_bert model; const char *name; } cases[] = {
		{ { 0 }, "float32" }, { { .type = "F16" }, "binary16" }, { { .type = "BF16" }, "bfloat16" },
		{ { .prefix = "bert." }, "names with a prefix" }, { { .shift = .125f }, "other weights" },
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct embed *e;

		make(&cases[c].model);
		twin_of(&cases[c].model);
		e = open_or_bail(dir, NULL);
		ok(off_by(e, false) < 1e-6, "%s: as the naive network", cases[c].name);
		embed_close(e);
	}
	make(&(struct tiny_bert){ 0 });
	twin_of(&cases[0].model);
	for (int level = 0; level < KERN_LEVELS; level++) {
		struct embed *e;

		if (!kern_at((enum kern_level)level)) {
			tap_skip(1, "this CPU lacks the level");
			continue;
		}
		kern_select((enum kern_level)level);
		e = open_or_bail(dir, NULL);
		ok(off_by(e, false) < 1e-6, "level %s: as the naive network", kern_get()->name);
		embed_close(e);
	}
	kern_select(kern_best());
	pooling("{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}");
	{
		struct embed *e = open_or_bail(dir, NULL);

		ok(off_by(e, true) < 1e-6, "the first token's vector, where pooling says so");
		embed_close(e);
	}
	clean();
}

/* The same encoder on OpenBLAS's products. */
static void test_blas(void)
{
	struct kern twin = *kern_at(KERN_REF);
	struct encoder *e = NULL;
	struct encoder_run *fast = NULL, *slow = NULL;
	const size_t offset[] = { 0, 30, 31, 60 };
	const float *x, *y;
	int32_t ids[60];
	double worst = 0;

	twin.gemm = blas_panel;
	for (int i = 0; i < 60; i++)
		ids[i] = i * 7 % TB_VOCAB;
	make(&(struct tiny_bert){ 0 });
	ok(!encoder_open(&e, dir) && !encoder_run_new(&fast, e, ENCODER_F32, kern_get(), NULL) &&
	   !encoder_run_new(&slow, e, ENCODER_F32, &twin, NULL) && !encoder_eval(&x, fast, ids, offset, 3) &&
	   !encoder_eval(&y, slow, ids, offset, 3), "the encoder runs on our kernels and on OpenBLAS");
	for (size_t i = 0; i < 60 * TB_HIDDEN; i++)
		worst = fmax(worst, fabs(x[i] - y[i]));
	ok(worst < 1e-5, "with the same result");
	encoder_run_free(fast);
	encoder_run_free(slow);
	encoder_close(e);
	clean();
}

/* 400 texts, some batches: as one call, one by one, with other numbers of threads. */
static void test_bits(const char *path, const char *name, size_t n)
{
	struct embed *e = open_or_bail(path, NULL);
	size_t dim = embed_dim(e), bytes = n * dim * sizeof(float);
	struct embed_text *t = mem_calloc(n, sizeof(*t));
	float *one = mem_alloc(bytes), *all = mem_alloc(bytes);
	bool good = t && one && all;

	for (size_t i = 0; i < n; i++)
		t[i] = text_at(i * 5 + i / 7);
	good = good && !embed_texts(one, e, t, n, 0, NULL, NULL);
	for (size_t i = 0; i < n && good; i++)
		good = !embed_texts(all + i * dim, e, t + i, 1, 0, NULL, NULL);
	ok(good && !memcmp(one, all, bytes), "%s: one by one, the same bits", name);
	embed_close(e);
	for (int threads = 1; threads <= 3; threads++) {
		struct par *par = NULL;

		par_new(&par, threads);
		e = open_or_bail(path, par);
		memset(all, 0, bytes);
		good = !embed_texts(all, e, t, n, 0, NULL, NULL);
		ok(good && !memcmp(one, all, bytes), "%s: %d threads, the same bits", name, threads);
		good = !embed_texts(all, e, t + 3, n - 3, 0, NULL, NULL);
		ok(good && !memcmp(one + 3 * dim, all, bytes - 3 * dim * sizeof(float)),
		   "%s: %d threads, other places in the batch, the same bits", name, threads);
		embed_close(e);
		par_free(par);
	}
	mem_free(t);
	mem_free(one);
	mem_free(all);
}

static void test_same_bits(void)
{
	make(&(struct tiny_bert){ 0 });
	for (int level = 0; level <= (int)kern_best(); level++) {
		kern_select((enum kern_level)level);
		test_bits(dir, kern_get()->name, 400);
	}
	clean();
}

/* ---- int8 -------------------------------------------------------------------- */

static float cosine(const float *a, const float *b, size_t n)
{
	float sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* Vectors of n texts in f32 and in int8, the latter with any level and number of threads. */
static void test_int8(const char *path, const char *name, const struct embed_text *t, size_t n,
		      float least)
{
	struct embed *e = open_or_bail(path, NULL);
	size_t dim = embed_dim(e), bytes = n * dim * sizeof(float);
	float *exact = mem_alloc(bytes), *want = mem_alloc(bytes), *got = mem_alloc(bytes), worst = 1;
	bool good = exact && want && got && !embed_texts(exact, e, t, n, 1, NULL, NULL), same = true;

	embed_close(e);
	precision = ENCODER_INT8;
	for (int level = (int)kern_best(); level >= 0; level--) {
		struct par *par = NULL;

		kern_select((enum kern_level)level);
		par_new(&par, level + 1);
		e = open_or_bail(path, par);
		good = good && !embed_texts(level == (int)kern_best() ? want : got, e, t, n, 1, NULL, NULL);
		same = same && (level == (int)kern_best() || !memcmp(want, got, bytes));
		embed_close(e);
		par_free(par);
	}
	kern_select(kern_best());
	precision = ENCODER_F32;
	for (size_t i = 0; i < n && good; i++)
		worst = fminf(worst, cosine(exact + i * dim, want + i * dim, dim));
	ok(good && worst >= least, "%s in int8: cosine at least %.5f", name, (double)worst);
	ok(good && same, "%s in int8: the same bits on every level", name);
	mem_free(exact);
	mem_free(want);
	mem_free(got);
}

static void test_tiny_int8(void)
{
	static const char *const each[] = {
		"attention.self.query.weight", "attention.self.key.weight", "attention.self.value.weight",
		"attention.self.key.bias", "attention.output.dense.weight", "intermediate.dense.weight",
		"output.dense.weight", "attention.output.LayerNorm.weight", "output.LayerNorm.bias",
	};
	struct embed_text t[N_TEXTS];

	for (size_t i = 0; i < N_TEXTS; i++)
		t[i] = text_at(i);
	make(&(struct tiny_bert){ 0 });
	test_int8(dir, "the tiny model", t, N_TEXTS, .99f);
	precision = ENCODER_INT8;
	for (int level = 0; level <= (int)kern_best(); level++) {
		kern_select((enum kern_level)level);
		test_bits(dir, kern_get()->name, 400);
	}
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		char name[96];

		snprintf(name, sizeof(name), "encoder.layer.0.%s", each[i]);
		make(&(struct tiny_bert){ .damaged = name });
		ok(try_open(dir) == RAG_EFORMAT && strstr(err_msg(), "damaged weights"), "int8: NaN in %s", each[i]);
	}
	precision = ENCODER_F32;
	clean();
}

static int stop_after(void *arg, const struct progress_at *at)
{
	size_t *calls = arg;

	return strcmp(at->stage, "embed") || at->total != 400 || ++*calls > 2;
}

static void test_texts(void)
{
	char many[200], fits[200];
	struct embed_text t[400];
	float v[TB_HIDDEN], w[TB_HIDDEN];
	static float room[400 * TB_HIDDEN];
	struct embed *e;
	size_t cut = 99, calls = 0;
	struct progress p = { stop_after, &calls };
	double length = 0;

	make(&(struct tiny_bert){ 0 });
	put("sentence_bert_config.json", "{\"max_seq_length\":20}");
	e = open_or_bail(dir, NULL);
	is_int((long long)embed_dim(e), TB_HIDDEN, "the width is the config's");
	is_int((long long)embed_max_tokens(e), 20, "the length is sentence_bert_config.json's");
	is_str(embed_name(e), dir, "the name is the directory's");

	for (int i = 0; i < 90; i++) {
		many[2 * i] = (char)('a' + i % 26);
		many[2 * i + 1] = ' ';
	}
	memcpy(fits, many, 36);	/* 18 letters, [CLS] and [SEP] */
	t[0] = (struct embed_text){ many, 180 };
	t[1] = (struct embed_text){ fits, 36 };
	is_int(embed_texts(v, e, t + 1, 1, 0, &cut, NULL), RAG_OK, "a text of just the length");
	is_int((long long)cut, 0, "is not cut");
	is_int(embed_texts(room, e, t, 2, 0, NULL, NULL), RAG_ELIMIT, "a longer one is refused");
	ok(strstr(err_msg(), "text 1 is longer than the 20 tokens") != NULL, "by its number");
	is_int(embed_texts(w, e, t, 1, 1, &cut, NULL), RAG_OK, "or cut when asked to");
	ok(cut == 1 && !memcmp(v, w, sizeof(v)), "at the right place, and counted");
	is_int(embed_query(w, e, many, 180), RAG_OK, "a query is cut");
	ok(!memcmp(v, w, sizeof(v)), "as a text is");

	t[0] = (struct embed_text){ "", 0 };
	is_int(embed_texts(v, e, t, 1, 0, NULL, NULL), RAG_OK, "an empty text has a vector");
	for (size_t i = 0; i < TB_HIDDEN; i++)
		length += (double)v[i] * v[i];
	ok(fabs(length - 1) < 1e-6, "of length one");
	t[0] = (struct embed_text){ NULL, 0 };
	is_int(embed_texts(w, e, t, 1, 0, NULL, NULL), RAG_OK, "without bytes, too");
	ok(!memcmp(v, w, sizeof(v)), "the same");
	is_int(embed_texts(NULL, e, NULL, 0, 0, &cut, NULL), RAG_OK, "no text at all is no error");
	is_int(embed_texts(v, e, (struct embed_text[]){ { "\xFF\x00\xC3", 3 } }, 1, 0, NULL, NULL), RAG_OK,
	       "bytes that are no UTF-8 have a vector");
	embed_close(e);

	put("sentence_bert_config.json", "{\"max_seq_length\":512}");
	put("config_sentence_transformers.json", "{\"prompts\":{\"query\":\"ask: \",\"document\":\"\"}}");
	e = open_or_bail(dir, NULL);
	is_int((long long)embed_max_tokens(e), TB_POSITIONS, "no longer than there are positions");
	t[0] = (struct embed_text){ "ask: why", 8 };
	ok(!embed_texts(v, e, t, 1, 0, NULL, NULL) && !embed_query(w, e, "why", 3) &&
	   !memcmp(v, w, sizeof(v)), "a query has the model's prefix");
	for (size_t i = 0; i < 400; i++)
		t[i] = (struct embed_text){ many, 40 };
	is_int(embed_texts(room, e, t, 400, 0, NULL, &p), RAG_ECANCEL, "the callback stops the call");
	is_int((long long)calls, 3, "between two batches");
	is_int(embed_texts(room, e, t, 400, 0, NULL, NULL), RAG_OK, "after which the embedder works");
	embed_close(e);
	clean();
}

static void refused(const struct tiny_bert *o, int code, const char *says)
{
	make(o);
	err_clear();
	ok(try_open(dir) == code && strstr(err_msg(), says), "refused: %s", says);
	if (!strstr(err_msg(), says))
		printf("# said: %s\n", err_msg());
}

static void test_refused(void)
{
	char path[256];

	refused(&(struct tiny_bert){ .config = "\"model_type\":\"llama\"" }, RAG_EUNSUP,
		"not an embedding model: 'llama'");
	refused(&(struct tiny_bert){ .config = "\"hidden_act\":\"relu\"" }, RAG_EUNSUP, "hidden_act 'relu'");
	refused(&(struct tiny_bert){ .config = "\"position_embedding_type\":\"relative_key\"" }, RAG_EUNSUP,
		"position_embedding_type 'relative_key'");
	refused(&(struct tiny_bert){ .config = "\"num_attention_heads\":7" }, RAG_EFORMAT, "7 heads");
	refused(&(struct tiny_bert){ .config = "\"num_hidden_layers\":0" }, RAG_EFORMAT, "num_hidden_layers");
	refused(&(struct tiny_bert){ .config = "\"num_hidden_layers\":3" }, RAG_EFORMAT,
		"no tensor 'encoder.layer.2.attention.self.query.weight'");
	refused(&(struct tiny_bert){ .config = "\"hidden_size\":99999999999" }, RAG_EFORMAT, "hidden_size");
	refused(&(struct tiny_bert){ .config = "\"vocab_size\":58" }, RAG_EFORMAT,
		"'embeddings.word_embeddings.weight' is 57x44, by config.json 58x44");
	refused(&(struct tiny_bert){ .config = "\"layer_norm_eps\":-1" }, RAG_EFORMAT, "layer_norm_eps");
	refused(&(struct tiny_bert){ .without = "encoder.layer.1.output.dense.bias" }, RAG_EFORMAT,
		"no tensor 'encoder.layer.1.output.dense.bias'");
	refused(&(struct tiny_bert){ .bent = "encoder.layer.0.intermediate.dense.weight" }, RAG_EFORMAT,
		"'encoder.layer.0.intermediate.dense.weight' is 76x44, by config.json 75x44");
	refused(&(struct tiny_bert){ .damaged = "encoder.layer.1.output.dense.weight" }, RAG_EFORMAT,
		"damaged weights");
	refused(&(struct tiny_bert){ .words = 1 }, RAG_EFORMAT, "the tokenizer has 58 ids, the encoder 57");

	make(&(struct tiny_bert){ 0 });
	pooling("{\"pooling_mode_max_tokens\":true}");
	ok(try_open(dir) == RAG_EUNSUP && strstr(err_msg(), "pooling_mode_max_tokens"), "unknown pooling");
	pooling("{\"pooling_mode_mean_tokens\":true,\"pooling_mode_cls_token\":true}");
	is_int(try_open(dir), RAG_EUNSUP, "two kinds of pooling");
	take_away("1_Pooling/config.json");
	put("modules.json", "[{\"type\":\"sentence_transformers.models.Transformer\"},"
	    "{\"type\":\"sentence_transformers.models.Dense\"}]");
	ok(try_open(dir) == RAG_EUNSUP && strstr(err_msg(), "models.Dense"), "unknown module");
	put("modules.json", "[{\"type\":\"sentence_transformers.models.Transformer\"},"
	    "{\"type\":\"sentence_transformers.models.Pooling\"},{\"type\":\"sentence_transformers.models.Normalize\"}]");
	is_int(try_open(dir), RAG_OK, "the modules that we know");
	put("modules.json", "[{");
	ok(try_open(dir) == RAG_EFORMAT && strstr(err_msg(), "modules.json"), "broken settings");
	take_away("modules.json");
	put("sentence_bert_config.json", "{\"max_seq_length\":2}");
	is_int(try_open(dir), RAG_EFORMAT, "no room for a token");
	take_away("sentence_bert_config.json");
	is_int(try_open(dir), RAG_OK, "sound again");

	take_away("vocab.txt");
	ok(try_open(dir) < 0 && strstr(err_msg(), dir), "no vocabulary");
	make(&(struct tiny_bert){ 0 });
	take_away("model.safetensors");
	ok(try_open(dir) == RAG_ENOENT && strstr(err_msg(), "model.safetensors"), "no weights");
	take_away("config.json");
	ok(try_open(dir) == RAG_ENOENT && strstr(err_msg(), "config.json is missing"), "no config");
	is_int(try_open("no-such-directory"), RAG_ENOENT, "no directory");

	/* GGUF version 3, no tensors, one key */
	put("model.gguf", "");
	{
		struct buf b = BUF_INIT;
		const char key[] = "general.architecture";

		buf_adds(&b, "GGUF");
		buf_add(&b, (uint32_t[]){ 3 }, 4);
		buf_add(&b, (uint64_t[]){ 0, 1, sizeof(key) - 1 }, 24);
		buf_adds(&b, key);
		buf_add(&b, (uint32_t[]){ 8 }, 4);
		buf_add(&b, (uint64_t[]){ 5 }, 8);
		buf_adds(&b, "qwen2");
		tb_file(dir, "model.gguf", b.data, b.len);
		buf_release(&b);
	}
	ok(try_open(dir) == RAG_EUNSUP && strstr(err_msg(), "not an embedding model: 'qwen2'"),
	   "a decoder's directory");
	snprintf(path, sizeof(path), "%s/model.gguf", dir);
	ok(try_open(path) == RAG_EUNSUP && strstr(err_msg(), "not an embedding model: 'qwen2'"),
	   "a decoder's file");
	clean();
}

static void fingerprint(uint8_t out[HASH_LEN], const struct tiny_bert *o)
{
	struct embed *e;

	make(o);
	e = open_or_bail(dir, NULL);
	memcpy(out, embed_fingerprint(e), HASH_LEN);
	embed_close(e);
}

static void test_fingerprint(void)
{
	uint8_t one[HASH_LEN], two[HASH_LEN];

	fingerprint(one, &(struct tiny_bert){ 0 });
	fingerprint(two, &(struct tiny_bert){ 0 });
	ok(!memcmp(one, two, HASH_LEN), "the same model has the same fingerprint");
	fingerprint(two, &(struct tiny_bert){ .shift = .125f });
	ok(memcmp(one, two, HASH_LEN), "other weights, another");
	fingerprint(two, &(struct tiny_bert){ .config = "\"num_attention_heads\":11" });
	ok(memcmp(one, two, HASH_LEN), "other heads, another");
	put("tokenizer_config.json", "{\"do_lower_case\":false}");
	fingerprint(two, &(struct tiny_bert){ 0 });
	ok(memcmp(one, two, HASH_LEN), "another tokenizer, another");
	take_away("tokenizer_config.json");
	pooling("{\"pooling_mode_cls_token\":true}");
	fingerprint(two, &(struct tiny_bert){ 0 });
	ok(memcmp(one, two, HASH_LEN), "other pooling, another");
	clean();
	precision = ENCODER_INT8;
	fingerprint(two, &(struct tiny_bert){ 0 });
	precision = ENCODER_F32;
	ok(memcmp(one, two, HASH_LEN), "in int8, another");
	{
		struct embed *e = open_or_bail(dir, NULL);
		struct embed_text t = text_at(0);
		enum encoder_precision made = ENCODER_F32;
		float v[TB_HIDDEN], w[TB_HIDDEN];

		ok(embed_precision_of(&made, e, two) && made == ENCODER_INT8 &&
		   !embed_texts(v, e, &t, 1, 0, NULL, NULL), "which names its precision");
		embed_set_precision(e, made);
		ok(!memcmp(embed_fingerprint(e), two, HASH_LEN) && !embed_texts(w, e, &t, 1, 0, NULL, NULL) &&
		   memcmp(v, w, sizeof(v)), "may become one of int8");
		two[0] ^= 1;
		ok(!embed_precision_of(&made, e, two), "a foreign fingerprint names none");
		is_str(embed_precision_name(embed_precision(e)), "int8", "a precision has a name");
		ok(!embed_precision_parse(&made, "f32") && made == ENCODER_F32, "and is found by it");
		is_int(embed_precision_parse(&made, "f16"), RAG_EINVAL, "an unknown one is refused");
		embed_close(e);
	}
	clean();
}

/* Every allocation fails in turn: a code, a message, no leak (under ASan), and
 * an embedder that lived through it still works. */
static void test_faults(void)
{
	static float v[2 * TB_HIDDEN], w[2 * TB_HIDDEN];
	struct embed_text t[2] = { text_at(0), text_at(3) };
	struct par *par = NULL;
	struct embed *e;
	bool codes = true, same = true;
	unsigned long n;

	make(&(struct tiny_bert){ .type = "F16" });	/* with tensors of our own */
	put("config_sentence_transformers.json", "{\"prompts\":{\"query\":\"ask: \"}}");
	par_new(&par, 2);
	for (n = 1; n < 100000; n++) {
		int rc;

		e = NULL;
		err_clear();
		mem_fail_at(n);
		rc = embed_open(&e, dir, precision, par);
		mem_fail_at(0);
		embed_close(rc ? NULL : e);
		if (!rc)
			break;
		codes = codes && rc == RAG_ENOMEM && err_msg()[0];
	}
	ok(codes && n > 20, "each of %lu allocations of an open may fail", n - 1);
	e = open_or_bail(dir, par);
	embed_texts(w, e, t, 2, 0, NULL, NULL);
	embed_close(e);
	for (n = 1; n < 1000; n++) {
		int rc;

		e = open_or_bail(dir, par);
		mem_fail_at(n);
		rc = embed_texts(v, e, t, 2, 0, NULL, NULL);
		if (!rc)
			rc = embed_query(v, e, "x", 1);
		mem_fail_at(0);
		codes = codes && (!rc || rc == RAG_ENOMEM);
		same = same && !embed_texts(v, e, t, 2, 0, NULL, NULL) && !memcmp(v, w, sizeof(v));
		embed_close(e);
		if (!rc)
			break;
	}
	ok(codes && n > 4, "each of %lu of an embedding, too", n - 1);
	ok(same, "and the embedder works afterwards");
	par_free(par);
	clean();
}

/* ---- the real one -------------------------------------------------------------- */

#define REF_BYTES 500

static const struct embed_text sentences[] = {
	{ "The store is a directory that one process writes and any number of them read.", 77 },
	{ "when did the normans settle in normandy", 39 },
	{ "Supersonic flow over a blunt body causes a detached shock wave.", 63 },
};

static void golden_line(struct embed *e, const char *line, size_t len, size_t number)
{
	struct json *j = NULL;
	const struct json *list, *text;
	struct embed_text t;
	float v[384];
	double worst = 0;

	if (json_parse(&j, line, len, "embeddings.jsonl")) {
		ok(false, "line %zu of the golden vectors", number);
		return;
	}
	list = json_get(j, "values");
	text = json_get(j, "text");
	t = (struct embed_text){ json_str(text, ""), json_str_len(text) };
	if (t.len > REF_BYTES && kern_get()->level == KERN_REF) {
		tap_skip(1, "the plain kernels take seconds for long texts");
		json_free(j);
		return;
	}
	if (embed_texts(v, e, &t, 1, 1, NULL, NULL))
		worst = INFINITY;
	for (size_t i = 0; i < json_len(list) && i < 384; i++)
		worst = fmax(worst, fabs(v[i] - json_num(json_at(list, i), INFINITY)));
	ok(worst < 2e-6 && json_len(list) >= 12, "golden %zu, off by %.2g", number, worst);
	json_free(j);
}

static void test_golden(void)
{
	const char *cache = getenv("RAGSTONE_CACHE"), *home = getenv("HOME"), *top = getenv("srcdir");
	char path[1024], file[1024];
	struct embed *e = NULL;
	struct map m;
	size_t number = 0;

	snprintf(path, sizeof(path), "%s%s/models/all-minilm-l6-v2", cache ? cache : home ? home : "",
		 cache ? "" : "/.cache/ragstone");
	if (access(path, R_OK)) {
		tap_skip(1, "all-minilm-l6-v2 is not in the cache");
		return;
	}
	snprintf(file, sizeof(file), "%s/tests/golden/embeddings.jsonl", top ? top : "..");
	if (!ok(!map_open(&m, file) && m.len, "the golden vectors are there"))
		return;
	for (int level = 0; level <= (int)kern_best(); level++) {
		const char *at = (const char *)m.data, *end = at + m.len, *stop;

		kern_select((enum kern_level)level);
		e = open_or_bail(path, NULL);
		ok(embed_dim(e) == 384 && embed_max_tokens(e) == 256, "MiniLM at level %s", kern_get()->name);
		for (number = 1; at < end; at = stop + 1, number++) {
			stop = memchr(at, '\n', (size_t)(end - at));
			stop = stop ? stop : end;
			golden_line(e, at, (size_t)(stop - at), number);
		}
		embed_close(e);
	}
	is_int((long long)number - 1, 20, "all 20 lines were compared");
	kern_select(kern_best());
	test_int8(path, "MiniLM", sentences, sizeof(sentences) / sizeof(sentences[0]), .997f);
	precision = ENCODER_INT8;
	test_bits(path, "MiniLM in int8", 100);
	precision = ENCODER_F32;
	test_bits(path, "MiniLM", 100);
	map_close(&m);
}

int main(void)
{
	if (!mkdtemp(dir)) {
		printf("Bail out! cannot make %s\n", dir);
		return 1;
	}
	test_twin();
	test_blas();
	test_same_bits();
	test_tiny_int8();
	test_texts();
	test_refused();
	test_fingerprint();
	test_faults();
	test_golden();
	rmdir(dir);
	return tap_done();
}
