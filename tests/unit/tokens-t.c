/* Token vectors as they come out of the pass that makes a text's own. */
#include "config.h"
#include "tests/tap.h"
#include "tests/embed_util.h"
#include "tests/tiny_bert.h"

#include "base/mem.h"
#include "model/embed.h"
#include "model/tok.h"

#include <math.h>
#include <stdlib.h>

static char dir[] = "tokens-t.XXXXXX";

static void put(const char *name, const char *text)
{
	if (!tb_file(dir, name, text, strlen(text))) {
		printf("Bail out! cannot write %s\n", name);
		exit(1);
	}
}

static void make(void)
{
	if (!tiny_bert_write(dir, &(struct tiny_bert){ 0 })) {
		printf("Bail out! cannot write to %s\n", dir);
		exit(1);
	}
}

static void clean(void)
{
	static const char *const names[] = {
		"config.json", "model.safetensors", "vocab.txt", "config_sentence_transformers.json",
		"sentence_bert_config.json",
	};
	char path[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
}

struct seen {
	struct embed *e;
	const struct embed_text *texts;
	size_t n, stop;		/* the call with number stop fails */
	float *vectors;		/* (n, dim) the mean of each text's tokens, of length one */
	uint8_t hash[HASH_LEN];	/* over all vectors so far */
	bool in_order, right_ids;
};

static int see(void *arg, size_t text, const int32_t *ids, const float *x, size_t n)
{
	struct seen *s = arg;
	size_t dim = embed_dim(s->e);
	float *mean = s->vectors + text * dim;
	struct tok_ids want = { 0 };
	struct hash_state h;
	double square = 0;

	if (s->n == s->stop)
		return err_set(RAG_EINVAL, "enough");
	s->in_order = s->in_order && text == s->n++;
	if (tok_encode(&want, embed_tok(s->e), s->texts[text].s, s->texts[text].len, TOK_ADD))
		return RAG_ENOMEM;
	s->right_ids = s->right_ids && want.len == n && !memcmp(want.id, ids, n * sizeof(*ids));
	tok_ids_release(&want);
	memset(mean, 0, dim * sizeof(*mean));
	for (size_t i = 0; i < n * dim; i++)
		mean[i % dim] += x[i];
	for (size_t d = 0; d < dim; d++)
		square += (double)mean[d] * (double)mean[d];
	for (size_t d = 0; d < dim; d++)
		mean[d] = (float)(mean[d] / sqrt(square));
	hash_begin(&h);
	hash_add(&h, s->hash, sizeof(s->hash));
	hash_add(&h, x, n * dim * sizeof(*x));
	hash_end(s->hash, &h);
	return RAG_OK;
}

/* 300 texts, some batches, in each precision. */
static void test_tokens(void)
{
	enum { N = 300 };
	struct embed_text t[N];
	float *v = mem_alloc(N * TB_HIDDEN * sizeof(*v)), *means = mem_alloc(N * TB_HIDDEN * sizeof(*v));
	float one[TB_HIDDEN], two[TB_HIDDEN];
	struct embed *e;

	make();
	for (size_t i = 0; i < N; i++)
		t[i] = text_at(i * 5 + i / 7);
	for (int p = 0; p < ENCODER_PRECISIONS; p++) {
		struct seen all = { .texts = t, .stop = N, .vectors = means, .in_order = true, .right_ids = true };
		struct seen each = all;
		struct embed_sink sink = { see, &all };
		float worst = 0;
		int rc = RAG_OK;

		precision = (enum encoder_precision)p;
		e = open_or_bail(dir, NULL);
		all.e = each.e = e;
		ok(!embed_texts_tokens(v, e, t, N, 0, NULL, &sink, NULL), "%s: token vectors",
		   embed_precision_name(precision));
		ok(all.n == N && all.in_order && all.right_ids, "of each text, in order, with its ids");
		for (size_t i = 0; i < N * TB_HIDDEN; i++)
			worst = fmaxf(worst, fabsf(v[i] - means[i]));
		ok(worst < 1e-5f, "whose mean is the text's vector (off by %.1g)", (double)worst);
		sink.arg = &each;
		for (size_t i = 0; i < N && !rc; i++) {
			each.texts = t + i;
			each.vectors = one;
			each.n = 0;
			rc = embed_texts_tokens(two, e, t + i, 1, 0, NULL, &sink, NULL);
		}
		ok(!rc && !memcmp(all.hash, each.hash, HASH_LEN), "one by one, the same bits");
		each.n = 0;
		each.texts = t;
		rc = embed_query_tokens(two, e, t[0].s, t[0].len, &sink);
		ok(!rc && each.n == 1 && each.right_ids && !memcmp(two, v, sizeof(two)), "of a query, too");
		all.n = 0;
		all.stop = 250;
		sink.arg = &all;
		is_int(embed_texts_tokens(v, e, t, N, 0, NULL, &sink, NULL), RAG_EINVAL, "a failure ends the call");
		is_int((long long)all.n, 250, "at once");
		is_int(embed_texts(v, e, t, N, 0, NULL, NULL), RAG_OK, "and no other");
		embed_close(e);
	}
	precision = ENCODER_F32;
	mem_free(v);
	mem_free(means);
	clean();
}


static void test_keeps(void)
{
	struct embed *e;

	make();
	put("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nthe\nqu\n##ick\n?\n!\n##the\n\xC3\xA9\n");
	e = open_or_bail(dir, NULL);
	for (int32_t id = 0; id < 13; id++)
		ok(embed_keeps(e, id) == (id == 5 || id == 7 || id == 8 || id == 11 || id == 12),
		   "token %d says %s", (int)id, embed_keeps(e, id) ? "something" : "nothing");
	embed_close(e);
	clean();
}

int main(void)
{
	if (!mkdtemp(dir)) {
		printf("Bail out! cannot make %s\n", dir);
		return 1;
	}
	test_tokens();
	test_keeps();
	rmdir(dir);
	return tap_done();
}
